# Completions for dinit-monitor. Generated from the tables of dinit-monitor; see dinit/man/src/lib.rs.

# Lists services: those that are loaded, or those that have a description.
function __dinit_monitor_services --argument-names which
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

complete -c dinit-monitor -f
complete -c dinit-monitor -l help -d 'show this help'
complete -c dinit-monitor -l version -d 'show the version'
complete -c dinit-monitor -l exit -s e -d 'exit after the first command has been run'
complete -c dinit-monitor -l env -s E -d 'watch the environment of services instead of services'
complete -c dinit-monitor -l system -s s -d 'watch the system daemon (default if run as root)'
complete -c dinit-monitor -l user -s u -d 'watch the user daemon'
complete -c dinit-monitor -l initial -s i -d 'also run the command for what is so at the beginning'
complete -c dinit-monitor -l str-started -d 'what %s stands for when a service has started' -x
complete -c dinit-monitor -l str-stopped -d 'what %s stands for when a service has stopped' -x
complete -c dinit-monitor -l str-failed -d 'what %s stands for when a service failed to start' -x
complete -c dinit-monitor -l str-set -d 'what %s stands for when a variable was set' -x
complete -c dinit-monitor -l str-unset -d 'what %s stands for when a variable was unset' -x
complete -c dinit-monitor -l socket-path -s p -d 'specify socket for communication with daemon' -r -F
complete -c dinit-monitor -l command -s c -d 'the command to run: %n stands for the name, %s for what happened, %v for the value of the variable, %% for %' -r -f -a '(__fish_complete_command)'
complete -c dinit-monitor -f -a '(__dinit_monitor_services available)'
