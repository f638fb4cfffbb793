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
