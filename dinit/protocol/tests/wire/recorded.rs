//! The bytes that real daemons and clients exchanged (`tests/exchanges.txt`).

use dinit_protocol::{
    CommandFlags, DIRECTORY_LOADER, Decoded, Detail, EnvironmentChange, ExecStage, ExitInfo, Handle, Info,
    LoaderInfo, Reply, ReplyPacket, Request, ServiceEvent, ServiceState, Status, StatusLayout, StopReason,
    TargetState, Timestamp, Version, decode_packet, decode_request, encode_service_event,
};

use crate::recording::{Exchange, Step, exchanges};
use crate::streams::{LAYOUTS, answers, check_answers, check_requests, requests};

/// Gives for each exchange the daemon's version, all that the client sent, and all that the daemon sent.
pub(crate) fn streams() -> Vec<(Version, Vec<u8>, Vec<u8>)> {
    let stream = |exchange: Exchange| {
        let (mut client, mut daemon) = (Vec::new(), Vec::new());
        for step in &exchange.steps {
            match step {
                Step::Client(bytes) => client.extend_from_slice(bytes),
                Step::Server(bytes, _) => daemon.extend_from_slice(bytes),
                Step::End => {}
            }
        }
        (exchange.daemon_version(), client, daemon)
    };
    exchanges().into_iter().map(stream).collect()
}

fn encoded(packet: &ReplyPacket) -> Vec<u8> {
    let mut bytes = Vec::new();
    match packet {
        ReplyPacket::Reply(reply) => reply.encode(&mut bytes),
        ReplyPacket::Info(info) => info.encode(&mut bytes),
    }
    bytes
}

#[test]
fn every_split_of_a_recorded_exchange_is_read_alike() {
    for (version, client, daemon) in streams() {
        let whole = check_requests(&client, version);
        for middle in 0..=client.len() {
            let (first, second) = client.split_at(middle);
            assert_eq!(requests([first, second], version), whole, "{client:02x?} split at {middle}");
        }
        assert_eq!(requests(client.chunks(1), version), whole, "{client:02x?} byte by byte");
        for layout in LAYOUTS {
            let whole = check_answers(&daemon, layout);
            for middle in 0..=daemon.len() {
                let (first, second) = daemon.split_at(middle);
                assert_eq!(answers([first, second], layout), whole, "{daemon:02x?} split at {middle}");
            }
            assert_eq!(answers(daemon.chunks(1), layout), whole, "{daemon:02x?} byte by byte");
        }
    }
}

#[test]
fn all_recorded_exchanges_are_there() {
    let numbers: Vec<usize> = exchanges().iter().map(|exchange| exchange.number).collect();
    assert_eq!(numbers, (1..=34).collect::<Vec<_>>());
}

#[test]
fn every_recorded_request_is_read_and_written_byte_for_byte() {
    for exchange in exchanges() {
        let mut input: Vec<u8> = Vec::new();
        let mut refused = false;
        for step in &exchange.steps {
            match step {
                Step::Client(bytes) => {
                    input.extend_from_slice(bytes);
                    refused = read_requests(&mut input, exchange.daemon_version(), &exchange.title);
                }
                Step::Server(bytes, _) if refused => assert_eq!(bytes, &[52], "{}", exchange.title),
                Step::Server(bytes, _) if bytes.is_empty() => {
                    assert!(!input.is_empty(), "{}: something is awaited", exchange.title);
                }
                Step::Server(..) => assert!(input.is_empty(), "{}: {input:02x?} is left", exchange.title),
                Step::End => input.clear(),
            }
        }
    }
}

/// Reads requests until there are too few bytes; says whether one was no request.
fn read_requests(input: &mut Vec<u8>, version: Version, title: &str) -> bool {
    loop {
        match decode_request(input, version) {
            Ok(Decoded::Packet { packet, used }) => {
                let mut again = Vec::new();
                packet.encode(&mut again);
                assert_eq!(again, input[..used], "{title}: {packet:?}");
                input.drain(..used);
            }
            Ok(Decoded::Incomplete { .. }) => return false,
            Err(_) => return true,
        }
    }
}

#[test]
fn every_recorded_answer_is_read_and_written_byte_for_byte() {
    for exchange in exchanges() {
        let mut layout = StatusLayout::V5;
        for step in &exchange.steps {
            match step {
                Step::Client(bytes) => {
                    let request = decode_request(bytes, exchange.daemon_version());
                    if let Ok(Decoded::Packet { packet, .. }) = request {
                        layout = packet.status_layout();
                    }
                }
                Step::Server(bytes, false) => {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let Ok(Decoded::Packet { packet, used }) = decode_packet(rest, layout) else {
                            panic!("{}: {rest:02x?}", exchange.title)
                        };
                        assert_eq!(encoded(&packet), rest[..used], "{}: {packet:?}", exchange.title);
                        rest = &rest[used..];
                    }
                }
                Step::Server(_, true) | Step::End => {}
            }
        }
    }
}

/// What the packets of one exchange mean, all of them.
fn meaning(number: usize, layout: StatusLayout) -> (Vec<Request>, Vec<ReplyPacket>) {
    let exchange = &exchanges()[number - 1];
    let (mut requests, mut packets) = (Vec::new(), Vec::new());
    for step in &exchange.steps {
        match step {
            Step::Client(bytes) => {
                if let Ok(Decoded::Packet { packet, .. }) = decode_request(bytes, Version::CURRENT) {
                    requests.push(packet);
                }
            }
            Step::Server(bytes, false) => {
                if let Ok(Decoded::Packet { packet, .. }) = decode_packet(bytes, layout) {
                    packets.push(packet);
                }
            }
            Step::Server(_, true) | Step::End => {}
        }
    }
    (requests, packets)
}

#[test]
fn a_started_process_is_announced_with_its_process_id() {
    let (requests, packets) = meaning(6, StatusLayout::V5);
    assert_eq!(requests, [Request::Start { service: Handle(0), flags: CommandFlags::NONE }]);
    let status = Status {
        state: ServiceState::Started,
        target: TargetState::Started,
        activated: true,
        detail: Detail::Process(0x484b),
        ..Status::NEVER_STARTED
    };
    let (service, event) = (Handle(0), ServiceEvent::Started);
    let new = Info::ServiceEvent5 { service, event, status };
    let old = Info::ServiceEvent { service, event, status: Some(status) };
    assert_eq!(packets, [ReplyPacket::Reply(Reply::Ack), ReplyPacket::Info(new), ReplyPacket::Info(old)]);
    let mut both = Vec::new();
    encode_service_event(service, event, &status, &mut both);
    assert_eq!(both, [encoded(&packets[1]), encoded(&packets[2])].concat());
}

#[test]
fn a_failed_launch_is_announced_with_its_stage_and_error() {
    let (_, packets) = meaning(12, StatusLayout::V5);
    let status = Status {
        state: ServiceState::Stopping,
        reason: StopReason::ExecFailed,
        detail: Detail::ExecFailed { stage: ExecStage::EXECUTE, errno: 2 },
        ..Status::NEVER_STARTED
    };
    let event = Info::ServiceEvent5 { service: Handle(2), event: ServiceEvent::FailedStart, status };
    assert_eq!(packets[1], ReplyPacket::Info(event));
}

#[test]
fn a_killed_process_is_told_in_full_to_new_clients_and_in_short_to_old_ones() {
    let (_, packets) = meaning(11, StatusLayout::V5);
    let status = Status {
        detail: Detail::Ended(ExitInfo { code: ExitInfo::KILLED, status: 15 }),
        ..Status::NEVER_STARTED
    };
    let (service, event) = (Handle(0), ServiceEvent::Stopped);
    assert_eq!(packets[3], ReplyPacket::Info(Info::ServiceEvent5 { service, event, status }));
    let short = Status { detail: Detail::EndedWord(-1), ..Status::NEVER_STARTED };
    assert_eq!(packets[4], ReplyPacket::Info(Info::ServiceEvent { service, event, status: Some(short) }));
}

#[test]
fn a_signal_request_has_the_signal_before_the_handle() {
    let (requests, packets) = meaning(21, StatusLayout::V5);
    assert_eq!(requests[0], Request::Signal { service: Handle(1), signal: 15 });
    assert_eq!(requests[2], Request::Signal { service: Handle(3), signal: 999 });
    assert_eq!(packets, [Reply::NoProcess, Reply::Ack, Reply::BadSignal].map(ReplyPacket::Reply));
}

#[test]
fn the_time_of_a_description_is_in_the_newest_status() {
    let modified = Timestamp { seconds: 1_795_341_067, nanoseconds: 310_066_979 };
    let (_, packets) = meaning(5, StatusLayout::V6);
    let status = Status { modified: Some(modified), ..Status::NEVER_STARTED };
    let expected = Reply::Status { layout: StatusLayout::V6, existed: false, status };
    assert_eq!(packets.last(), Some(&ReplyPacket::Reply(expected)));
}

#[test]
fn the_environment_and_the_directories_are_read_as_they_are() {
    let (_, packets) = meaning(17, StatusLayout::V5);
    let loader = LoaderInfo {
        mechanism: DIRECTORY_LOADER,
        working_directory: b"/".to_vec(),
        directories: vec![b"/srv/sd".to_vec()],
    };
    assert_eq!(
        packets,
        [Reply::Directory(b"/srv/sd".to_vec()), Reply::Loader(loader)].map(ReplyPacket::Reply)
    );
    let (requests, packets) = meaning(18, StatusLayout::V5);
    assert_eq!(packets[0], ReplyPacket::Reply(Reply::Environment(b"FOO=bar\0".to_vec())));
    let change = EnvironmentChange::new(b"NEW=val2").unwrap();
    assert_eq!((change.name(), change.value()), (&b"NEW"[..], Some(&b"val2"[..])));
    assert_eq!(requests[3], Request::SetEnvironment(change.clone()));
    assert_eq!(packets[4], ReplyPacket::Info(Info::Environment { overridden: true, change }));
    let unset = EnvironmentChange::new(b"NEW").unwrap();
    assert_eq!((unset.name(), unset.value()), (&b"NEW"[..], None));
}
