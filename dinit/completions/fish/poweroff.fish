# Completions for poweroff. Generated from the tables of shutdown; see dinit/man/src/lib.rs.
complete -c poweroff -w shutdown
