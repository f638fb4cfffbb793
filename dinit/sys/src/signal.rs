//! Signals: masks with all 64 signals, ignoring, and a descriptor from which they are read.

use crate::{Errno, last, raw};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A set of signals, a bit each, as the kernel has it (so real-time signals are never lost).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(pub u64);

impl Mask {
    /// Every signal.
    pub const ALL: Self = Self(u64::MAX);

    /// Makes the set of the given signal numbers; numbers out of range are left out.
    pub fn of(signals: &[i32]) -> Self {
        signals.iter().fold(Self(0), |mask, &signal| mask.with(signal))
    }

    /// Adds a signal.
    #[must_use]
    pub fn with(self, signal: i32) -> Self {
        Self(self.0 | bit(signal))
    }

    /// Removes a signal.
    #[must_use]
    pub fn without(self, signal: i32) -> Self {
        Self(self.0 & !bit(signal))
    }

    /// Says whether a signal is in the set.
    pub fn contains(self, signal: i32) -> bool {
        self.0 & bit(signal) != 0
    }
}

/// Replaces the mask of blocked signals of this thread and gives the one before.
pub fn set_blocked(mask: Mask) -> Result<Mask, Errno> {
    change(libc::SIG_SETMASK, mask)
}

/// Adds signals to the mask of blocked signals of this thread and gives the mask before.
pub fn block(mask: Mask) -> Result<Mask, Errno> {
    change(libc::SIG_BLOCK, mask)
}

/// Ignores a signal in this process and in what it executes.
pub fn ignore(signal: i32) -> Result<(), Errno> {
    // SAFETY: ignoring installs no code that could run.
    let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(last()) } else { Ok(()) }
}

/// Ends this process by a signal with its default action, so that its parent sees it killed by that signal.
///
/// Comes back only if the signal's default action does not end a process.
pub fn die_by(signal: i32) {
    // SAFETY: the default action installs no code that could run.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let _ = change(libc::SIG_UNBLOCK, Mask::of(&[signal]));
    // SAFETY: sending a signal to oneself has no memory contract.
    unsafe { libc::raise(signal) };
}

/// A descriptor that becomes readable when one of its signals is pending.
#[derive(Debug)]
pub struct SignalDescriptor(OwnedFd);

impl SignalDescriptor {
    /// Makes the descriptor; the signals must be blocked by the caller, or they are delivered the ordinary way.
    pub fn new(mask: Mask) -> Result<Self, Errno> {
        let flags = (libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) as usize;
        let arguments = [usize::MAX, &raw const mask.0 as usize, 8, flags, 0, 0];
        // SAFETY: the mask outlives the call and is the 8 bytes the kernel reads.
        let number = unsafe { raw::call(libc::SYS_signalfd4, arguments) }?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(number as i32) }))
    }

    /// Takes the number of the next pending signal, if there is one.
    pub fn next(&self) -> Result<Option<i32>, Errno> {
        let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
        match crate::descriptor::read(&self.0, &mut record) {
            Ok(length) if length >= 4 => {
                let [a, b, c, d, ..] = record;
                Ok(Some(i32::from_ne_bytes([a, b, c, d])))
            }
            Ok(_) => Ok(None),
            Err(Errno(libc::EAGAIN)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for SignalDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalDescriptor {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn bit(signal: i32) -> u64 {
    if (1..=64).contains(&signal) { 1 << (signal - 1) } else { 0 }
}

fn change(how: i32, mask: Mask) -> Result<Mask, Errno> {
    let mut before = 0u64;
    let arguments = [how as usize, &raw const mask.0 as usize, &raw mut before as usize, 8, 0, 0];
    // SAFETY: both sets are 8 bytes that live through the call.
    unsafe { raw::call(libc::SYS_rt_sigprocmask, arguments) }?;
    Ok(Mask(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read_from_the_descriptor() {
        let signal = libc::SIGRTMIN() + 3;
        let before = block(Mask::of(&[signal])).unwrap();
        let descriptor = SignalDescriptor::new(Mask::of(&[signal])).unwrap();
        assert_eq!(descriptor.next().unwrap(), None);
        // SAFETY: the signal goes to this very thread, where it is blocked.
        unsafe { libc::raise(signal) };
        assert_eq!(descriptor.next().unwrap(), Some(signal));
        set_blocked(before).unwrap();
    }
}
