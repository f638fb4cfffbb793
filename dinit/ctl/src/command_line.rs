//! The command line: tables of options and commands, and what the arguments mean by them.
//!
//! The scan goes from left to right and stops at the first thing that is wrong, so `--bogus --help` is an error
//! and `--help --bogus` is help.

mod help;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use dinit_client::address::Instance;
use dinit_protocol::DependencyKind;

use crate::output::{Failure, Outcome, text};

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Print this.
    Text(Vec<u8>),
    /// Do this.
    Run(Invocation),
}

/// A command and how it is to be carried out.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) general: General,
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Default)]
pub(crate) struct General {
    pub(crate) instance: Option<Instance>,
    pub(crate) socket_path: Option<Vec<u8>>,
    pub(crate) use_passed_descriptor: bool,
    pub(crate) quiet: bool,
    pub(crate) offline: bool,
    pub(crate) service_directories: Vec<Vec<u8>>,
    pub(crate) no_wait: bool,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Change whether a service runs.
    Change {
        verb: Change,
        service: Vec<u8>,
        pin: bool,
        force: bool,
        ignore_unstarted: bool,
    },
    Unpin {
        service: Vec<u8>,
    },
    Unload {
        service: Vec<u8>,
    },
    Reload {
        service: Vec<u8>,
    },
    List,
    Status {
        service: Vec<u8>,
    },
    IsStarted {
        service: Vec<u8>,
    },
    IsFailed {
        service: Vec<u8>,
    },
    Shutdown,
    AddDependency {
        kind: DependencyKind,
        from: Vec<u8>,
        to: Vec<u8>,
    },
    RemoveDependency {
        kind: DependencyKind,
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Enable {
        from: Option<Vec<u8>>,
        to: Vec<u8>,
    },
    Disable {
        from: Option<Vec<u8>>,
        to: Vec<u8>,
    },
    SetTrigger {
        service: Vec<u8>,
        set: bool,
    },
    SetEnvironment {
        variables: Vec<Vec<u8>>,
    },
    UnsetEnvironment {
        variables: Vec<Vec<u8>>,
    },
    ShowLog {
        service: Vec<u8>,
        clear: bool,
    },
    Signal {
        signal: i32,
        service: Vec<u8>,
    },
    ListSignals,
}

/// The ways to change whether a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Start,
    Stop,
    Restart,
    Wake,
    Release,
}

/// The first words of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Change(Change),
    Unpin,
    Unload,
    Reload,
    List,
    Status,
    IsStarted,
    IsFailed,
    Shutdown,
    AddDependency,
    RemoveDependency,
    Enable,
    Disable,
    Trigger,
    Untrigger,
    SetEnvironment,
    UnsetEnvironment,
    ShowLog,
    Signal,
}

/// One command: its word, the arguments as help shows them, and the most it takes.
struct VerbRow {
    word: &'static str,
    verb: Verb,
    usage: &'static str,
    most: usize,
}

const fn verb(word: &'static str, verb: Verb, usage: &'static str, most: usize) -> VerbRow {
    VerbRow { word, verb, usage, most }
}

const SERVICE: &str = "<service-name>";
const OPTIONS_AND_SERVICE: &str = "[options] <service-name>";
const DEPENDENCY: &str = "<type> <from-service> <to-service>";
const FROM_AND_TO: &str = "[--from <from-service>] <to-service>";

/// Every command, in the order in which help shows them.
const VERBS: &[VerbRow] = &[
    verb("status", Verb::Status, SERVICE, 1),
    verb("is-started", Verb::IsStarted, SERVICE, 1),
    verb("is-failed", Verb::IsFailed, SERVICE, 1),
    verb("start", Verb::Change(Change::Start), OPTIONS_AND_SERVICE, 1),
    verb("stop", Verb::Change(Change::Stop), OPTIONS_AND_SERVICE, 1),
    verb("restart", Verb::Change(Change::Restart), OPTIONS_AND_SERVICE, 1),
    verb("wake", Verb::Change(Change::Wake), OPTIONS_AND_SERVICE, 1),
    verb("release", Verb::Change(Change::Release), OPTIONS_AND_SERVICE, 1),
    verb("unpin", Verb::Unpin, SERVICE, 1),
    verb("unload", Verb::Unload, SERVICE, 1),
    verb("reload", Verb::Reload, SERVICE, 1),
    verb("list", Verb::List, "", 0),
    verb("shutdown", Verb::Shutdown, "", 0),
    verb("add-dep", Verb::AddDependency, DEPENDENCY, 3),
    verb("rm-dep", Verb::RemoveDependency, DEPENDENCY, 3),
    verb("enable", Verb::Enable, FROM_AND_TO, 1),
    verb("disable", Verb::Disable, FROM_AND_TO, 1),
    verb("trigger", Verb::Trigger, SERVICE, 1),
    verb("untrigger", Verb::Untrigger, SERVICE, 1),
    verb("setenv", Verb::SetEnvironment, "[name[=value] ...]", usize::MAX),
    verb("unsetenv", Verb::UnsetEnvironment, "[name ...]", usize::MAX),
    verb("catlog", Verb::ShowLog, SERVICE, 1),
    verb("signal", Verb::Signal, "<signal> <service-name>", 2),
];

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Help,
    Version,
    System,
    User,
    Quiet,
    SocketPath,
    UsePassedDescriptor,
    Offline,
    ServiceDirectory,
    NoWait,
    Pin,
    IgnoreUnstarted,
    Force,
    From,
    Clear,
    List,
}

/// One option: its spellings, what follows it, the commands it must come after, and what help says of it.
struct FlagRow {
    flag: Flag,
    long: &'static str,
    short: Option<&'static str>,
    /// What help calls the argument, and the error if there is none.
    argument: Option<(&'static str, &'static str)>,
    /// The commands after which it may come; anywhere, if there are none.
    after: &'static [Verb],
    help: &'static str,
}

const fn flag(flag: Flag, long: &'static str, short: Option<&'static str>, help: &'static str) -> FlagRow {
    FlagRow { flag, long, short, argument: None, after: &[], help }
}

impl FlagRow {
    const fn takes(mut self, argument: &'static str, missing: &'static str) -> Self {
        self.argument = Some((argument, missing));
        self
    }

    const fn after(mut self, verbs: &'static [Verb]) -> Self {
        self.after = verbs;
        self
    }
}

const STOPPING: &[Verb] = &[Verb::Change(Change::Stop), Verb::Change(Change::Restart)];
const ENABLING: &[Verb] = &[Verb::Enable, Verb::Disable];
const SOCKET_PATH_MISSING: &str = "--socket-path/-p should be followed by socket path";
const DIRECTORY_MISSING: &str = "'--services-dir' (-d) requires an argument";
const FROM_MISSING: &str = "--from should be followed by a service name";

/// Every option, in the order in which help shows them.
const FLAGS: &[FlagRow] = &[
    flag(Flag::Help, "--help", None, "show this help"),
    flag(Flag::Version, "--version", None, "show the version"),
    flag(Flag::System, "--system", Some("-s"), "control system daemon (default if run as root)"),
    flag(Flag::User, "--user", Some("-u"), "control user daemon"),
    flag(Flag::Quiet, "--quiet", None, "suppress output (except errors)"),
    flag(Flag::SocketPath, "--socket-path", Some("-p"), "specify socket for communication with daemon")
        .takes("<path>", SOCKET_PATH_MISSING),
    flag(
        Flag::UsePassedDescriptor,
        "--use-passed-cfd",
        None,
        "use the socket file descriptor identified by the DINIT_CS_FD\n\
         environment variable to communicate with the dinit daemon",
    ),
    flag(Flag::Offline, "--offline", Some("-o"), "do not contact running dinit daemon"),
    flag(
        Flag::ServiceDirectory,
        "--services-dir",
        Some("-d"),
        "specify directory for service definitions (offline mode)",
    )
    .takes("<dir>", DIRECTORY_MISSING),
    flag(Flag::NoWait, "--no-wait", None, "don't wait for service startup/shutdown to complete"),
    flag(Flag::Pin, "--pin", None, "pin the service in the requested state"),
    flag(
        Flag::IgnoreUnstarted,
        "--ignore-unstarted",
        None,
        "(stop, restart, release) succeed if the service is not started",
    ),
    flag(Flag::Force, "--force", Some("-f"), "force stop even if dependents will be affected")
        .after(STOPPING),
    flag(Flag::From, "--from", None, "(enable, disable) the service that is to depend on it")
        .takes("<from-service>", FROM_MISSING)
        .after(ENABLING),
    flag(Flag::Clear, "--clear", None, "(catlog) clear the buffer afterwards").after(&[Verb::ShowLog]),
    flag(Flag::List, "--list", Some("-l"), "(signal) list supported signals").after(&[Verb::Signal]),
];

/// The words for the kinds of dependency.
const DEPENDENCY_KINDS: &[(&str, DependencyKind)] = &[
    ("need", DependencyKind::Regular),
    ("regular", DependencyKind::Regular),
    ("milestone", DependencyKind::Milestone),
    ("waits-for", DependencyKind::WaitsFor),
];

/// The signals that have a name, with their numbers on Linux.
pub(crate) const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
];

/// Finds out what the arguments mean.
pub(crate) fn parse(arguments: &[OsString]) -> Outcome<Parsed> {
    if arguments.is_empty() {
        return Ok(Parsed::Text(help::text()));
    }
    let mut scan = Scan::default();
    let mut arguments = arguments.iter().map(|argument| argument.clone().into_vec());
    while let Some(argument) = arguments.next() {
        let step = if argument.starts_with(b"-") {
            scan.option(&argument, &mut arguments)?
        } else {
            scan.word(argument)?;
            None
        };
        if let Some(text) = step {
            return Ok(Parsed::Text(text));
        }
    }
    scan.finish().map(Parsed::Run)
}

fn invalid() -> Failure {
    Failure::new("Invalid command line.").and_plain("Try 'dinitctl --help' for more information.")
}

/// What has been seen so far.
#[derive(Default)]
struct Scan {
    general: General,
    verb: Option<Verb>,
    most: usize,
    words: Vec<Vec<u8>>,
    pin: bool,
    ignore_unstarted: bool,
    force: bool,
    from: Option<Vec<u8>>,
    clear: bool,
    list: bool,
}

impl Scan {
    /// Takes an option; gives text if that is to be printed and nothing else done.
    fn option(
        &mut self,
        argument: &[u8],
        rest: &mut impl Iterator<Item = Vec<u8>>,
    ) -> Outcome<Option<Vec<u8>>> {
        let spelled = |row: &&FlagRow| {
            row.long.as_bytes() == argument || row.short.is_some_and(|short| short.as_bytes() == argument)
        };
        let Some(row) = FLAGS.iter().find(spelled) else {
            return Err(Failure::new(text![
                "unrecognized/invalid option: ",
                argument,
                " (use --help for help)"
            ]));
        };
        if !row.after.is_empty() && self.verb.is_none_or(|verb| !row.after.contains(&verb)) {
            return Err(invalid());
        }
        let value = match row.argument {
            None => Vec::new(),
            Some((_, missing)) => {
                rest.next().filter(|value| !value.is_empty()).ok_or_else(|| Failure::new(missing))?
            }
        };
        match row.flag {
            Flag::Help => return Ok(Some(help::text())),
            Flag::Version => return Ok(Some(text!["Dinit version ", env!("CARGO_PKG_VERSION"), ".\n"])),
            Flag::System => self.general.instance = Some(Instance::System),
            Flag::User => self.general.instance = Some(Instance::User),
            Flag::Quiet => self.general.quiet = true,
            Flag::SocketPath => self.general.socket_path = Some(value),
            Flag::UsePassedDescriptor => self.general.use_passed_descriptor = true,
            Flag::Offline => self.general.offline = true,
            Flag::ServiceDirectory => self.general.service_directories.push(value),
            Flag::NoWait => self.general.no_wait = true,
            Flag::Pin => self.pin = true,
            Flag::IgnoreUnstarted => self.ignore_unstarted = true,
            Flag::Force => self.force = true,
            Flag::From => self.from = Some(value),
            Flag::Clear => self.clear = true,
            Flag::List => self.list = true,
        }
        Ok(None)
    }

    /// Takes a command word or an argument of the command.
    fn word(&mut self, word: Vec<u8>) -> Outcome<()> {
        if self.verb.is_none() {
            let Some(row) = VERBS.iter().find(|row| row.word.as_bytes() == word) else {
                return Err(Failure::new(text!["unrecognized command: ", word, " (use --help for help)"]));
            };
            self.verb = Some(row.verb);
            self.most = row.most;
            return Ok(());
        }
        if word.is_empty() {
            return Err(Failure::new("Invalid empty argument"));
        }
        self.words.push(word);
        if self.words.len() > self.most { Err(invalid()) } else { Ok(()) }
    }

    fn finish(self) -> Outcome<Invocation> {
        let verb = self.verb.ok_or_else(invalid)?;
        let words = self.words;
        let one =
            |words: Vec<Vec<u8>>| <[Vec<u8>; 1]>::try_from(words).map(|[word]| word).map_err(|_| invalid());
        let some = |words: Vec<Vec<u8>>| if words.is_empty() { Err(invalid()) } else { Ok(words) };
        let dependency = |words: Vec<Vec<u8>>| {
            let [kind, from, to] = <[Vec<u8>; 3]>::try_from(words).map_err(|_| invalid())?;
            let known = DEPENDENCY_KINDS.iter().find(|(word, _)| word.as_bytes() == kind);
            known.map(|(_, kind)| (*kind, from, to)).ok_or_else(invalid)
        };
        let command = match verb {
            Verb::Change(verb) => Command::Change {
                verb,
                service: one(words)?,
                pin: self.pin,
                force: self.force,
                ignore_unstarted: self.ignore_unstarted,
            },
            Verb::Unpin => Command::Unpin { service: one(words)? },
            Verb::Unload => Command::Unload { service: one(words)? },
            Verb::Reload => Command::Reload { service: one(words)? },
            Verb::List => Command::List,
            Verb::Status => Command::Status { service: one(words)? },
            Verb::IsStarted => Command::IsStarted { service: one(words)? },
            Verb::IsFailed => Command::IsFailed { service: one(words)? },
            Verb::Shutdown => Command::Shutdown,
            Verb::AddDependency => {
                let (kind, from, to) = dependency(words)?;
                Command::AddDependency { kind, from, to }
            }
            Verb::RemoveDependency => {
                let (kind, from, to) = dependency(words)?;
                Command::RemoveDependency { kind, from, to }
            }
            Verb::Enable => Command::Enable { from: self.from, to: one(words)? },
            Verb::Disable => Command::Disable { from: self.from, to: one(words)? },
            Verb::Trigger => Command::SetTrigger { service: one(words)?, set: true },
            Verb::Untrigger => Command::SetTrigger { service: one(words)?, set: false },
            Verb::SetEnvironment => Command::SetEnvironment { variables: some(words)? },
            Verb::UnsetEnvironment => Command::UnsetEnvironment { variables: some(words)? },
            Verb::ShowLog => Command::ShowLog { service: one(words)?, clear: self.clear },
            Verb::Signal if self.list && words.is_empty() => Command::ListSignals,
            Verb::Signal if self.list => return Err(invalid()),
            Verb::Signal => signal(words)?,
        };
        if self.general.offline && !ENABLING.contains(&verb) {
            return Err(Failure::new("offline mode (--offline/-o) not supported for this command"));
        }
        Ok(Invocation { general: self.general, command })
    }
}

fn signal(words: Vec<Vec<u8>>) -> Outcome<Command> {
    let mut words = words.into_iter();
    let signal = words.next().ok_or_else(|| Failure::new("signal number/name must be specified"))?;
    let service = words.next().ok_or_else(|| Failure::new("service name must be specified"))?;
    match signal_number(&signal) {
        Some(signal) => Ok(Command::Signal { signal, service }),
        None => Err(Failure::new(text!["'", signal, "' is not a valid signal name/number"])),
    }
}

fn signal_number(word: &[u8]) -> Option<i32> {
    if let Some((_, number)) = SIGNALS.iter().find(|(name, _)| name.as_bytes() == word) {
        return Some(*number);
    }
    std::str::from_utf8(word.trim_ascii_start()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
