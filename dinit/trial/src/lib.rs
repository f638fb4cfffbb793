//! A daemon in a directory of its own, to try programs against. For tests only: whatever goes wrong is a panic.
//!
//! The daemon is the one of this workspace, built in the profile that the test is built in, and it runs as an
//! ordinary process of a user. What a test has started is gone when the [`Trial`] is dropped. For what no daemon of
//! today does there is a [`scripted`] one.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use dinit_client::Connection;
use dinit_protocol::Detail;
use dinit_sys::process::{send_signal, send_signal_to_group};

/// The signal that has a daemon shut down.
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// A directory with services, and perhaps a daemon that runs them.
#[derive(Debug)]
pub struct Trial {
    directory: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Trial {
    /// Makes a directory with services, each given by its name and its description.
    pub fn new(services: &[(&str, &str)]) -> Self {
        let trial = Self { directory: tempfile::tempdir().unwrap(), daemon: None };
        fs::create_dir(trial.services()).unwrap();
        for (name, text) in services {
            fs::write(trial.services().join(name), text).unwrap();
        }
        trial
    }

    /// Gives a path in the directory of this trial.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Gives the directory of the services.
    pub fn services(&self) -> PathBuf {
        self.path("sd")
    }

    /// Gives the path of the daemon's control socket, which is there once there is a daemon.
    pub fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    /// Starts the daemon with these variables in its environment and no others, and waits until it is ready.
    pub fn start(&mut self, variables: &[(&str, &str)]) {
        // The daemon says by descriptor 3 that it is ready; what it logs is of no interest here.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec env -i \"$@\" 3>&1 >/dev/null 2>&1", "sh"]);
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.arg(daemon_program()).args(["-u", "-q", "--ready-fd", "3", "-d"]).arg(self.services());
        command.arg("-p").arg(self.socket()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut daemon = command.spawn().unwrap();
        let mut ready = Vec::new();
        daemon.stdout.take().unwrap().read_to_end(&mut ready).unwrap();
        self.daemon = Some(daemon);
        assert_eq!(ready.last(), Some(&0), "the daemon does not come up");
    }

    /// Connects to the daemon.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.socket()).unwrap()
    }

    /// Gives the number of descriptors that the daemon has open.
    pub fn open_descriptors(&self) -> usize {
        fs::read_dir(self.process_file("fd")).unwrap().count()
    }

    /// Gives the processor time that the daemon has spent.
    pub fn processor_time(&self) -> Duration {
        let statistics = fs::read_to_string(self.process_file("schedstat")).unwrap();
        let nanoseconds = statistics.split(' ').next().unwrap().parse().unwrap();
        Duration::from_nanos(nanoseconds)
    }

    fn process_file(&self, name: &str) -> String {
        let pid = self.daemon.as_ref().expect("there is a daemon").id();
        format!("/proc/{pid}/{name}")
    }

    fn process_ids(&self) -> Vec<i32> {
        let services = Connection::open(&self.socket()).and_then(|mut daemon| daemon.list());
        let pid = |detail| match detail {
            Detail::Process(pid) => Some(pid),
            _ => None,
        };
        services.unwrap_or_default().into_iter().filter_map(|service| pid(service.status.detail)).collect()
    }
}

impl Drop for Trial {
    /// Ends the services' processes, so that none is left behind, and then the daemon.
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        for pid in self.process_ids() {
            let _ = send_signal_to_group(pid, SIGKILL);
        }
        if let Ok(pid) = i32::try_from(daemon.id()) {
            let _ = send_signal(pid, SIGTERM);
        }
        let _ = daemon.wait();
    }
}

/// Makes a stream to a daemon that has learned its answers by heart: it reads something, sends the next answer byte by
/// byte, and closes after the last. The thread gives what it has read.
pub fn scripted(answers: &[impl AsRef<[u8]>]) -> (UnixStream, JoinHandle<Vec<u8>>) {
    let (client, server) = UnixStream::pair().unwrap();
    (client, recite(answers, || server))
}

/// As [`scripted`], for one client that connects to a socket at a path.
pub fn scripted_at(path: &Path, answers: &[impl AsRef<[u8]>]) -> JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(path).unwrap();
    recite(answers, move || listener.accept().unwrap().0)
}

fn recite(
    answers: &[impl AsRef<[u8]>],
    admit: impl FnOnce() -> UnixStream + Send + 'static,
) -> JoinHandle<Vec<u8>> {
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.as_ref().to_vec()).collect();
    std::thread::spawn(move || {
        let mut server = admit();
        let mut received = Vec::new();
        for answer in answers {
            let mut chunk = [0; 64];
            let count = server.read(&mut chunk).unwrap();
            received.extend_from_slice(&chunk[..count]);
            // A client that has heard enough may be gone.
            let _ = answer.chunks(1).try_for_each(|byte| server.write_all(byte));
        }
        received
    })
}

/// Gives the daemon of this workspace, built as the running test was.
fn daemon_program() -> &'static Path {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build_daemon).as_deref().expect("the daemon can be built")
}

fn build_daemon() -> Option<PathBuf> {
    // Tests are in the folder `deps` of the folder with the programs.
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "dinit", "--bin", "dinit", "--profile", profile]);
    cargo.arg("--target-dir").arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.status().unwrap().success().then(|| folder.join("dinit"))
}
