# Completions for dinitctl. Generated from the tables of dinitctl; see dinit/man/src/lib.rs.

# Says whether the word being written is this argument of this command; without a command, the command.
function __dinitctl_at --argument-names command position
    set -l pending
    set -l words
    for word in (commandline -opc)[2..-1]
        if test -n "$pending"
            set pending
            continue
        end
        switch $word
            case --socket-path -p --services-dir -d --from
                set pending yes
            case '-*'
            case '*'
                set -a words $word
        end
    end
    if test -z "$command"
        test (count $words) -eq 0
        return
    end
    test (count $words) -gt 0; and test $words[1] = $command
    and begin
        test $position = any; or test (count $words) -eq (math $position + 1)
    end
end

# Lists services: those that are loaded, or those that have a description.
function __dinitctl_services --argument-names which
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

complete -c dinitctl -f
complete -c dinitctl -l help -d 'show this help'
complete -c dinitctl -l version -d 'show the version'
complete -c dinitctl -l system -s s -d 'control system daemon (default if run as root)'
complete -c dinitctl -l user -s u -d 'control user daemon'
complete -c dinitctl -l quiet -d 'suppress output (except errors)'
complete -c dinitctl -l socket-path -s p -d 'specify socket for communication with daemon' -r -F
complete -c dinitctl -l use-passed-cfd -d 'use the socket file descriptor identified by the DINIT_CS_FD environment variable to communicate with the dinit daemon'
complete -c dinitctl -l offline -s o -d 'do not contact running dinit daemon'
complete -c dinitctl -l services-dir -s d -d 'specify directory for service definitions (offline mode)' -r -f -a '(__fish_complete_directories)'
complete -c dinitctl -l json -d 'print one JSON document instead of text'
complete -c dinitctl -l no-wait -d 'don\'t wait for service startup/shutdown to complete'
complete -c dinitctl -l pin -d 'pin the service in the requested state'
complete -c dinitctl -l ignore-unstarted -d '(stop, restart, release) succeed if the service is not started'
complete -c dinitctl -n '__dinitctl_at stop any; or __dinitctl_at restart any' -l force -s f -d 'force stop even if dependents will be affected'
complete -c dinitctl -n '__dinitctl_at enable any; or __dinitctl_at disable any' -l from -d '(enable, disable) the service that is to depend on it' -r -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at catlog any' -l clear -d '(catlog) clear the buffer afterwards'
complete -c dinitctl -n '__dinitctl_at signal any' -l list -s l -d '(signal) list supported signals'
complete -c dinitctl -n '__dinitctl_at list any' -l failed -d '(list) only services that have failed'
complete -c dinitctl -n '__dinitctl_at list any' -l enabled -d '(list) only services that are enabled'
complete -c dinitctl -n '__dinitctl_at list any' -l available -d '(list) services with a description, loaded or not'
complete -c dinitctl -n '__dinitctl_at graph any' -l dot -d '(graph) print in the language of graphviz'
complete -c dinitctl -n '__dinitctl_at "" 0' -a status -d 'tell all that is known of a service'
complete -c dinitctl -n '__dinitctl_at "" 0' -a is-started -d 'tell whether a service is started'
complete -c dinitctl -n '__dinitctl_at "" 0' -a is-failed -d 'tell whether a service failed to start'
complete -c dinitctl -n '__dinitctl_at "" 0' -a start -d 'start a service and what it depends on'
complete -c dinitctl -n '__dinitctl_at "" 0' -a stop -d 'stop a service'
complete -c dinitctl -n '__dinitctl_at "" 0' -a restart -d 'stop a service and start it again'
complete -c dinitctl -n '__dinitctl_at "" 0' -a wake -d 'start a stopped service for the services that depend on it'
complete -c dinitctl -n '__dinitctl_at "" 0' -a release -d 'take back the activation of a service'
complete -c dinitctl -n '__dinitctl_at "" 0' -a unpin -d 'remove the pins of a service'
complete -c dinitctl -n '__dinitctl_at "" 0' -a unload -d 'forget a stopped service'
complete -c dinitctl -n '__dinitctl_at "" 0' -a reload -d 'read a service description again'
complete -c dinitctl -n '__dinitctl_at "" 0' -a list -d 'list services'
complete -c dinitctl -n '__dinitctl_at "" 0' -a graph -d 'show what depends on what'
complete -c dinitctl -n '__dinitctl_at "" 0' -a shutdown -d 'stop all services and end the daemon'
complete -c dinitctl -n '__dinitctl_at "" 0' -a add-dep -d 'add a dependency until the daemon ends'
complete -c dinitctl -n '__dinitctl_at "" 0' -a rm-dep -d 'remove a dependency until the daemon ends'
complete -c dinitctl -n '__dinitctl_at "" 0' -a enable -d 'have a service started with another, for good'
complete -c dinitctl -n '__dinitctl_at "" 0' -a disable -d 'undo what enable did'
complete -c dinitctl -n '__dinitctl_at "" 0' -a trigger -d 'let a triggered service start'
complete -c dinitctl -n '__dinitctl_at "" 0' -a untrigger -d 'take the trigger of a triggered service back'
complete -c dinitctl -n '__dinitctl_at "" 0' -a setenv -d 'set variables in the environment of services'
complete -c dinitctl -n '__dinitctl_at "" 0' -a unsetenv -d 'remove variables from the environment of services'
complete -c dinitctl -n '__dinitctl_at "" 0' -a catlog -d 'print what a service has printed'
complete -c dinitctl -n '__dinitctl_at "" 0' -a signal -d 'send a signal to the process of a service'
complete -c dinitctl -n '__dinitctl_at status 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at is-started 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at is-failed 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at start 0' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at stop 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at restart 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at wake 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at release 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at unpin 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at unload 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at reload 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at graph any' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at add-dep 0' -f -a 'need regular milestone waits-for'
complete -c dinitctl -n '__dinitctl_at add-dep 1' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at add-dep 2' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at rm-dep 0' -f -a 'need regular milestone waits-for'
complete -c dinitctl -n '__dinitctl_at rm-dep 1' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at rm-dep 2' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at enable 0' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at disable 0' -f -a '(__dinitctl_services available)'
complete -c dinitctl -n '__dinitctl_at trigger 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at untrigger 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at catlog 0' -f -a '(__dinitctl_services loaded)'
complete -c dinitctl -n '__dinitctl_at signal 0' -f -a 'HUP INT QUIT KILL USR1 USR2 TERM CONT STOP'
complete -c dinitctl -n '__dinitctl_at signal 1' -f -a '(__dinitctl_services loaded)'
