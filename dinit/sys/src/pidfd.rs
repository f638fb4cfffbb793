//! Descriptors that stand for one process, and for that process only (pidfd_open(2)).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::{Errno, process::Pid, raw};

/// Opens a descriptor that becomes readable when the process ends. It is closed on exec.
///
/// # Errors
/// `ESRCH` if there is no such process, `ENOSYS` before Linux 5.3.
pub fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    let pid = usize::try_from(pid).map_err(|_| Errno(libc::ESRCH))?;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    let descriptor = unsafe { raw::call(libc::SYS_pidfd_open, [pid, 0, 0, 0, 0, 0]) }?;
    let descriptor = RawFd::try_from(descriptor).map_err(|_| Errno(libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
