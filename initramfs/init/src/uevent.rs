//! Being woken when the kernel adds a device, so that nothing is polled and nothing sleeps longer than it must.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// The group in which the kernel itself speaks, as opposed to udev.
const KERNEL_GROUP: u32 = 1;

/// The longest sleep: some changes, such as a disk put into a drive, come without an event that we would see.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// The events of the kernel, up to a deadline.
pub(crate) struct Events {
    /// Absent where the kernel refuses: then we look again after each [`LONGEST_SLEEP`].
    socket: Option<OwnedFd>,
    begun: Instant,
    limit: Option<Duration>,
}

impl Events {
    /// Begins to listen; without `limit` there is no deadline.
    pub(crate) fn listen(limit: Option<Duration>) -> Events {
        Events { socket: open(), begun: Instant::now(), limit }
    }

    /// Sleeps until something may have changed; `false` once the deadline has passed.
    pub(crate) fn wait(&mut self) -> bool {
        let left = match self.limit {
            Some(limit) => limit.saturating_sub(self.waited()),
            None => LONGEST_SLEEP,
        };
        if left.is_zero() {
            return false;
        }
        let timeout = PollTimeout::try_from(left.min(LONGEST_SLEEP)).unwrap_or(PollTimeout::ZERO);
        match &self.socket {
            Some(socket) => {
                // An interrupted or failed sleep only means looking again sooner.
                let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout);
                drain(socket);
            }
            None => drop(poll(&mut [], timeout)),
        }
        true
    }

    /// How long ago the listening began.
    pub(crate) fn waited(&self) -> Duration {
        self.begun.elapsed()
    }
}

fn open() -> Option<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkKObjectUEvent;
    let descriptor = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol).ok()?;
    bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP)).ok()?;
    Some(descriptor)
}

/// What happened does not matter, since everything is looked at again; only that it did.
fn drain(socket: &OwnedFd) {
    let mut buffer = [0; 4096];
    while matches!(recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT), Ok(1..)) {}
}
