//! The services of the examples, a daemon that runs them, and monitors that watch it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use dinit_client::Connection;
use dinit_protocol::{Reply, Request};
use dinit_sys::process::send_signal;
use dinit_trial::Trial;

use crate::actions;
use crate::relay::Relay;

/// How long anything may take before the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const SIGKILL: i32 = 9;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dinit-monitor");

const SERVICES: &[(&str, &str)] = &[
    ("boot", "type = internal\n"),
    ("int1", "type = internal\n"),
    ("int2", "type = internal\n"),
    ("proc", "type = process\ncommand = /bin/sleep 1000\nrestart = false\n"),
    ("scrfail", "type = scripted\ncommand = /bin/sh -c \"exit 3\"\nrestart = false\n"),
    ("bad", "type = process\ncomand = /bin/true\n"),
    ("needs", "type = internal\ndepends-on = nosuch\n"),
];

/// What a monitor printed and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: i32,
}

/// A daemon with the services of the examples.
pub(crate) struct World {
    trial: Trial,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut trial = Trial::new(SERVICES);
        // Starting and stopping this service takes until its gate is opened.
        let gate = trial.path("gate");
        assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
        let step = format!("/bin/sh -c \"read line < {}\"", gate.display());
        let slow = format!("type = scripted\ncommand = {step}\nstop-command = {step}\nrestart = false\n");
        std::fs::write(trial.services().join("slow"), slow).unwrap();
        trial.start(&[("HOME", "/root"), ("FOO", "bar")]);
        Self { trial }
    }

    /// Gives a path in the directory of this world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.trial.path(name)
    }

    pub(crate) fn connect(&self) -> Connection {
        self.trial.connect()
    }

    /// Does something to the daemon and waits until it is done.
    #[track_caller]
    pub(crate) fn act(&self, action: &str) {
        actions::act(&mut self.connect(), action);
    }

    /// Lets the slow service get on.
    pub(crate) fn open_gate(&self) {
        std::fs::write(self.path("gate"), "\n").unwrap();
    }

    /// Gives two variables of the daemon's environment, in its own order.
    pub(crate) fn foo_and_home(&self) -> Vec<String> {
        let Reply::Environment(variables) = self.connect().request(&Request::QueryEnvironment).unwrap()
        else {
            panic!("no environment")
        };
        let variables: Vec<_> = String::from_utf8(variables)
            .unwrap()
            .split('\0')
            .filter(|variable| variable.starts_with("FOO=") || variable.starts_with("HOME="))
            .map(str::to_owned)
            .collect();
        assert_eq!(variables.len(), 2, "{variables:?}");
        variables
    }

    /// Has a shell start a monitor that is bound to end; the script finds it as its arguments.
    pub(crate) fn run_by(&self, script: &str, arguments: &[&str]) -> Ended {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "sh", PROGRAM]).args(arguments);
        wait(spawn(&mut shell, &self.trial.socket()))
    }

    /// Starts a monitor and waits until it has had as many answers, that about the version not counted.
    #[track_caller]
    pub(crate) fn monitor(&self, arguments: &[&str], answers: usize) -> Monitor {
        let path = self.path("relay");
        let relay = Relay::new(&path, &self.trial.socket(), answers + 1);
        let monitor = Monitor { child: start(arguments, &path), relay };
        monitor.relay.wait();
        monitor
    }
}

/// A monitor that watches a daemon.
pub(crate) struct Monitor {
    child: Child,
    relay: Relay,
}

impl Monitor {
    /// Waits until the monitor ends by itself.
    pub(crate) fn wait(self) -> Ended {
        wait(self.child)
    }

    /// Ends the connection behind all that the daemon has sent, and gives what was printed before that.
    #[track_caller]
    pub(crate) fn end(self) -> (String, String) {
        self.relay.end();
        let mut ended = wait(self.child);
        assert_eq!(ended.status, 1, "{ended:?}");
        let Some(err) = ended.err.strip_suffix("dinit-monitor: connection closed by server\n") else {
            panic!("the monitor did not see the end: {ended:?}")
        };
        ended.err = err.into();
        (ended.out, ended.err)
    }
}

/// Runs a monitor that is bound to end.
pub(crate) fn run(arguments: &[&str], socket: &Path) -> Ended {
    wait(start(arguments, socket))
}

fn start(arguments: &[&str], socket: &Path) -> Child {
    spawn(Command::new(PROGRAM).args(arguments), socket)
}

fn spawn(program: &mut Command, socket: &Path) -> Child {
    program.env("DINIT_SOCKET_PATH", socket).stdin(Stdio::null());
    program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait(child: Child) -> Ended {
    let pid = i32::try_from(child.id()).unwrap();
    let (ended, end) = channel::<()>();
    let guard = thread::spawn(move || {
        if end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            let _ = send_signal(pid, SIGKILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    guard.join().unwrap();
    Ended {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code().expect("the monitor ends by itself"),
    }
}
