//! Local stream sockets: the control socket, activation sockets, pairs.

use crate::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket, socketpair,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Makes a non-blocking, close-on-exec local stream socket.
pub fn stream() -> Result<OwnedFd, Errno> {
    Ok(socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?)
}

/// Makes a blocking, close-on-exec local stream socket.
pub fn blocking_stream() -> Result<OwnedFd, Errno> {
    Ok(socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?)
}

/// Says whether something listens at the path: a connection is made, or is only refused for lack of room.
pub fn is_listened_at(path: &Path) -> bool {
    let Ok(probe) = stream() else { return false };
    let Ok(address) = UnixAddr::new(path) else { return false };
    matches!(connect(probe.as_raw_fd(), &address), Ok(()) | Err(nix::errno::Errno::EAGAIN))
}

/// Gives a socket its path; `ENAMETOOLONG` if the path does not fit an address.
pub fn bind_to(descriptor: impl AsFd, path: &Path) -> Result<(), Errno> {
    let address = UnixAddr::new(path)?;
    Ok(bind(descriptor.as_fd().as_raw_fd(), &address)?)
}

/// Lets a socket accept connections.
pub fn listen_on(descriptor: impl AsFd, backlog: i32) -> Result<(), Errno> {
    let backlog = Backlog::new(backlog)?;
    Ok(listen(&descriptor.as_fd(), backlog)?)
}

/// Accepts one connection, non-blocking and close-on-exec; nothing if none is waiting.
pub fn accept(listener: &UnixListener) -> Result<Option<UnixStream>, Errno> {
    match listener.accept() {
        Ok((connection, _)) => {
            connection.set_nonblocking(true)?;
            Ok(Some(connection))
        }
        Err(error) => match Errno::of(&error) {
            Errno(libc::EAGAIN | libc::EINTR | libc::ECONNABORTED) => Ok(None),
            error => Err(error),
        },
    }
}

/// Makes a connected pair of non-blocking, close-on-exec stream sockets.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?)
}

/// Makes a non-blocking, close-on-exec local datagram socket.
pub fn datagram() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, SockType::Datagram, flags, None)?)
}

/// Connects a socket to the one at the path, as for syslog.
pub fn connect_to(descriptor: impl AsFd, path: &Path) -> Result<(), Errno> {
    let address = UnixAddr::new(path)?;
    Ok(connect(descriptor.as_fd().as_raw_fd(), &address)?)
}
