//! Waiting for descriptors: epoll for the loop, poll for a moment outside it.

use crate::Errno;
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::{AsFd, BorrowedFd};

/// What is waited for on a descriptor; trouble and the end of the other side are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Whether there is something to read.
    pub read: bool,
    /// Whether something can be written.
    pub write: bool,
}

impl Interest {
    /// To read.
    pub const READ: Self = Self { read: true, write: false };
    /// To write.
    pub const WRITE: Self = Self { read: false, write: true };
    /// Nothing but trouble.
    pub const NONE: Self = Self { read: false, write: false };

    fn flags(self) -> EpollFlags {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, self.read);
        flags.set(EpollFlags::EPOLLOUT, self.write);
        flags
    }
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// There is something to read, or the end.
    pub read: bool,
    /// Something can be written.
    pub write: bool,
    /// The other side is gone, or there is an error.
    pub gone: bool,
}

/// An epoll descriptor, close-on-exec; level-triggered.
#[derive(Debug)]
pub struct Epoll(nix::sys::epoll::Epoll);

impl Epoll {
    /// Makes one.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self(nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Begins to wait for a descriptor; regular files are refused with `EPERM`.
    pub fn add(&self, descriptor: impl AsFd, token: u64, interest: Interest) -> Result<(), Errno> {
        Ok(self.0.add(descriptor, EpollEvent::new(interest.flags(), token))?)
    }

    /// Changes what is waited for.
    pub fn change(&self, descriptor: impl AsFd, token: u64, interest: Interest) -> Result<(), Errno> {
        Ok(self.0.modify(descriptor, &mut EpollEvent::new(interest.flags(), token))?)
    }

    /// Ends waiting for a descriptor.
    pub fn remove(&self, descriptor: impl AsFd) -> Result<(), Errno> {
        Ok(self.0.delete(descriptor)?)
    }

    /// Waits at most so many nanoseconds, for ever with nothing; an interruption gives an empty list.
    pub fn wait(&self, limit: Option<u64>) -> Vec<(u64, Ready)> {
        let mut events = [EpollEvent::empty(); 64];
        let timeout = match limit {
            None => EpollTimeout::NONE,
            // Rounded up, so that a timer is due when its wait ends.
            Some(limit) => EpollTimeout::try_from(limit.div_ceil(1_000_000)).unwrap_or(EpollTimeout::MAX),
        };
        let count = self.0.wait(&mut events, timeout).unwrap_or(0);
        events
            .iter()
            .take(count)
            .map(|event| {
                let flags = event.events();
                let gone = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
                let ready = Ready {
                    read: flags.contains(EpollFlags::EPOLLIN),
                    write: flags.contains(EpollFlags::EPOLLOUT),
                    gone: flags.intersects(gone),
                };
                (event.data(), ready)
            })
            .collect()
    }
}

/// Waits until one of the descriptors can be written to, at most so many milliseconds; says whether one can.
pub fn wait_writable(descriptors: &[BorrowedFd<'_>], milliseconds: u64) -> bool {
    let mut list: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|descriptor| libc::pollfd {
            fd: std::os::fd::AsRawFd::as_raw_fd(descriptor),
            events: libc::POLLOUT,
            revents: 0,
        })
        .collect();
    let limit = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    // SAFETY: the list is writable and of the length that is passed with it.
    unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, limit) > 0 }
}
