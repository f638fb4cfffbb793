//! A directory with the services of the examples, a daemon that runs them, and the program that is tried.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use dinit_client::Connection;
use dinit_protocol::{Reply, Request};
use dinit_sys::process::{send_signal, send_signal_to_group};

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

/// The signal that has a daemon shut down.
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// The services of the examples, and perhaps a daemon.
pub(crate) struct World {
    directory: tempfile::TempDir,
    daemon: Option<Child>,
}

impl World {
    pub(crate) fn without_daemon() -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap(), daemon: None };
        fs::create_dir_all(world.services().join("boot.d")).unwrap();
        for (name, text) in SERVICES {
            fs::write(world.services().join(name), text).unwrap();
        }
        world
    }

    pub(crate) fn with_daemon() -> Self {
        let mut world = Self::without_daemon();
        // The daemon says by descriptor 3 that it is ready; what it logs is of no interest here.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\" 3>&1 >/dev/null 2>&1", "sh"]).arg(daemon_program());
        command
            .args(["-u", "-q", "--ready-fd", "3", "-d"])
            .arg(world.services())
            .arg("-p")
            .arg(world.socket());
        command.env_remove("DINIT_SOCKET_PATH").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut daemon = command.spawn().unwrap();
        let mut ready = Vec::new();
        daemon.stdout.take().unwrap().read_to_end(&mut ready).unwrap();
        world.daemon = Some(daemon);
        assert_eq!(ready.last(), Some(&0), "the daemon does not come up");
        world
    }

    pub(crate) fn services(&self) -> PathBuf {
        self.directory.path().join("sd")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Gives where a link below the services leads, if there is one.
    pub(crate) fn link(&self, name: &str) -> Option<PathBuf> {
        fs::read_link(self.services().join(name)).ok()
    }

    fn run(&self, command: &str) -> Output {
        let command = self.fill_in(command);
        let mut program = Command::new(env!("CARGO_BIN_EXE_dinitctl"));
        program.args(command.split(' ')).env("DINIT_SOCKET_PATH", self.socket()).env("HOME", self.services());
        program.env_remove("DINITCTL_TEST_UNSET").stdin(Stdio::null()).output().unwrap()
    }

    fn fill_in(&self, text: &str) -> String {
        let (directory, socket) = (self.services(), self.socket());
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

    /// Asks the daemon for the environment of its services.
    pub(crate) fn environment(&self) -> Vec<String> {
        let mut connection = Connection::open(&self.socket()).unwrap();
        let Reply::Environment(environment) = connection.request(&Request::QueryEnvironment).unwrap() else {
            panic!("no environment")
        };
        environment
            .split(|byte| *byte == 0)
            .map(|entry| String::from_utf8_lossy(entry).into_owned())
            .collect()
    }
}

impl Drop for World {
    /// Ends the services' processes, so that none is left behind, and then the daemon.
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let list = String::from_utf8_lossy(&self.run("list").stdout).into_owned();
        for line in list.lines() {
            let pid = line.split("(pid: ").nth(1).and_then(|rest| rest.split(')').next()?.parse().ok());
            if let Some(pid) = pid {
                let _ = send_signal_to_group(pid, SIGKILL);
            }
        }
        let _ = send_signal(i32::try_from(daemon.id()).unwrap(), SIGTERM);
        let _ = daemon.wait();
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

/// Puts `N` in place of process ids.
fn without_process_ids(text: &str) -> String {
    let mut plain = text.to_owned();
    for label in ["(pid: ", "Process ID: "] {
        if let Some(start) = plain.find(label).map(|start| start + label.len()) {
            let length = plain[start..].bytes().take_while(u8::is_ascii_digit).count();
            assert!(length > 0, "no process id in {text}");
            plain.replace_range(start..start + length, "N");
        }
    }
    plain
}

/// Gives the daemon of this workspace, built as the program under test was.
fn daemon_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_dinitctl")).parent().unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let target = folder.parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "dinit", "--bin", "dinit", "--profile", profile]);
        cargo.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().unwrap().success(), "the daemon cannot be built");
        folder.join("dinit")
    })
}
