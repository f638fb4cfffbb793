//! The recorded exchanges of `dinit-protocol`, replayed against a real daemon: its answers are the same, byte for
//! byte but for process ids and times, whether a request comes in one piece or in many.

#[path = "../../protocol/tests/wire/recording.rs"]
mod recording;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use dinit_client::Connection;
use dinit_protocol::{
    CommandFlags, Decoded, DependencyKind, DependencyRequest, Detail, Handle, Info, Reply, ReplyPacket,
    Request, ServiceEvent, ServiceName, Status, StatusLayout, Timestamp, decode_packet, decode_request,
};
use dinit_trial::Trial;

use recording::{Exchange, Step, exchanges};

/// How long an answer may take before the test fails.
const LIMIT: Duration = Duration::from_secs(60);

const SERVICES: &[(&str, &str)] = &[
    ("boot", "type = internal\n"),
    ("int1", "type = internal\n"),
    ("int2", "type = internal\n"),
    ("proc", "type = process\ncommand = /bin/sleep 1000\nrestart = false\n"),
    ("dep", "type = internal\ndepends-on = proc\n"),
    ("milestone", "type = internal\ndepends-ms = int1\n"),
    ("trig", "type = triggered\n"),
    ("buf", "type = scripted\ncommand = /bin/sh -c \"echo hello; echo world\"\nlog-type = buffer\n"),
    ("execfail", "type = process\ncommand = /nonexistent/prog\nrestart = false\n"),
    ("scrfail", "type = scripted\ncommand = /bin/sh -c \"exit 3\"\nrestart = false\n"),
    ("timeo", "type = scripted\ncommand = /bin/sleep 1000\nstart-timeout = 0.1\nrestart = false\n"),
    ("term", "type = process\ncommand = /bin/sh -c \"exit 5\"\nrestart = false\n"),
    ("bad", "comand = /bin/true\n"),
    ("needsbad", "type = internal\ndepends-on = bad\n"),
];

/// What an exchange takes for granted, by its number: what is loaded, in the order of handles, and what is done then.
///
/// Not here are 17, which has paths in it, 30, whose start must be ended at a certain moment (`dinit/daemon` has both),
/// and 34, which is about another daemon.
const BEFORE: &[(usize, &[&str], &[&str])] = &[
    (1, &[], &[]),
    (2, &[], &[]),
    (3, &[], &[]),
    (4, &[], &[]),
    (5, &["proc"], &[]),
    (6, &["proc"], &[]),
    (7, &["proc"], &["start 0"]),
    (8, &["proc", "int1"], &[]),
    (9, &["proc", "int1"], &["other dep", "await 0"]),
    (10, &["proc", "int1"], &["start 1"]),
    (11, &["proc", "dep"], &["start 1"]),
    (12, &["proc", "int1", "execfail"], &[]),
    (13, &["proc", "int1", "execfail", "scrfail"], &[]),
    (14, &["timeo"], &["begin 0"]),
    (15, &["term"], &["start 0"]),
    (16, &["proc", "dep"], &["start 1", "stop 0"]),
    (18, &[], &[]),
    (19, &["trig", "int1"], &[]),
    (20, &["proc", "int1", "buf"], &["start 2"]),
    (21, &["boot", "int1", "int2", "proc"], &["start 3"]),
    (22, &["boot", "int1", "int2", "proc"], &[]),
    (23, &["proc", "int1", "dep", "trig", "int2"], &[]),
    (24, &["proc", "int1", "dep", "trig", "int2", "boot"], &[]),
    (25, &["proc", "int1", "dep", "trig", "int2", "boot"], &["enable 1", "enable 4"]),
    (26, &["int1"], &["other int1", "await 0"]),
    (27, &[], &[]),
    (28, &[], &[]),
    (29, &[], &[]),
    (31, &[], &[]),
    (32, &["proc", "int2", "int1"], &["other milestone", "await 2"]),
    (33, &["boot", "int1", "int2", "dep", "proc"], &["start 3"]),
];

/// A connection as bytes, and another client that the daemon serves meanwhile.
struct Talk<'a> {
    trial: &'a Trial,
    stream: UnixStream,
    arrived: Vec<u8>,
    layout: StatusLayout,
    other: Connection,
}

impl<'a> Talk<'a> {
    fn new(trial: &'a Trial) -> Self {
        let stream = UnixStream::connect(trial.socket()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let layout = StatusLayout::V6;
        Self { trial, stream, arrived: Vec::new(), layout, other: trial.connect() }
    }

    fn prepare(&mut self, services: &[&str], actions: &[&str]) {
        for name in services {
            let name = ServiceName::new(name.as_bytes()).unwrap();
            assert!(matches!(self.ask(&Request::LoadService { name }), Reply::ServiceRecord { .. }));
        }
        for action in actions {
            let (verb, object) = action.split_once(' ').unwrap();
            let service = || Handle(object.parse().unwrap());
            let flags = CommandFlags::NONE;
            match verb {
                "begin" => assert_eq!(self.ask(&Request::Start { service: service(), flags }), Reply::Ack),
                "start" => self.change(&Request::Start { service: service(), flags }, ServiceEvent::Started),
                "stop" => self.change(&Request::Stop { service: service(), flags }, ServiceEvent::Stopped),
                "await" => while !self.hear_info(service(), ServiceEvent::Started) {},
                "enable" => {
                    let (kind, from, to) = (DependencyKind::WaitsFor, Handle(5), service());
                    let request = Request::Enable(DependencyRequest { kind, from, to });
                    assert_eq!(self.ask(&request), Reply::Ack);
                }
                "other" => self.start_by_another(object),
                _ => panic!("unknown action {action}"),
            }
        }
    }

    /// Asks, and passes over news.
    fn ask(&mut self, request: &Request) -> Reply {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.send(&bytes, bytes.len());
        loop {
            if let ReplyPacket::Reply(reply) = self.hear().1 {
                return reply;
            }
        }
    }

    /// Asks for a service to be started or stopped, and waits until that is done; whatever comes first.
    fn change(&mut self, request: &Request, wanted: ServiceEvent) {
        let (Request::Start { service, .. } | Request::Stop { service, .. }) = *request else { return };
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.send(&bytes, bytes.len());
        let (mut is_answered, mut is_done) = (false, false);
        while !(is_answered && is_done) {
            match self.hear().1 {
                ReplyPacket::Reply(_) => is_answered = true,
                ReplyPacket::Info(info) => is_done |= is_event(&info, service, wanted),
            }
        }
    }

    fn start_by_another(&mut self, name: &str) {
        let name = ServiceName::new(name.as_bytes()).unwrap();
        let service = self.other.load(&name).unwrap().unwrap().handle;
        let start = Request::Start { service, flags: CommandFlags::NONE };
        self.other.request(&start).unwrap();
        let deadline = Some(Instant::now() + LIMIT);
        loop {
            let info = self.other.event(deadline).unwrap().expect("there is an event in time");
            if is_event(&info, service, ServiceEvent::Started) {
                return;
            }
        }
    }

    /// Sends bytes in pieces of a size, each of which the daemon has seen before the next one comes.
    fn send(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size.max(1)) {
            self.stream.write_all(piece).unwrap();
            if piece.len() < bytes.len() {
                self.pause();
            }
        }
    }

    /// Waits until the daemon has looked at what was sent: another client gets an answer later than that.
    fn pause(&mut self) {
        for _ in 0..2 {
            self.other.request(&Request::QueryVersion).unwrap();
        }
    }

    fn hear_info(&mut self, service: Handle, event: ServiceEvent) -> bool {
        matches!(self.hear().1, ReplyPacket::Info(info) if is_event(&info, service, event))
    }

    /// Receives a packet.
    fn hear(&mut self) -> (Vec<u8>, ReplyPacket) {
        loop {
            if let Decoded::Packet { packet, used } = decode_packet(&self.arrived, self.layout).unwrap() {
                return (self.arrived.drain(..used).collect(), packet);
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the daemon has closed the connection");
            self.arrived.extend_from_slice(&chunk[..count]);
        }
    }

    fn replay(&mut self, exchange: &Exchange, size: usize) {
        let title = &exchange.title;
        for step in &exchange.steps {
            match step {
                Step::Client(bytes) => {
                    if let Ok(Decoded::Packet { packet, .. }) =
                        decode_request(bytes, exchange.daemon_version())
                    {
                        self.layout = packet.status_layout();
                    }
                    self.send(bytes, size);
                }
                Step::Server(bytes, false) if bytes.is_empty() => {
                    self.pause();
                    self.stream.set_nonblocking(true).unwrap();
                    let nothing = self.stream.read(&mut [0]).map_err(|error| error.kind());
                    assert_eq!(nothing, Err(ErrorKind::WouldBlock), "{title}");
                    self.stream.set_nonblocking(false).unwrap();
                }
                Step::Server(bytes, true) => {
                    let heard = self.hear().0;
                    assert!(
                        heard.starts_with(bytes),
                        "{title}: {heard:02x?} does not begin with {bytes:02x?}"
                    );
                }
                Step::Server(bytes, false) => self.compare(bytes, title),
                Step::End => {
                    assert_eq!((self.arrived.len(), self.stream.read(&mut [0]).unwrap()), (0, 0), "{title}");
                    *self = Self::new(self.trial);
                }
            }
        }
        assert!(self.arrived.is_empty(), "{title}: {:02x?} came too", self.arrived);
    }

    /// Receives as many packets as were recorded, and compares them.
    fn compare(&mut self, mut recorded: &[u8], title: &str) {
        while !recorded.is_empty() {
            let Ok(Decoded::Packet { packet, used }) = decode_packet(recorded, self.layout) else {
                panic!("{title}: {recorded:02x?} is no packet")
            };
            let (bytes, heard) = self.hear();
            assert_eq!(masked(heard), masked(packet), "{title}");
            assert_eq!(bytes.len(), used, "{title}");
            recorded = &recorded[used..];
        }
    }
}

fn is_event(info: &Info, of: Handle, wanted: ServiceEvent) -> bool {
    // The second of the two packets for each event.
    matches!(info, Info::ServiceEvent { service, event, .. } if (*service, *event) == (of, wanted))
}

/// Gives the bytes of a packet with process id and time taken out, which differ from run to run.
fn masked(mut packet: ReplyPacket) -> Vec<u8> {
    let mask = |status: &mut Status| {
        if let Detail::Process(pid) = &mut status.detail {
            *pid = 0;
        }
        status.modified = status.modified.map(|_| Timestamp::default());
    };
    let mut bytes = Vec::new();
    match &mut packet {
        ReplyPacket::Reply(reply) => {
            if let Reply::Status { status, .. } | Reply::ServiceInfo { status, .. } = reply {
                mask(status);
            }
            reply.encode(&mut bytes);
        }
        ReplyPacket::Info(info) => {
            match info {
                Info::ServiceEvent { status: Some(status), .. } | Info::ServiceEvent5 { status, .. } => {
                    mask(status)
                }
                Info::ServiceEvent { status: None, .. } | Info::Environment { .. } | Info::Other { .. } => {}
            }
            info.encode(&mut bytes);
        }
    }
    bytes
}

/// Replays every exchange with a daemon of its own, each request in pieces of a size.
fn replay_in_pieces_of(size: usize) {
    for mut exchange in exchanges() {
        let before = BEFORE.iter().find(|(number, ..)| *number == exchange.number);
        let Some((number, services, actions)) = before else {
            assert!(matches!(exchange.number, 17 | 30 | 34), "{} has nothing before it", exchange.title);
            continue;
        };
        if *number == 31 {
            // Two copies of an event, whose order is free: ours is that of the handles.
            let last = exchange.steps.len() - 4;
            exchange.steps[last..].rotate_left(2);
        }
        let mut trial = Trial::new(SERVICES);
        trial.start(&[("FOO", "bar")]);
        let mut talk = Talk::new(&trial);
        talk.prepare(services, actions);
        talk.replay(&exchange, size);
    }
}

#[test]
fn recorded_requests_are_answered_as_recorded() {
    replay_in_pieces_of(usize::MAX);
}

#[test]
fn recorded_requests_are_answered_as_recorded_when_they_come_byte_by_byte() {
    replay_in_pieces_of(1);
}

#[test]
fn recorded_requests_are_answered_as_recorded_when_they_come_in_threes() {
    replay_in_pieces_of(3);
}
