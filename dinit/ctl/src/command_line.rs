//! The command line: what the arguments mean by the tables of options and commands in `dinit-options`.
//!
//! The scan goes from left to right and stops at the first thing that is wrong, so `--bogus --help` is an error
//! and `--help --bogus` is help.

mod help;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use dinit_client::address::Instance;
pub(crate) use dinit_options::dinitctl::Change;
use dinit_options::dinitctl::{COMMANDS, Flag, GENERAL, OPTIONS, Verb, signals};
use dinit_options::find;
use dinit_protocol::DependencyKind;

use dinit_options::Command as Row;

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
    pub(crate) json: bool,
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
    List(Listed),
    Graph {
        /// Where it begins; at everything that is loaded, or at `boot`, if there are none.
        services: Vec<Vec<u8>>,
        dot: bool,
    },
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

/// Which services are listed: those that meet every condition that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) failed: bool,
    pub(crate) enabled: bool,
    pub(crate) available: bool,
}

/// The words for the kinds of dependency.
pub(crate) const DEPENDENCY_KINDS: &[(&str, DependencyKind)] = &[
    ("need", DependencyKind::Regular),
    ("regular", DependencyKind::Regular),
    ("milestone", DependencyKind::Milestone),
    ("waits-for", DependencyKind::WaitsFor),
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
    command: Option<(Verb, &'static Row)>,
    words: Vec<Vec<u8>>,
    pin: bool,
    ignore_unstarted: bool,
    force: bool,
    from: Option<Vec<u8>>,
    clear: bool,
    list: bool,
    listed: Listed,
    dot: bool,
}

impl Scan {
    /// Takes an option; gives text if that is to be printed and nothing else done.
    fn option(
        &mut self,
        argument: &[u8],
        rest: &mut impl Iterator<Item = Vec<u8>>,
    ) -> Outcome<Option<Vec<u8>>> {
        let Some((flag, row)) = find(OPTIONS, argument) else {
            return Err(Failure::new(text![
                "unrecognized/invalid option: ",
                argument,
                " (use --help for help)"
            ]));
        };
        let may_follow = |(_, command): (Verb, &Row)| row.after.contains(&command.word);
        if !row.after.is_empty() && !self.command.is_some_and(may_follow) {
            return Err(invalid());
        }
        let value = match row.argument {
            None => Vec::new(),
            Some(wanted) => {
                rest.next().filter(|value| !value.is_empty()).ok_or_else(|| Failure::new(wanted.missing))?
            }
        };
        match flag {
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
            Flag::Json => self.general.json = true,
            Flag::Failed => self.listed.failed = true,
            Flag::Enabled => self.listed.enabled = true,
            Flag::Available => self.listed.available = true,
            Flag::Dot => self.dot = true,
        }
        Ok(None)
    }

    /// Takes a command word or an argument of the command.
    fn word(&mut self, word: Vec<u8>) -> Outcome<()> {
        let Some((_, command)) = self.command else {
            let Some((verb, command)) = COMMANDS.iter().find(|(_, row)| row.word.as_bytes() == word) else {
                return Err(Failure::new(text!["unrecognized command: ", word, " (use --help for help)"]));
            };
            self.command = Some((*verb, command));
            return Ok(());
        };
        if word.is_empty() {
            return Err(Failure::new("Invalid empty argument"));
        }
        self.words.push(word);
        if self.words.len() > command.most() { Err(invalid()) } else { Ok(()) }
    }

    fn finish(self) -> Outcome<Invocation> {
        let (verb, _) = self.command.ok_or_else(invalid)?;
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
            Verb::List => Command::List(self.listed),
            Verb::Graph if self.dot && self.general.json => {
                return Err(Failure::new("--dot and --json exclude each other"));
            }
            Verb::Graph => Command::Graph { services: words, dot: self.dot },
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
        if self.general.offline && !works_offline(&command) {
            return Err(Failure::new("offline mode (--offline/-o) not supported for this command"));
        }
        Ok(Invocation { general: self.general, command })
    }
}

/// Says whether a command can do without a daemon.
fn works_offline(command: &Command) -> bool {
    match command {
        Command::Enable { .. } | Command::Disable { .. } | Command::Graph { .. } => true,
        Command::List(listed) => (listed.enabled || listed.available) && !listed.failed,
        _ => false,
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
    if let Some((_, number)) = signals().find(|(name, _)| name.as_bytes() == word) {
        return Some(number);
    }
    std::str::from_utf8(word.trim_ascii_start()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
