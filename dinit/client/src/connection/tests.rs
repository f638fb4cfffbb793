//! A connection against a daemon that has learned its answers by heart.

use dinit_protocol::{CommandFlags, ServiceEvent, encode_service_event};
use dinit_trial::scripted;

use super::*;

fn encoded(replies: &[Reply]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for reply in replies {
        reply.encode(&mut bytes);
    }
    bytes
}

fn version(minimum: u16, current: u16) -> Vec<u8> {
    encoded(&[Reply::Version { minimum: Version(minimum), current: Version(current) }])
}

const STARTED: Status = Status {
    state: ServiceState::Started,
    target: TargetState::Started,
    activated: true,
    ..Status::NEVER_STARTED
};

#[test]
fn events_that_come_before_an_answer_are_kept_for_whoever_waits_for_them() {
    let mut answer = Vec::new();
    encode_service_event(Handle(1), ServiceEvent::Started, &STARTED, &mut answer);
    Reply::AlreadyThere.encode(&mut answer);
    encode_service_event(Handle(1), ServiceEvent::Stopped, &STARTED, &mut answer);
    let (stream, daemon) = scripted(&[version(1, 7), answer]);
    let mut connection = Connection::over(stream).unwrap();
    let start = Request::Start { service: Handle(1), flags: CommandFlags::NONE };
    assert_eq!(connection.request(&start).unwrap(), Reply::AlreadyThere);
    let kinds: Vec<_> = (0..4)
        .map(|_| match connection.event(None).unwrap() {
            Some(Info::ServiceEvent5 { event, .. }) => (5, event),
            Some(Info::ServiceEvent { event, .. }) => (1, event),
            other => panic!("{other:?}"),
        })
        .collect();
    let (started, stopped) = (ServiceEvent::Started, ServiceEvent::Stopped);
    assert_eq!(kinds, [(5, started), (1, started), (5, stopped), (1, stopped)]);
    assert!(matches!(connection.event(None), Err(ClientError::Closed)));
    assert_eq!(daemon.join().unwrap(), [0, 3, 0, 1, 0, 0, 0]);
}

#[test]
fn a_list_is_read_to_its_end_in_the_layout_of_the_daemons_version() {
    for (current, layout, code) in [(4, ListLayout::V1, 8), (5, ListLayout::V5, 25)] {
        let info = Reply::ServiceInfo { layout, status: STARTED, name: b"boot".to_vec() };
        let (stream, daemon) =
            scripted(&[version(1, current), encoded(&[info.clone(), info, Reply::ListDone])]);
        let mut connection = Connection::over(stream).unwrap();
        let names: Vec<_> = connection.list().unwrap().into_iter().map(|service| service.name).collect();
        assert_eq!(names, [b"boot", b"boot"]);
        assert_eq!(daemon.join().unwrap(), [0, code]);
    }
}

#[test]
fn a_daemon_that_cannot_be_talked_to_is_told_from_one_that_can() {
    let try_with = |minimum, current| {
        let (stream, _daemon) = scripted(&[version(minimum, current)]);
        Connection::with_versions(stream, Version(1), Version(5)).map(|connection| connection.version())
    };
    assert_eq!(try_with(1, 7).unwrap(), Version(5));
    assert!(matches!(try_with(6, 9), Err(ClientError::ClientTooOld { minimum: Version(6) })));
    assert!(matches!(try_with(0, 0), Err(ClientError::DaemonTooOld { current: Version(0) })));
    let (stream, _daemon) = scripted(&[encoded(&[Reply::BadRequest])]);
    assert!(matches!(Connection::over(stream), Err(ClientError::Unexpected(Reply::BadRequest))));
    let (stream, _daemon) = scripted(&[Vec::new()]);
    assert!(matches!(Connection::over(stream), Err(ClientError::Closed)));
}

#[test]
fn a_daemon_that_says_nothing_is_given_up_after_the_time_set_for_it() {
    let (stream, _daemon) = scripted(&[version(1, 7)]);
    let (_silent, other) = UnixStream::pair().unwrap();
    let mut connection = Connection::over(stream).unwrap();
    connection.stream = other;
    connection.set_patience(Some(Duration::from_millis(1)));
    assert!(matches!(connection.request(&Request::QueryLoader), Err(ClientError::TimedOut)));
    assert!(matches!(connection.event(Some(Instant::now())), Ok(None)));
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none");
    let error = Connection::open(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to `{}`", path.display()));
    assert!(matches!(error, ClientError::Connect { cause, .. } if cause.kind() == io::ErrorKind::NotFound));
}

/// Asks one thing after another until that fails, which it must before there have been as many as there are bytes.
fn ask_until_it_fails(connection: &mut Connection, most: usize) -> ClientError {
    let name = ServiceName::new(b"web").unwrap();
    let failed = (0..=most).find_map(|turn| match turn % 5 {
        0 => connection.list().err(),
        1 => connection.load(&name).err(),
        2 => connection.status(Handle(0)).err(),
        3 => connection.request(&Request::QueryLoader).err(),
        _ => connection.event(None).err(),
    });
    failed.expect("a connection that has ended fails")
}

#[test]
fn whatever_a_daemon_sends_ends_in_an_error_once_it_has_gone() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/tests/corpus/answers");
    let inputs = std::fs::read_dir(corpus).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let mut endings = std::collections::BTreeSet::new();
    for input in inputs {
        for greeting in [version(1, 7), version(1, 1), Vec::new()] {
            let (client, mut server) = UnixStream::pair().unwrap();
            server.write_all(&[&greeting[..], &input].concat()).unwrap();
            server.shutdown(std::net::Shutdown::Write).unwrap();
            let error = match Connection::over(client) {
                Ok(mut connection) => ask_until_it_fails(&mut connection, input.len()),
                Err(error) => error,
            };
            endings.insert(format!("{error:?}").split(['(', ' ']).next().unwrap().to_owned());
        }
    }
    let expected = ["Closed", "Packet", "Unexpected"];
    assert_eq!(endings, expected.map(str::to_owned).into());
}
