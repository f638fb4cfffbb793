//! `dinit-monitor`.

use alloc::vec::Vec;

use crate::{Completes, Opt, Program, rows};

/// What an option of `dinit-monitor` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Shows the help.
    Help,
    /// Shows the version.
    Version,
    /// Ends after the first command.
    Once,
    /// Watches variables.
    Environment,
    /// Means the daemon of the system.
    System,
    /// Means the daemon of the user.
    User,
    /// Tells what is so already.
    Initial,
    /// Names what has started.
    TextStarted,
    /// Names what has stopped.
    TextStopped,
    /// Names what failed to start.
    TextFailed,
    /// Names what was set.
    TextSet,
    /// Names what was unset.
    TextUnset,
    /// Names the socket.
    SocketPath,
    /// Names the command.
    Command,
}

const TEXT: &str = "<text>";

/// Every option, in the order in which help shows them.
pub static OPTIONS: &[(Flag, Opt)] = &[
    (Flag::Help, Opt::new(&["--help"], "show this help").more("The exit status is then 1.")),
    (Flag::Version, Opt::new(&["--version"], "show the version")),
    (Flag::Once, Opt::new(&["--exit", "-e"], "exit after the first command has been run")),
    (
        Flag::Environment,
        Opt::new(&["--env", "-E"], "watch the environment of services instead of services")
            .more("The names are those of variables then; without any, all variables are watched."),
    ),
    (
        Flag::System,
        Opt::new(&["--system", "-s"], "watch the system daemon (default if run as root)"),
    ),
    (Flag::User, Opt::new(&["--user", "-u"], "watch the user daemon")),
    (
        Flag::Initial,
        Opt::new(&["--initial", "-i"], "also run the command for what is so at the beginning")
            .more("That is once for every service that is started or stopped, or for every variable that is set."),
    ),
    (
        Flag::TextStarted,
        Opt::new(&["--str-started"], "what %s stands for when a service has started").takes(
            TEXT,
            Completes::Anything,
            "--str-started should be followed by an argument",
        ),
    ),
    (
        Flag::TextStopped,
        Opt::new(&["--str-stopped"], "what %s stands for when a service has stopped").takes(
            TEXT,
            Completes::Anything,
            "--str-stopped should be followed by an argument",
        ),
    ),
    (
        Flag::TextFailed,
        Opt::new(&["--str-failed"], "what %s stands for when a service failed to start")
            .takes(TEXT, Completes::Anything, "--str-failed should be followed by an argument")
            .more("It is told as stopped after that."),
    ),
    (
        Flag::TextSet,
        Opt::new(&["--str-set"], "what %s stands for when a variable was set").takes(
            TEXT,
            Completes::Anything,
            "--str-set should be followed by an argument",
        ),
    ),
    (
        Flag::TextUnset,
        Opt::new(&["--str-unset"], "what %s stands for when a variable was unset").takes(
            TEXT,
            Completes::Anything,
            "--str-unset should be followed by an argument",
        ),
    ),
    (
        Flag::SocketPath,
        Opt::new(&["--socket-path", "-p"], "specify socket for communication with daemon").takes(
            "<path>",
            Completes::File,
            "--socket-path/-p should be followed by socket path",
        ),
    ),
    (
        Flag::Command,
        Opt::new(
            &["--command", "-c"],
            "the command to run: %n stands for the name, %s for what happened,\n\
             %v for the value of the variable, %% for %",
        )
        .takes("<command>", Completes::Program, "--command/-c should be followed by command")
        .more("It is split into words at white space outside double quotes, and run without a shell; what is put in is not split again. One command runs at a time."),
    ),
];

/// Gives the program as manual and completions have it.
#[must_use]
pub fn program() -> Program {
    Program {
        name: "dinit-monitor",
        aliases: &[],
        summary: "run a command on every change of a service or variable",
        usages: &[
            "[<option>...] -c <command> <service-name>...",
            "[<option>...] -E -c <command> [<variable-name>...]",
        ],
        options: rows(OPTIONS),
        commands: Vec::new(),
        operands: Completes::AvailableService,
    }
}
