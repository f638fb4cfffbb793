//! What no daemon of today does: old ones, strange ones, and those that vanish.

use std::io::{Read, Write};
use std::time::Duration;

use dinit_protocol::{EnvironmentChange, Status, encode_service_event};
use dinit_trial::scripted;

use crate::command_line::{Parsed, parse};

use super::*;

const VERSION: &[u8] = &[0x3a, 1, 0, 7, 0];

fn record(handle: u8, state: ServiceState) -> [u8; 7] {
    [0x3b, state.number(), handle, 0, 0, 0, 0]
}

fn event(handle: u32, event: ServiceEvent) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_service_event(Handle(handle), event, &Status::NEVER_STARTED, &mut bytes);
    bytes
}

fn options(arguments: &[&str]) -> Options {
    let arguments = ["-c", "%n %s %v"].iter().chain(arguments).map(|argument| argument.as_bytes().to_vec());
    match parse(arguments) {
        Ok(Parsed::Run(options)) => options,
        other => panic!("nothing to run: {other:?}"),
    }
}

/// Watches a daemon that answers each request with the next of `answers` and then closes; gives the commands, how
/// it came to an end, and what the daemon received.
fn watched(arguments: &[&str], answers: &[&[u8]]) -> (Vec<String>, String, Vec<u8>) {
    let (client, daemon) = scripted(answers);
    let options = options(arguments);
    let mut commands = Vec::new();
    let result = watch(&options, client, &mut |words| {
        commands.push(String::from_utf8(words.join(&b' ')).unwrap());
    });
    let end = result.err().map(|failure| String::from_utf8(failure.line()).unwrap()).unwrap_or_default();
    (commands, end, daemon.join().unwrap())
}

#[track_caller]
fn assert_fails(arguments: &[&str], answers: &[&[u8]], err: &str) {
    let (commands, end, _) = watched(arguments, answers);
    assert_eq!((commands.len(), end), (0, format!("dinit-monitor: {err}\n")));
}

#[test]
fn a_daemon_of_another_age_is_told_apart() {
    assert_fails(&["a"], &[&[0x3a, 8, 0, 9, 0]], "too old (server reports newer protocol version)");
    assert_fails(&["a"], &[&[0x3a, 0, 0, 0, 0]], "server too old or protocol error");
    assert_fails(&["a"], &[&[0x34]], "server too old or protocol error");
    assert_fails(&["-E"], &[&[0x3a, 1, 0, 4, 0]], "server too old or protocol error");
}

#[test]
fn a_daemon_that_vanishes_or_answers_nonsense_is_an_error() {
    let failure = "control socket read failure or protocol error";
    assert_fails(&["a"], &[&[]], failure);
    assert_fails(&["a"], &[VERSION, &[]], failure);
    assert_fails(&["a"], &[VERSION, &[0]], failure);
    assert_fails(&["a"], &[VERSION, &[0x33]], "protocol error");
    assert_fails(&["-E"], &[VERSION, &[0x33]], "protocol error");
    assert_fails(&["-E", "-i"], &[VERSION, &[0x32], &[0x33]], "protocol error");
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_watch() {
    let answer = [&record(0, ServiceState::Stopped)[..], &[0x32]].concat();
    assert_fails(&["a"], &[VERSION, &answer], "protocol error");
    assert_fails(&["-E"], &[VERSION, &[0x32, 0x32]], "protocol error");
}

#[test]
fn an_event_that_comes_between_the_answers_is_told_after_the_initial_states() {
    let first = record(0, ServiceState::Started);
    let second = [event(0, ServiceEvent::Stopped), record(1, ServiceState::Starting).to_vec()].concat();
    let (commands, end, received) = watched(&["-i", "a", "b"], &[VERSION, &first, &second]);
    assert_eq!(commands, ["a started ", "a stopped "]);
    assert_eq!(end, "dinit-monitor: connection closed by server\n");
    assert_eq!(received, [0, 2, 1, 0, b'a', 2, 1, 0, b'b']);
}

#[test]
fn what_was_cancelled_and_what_nobody_knows_is_not_told() {
    let news = [
        record(0, ServiceState::Stopped).to_vec(),
        event(0, ServiceEvent::StartCancelled),
        event(0, ServiceEvent::StopCancelled),
        event(5, ServiceEvent::Started),
        vec![200, 3, 0],
        event(0, ServiceEvent::FailedStart),
    ];
    assert_eq!(watched(&["a"], &[VERSION, &news.concat()]).0, ["a failed "]);
}

#[test]
fn the_short_event_of_the_oldest_daemons_is_enough() {
    let answer = [&record(0, ServiceState::Stopped)[..], &[0x64, 7, 0, 0, 0, 0, 0]].concat();
    assert_eq!(watched(&["-e", "a"], &[&[0x3a, 1, 0, 1, 0], &answer]).0, ["a started "]);
}

#[test]
fn a_value_goes_from_the_first_equals_sign_to_the_end() {
    let mut news = vec![0x32];
    let change = EnvironmentChange::new(b"A=b=c").unwrap();
    Info::Environment { overridden: true, change }.encode(&mut news);
    let (commands, end, received) = watched(&["-e", "-E", "A"], &[VERSION, &news]);
    assert_eq!((commands, end.as_str(), received), (vec!["A set b=c".into()], "", vec![0, 27]));
}

#[test]
fn news_is_taken_from_the_daemon_while_a_command_runs() {
    // More than a socket holds.
    const EVENTS: usize = 20_000;
    let (client, mut daemon) = UnixStream::pair().unwrap();
    let (sent, all_sent) = std::sync::mpsc::channel();
    thread::spawn(move || {
        daemon.write_all(&[VERSION, &record(0, ServiceState::Stopped)].concat()).unwrap();
        daemon.write_all(&event(0, ServiceEvent::Started).repeat(EVENTS)).unwrap();
        daemon.read_exact(&mut [0; 5]).unwrap();
        sent.send(()).unwrap();
    });
    let mut commands = 0;
    let result = watch(&options(&["a"]), client, &mut |_| {
        if commands == 0 {
            all_sent.recv_timeout(Duration::from_secs(60)).expect("all news is taken while the command runs");
        }
        commands += 1;
    });
    assert!(matches!(result, Err(Failure::Listening(ClientError::Closed))), "{result:?}");
    assert_eq!(commands, EVENTS);
}
