//! Running a program: its output to the host as it comes, then how it ended.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use agent_protocol::message::{Status, Stream, ToHost};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::link::Link;

/// What every program finds in its environment, and nothing else.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("USER", "root"),
    ("LOGNAME", "root"),
    ("SHELL", "/bin/sh"),
    ("TERM", "dumb"),
];

/// How much output goes into one message.
const PIECE: usize = 16 << 10;
/// How much a pipe can still hold when its program has ended; what is written to it later comes from others.
const PIPE_HOLDS: usize = 64 << 10;
/// How many programs may run at once.
const PROGRAMS: usize = 32;

/// The programs that run, by the request that started each.
#[derive(Default)]
pub(crate) struct Running {
    programs: Mutex<HashMap<u32, Pid>>,
}

impl Running {
    /// Kills what a request started, with all its children that did not leave its process group.
    pub(crate) fn kill(&self, request: u32) {
        let programs = self.lock();
        if let Some(&program) = programs.get(&request) {
            // One that has just ended is as good as killed.
            let _ = killpg(program, Signal::SIGKILL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Pid>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a program to its end.
pub(crate) fn run(link: &Link, running: &Running, request: u32, words: &[Vec<u8>]) -> io::Result<()> {
    let mut child = match start(running, request, words) {
        Ok(child) => child,
        Err(reason) => return link.refuse(request, &reason),
    };
    let outputs = [output(Stream::Out, child.stdout.take()), output(Stream::Error, child.stderr.take())];
    let ended = UnixStream::pair().and_then(|(ended, ending)| {
        thread::Builder::new()
            .spawn(move || {
                wait_for_end(child.id());
                // The other side sees the end of the stream, and nothing else can be missed.
                drop(ending);
                child
            })
            .map(|waiter| (ended, waiter))
    });
    let (ended, waiter) = match ended {
        Ok(both) => both,
        Err(error) => {
            running.kill(request);
            return link.refuse(request, &format!("cannot watch the program: {error}"));
        }
    };
    let passed = pass_output(link, request, outputs, &ended);
    if passed.is_err() {
        running.kill(request);
    }
    let child = waiter.join();
    // From here on the process id may be given to another process.
    running.lock().remove(&request);
    passed?;
    match child.map_err(|_| io::Error::other("its thread ended")).and_then(|mut child| child.wait()) {
        Ok(status) => link.send(request, &ToHost::Exited(status_of(status))),
        Err(error) => link.refuse(request, &format!("cannot learn how the program ended: {error}")),
    }
}

fn start(running: &Running, request: u32, words: &[Vec<u8>]) -> Result<Child, String> {
    let [program, arguments @ ..] = words else { return Err("there is no program to run".to_owned()) };
    let mut command = Command::new(OsStr::from_bytes(program));
    command.args(arguments.iter().map(|word| OsStr::from_bytes(word)));
    command.env_clear().envs(ENVIRONMENT.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let home = Path::new("/root");
    command.current_dir(if home.is_dir() { home } else { Path::new("/") });
    // Under the lock, so that a request to kill finds the program from its first moment.
    let mut programs = running.lock();
    if programs.len() >= PROGRAMS {
        return Err(format!("{PROGRAMS} programs are running already"));
    }
    let child = command
        .spawn()
        .map_err(|error| format!("cannot run `{}`: {error}", String::from_utf8_lossy(program)))?;
    programs.insert(request, Pid::from_raw(child.id().cast_signed()));
    Ok(child)
}

/// Waits without reaping, so that the process id stays the program's own.
fn wait_for_end(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed());
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

/// One output of a program; `None` once it has ended.
type Output = (Stream, Option<File>);

fn output(stream: Stream, pipe: Option<impl Into<OwnedFd>>) -> Output {
    let pipe = pipe.map(|pipe| File::from(pipe.into()));
    if let Some(pipe) = &pipe {
        // Where this fails, a daemon that keeps the pipe delays the answer; the output is right all the same.
        let _ = fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    }
    (stream, pipe)
}

/// Sends output until the program has ended and what it had written is sent.
///
/// The end of the pipes does not decide: a daemon that the program left behind may hold them for ever.
fn pass_output(link: &Link, request: u32, mut outputs: [Output; 2], ended: &UnixStream) -> io::Result<()> {
    loop {
        let mut waiting = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        let open = outputs.iter().filter_map(|(_, pipe)| pipe.as_ref());
        waiting.extend(open.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = waiting[0].revents().is_some_and(|events| !events.is_empty());
        let at_most = if has_ended { PIPE_HOLDS } else { PIECE };
        for output in &mut outputs {
            pass(link, request, output, at_most)?;
        }
        if has_ended {
            return Ok(());
        }
    }
}

/// Sends what one output holds, up to a number of bytes.
fn pass(link: &Link, request: u32, output: &mut Output, at_most: usize) -> io::Result<()> {
    let (stream, source) = output;
    let mut buffer = vec![0; PIECE];
    let mut sent = 0;
    while let Some(pipe) = source
        && sent < at_most
    {
        match pipe.read(&mut buffer) {
            Ok(count @ 1..) => {
                let bytes = buffer[..count].to_vec();
                link.send(request, &ToHost::Output { stream: *stream, bytes })?;
                sent += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => *source = None,
        }
    }
    Ok(())
}

fn status_of(status: ExitStatus) -> Status {
    match (status.code(), status.signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, signal) => Status::Killed(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::heard_by;
    use std::sync::Arc;
    use std::time::Instant;

    fn words(script: &str) -> Vec<Vec<u8>> {
        ["/bin/sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec()
    }

    /// Runs a script and gives its output, its error output and its end.
    fn run_script(script: &str) -> (String, String, ToHost) {
        let mut heard =
            heard_by(|link| run(link, &Running::default(), 1, &words(script)).expect("host there"));
        let end = heard.pop().expect("an end");
        let (mut out, mut error) = (Vec::new(), Vec::new());
        for message in heard {
            match message {
                ToHost::Output { stream: Stream::Out, bytes } => out.extend(bytes),
                ToHost::Output { stream: Stream::Error, bytes } => error.extend(bytes),
                other => panic!("{other:?} is not output"),
            }
        }
        (String::from_utf8(out).expect("text"), String::from_utf8(error).expect("text"), end)
    }

    #[test]
    fn output_and_status_of_a_program_reach_the_host() {
        let (out, error, end) = run_script("echo one; echo two >&2; read nothing; echo $?; exit 3");
        assert_eq!((out.as_str(), error.as_str()), ("one\n1\n", "two\n"));
        assert_eq!(end, ToHost::Exited(Status::Exited(3)));
    }

    #[test]
    fn a_lot_of_output_arrives_whole_and_in_order() {
        let (out, _, end) = run_script("seq 1 100000");
        let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
        assert!(out == expected, "{} bytes came", out.len());
        assert_eq!(end, ToHost::Exited(Status::Exited(0)));
    }

    #[test]
    fn a_daemon_that_keeps_the_pipes_does_not_keep_the_answer() {
        let begun = Instant::now();
        let (out, _, end) = run_script("sleep 30 & echo $!");
        assert_eq!(end, ToHost::Exited(Status::Exited(0)));
        assert!(begun.elapsed().as_secs() < 20);
        let daemon = Pid::from_raw(out.trim().parse().expect("a process id"));
        nix::sys::signal::kill(daemon, Signal::SIGKILL).expect("it still runs");
    }

    #[test]
    fn a_program_that_a_signal_ends_is_told_apart() {
        let (_, _, end) = run_script("kill -TERM $$");
        assert_eq!(end, ToHost::Exited(Status::Killed(15)));
    }

    #[test]
    fn a_program_that_is_not_there_is_refused_with_its_name() {
        let program = vec![b"/no/such/program".to_vec()];
        let heard = heard_by(|link| run(link, &Running::default(), 1, &program).expect("host there"));
        let [ToHost::Failed { reason }] = &heard[..] else { panic!("{heard:?}") };
        assert!(reason.starts_with("cannot run `/no/such/program`: "), "{reason}");
    }

    #[test]
    fn killing_reaches_the_whole_group_of_the_program() {
        let running = Arc::new(Running::default());
        let killer = Arc::clone(&running);
        let heard = heard_by(|link| {
            let killing = thread::spawn(move || {
                while killer.lock().is_empty() {
                    thread::yield_now();
                }
                killer.kill(1);
            });
            run(link, &running, 1, &words("sleep 1000; echo no")).expect("host there");
            killing.join().expect("no panic");
        });
        assert_eq!(heard, [ToHost::Exited(Status::Killed(9))]);
        assert!(running.lock().is_empty());
    }

    #[test]
    fn the_environment_is_the_same_whoever_starts_the_agent() {
        let (out, _, _) = run_script("echo $HOME $TERM $USER; echo ${CARGO-unset}");
        assert_eq!(out, "/root dumb root\nunset\n");
    }
}
