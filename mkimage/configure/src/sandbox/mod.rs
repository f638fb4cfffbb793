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
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use wire::Message;

/// The first argument by which a program learns that it is to be the sandbox; see [`sandbox_main`].
pub const SANDBOX_ARGUMENT: &str = "internal-sandbox";

/// What the builder asks of the sandbox.
mod asking {
    pub(super) const RUN: u8 = 1;
    pub(super) const ADOPT: u8 = 2;
    pub(super) const RECORDS: u8 = 3;
    pub(super) const ENTER: u8 = 4;
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
    pub(super) const APART: u8 = 9;
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
        [stage, root, memory] if stage == "enter" => wait_for_the_tree(root, memory),
        [stage, root, first] if stage == "join" => {
            enter::join(&first.to_string_lossy()).and_then(|()| start_first_process(root, View::Builder))
        }
        [stage, root, view] if stage == "serve" => enter::die_with_the_builder()
            .and_then(|()| enter::enter(Path::new(root), View::called(view)))
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

/// Leaves for new namespaces, where the tree's folder is memory if a number of bytes is given and it can be had, and
/// goes on when the tree is there.
fn wait_for_the_tree(root: &OsStr, memory: &OsStr) -> Result<ExitCode, Error> {
    enter::leave_for_new_namespaces()?;
    let most = memory.to_str().and_then(|text| text.parse().ok());
    // Without memory, the folder is what it was.
    let folder = Path::new(root).parent();
    let in_memory =
        folder.zip(most).is_some_and(|(folder, most)| enter::put_memory_in_place_of(folder, most).is_ok());
    let talk = |cause| Error::Sandbox { step: Step("talk with the builder".to_owned()), cause };
    Message::new(telling::APART, vec![wire::numbers([in_memory.into()])])
        .send(&mut io::stdout())
        .map_err(talk)?;
    // Not the standard library's reader, which would take from the pipe what is for the next process.
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(talk)?;
    match Message::receive(&mut File::from(input)).map_err(talk)? {
        Some(message) if message.kind == asking::ENTER => start_first_process(root, View::Scripts),
        // The builder has gone.
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn start_first_process(root: &OsStr, view: View) -> Result<ExitCode, Error> {
    let mut serve = Command::new("/proc/self/exe");
    let started = serve.args([SANDBOX_ARGUMENT, "serve"]).arg(root).arg(view.name()).status();
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

/// Who runs commands in a sandbox, and so what is to be seen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// Maintainer scripts, for which also what the builder does for them succeeds and does nothing.
    Scripts,
    /// The builder itself.
    Builder,
}

impl View {
    fn name(self) -> &'static str {
        match self {
            Self::Scripts => "scripts",
            Self::Builder => "builder",
        }
    }

    fn called(name: &OsStr) -> Self {
        if name == Self::Builder.name() { Self::Builder } else { Self::Scripts }
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
    Ended { status: ExitStatus, duration: Duration, output: Vec<u8> },
    /// It could not be started, for the reason given.
    NotStarted(String),
}

/// The builder's end of a sandbox; see [`Workspace::prepare`](crate::Workspace::prepare).
///
/// Whatever runs in it ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    program: SandboxProgram,
    root: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Sandbox {
    /// Starts a process that waits, in namespaces of its own, for a tree of this name in a folder. With a number of
    /// bytes it puts as much memory in the folder's place if it can; says whether it did.
    pub(crate) fn start(
        program: &SandboxProgram,
        folder: &Path,
        tree: &str,
        memory: Option<u64>,
    ) -> Result<(Self, bool), Error> {
        let root = std::path::absolute(folder.join(tree)).map_err(|cause| Error::File {
            action: "find",
            path: folder.to_owned(),
            cause,
        })?;
        let memory = memory.map_or_else(|| "none".to_owned(), |most| most.to_string());
        let mut sandbox = Self::spawn(program, root, "enter", &memory)?;
        let reply = sandbox.reply(telling::APART)?;
        let [in_memory] = reply
            .parts
            .first()
            .ok_or_else(garbled)
            .and_then(|part| wire::unpack::<1>(part).map_err(|_| garbled()))?;
        Ok((sandbox, in_memory != 0))
    }

    /// Starts a further sandbox over the same tree, which sees it without what this one does to its own view.
    pub(crate) fn start_another(&self) -> Result<Self, Error> {
        Self::spawn(&self.program, self.root.clone(), "join", &self.child.id().to_string())
    }

    fn spawn(program: &SandboxProgram, root: PathBuf, stage: &str, argument: &str) -> Result<Self, Error> {
        let spawned = Command::new(&program.0)
            .args([SANDBOX_ARGUMENT, stage])
            .arg(&root)
            .arg(argument)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child =
            spawned.map_err(|cause| Error::Sandbox { step: Step("start its program".to_owned()), cause })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::SandboxEnded { how: "it has no pipes".to_owned() });
        };
        Ok(Self { program: program.clone(), root, child, input: Some(input), output })
    }

    /// Gives a path to the tree's folder as the sandbox has it before it enters.
    pub(crate) fn folder_through_it(&self) -> PathBuf {
        let mut path = OsString::from(format!("/proc/{}/root", self.child.id()));
        path.push(self.root.parent().unwrap_or(&self.root));
        path.into()
    }

    /// Lets it enter the tree, which is complete.
    pub(crate) fn enter(&mut self) -> Result<(), Error> {
        self.tell(&Message::new(asking::ENTER, Vec::new()))
    }

    /// Waits until it has entered.
    pub(crate) fn wait_until_ready(&mut self) -> Result<(), Error> {
        self.reply(telling::READY).map(drop)
    }

    /// Runs a command and waits for its end, or until `may_go_on` says no; it is asked ten times a second.
    pub(crate) fn run(
        &mut self,
        job: &Job<'_>,
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Outcome, Error> {
        self.begin(job)?;
        self.finish(may_go_on)
    }

    /// Starts a command, for whose end [`Sandbox::finish`] has to be called before anything else.
    pub(crate) fn begin(&mut self, job: &Job<'_>) -> Result<(), Error> {
        let mut parts = vec![wire::numbers([job.argv.len() as u64])];
        parts.extend(job.argv.iter().map(|argument| argument.as_bytes().to_vec()));
        for (name, value) in job.environment {
            parts.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        }
        self.tell(&Message::new(asking::RUN, parts))
    }

    /// Waits for the end of the command that was started, or until `may_go_on` says no.
    pub(crate) fn finish(&mut self, may_go_on: &mut dyn FnMut() -> bool) -> Result<Outcome, Error> {
        self.wait_for_reply(may_go_on)?;
        let reply = self.reply_of(&[telling::ENDED, telling::NOT_STARTED])?;
        if reply.kind == telling::NOT_STARTED {
            return Ok(Outcome::NotStarted(String::from_utf8_lossy(&reply.parts.concat()).into_owned()));
        }
        let [figures, output] = <[Vec<u8>; 2]>::try_from(reply.parts).map_err(|_| garbled())?;
        let [status, micros] = wire::unpack::<2>(&figures).map_err(|_| garbled())?;
        let (status, duration) = (ExitStatus::from_raw(status as i32), Duration::from_micros(micros));
        Ok(Outcome::Ended { status, duration, output })
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
