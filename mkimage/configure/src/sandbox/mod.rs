//! The place where maintainer scripts run: a tree as the root, one user who is root, no network, no other processes.
//!
//! [`Sandbox`] is the builder's end: start it, give it commands, ask for what was recorded, drop it. [`sandbox_main`]
//! is the other end. Whatever is in the sandbox ends when the builder does, however that happens.
//!
//! - `enter` builds the walls, `inside` runs commands within them
//! - `filter` says which calls need an answer, `supervise` gives it, `records` keeps what was asked for
//! - `wire` carries both ends' messages, `state` is the memory layout of `stat`

mod enter;
mod filter;
mod inside;
mod records;
mod state;
mod supervise;
mod wire;

pub(crate) use records::{FileId, Record};
pub(crate) use supervise::mode_on_disk;

use crate::error::{Error, Step};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use wire::Message;

/// The first argument by which a program learns that it is to be the sandbox; see [`sandbox_main`].
pub const SANDBOX_ARGUMENT: &str = "internal-sandbox";

/// What the builder asks of the sandbox.
mod asking {
    pub(super) const RUN: u8 = 1;
    pub(super) const ADOPT: u8 = 2;
    pub(super) const RECORDS: u8 = 3;
}

/// What the sandbox tells the builder.
mod telling {
    pub(super) const READY: u8 = 1;
    pub(super) const FAILED: u8 = 2;
    pub(super) const ENDED: u8 = 3;
    pub(super) const ADOPTED: u8 = 4;
    pub(super) const RECORDS: u8 = 5;
    pub(super) const NO_NAMESPACES: u8 = 6;
    pub(super) const NOT_SET_UP: u8 = 7;
    pub(super) const NOT_STARTED: u8 = 8;
}

/// A program that calls [`sandbox_main`] when its first argument is [`SANDBOX_ARGUMENT`].
#[derive(Clone, Debug)]
pub struct SandboxProgram(pub PathBuf);

impl SandboxProgram {
    /// Gives the running program.
    ///
    /// # Errors
    /// If the system does not tell where it is.
    pub fn current() -> io::Result<Self> {
        // The link stays right when the file is replaced or removed meanwhile, as a rebuild does.
        std::env::current_exe().map(|_| Self(PathBuf::from("/proc/self/exe")))
    }
}

/// Becomes the sandbox. `arguments` are those after [`SANDBOX_ARGUMENT`].
///
/// The process must have one thread yet. What the sandbox says goes to standard output as messages for the builder.
pub fn sandbox_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let result = match arguments.as_slice() {
        [stage, root] if stage == "enter" => start_first_process(root),
        [stage, root] if stage == "serve" => enter::die_with_the_builder()
            .and_then(|()| enter::enter(Path::new(root)))
            .and_then(|()| {
                inside::serve().map_err(|cause| Error::Sandbox { step: Step("serve".into()), cause })
            })
            .map(|()| ExitCode::SUCCESS),
        _ => {
            let _ = writeln!(io::stderr(), "`{SANDBOX_ARGUMENT}` is for the builder's own use");
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        // If the builder cannot be told, it has gone, and nobody is left to tell.
        let _ = refusal(&error).send(&mut io::stdout());
        ExitCode::FAILURE
    })
}

fn start_first_process(root: &OsStr) -> Result<ExitCode, Error> {
    enter::leave_for_new_namespaces()?;
    let started = Command::new("/proc/self/exe").args([SANDBOX_ARGUMENT, "serve"]).arg(root).status();
    let status = started
        .map_err(|cause| Error::Sandbox { step: Step("start its first process".to_owned()), cause })?;
    Ok(ExitCode::from(status.code().map_or(1, |code| code as u8)))
}

/// Puts an error of the set-up into a message.
fn refusal(error: &Error) -> Message {
    let number = |cause: &io::Error| wire::numbers([cause.raw_os_error().unwrap_or(libc::EIO) as u64]);
    match error {
        Error::NoNamespaces { cause } => Message::new(telling::NO_NAMESPACES, vec![number(cause)]),
        Error::Sandbox { step, cause } => {
            Message::new(telling::NOT_SET_UP, vec![number(cause), step.0.clone().into_bytes()])
        }
        other => Message::new(telling::FAILED, vec![other.to_string().into_bytes()]),
    }
}

/// A command for the sandbox.
pub(crate) struct Job<'a> {
    pub(crate) argv: &'a [&'a str],
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

/// What became of a command.
pub(crate) enum Outcome {
    /// It ran, and printed what is kept here.
    Ended { status: ExitStatus, output: Vec<u8> },
    /// It could not be started, for the reason given.
    NotStarted(String),
}

/// The builder's end of a sandbox.
pub(crate) struct Sandbox {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Sandbox {
    /// Starts a sandbox whose root is the given tree.
    pub(crate) fn start(program: &SandboxProgram, root: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(|cause| Error::File {
            action: "find",
            path: root.to_owned(),
            cause,
        })?;
        let spawned = Command::new(&program.0)
            .args([SANDBOX_ARGUMENT, "enter"])
            .arg(root)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child =
            spawned.map_err(|cause| Error::Sandbox { step: Step("start its program".to_owned()), cause })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::SandboxEnded { how: "it has no pipes".to_owned() });
        };
        let mut sandbox = Self { child, input: Some(input), output };
        sandbox.reply(telling::READY)?;
        Ok(sandbox)
    }

    /// Runs a command and waits for its end, or until `may_go_on` says no; it is asked ten times a second.
    pub(crate) fn run(
        &mut self,
        job: &Job<'_>,
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Outcome, Error> {
        let mut parts = vec![wire::numbers([job.argv.len() as u64])];
        parts.extend(job.argv.iter().map(|argument| argument.as_bytes().to_vec()));
        for (name, value) in job.environment {
            parts.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        }
        self.tell(&Message::new(asking::RUN, parts))?;
        self.wait_for_reply(may_go_on)?;
        let reply = self.reply_of(&[telling::ENDED, telling::NOT_STARTED])?;
        if reply.kind == telling::NOT_STARTED {
            return Ok(Outcome::NotStarted(String::from_utf8_lossy(&reply.parts.concat()).into_owned()));
        }
        let [status, output] = <[Vec<u8>; 2]>::try_from(reply.parts).map_err(|_| garbled())?;
        let [status] = wire::unpack::<1>(&status).map_err(|_| garbled())?;
        Ok(Outcome::Ended { status: ExitStatus::from_raw(status as i32), output })
    }

    /// Tells the sandbox the owners and modes of paths; gives back those that are not there.
    pub(crate) fn adopt<'p>(
        &mut self,
        owners: impl IntoIterator<Item = (&'p [u8], crate::Owner, u32)>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut parts = Vec::new();
        for (path, owner, mode) in owners {
            parts.extend([path.to_vec(), wire::numbers([owner.uid.into(), owner.gid.into(), mode.into()])]);
        }
        self.tell(&Message::new(asking::ADOPT, parts))?;
        Ok(self.reply(telling::ADOPTED)?.parts)
    }

    /// Asks for all that was recorded. The files stay what they are until the sandbox is dropped.
    pub(crate) fn records(&mut self) -> Result<HashMap<FileId, Record>, Error> {
        self.tell(&Message::new(asking::RECORDS, Vec::new()))?;
        let reply = self.reply(telling::RECORDS)?;
        records::from_message(&reply).map_err(|_| garbled())
    }

    fn tell(&mut self, message: &Message) -> Result<(), Error> {
        let sent = match &mut self.input {
            Some(input) => message.send(input),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        sent.map_err(|_| self.ended())
    }

    fn wait_for_reply(&self, may_go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        const TENTH_OF_A_SECOND: u8 = 100;
        loop {
            if !may_go_on() {
                return Err(Error::Cancelled);
            }
            let mut output = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
            match poll(&mut output, TENTH_OF_A_SECOND) {
                Ok(0) | Err(Errno::EINTR) => {}
                // An error shows again when the reply is read.
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    }

    fn reply(&mut self, expected: u8) -> Result<Message, Error> {
        self.reply_of(&[expected])
    }

    fn reply_of(&mut self, expected: &[u8]) -> Result<Message, Error> {
        let Ok(Some(reply)) = Message::receive(&mut self.output) else { return Err(self.ended()) };
        if expected.contains(&reply.kind) {
            return Ok(reply);
        }
        let cause = || {
            let number = reply.parts.first().and_then(|part| wire::unpack::<1>(part).ok());
            io::Error::from_raw_os_error(number.map_or(libc::EIO, |[number]| number as i32))
        };
        let text =
            |index: usize| reply.parts.get(index).map(|part| String::from_utf8_lossy(part).into_owned());
        Err(match reply.kind {
            telling::NO_NAMESPACES => Error::NoNamespaces { cause: cause() },
            telling::NOT_SET_UP => Error::Sandbox { step: Step(text(1).unwrap_or_default()), cause: cause() },
            telling::FAILED => Error::SandboxEnded { how: text(0).unwrap_or_default() },
            _ => garbled(),
        })
    }

    /// Says how the sandbox ended, for which it is given its end first.
    fn ended(&mut self) -> Error {
        self.input = None;
        let how = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Error::SandboxEnded { how }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // With its input closed the sandbox leaves by itself, and then nothing of it is left.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn garbled() -> Error {
    Error::SandboxEnded { how: "it sent something else than was asked for".to_owned() }
}
