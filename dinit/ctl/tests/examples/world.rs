//! A directory with the services of the examples, a daemon that runs them, and the program that is tried.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use dinit_protocol::{Reply, Request};
use dinit_trial::Trial;

const SERVICES: &[(&str, &str)] = &[
    ("boot", "type = internal\nwaits-for.d = boot.d\n"),
    ("proc", "type = process\ncommand = /bin/sleep 1000\nrestart = false\n"),
    ("dep", "type = internal\ndepends-on = proc\n"),
    ("slow", "type = scripted\ncommand = /bin/sleep 1000\nstop-command = /bin/sleep 1000\nrestart = false\n"),
    ("scrfail", "type = scripted\ncommand = /bin/sh -c \"exit 3\"\nrestart = false\n"),
    ("execfail", "type = process\ncommand = /nonexistent/prog\nrestart = false\n"),
    ("timeo", "type = scripted\ncommand = /bin/sleep 100\nstart-timeout = 0.1\nrestart = false\n"),
    ("depfail", "type = internal\ndepends-on = scrfail\n"),
    ("term", "type = process\ncommand = /bin/sh -c \"sleep 0.1; exit 5\"\nrestart = false\n"),
    ("int1", "type = internal\n"),
    ("int2", "type = internal\n"),
    ("soft", "type = internal\nwaits-for = int2\n"),
    ("trig", "type = triggered\n"),
    (
        "buf",
        "type = process\ncommand = /bin/sh -c \"echo hello; echo -n partial; exec sleep 1000\"\n\
         log-type = buffer\nrestart = false\n",
    ),
    ("bad", "type = process\ncomand = /bin/true\n"),
    ("nowfd", "type = internal\n"),
    ("via", "type = internal\n@meta enable-via nowfd\n"),
];

/// The services of the examples, and perhaps a daemon.
pub(crate) struct World {
    trial: Trial,
}

impl World {
    pub(crate) fn without_daemon() -> Self {
        let world = Self { trial: Trial::new(SERVICES) };
        fs::create_dir(world.services().join("boot.d")).unwrap();
        world
    }

    pub(crate) fn with_daemon() -> Self {
        let mut world = Self::without_daemon();
        world.trial.start(&[]);
        world
    }

    pub(crate) fn services(&self) -> PathBuf {
        self.trial.services()
    }

    /// Writes one more description, or another one.
    pub(crate) fn describe(&self, name: &str, text: &str) {
        fs::write(self.services().join(name), text).unwrap();
    }

    /// Gives where a link below the services leads, if there is one.
    pub(crate) fn link(&self, name: &str) -> Option<PathBuf> {
        fs::read_link(self.services().join(name)).ok()
    }

    /// Makes a socket in the place of the daemon's; nobody listens at it once it is dropped.
    pub(crate) fn dead_socket(&self) -> UnixListener {
        UnixListener::bind(self.trial.socket()).unwrap()
    }

    fn run(&self, command: &str) -> Output {
        let command = self.fill_in(command);
        let mut program = Command::new(env!("CARGO_BIN_EXE_dinitctl"));
        program
            .args(command.split(' '))
            .env("DINIT_SOCKET_PATH", self.trial.socket())
            .env("HOME", self.services());
        program.env_remove("DINITCTL_TEST_UNSET").stdin(Stdio::null()).output().unwrap()
    }

    fn fill_in(&self, text: &str) -> String {
        let (directory, socket) = (self.services(), self.trial.socket());
        text.replace("$D", directory.to_str().unwrap()).replace("$S", socket.to_str().unwrap())
    }

    /// Does something that an example takes for granted.
    #[track_caller]
    pub(crate) fn prepare(&self, step: &str) {
        match step.split(' ').collect::<Vec<_>>()[..] {
            ["await", service, text] if service.ends_with(':') => {
                let catlog = format!("catlog {}", service.trim_end_matches(':'));
                wait_until(|| String::from_utf8_lossy(&self.run(&catlog).stdout).contains(text));
            }
            ["await", service, state] => {
                let question = format!("is-started {service}");
                wait_until(|| self.run(&question).stdout == format!("{state}\n").as_bytes());
            }
            ["touch", service] => {
                let file = fs::File::options().write(true).open(self.services().join(service)).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
            }
            ["fail", service] => {
                assert_eq!(self.run(&format!("start {service}")).status.code(), Some(1), "{step}");
            }
            _ => {
                let output = self.run(step);
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{step}: {errors}");
            }
        }
    }

    /// Runs the program and compares all that comes of it.
    #[track_caller]
    pub(crate) fn check(&self, command: &str, out: &str, err: &str, status: i32) {
        let output = self.run(command);
        let printed = without_process_ids(&String::from_utf8(output.stdout).unwrap());
        let errors = String::from_utf8(output.stderr).unwrap();
        let expected = (self.fill_in(out), self.fill_in(err), Some(status));
        assert_eq!((printed, errors, output.status.code()), expected, "dinitctl {command}");
    }

    /// Runs the program, and gives what it prints, with `$D` for the directory of the services, and its status.
    pub(crate) fn seen(&self, command: &str) -> (String, i32) {
        let output = self.run(command);
        let printed = without_process_ids(&String::from_utf8(output.stdout).unwrap());
        let directory = self.services();
        (printed.replace(directory.to_str().unwrap(), "$D"), output.status.code().unwrap())
    }

    /// Asks the daemon for the environment of its services.
    pub(crate) fn environment(&self) -> Vec<String> {
        let mut connection = self.trial.connect();
        let Reply::Environment(environment) = connection.request(&Request::QueryEnvironment).unwrap() else {
            panic!("no environment")
        };
        environment
            .split(|byte| *byte == 0)
            .map(|entry| String::from_utf8_lossy(entry).into_owned())
            .collect()
    }
}

/// Waits for something that is bound to happen, for as long as a test may take.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come to that");
}

/// Puts `N` in place of process ids, and 0 in documents.
fn without_process_ids(text: &str) -> String {
    let mut plain = text.to_owned();
    for (label, stand_in) in [("(pid: ", "N"), ("Process ID: ", "N"), ("\"pid\":", "0")] {
        let mut from = 0;
        while let Some(start) = plain[from..].find(label).map(|start| from + start + label.len()) {
            let length = plain[start..].bytes().take_while(u8::is_ascii_digit).count();
            assert!(length > 0 || plain[start..].starts_with("null"), "no process id in {text}");
            if length > 0 {
                plain.replace_range(start..start + length, stand_in);
            }
            from = start;
        }
    }
    plain
}
