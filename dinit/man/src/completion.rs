//! Completions, one module a shell.
//!
//! All three do the same: they go through the words up to the one being written, pass over options and their
//! arguments, and then know which option's argument, which command, or which argument of it is due.

pub mod bash;
pub mod fish;
pub mod zsh;

use dinit_options::{Completes, Program};

/// Gives the first lines of a script.
pub(crate) fn heading(command: &str, program: &str) -> String {
    format!(
        "# Completions for {command}. Generated from the tables of {program}; see dinit/man/src/lib.rs.\n"
    )
}

/// The options that choose a daemon or service directories and are passed on to `dinitctl`, which is asked for
/// services: those without an argument, and those with one.
const PASSED_ON: [&[&str]; 2] =
    [&["-s", "--system", "-u", "--user"], &["-p", "--socket-path", "-d", "--services-dir"]];

/// Gives the loop's inside that finds out where in the line the current word is, as bash and zsh read it: which
/// option waits for its argument, which command there is, and how many arguments it has.
fn scan(program: &Program) -> String {
    let [plain, valued] = PASSED_ON;
    let with_argument = with_argument(program);
    let valued: Vec<&str> = valued.iter().copied().filter(|option| with_argument.contains(option)).collect();
    let asks = knows_services(program);
    let mut script = String::from("        if [[ -n $pending ]]; then\n");
    if asks && !valued.is_empty() {
        let valued = valued.join("|");
        script +=
            &format!("            case $pending in ({valued}) chosen+=(\"$pending\" \"$word\") ;; esac\n");
    }
    script += "            pending=\n            continue\n        fi\n        case $word in\n";
    if asks {
        script += &format!("            ({}) chosen+=(\"$word\") ;;\n", plain.join("|"));
    }
    if !with_argument.is_empty() {
        script += &format!("            ({}) pending=$word ;;\n", with_argument.join("|"));
    }
    script += "            (-*) ;;\n";
    script += match program.commands.is_empty() {
        true => "            (*) position+=1 ;;\n",
        false => "            (*) if [[ -z $command ]]; then command=$word; else position+=1; fi ;;\n",
    };
    script + "        esac\n"
}

/// Gives the statement that completes what follows an option, as bash and zsh read it.
fn arguments(program: &Program, offer: impl Fn(Completes) -> String) -> String {
    let cases: String = program
        .options
        .iter()
        .filter_map(|option| Some((option.spellings.join("|"), option.argument?.completes)))
        .map(|(spellings, completes)| format!("        ({spellings}) {} return ;;\n", offer(completes)))
        .collect();
    if cases.is_empty() { cases } else { format!("    case $pending in\n{cases}    esac\n") }
}

/// Gives the statement that completes what follows a command, as bash and zsh read it.
fn operands(program: &Program, offer: impl Fn(Completes) -> String) -> String {
    let mut script = String::from("    case $command:$position in\n");
    for command in &program.commands {
        for (position, completes) in command.operands.iter().enumerate() {
            if *completes != Completes::Anything {
                let repeats = command.repeats && position + 1 == command.operands.len();
                let place = if repeats { "*".to_owned() } else { position.to_string() };
                script += &format!("        ({}:{place}) {} ;;\n", command.word, offer(*completes));
            }
        }
    }
    script + "    esac\n"
}

/// Gives all spellings of options that take an argument.
fn with_argument(program: &Program) -> Vec<&'static str> {
    let options = program.options.iter().filter(|option| option.argument.is_some());
    options.flat_map(|option| option.spellings.iter().copied()).collect()
}

/// Says whether some word of the program is a service.
fn knows_services(program: &Program) -> bool {
    let options =
        program.options.iter().filter_map(|option| option.argument).map(|argument| argument.completes);
    let operands = program.commands.iter().flat_map(|command| command.operands.iter().copied());
    options
        .chain(operands)
        .chain([program.operands])
        .any(|completes| matches!(completes, Completes::LoadedService | Completes::AvailableService))
}

/// Gives a name for functions of a shell.
fn function(program: &Program) -> String {
    program.name.replace('-', "_")
}

/// Puts a text into single quotes as shells read them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Gives the explanation of an option or a command in one line.
fn explanation(help: &str) -> String {
    let help = help.replace('\n', " ");
    help.strip_suffix('.').unwrap_or(&help).to_owned()
}
