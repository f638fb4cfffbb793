# Completions for dinit-check. Generated from the tables of dinit-check; see dinit/man/src/lib.rs.

# Lists services: those that are loaded, or those that have a description.
function __dinit_check_services --argument-names which
    set -l chosen
    set -l pending
    for word in (commandline -opc)[2..-1]
        if test -n "$pending"
            set -a chosen $pending $word
            set pending
            continue
        end
        switch $word
            case -s --system -u --user
                set -a chosen $word
            case -p --socket-path -d --services-dir
                set pending $word
        end
    end
    if test $which = available
        dinitctl $chosen --offline list --available 2>/dev/null
    else
        dinitctl $chosen list 2>/dev/null | string sub --start 12 | string replace --regex ' \(.*' ''
    end
end

complete -c dinit-check -f
complete -c dinit-check -l help -d 'display this help'
complete -c dinit-check -l services-dir -s d -d 'look for service descriptions in this directory; can be given several times' -r -f -a '(__fish_complete_directories)'
complete -c dinit-check -l online -s n -d 'take service directories and environment from a running daemon'
complete -c dinit-check -l socket-path -s p -d 'the socket of the daemon, with --online' -r -F
complete -c dinit-check -l env-file -s e -d 'read the environment from this file' -r -F
complete -c dinit-check -l system -s s -d 'use the defaults of a system instance'
complete -c dinit-check -l user -s u -d 'use the defaults of a user\'s instance'
complete -c dinit-check -l root -d 'check the services of the system below this directory; all paths, the environment file and the users are those inside it' -r -f -a '(__fish_complete_directories)'
complete -c dinit-check -l format -d 'print the problems with the lines they are in and help, or as JSON' -r -f -a 'text json'
complete -c dinit-check -f -a '(__dinit_check_services available)'
