//! What the loop waits for: one epoll descriptor whose tokens are [`Source`] values.
//!
//! A token names its source by a number that is never given to another, so an event that arrives after its source
//! has gone finds nothing.

use dinit_sys::Errno;
use dinit_sys::poll::{Epoll, Interest, Ready};
use std::os::fd::AsFd;

/// Where an event comes from; in the order in which the events of one turn are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Signals, ended children among them: always first, so that no ended process is signalled.
    Signals,
    /// The status pipe of a launch.
    ExecStatus(u64),
    /// The readiness pipe of a launch.
    Readiness(u64),
    /// The output pipe of a service that is buffered.
    Output(u64),
    /// Room for the console stream of the log.
    ConsoleLog,
    /// Room for the main stream of the log.
    MainLog,
    /// A key at the prompt.
    Prompt,
    /// A new control connection.
    Listener,
    /// Bytes from, or room for bytes to, a client.
    Client(u64),
}

const NUMBER_BITS: u32 = 56;

impl Source {
    fn token(self) -> u64 {
        let (kind, number) = match self {
            Self::Signals => (0, 0),
            Self::ExecStatus(number) => (1, number),
            Self::Readiness(number) => (2, number),
            Self::Output(number) => (3, number),
            Self::ConsoleLog => (4, 0),
            Self::MainLog => (5, 0),
            Self::Prompt => (6, 0),
            Self::Listener => (7, 0),
            Self::Client(number) => (8, number),
        };
        kind << NUMBER_BITS | number
    }

    fn from_token(token: u64) -> Option<Self> {
        let number = token & ((1 << NUMBER_BITS) - 1);
        Some(match token >> NUMBER_BITS {
            0 => Self::Signals,
            1 => Self::ExecStatus(number),
            2 => Self::Readiness(number),
            3 => Self::Output(number),
            4 => Self::ConsoleLog,
            5 => Self::MainLog,
            6 => Self::Prompt,
            7 => Self::Listener,
            8 => Self::Client(number),
            _ => return None,
        })
    }
}

/// One thing that has happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    pub(crate) source: Source,
    pub(crate) ready: Ready,
}

/// The epoll descriptor.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: Epoll,
    /// The number for the next source that needs one.
    next: u64,
}

impl Reactor {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: Epoll::new()?, next: 1 })
    }

    /// Gives a number that no source has had.
    pub(crate) fn fresh_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Begins to wait for a descriptor.
    pub(crate) fn add(&self, descriptor: impl AsFd, source: Source, interest: Interest) -> Result<(), Errno> {
        self.epoll.add(descriptor, source.token(), interest)
    }

    /// Changes what is waited for.
    pub(crate) fn change(
        &self,
        descriptor: impl AsFd,
        source: Source,
        interest: Interest,
    ) -> Result<(), Errno> {
        self.epoll.change(descriptor, source.token(), interest)
    }

    /// Ends waiting; a descriptor that is closed, with all its copies, is removed by that.
    pub(crate) fn remove(&self, descriptor: impl AsFd) {
        let _ = self.epoll.remove(descriptor);
    }

    /// Waits at most so many nanoseconds (for ever with nothing) and gives what has happened, most urgent first.
    pub(crate) fn wait(&mut self, limit: Option<u64>) -> Vec<Happened> {
        let mut happened: Vec<Happened> = self
            .epoll
            .wait(limit)
            .into_iter()
            .filter_map(|(token, ready)| Some(Happened { source: Source::from_token(token)?, ready }))
            .collect();
        happened.sort_by_key(|happened| happened.source);
        happened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_survives_its_token() {
        for source in [
            Source::Signals,
            Source::ExecStatus(1),
            Source::Readiness(2),
            Source::Output(3),
            Source::ConsoleLog,
            Source::MainLog,
            Source::Prompt,
            Source::Listener,
            Source::Client((1 << NUMBER_BITS) - 1),
        ] {
            assert_eq!(Source::from_token(source.token()), Some(source));
        }
    }
}
