//! `dinitctl`.

use crate::{Command, Completes, Opt, Program, rows};

/// What an option of `dinitctl` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Shows the help.
    Help,
    /// Shows the version.
    Version,
    /// Means the daemon of the system.
    System,
    /// Means the daemon of the user.
    User,
    /// Prints no status messages.
    Quiet,
    /// Names the socket.
    SocketPath,
    /// Talks over a descriptor that was passed.
    UsePassedDescriptor,
    /// Does without a daemon.
    Offline,
    /// Adds a service directory.
    ServiceDirectory,
    /// Prints JSON.
    Json,
    /// Does not wait.
    NoWait,
    /// Pins the service.
    Pin,
    /// Takes it well that a service is not started.
    IgnoreUnstarted,
    /// Stops dependents too.
    Force,
    /// Names the dependent.
    From,
    /// Clears the buffer.
    Clear,
    /// Lists signals.
    List,
    /// Lists what has failed.
    Failed,
    /// Lists what is enabled.
    Enabled,
    /// Lists what has a description.
    Available,
    /// Prints the graph for graphviz.
    Dot,
}

/// The ways to change whether a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Activates it.
    Start,
    /// Stops it.
    Stop,
    /// Stops and starts it.
    Restart,
    /// Starts it for those that need it.
    Wake,
    /// Takes its activation back.
    Release,
}

/// What a command of `dinitctl` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Changes whether a service runs.
    Change(Change),
    /// Removes pins.
    Unpin,
    /// Unloads.
    Unload,
    /// Reads a description again.
    Reload,
    /// Lists services.
    List,
    /// Tells about a service.
    Status,
    /// Answers whether a service is started.
    IsStarted,
    /// Answers whether a service failed to start.
    IsFailed,
    /// Shows what depends on what.
    Graph,
    /// Shuts down.
    Shutdown,
    /// Adds a dependency.
    AddDependency,
    /// Removes a dependency.
    RemoveDependency,
    /// Makes a dependency that lasts.
    Enable,
    /// Removes one.
    Disable,
    /// Sets a trigger.
    Trigger,
    /// Clears a trigger.
    Untrigger,
    /// Sets variables.
    SetEnvironment,
    /// Removes variables.
    UnsetEnvironment,
    /// Prints the buffered output.
    ShowLog,
    /// Sends a signal.
    Signal,
}

/// The words for the kinds of dependency in `add-dep` and `rm-dep`.
pub const DEPENDENCY_WORDS: &[&str] = &["need", "regular", "milestone", "waits-for"];

/// The names of signals, with [`SIGNAL_NUMBERS`] in the same order.
pub const SIGNAL_NAMES: &[&str] = &["HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP"];

/// The numbers of the signals on Linux.
pub const SIGNAL_NUMBERS: &[i32] = &[1, 2, 3, 9, 10, 12, 15, 18, 19];

/// The names of signals with their numbers.
pub fn signals() -> impl Iterator<Item = (&'static str, i32)> {
    SIGNAL_NAMES.iter().copied().zip(SIGNAL_NUMBERS.iter().copied())
}

const SOCKET_PATH_MISSING: &str = "--socket-path/-p should be followed by socket path";
const DIRECTORY_MISSING: &str = "'--services-dir' (-d) requires an argument";
const FROM_MISSING: &str = "--from should be followed by a service name";

/// How many of [`OPTIONS`], from the first, are not about particular commands.
pub const GENERAL: usize = 10;

/// Every option, in the order in which help shows them; general ones come first.
pub static OPTIONS: &[(Flag, Opt)] = &[
    (Flag::Help, Opt::new(&["--help"], "show this help")),
    (Flag::Version, Opt::new(&["--version"], "show the version")),
    (Flag::System, Opt::new(&["--system", "-s"], "control system daemon (default if run as root)")),
    (
        Flag::User,
        Opt::new(&["--user", "-u"], "control user daemon").more("This is the default for everyone but root."),
    ),
    (
        Flag::Quiet,
        Opt::new(&["--quiet"], "suppress output (except errors)")
            .more("What `list`, `status`, `graph`, `catlog` and `signal --list` print is not suppressed."),
    ),
    (
        Flag::SocketPath,
        Opt::new(&["--socket-path", "-p"], "specify socket for communication with daemon").takes(
            "<path>",
            Completes::File,
            SOCKET_PATH_MISSING,
        ),
    ),
    (
        Flag::UsePassedDescriptor,
        Opt::new(
            &["--use-passed-cfd"],
            "use the socket file descriptor identified by the DINIT_CS_FD\n\
             environment variable to communicate with the dinit daemon",
        ),
    ),
    (
        Flag::Offline,
        Opt::new(&["--offline", "-o"], "do not contact running dinit daemon")
            .more("For `enable`, `disable`, `graph`, and for `list` with `--enabled` or `--available`."),
    ),
    (
        Flag::ServiceDirectory,
        Opt::new(&["--services-dir", "-d"], "specify directory for service definitions (offline mode)")
            .takes("<dir>", Completes::Directory, DIRECTORY_MISSING)
            .more("Can be given several times; the directories are searched in that order, instead of the default ones."),
    ),
    (
        Flag::Json,
        Opt::new(&["--json"], "print one JSON document instead of text").more("See JSON OUTPUT below."),
    ),
    (Flag::NoWait, Opt::new(&["--no-wait"], "don't wait for service startup/shutdown to complete")),
    (
        Flag::Pin,
        Opt::new(&["--pin"], "pin the service in the requested state")
            .more("For `start`, `stop`, `wake` and `release`. A pinned service does not leave its state until `unpin`."),
    ),
    (
        Flag::IgnoreUnstarted,
        Opt::new(
            &["--ignore-unstarted"],
            "(stop, restart, release) succeed if the service is not started",
        ),
    ),
    (
        Flag::Force,
        Opt::new(&["--force", "-f"], "force stop even if dependents will be affected").after(&["stop", "restart"]),
    ),
    (
        Flag::From,
        Opt::new(&["--from"], "(enable, disable) the service that is to depend on it")
            .takes("<from-service>", Completes::AvailableService, FROM_MISSING)
            .after(&["enable", "disable"])
            .more("The default is what the description names with `@meta enable-via`, otherwise `boot`."),
    ),
    (Flag::Clear, Opt::new(&["--clear"], "(catlog) clear the buffer afterwards").after(&["catlog"])),
    (Flag::List, Opt::new(&["--list", "-l"], "(signal) list supported signals").after(&["signal"])),
    (
        Flag::Failed,
        Opt::new(&["--failed"], "(list) only services that have failed")
            .after(&["list"])
            .more("These are the ones drawn with an `X`: stopped for any reason but having been asked to or having ended well."),
    ),
    (
        Flag::Enabled,
        Opt::new(&["--enabled"], "(list) only services that are enabled")
            .after(&["list"])
            .more("These are the ones named by an entry in the `waits-for.d` directory of some available service, loaded or not."),
    ),
    (
        Flag::Available,
        Opt::new(&["--available"], "(list) services with a description, loaded or not")
            .after(&["list"])
            .more("These are the names of the regular files in the service directories."),
    ),
    (
        Flag::Dot,
        Opt::new(&["--dot"], "(graph) print in the language of graphviz").after(&["graph"]).more("See `dot`(1)."),
    ),
];

const ONE: &[Completes] = &[Completes::LoadedService];
const ANY: &[Completes] = &[Completes::AvailableService];
const NONE: &[Completes] = &[];
const SERVICE: &str = "<service-name>";
const OPTIONS_AND_SERVICE: &str = "[options] <service-name>";
const DEPENDENCY: &str = "<type> <from-service> <to-service>";
const FROM_AND_TO: &str = "[--from <from-service>] <to-service>";
const LINK: &[Completes] =
    &[Completes::Words(DEPENDENCY_WORDS), Completes::AvailableService, Completes::AvailableService];

/// Every command, in the order in which help shows them.
pub static COMMANDS: &[(Verb, Command)] = &[
    (
        Verb::Status,
        Command::new("status", SERVICE, ONE, "tell all that is known of a service")
            .more("A service that is not loaded is not loaded for this, and the exit status is 1."),
    ),
    (
        Verb::IsStarted,
        Command::new("is-started", SERVICE, ONE, "tell whether a service is started")
            .more("Prints the state; the exit status is 0 if the service is started."),
    ),
    (
        Verb::IsFailed,
        Command::new("is-failed", SERVICE, ONE, "tell whether a service failed to start")
            .more("Prints the state; the exit status is 0 if the service is stopped because it, or a dependency, failed to start. A service that ended after it had started is not meant."),
    ),
    (
        Verb::Change(Change::Start),
        Command::new("start", OPTIONS_AND_SERVICE, ANY, "start a service and what it depends on")
            .more("The service is marked as explicitly activated."),
    ),
    (
        Verb::Change(Change::Stop),
        Command::new("stop", OPTIONS_AND_SERVICE, ONE, "stop a service")
            .more("Refused if other services that run depend on it, unless `--force` is given. Dependencies that nothing else needs stop too."),
    ),
    (
        Verb::Change(Change::Restart),
        Command::new("restart", OPTIONS_AND_SERVICE, ONE, "stop a service and start it again"),
    ),
    (
        Verb::Change(Change::Wake),
        Command::new("wake", OPTIONS_AND_SERVICE, ONE, "start a stopped service for the services that depend on it")
            .more("The service is not marked as activated: it stops with its dependents."),
    ),
    (
        Verb::Change(Change::Release),
        Command::new("release", OPTIONS_AND_SERVICE, ONE, "take back the activation of a service")
            .more("It stops unless other services depend on it."),
    ),
    (Verb::Unpin, Command::new("unpin", SERVICE, ONE, "remove the pins of a service")),
    (
        Verb::Unload,
        Command::new("unload", SERVICE, ONE, "forget a stopped service")
            .more("Refused if the service is not stopped or others depend on it. Its description is read again when it is next needed."),
    ),
    (
        Verb::Reload,
        Command::new("reload", SERVICE, ONE, "read a service description again")
            .more("A service that is not loaded is loaded. Not everything can change while a service runs; its type, for one, cannot."),
    ),
    (
        Verb::List,
        Command::new("list", "[--failed] [--enabled] [--available]", NONE, "list services")
            .more("Without options: all that are loaded. With several options only what meets all of them. See LIST below."),
    ),
    (
        Verb::Graph,
        Command::new("graph", "[--dot] [<service-name>...]", ANY, "show what depends on what")
            .repeats()
            .more("Shows the services named and everything that they refer to; without names, all loaded services, or with `--offline` the service `boot`. See GRAPH below."),
    ),
    (
        Verb::Shutdown,
        Command::new("shutdown", "", NONE, "stop all services and end the daemon")
            .more("This halts a system. Use `shutdown`(8) to turn it off or reboot."),
    ),
    (
        Verb::AddDependency,
        Command::new("add-dep", DEPENDENCY, LINK, "add a dependency until the daemon ends")
            .more("The type is `need` (or `regular`), `milestone` or `waits-for`. Nothing is started by this."),
    ),
    (Verb::RemoveDependency, Command::new("rm-dep", DEPENDENCY, LINK, "remove a dependency until the daemon ends")),
    (
        Verb::Enable,
        Command::new("enable", FROM_AND_TO, ANY, "have a service started with another, for good")
            .more("Adds a `waits-for` dependency and makes a link in the `waits-for.d` directory of the dependent, so that it lasts. The service starts if the dependent is started."),
    ),
    (
        Verb::Disable,
        Command::new("disable", FROM_AND_TO, ANY, "undo what enable did")
            .more("The service stops unless something else needs it."),
    ),
    (
        Verb::Trigger,
        Command::new("trigger", SERVICE, ONE, "let a triggered service start").more("Takes effect when it is next started if it is not starting."),
    ),
    (Verb::Untrigger, Command::new("untrigger", SERVICE, ONE, "take the trigger of a triggered service back")),
    (
        Verb::SetEnvironment,
        Command::new("setenv", "[name[=value] ...]", &[Completes::Anything], "set variables in the environment of services")
            .repeats()
            .more("Without a value, that in the environment of `dinitctl` is taken. Holds for processes launched later."),
    ),
    (
        Verb::UnsetEnvironment,
        Command::new("unsetenv", "[name ...]", &[Completes::Anything], "remove variables from the environment of services")
            .repeats(),
    ),
    (
        Verb::ShowLog,
        Command::new("catlog", SERVICE, ONE, "print what a service has printed")
            .more("For services with `log-type = buffer`."),
    ),
    (
        Verb::Signal,
        Command::new(
            "signal",
            "<signal> <service-name>",
            &[Completes::Words(SIGNAL_NAMES), Completes::LoadedService],
            "send a signal to the process of a service",
        )
        .more("The signal is a name without `SIG` or a number; 0 only tests whether there is a process."),
    ),
];

/// Gives the program as manual and completions have it.
#[must_use]
pub fn program() -> Program {
    Program {
        name: "dinitctl",
        aliases: &[],
        summary: "control dinit services",
        usages: &["[<option>...] <command> [<option>...] [<argument>...]"],
        options: rows(OPTIONS),
        commands: COMMANDS.iter().map(|(_, command)| command).collect(),
        operands: Completes::Anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_signal_has_a_number() {
        assert_eq!(SIGNAL_NAMES.len(), SIGNAL_NUMBERS.len());
    }

    #[test]
    fn general_options_come_first_and_are_tied_to_no_command() {
        let (general, others) = OPTIONS.split_at(GENERAL);
        assert!(general.iter().all(|(_, option)| option.after.is_empty()));
        assert_eq!(others.first().map(|(flag, _)| *flag), Some(Flag::NoWait));
    }
}
