//! Descriptors: taking over inherited ones, moving them out of the way, and their flags.

use crate::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

/// The numbers that have been taken over already, so that none gets two owners.
static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Takes over a descriptor that this process was started with, by its number.
///
/// To be called before the program opens anything itself. The number must be open and above 2, and can be taken
/// once; anything else is `EBADF`.
pub fn take_inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    let mut taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if number <= 2 || taken.contains(&number) || !is_open(number) {
        return Err(Errno(libc::EBADF));
    }
    taken.push(number);
    // SAFETY: the number is open, nothing in this process owns it yet, and it is handed out once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Borrows one of the three standard descriptors, which stay open as long as the program runs; any other number
/// gives standard error.
pub fn standard(number: RawFd) -> BorrowedFd<'static> {
    let number = if (0..=2).contains(&number) { number } else { 2 };
    // SAFETY: the Rust runtime opens 0, 1 and 2 at start if need be, and nothing in this crate closes them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Duplicates one of the three standard descriptors (0, 1, 2) into an owned, close-on-exec one above them.
pub fn duplicate_standard(number: RawFd) -> Result<OwnedFd, Errno> {
    duplicate_above(standard(number), 3)
}

/// Says whether a descriptor number is open in this process.
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD only asks; a number that is not open is answered with an error.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Makes `target` (0, 1 or 2) refer to what `source` refers to; the copy is inherited by children.
pub fn replace_standard(source: impl AsFd, target: RawFd) -> Result<(), Errno> {
    match target {
        0 => nix::unistd::dup2_stdin(source)?,
        1 => nix::unistd::dup2_stdout(source)?,
        2 => nix::unistd::dup2_stderr(source)?,
        _ => return Err(Errno(libc::EBADF)),
    }
    Ok(())
}

/// Duplicates a descriptor to the lowest free number at or above `least`; the copy is close-on-exec.
pub fn duplicate_above(source: BorrowedFd<'_>, least: RawFd) -> Result<OwnedFd, Errno> {
    let number = fcntl(source, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: the kernel has just made this number for us, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes a pipe, read end first; both ends are close-on-exec and blocking.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Makes a pipe, read end first; both ends are close-on-exec, and the read end does not block.
pub fn nonblocking_reader_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = pipe()?;
    set_nonblocking(&reader, true)?;
    Ok((reader, writer))
}

/// Sets or clears the non-blocking flag of what the descriptor refers to (shared with all its copies).
pub fn set_nonblocking(descriptor: impl AsFd, nonblocking: bool) -> Result<(), Errno> {
    let mut flags = OFlag::from_bits_retain(fcntl(descriptor.as_fd(), FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, nonblocking);
    fcntl(descriptor.as_fd(), FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// Sets or clears the close-on-exec flag of a descriptor.
pub fn set_close_on_exec(descriptor: impl AsFd, close: bool) -> Result<(), Errno> {
    let flags = if close { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(descriptor.as_fd(), FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Reads once; `Ok(0)` is the end of the input.
pub fn read(descriptor: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    Ok(nix::unistd::read(descriptor.as_fd(), buffer)?)
}

/// Writes once and gives the number of bytes taken.
pub fn write(descriptor: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    Ok(nix::unistd::write(descriptor.as_fd(), bytes)?)
}

/// Writes several pieces at once, one after the other, and gives the number of bytes taken.
pub fn write_pieces(descriptor: impl AsFd, pieces: &[std::io::IoSlice<'_>]) -> Result<usize, Errno> {
    Ok(nix::sys::uio::writev(descriptor, pieces)?)
}

/// Gives a copy of `source` whose number is none of `avoid`, or nothing if its own number is already fine.
pub(crate) fn moved_clear_of(source: BorrowedFd<'_>, avoid: &[RawFd]) -> Result<Option<OwnedFd>, Errno> {
    if !avoid.contains(&source.as_raw_fd()) {
        return Ok(None);
    }
    let mut least = 3;
    loop {
        let copy = duplicate_above(source, least)?;
        if !avoid.contains(&copy.as_raw_fd()) {
            return Ok(Some(copy));
        }
        least = copy.as_raw_fd() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_open_cannot_be_taken() {
        assert_eq!(take_inherited(9_999).map(|_| ()), Err(Errno(libc::EBADF)));
        assert_eq!(take_inherited(1).map(|_| ()), Err(Errno(libc::EBADF)));
    }

    #[test]
    fn a_descriptor_in_the_way_is_moved_to_a_number_that_is_not() {
        let (reader, _writer) = pipe().unwrap();
        let avoid: Vec<RawFd> = (0..reader.as_raw_fd() + 5).collect();
        let moved = moved_clear_of(reader.as_fd(), &avoid).unwrap().unwrap();
        assert!(moved.as_raw_fd() >= reader.as_raw_fd() + 5);
        assert!(moved_clear_of(reader.as_fd(), &[]).unwrap().is_none());
    }
}
