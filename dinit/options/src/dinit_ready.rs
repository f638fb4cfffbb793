//! `dinit-ready`.

use crate::{Command, Completes, Opt, Program, rows};

/// What a command of `dinit-ready` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Waits for the daemon to say that it is ready.
    Notify,
    /// Waits for a socket.
    Socket,
    /// Waits for the daemon's pid file.
    PidFile,
}

/// Every option.
pub static OPTIONS: &[((), Opt)] = &[((), Opt::new(&["--help"], "show this help"))];

/// Every command, in the order in which help shows them.
pub static COMMANDS: &[(Verb, Command)] = &[
    (
        Verb::Notify,
        Command::new(
            "notify",
            "<fd> <command> [<argument>...]",
            &[Completes::Anything, Completes::Program, Completes::File],
            "ready when the daemon says READY=1 to the socket in NOTIFY_SOCKET (sd_notify(3))",
        )
        .repeats(),
    ),
    (
        Verb::Socket,
        Command::new(
            "socket",
            "<fd> <path> <command> [<argument>...]",
            &[Completes::Anything, Completes::File, Completes::Program, Completes::File],
            "ready when the Unix socket <path> accepts a connection",
        )
        .repeats(),
    ),
    (
        Verb::PidFile,
        Command::new(
            "pidfile",
            "<fd> <path> <command> [<argument>...]",
            &[Completes::Anything, Completes::File, Completes::Program, Completes::File],
            "ready when the file <path> names the daemon's own process",
        )
        .repeats(),
    ),
];

/// Gives the program as manual and completions have it.
#[must_use]
pub fn program() -> Program {
    Program {
        name: "dinit-ready",
        aliases: &[],
        summary: "start a daemon and tell dinit when it is ready",
        usages: &[
            "notify <fd> <command> [<argument>...]",
            "socket <fd> <path> <command> [<argument>...]",
            "pidfile <fd> <path> <command> [<argument>...]",
        ],
        options: rows(OPTIONS),
        commands: COMMANDS.iter().map(|(_, command)| command).collect(),
        operands: Completes::Anything,
    }
}
