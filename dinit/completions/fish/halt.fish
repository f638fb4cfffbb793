# Completions for halt. Generated from the tables of shutdown; see dinit/man/src/lib.rs.
complete -c halt -w shutdown
