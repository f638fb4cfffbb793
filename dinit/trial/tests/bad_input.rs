//! What strange clients do to a daemon: nothing that another client would notice.
//!
//! The input is the corpus of `dinit-protocol`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use dinit_client::Connection;
use dinit_protocol::{Decoded, Request, Version, decode_request};
use dinit_trial::Trial;

/// The longest input of which every beginning is tried.
const SHORT: usize = 100;

/// The reply after which a connection ends.
const BAD_REQUEST: u8 = 52;

fn trial() -> Trial {
    let mut trial = Trial::new(&[
        ("boot", "type = internal\n"),
        ("web", "type = internal\n"),
        ("a", "type = internal\n"),
    ]);
    trial.start(&[]);
    trial
}

/// Gives the inputs that do not ask the daemon to end, by name, each with whether there is something wrong in it.
fn inputs() -> Vec<(String, Vec<u8>, bool)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/corpus/requests");
    let mut inputs = Vec::new();
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()) {
        let bytes = std::fs::read(file.path()).unwrap();
        let mut rest = &bytes[..];
        let is_wrong = loop {
            match decode_request(rest, Version::CURRENT) {
                Ok(Decoded::Packet { packet: Request::Shutdown { .. }, .. }) => break None,
                Ok(Decoded::Packet { used, .. }) => rest = &rest[used..],
                Ok(Decoded::Incomplete { .. }) => break Some(false),
                Err(_) => break Some(true),
            }
        };
        let name = file.file_name().into_string().unwrap();
        inputs.extend(is_wrong.map(|is_wrong| (name, bytes, is_wrong)));
    }
    assert!(inputs.len() > 50, "there are only {} inputs", inputs.len());
    inputs
}

/// Checks that the daemon serves others and keeps nothing of those that have gone.
#[track_caller]
fn assert_unharmed(trial: &Trial, other: &mut Connection, descriptors: usize) {
    assert!(other.list().unwrap().iter().any(|service| service.name == b"boot"));
    // That a client has gone the daemon learns at the latest some turns later.
    let is_clean = (0..1000).any(|_| {
        other.list().unwrap();
        trial.open_descriptors() == descriptors
    });
    assert!(is_clean, "{} descriptors are open, not {descriptors}", trial.open_descriptors());
}

#[test]
fn every_request_of_the_corpus_is_answered_until_one_is_wrong() {
    let trial = trial();
    let mut other = trial.connect();
    let descriptors = trial.open_descriptors();
    for (name, bytes, is_wrong) in inputs() {
        for size in [1, 7, bytes.len().max(1)] {
            let mut client = UnixStream::connect(trial.socket()).unwrap();
            // Behind what is wrong nothing is read, so that not everything may be taken.
            let _ = bytes.chunks(size).try_for_each(|piece| client.write_all(piece));
            let _ = client.shutdown(Shutdown::Write);
            let mut answers = Vec::new();
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = client.read(&mut chunk) {
                answers.extend_from_slice(&chunk[..count]);
            }
            let was_refused = answers.last() == Some(&BAD_REQUEST);
            assert!(was_refused || !is_wrong, "`{name}` in pieces of {size} was answered {answers:02x?}");
        }
    }
    assert_unharmed(&trial, &mut other, descriptors);
}

#[test]
fn a_client_may_vanish_at_any_byte() {
    let trial = trial();
    let mut other = trial.connect();
    let descriptors = trial.open_descriptors();
    for (_, bytes, _) in inputs() {
        for length in 0..=bytes.len().min(SHORT) {
            let mut client = UnixStream::connect(trial.socket()).unwrap();
            client.write_all(&bytes[..length]).unwrap();
        }
    }
    assert_unharmed(&trial, &mut other, descriptors);
}
