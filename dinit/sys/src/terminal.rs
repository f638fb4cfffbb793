//! The terminal on a descriptor: foreground group, reading single keys, discarding input.

use crate::Errno;
use nix::sys::termios::{self, FlushArg, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use std::os::fd::{AsFd, AsRawFd};

/// Says whether the descriptor is a terminal.
pub fn is_terminal(descriptor: impl AsFd) -> bool {
    nix::unistd::isatty(descriptor).unwrap_or(false)
}

/// Makes this process's own group the foreground group of the terminal.
///
/// The caller must ignore or block `SIGTTOU`.
pub fn take_foreground(descriptor: impl AsFd) -> Result<(), Errno> {
    Ok(nix::unistd::tcsetpgrp(descriptor, nix::unistd::getpgrp())?)
}

/// Throws away what was typed and not yet read.
pub fn discard_input(descriptor: impl AsFd) -> Result<(), Errno> {
    Ok(termios::tcflush(descriptor, FlushArg::TCIFLUSH)?)
}

/// Waits until the virtual console with this number is shown (VT_WAITACTIVE of console_ioctl(2)). `descriptor` is any
/// virtual console.
///
/// # Errors
/// `ENOTTY` if the descriptor is no virtual console, `ENXIO` if there is none with this number.
pub fn wait_until_shown(descriptor: impl AsFd, number: u8) -> Result<(), Errno> {
    /// VT_WAITACTIVE of linux/vt.h.
    const WAIT_ACTIVE: libc::Ioctl = 0x5607;
    loop {
        // SAFETY: the descriptor is open for the call, and this request takes a number, no pointer.
        let result =
            unsafe { libc::ioctl(descriptor.as_fd().as_raw_fd(), WAIT_ACTIVE, libc::c_ulong::from(number)) };
        match nix::errno::Errno::result(result) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The way a terminal was set before single keys were asked for.
#[derive(Debug)]
pub struct LineMode(Termios);

/// Lets keys be read one by one, and gives what is needed to undo that.
pub fn read_single_keys(descriptor: impl AsFd) -> Result<LineMode, Errno> {
    let before = termios::tcgetattr(descriptor.as_fd())?;
    let mut wanted = before.clone();
    wanted.local_flags.remove(LocalFlags::ICANON);
    if let Some(least) = wanted.control_chars.get_mut(SpecialCharacterIndices::VMIN as usize) {
        *least = 1;
    }
    if let Some(time) = wanted.control_chars.get_mut(SpecialCharacterIndices::VTIME as usize) {
        *time = 0;
    }
    termios::tcsetattr(descriptor.as_fd(), SetArg::TCSANOW, &wanted)?;
    Ok(LineMode(before))
}

/// Sets the terminal back to what it was.
pub fn restore(descriptor: impl AsFd, before: &LineMode) -> Result<(), Errno> {
    Ok(termios::tcsetattr(descriptor, SetArg::TCSANOW, &before.0)?)
}
