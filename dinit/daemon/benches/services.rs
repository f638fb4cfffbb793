//! What starting many services costs the daemon in processor time and memory of its own, and how fast it answers.
//!
//! `cargo bench -p dinit --bench services -- [--program PATH] [--baseline PATH]` prints a line for each set of services
//! and each way of asking; with a baseline, another dinit, side by side with the ratio. The image profile is the one to compare with:
//! `--profile image`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A set of services, all of them wanted by `boot`.
struct Set {
    title: &'static str,
    description: &'static str,
    count: usize,
}

const SETS: [Set; 6] = [
    Set { title: "boot only", description: "", count: 0 },
    Set { title: "internal", description: "type = internal\n", count: 1_000 },
    Set { title: "internal", description: "type = internal\n", count: 10_000 },
    Set { title: "scripted", description: "type = scripted\ncommand = /bin/true\n", count: 1_000 },
    Set { title: "scripted", description: "type = scripted\ncommand = /bin/true\n", count: 5_000 },
    Set { title: "failing", description: "type = scripted\ncommand = /nonexistent\n", count: 1_000 },
];

/// How many requests a client has sent and not seen answered.
const WINDOWS: [(&str, usize); 3] = [("one by one", 1), ("eight at a time", 8), ("64 at a time", 64)];

/// How many requests are made to find out how fast they are answered.
const REQUESTS: usize = 100_000;

/// The request for the version, and how long its answer is.
const ASK: u8 = 0;
const ANSWER: usize = 5;

/// How often each figure is taken; the least counts.
const ROUNDS: usize = 3;

/// What one start came to.
#[derive(Clone, Copy)]
struct Figures {
    /// Processor time of the daemon in milliseconds, its children not counted.
    milliseconds: f64,
    /// Anonymous memory in KiB.
    memory: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).map(PathBuf::from)
    };
    let program = option("--program").unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_dinit")));
    let baseline = option("--baseline");
    let mut out = std::io::stdout().lock();
    for set in &SETS {
        let ours = best(&program, set);
        let name = format!("{} {}", set.count, set.title);
        let _ = write!(out, "{name:16} {:9.1} ms CPU {:7} KiB", ours.milliseconds, ours.memory);
        if let Some(baseline) = &baseline {
            let theirs = best(baseline, set);
            let _ = write!(
                out,
                "   baseline {:9.1} ms {:7} KiB   ratio {:.2} {:.2}",
                theirs.milliseconds,
                theirs.memory,
                ours.milliseconds / theirs.milliseconds,
                ours.memory as f64 / theirs.memory as f64,
            );
        }
        let _ = writeln!(out);
    }
    for (title, window) in WINDOWS {
        let ours = most_answers(&program, window);
        let _ = write!(out, "{title:16} {ours:9.0} answers/s");
        if let Some(baseline) = &baseline {
            let theirs = most_answers(baseline, window);
            let _ = write!(out, "   baseline {theirs:9.0} answers/s   ratio {:.2}", ours / theirs);
        }
        let _ = writeln!(out);
    }
}

fn best(program: &Path, set: &Set) -> Figures {
    (0..ROUNDS)
        .map(|_| measure(program, set))
        .reduce(|a, b| Figures {
            milliseconds: a.milliseconds.min(b.milliseconds),
            memory: a.memory.min(b.memory),
        })
        .expect("there is at least one round")
}

fn measure(program: &Path, set: &Set) -> Figures {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let daemon = start(program, set, directory.path());
    // Of two measurements that agree the daemon has come to rest in between.
    let mut last = daemon.nanoseconds();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let now = daemon.nanoseconds();
        if now == last {
            return Figures { milliseconds: now as f64 / 1e6, memory: daemon.anonymous_memory() };
        }
        last = now;
    }
}

fn most_answers(program: &Path, window: usize) -> f64 {
    (0..ROUNDS).map(|_| answers(program, window)).fold(0.0, f64::max)
}

/// Answers a second to one client that has so many requests under way.
fn answers(program: &Path, window: usize) -> f64 {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let _daemon = start(program, &SETS[0], directory.path());
    let mut client = UnixStream::connect(directory.path().join("socket")).expect("the daemon listens");
    let begin = Instant::now();
    let (mut asked, mut received, mut buffer) = (0, 0, [0; 4096]);
    while received < REQUESTS * ANSWER {
        let more = (received / ANSWER + window).min(REQUESTS) - asked;
        client.write_all(&vec![ASK; more]).expect("requests can be sent");
        asked += more;
        let count = client.read(&mut buffer).expect("answers can be read");
        assert!(count > 0, "the daemon has closed the connection");
        received += count;
    }
    REQUESTS as f64 / begin.elapsed().as_secs_f64()
}

/// Starts a daemon in a directory, and waits until all of a set has started.
fn start(program: &Path, set: &Set, directory: &Path) -> Daemon {
    let services = directory.join("d");
    let wanted = services.join("wanted");
    std::fs::create_dir_all(&wanted).expect("directories can be made");
    for number in 0..set.count {
        let name = format!("service-{number}");
        std::fs::write(services.join(&name), set.description).expect("files can be written");
        std::fs::write(wanted.join(&name), "").expect("files can be written");
    }
    std::fs::write(services.join("boot"), "type = internal\nwaits-for.d = wanted\n")
        .expect("files can be written");
    // A file takes all that is printed; a pipe would lose lines while its reader sleeps.
    let printed = directory.join("printed");
    let output = std::fs::File::create(&printed).expect("a file can be made");
    let daemon = Daemon(
        Command::new(program)
            .args(["-u", "-d"])
            .arg(&services)
            .arg("-p")
            .arg(directory.join("socket"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .expect("the program can be run"),
    );
    while !std::fs::read(&printed).is_ok_and(|text| text.ends_with(b"[  OK  ] boot\n")) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    daemon
}

/// A daemon that is killed when it is no longer looked at.
struct Daemon(Child);

impl Daemon {
    fn nanoseconds(&self) -> u64 {
        self.read("schedstat").split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn anonymous_memory(&self) -> u64 {
        let text = self.read("smaps_rollup");
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
