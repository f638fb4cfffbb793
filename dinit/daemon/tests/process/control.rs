//! The control socket as a client sees it: rows B39 and B40, handles, events, limits.

use crate::world::World;
use dinit_client::Connection;
use dinit_protocol::{
    CommandFlags, DependencyKind, DependencyRequest, EnvironmentChange, Handle, Info, Reply, Request,
    ServiceEvent, ServiceName, ServiceState, ShutdownKind, StopReason,
};
use nix::sys::socket::{MsgFlags, recv};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Loads a service and gives its handle.
pub(crate) fn handle(connection: &mut Connection, name: &str) -> Handle {
    connection.load(&ServiceName::new(name.as_bytes()).unwrap()).unwrap().unwrap().handle
}

/// Asks something.
pub(crate) fn request(connection: &mut Connection, request: &Request) -> Reply {
    connection.request(request).unwrap()
}

/// Waits for an event of a service.
pub(crate) fn await_event(connection: &mut Connection, handle: Handle, wanted: ServiceEvent) {
    loop {
        match connection.event(None).unwrap() {
            Some(Info::ServiceEvent5 { service, event, .. }) if service == handle && event == wanted => {
                return;
            }
            Some(_) => {}
            None => panic!("the connection ended before the event"),
        }
    }
}

const OK: &str = "type = internal\n";
const SLEEP: &str = "type = process\ncommand = /bin/sleep 1000\n";

#[test]
fn b39_a_reboot_ends_an_instance_by_the_interrupt_signal() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    assert_eq!(request(&mut world.connect(), &Request::Shutdown { kind: ShutdownKind::Reboot }), Reply::Ack);
    daemon.finish().assert_killed_by(libc::SIGINT).assert_lines(&["[  OK  ] ok", "[STOPPD] ok"]);
    assert!(!world.socket().exists());
}

#[test]
fn b40_other_shutdowns_end_an_instance_with_success() {
    for kind in [ShutdownKind::PowerOff, ShutdownKind::SoftReboot, ShutdownKind::Halt, ShutdownKind::Kexec] {
        let world = World::new();
        world.service("ok", OK);
        let daemon = world.start(&["ok"]);
        daemon.expect("[  OK  ] ok");
        assert_eq!(request(&mut world.connect(), &Request::Shutdown { kind }), Reply::Ack);
        daemon.finish().assert_success();
    }
}

#[test]
fn a_shutdown_of_kind_remain_keeps_the_daemon_and_its_socket() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    assert_eq!(request(&mut connection, &Request::Shutdown { kind: ShutdownKind::Remain }), Reply::Ack);
    daemon.expect("[STOPPD] ok");
    assert_eq!(world.connect().list().unwrap().len(), 1);
    let service = handle(&mut connection, "ok");
    let start = Request::Start { service, flags: CommandFlags::NONE };
    assert_eq!(request(&mut connection, &start), Reply::ShuttingDown);
    daemon.stop();
}

#[test]
fn news_that_a_request_causes_comes_before_its_answer() {
    let world = World::new();
    world.service("ok", OK).service("x", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    // Exchanges 3, 8 and 10 of the protocol's specification, byte by byte.
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.write_all(b"\x02\x01\x00x").unwrap();
    expect_bytes(&mut stream, "3b 00 00 00 00 00 00");
    stream.write_all(b"\x03\0\0\0\0\0").unwrap();
    expect_bytes(&mut stream, "65 15 00 00 00 00 00 02 02 08 00 00 00 00 00 00 00 00 00 00 00");
    expect_bytes(&mut stream, "64 11 00 00 00 00 00 02 02 08 00 00 00 00 00 00 00 3d");
    stream.write_all(b"\x04\x86\0\0\0\0").unwrap();
    expect_bytes(&mut stream, "4f 65 15 00 00 00 00 01 01 02 08 00 00 00 00 00 00 00 00 00 00 00");
    expect_bytes(&mut stream, "64 11 00 00 00 00 01 01 02 08 00 00 00 00 00 00 00");
    expect_bytes(&mut stream, "65 15 00 00 00 00 00 02 02 08 00 00 00 00 00 00 00 00 00 00 00");
    expect_bytes(&mut stream, "64 11 00 00 00 00 00 02 02 08 00 00 00 00 00 00 00 3d");
    daemon.stop();
}

fn expect_bytes(stream: &mut UnixStream, hexadecimal: &str) {
    let expected: Vec<u8> =
        hexadecimal.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_request_is_answered_once_and_ends_the_connection() {
    let world = World::new();
    world.service("ok", OK).service("x", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    // Exchange 28, and bad handles of exchange 27; requests behind them are not looked at.
    let wrong: [&[u8]; 12] = [
        b"\xc8\0",
        b"\x0a\0\0",
        b"\x0a\x09\0",
        b"\x02\x02\0.x\0",
        b"\x02\xfe\x03x",
        b"\x18\x01\0",
        b"\x11\0\0\0",
        b"\x11\x02\0=x",
        b"\x03\0\x09\0\0\0\0",
        b"\x17\x09\0\0\0\0",
        // Adding and enabling a dependency of a kind that cannot be asked for, each with two good handles.
        b"\x02\x02\0ok\x02\x01\0x\x0b\x01\0\0\0\0\x01\0\0\0",
        b"\x02\x02\0ok\x02\x01\0x\x0e\x05\0\0\0\0\x01\0\0\0",
    ];
    for bytes in wrong {
        let mut stream = UnixStream::connect(world.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        // Two loads are answered with seven bytes each.
        let loads = if bytes.len() > 10 { 14 } else { 0 };
        assert_eq!(answer.get(loads..), Some(&[52][..]), "{bytes:?}");
    }
    // What was refused was not done either: nothing keeps `x` from being unloaded.
    let mut connection = world.connect();
    let service = handle(&mut connection, "x");
    assert_eq!(request(&mut connection, &Request::Unload { service }), Reply::Ack);
    daemon.stop();
}

#[test]
fn a_request_that_arrives_byte_by_byte_is_understood() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    let mut other = world.connect();
    for byte in b"\x01\x02\0ok" {
        stream.write_all(&[*byte]).unwrap();
        // What another client is answered shows that the byte before was looked at.
        other.list().unwrap();
    }
    expect_bytes(&mut stream, "3b 02 00 00 00 00 02");
    // A split GETALLENV leaves nothing behind that the next request would stumble over (CP 7.14).
    for byte in [0x18, 0] {
        stream.write_all(&[byte]).unwrap();
        other.list().unwrap();
    }
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x4e);
    let size = usize::from_ne_bytes(head[1..].try_into().unwrap());
    stream.read_exact(&mut vec![0; size]).unwrap();
    stream.write_all(&[0]).unwrap();
    expect_bytes(&mut stream, "3a 01 00 07 00");
    daemon.stop();
}

#[test]
fn a_failed_launch_is_told_with_stage_and_error_number() {
    let world = World::new();
    world.service("ok", OK).service("x", "type = process\ncommand = /nonexistent\n");
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.write_all(b"\x02\x01\x00x\x03\0\0\0\0\0").unwrap();
    // Exchange 12.
    expect_bytes(&mut stream, "3b 00 00 00 00 00 00 32");
    expect_bytes(&mut stream, "65 15 00 00 00 00 02 03 00 00 04 12 00 02 00 00 00 00 00 00 00");
    expect_bytes(&mut stream, "64 11 00 00 00 00 02 03 00 00 04 12 00 02 00 00 00");
    expect_bytes(&mut stream, "65 15 00 00 00 00 01 00 00 00 04 12 00 02 00 00 00 00 00 00 00");
    daemon.stop();
}

#[test]
fn a_forced_stop_takes_the_dependents_along() {
    let world = World::new();
    world.service("x", SLEEP).service("top", "type = internal\ndepends-on = x\n").service("ok", OK);
    let daemon = world.start(&["ok", "top"]);
    daemon.expect("[  OK  ] top");
    let mut connection = world.connect();
    let (service, top) = (handle(&mut connection, "x"), handle(&mut connection, "top"));
    let gentle = Request::Stop { service, flags: CommandFlags::GENTLE };
    assert_eq!(request(&mut connection, &gentle), Reply::Dependents(vec![Handle(2)]));
    let forced = Request::Stop { service, flags: CommandFlags::NONE };
    assert_eq!(request(&mut connection, &forced), Reply::Ack);
    await_event(&mut connection, service, ServiceEvent::Stopped);
    let status = connection.status(top).unwrap();
    assert_eq!((status.state, status.reason), (ServiceState::Stopped, StopReason::DependencyFailed));
    daemon.stop();
}

#[test]
fn a_service_is_unloaded_and_reloaded_only_for_its_one_holder() {
    let world = World::new();
    world
        .service("ok", OK)
        .service("x", "type = scripted\ncommand = /bin/sh -c \"echo 1 >> out\"\nworking-dir = .\n");
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let (mut first, mut second) = (world.connect(), world.connect());
    let service = handle(&mut first, "x");
    let other = handle(&mut second, "x");
    assert_eq!(request(&mut first, &Request::Reload { service }), Reply::Nak);
    assert_eq!(request(&mut first, &Request::Unload { service }), Reply::Nak);
    assert_eq!(request(&mut second, &Request::CloseHandle { service: other }), Reply::Ack);
    world.service("x", "type = scripted\ncommand = /bin/sh -c \"echo 2 >> out\"\nworking-dir = .\n");
    assert_eq!(request(&mut first, &Request::Reload { service }), Reply::Ack);
    let service = handle(&mut first, "x");
    request(&mut first, &Request::Start { service, flags: CommandFlags::NONE });
    daemon.expect("[  OK  ] x");
    assert_eq!(world.read("out"), "2\n");
    assert_eq!(request(&mut first, &Request::Unload { service }), Reply::Nak);
    let stop = Request::Stop { service, flags: CommandFlags::NONE };
    assert_eq!(request(&mut first, &stop), Reply::AlreadyThere);
    assert_eq!(request(&mut first, &Request::Unload { service }), Reply::Ack);
    assert_eq!(first.list().unwrap().len(), 1);
    daemon.stop();
}

#[test]
fn a_reload_with_a_broken_description_changes_nothing_and_is_logged() {
    let world = World::new();
    world.service("x", SLEEP);
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    let mut connection = world.connect();
    let service = handle(&mut connection, "x");
    world.service("x", OK);
    assert_eq!(request(&mut connection, &Request::Reload { service }), Reply::Nak);
    daemon.expect("dinit: Could not reload service x: cannot change type of non-stopped service.");
    world.service("x", "nonsense\n");
    let service = handle(&mut connection, "x");
    assert_eq!(request(&mut connection, &Request::Reload { service }), Reply::Nak);
    daemon.expect("dinit: Could not reload service x: badly formed line.");
    daemon.stop();
}

#[test]
fn load_failures_are_told_apart() {
    let world = World::new();
    world
        .service("ok", OK)
        .service("bad", "nonsense\n")
        .service("needs", "type = internal\ndepends-on = bad\n");
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    // Exchange 4.
    for (name, failure) in [
        ("nosuch", dinit_client::LoadFailure::NoService),
        ("bad", dinit_client::LoadFailure::Description),
        ("needs", dinit_client::LoadFailure::Other),
    ] {
        let answer = connection.load(&ServiceName::new(name.as_bytes()).unwrap()).unwrap();
        assert_eq!(answer.err(), Some(failure), "{name}");
    }
    daemon.stop();
}

#[test]
fn dependencies_are_enabled_and_taken_away() {
    let world = World::new();
    world.service("top", OK).service("x", OK);
    let daemon = world.start(&["top"]);
    daemon.expect("[  OK  ] top");
    let mut connection = world.connect();
    let (from, to) = (handle(&mut connection, "top"), handle(&mut connection, "x"));
    let dependency = DependencyRequest { kind: DependencyKind::WaitsFor, from, to };
    for expected in [false, true] {
        match request(&mut connection, &Request::EnableReportingStatus(dependency)) {
            Reply::Status { existed, status, .. } => {
                assert_eq!((existed, status.state), (expected, ServiceState::Started));
            }
            other => panic!("{other:?}"),
        }
    }
    let back = DependencyRequest { kind: DependencyKind::Regular, from: to, to: from };
    assert_eq!(request(&mut connection, &Request::AddDependency(back)), Reply::Nak);
    assert_eq!(request(&mut connection, &Request::RemoveDependency(dependency)), Reply::Ack);
    daemon.expect("[STOPPD] x");
    assert_eq!(request(&mut connection, &Request::RemoveDependency(dependency)), Reply::Nak);
    daemon.stop();
}

#[test]
fn the_environment_can_be_changed_and_listened_to() {
    let world = World::new();
    world.service("ok", OK);
    world.service("x", "type = scripted\ncommand = /bin/sh -c \"echo $$NEW > out\"\nworking-dir = .\n");
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    assert_eq!(request(&mut connection, &Request::ListenEnvironment), Reply::Ack);
    let change = EnvironmentChange::new(b"NEW=val").unwrap();
    assert_eq!(request(&mut connection, &Request::SetEnvironment(change.clone())), Reply::Ack);
    assert_eq!(connection.take_events(), [Info::Environment { overridden: false, change }]);
    match request(&mut connection, &Request::QueryEnvironment) {
        Reply::Environment(all) => assert!(all.ends_with(b"NEW=val\0")),
        other => panic!("{other:?}"),
    }
    let service = handle(&mut connection, "x");
    request(&mut connection, &Request::Start { service, flags: CommandFlags::NONE });
    daemon.expect("[  OK  ] x");
    daemon.stop();
    assert_eq!(world.read("out"), "val\n");
}

#[test]
fn signals_reach_the_process_of_a_service() {
    let world = World::new();
    world.service("x", &format!("{SLEEP}restart = no\n")).service("ok", OK);
    let daemon = world.start(&["ok", "x"]);
    daemon.expect("[  OK  ] x");
    let mut connection = world.connect();
    let (service, ok) = (handle(&mut connection, "x"), handle(&mut connection, "ok"));
    let mut signal = |service, signal| request(&mut connection, &Request::Signal { service, signal });
    assert_eq!(signal(ok, libc::SIGTERM), Reply::NoProcess);
    assert_eq!(signal(service, 0), Reply::Ack);
    assert_eq!(signal(service, 999), Reply::BadSignal);
    assert_eq!(signal(service, libc::SIGKILL), Reply::Ack);
    daemon.expect("dinit: Service x terminated due to signal 9").expect("[STOPPD] x");
    daemon.stop();
}

#[test]
fn a_passed_connection_works_without_the_socket_file() {
    let world = World::new();
    // QUERYVERSION is one NUL byte; the answer is `:` and two numbers.
    let ask = "import os; fd = int(os.environ['DINIT_CS_FD']); os.set_blocking(fd, True); os.write(fd, b'\\0'); print(os.read(fd, 5).hex())";
    std::fs::write(world.path("ask.py"), ask).unwrap();
    let text =
        "type = scripted\ncommand = /usr/bin/env python3 ask.py\nworking-dir = .\noptions = pass-cs-fd\n";
    world.service("x", &format!("{text}logfile = out\n"));
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return crate::world::skip("there is no python3");
    }
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop();
    assert_eq!(world.read("out"), "3a01000700\n");
}

#[test]
fn a_thousand_clients_are_served_at_once() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let _ = dinit_sys::process::raise_open_files();
    let mut clients: Vec<Connection> = (0..1000).map(|_| world.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.list().unwrap().len(), 1);
    }
    daemon.stop();
}

#[test]
fn a_client_for_which_there_is_no_descriptor_is_served_once_there_is_one() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    daemon.limit_descriptors(12);
    let mut clients: Vec<UnixStream> =
        (0..16).map(|_| UnixStream::connect(world.socket()).unwrap()).collect();
    daemon.expect("dinit: Error accepting control connection: Too many open files");
    let mut last = clients.pop().unwrap();
    last.write_all(&[0]).unwrap();
    // Nobody leaves; it is tried again all the same.
    daemon.limit_descriptors(64);
    expect_bytes(&mut last, "3a 01 00 07 00");
    daemon.stop();
}

#[test]
fn a_log_that_cannot_be_opened_is_told_and_tried_again_by_the_next_service_that_brings_it() {
    let world = World::new();
    world.service("ok", OK).service("log", "type = internal\noptions = starts-log\n");
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    let service = handle(&mut connection, "log");
    daemon.limit_descriptors(3);
    assert_eq!(
        request(&mut connection, &Request::Start { service, flags: CommandFlags::NONE }),
        Reply::AlreadyThere
    );
    daemon.expect("dinit: Error creating log socket: Too many open files");
    daemon.limit_descriptors(64);
    for again in [
        Request::Stop { service, flags: CommandFlags::NONE },
        Request::Start { service, flags: CommandFlags::NONE },
    ] {
        assert_eq!(request(&mut connection, &again), Reply::AlreadyThere);
    }
    assert_eq!(daemon.stop().stdout.matches("Error creating log socket").count(), 1);
}

#[test]
fn a_client_that_drains_its_input_late_is_served_again() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let stream = UnixStream::connect(world.socket()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    // Requests are written by a thread, because the daemon stops reading them when its answers are not read.
    let thread =
        std::thread::spawn(move || writer.write_all(&[vec![0x19; 90_000], vec![0]].concat()).unwrap());
    let mut other = world.connect();
    other.list().unwrap();
    let mut answers = Vec::new();
    let one = 2 + 14 + 2 + 1;
    let mut stream = stream;
    let mut chunk = vec![0; 1 << 16];
    while answers.len() < 90_000 * one + 5 {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0);
        answers.extend_from_slice(&chunk[..count]);
    }
    assert_eq!(answers[90_000 * one..], [0x3a, 1, 0, 7, 0]);
    thread.join().unwrap();
    daemon.stop();
}

#[test]
fn requests_that_wait_for_room_are_served_when_all_answers_are_taken_at_once() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    // They are read at once, and their answers are more than may be queued, though less than the kernel takes.
    let requests = vec![0x19; dinit_protocol::REQUEST_BUFFER];
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(crate::world::LIMIT)).unwrap();
    stream.write_all(&requests).unwrap();
    stream.read_exact(&mut vec![0; requests.len() * (2 + 14 + 2 + 1)]).unwrap();
    daemon.stop();
}

#[test]
fn a_client_that_never_reads_its_news_is_dropped_with_a_line() {
    let world = World::new();
    world.service("ok", OK).service("x", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut deaf = UnixStream::connect(world.socket()).unwrap();
    deaf.write_all(b"\x02\x01\x00x").unwrap();
    expect_bytes(&mut deaf, "3b 00 00 00 00 00 00");
    let mut other = world.connect();
    let service = handle(&mut other, "x");
    // Each round is two events of 38 bytes; the kernel takes some of them for the deaf client.
    for _ in 0..20_000 {
        request(&mut other, &Request::Start { service, flags: CommandFlags::NONE });
        request(&mut other, &Request::Stop { service, flags: CommandFlags::NONE });
        other.take_events();
        if daemon.printed().contains("Dropping control connection") {
            break;
        }
    }
    daemon.expect("dinit: Dropping control connection: the client does not read what it is sent");
    daemon.stop();
}

#[test]
fn garbage_on_the_socket_does_no_harm() {
    let world = World::new();
    world.service("ok", OK).service("x", SLEEP);
    let daemon = world.start(&["ok", "x"]);
    daemon.expect("[  OK  ] x");
    // A fixed sequence, so that a failure can be had again; request codes are likelier than other bytes. Shutdown and
    // signals are left out, since they would end the daemon or the service as they should.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut stream = UnixStream::connect(world.socket()).unwrap();
        let length = random() % 60;
        let bytes: Vec<u8> = (0..length)
            .map(|_| match random() % 3 {
                0 => 0,
                1 => (random() % 30) as u8,
                _ => random() as u8,
            })
            .map(|byte| if matches!(byte, 4 | 10 | 21) { 8 } else { byte })
            .collect();
        // The daemon may have ended the connection before all was written.
        let _ = stream.write_all(&bytes);
        if random() % 2 == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    let mut connection = world.connect();
    let names: Vec<Vec<u8>> = connection.list().unwrap().into_iter().map(|service| service.name).collect();
    assert_eq!(names, [b"ok".to_vec(), b"x".to_vec()]);
    daemon.stop();
}

#[test]
fn a_reload_ends_all_handles_of_the_connection() {
    let world = World::new();
    world.service("ok", OK).service("x", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    let (first, second) = (handle(&mut connection, "x"), handle(&mut connection, "x"));
    assert_eq!(request(&mut connection, &Request::Reload { service: second }), Reply::Ack);
    for service in [first, second] {
        assert_eq!(request(&mut connection, &Request::QueryName { service }), Reply::Nak);
    }
    assert_eq!(handle(&mut connection, "x"), first);
    daemon.stop();
}

#[test]
fn the_environment_cannot_grow_without_end() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    let value = "v".repeat(1000);
    let refused = (0..2000).find(|number| {
        let change = EnvironmentChange::new(format!("N{number}={value}").as_bytes()).unwrap();
        match request(&mut connection, &Request::SetEnvironment(change)) {
            Reply::Ack => false,
            Reply::OutOfMemory => true,
            other => panic!("{other:?}"),
        }
    });
    assert!(refused.is_some_and(|number| number > 900), "{refused:?}");
    assert_eq!(world.connect().list().unwrap().len(), 1);
    daemon.stop();
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    const AT_ONCE: usize = 40;
    const ANSWER: usize = 2 + 14 + 2 + 1;
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    // What another client is answered comes after whatever this one has asked for before.
    let mut other = world.connect();
    let mut asked = 0;
    let mut arrived = vec![0; 4 << 20];
    loop {
        stream.write_all(&[0x19; AT_ONCE]).unwrap();
        asked += AT_ONCE * ANSWER;
        other.list().unwrap();
        // Until there is more than the kernel takes, so that some is still queued when the end of the requests is seen.
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        if recv(stream.as_raw_fd(), &mut arrived, flags).unwrap() < asked {
            break;
        }
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    other.list().unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    assert_eq!(answers.len(), asked);
    daemon.stop();
}

#[test]
fn a_daemon_without_memory_refuses_clients_and_goes_on() {
    let world = World::new();
    world.service("ok", OK).service("x", "type = process\ncommand = /bin/sleep 1000\n");
    let daemon = world.start(&["ok", "x"]);
    daemon.expect("[  OK  ] x");
    // A little more address space than it has already.
    let size = std::fs::read_to_string(format!("/proc/{}/statm", daemon.pid())).unwrap();
    let pages: u64 = size.split(' ').next().unwrap().parse().unwrap();
    let limit = pages * 4096 + (4 << 20);
    let pid = daemon.pid().to_string();
    let limited =
        std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--as={limit}")]).status();
    if !limited.is_ok_and(|status| status.success()) {
        return crate::world::skip("there is no prlimit");
    }
    // Handles are what a client can make the daemon remember most of.
    let mut clients = Vec::new();
    let refused = (0..40).any(|_| {
        let Ok(stream) = UnixStream::connect(world.socket()) else { return true };
        let mut writer = stream.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            let _ = writer.write_all(&b"\x02\x02\0ok".repeat(50_000));
        });
        let mut answers = Vec::new();
        let mut stream = stream;
        let mut chunk = [0; 1 << 16];
        // Not to the end: the connection is kept, with its handles.
        while answers.len() < 50_000 * 7 && answers.last() != Some(&53) {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => answers.extend_from_slice(&chunk[..count]),
            }
        }
        drop(thread);
        clients.push(stream);
        answers.len() < 50_000 * 7
    });
    assert!(refused, "there was memory enough");
    daemon.expect("dinit: Out of memory: clients and services to be loaded are refused");
    drop(clients);
    // With the greedy ones gone there is memory again.
    let mut connection = crate::world::poll(|| Connection::open(&world.socket()).ok());
    let service = crate::world::poll(|| {
        if let Ok(Ok(record)) = connection.load(&ServiceName::new(b"x").unwrap()) {
            return Some(record.handle);
        }
        connection = Connection::open(&world.socket()).ok()?;
        None
    });
    assert_eq!(connection.status(service).unwrap().state, ServiceState::Started);
    daemon.stop();
}
