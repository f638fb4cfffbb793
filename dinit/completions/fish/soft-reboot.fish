# Completions for soft-reboot. Generated from the tables of shutdown; see dinit/man/src/lib.rs.
complete -c soft-reboot -w shutdown
