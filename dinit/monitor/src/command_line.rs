//! The command line: what the arguments mean by the table of options.
//!
//! The scan goes from left to right; options and names may be mixed. An option that is not known is passed over,
//! as the reference does.

use dinit_client::address::Instance;
use dinit_options::dinit_monitor::{Flag, OPTIONS};
use dinit_options::{find, help as described, rows};

use crate::command::Template;
use crate::failure::Failure;

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Print this help.
    Help(String),
    /// Print this version.
    Version(String),
    /// Do this.
    Run(Options),
}

/// What is to be watched, and what to do about it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) instance: Option<Instance>,
    pub(crate) socket_path: Option<Vec<u8>>,
    pub(crate) command: Template,
    /// Whether to end after the first command.
    pub(crate) once: bool,
    /// Whether what is so already is told first.
    pub(crate) initial: bool,
    pub(crate) watched: Watched,
    pub(crate) texts: Texts,
}

/// What is watched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// These services, at least one.
    Services(Vec<Vec<u8>>),
    /// These variables; all, if none is named.
    Environment(Vec<Vec<u8>>),
}

/// What stands for `%s`.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) started: Vec<u8>,
    pub(crate) stopped: Vec<u8>,
    pub(crate) failed: Vec<u8>,
    pub(crate) set: Vec<u8>,
    pub(crate) unset: Vec<u8>,
}

/// Finds out what the arguments mean.
pub(crate) fn parse(arguments: impl IntoIterator<Item = Vec<u8>>) -> Result<Parsed, Failure> {
    let mut arguments = arguments.into_iter().peekable();
    if arguments.peek().is_none() {
        return Ok(Parsed::Help(help()));
    }
    let mut scan = Scan::default();
    while let Some(argument) = arguments.next() {
        if !argument.starts_with(b"-") {
            scan.names.push(argument);
            continue;
        }
        let Some((flag, option)) = find(OPTIONS, &argument) else { continue };
        let value = match option.argument {
            None => Vec::new(),
            Some(expected) => arguments.next().ok_or(Failure::CommandLine(expected.missing))?,
        };
        match flag {
            Flag::Help => return Ok(Parsed::Help(help())),
            Flag::Version => {
                return Ok(Parsed::Version(format!("Dinit version {}.\n", env!("CARGO_PKG_VERSION"))));
            }
            flag => scan.take(flag, value),
        }
    }
    scan.finish().map(Parsed::Run)
}

/// What has been seen so far.
#[derive(Default)]
struct Scan {
    instance: Option<Instance>,
    socket_path: Option<Vec<u8>>,
    command: Option<Vec<u8>>,
    once: bool,
    initial: bool,
    environment: bool,
    names: Vec<Vec<u8>>,
    texts: Texts,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            started: b"started".into(),
            stopped: b"stopped".into(),
            failed: b"failed".into(),
            set: b"set".into(),
            unset: b"unset".into(),
        }
    }
}

impl Scan {
    fn take(&mut self, flag: Flag, value: Vec<u8>) {
        match flag {
            Flag::Help | Flag::Version => {}
            Flag::Once => self.once = true,
            Flag::Environment => self.environment = true,
            Flag::System => self.instance = Some(Instance::System),
            Flag::User => self.instance = Some(Instance::User),
            Flag::Initial => self.initial = true,
            Flag::TextStarted => self.texts.started = value,
            Flag::TextStopped => self.texts.stopped = value,
            Flag::TextFailed => self.texts.failed = value,
            Flag::TextSet => self.texts.set = value,
            Flag::TextUnset => self.texts.unset = value,
            Flag::SocketPath => self.socket_path = Some(value).filter(|path| !path.is_empty()),
            Flag::Command => self.command = Some(value),
        }
    }

    fn finish(self) -> Result<Options, Failure> {
        if self.names.is_empty() && !self.environment {
            return Err(Failure::CommandLine("specify at least one service name"));
        }
        let command = self.command.ok_or(Failure::CommandLine("command must specified"))?;
        let command = Template::new(&command).ok_or(Failure::CommandLine("specified command is empty"))?;
        Ok(Options {
            instance: self.instance,
            socket_path: self.socket_path,
            command,
            once: self.once,
            initial: self.initial,
            watched: if self.environment {
                Watched::Environment(self.names)
            } else {
                Watched::Services(self.names)
            },
            texts: self.texts,
        })
    }
}

/// Gives the help text.
fn help() -> String {
    format!(
        "dinit-monitor:   monitor Dinit services\n\nUsage:\n    \
         dinit-monitor [options] -c <command> <service-name>...\n    \
         dinit-monitor [options] -E -c <command> [<variable-name>...]\n\nOptions:\n{}",
        described::options(rows(OPTIONS))
    )
}

#[cfg(test)]
mod tests;
