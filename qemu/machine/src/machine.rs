//! A running machine: console, channels, monitor, end.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use crate::config::{Accelerator, Config, Places, arguments};
use crate::error::{Error, Failure};
use crate::folder::Folder;
use crate::interact;
use crate::monitor::Monitor;
use crate::process::{Exit, Guarded, Process, Shared, State, guard};

/// How many console lines an error carries.
const LINES_IN_ERRORS: usize = 30;
/// How long a guest that has failed is given to say the rest.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long QEMU may take to connect to our sockets: it does so before the guest runs.
const CONNECT_LIMIT: Duration = Duration::from_secs(120);
/// How long the guest may take to read what is typed.
const TYPING_LIMIT: Duration = Duration::from_secs(30);

/// A running QEMU with its guest; dropping it kills QEMU, and so does the end of this process.
pub struct Machine {
    // Order matters: the process ends, then the guard, then the folder with the sockets goes.
    process: Process,
    guard: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    monitor: Monitor,
    channels: Vec<(String, Option<UnixStream>)>,
    accelerator: Accelerator,
    _folder: Folder,
}

/// How an interactive session came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// QEMU ended: the guest switched itself off, or worse.
    Ended(Exit),
    /// The person pressed the escape key.
    Escaped,
}

/// Tells a machine that its guest is alive, beside what the console shows.
#[derive(Clone)]
pub struct Pulse {
    shared: Arc<Shared>,
}

impl Pulse {
    /// Notes a sign of life.
    pub fn beat(&self) {
        self.shared.hear();
    }
}

impl Machine {
    /// Starts QEMU and connects to it; the guest begins to run.
    ///
    /// # Errors
    /// QEMU cannot be run, is interrupted, or ends before it connects: then its last error line is in [`Failure::Ended`].
    pub fn start(config: &Config) -> Result<Machine, Error> {
        let folder = Folder::new()?;
        let places = Places {
            qmp: folder.path().join("qmp"),
            channels: (0..config.channels.len()).map(|i| folder.path().join(format!("channel{i}"))).collect(),
            initramfs: one_initramfs(&config.initramfs, folder.path())?,
        };
        let monitor_listener = listen(&places.qmp)?;
        let listeners = places.channels.iter().map(|path| listen(path)).collect::<Result<Vec<_>, _>>()?;

        let shared = Arc::new(Shared::new(config.failures_here()));
        let process = Process::spawn(&arguments(config, &places), &shared)?;
        let (give, closable) = mpsc::channel();
        let guarded = Guarded {
            pid: process.pid,
            silence: config.silence,
            cancelled: Arc::clone(&config.cancelled),
            channels: closable,
        };
        let guard = guard(Arc::clone(&shared), guarded);
        let deadline = Instant::now() + CONNECT_LIMIT;
        let monitor_stream = accept(&monitor_listener, &places.qmp, &process, &shared, deadline)?;
        let mut channels = Vec::new();
        for ((name, listener), path) in config.channels.iter().zip(&listeners).zip(&places.channels) {
            let stream = accept(listener, path, &process, &shared, deadline)?;
            let shared_stream = stream.try_clone().map_err(|cause| host("share", path, cause))?;
            // A guard that is gone has nothing to close: QEMU has ended.
            let _ = give.send(shared_stream);
            channels.push((name.clone(), stream));
        }
        let monitor = Monitor::new(monitor_stream).map_err(|failure| why_no_monitor(&shared, failure))?;
        Ok(Machine {
            process,
            guard: Some(guard),
            shared,
            monitor,
            channels: channels.into_iter().map(|(name, stream)| (name, Some(stream))).collect(),
            accelerator: config.accelerator,
            _folder: folder,
        })
    }

    /// Stretches a time limit that is generous with KVM to one fit for this machine's accelerator.
    pub fn scaled(&self, limit: Duration) -> Duration {
        self.accelerator.scaled(limit)
    }

    /// Waits for a text on the console, and gives what was printed between the last such text and this one.
    ///
    /// A text that stands there already counts, even if the guest has failed or ended since. A text that is one of
    /// [`Config::failures`] may be expected like any other, and is then no failure; the channels may have been
    /// closed by then.
    ///
    /// # Errors
    /// The guest failed, ended or was interrupted, or `limit` passed, before the text came.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<Vec<u8>, Error> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            if let Some(before) = state.take_until(text.as_bytes()) {
                return Ok(before);
            }
            if let Some(failure) = state.failure() {
                return Err(self.after_last_words(state, failure));
            }
            if let Some(exit) = state.exit.clone() {
                return Err(with_console(&state, Failure::Ended { exit }));
            }
            if Instant::now() >= deadline {
                return Err(with_console(&state, Failure::NotSeen { text: text.to_owned(), limit }));
            }
            state = self.shared.wait(state, Some(deadline));
        }
    }

    /// Types on the console.
    ///
    /// # Errors
    /// QEMU has ended, or the guest does not read.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let sent = type_in(&mut self.process.input, bytes);
        sent.map_err(|_| self.failed().unwrap_or_else(|| self.error(Failure::ConsoleFull)))
    }

    /// Waits until QEMU has ended: the guest switched itself off, or rebooted with
    /// [`OnReboot::End`](crate::OnReboot::End).
    ///
    /// # Errors
    /// The guest failed, still runs after `limit`, or was interrupted. A guest that failed is killed only by dropping the machine.
    pub fn wait(&mut self, limit: Duration) -> Result<Exit, Error> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            if let Some(failure) = state.failure() {
                return Err(self.after_last_words(state, failure));
            }
            if let Some(exit) = state.exit.clone() {
                return Ok(exit);
            }
            if Instant::now() >= deadline {
                return Err(with_console(&state, Failure::StillRunning { limit }));
            }
            state = self.shared.wait(state, Some(deadline));
        }
    }

    /// Says why the guest is lost, if it is: it failed, or QEMU ended.
    ///
    /// Ask when reading from a channel fails: channels are closed as soon as the guest has failed.
    pub fn failed(&self) -> Option<Error> {
        let state = self.shared.lock();
        match (state.failure(), state.exit.clone()) {
            (Some(failure), _) => Some(self.after_last_words(state, failure)),
            (None, Some(exit)) => Some(with_console(&state, Failure::Ended { exit })),
            (None, None) => None,
        }
    }

    /// Takes the host's end of a virtio-serial port, once.
    ///
    /// # Errors
    /// There is none of that name, or it was taken before.
    pub fn channel(&mut self, name: &str) -> Result<UnixStream, Error> {
        let found = self.channels.iter_mut().find(|(known, _)| known == name);
        let stream = found.and_then(|(_, stream)| stream.take());
        stream.ok_or_else(|| Failure::NoChannel { name: name.to_owned() }.into())
    }

    /// Makes a handle by which signs of life from elsewhere, such as a channel, are noted.
    pub fn pulse(&self) -> Pulse {
        Pulse { shared: Arc::clone(&self.shared) }
    }

    /// Everything printed on the console so far; of more than 16 MiB the last part.
    pub fn transcript(&self) -> Vec<u8> {
        self.shared.lock().transcript.from(0).to_vec()
    }

    /// The last lines of the console, without control sequences and empty lines.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        self.shared.lock().transcript.last_lines(count)
    }

    /// The processor time, user and system, that QEMU has used so far.
    pub fn processor_time(&self) -> Duration {
        self.process.processor_time()
    }

    /// Presses the guest's power button.
    ///
    /// # Errors
    /// QEMU has ended, or does not answer.
    pub fn press_power_button(&mut self) -> Result<(), Error> {
        self.command("system_powerdown", Value::Null).map(drop)
    }

    /// Presses keys of the guest's keyboard together, and lets them go: names as QEMU has them (`QKeyCode`), such as
    /// `ctrl`, `alt`, `delete`.
    ///
    /// # Errors
    /// QEMU does not know a key, has ended, or does not answer.
    pub fn press_keys(&mut self, keys: &[&str]) -> Result<(), Error> {
        let keys: Vec<Value> = keys.iter().map(|key| json!({ "type": "qcode", "data": key })).collect();
        self.command("send-key", json!({ "keys": keys })).map(drop)
    }

    /// Ends QEMU at once, without telling the guest; use [`Machine::wait`] for its end.
    ///
    /// # Errors
    /// QEMU has ended already, or does not answer.
    pub fn quit(&mut self) -> Result<(), Error> {
        self.command("quit", Value::Null).map(drop)
    }

    /// Asks QEMU for its state, such as `running`, `paused` or `shutdown`.
    ///
    /// # Errors
    /// QEMU has ended, or does not answer.
    pub fn status(&mut self) -> Result<String, Error> {
        let answer = self.command("query-status", Value::Null)?;
        Ok(answer["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Writes what the guest's display shows to a file, as a PPM picture; needs [`Display::Vga`](crate::Display).
    ///
    /// # Errors
    /// There is no display, the file cannot be written, or QEMU has ended.
    pub fn take_picture(&mut self, file: &Path) -> Result<(), Error> {
        self.command("screendump", json!({ "filename": file.to_string_lossy() })).map(drop)
    }

    /// Lets a person use the console: bytes go between the guest and `keyboard` and `screen` until the guest ends
    /// or the person presses [`ESCAPE_KEY`](crate::ESCAPE_KEY).
    ///
    /// A terminal is put into raw mode and restored on every way out. What was printed before is shown first. With
    /// a keyboard that is no terminal, the end of its input leaves the guest running to its own end.
    ///
    /// # Errors
    /// Keyboard or screen cannot be used, or the machine was interrupted.
    pub fn interact(&mut self, keyboard: &File, screen: &mut impl Write) -> Result<Interaction, Error> {
        let end = interact::run(&mut self.process, &self.shared, keyboard, screen);
        if self.is_interrupted() {
            return Err(self.error(Failure::Interrupted));
        }
        end.map_err(|cause| self.error(host("use", Path::new("the terminal"), cause)))
    }

    fn command(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let answer = self.monitor.execute(command, arguments);
        answer
            .map_err(|failure| self.error(if self.is_interrupted() { Failure::Interrupted } else { failure }))
    }

    fn is_interrupted(&self) -> bool {
        self.shared.lock().interrupted
    }

    fn error(&self, failure: Failure) -> Error {
        with_console(&self.shared.lock(), failure)
    }

    /// Lets a guest that has failed finish what it says, so that the console in the error is complete.
    fn after_last_words(&self, mut state: MutexGuard<'_, State>, failure: Failure) -> Error {
        let deadline = Instant::now() + LAST_WORDS;
        while state.exit.is_none() && Instant::now() < deadline {
            state = self.shared.wait(state, Some(deadline));
        }
        // The line may have been incomplete when it was found.
        let failure = state.failure().unwrap_or(failure);
        with_console(&state, failure)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.process.kill();
        if let Some(guard) = self.guard.take() {
            // It ends with the process; one that panicked has nothing more to do.
            let _ = guard.join();
        }
    }
}

/// Adds to a failure what the console shows of it: what is around it, or what came last.
fn with_console(state: &State, failure: Failure) -> Error {
    let console = match failure {
        Failure::Guest { .. } => state.transcript.lines_around_failure(LINES_IN_ERRORS),
        _ => state.transcript.last_lines(LINES_IN_ERRORS),
    };
    Error { failure: Box::new(failure), console }
}

/// A monitor that is closed at once mostly means that QEMU is ending, and then its own reason counts.
fn why_no_monitor(shared: &Shared, failure: Failure) -> Error {
    let deadline = Instant::now() + LAST_WORDS;
    let mut state = shared.lock();
    while state.exit.is_none() && Instant::now() < deadline {
        state = shared.wait(state, Some(deadline));
    }
    let failure = state.end().unwrap_or(failure);
    with_console(&state, failure)
}

fn host(deed: &'static str, path: &Path, cause: io::Error) -> Failure {
    Failure::Host { deed, path: path.to_owned(), cause }
}

/// Lays several archives one behind the other, each on a boundary of four bytes as the kernel wants it.
fn one_initramfs(archives: &[PathBuf], folder: &Path) -> Result<Option<PathBuf>, Error> {
    let joined = match archives {
        [] => return Ok(None),
        [only] => return Ok(Some(only.clone())),
        _ => folder.join("initramfs"),
    };
    let mut out = File::create(&joined).map_err(|cause| host("write", &joined, cause))?;
    for archive in archives {
        let mut input = File::open(archive).map_err(|cause| host("read", archive, cause))?;
        let length = io::copy(&mut input, &mut out).map_err(|cause| host("copy", archive, cause))?;
        let padding = length.next_multiple_of(4) - length;
        out.write_all(&[0; 3][..padding as usize]).map_err(|cause| host("write", &joined, cause))?;
    }
    Ok(Some(joined))
}

fn listen(path: &Path) -> Result<UnixListener, Failure> {
    let listener = UnixListener::bind(path).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|cause| host("listen on", path, cause))
}

/// Waits for QEMU to connect, or to end.
fn accept(
    listener: &UnixListener,
    path: &Path,
    process: &Process,
    shared: &Shared,
    deadline: Instant,
) -> Result<UnixStream, Error> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(|cause| host("use", path, cause))?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(cause) => return Err(host("accept on", path, cause).into()),
        }
        let state = shared.lock();
        if let Some(end) = state.end() {
            return Err(with_console(&state, end));
        }
        drop(state);
        if Instant::now() >= deadline {
            let cause = io::Error::new(io::ErrorKind::TimedOut, "QEMU did not connect");
            return Err(host("accept on", path, cause).into());
        }
        wait_for_news(listener, process, deadline)?;
    }
}

/// Sleeps until somebody connects, or QEMU prints or ends.
fn wait_for_news(listener: &UnixListener, process: &Process, deadline: Instant) -> Result<(), Error> {
    interact::drain(&process.wake);
    let mut waiting = [
        PollFd::new(listener.as_fd(), PollFlags::POLLIN),
        PollFd::new(process.wake.as_fd(), PollFlags::POLLIN),
    ];
    // The end of the output comes a moment before the end is recorded: look again soon, not at once.
    let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(200));
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut waiting, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(host("wait for", Path::new("QEMU"), error.into()).into()),
    }
}

/// Writes without blocking for longer than [`TYPING_LIMIT`] at a time.
pub(crate) fn type_in(input: &mut (impl Write + AsFd), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut waiting = [PollFd::new(input.as_fd(), PollFlags::POLLOUT)];
        let timeout = PollTimeout::try_from(TYPING_LIMIT).unwrap_or(PollTimeout::MAX);
        match poll(&mut waiting, timeout) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // A pipe that polls writable takes this much at once.
        let (now, later) = bytes.split_at(bytes.len().min(nix::libc::PIPE_BUF));
        input.write_all(now)?;
        bytes = later;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_archives_become_one_on_boundaries_of_four() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("writable");
            path
        };
        let archives = [file("a", "abcde"), file("b", "1234"), file("c", "x")];
        let joined = one_initramfs(&archives, folder.path()).expect("joined").expect("some");
        assert_eq!(std::fs::read(joined).expect("readable"), b"abcde\0\0\x001234x\0\0\0");
        assert_eq!(one_initramfs(&archives[..1], folder.path()).expect("one"), Some(archives[0].clone()));
        assert_eq!(one_initramfs(&[], folder.path()).expect("none"), None);
    }

    #[test]
    fn a_qemu_that_ends_at_once_gives_its_own_reason() {
        let script = "echo 'qemu: no such machine' >&2; exit 1";
        let program = crate::Program {
            executable: "sh".into(),
            leading_arguments: vec!["-c".into(), script.into()],
            data_folders: Vec::new(),
        };
        let config =
            Config::new(program, crate::Version { major: 10, minor: 0 }, Accelerator::Tcg, "/k".into());
        let Err(error) = Machine::start(&config) else { panic!("there is no QEMU") };
        assert_eq!(error.to_string(), "QEMU ended with status 1: qemu: no such machine");
    }

    #[test]
    fn an_initramfs_that_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let archives = [folder.path().join("none"), folder.path().join("other")];
        let error = one_initramfs(&archives, folder.path()).expect_err("missing");
        assert!(error.to_string().starts_with("cannot read `"), "{error}");
    }
}
