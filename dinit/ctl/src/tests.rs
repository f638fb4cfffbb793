//! What no daemon of today does: old ones, strange ones, and those that vanish.

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::fd::OwnedFd;

use dinit_trial::scripted;

use super::*;

thread_local! {
    static PASSED: RefCell<Option<OwnedFd>> = const { RefCell::new(None) };
}

/// What the program printed and how it ended, and what the daemon received.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    out: String,
    err: String,
    status: u8,
    received: Vec<u8>,
}

/// Runs a command against a daemon that answers each request with the next of `answers` and then closes.
fn with_daemon(command: &str, answers: &[&[u8]]) -> Seen {
    let (client, daemon) = scripted(answers);
    PASSED.set(Some(client.into()));
    let (out, err, status) = run_with(&format!("--use-passed-cfd {command}"), "3");
    Seen { out, err, status, received: daemon.join().unwrap() }
}

fn run_with(command: &str, passed: &'static str) -> (String, String, u8) {
    let host = Host {
        variable: Box::new(move |name| match name {
            "DINIT_CS_FD" => Some(passed.into()),
            "DINIT_SOCKET_PATH" => Some("/nonexistent/dinitctl".into()),
            _ => None,
        }),
        uid: 0,
        passwd: "/nonexistent".into(),
        environment_file: "/nonexistent".into(),
        take_descriptor: |number| PASSED.take().filter(|_| number == 3),
    };
    let arguments: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = run(&arguments, &host, &mut out, &mut err);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), status)
}

const VERSION: &[u8] = &[0x3a, 1, 0, 7, 0];
const RECORD: &[u8] = &[0x3b, 0, 0, 0, 0, 0, 0];

#[track_caller]
fn assert_fails(command: &str, answers: &[&[u8]], err: &str) {
    let seen = with_daemon(command, answers);
    assert_eq!(
        (seen.out.as_str(), seen.err, seen.status),
        ("", format!("dinitctl: {err}\n"), 1),
        "{command}"
    );
}

#[test]
fn a_daemon_of_another_age_is_told_apart() {
    assert_fails("list", &[&[0x3a, 8, 0, 9, 0]], "too old (daemon reports newer protocol version)");
    let too_old = |version: u8, needed: u8| {
        format!(
            "daemon too old or protocol error\ndinitctl: perhaps dinit was updated and the old one still runs? \
             It speaks version {version} of the protocol, and this takes {needed}."
        )
    };
    assert_fails("list", &[&[0x3a, 0, 0, 0, 0]], &too_old(0, 1));
    for (command, needed) in [("trigger x", 2), ("catlog x", 2), ("signal TERM x", 2), ("enable x", 3)] {
        assert_fails(command, &[&[0x3a, 1, 0, 1, 0]], &too_old(1, needed));
    }
    // What reads descriptions needs the daemon's environment, which older ones do not tell.
    for command in ["list --enabled", "list --available --json", "graph", "graph --json"] {
        assert_fails(command, &[&[0x3a, 1, 0, 3, 0]], &too_old(3, 4));
    }
}

#[test]
fn a_daemon_that_vanishes_or_answers_nonsense_is_an_error() {
    let failure = "control socket read failure or protocol error";
    assert_fails("list", &[&[]], failure);
    assert_fails("list", &[&[0x34]], failure);
    assert_fails("list", &[VERSION, &[]], failure);
    assert_fails("list", &[VERSION, &[0x32]], "control socket protocol error");
    assert_fails("list --json", &[VERSION, &[0x32]], "control socket protocol error");
    assert_fails("graph --json", &[VERSION, &[0x32]], "protocol error");
    assert_fails("shutdown", &[VERSION, &[0x33]], "control socket protocol error");
    assert_fails("start x", &[VERSION, &[0x32]], "protocol error");
    assert_fails("stop x", &[VERSION, RECORD, &[0x3f]], "protocol error.");
    assert_fails("unpin x", &[VERSION, RECORD, &[0x33]], "protocol error.");
    assert_fails("setenv A=b", &[VERSION, &[0x33]], "protocol error");
    assert_fails("add-dep need a b", &[VERSION, RECORD, RECORD], {
        "can not add/remove a dependency from a service to itself"
    });
    assert_fails("stop x", &[VERSION, RECORD, &[0x32]], "protocol error");
}

#[test]
fn a_daemon_that_shuts_down_starts_nothing() {
    let refused = "cannot start/restart/wake service, shutdown is in progress.";
    assert_fails("restart x", &[&[0x3a, 1, 0, 5, 0], RECORD, &[0x4f, 0x45]], refused);
}

#[test]
fn what_happened_before_a_restart_was_taken_up_does_not_count() {
    // Stopped and started before the pre-ack; after it nothing but the answer.
    let before: &[u8] = &[0x65, 0x15, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let after: &[u8] = &[0x65, 0x15, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let answer = [before, &[0x4f, 0x32], before, after].concat();
    let seen = with_daemon("restart x", &[&[0x3a, 1, 0, 5, 0], RECORD, &answer]);
    assert_eq!((seen.out.as_str(), seen.status), ("Service 'x' stopped.\nService 'x' started.\n", 0));
    let answer = [before, after, &[0x4f, 0x32]].concat();
    let seen = with_daemon("restart x", &[&[0x3a, 1, 0, 5, 0], RECORD, &answer]);
    assert_eq!((seen.err.as_str(), seen.status), ("dinitctl: protocol error\n", 1), "the daemon has gone");
    assert_eq!(seen.received, [0, 2, 1, 0, b'x', 4, 0x86, 0, 0, 0, 0]);
}

#[test]
fn an_old_daemon_is_asked_in_its_own_version() {
    let line = [&[0x3e, 4, 2, 2, 8, 0, 0, 0, 0, 0, 0, 0][..], b"boot", &[0x3f]].concat();
    let seen = with_daemon("list", &[&[0x3a, 1, 0, 4, 0], &line]);
    assert_eq!((seen.out.as_str(), seen.received), ("[[+]     ] boot\n", vec![0, 8]));
    // The short event of the oldest daemons has no status, so no reason is told.
    let event = [0x64, 7, 0, 0, 0, 0, 2];
    let seen = with_daemon("start x", &[&[0x3a, 1, 0, 1, 0], RECORD, &[&[0x32][..], &event].concat()]);
    assert_eq!((seen.out.as_str(), seen.status), ("Service 'x' failed to start.\n", 1));
}

#[test]
fn a_failure_that_came_before_the_answer_is_told_at_once() {
    let failed = [0x65, 0x15, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x32];
    let seen = with_daemon("start x", &[&[0x3a, 1, 0, 5, 0], RECORD, &failed]);
    let text = "Service 'x' failed to start.\n\
                Reason: a dependency of the service failed to start. Check dinit log.\n";
    assert_eq!((seen.out.as_str(), seen.err.as_str(), seen.status), (text, "", 1));
}

#[test]
fn a_passed_descriptor_that_is_none_is_an_error_and_no_number_is_no_descriptor() {
    let (_, err, status) = run_with("--use-passed-cfd list", "7");
    assert_eq!((err.as_str(), status), ("dinitctl: control socket read failure or protocol error\n", 1));
    let (_, err, status) = run_with("--use-passed-cfd list", "x");
    let refused = "dinitctl: connecting to socket: /nonexistent/dinitctl: No such file or directory\n";
    assert_eq!((err.as_str(), status), (refused, 1));
}

#[test]
fn the_names_of_signals_are_listed_without_a_daemon() {
    let (out, err, status) = run_with("--quiet signal -l", "x");
    assert_eq!((err.as_str(), status), ("", 0));
    assert!(out.starts_with("dinitctl: The following signal names are supported:\ndinitctl: HUP  -> 1\n"));
    assert!(out.ends_with("dinitctl: STOP -> 19\n"));
}
