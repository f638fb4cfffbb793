//! `dinit-check`.

use alloc::vec::Vec;

use crate::{Completes, Opt, Program, rows};

/// What an option of `dinit-check` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Shows the help.
    Help,
    /// Adds a service directory.
    ServiceDirectory,
    /// Asks a daemon where services are.
    Online,
    /// Names the daemon's socket.
    SocketPath,
    /// Names the environment file.
    EnvironmentFile,
    /// Takes the defaults of a system instance.
    System,
    /// Takes the defaults of a user's instance.
    User,
    /// Checks another system.
    Root,
    /// Chooses how the report looks.
    Format,
}

/// The ways in which the report can look.
pub const FORMATS: &[&str] = &["text", "json"];

/// What is said if none of them is given.
pub const FORMAT_MISSING: &str = "--format should be followed by 'text' or 'json'";

/// Every option, in the order in which help shows them.
pub static OPTIONS: &[(Flag, Opt)] = &[
    (Flag::Help, Opt::new(&["--help"], "display this help")),
    (
        Flag::ServiceDirectory,
        Opt::new(
            &["--services-dir", "-d"],
            "look for service descriptions in this directory; can be given\nseveral times",
        )
        .takes("<dir>", Completes::Directory, "'--services-dir' (-d) requires an argument")
        .more("The directories are searched in the order given, instead of the default ones. Not used with `--online`."),
    ),
    (
        Flag::Online,
        Opt::new(&["--online", "-n"], "take service directories and environment from a running\ndaemon"),
    ),
    (
        Flag::SocketPath,
        Opt::new(&["--socket-path", "-p"], "the socket of the daemon, with --online").takes(
            "<socket>",
            Completes::File,
            "--socket-path/-p should be followed by socket path",
        ),
    ),
    (
        Flag::EnvironmentFile,
        Opt::new(&["--env-file", "-e"], "read the environment from this file")
            .takes(
                "<file>",
                Completes::File,
                "--env-file/-e should be followed by environment file path",
            )
            .more("Not used with `--online`. The default is `/etc/dinit/environment` for a system instance, and none for a user's."),
    ),
    (
        Flag::System,
        Opt::new(&["--system", "-s"], "use the defaults of a system instance").more("This is the default for root."),
    ),
    (
        Flag::User,
        Opt::new(&["--user", "-u"], "use the defaults of a user's instance")
            .more("This is the default for everyone but root."),
    ),
    (
        Flag::Root,
        Opt::new(
            &["--root"],
            "check the services of the system below this directory; all\n\
             paths, the environment file and the users are those inside it",
        )
        .takes("<dir>", Completes::Directory, "--root should be followed by a directory")
        .more("Symbolic links do not lead out of it. Nothing of the running system is looked at. The defaults are those of a system instance; with `--user`, the directories that all users share are searched."),
    ),
    (
        Flag::Format,
        Opt::new(&["--format"], "print the problems with the lines they are in and help, or as\nJSON")
            .takes("<format>", Completes::Words(FORMATS), FORMAT_MISSING)
            .more("`text` or `json`; see FORMATS below."),
    ),
];

/// Gives the program as manual and completions have it.
#[must_use]
pub fn program() -> Program {
    Program {
        name: "dinit-check",
        aliases: &[],
        summary: "check dinit service descriptions",
        usages: &["[<option>...] [<service-name>...]"],
        options: rows(OPTIONS),
        commands: Vec::new(),
        operands: Completes::AvailableService,
    }
}
