//! For fish.

use std::fmt::Write;

use dinit_options::{Completes, Opt, Program};

use super::{PASSED_ON, explanation, function, heading, knows_services, with_argument};

/// Writes the script for a program.
#[must_use]
pub fn write(program: &Program) -> String {
    let name = function(program);
    let mut script = heading(program.name, program.name);
    script += &where_in_line(program, &name);
    if knows_services(program) {
        script += &services(&name);
    }
    script += &format!("\ncomplete -c {} -f\n", program.name);
    for option in &program.options {
        script += &option_line(program, option, &name);
    }
    if let Some(offer) = offer(program.operands, &name).filter(|_| program.commands.is_empty()) {
        let _ = writeln!(script, "complete -c {} {offer}", program.name);
    }
    for command in &program.commands {
        let help = quoted(&explanation(command.help));
        let _ = writeln!(
            script,
            "complete -c {} -n '__{name}_at \"\" 0' -a {} -d {help}",
            program.name, command.word
        );
    }
    for command in &program.commands {
        for (position, completes) in command.operands.iter().enumerate() {
            let Some(offer) = offer(*completes, &name) else { continue };
            let repeats = command.repeats && position + 1 == command.operands.len();
            let place = if repeats { "any".to_owned() } else { position.to_string() };
            let _ = writeln!(
                script,
                "complete -c {} -n '__{name}_at {} {place}' {offer}",
                program.name, command.word
            );
        }
    }
    script
}

/// Gives the function that says whether a command, or the given argument of one, is due.
fn where_in_line(program: &Program, name: &str) -> String {
    if program.commands.is_empty() {
        return String::new();
    }
    let with_argument = with_argument(program);
    let pending = match with_argument.is_empty() {
        true => String::new(),
        false => format!("            case {}\n                set pending yes\n", with_argument.join(" ")),
    };
    format!(
        "\n# Says whether the word being written is this argument of this command; without a command, the command.\n\
         function __{name}_at --argument-names command position\n\
         \x20   set -l pending\n\
         \x20   set -l words\n\
         \x20   for word in (commandline -opc)[2..-1]\n\
         \x20       if test -n \"$pending\"\n\
         \x20           set pending\n\
         \x20           continue\n\
         \x20       end\n\
         \x20       switch $word\n\
         {pending}\
         \x20           case '-*'\n\
         \x20           case '*'\n\
         \x20               set -a words $word\n\
         \x20       end\n\
         \x20   end\n\
         \x20   if test -z \"$command\"\n\
         \x20       test (count $words) -eq 0\n\
         \x20       return\n\
         \x20   end\n\
         \x20   test (count $words) -gt 0; and test $words[1] = $command\n\
         \x20   and begin\n\
         \x20       test $position = any; or test (count $words) -eq (math $position + 1)\n\
         \x20   end\n\
         end\n"
    )
}

fn services(name: &str) -> String {
    let [plain, valued] = PASSED_ON;
    format!(
        "\n# Lists services: those that are loaded, or those that have a description.\n\
         function __{name}_services --argument-names which\n\
         \x20   set -l chosen\n\
         \x20   set -l pending\n\
         \x20   for word in (commandline -opc)[2..-1]\n\
         \x20       if test -n \"$pending\"\n\
         \x20           set -a chosen $pending $word\n\
         \x20           set pending\n\
         \x20           continue\n\
         \x20       end\n\
         \x20       switch $word\n\
         \x20           case {}\n\
         \x20               set -a chosen $word\n\
         \x20           case {}\n\
         \x20               set pending $word\n\
         \x20       end\n\
         \x20   end\n\
         \x20   if test $which = available\n\
         \x20       dinitctl $chosen --offline list --available 2>/dev/null\n\
         \x20   else\n\
         \x20       dinitctl $chosen list 2>/dev/null | string sub --start 12 | string replace --regex ' \\(.*' ''\n\
         \x20   end\n\
         end\n",
        plain.join(" "),
        valued.join(" ")
    )
}

fn option_line(program: &Program, option: &Opt, name: &str) -> String {
    let mut line = format!("complete -c {}", program.name);
    if !option.after.is_empty() {
        let after: Vec<String> =
            option.after.iter().map(|command| format!("__{name}_at {command} any")).collect();
        line += &format!(" -n '{}'", after.join("; or "));
    }
    for spelling in option.spellings {
        let _ = match spelling.strip_prefix("--") {
            Some(long) => write!(line, " -l {long}"),
            None => write!(line, " -s {}", spelling.trim_start_matches('-')),
        };
    }
    let _ = write!(line, " -d {}", quoted(&explanation(option.help)));
    if let Some(argument) = option.argument {
        let _ = match offer(argument.completes, name) {
            Some(offer) => write!(line, " -r {offer}"),
            None => write!(line, " -x"),
        };
    }
    line + "\n"
}

/// Gives the options of `complete` that offer what a word may be.
fn offer(completes: Completes, name: &str) -> Option<String> {
    Some(match completes {
        Completes::Anything => return None,
        Completes::File => "-F".to_owned(),
        Completes::Directory => "-f -a '(__fish_complete_directories)'".to_owned(),
        Completes::Program => "-f -a '(__fish_complete_command)'".to_owned(),
        Completes::LoadedService => format!("-f -a '(__{name}_services loaded)'"),
        Completes::AvailableService => format!("-f -a '(__{name}_services available)'"),
        Completes::Words(words) => format!("-f -a '{}'", words.join(" ")),
    })
}

/// Puts a text into single quotes as fish reads them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
