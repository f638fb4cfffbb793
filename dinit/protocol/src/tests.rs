//! Round trips and prefixes of packets made at random, and what the decoders refuse.
//!
//! Recorded exchanges and a corpus of strange input are replayed in `tests/wire`.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn handle() -> impl Strategy<Value = Handle> {
    any::<u32>().prop_map(Handle)
}

fn one_of<T: Copy + core::fmt::Debug + 'static>(values: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(values)
}

fn service_name() -> impl Strategy<Value = ServiceName> {
    prop::collection::vec(any::<u8>(), 1..40)
        .prop_filter_map("not a name", |bytes| ServiceName::new(&bytes).ok())
}

fn environment_change() -> impl Strategy<Value = EnvironmentChange> {
    prop::collection::vec(prop_oneof![Just(b'='), any::<u8>()], 1..40)
        .prop_filter_map("no name", |bytes| EnvironmentChange::new(&bytes).ok())
}

fn dependency() -> impl Strategy<Value = DependencyRequest> {
    (one_of(DependencyKind::ALL), handle(), handle()).prop_map(|(kind, from, to)| DependencyRequest {
        kind,
        from,
        to,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let command = || (handle(), any::<u8>().prop_map(CommandFlags));
    let layout = one_of(&[StatusLayout::V1, StatusLayout::V5, StatusLayout::V6]);
    let simple = prop_oneof![
        Just(Request::QueryVersion),
        Just(Request::QueryLoader),
        Just(Request::QueryEnvironment),
        Just(Request::ListenEnvironment),
        one_of(&[ListLayout::V1, ListLayout::V5]).prop_map(|layout| Request::List { layout }),
        one_of(ShutdownKind::ALL).prop_map(|kind| Request::Shutdown { kind }),
        environment_change().prop_map(Request::SetEnvironment),
        service_name().prop_map(|name| Request::FindService { name }),
        service_name().prop_map(|name| Request::LoadService { name }),
    ];
    let with_handle = prop_oneof![
        command().prop_map(|(service, flags)| Request::Start { service, flags }),
        command().prop_map(|(service, flags)| Request::Stop { service, flags }),
        command().prop_map(|(service, flags)| Request::Wake { service, flags }),
        command().prop_map(|(service, flags)| Request::Release { service, flags }),
        handle().prop_map(|service| Request::Unpin { service }),
        handle().prop_map(|service| Request::Unload { service }),
        handle().prop_map(|service| Request::QueryName { service }),
        handle().prop_map(|service| Request::Reload { service }),
        handle().prop_map(|service| Request::CloseHandle { service }),
        (handle(), layout).prop_map(|(service, layout)| Request::QueryStatus { service, layout }),
        (handle(), any::<bool>()).prop_map(|(service, set)| Request::SetTrigger { service, set }),
        (handle(), any::<bool>()).prop_map(|(service, clear)| Request::QueryLog { service, clear }),
        (handle(), any::<i32>()).prop_map(|(service, signal)| Request::Signal { service, signal }),
        (handle(), any::<u8>()).prop_map(|(service, reserved)| Request::QueryDirectory { service, reserved }),
    ];
    let with_dependency = prop_oneof![
        dependency().prop_map(Request::AddDependency),
        dependency().prop_map(Request::RemoveDependency),
        dependency().prop_map(Request::Enable),
        dependency().prop_map(Request::EnableReportingStatus),
    ];
    prop_oneof![simple, with_handle, with_dependency]
}

fn status() -> impl Strategy<Value = Status> {
    let state = (one_of(ServiceState::ALL), one_of(TargetState::ALL), one_of(StopReason::ALL));
    let launch = (any::<u16>().prop_map(ExecStage), any::<i32>());
    let ended = (any::<i32>(), any::<i32>()).prop_map(|(code, status)| ExitInfo { code, status });
    let process = prop::option::of(any::<i32>());
    let modified = prop::option::of((any::<i64>(), any::<i64>()));
    (state, any::<[bool; 4]>(), launch, ended, process, modified).prop_map(
        |((state, target, reason), flags, launch, ended, process, modified)| {
            let [waiting_for_console, has_console, skipped, activated] = flags;
            let detail = Detail::choose(process, reason, launch, ended);
            let modified = modified.map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds });
            Status {
                state,
                target,
                waiting_for_console,
                has_console,
                skipped,
                activated,
                reason,
                detail,
                modified,
            }
        },
    )
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

fn reply() -> impl Strategy<Value = Reply> {
    let plain = one_of(&[
        "Ack",
        "Nak",
        "BadRequest",
        "OutOfMemory",
        "OldLoadError",
        "OldOutOfMemory",
        "NoService",
        "AlreadyThere",
        "ListDone",
        "PinnedStopped",
        "PinnedStarted",
        "ShuttingDown",
        "DescriptionError",
        "LoadError",
        "NoProcess",
        "BadSignal",
        "KillFailed",
        "PreAck",
    ])
    .prop_map(|name| match name {
        "Ack" => Reply::Ack,
        "Nak" => Reply::Nak,
        "BadRequest" => Reply::BadRequest,
        "OutOfMemory" => Reply::OutOfMemory,
        "OldLoadError" => Reply::OldLoadError,
        "OldOutOfMemory" => Reply::OldOutOfMemory,
        "NoService" => Reply::NoService,
        "AlreadyThere" => Reply::AlreadyThere,
        "ListDone" => Reply::ListDone,
        "PinnedStopped" => Reply::PinnedStopped,
        "PinnedStarted" => Reply::PinnedStarted,
        "ShuttingDown" => Reply::ShuttingDown,
        "DescriptionError" => Reply::DescriptionError,
        "LoadError" => Reply::LoadError,
        "NoProcess" => Reply::NoProcess,
        "BadSignal" => Reply::BadSignal,
        "KillFailed" => Reply::KillFailed,
        _ => Reply::PreAck,
    });
    let version = (any::<u16>(), any::<u16>()).prop_map(|(minimum, current)| Reply::Version {
        minimum: Version(minimum),
        current: Version(current),
    });
    let record = (one_of(ServiceState::ALL), handle(), one_of(TargetState::ALL))
        .prop_map(|(state, handle, target)| Reply::ServiceRecord { state, handle, target });
    let info =
        (one_of(&[ListLayout::V1, ListLayout::V5]), status(), prop::collection::vec(any::<u8>(), 0..=255))
            .prop_map(|(layout, status, name)| Reply::ServiceInfo {
                layout,
                status: status.in_layout(layout.into()),
                name,
            });
    let one =
        (one_of(&[StatusLayout::V1, StatusLayout::V5, StatusLayout::V6]), any::<bool>(), status()).prop_map(
            |(layout, existed, status)| Reply::Status { layout, existed, status: status.in_layout(layout) },
        );
    let loader = (any::<u8>(), bytes(), prop::collection::vec(bytes(), 0..5)).prop_map(
        |(mechanism, working_directory, directories)| {
            Reply::Loader(LoaderInfo { mechanism, working_directory, directories })
        },
    );
    prop_oneof![
        plain,
        version,
        record,
        info,
        one,
        loader,
        prop::collection::vec(handle(), 0..9).prop_map(Reply::Dependents),
        bytes().prop_map(Reply::ServiceName),
        bytes().prop_map(Reply::Log),
        bytes().prop_map(Reply::Directory),
        bytes().prop_map(Reply::Environment),
    ]
}

fn info() -> impl Strategy<Value = Info> {
    let event = || (handle(), one_of(ServiceEvent::ALL));
    prop_oneof![
        (event(), prop::option::of(status())).prop_map(|((service, event), status)| Info::ServiceEvent {
            service,
            event,
            status: status.map(|status| status.in_layout(StatusLayout::V1)),
        }),
        (event(), status()).prop_map(|((service, event), status)| Info::ServiceEvent5 {
            service,
            event,
            status: status.in_layout(StatusLayout::V5),
        }),
        (any::<bool>(), environment_change())
            .prop_map(|(overridden, change)| Info::Environment { overridden, change }),
        (103u8.., prop::collection::vec(any::<u8>(), 0..=253))
            .prop_map(|(code, body)| Info::Other { code, body }),
    ]
}

fn packet() -> impl Strategy<Value = (ReplyPacket, StatusLayout)> {
    prop_oneof![
        reply().prop_map(|reply| {
            let layout = match &reply {
                Reply::Status { layout, .. } => *layout,
                Reply::ServiceInfo { layout, .. } => (*layout).into(),
                _ => StatusLayout::V6,
            };
            (ReplyPacket::Reply(reply), layout)
        }),
        info().prop_map(|info| (ReplyPacket::Info(info), StatusLayout::V1)),
    ]
}

fn encoded(packet: &ReplyPacket) -> Vec<u8> {
    let mut bytes = Vec::new();
    match packet {
        ReplyPacket::Reply(reply) => reply.encode(&mut bytes),
        ReplyPacket::Info(info) => info.encode(&mut bytes),
    }
    bytes
}

/// Feeds a decoder one prefix after another and checks what it asks for.
fn assert_asks_for_what_it_needs<T: core::fmt::Debug, E: core::fmt::Debug>(
    whole: &[u8],
    decode: impl Fn(&[u8]) -> Result<Decoded<T>, E>,
) {
    for length in 0..whole.len() {
        match decode(&whole[..length]) {
            Ok(Decoded::Incomplete { need }) => {
                assert!(need > length, "{length} bytes are there, {need} are asked for");
                assert!(need <= whole.len(), "{need} of {} bytes are asked for", whole.len());
            }
            other => panic!("{length} bytes of {} gave {other:?}", whole.len()),
        }
    }
}

proptest! {
    #[test]
    fn a_request_comes_back_as_it_was_sent(request in request(), rest in bytes()) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        let used = bytes.len();
        prop_assert!(used <= REQUEST_BUFFER);
        bytes.extend_from_slice(&rest);
        let decoded = decode_request(&bytes, Version::CURRENT);
        prop_assert_eq!(decoded, Ok(Decoded::Packet { packet: request, used }));
    }

    #[test]
    fn a_reply_or_info_packet_comes_back_as_it_was_sent((packet, layout) in packet(), rest in bytes()) {
        let mut bytes = encoded(&packet);
        let used = bytes.len();
        bytes.extend_from_slice(&rest);
        prop_assert_eq!(decode_packet(&bytes, layout), Ok(Decoded::Packet { packet, used }));
    }

    #[test]
    fn a_part_of_a_request_asks_for_more_and_never_for_too_much(request in request()) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        assert_asks_for_what_it_needs(&bytes, |part| decode_request(part, Version::CURRENT));
    }

    #[test]
    fn a_part_of_a_packet_asks_for_more_and_never_for_too_much((packet, layout) in packet()) {
        assert_asks_for_what_it_needs(&encoded(&packet), |part| decode_packet(part, layout));
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error_or_too_few(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Decoded::Incomplete { need }) = decode_request(&bytes, Version::CURRENT) {
            prop_assert!(need > bytes.len() && need <= REQUEST_BUFFER);
        }
        for layout in [StatusLayout::V1, StatusLayout::V5, StatusLayout::V6] {
            for first in [bytes.first().copied().unwrap_or(0), 50 + bytes.len() as u8 % 53] {
                let mut bytes = bytes.clone();
                bytes.splice(..1.min(bytes.len()), [first]);
                match decode_packet(&bytes, layout) {
                    Ok(Decoded::Incomplete { need }) => prop_assert!(need > bytes.len() && need <= MAX_REPLY + 16),
                    Ok(Decoded::Packet { used, .. }) => prop_assert!(used <= bytes.len()),
                    Err(_) => {}
                }
            }
        }
    }
}

#[test]
fn a_newer_request_is_unknown_to_an_older_daemon() {
    for (code, since) in
        [(18, 1), (19, 2), (21, 2), (22, 3), (23, 4), (24, 4), (25, 5), (27, 5), (28, 6), (29, 7)]
    {
        let bytes = [code, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(decode_request(&bytes, Version(since)).is_ok(), "code {code} is in version {since}");
        if since > 1 {
            let older = decode_request(&bytes, Version(since - 1));
            assert_eq!(
                older,
                Err(RequestError::UnknownCode(code)),
                "code {code} is not in version {}",
                since - 1
            );
        }
    }
    for code in 30..=255 {
        assert_eq!(decode_request(&[code], Version::CURRENT), Err(RequestError::UnknownCode(code)));
    }
}

#[test]
fn a_length_that_cannot_be_is_refused_with_the_fourth_byte() {
    for code in [1, 2, 17] {
        assert_eq!(decode_request(&[code, 0, 0], Version::CURRENT), Ok(Decoded::Incomplete { need: 4 }));
        assert!(decode_request(&[code, 0, 0, b'x'], Version::CURRENT).is_err());
        assert!(decode_request(&[code, 0xfe, 0x03, b'x'], Version::CURRENT).is_err(), "1022 is too long");
        let longest = decode_request(&[code, 0xfd, 0x03, b'x'], Version::CURRENT);
        assert_eq!(longest, Ok(Decoded::Incomplete { need: REQUEST_BUFFER }));
    }
}

#[test]
fn a_name_in_a_list_is_cut_to_what_its_length_can_say() {
    let status = Status::NEVER_STARTED;
    for (length, sent) in [(255, 255), (256, 255), (1021, 255)] {
        let name = vec![b'n'; length];
        let mut bytes = Vec::new();
        Reply::ServiceInfo { layout: ListLayout::V5, status, name }.encode(&mut bytes);
        assert_eq!(bytes[1], sent, "a name of {length} bytes");
        assert_eq!(bytes.len(), 16 + usize::from(sent));
    }
}

#[test]
fn the_lengths_of_an_absurd_reply_are_refused_before_anything_is_allocated() {
    let mut environment = vec![78];
    environment.extend_from_slice(&usize::MAX.to_ne_bytes());
    assert_eq!(decode_reply(&environment, StatusLayout::V5), Err(PacketError::TooLarge));
    let mut dependents = vec![65];
    dependents.extend_from_slice(&(usize::MAX / 2).to_ne_bytes());
    assert_eq!(decode_reply(&dependents, StatusLayout::V5), Err(PacketError::TooLarge));
    let log = [73, 0, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(decode_reply(&log, StatusLayout::V5), Err(PacketError::TooLarge));
    let loader = [64, 1, 14, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(decode_reply(&loader, StatusLayout::V5), Err(PacketError::Inconsistent));
}

#[test]
fn an_information_packet_of_an_unknown_kind_is_passed_over_whole() {
    let bytes = [200, 4, 1, 2, 50];
    let packet = ReplyPacket::Info(Info::Other { code: 200, body: vec![1, 2] });
    assert_eq!(decode_packet(&bytes, StatusLayout::V5), Ok(Decoded::Packet { packet, used: 4 }));
    let unknown_event = [100, 7, 0, 0, 0, 0, 9];
    let decoded = decode_info(&unknown_event);
    let packet = Info::Other { code: 100, body: vec![0, 0, 0, 0, 9] };
    assert_eq!(decoded, Ok(Decoded::Packet { packet, used: 7 }));
}

#[test]
fn the_status_of_an_old_daemon_is_what_wait_gave() {
    assert_eq!(ExitInfo::from_wait_status(0), ExitInfo::default());
    assert_eq!(ExitInfo::from_wait_status(3 << 8), ExitInfo { code: ExitInfo::EXITED, status: 3 });
    assert_eq!(ExitInfo::from_wait_status(15), ExitInfo { code: ExitInfo::KILLED, status: 15 });
}

#[test]
fn a_process_goes_before_a_failed_launch_and_that_before_an_exit() {
    let failed = (ExecStage::EXECUTE, 2);
    let ended = ExitInfo { code: ExitInfo::EXITED, status: 1 };
    assert_eq!(Detail::choose(Some(7), StopReason::ExecFailed, failed, ended), Detail::Process(7));
    assert_eq!(
        Detail::choose(None, StopReason::ExecFailed, failed, ended),
        Detail::ExecFailed { stage: ExecStage::EXECUTE, errno: 2 }
    );
    assert_eq!(Detail::choose(None, StopReason::TimedOut, failed, ended), Detail::Ended(ended));
}

#[test]
fn versions_are_compared_as_both_sides_need() {
    let negotiate =
        |minimum, current| Version::negotiate(Version(1), Version(5), Version(minimum), Version(current));
    assert_eq!(negotiate(1, 7), Compatibility::Common(Version(5)));
    assert_eq!(negotiate(1, 3), Compatibility::Common(Version(3)));
    assert_eq!(negotiate(6, 9), Compatibility::ClientTooOld);
    assert_eq!(negotiate(0, 0), Compatibility::DaemonTooOld);
}
