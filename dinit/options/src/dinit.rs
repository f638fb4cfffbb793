//! `dinit`, the daemon.

use alloc::vec::Vec;

use crate::{Completes, Opt, Program, rows};

/// What an option of `dinit` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Shows the help.
    Help,
    /// Shows the version.
    Version,
    /// Names the environment file.
    EnvironmentFile,
    /// Adds a service directory.
    ServiceDirectory,
    /// Runs as the system instance.
    System,
    /// Runs as a user instance.
    User,
    /// Manages the system.
    SystemManager,
    /// Does not manage the system.
    Container,
    /// Starts `recovery` without asking.
    AutoRecovery,
    /// Names the control socket.
    SocketPath,
    /// Names the descriptor for readiness.
    ReadyDescriptor,
    /// Names the main log file.
    LogFile,
    /// Keeps the console quiet.
    Quiet,
    /// Sets the level of the console.
    ConsoleLevel,
    /// Sets the level of the main log.
    LogLevel,
    /// Names the base of control groups.
    CgroupPath,
    /// Names a service to start.
    Service,
}

/// The levels of messages, from the fewest messages to the most.
pub const LEVELS: &[&str] = &["none", "error", "warn", "info", "debug"];

/// Every option, in the order in which help shows them.
pub static OPTIONS: &[(Flag, Opt)] = &[
    (Flag::Help, Opt::new(&["--help"], "display help")),
    (Flag::Version, Opt::new(&["--version"], "display version")),
    (
        Flag::EnvironmentFile,
        Opt::new(&["--env-file", "-e"], "environment variable initialisation file")
            .takes("<file>", Completes::File, "'--env-file' (-e) requires an argument")
            .more("The default of a system manager is `/etc/dinit/environment`; others have none."),
    ),
    (
        Flag::ServiceDirectory,
        Opt::new(&["--services-dir", "-d"], "set base directory for service description files")
            .takes("<dir>", Completes::Directory, "'--services-dir' (-d) requires an argument")
            .more("Can be given several times; the directories are searched in that order, instead of the default ones."),
    ),
    (
        Flag::System,
        Opt::new(&["--system", "-s"], "run as the system instance").more("This is the default for root."),
    ),
    (
        Flag::User,
        Opt::new(&["--user", "-u"], "run as a user instance").more("This is the default for everyone but root."),
    ),
    (
        Flag::SystemManager,
        Opt::new(&["--system-mgr", "-m"], "run as the system manager (perform system initialisation)")
            .more("This is the default for process 1. At the end dinit executes `shutdown`(8)."),
    ),
    (
        Flag::Container,
        Opt::new(&["--container", "-o"], "run in container mode (do not manage the system)"),
    ),
    (
        Flag::AutoRecovery,
        Opt::new(&["--auto-recovery", "-r"], "start `recovery` by itself when the boot has failed")
            .more("Otherwise a system manager asks on the console what to do."),
    ),
    (
        Flag::SocketPath,
        Opt::new(&["--socket-path", "-p"], "path of the control socket").takes(
            "<path>",
            Completes::File,
            "'--socket-path' (-p) requires an argument",
        ),
    ),
    (
        Flag::ReadyDescriptor,
        Opt::new(&["--ready-fd", "-F"], "descriptor to which the socket path is written once ready").takes(
            "<fd>",
            Completes::Anything,
            "'--ready-fd' (-F) requires an argument",
        ),
    ),
    (
        Flag::LogFile,
        Opt::new(&["--log-file", "-l"], "write the main log to a file instead of to syslog").takes(
            "<file>",
            Completes::File,
            "'--log-file' (-l) requires an argument",
        ),
    ),
    (
        Flag::Quiet,
        Opt::new(&["--quiet", "-q"], "show no service status on the console")
            .more("Also sets the console level to `none`; a later `--console-level` sets it again."),
    ),
    (
        Flag::ConsoleLevel,
        Opt::new(&["--console-level"], "least level of messages on the console")
            .takes("<level>", Completes::Words(LEVELS), "'--console-level' requires an argument")
            .more("`none`, `error`, `warn` (the default), `info` or `debug`."),
    ),
    (
        Flag::LogLevel,
        Opt::new(&["--log-level"], "least level of messages in the main log")
            .takes("<level>", Completes::Words(LEVELS), "'--log-level' requires an argument")
            .more("`none`, `error`, `warn`, `info` (the default) or `debug`."),
    ),
    (
        Flag::CgroupPath,
        Opt::new(&["--cgroup-path", "-b"], "base for relative control group paths").takes(
            "<path>",
            Completes::Anything,
            "'--cgroup-path' (-b) requires an argument",
        ),
    ),
    (
        Flag::Service,
        Opt::new(&["--service", "-t"], "start a service (never ignored)")
            .takes("<name>", Completes::AvailableService, "'--service' (-t) requires an argument")
            .more("Process 1 of a system ignores plain names but `single`, since the kernel passes on its own words."),
    ),
];

/// Gives the program as manual and completions have it.
#[must_use]
pub fn program() -> Program {
    Program {
        name: "dinit",
        aliases: &[],
        summary: "init and service manager daemon",
        usages: &["[<option>...] [<service-name>...]"],
        options: rows(OPTIONS),
        commands: Vec::new(),
        operands: Completes::AvailableService,
    }
}
