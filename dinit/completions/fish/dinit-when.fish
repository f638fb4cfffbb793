# Completions for dinit-when. Generated from the tables of dinit-when; see dinit/man/src/lib.rs.

# Says whether the word being written is this argument of this command; without a command, the command.
function __dinit_when_at --argument-names command position
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

complete -c dinit-when -f
complete -c dinit-when -l help -d 'show this help'
complete -c dinit-when -n '__dinit_when_at "" 0' -a console -d 'becomes the command as soon as virtual console <number> is shown'
complete -c dinit-when -n '__dinit_when_at "" 0' -a power-key -d 'runs the command whenever the power key of an input device in <folder> is pressed'
complete -c dinit-when -n '__dinit_when_at console 1' -f -a '(__fish_complete_command)'
complete -c dinit-when -n '__dinit_when_at console any' -F
complete -c dinit-when -n '__dinit_when_at power-key 0' -F
complete -c dinit-when -n '__dinit_when_at power-key 1' -f -a '(__fish_complete_command)'
complete -c dinit-when -n '__dinit_when_at power-key any' -F
