//! One connection: what it has sent and was not yet understood, and what it is to be sent.

use super::Standing;
use super::handles::Handles;
use dinit_protocol::{REQUEST_BUFFER, Reply};
use dinit_sys::Errno;
use dinit_sys::poll::Interest;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// With so many bytes queued, no further request of the connection is read.
const HIGH_WATER: usize = 16 * 1024;

/// The bytes of news that may wait for a client that does not read.
const NEWS_LIMIT: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    pub(super) handles: Handles,
    pub(super) listens_environment: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output has been sent.
    sent: usize,
    /// How many of the queued bytes are news, which nobody asked for.
    news: usize,
    /// Set when the connection ends as soon as the output is sent; input is dropped then.
    is_closing: bool,
    /// Set when the other side sends nothing more, so that reading tells nothing.
    is_deaf: bool,
    overflowed: bool,
    has_left: bool,
    /// What epoll was last told.
    pub(crate) interest: Interest,
}

/// What kind of bytes are queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    /// The answer to a request; as long as it is.
    Answer,
    /// News; bounded, since the client does not ask for each.
    News,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            handles: Handles::default(),
            listens_environment: false,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            news: 0,
            is_closing: false,
            is_deaf: false,
            overflowed: false,
            has_left: false,
            interest: Interest::READ,
        }
    }

    /// Says how the connection stands.
    pub(crate) fn standing(&self) -> Standing {
        if self.overflowed {
            Standing::Overflows
        } else if self.has_left || ((self.is_closing || self.is_deaf) && !self.has_output()) {
            Standing::Leaves
        } else {
            Standing::Stays
        }
    }

    /// Says what is to be waited for.
    pub(crate) fn wanted_interest(&self) -> Interest {
        let read = !self.is_deaf && (self.is_closing || self.queued() < HIGH_WATER);
        Interest { read, write: self.has_output() }
    }

    /// Says whether requests are taken at the moment.
    pub(crate) fn takes_requests(&self) -> bool {
        !self.is_closing && !self.has_left && self.queued() < HIGH_WATER
    }

    /// Says whether there is something to be done before it is heard of again; room for its output is waited for.
    pub(super) fn wants_attention(&self) -> bool {
        (self.has_output() && !self.interest.write) || self.standing() != Standing::Stays
    }

    fn has_output(&self) -> bool {
        self.queued() > 0
    }

    /// Gives the number of bytes that are to be sent.
    pub(crate) fn queued(&self) -> usize {
        self.output.len() - self.sent.min(self.output.len())
    }

    /// Reads once; the connection may have ended.
    pub(crate) fn receive(&mut self) -> Result<(), Errno> {
        let mut chunk = [0u8; REQUEST_BUFFER];
        let free = REQUEST_BUFFER.saturating_sub(self.input.len());
        let wanted = if self.is_closing { REQUEST_BUFFER } else { free };
        match self.stream.read(chunk.get_mut(..wanted).unwrap_or_default()) {
            // Nothing more will come; what is queued is still sent.
            Ok(0) if wanted > 0 => self.is_deaf = true,
            Ok(_) if self.is_closing => {}
            Ok(count) => self.input.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) => match Errno::of(&error) {
                Errno(libc::EAGAIN | libc::EINTR) => {}
                Errno(libc::ECONNRESET) => self.has_left = true,
                error => {
                    self.has_left = true;
                    return Err(error);
                }
            },
        }
        Ok(())
    }

    /// Gives what has arrived and was not taken.
    pub(super) fn input(&self) -> &[u8] {
        &self.input
    }

    /// Takes away what was understood.
    pub(super) fn take_input(&mut self, count: usize) {
        self.input.drain(..count.min(self.input.len()));
    }

    /// Lets the connection end once everything is sent.
    pub(super) fn finish(&mut self) {
        self.is_closing = true;
        self.input = Vec::new();
    }

    /// Queues an answer.
    pub(super) fn answer(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        self.queue(&bytes, Queued::Answer);
    }

    /// Queues bytes; nothing more is said after the connection began to end.
    pub(super) fn queue(&mut self, bytes: &[u8], kind: Queued) {
        if self.is_closing || self.has_left || bytes.is_empty() {
            return;
        }
        if kind == Queued::News {
            self.news = self.news.saturating_add(bytes.len());
        }
        if self.news > NEWS_LIMIT || self.output.try_reserve(bytes.len()).is_err() {
            self.overflowed = true;
            return;
        }
        self.output.extend_from_slice(bytes);
    }

    /// Sends as much as the other side takes.
    pub(crate) fn send(&mut self) {
        while let Some(bytes @ [_, ..]) = self.output.get(self.sent..) {
            match self.stream.write(bytes) {
                Ok(0) => break,
                Ok(count) => {
                    self.sent += count;
                    self.news = self.news.saturating_sub(count);
                }
                Err(error) => match Errno::of(&error) {
                    Errno(libc::EINTR) => {}
                    Errno(libc::EAGAIN) => break,
                    _ => {
                        self.has_left = true;
                        return;
                    }
                },
            }
        }
        if !self.has_output() {
            self.output = Vec::new();
            self.sent = 0;
            self.news = 0;
        } else if self.sent > HIGH_WATER {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
