//! How many requests a second a daemon answers.
//!
//! `cargo bench -p dinit-client --bench round_trips` starts a daemon of its own and prints a line for each way of
//! asking. The processor time is that of the daemon, for one request.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use dinit_client::Connection;
use dinit_protocol::{Handle, Request, ServiceName};
use dinit_trial::Trial;

/// How many requests are under way at once where they are not waited for.
const BATCH: usize = 64;

/// The services that are loaded for a list.
const SERVICES: usize = 1_000;

fn main() {
    // Without the flag that `cargo bench` gives, it is only shown that everything works.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let time = if is_measured { Duration::from_secs(2) } else { Duration::ZERO };
    let mut trial = Trial::new(&[("boot", "type = internal\n"), ("one", "type = internal\n")]);
    trial.start(&[]);
    let measure = Measure { trial: &trial, time };
    measure.rate("an echo without a daemon", 1, echo);
    measure.rate("version, one by one", 1, version);
    measure.rate("status, one by one", 1, status);
    measure.rate("status, two clients", 2, status);
    measure.rate("status, sixteen clients", 16, status);
    measure.rate("status, 64 at a time", 1, batch);
    load_services(&trial);
    measure.rate("list of 1,000 services", 1, list);
}

/// A way of asking: gives a function that asks once and says how many answers there were.
type Ask = Box<dyn FnMut() -> u64>;

struct Measure<'a> {
    trial: &'a Trial,
    time: Duration,
}

impl Measure<'_> {
    fn rate(&self, title: &str, clients: usize, ask: fn(&Trial) -> Ask) {
        let before = self.trial.processor_time();
        let start = Instant::now();
        let answers: u64 = thread::scope(|scope| {
            let clients: Vec<_> =
                (0..clients).map(|_| scope.spawn(|| repeat(self.time, ask(self.trial)))).collect();
            clients.into_iter().map(|client| client.join().expect("a client comes to its end")).sum()
        });
        let seconds = start.elapsed().as_secs_f64();
        let spent = self.trial.processor_time().saturating_sub(before);
        let rate = answers as f64 / seconds;
        let each = spent.as_secs_f64() * 1e6 / answers as f64;
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{title:28} {rate:12.0} requests/s {each:9.2} µs of the daemon each");
    }
}

fn repeat(time: Duration, mut ask: Ask) -> u64 {
    let (start, mut answers) = (Instant::now(), 0);
    loop {
        for _ in 0..16 {
            answers += ask();
        }
        if start.elapsed() >= time {
            return answers;
        }
    }
}

/// Sends as much to a thread that only sends it back: what the machine can do at most.
fn echo(_: &Trial) -> Ask {
    let (mut client, mut server) = UnixStream::pair().expect("there are sockets");
    thread::spawn(move || {
        let mut bytes = [0; 5];
        while server.read_exact(&mut bytes).is_ok() && server.write_all(&bytes).is_ok() {}
    });
    Box::new(move || {
        let mut bytes = [0; 5];
        client.write_all(&bytes).expect("the echo takes bytes");
        client.read_exact(&mut bytes).expect("the echo answers");
        1
    })
}

fn version(trial: &Trial) -> Ask {
    let mut daemon = trial.connect();
    Box::new(move || {
        daemon.request(&Request::QueryVersion).expect("the daemon answers");
        1
    })
}

fn status(trial: &Trial) -> Ask {
    let mut daemon = trial.connect();
    let service = loaded(&mut daemon);
    Box::new(move || {
        daemon.status(service).expect("the daemon answers");
        1
    })
}

fn batch(trial: &Trial) -> Ask {
    let mut daemon = trial.connect();
    let service = loaded(&mut daemon);
    let request = Request::QueryStatus { service, layout: daemon.status_layout() };
    Box::new(move || {
        daemon.send_all([&request; BATCH]).expect("the daemon takes requests");
        for _ in 0..BATCH {
            daemon.reply(request.status_layout()).expect("the daemon answers");
        }
        BATCH as u64
    })
}

fn list(trial: &Trial) -> Ask {
    let mut daemon = trial.connect();
    Box::new(move || {
        assert!(daemon.list().expect("the daemon answers").len() >= SERVICES);
        1
    })
}

fn loaded(daemon: &mut Connection) -> Handle {
    let name = ServiceName::new(b"one").expect("that is a name");
    daemon.load(&name).expect("the daemon answers").expect("there is such a service").handle
}

fn load_services(trial: &Trial) {
    let mut daemon = trial.connect();
    for number in 0..SERVICES {
        let name = format!("service-{number}");
        std::fs::write(trial.services().join(&name), "type = internal\n").expect("files can be written");
        let name = ServiceName::new(name.as_bytes()).expect("that is a name");
        daemon.load(&name).expect("the daemon answers").expect("there is such a service");
    }
}
