//! The first process of the sandbox: runs what it is told to, one command after the other, and supervises it.
//!
//! Three threads, because a filter holds for the thread that installs it and what that thread starts: one starts
//! commands under the filter, one talks with the builder, and the main thread answers for the calls.

use super::filter;
use super::records::Records;
use super::supervise;
use super::wire::{self, Message};
use super::{asking, telling};
use dinit_sys::seccomp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// What scripts print beyond this is not kept.
const MOST_OUTPUT: u64 = 1 << 20;

/// Serves the builder until it closes its end.
pub(super) fn serve() -> io::Result<()> {
    let records = Arc::new(Mutex::new(Records::default()));
    let (runner, listener) = Runner::start()?;
    let talk = {
        let records = Arc::clone(&records);
        thread::spawn(move || converse(&runner, &records))
    };
    supervise_until_the_builder_leaves(&listener, &records)?;
    if talk.is_finished() { talk.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())) } else { Ok(()) }
}

fn supervise_until_the_builder_leaves(listener: &OwnedFd, records: &Mutex<Records>) -> io::Result<()> {
    let input = io::stdin();
    loop {
        let mut waiting = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(input.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has = |index: usize, flags| {
            waiting[index].revents().is_some_and(|events: PollFlags| events.intersects(flags))
        };
        if has(1, PollFlags::POLLHUP | PollFlags::POLLERR) {
            return Ok(());
        }
        if has(0, PollFlags::POLLIN) {
            supervise::serve(listener.as_fd(), records)?;
        }
    }
}

/// Takes requests from standard input and answers on standard output.
fn converse(runner: &Runner, records: &Mutex<Records>) -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    Message::new(telling::READY, Vec::new()).send(&mut output)?;
    while let Some(request) = Message::receive(&mut input)? {
        let reply = match request.kind {
            asking::RUN => runner.run(request),
            asking::ADOPT => adopt(&request, records)?,
            asking::RECORDS => {
                records.lock().unwrap_or_else(PoisonError::into_inner).to_message(telling::RECORDS)
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        reply.send(&mut output)?;
    }
    Ok(())
}

/// Records owners and modes of paths; answers with the paths that are not there.
fn adopt(request: &Message, records: &Mutex<Records>) -> io::Result<Message> {
    let mut missing = Vec::new();
    for pair in request.parts.chunks_exact(2) {
        let [uid, gid, mode] = wire::unpack::<3>(&pair[1])?;
        let path = Path::new(OsStr::from_bytes(&pair[0]));
        if !supervise::adopt(records, path, uid as u32, gid as u32, mode as u32) {
            missing.push(pair[0].clone());
        }
    }
    Ok(Message::new(telling::ADOPTED, missing))
}

/// A thread that is under a filter, and starts commands that then are, too.
struct Runner {
    requests: Sender<Message>,
    replies: Receiver<Message>,
}

impl Runner {
    fn start() -> io::Result<(Self, OwnedFd)> {
        let (requests, incoming) = channel::<Message>();
        let (outgoing, replies) = channel();
        let (give_listener, listener) = channel();
        thread::spawn(move || {
            let installed = seccomp::install(&filter::program());
            if give_listener.send(installed).is_err() {
                return;
            }
            for request in incoming {
                if outgoing.send(run(&request)).is_err() {
                    return;
                }
            }
        });
        let listener = listener.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))??;
        // Kernels before 6.6 do not know this; there it is merely slower.
        let _ = seccomp::wake_synchronously(listener.as_fd());
        Ok((Self { requests, replies }, listener))
    }

    fn run(&self, request: Message) -> Message {
        let reply = self.requests.send(request).ok().and_then(|()| self.replies.recv().ok());
        reply.unwrap_or_else(|| failed("the thread that starts commands has ended"))
    }
}

/// Runs one command to its end, and ends whatever it left running.
fn run(request: &Message) -> Message {
    let started = Instant::now();
    let outcome = start_and_wait(request);
    let micros = started.elapsed().as_micros() as u64;
    end_everything_else();
    match outcome {
        Ok((status, output)) => {
            Message::new(telling::ENDED, vec![wire::numbers([status as u64, micros]), output])
        }
        Err(error) => Message::new(telling::NOT_STARTED, vec![error.to_string().into_bytes()]),
    }
}

fn start_and_wait(request: &Message) -> io::Result<(i32, Vec<u8>)> {
    let [arguments, rest @ ..] = request.parts.as_slice() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let [arguments] = wire::unpack::<1>(arguments)?;
    let (argv, environment) = rest.split_at_checked(arguments as usize).ok_or(io::ErrorKind::InvalidData)?;
    let (program, argv) = argv.split_first().ok_or(io::ErrorKind::InvalidData)?;
    let mut output = File::from(memfd_create("output", MFdFlags::MFD_CLOEXEC)?);
    let mut command = Command::new(OsStr::from_bytes(program));
    command.args(argv.iter().map(|argument| OsStr::from_bytes(argument)));
    command.env_clear();
    for pair in environment.chunks_exact(2) {
        command.env(OsStr::from_bytes(&pair[0]), OsStr::from_bytes(&pair[1]));
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let status = command.status()?;
    output.seek(SeekFrom::Start(0))?;
    let mut text = Vec::new();
    output.take(MOST_OUTPUT).read_to_end(&mut text)?;
    Ok((status.into_raw(), text))
}

/// Kills and collects all processes of the namespace but this one.
fn end_everything_else() {
    // Nothing to kill is the usual case and an error to the kernel.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while !matches!(waitpid(None, None), Err(Errno::ECHILD)) {}
}

fn failed(why: &str) -> Message {
    Message::new(telling::FAILED, vec![why.as_bytes().to_vec()])
}
