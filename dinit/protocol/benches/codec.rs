//! How many packets a second can be written and read.
//!
//! `cargo bench -p dinit-protocol --bench codec` prints a line for each kind of packet. Encoding goes to a buffer
//! that is there already, as in a daemon; decoding makes what the packet holds.

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use dinit_protocol::{
    CommandFlags, Decoded, Detail, Handle, ListLayout, Reply, Request, ServiceEvent, ServiceName,
    ServiceState, Status, StatusLayout, TargetState, Timestamp, Version, decode_packet, decode_request,
    encode_service_event,
};

/// How often each figure is taken; the best counts.
const ROUNDS: u32 = 5;

/// The services of a list.
const SERVICES: usize = 1_000;

fn main() {
    // Without the flag that `cargo bench` gives, it is only shown that everything works.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let time = if is_measured { Duration::from_millis(200) } else { Duration::ZERO };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{:28} {:>12} {:>16} {:>16}", "packet", "bytes each", "written/s", "read/s");
    for case in cases() {
        let mut bytes = Vec::new();
        (case.write)(&mut bytes);
        let written = rate(time, || {
            bytes.clear();
            (case.write)(&mut bytes);
            black_box(&bytes);
        });
        let read = rate(time, || (case.read)(black_box(&bytes)));
        let count = case.packets as f64;
        let (each, written, read) = (bytes.len() / case.packets, written * count, read * count);
        let _ = writeln!(out, "{:28} {each:12} {written:16.0} {read:16.0}", case.title);
    }
}

/// Appends the packets to a buffer.
type Write = Box<dyn Fn(&mut Vec<u8>)>;

/// A stream of packets.
struct Case {
    title: &'static str,
    packets: usize,
    write: Write,
    read: fn(&[u8]),
}

fn cases() -> Vec<Case> {
    let request = |title, request: Request| Case {
        title,
        packets: 1,
        write: Box::new(move |out| request.encode(out)),
        read: read_requests,
    };
    let reply = |title, packets, replies: Vec<Reply>| Case {
        title,
        packets,
        write: Box::new(move |out| replies.iter().for_each(|reply| reply.encode(out))),
        read: read_answers,
    };
    let service = Handle(7);
    let listed = Reply::ServiceInfo { layout: ListLayout::V5, status: status(), name: b"a-service".to_vec() };
    vec![
        request("request: status", Request::QueryStatus { service, layout: StatusLayout::V6 }),
        request("request: start", Request::Start { service, flags: CommandFlags::PRE_ACK }),
        request("request: load", Request::LoadService { name: name() }),
        reply("reply: ack", 1, vec![Reply::Ack]),
        reply(
            "reply: status",
            1,
            vec![Reply::Status { layout: StatusLayout::V6, existed: false, status: status() }],
        ),
        reply("reply: list of 1,000", SERVICES, vec![listed; SERVICES]),
        reply("reply: 64 KiB of log", 1, vec![Reply::Log(vec![b'x'; 64 << 10])]),
        Case {
            title: "event, both packets",
            packets: 1,
            write: Box::new(move |out| encode_service_event(service, ServiceEvent::Started, &status(), out)),
            read: read_answers,
        },
    ]
}

fn name() -> ServiceName {
    ServiceName::new(b"a-service").expect("that is a name")
}

fn status() -> Status {
    Status {
        state: ServiceState::Started,
        target: TargetState::Started,
        activated: true,
        detail: Detail::Process(4711),
        modified: Some(Timestamp { seconds: 1_795_341_067, nanoseconds: 310_066_979 }),
        ..Status::NEVER_STARTED
    }
}

fn read_requests(mut bytes: &[u8]) {
    while let Ok(Decoded::Packet { packet, used }) = decode_request(bytes, Version::CURRENT) {
        black_box(packet);
        bytes = bytes.get(used..).unwrap_or_default();
    }
    assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
}

fn read_answers(mut bytes: &[u8]) {
    // A list comes in the older layout for this, everything else in the newest.
    while let Ok(Decoded::Packet { packet, used }) = decode_packet(bytes, StatusLayout::V6) {
        black_box(packet);
        bytes = bytes.get(used..).unwrap_or_default();
    }
    assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
}

/// Gives how often something can be done in a second.
fn rate(time: Duration, mut work: impl FnMut()) -> f64 {
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let (start, mut count) = (Instant::now(), 0_u32);
        let taken = loop {
            for _ in 0..64 {
                work();
            }
            count += 64;
            let taken = start.elapsed();
            if taken >= time {
                break taken;
            }
        };
        best = best.max(f64::from(count) / taken.as_secs_f64());
    }
    best
}
