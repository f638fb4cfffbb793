//! The client against a daemon that answers each request with the next of some bytes.

use std::cell::RefCell;

use dinit_trial::scripted;

use super::*;

const VERSION: &[u8] = &[0x3a, 1, 0, 7, 0];
const ISSUING: &str = "Issuing shutdown command...\n";

thread_local! {
    static PASSED: RefCell<Option<OwnedFd>> = const { RefCell::new(None) };
}

struct Seen {
    received: Vec<u8>,
    out: String,
    err: String,
    ending: Ending,
}

/// Runs the client on a passed descriptor whose other end gives `answers`, one for each request, and closes.
fn with_daemon(kind: ShutdownKind, answers: &[&[u8]]) -> Seen {
    let (client, daemon) = scripted(answers);
    PASSED.set(Some(client.into()));
    let host = Host {
        socket: "/nonexistent/dinitctl".into(),
        passed_descriptor: Some("5".into()),
        take_descriptor: |number| PASSED.take().filter(|_| number == 5),
    };
    let (out, err, ending) = run_on(kind, &host);
    Seen { received: daemon.join().unwrap(), out, err, ending }
}

fn run_on(kind: ShutdownKind, host: &Host) -> (String, String, Ending) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ending = run(kind, host, &mut out, &mut err).unwrap();
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), ending)
}

#[test]
fn each_kind_is_sent_by_its_number_and_then_slept_on() {
    for (kind, number) in [
        (ShutdownKind::Halt, 2),
        (ShutdownKind::PowerOff, 3),
        (ShutdownKind::Reboot, 4),
        (ShutdownKind::SoftReboot, 5),
        (ShutdownKind::Kexec, 6),
    ] {
        let seen = with_daemon(kind, &[VERSION, &[0x32]]);
        assert_eq!(seen.received, [0x00, 0x0a, number]);
        assert_eq!((seen.out.as_str(), seen.err.as_str(), seen.ending), (ISSUING, "", Ending::Sleep));
    }
}

#[test]
fn events_between_the_answers_are_passed_over() {
    let seen = with_daemon(ShutdownKind::PowerOff, &[VERSION, &[0x64, 7, 0, 0, 0, 0, 1, 0x32]]);
    assert_eq!((seen.out.as_str(), seen.ending), (ISSUING, Ending::Sleep));
}

#[test]
fn a_daemon_that_refuses_or_says_something_else_ends_it() {
    let failure = "shutdown: control socket read failure or protocol error\n";
    let too_old = "shutdown: too old (server reports newer protocol version)\n";
    let server_too_old = "shutdown: server too old or protocol error\n";
    let refused = "shutdown: control socket protocol error\n";
    type Case<'a> = (&'a [&'a [u8]], &'a [u8], &'a str, &'a str);
    let cases: [Case<'_>; 6] = [
        (&[VERSION, &[0x33]], &[0x00, 0x0a, 3], ISSUING, refused),
        (&[&[0x3a, 6, 0, 9, 0]], &[0x00], "", too_old),
        (&[&[0x3a, 0, 0, 0, 0]], &[0x00], "", server_too_old),
        (&[&[]], &[0x00], "", failure),
        (&[VERSION, &[]], &[0x00, 0x0a, 3], ISSUING, failure),
        (&[&[0x34]], &[0x00], "", failure),
    ];
    for (answers, received, out, err) in cases {
        let seen = with_daemon(ShutdownKind::PowerOff, answers);
        assert_eq!(seen.received, received, "{answers:02x?}");
        assert_eq!((seen.out.as_str(), seen.err.as_str()), (out, err), "{answers:02x?}");
        assert_eq!(seen.ending, Ending::Exit(1));
    }
}

#[test]
fn without_a_daemon_or_a_number_of_a_descriptor_the_socket_is_tried() {
    for passed_descriptor in [None, Some("zz".into())] {
        let directory = tempfile::tempdir().unwrap();
        let host =
            Host { socket: directory.path().join("none"), passed_descriptor, take_descriptor: |_| None };
        let (out, err, ending) = run_on(ShutdownKind::Reboot, &host);
        assert_eq!((out.as_str(), err.as_str()), ("", "connect: No such file or directory\n"));
        assert_eq!(ending, Ending::Exit(1));
    }
}

#[test]
fn a_passed_number_that_is_not_open_is_an_error_and_no_other_descriptor_is_used() {
    let host = Host {
        socket: "/nonexistent".into(),
        passed_descriptor: Some("77".into()),
        take_descriptor: |_| None,
    };
    let (_, err, ending) = run_on(ShutdownKind::Reboot, &host);
    assert_eq!(err, "shutdown: control socket read failure or protocol error\n");
    assert_eq!(ending, Ending::Exit(1));
}

#[test]
fn a_connection_that_is_not_allowed_or_refused_has_a_hint() {
    for (errno, text) in [
        (13, "connect: Permission denied\nshutdown: perhaps you need the rights of root?\n"),
        (111, "connect: Connection refused\nshutdown: perhaps the daemon has ended?\n"),
        (2, "connect: No such file or directory\n"),
    ] {
        let cause = io::Error::from_raw_os_error(errno);
        assert_eq!(explain(&ClientError::Connect { path: "/run/dinitctl".into(), cause }), text);
    }
}
