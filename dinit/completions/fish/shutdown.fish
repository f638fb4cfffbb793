# Completions for shutdown. Generated from the tables of shutdown; see dinit/man/src/lib.rs.

complete -c shutdown -f
complete -c shutdown -l help -d 'show this help'
complete -c shutdown -s r -d 'reboot'
complete -c shutdown -s s -d 'soft-reboot (restart dinit with same boot-time arguments)'
complete -c shutdown -s h -d 'halt system'
complete -c shutdown -s p -d 'power down (default)'
complete -c shutdown -s k -d 'execute kernel loaded via kexec'
complete -c shutdown -l use-passed-cfd -d 'use the socket file descriptor identified by the DINIT_CS_FD environment variable to communicate with the init daemon'
complete -c shutdown -l system -d 'perform shutdown immediately, instead of issuing shutdown command to the init program. Not recommended for normal use'
