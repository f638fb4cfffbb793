//! `dinit-when`.

use crate::{Command, Completes, Opt, Program, rows};

/// What a command of `dinit-when` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A virtual console being shown.
    Console,
    /// A power key being pressed.
    PowerKey,
}

/// Every option.
pub static OPTIONS: &[((), Opt)] = &[((), Opt::new(&["--help"], "show this help"))];

/// Every command, in the order in which help shows them.
pub static COMMANDS: &[(Verb, Command)] = &[
    (
        Verb::Console,
        Command::new(
            "console",
            "<number> <command> [<argument>...]",
            &[Completes::Anything, Completes::Program, Completes::File],
            "becomes the command as soon as virtual console <number> is shown",
        )
        .repeats(),
    ),
    (
        Verb::PowerKey,
        Command::new(
            "power-key",
            "<folder> <command> [<argument>...]",
            &[Completes::File, Completes::Program, Completes::File],
            "runs the command whenever the power key of an input device in <folder> is pressed",
        )
        .repeats(),
    ),
];

/// Gives the program as manual and completions have it.
#[must_use]
pub fn program() -> Program {
    Program {
        name: "dinit-when",
        aliases: &[],
        summary: "run a command when somebody at the machine asks for it",
        usages: &[
            "console <number> <command> [<argument>...]",
            "power-key <folder> <command> [<argument>...]",
        ],
        options: rows(OPTIONS),
        commands: COMMANDS.iter().map(|(_, command)| command).collect(),
        operands: Completes::Anything,
    }
}
