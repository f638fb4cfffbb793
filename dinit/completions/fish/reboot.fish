# Completions for reboot. Generated from the tables of shutdown; see dinit/man/src/lib.rs.
complete -c reboot -w shutdown
