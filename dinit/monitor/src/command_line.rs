//! The command line: the table of options, and what the arguments mean by it.
//!
//! The scan goes from left to right; options and names may be mixed. An option that is not known is passed over,
//! as the reference does.

use dinit_client::address::Instance;

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

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Help,
    Version,
    Once,
    Environment,
    System,
    User,
    Initial,
    TextStarted,
    TextStopped,
    TextFailed,
    TextSet,
    TextUnset,
    SocketPath,
    Command,
}

/// One option: its spellings, what follows it, and what help says of it.
struct FlagRow {
    flag: Flag,
    long: &'static str,
    short: Option<&'static str>,
    /// What help calls the argument, and the error if there is none.
    argument: Option<(&'static str, &'static str)>,
    help: &'static str,
}

const fn flag(flag: Flag, long: &'static str, short: Option<&'static str>, help: &'static str) -> FlagRow {
    FlagRow { flag, long, short, argument: None, help }
}

impl FlagRow {
    const fn takes(mut self, argument: &'static str, missing: &'static str) -> Self {
        self.argument = Some((argument, missing));
        self
    }
}

/// Every option, in the order in which help shows them.
const FLAGS: &[FlagRow] = &[
    flag(Flag::Help, "--help", None, "show this help"),
    flag(Flag::Version, "--version", None, "show the version"),
    flag(Flag::Once, "--exit", Some("-e"), "exit after the first command has been run"),
    flag(Flag::Environment, "--env", Some("-E"), "watch the environment of services instead of services"),
    flag(Flag::System, "--system", Some("-s"), "watch the system daemon (default if run as root)"),
    flag(Flag::User, "--user", Some("-u"), "watch the user daemon"),
    flag(Flag::Initial, "--initial", Some("-i"), "also run the command for what is so at the beginning"),
    flag(Flag::TextStarted, "--str-started", None, "what %s stands for when a service has started")
        .takes("<text>", "--str-started should be followed by an argument"),
    flag(Flag::TextStopped, "--str-stopped", None, "what %s stands for when a service has stopped")
        .takes("<text>", "--str-stopped should be followed by an argument"),
    flag(Flag::TextFailed, "--str-failed", None, "what %s stands for when a service failed to start")
        .takes("<text>", "--str-failed should be followed by an argument"),
    flag(Flag::TextSet, "--str-set", None, "what %s stands for when a variable was set")
        .takes("<text>", "--str-set should be followed by an argument"),
    flag(Flag::TextUnset, "--str-unset", None, "what %s stands for when a variable was unset")
        .takes("<text>", "--str-unset should be followed by an argument"),
    flag(Flag::SocketPath, "--socket-path", Some("-p"), "specify socket for communication with daemon")
        .takes("<path>", "--socket-path/-p should be followed by socket path"),
    flag(
        Flag::Command,
        "--command",
        Some("-c"),
        "the command to run: %n stands for the name, %s for what happened,\n\
         %v for the value of the variable, %% for %",
    )
    .takes("<command>", "--command/-c should be followed by command"),
];

/// Where the explanation of an option begins.
const COLUMN: usize = 19;

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
        let spelled = |row: &&FlagRow| {
            row.long.as_bytes() == argument || row.short.is_some_and(|short| short.as_bytes() == argument)
        };
        let Some(row) = FLAGS.iter().find(spelled) else { continue };
        let value = match row.argument {
            None => Vec::new(),
            Some((_, missing)) => arguments.next().ok_or(Failure::CommandLine(missing))?,
        };
        match row.flag {
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

/// Gives the help text, made of the table.
fn help() -> String {
    let mut text = String::from(
        "dinit-monitor:   monitor Dinit services\n\nUsage:\n    \
         dinit-monitor [options] -c <command> <service-name>...\n    \
         dinit-monitor [options] -E -c <command> [<variable-name>...]\n\nOptions:\n",
    );
    for row in FLAGS {
        let short = row.short.map(|short| format!("{short}, ")).unwrap_or_default();
        let argument = row.argument.map(|(name, _)| format!(" {name}")).unwrap_or_default();
        let spelling = format!("  {short}{}{argument}", row.long);
        let separator = if spelling.len() < COLUMN { String::new() } else { format!("\n{:COLUMN$}", "") };
        let explanation = row.help.replace('\n', &format!("\n{:1$}", "", COLUMN + 2));
        text += &format!("{spelling:COLUMN$}{separator}: {explanation}\n");
    }
    text
}

#[cfg(test)]
mod tests;
