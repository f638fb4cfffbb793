//! What stands between the monitor and the daemon, so that a test knows when the monitor has asked for everything,
//! and can end the connection once all news has gone through.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

use dinit_protocol::{Decoded, ReplyPacket, StatusLayout, decode_packet};

use crate::world::LIMIT;

/// A relay for one client.
pub(crate) struct Relay {
    daemon: UnixStream,
    answered: Receiver<()>,
}

impl Relay {
    /// Listens at a path, and passes on what a client and the daemon at `socket` say to each other.
    pub(crate) fn new(path: &Path, socket: &Path, answers: usize) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let daemon = UnixStream::connect(socket).unwrap();
        let upward = daemon.try_clone().unwrap();
        let downward = daemon.try_clone().unwrap();
        let (tell, answered) = channel();
        thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let requests = client.try_clone().unwrap();
            thread::spawn(move || pass_requests(requests, upward));
            pass_answers(downward, client, answers, &tell);
        });
        Self { daemon, answered }
    }

    /// Waits until the daemon has given as many answers as were announced, or the client has gone.
    #[track_caller]
    pub(crate) fn wait(&self) {
        assert_ne!(self.answered.recv_timeout(LIMIT), Err(RecvTimeoutError::Timeout), "too few requests");
    }

    /// Lets the daemon know that there is nothing more to ask. It sends what it has to say, and then closes.
    pub(crate) fn end(&self) {
        // Where the daemon was faster the connection is no more.
        let _ = self.daemon.shutdown(Shutdown::Write);
    }
}

fn pass_requests(mut client: UnixStream, mut daemon: UnixStream) {
    let _ = std::io::copy(&mut client, &mut daemon);
    let _ = daemon.shutdown(Shutdown::Write);
}

fn pass_answers(mut daemon: UnixStream, mut client: UnixStream, mut due: usize, answered: &Sender<()>) {
    let mut unread = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = daemon.read(&mut chunk) {
        unread.extend_from_slice(&chunk[..count]);
        // A client that has gone leaves the rest unread.
        let _ = client.write_all(&chunk[..count]);
        while let Ok(Decoded::Packet { packet, used }) = decode_packet(&unread, StatusLayout::V6) {
            unread.drain(..used);
            if matches!(packet, ReplyPacket::Reply(_)) {
                due = due.saturating_sub(1);
            }
        }
        if due == 0 {
            let _ = answered.send(());
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}
