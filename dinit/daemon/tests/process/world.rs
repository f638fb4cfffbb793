//! A directory of services, and daemons that run on it.
//!
//! Nothing here waits for a time: what is waited for is a line, an event or an end. The limit only ends a test that
//! would otherwise hang.

use dinit_sys::process::send_signal;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A directory of its own for one test.
pub(crate) struct World {
    directory: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("d")).unwrap();
        Self { directory }
    }

    /// Gives a path in the test's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Gives the directory of the services.
    pub(crate) fn services(&self) -> PathBuf {
        self.path("d")
    }

    /// Gives the path of the control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    /// Writes a service description.
    pub(crate) fn service(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.services().join(name), text).unwrap();
        self
    }

    /// Writes an executable shell script and gives its path.
    ///
    /// A shell writes it: a file that is open for writing here would be so in whatever the other tests start at that
    /// moment, and what is open for writing cannot be executed.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", text])
            .arg(&path);
        assert!(shell.status().unwrap().success());
        path.to_str().unwrap().to_owned()
    }

    /// Reads a file of the test's directory.
    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap()).into_owned()
    }

    /// Gives the command for a daemon that is no system manager, with further words.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dinit"));
        command.args(["-u", "-b", "x", "-d"]).arg(self.services()).arg("-p").arg(self.socket());
        command.args(words).current_dir(self.directory.path());
        command
    }

    /// Gives the command with a shell around it that redirects descriptors first, such as `5>file`.
    pub(crate) fn command_with(&self, redirections: &str, words: &[&str]) -> Command {
        let inner = self.command(words);
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec \"$@\" {redirections}")).arg("sh").arg(inner.get_program());
        command.args(inner.get_args()).current_dir(self.directory.path());
        command
    }

    /// Runs a daemon to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        start(self.command(words)).finish()
    }

    /// Starts a daemon.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        start(self.command(words))
    }

    /// Connects to the daemon of this world.
    pub(crate) fn connect(&self) -> dinit_client::Connection {
        connect(&self.socket())
    }
}

/// Connects to a daemon.
pub(crate) fn connect(socket: &Path) -> dinit_client::Connection {
    dinit_client::Connection::open(socket).unwrap()
}

/// Starts a command with its output collected.
pub(crate) fn start(mut command: Command) -> Running {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = Collected::of(child.stdout.take().unwrap());
    let stderr = Collected::of(child.stderr.take().unwrap());
    Running { child, stdout, stderr }
}

/// A daemon that runs; it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Waits until the standard output contains a text.
    #[track_caller]
    pub(crate) fn expect(&self, text: &str) -> &Self {
        self.expect_times(text, 1)
    }

    /// Waits until the standard output contains a text so many times.
    #[track_caller]
    pub(crate) fn expect_times(&self, text: &str, times: usize) -> &Self {
        self.stdout.wait(text, times);
        self
    }

    /// Gives what was printed so far.
    pub(crate) fn printed(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn signal(&self, signal: i32) -> &Self {
        send_signal(self.pid(), signal).unwrap();
        self
    }

    /// Lets it have descriptors with numbers below this; those that it has already stay open.
    #[track_caller]
    pub(crate) fn limit_descriptors(&self, count: u32) {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg("--pid").arg(self.pid().to_string()).arg(format!("--nofile={count}:"));
        assert!(prlimit.status().unwrap().success());
    }

    /// Asks for the end, and waits for it.
    #[track_caller]
    pub(crate) fn stop(self) -> Finished {
        self.signal(libc::SIGTERM);
        let finished = self.finish();
        finished.assert_success();
        finished
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let end = Instant::now() + LIMIT;
        let (ended, killer) = (Arc::new((Mutex::new(false), Condvar::new())), self.pid());
        let guard = {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || {
                let (flag, changed) = &*ended;
                let left = end.saturating_duration_since(Instant::now());
                let (is_over, _) =
                    changed.wait_timeout_while(flag.lock().unwrap(), left, |is_over| !*is_over).unwrap();
                if !*is_over {
                    let _ = send_signal(killer, libc::SIGKILL);
                }
                *is_over
            })
        };
        let status = self.child.wait().unwrap();
        *ended.0.lock().unwrap() = true;
        ended.1.notify_all();
        let in_time = guard.join().unwrap();
        let finished = Finished { status, stdout: self.stdout.rest(), stderr: self.stderr.rest() };
        assert!(in_time, "the daemon did not end; it printed:\n{}{}", finished.stdout, finished.stderr);
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a daemon left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    #[track_caller]
    pub(crate) fn assert_success(&self) -> &Self {
        assert_eq!(self.status.code(), Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_failure(&self) -> &Self {
        assert_eq!(self.status.code(), Some(1), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_killed_by(&self, signal: i32) -> &Self {
        assert_eq!(self.status.signal(), Some(signal), "{self:?}");
        self
    }

    /// Checks that the whole standard output is these lines.
    #[track_caller]
    pub(crate) fn assert_lines(&self, lines: &[&str]) -> &Self {
        let printed: Vec<&str> = self.stdout.lines().collect();
        assert_eq!(printed, lines, "stderr: {}", self.stderr);
        self
    }

    /// Checks that the standard output is these lines, where `*` in a line stands for any text.
    #[track_caller]
    pub(crate) fn assert_like(&self, patterns: &[&str]) -> &Self {
        let printed: Vec<&str> = self.stdout.lines().collect();
        let fits = printed.len() == patterns.len()
            && printed.iter().zip(patterns).all(|(line, pattern)| is_like(line, pattern));
        assert!(fits, "printed:\n{}\nexpected:\n{}", self.stdout, patterns.join("\n"));
        self
    }
}

/// Says whether a line is as a pattern with at most one `*`.
fn is_like(line: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => line == pattern,
        Some((start, end)) => {
            line.len() >= start.len() + end.len() && line.starts_with(start) && line.ends_with(end)
        }
    }
}

/// Asks again and again until there is an answer, for what tells nobody that it has happened.
#[track_caller]
pub(crate) fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "what was waited for did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Says why a test cannot run here; with `REQUIRE_ALL=1` that is a failure.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("REQUIRE_ALL").is_none_or(|value| value != "1"), "cannot run here: {reason}");
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// The output of a process, collected by a thread.
pub(crate) struct Collected {
    state: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Collected {
    pub(crate) fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0u8; 4096];
            loop {
                let count = pipe.read(&mut chunk).unwrap_or(0);
                let mut state = shared.0.lock().unwrap();
                state.bytes.extend_from_slice(&chunk[..count]);
                state.is_over = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { state, thread: Some(thread) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.0.lock().unwrap().bytes).into_owned()
    }

    #[track_caller]
    pub(crate) fn wait(&self, text: &str, times: usize) {
        let has = |state: &State| String::from_utf8_lossy(&state.bytes).matches(text).count() >= times;
        let (state, _) = self
            .state
            .1
            .wait_timeout_while(self.state.0.lock().unwrap(), LIMIT, |state| !has(state) && !state.is_over)
            .unwrap();
        assert!(
            has(&state),
            "`{text}` did not appear {times} times in:\n{}",
            String::from_utf8_lossy(&state.bytes)
        );
    }

    /// Waits for the end of the output and gives all of it.
    pub(crate) fn rest(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.text()
    }
}
