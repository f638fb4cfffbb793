//! What can go wrong with a machine, and what its console said last.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Exit;

/// A failure, with the last lines of the console when the machine had been started.
#[derive(Debug)]
pub struct Error {
    /// What went wrong.
    pub failure: Box<Failure>,
    /// The last lines of the console, oldest first, without control sequences.
    pub console: Vec<String>,
}

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// A folder given as a tree of QEMU's packages lacks a file.
    IncompleteTree {
        /// The file.
        missing: PathBuf,
    },
    /// QEMU cannot be executed.
    CannotRun {
        /// What was executed.
        program: OsString,
        /// Why.
        cause: io::Error,
    },
    /// What was executed is not QEMU.
    NotQemu {
        /// What was executed.
        program: OsString,
        /// The first line of its answer.
        answer: String,
    },
    /// Something on the host that the machine needs cannot be had.
    Host {
        /// What was to be done, such as `read`.
        deed: &'static str,
        /// The file concerned.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The guest printed one of [`Config::failures`](crate::Config::failures).
    Guest {
        /// What the text means.
        meaning: String,
        /// The line it stands in.
        line: String,
    },
    /// [`Config::cancelled`](crate::Config::cancelled) was set, and QEMU was killed.
    Interrupted,
    /// Nothing was heard from the guest for too long.
    Silent {
        /// For how long.
        duration: Duration,
    },
    /// QEMU ended while something else was waited for.
    Ended {
        /// How it ended.
        exit: Exit,
    },
    /// A text did not appear on the console in time.
    NotSeen {
        /// The text.
        text: String,
        /// The time given.
        limit: Duration,
    },
    /// The guest did not end in time.
    StillRunning {
        /// The time given.
        limit: Duration,
    },
    /// The guest does not take what is typed.
    ConsoleFull,
    /// QEMU's monitor refused a command, or did not answer.
    Monitor {
        /// The command.
        command: String,
        /// Why.
        reason: String,
    },
    /// No channel has that name, or it was taken before.
    NoChannel {
        /// The name.
        name: String,
    },
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error { failure: Box::new(failure), console: Vec::new() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.failure {
            Failure::CannotRun { cause, .. } | Failure::Host { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::IncompleteTree { missing } => {
                write!(f, "the tree of unpacked packages has no `{}`", missing.display())
            }
            Failure::CannotRun { program, .. } => write!(f, "cannot run `{}`", program.to_string_lossy()),
            Failure::NotQemu { program, answer } => {
                let program = program.to_string_lossy();
                write!(f, "`{program}` is not QEMU: to `--version` it answers `{answer}`")
            }
            Failure::Host { deed, path, .. } => write!(f, "cannot {deed} `{}`", path.display()),
            Failure::Guest { meaning, line } => write!(f, "{meaning}: `{line}`"),
            Failure::Interrupted => write!(f, "the machine was interrupted"),
            Failure::Silent { duration } => {
                write!(f, "the guest has been silent for {} s", duration.as_secs())
            }
            Failure::Ended { exit } => write!(f, "{exit}"),
            Failure::NotSeen { text, limit } => {
                write!(f, "`{text}` did not appear on the console within {} s", limit.as_secs())
            }
            Failure::StillRunning { limit } => {
                write!(f, "the guest was still running after {} s", limit.as_secs())
            }
            Failure::ConsoleFull => write!(f, "the guest does not read its console"),
            Failure::Monitor { command, reason } => write!(f, "QEMU did not carry out `{command}`: {reason}"),
            Failure::NoChannel { name } => write!(f, "there is no channel `{name}` to take"),
        }
    }
}
