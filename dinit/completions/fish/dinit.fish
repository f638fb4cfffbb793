# Completions for dinit. Generated from the tables of dinit; see dinit/man/src/lib.rs.

# Lists services: those that are loaded, or those that have a description.
function __dinit_services --argument-names which
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

complete -c dinit -f
complete -c dinit -l help -d 'display help'
complete -c dinit -l version -d 'display version'
complete -c dinit -l env-file -s e -d 'environment variable initialisation file' -r -F
complete -c dinit -l services-dir -s d -d 'set base directory for service description files' -r -f -a '(__fish_complete_directories)'
complete -c dinit -l system -s s -d 'run as the system instance'
complete -c dinit -l user -s u -d 'run as a user instance'
complete -c dinit -l system-mgr -s m -d 'run as the system manager (perform system initialisation)'
complete -c dinit -l container -s o -d 'run in container mode (do not manage the system)'
complete -c dinit -l auto-recovery -s r -d 'start `recovery` by itself when the boot has failed'
complete -c dinit -l socket-path -s p -d 'path of the control socket' -r -F
complete -c dinit -l ready-fd -s F -d 'descriptor to which the socket path is written once ready' -x
complete -c dinit -l log-file -s l -d 'write the main log to a file instead of to syslog' -r -F
complete -c dinit -l quiet -s q -d 'show no service status on the console'
complete -c dinit -l console-level -d 'least level of messages on the console' -r -f -a 'none error warn info debug'
complete -c dinit -l log-level -d 'least level of messages in the main log' -r -f -a 'none error warn info debug'
complete -c dinit -l cgroup-path -s b -d 'base for relative control group paths' -x
complete -c dinit -l service -s t -d 'start a service (never ignored)' -r -f -a '(__dinit_services available)'
complete -c dinit -f -a '(__dinit_services available)'
