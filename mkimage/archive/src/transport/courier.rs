//! One request over HTTP, made by a thread of its own.
//!
//! What the network does may take long and cannot be interrupted. Whoever waits for a courier can stop waiting at any
//! time; the courier then ends by itself as soon as it notices that nobody takes what it brings. It touches nothing
//! but the network.

use super::Fault;
use crate::error::NetworkError;
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, SyncSender};

/// How many bytes come at a time, at most.
pub(super) const PIECE: usize = 64 << 10;

/// What a courier brings: first that the file is open, then its pieces, then its end; or a fault in place of the rest.
pub(super) enum Message {
    /// The file is there, and its pieces begin with this byte of it.
    Opened(u64),
    Piece(Vec<u8>),
    End,
}

/// Sends out a courier for the file at `address`, from byte `from` on if the server can do that.
pub(super) fn send(agent: ureq::Agent, address: String, from: u64) -> Receiver<Result<Message, Fault>> {
    let (sender, receiver) = mpsc::sync_channel(4);
    std::thread::spawn(move || {
        if let Err(fault) = run(&agent, &address, from, &sender) {
            // Whoever no longer waits does not want to know either.
            let _ = sender.send(Err(fault));
        }
    });
    receiver
}

/// The fault of a courier that did not bring what it should.
pub(super) fn lost() -> Fault {
    Fault::Network(NetworkError::Protocol("the download ended without a reason".to_owned()))
}

fn run(
    agent: &ureq::Agent,
    address: &str,
    from: u64,
    sender: &SyncSender<Result<Message, Fault>>,
) -> Result<(), Fault> {
    let mut request = agent.get(address);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    let response = request.call().map_err(fault)?;
    let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
    let continued = response.status().as_u16() == 206
        && range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
    if sender.send(Ok(Message::Opened(if continued { from } else { 0 }))).is_err() {
        return Ok(());
    }
    // Whoever waits counts what comes and stops at the signed size; no other limit may be in the way.
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; PIECE];
    loop {
        let message = match body.read(&mut buffer) {
            Ok(0) => return sender.send(Ok(Message::End)).or(Ok(())),
            Ok(length) => Message::Piece(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(reading_fault(error)),
        };
        if sender.send(Ok(message)).is_err() {
            return Ok(());
        }
    }
}

fn fault(error: ureq::Error) -> Fault {
    Fault::Network(match error {
        ureq::Error::StatusCode(404 | 410) => return Fault::Absent,
        ureq::Error::StatusCode(status) => NetworkError::Status(status),
        ureq::Error::HostNotFound => NetworkError::HostNotFound,
        ureq::Error::Timeout(_) => NetworkError::TimedOut,
        ureq::Error::Io(source) => return io_fault(source),
        ureq::Error::ConnectionFailed => NetworkError::Unreachable(io::Error::other("no address answers")),
        error @ (ureq::Error::Tls(_) | ureq::Error::Pem(_) | ureq::Error::Rustls(_)) => {
            NetworkError::Tls(error.to_string())
        }
        other => NetworkError::Protocol(other.to_string()),
    })
}

/// What stopped the connection, before anything came.
fn io_fault(source: io::Error) -> Fault {
    Fault::Network(match source.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => NetworkError::TimedOut,
        // The standard library has no kind of its own for a name without an address.
        _ if source.to_string().contains("failed to lookup address") => NetworkError::HostNotFound,
        // A certificate that is not accepted comes as an error of the stream.
        io::ErrorKind::InvalidData => NetworkError::Tls(source.to_string()),
        _ => NetworkError::Unreachable(source),
    })
}

/// What stopped a body that was coming in.
fn reading_fault(error: io::Error) -> Fault {
    match error.downcast::<ureq::Error>() {
        Ok(error) => fault(error),
        Err(error) => io_fault(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::ToSocketAddrs;

    #[test]
    fn a_name_without_an_address_is_told_apart_from_a_host_that_does_not_answer() {
        // No resolver is asked for a name that is too long to be one.
        let error = format!("{}.invalid:80", "x".repeat(300)).to_socket_addrs().unwrap_err();
        assert!(matches!(io_fault(error), Fault::Network(NetworkError::HostNotFound)));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(matches!(io_fault(refused), Fault::Network(NetworkError::Unreachable(_))));
    }
}
