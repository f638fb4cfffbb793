//! The QEMU process and the threads that look after it.
//!
//! - The *keeper* spawns QEMU, waits for it, and records its end. It lives as long as QEMU does, because the kernel
//!   ties a child to the thread that spawned it.
//! - Two *readers* drain the console and the error output, so that QEMU never blocks on us.
//! - The *guard* kills QEMU when the machine is to end early, and closes the channels as soon as the guest has failed,
//!   so that whoever reads from one learns at once.
//!
//! All of them meet in [`Shared`].

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::config::FailureText;
use crate::console::Transcript;
use crate::error::Failure;
use crate::silence::{Silence, waits};

/// How soon the guard sees that the machine is to end, or that the guest has been silent for too long.
const TICK: Duration = Duration::from_millis(100);

/// The most of QEMU's error output that is kept, in bytes.
const ERRORS_KEPT: u64 = 64 << 10;

/// How QEMU ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// What QEMU left as its status.
    pub status: ExitStatus,
    /// What it wrote to its error output.
    pub errors: String,
    /// The processor time that it used, of user and of system.
    pub processor_time: Duration,
}

impl Exit {
    /// Says whether QEMU ended by itself and was content: the guest powered off, or rebooted with
    /// [`OnReboot::End`](crate::OnReboot::End).
    pub fn is_clean(&self) -> bool {
        self.status.success()
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => write!(f, "the guest switched itself off")?,
            (Some(code), _) => write!(f, "QEMU ended with status {code}")?,
            (None, Some(signal)) => write!(f, "QEMU was killed by signal {signal}")?,
            (None, None) => write!(f, "QEMU ended")?,
        }
        match self.errors.trim().lines().next_back() {
            Some(line) => write!(f, ": {line}"),
            None => Ok(()),
        }
    }
}

/// What the threads of one machine know together.
pub(crate) struct State {
    pub(crate) transcript: Transcript,
    /// When the console or a [`Pulse`](crate::Pulse) was last heard.
    pub(crate) heard: Instant,
    /// Set once nothing was heard for too long.
    pub(crate) silent: Option<Duration>,
    /// Set once somebody wanted the machine to end before it did.
    pub(crate) interrupted: bool,
    /// Set once QEMU has ended; from then on its process id means nothing.
    pub(crate) exit: Option<Exit>,
    failures: Vec<FailureText>,
}

impl State {
    /// Why nothing is to be expected of the guest any more, an ended QEMU apart.
    pub(crate) fn failure(&self) -> Option<Failure> {
        if self.interrupted {
            return Some(Failure::Interrupted);
        }
        if let Some((which, line)) = self.transcript.failure() {
            let meaning = self.failures[which].meaning.clone();
            return Some(Failure::Guest { meaning, line });
        }
        self.silent.map(|duration| Failure::Silent { duration })
    }

    /// Why nothing is to be expected of the guest any more.
    pub(crate) fn end(&self) -> Option<Failure> {
        self.failure().or_else(|| self.exit.clone().map(|exit| Failure::Ended { exit }))
    }

    /// Looks for a text behind the last one found; see [`Transcript::take_until`].
    pub(crate) fn take_until(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        self.transcript.take_until(text, &self.failures)
    }
}

/// The state, and the news that it has changed.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(crate) fn new(failures: Vec<FailureText>) -> Shared {
        let state = State {
            transcript: Transcript::default(),
            heard: Instant::now(),
            silent: None,
            interrupted: false,
            exit: None,
            failures,
        };
        Shared { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, until `deadline` at most; `None` is for ever.
    pub(crate) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        match deadline {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Notes that the guest was heard.
    pub(crate) fn hear(&self) {
        self.lock().heard = Instant::now();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A running QEMU.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) input: ChildStdin,
    /// Readable whenever the console printed something, at its end once QEMU has ended.
    pub(crate) wake: UnixStream,
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

impl Process {
    /// Executes a command line whose console is on standard input and output.
    pub(crate) fn spawn(words: &[OsString], shared: &Arc<Shared>) -> Result<Process, Failure> {
        let program = words.first().cloned().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(words.iter().skip(1));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C goes to the terminal's whole process group; what it means for QEMU is for us to say.
        command.process_group(0);
        let refused = |cause| Failure::CannotRun { program: program.clone(), cause };

        let (wake, waker) = wake_pair().map_err(refused)?;
        let (report, started) = mpsc::sync_channel(1);
        let keeper_shared = Arc::clone(shared);
        let keeper = thread::Builder::new()
            .name("qemu keeper".to_owned())
            .spawn(move || match dinit_sys::tied::die_with_spawner(&mut command).spawn() {
                Ok(mut child) => {
                    let pid = Pid::from_raw(child.id().cast_signed());
                    if report.send(Ok((pid, child.stdin.take()))).is_ok() {
                        keep(child, pid, waker, &keeper_shared);
                    }
                }
                // Nobody waits for the report only if the spawning thread is gone.
                Err(cause) => drop(report.send(Err(cause))),
            })
            .map_err(refused)?;
        match started.recv() {
            Ok(Ok((pid, Some(input)))) => {
                Ok(Process { pid, input, wake, shared: Arc::clone(shared), keeper: Some(keeper) })
            }
            Ok(Err(cause)) => Err(refused(cause)),
            Ok(Ok((_, None))) | Err(_) => Err(refused(io::Error::other("the keeper thread ended"))),
        }
    }

    /// The processor time used so far, or in all once QEMU has ended.
    pub(crate) fn processor_time(&self) -> Duration {
        let state = self.shared.lock();
        match &state.exit {
            Some(exit) => exit.processor_time,
            None => processor_time(self.pid),
        }
    }

    /// Ends QEMU at once, if it still runs.
    pub(crate) fn kill(&self) {
        kill_running(&self.shared.lock(), self.pid);
    }
}

fn kill_running(state: &State, pid: Pid) {
    if state.exit.is_none() {
        // It may be a zombie already, which is as good.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if let Some(keeper) = self.keeper.take() {
            // A keeper that panicked has nothing more to do.
            let _ = keeper.join();
        }
    }
}

fn wake_pair() -> io::Result<(UnixStream, UnixStream)> {
    let (wake, waker) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    waker.set_nonblocking(true)?;
    Ok((wake, waker))
}

/// Drains QEMU's output, waits for its end and records it.
fn keep(mut child: Child, pid: Pid, mut waker: UnixStream, shared: &Arc<Shared>) {
    let errors = child.stderr.take().map(|mut stream| {
        thread::spawn(move || {
            let mut text = Vec::new();
            // What cannot be read any more is the end of it.
            let _ = stream.by_ref().take(ERRORS_KEPT).read_to_end(&mut text);
            let _ = io::copy(&mut stream, &mut io::sink());
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    if let Some(mut output) = child.stdout.take() {
        read_console(&mut output, &mut waker, shared);
    }
    let errors = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    // Wait without reaping: the process id stays ours until the end is recorded under the lock.
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::errno::Errno::EINTR) {
    }
    let processor_time = processor_time(pid);
    shared.change(|state| {
        // It has ended, so this fails only where something else reaps our children.
        let status = child.wait().unwrap_or(ExitStatus::from_raw(0xff00));
        state.exit = Some(Exit { status, errors, processor_time });
    });
}

fn read_console(output: &mut impl Read, waker: &mut UnixStream, shared: &Shared) {
    let mut buffer = [0; 8192];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => shared.change(|state| {
                let State { transcript, heard, failures, .. } = state;
                transcript.append(&buffer[..count], failures);
                *heard = Instant::now();
            }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        // Full means that it is readable already.
        let _ = waker.write(&[0]);
    }
}

/// What the guard of a machine looks after.
pub(crate) struct Guarded {
    pub(crate) pid: Pid,
    /// How long the guest may say nothing though it could.
    pub(crate) silence: Option<Duration>,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// What is closed once the guest has failed, been silent for too long, or ended.
    pub(crate) channels: mpsc::Receiver<UnixStream>,
}

/// Starts the thread that looks after a machine until QEMU has ended.
pub(crate) fn guard(shared: Arc<Shared>, guarded: Guarded) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut state = shared.lock();
        let mut silence = guarded.silence.map(|limit| Silence::new(limit, state.heard));
        while state.exit.is_none() {
            if !state.interrupted && guarded.cancelled.load(Ordering::Relaxed) {
                state.interrupted = true;
                kill_running(&state, guarded.pid);
                shared.changed.notify_all();
            }
            let now = Instant::now();
            if let Some(silence) = silence.as_mut().filter(|silence| silence.is_due(now))
                && state.failure().is_none()
                && silence.is_too_long(state.heard, now, waits(guarded.pid))
            {
                state.silent = Some(state.heard.elapsed());
                shared.changed.notify_all();
            }
            if state.failure().is_some() {
                close(&guarded.channels);
            }
            state = shared.wait(state, Some(now + TICK));
        }
        drop(state);
        close(&guarded.channels);
    })
}

fn close(channels: &mpsc::Receiver<UnixStream>) {
    for channel in channels.try_iter() {
        // One whose other side is gone is closed already.
        let _ = channel.shutdown(Shutdown::Both);
    }
}

/// Reads user and system time of a process, also of one that has ended but is not reaped.
fn processor_time(pid: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks_a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100).max(1).cast_unsigned();
    Duration::from_millis(ticks_of(&stat) * 1000 / ticks_a_second)
}

/// Adds fields 14 and 15 of `/proc/PID/stat`; the second field may hold blanks and parentheses.
fn ticks_of(stat: &str) -> u64 {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawned(script: &str) -> (Arc<Shared>, Process) {
        let shared = Arc::new(Shared::new(FailureText::usual()));
        let words: Vec<OsString> = ["sh", "-c", script].map(OsString::from).to_vec();
        let process = Process::spawn(&words, &shared).expect("`sh` can be run");
        (shared, process)
    }

    fn exit_of(shared: &Shared) -> Exit {
        let mut state = shared.lock();
        loop {
            if let Some(exit) = state.exit.clone() {
                return exit;
            }
            state = shared.wait(state, None);
        }
    }

    #[test]
    fn the_end_is_recorded_after_all_output() {
        let (shared, _process) = spawned("echo out; echo wrong >&2; exit 3");
        let exit = exit_of(&shared);
        assert_eq!((exit.status.code(), exit.errors.as_str()), (Some(3), "wrong\n"));
        assert_eq!(shared.lock().transcript.from(0), b"out\n");
        assert_eq!(exit.to_string(), "QEMU ended with status 3: wrong");
    }

    #[test]
    fn dropping_the_process_kills_it() {
        let (shared, process) = spawned("exec sleep 1000");
        drop(process);
        assert_eq!(exit_of(&shared).status.signal(), Some(9));
    }

    #[test]
    fn what_a_terminal_sends_to_our_process_group_does_not_reach_qemu() {
        let (_shared, process) = spawned("exec sleep 1000");
        let group = nix::unistd::getpgid(Some(process.pid)).expect("it runs");
        assert_eq!(group, process.pid);
    }

    /// Holds the name of a FIFO in the copy of this program that is to be killed.
    const VICTIM: &str = "QEMU_MACHINE_TEST_VICTIM";

    #[test]
    fn qemu_ends_with_a_program_that_is_killed() {
        if let Some(fifo) = std::env::var_os(VICTIM) {
            let script = format!("exec 3>{}; exec sleep 1000", fifo.to_string_lossy());
            let (shared, _process) = spawned(&script);
            exit_of(&shared);
            return;
        }
        let folder = tempfile::tempdir().expect("temporary folder");
        let fifo = folder.path().join("alive");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let mut victim = Command::new(std::env::current_exe().expect("a test knows where it is"))
            .args(["--exact", "process::tests::qemu_ends_with_a_program_that_is_killed"])
            .env(VICTIM, &fifo)
            .stdout(Stdio::null())
            .spawn()
            .expect("this program can be run");
        // Opened once QEMU has opened the other end, at its end once QEMU is gone.
        let mut alive = fs::File::open(&fifo).expect("readable");
        victim.kill().expect("it runs");
        victim.wait().expect("it is ours");
        assert_eq!(alive.read_to_end(&mut Vec::new()).expect("readable"), 0);
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let shared = Arc::new(Shared::new(Vec::new()));
        let Err(failure) = Process::spawn(&["/no/such/qemu".into()], &shared) else {
            panic!("it does not exist")
        };
        assert_eq!(failure.to_string(), "cannot run `/no/such/qemu`");
    }

    /// Has a process guarded, with one channel; gives the other end of that and what interrupts.
    fn guarded(
        shared: &Arc<Shared>,
        process: &Process,
        silence: Option<Duration>,
    ) -> (UnixStream, Arc<AtomicBool>) {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        let (give, channels) = mpsc::channel();
        give.send(theirs).expect("its receiver is here");
        let cancelled = Arc::new(AtomicBool::new(false));
        let guarded = Guarded { pid: process.pid, silence, cancelled: Arc::clone(&cancelled), channels };
        guard(Arc::clone(shared), guarded);
        (ours, cancelled)
    }

    #[test]
    fn channels_close_as_soon_as_the_guest_fails() {
        let (shared, process) = spawned("echo 'Kernel panic - not syncing'; exec sleep 1000");
        let (mut channel, _) = guarded(&shared, &process, None);
        assert_eq!(channel.read(&mut [0]).expect("closed"), 0);
        let failure = shared.lock().failure().expect("it failed");
        assert_eq!(failure.to_string(), "the kernel panicked: `Kernel panic - not syncing`");
    }

    #[test]
    fn a_guest_that_says_nothing_is_silent() {
        let (shared, process) = spawned("exec sleep 1000");
        let (mut channel, _) = guarded(&shared, &process, Some(Duration::from_millis(20)));
        assert_eq!(channel.read(&mut [0]).expect("closed"), 0);
        assert!(matches!(shared.lock().failure(), Some(Failure::Silent { .. })));
    }

    #[test]
    fn an_interrupted_machine_ends_at_once_even_behind_a_failure() {
        let (shared, process) = spawned("echo 'Kernel panic - not syncing'; exec sleep 1000");
        let (mut channel, cancelled) = guarded(&shared, &process, None);
        assert_eq!(channel.read(&mut [0]).expect("closed"), 0);
        cancelled.store(true, Ordering::Relaxed);
        assert_eq!(exit_of(&shared).status.signal(), Some(9));
        assert!(matches!(shared.lock().failure(), Some(Failure::Interrupted)));
    }

    #[test]
    fn the_processor_time_is_user_and_system_whatever_the_name() {
        assert_eq!(ticks_of("42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 31 0 0 20"), 281);
        assert_eq!(ticks_of(""), 0);
    }
}
