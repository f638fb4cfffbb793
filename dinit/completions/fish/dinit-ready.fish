# Completions for dinit-ready. Generated from the tables of dinit-ready; see dinit/man/src/lib.rs.

# Says whether the word being written is this argument of this command; without a command, the command.
function __dinit_ready_at --argument-names command position
    set -l pending
    set -l words
    for word in (commandline -opc)[2..-1]
        if test -n "$pending"
            set pending
            continue
        end
        switch $word
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

complete -c dinit-ready -f
complete -c dinit-ready -l help -d 'show this help'
complete -c dinit-ready -n '__dinit_ready_at "" 0' -a notify -d 'ready when the daemon says READY=1 to the socket in NOTIFY_SOCKET (sd_notify(3))'
complete -c dinit-ready -n '__dinit_ready_at "" 0' -a socket -d 'ready when the Unix socket <path> accepts a connection'
complete -c dinit-ready -n '__dinit_ready_at "" 0' -a pidfile -d 'ready when the file <path> names the daemon\'s own process'
complete -c dinit-ready -n '__dinit_ready_at notify 1' -f -a '(__fish_complete_command)'
complete -c dinit-ready -n '__dinit_ready_at notify any' -F
complete -c dinit-ready -n '__dinit_ready_at socket 1' -F
complete -c dinit-ready -n '__dinit_ready_at socket 2' -f -a '(__fish_complete_command)'
complete -c dinit-ready -n '__dinit_ready_at socket any' -F
complete -c dinit-ready -n '__dinit_ready_at pidfile 1' -F
complete -c dinit-ready -n '__dinit_ready_at pidfile 2' -f -a '(__fish_complete_command)'
complete -c dinit-ready -n '__dinit_ready_at pidfile any' -F
