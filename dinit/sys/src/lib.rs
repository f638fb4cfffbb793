//! Safe functions over Linux system calls; the only crate with unsafe code.
//!
//! `nix` is used for what it has. What it lacks, or does in a way that loses information (it cannot report a
//! child killed by a real-time signal), is a function here whose types make misuse hard. Services, policy and
//! retry decisions are deliberately absent: a function does one thing and says what the kernel answered.

pub mod descriptor;
pub mod launch;
pub mod pidfd;
pub mod poll;
pub mod process;
mod raw;
pub mod reserve;
pub mod seccomp;
pub mod signal;
pub mod socket;
mod standard;
pub mod swap;
pub mod system;
pub mod terminal;
pub mod tied;

use std::ffi::CStr;
use std::fmt;

/// An error number of the kernel, kept as the number so that it can travel over pipes and sockets unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Takes the number out of an input/output error; 0 if it did not come from the kernel.
    pub fn of(error: &std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(0))
    }

    /// Gives the text that `strerror` has for the number, such as `No such file or directory`.
    pub fn text(self) -> String {
        let mut buffer = [0u8; 128];
        // SAFETY: the buffer is writable for the length that is passed with it.
        let status = unsafe { libc::strerror_r(self.0, buffer.as_mut_ptr().cast(), buffer.len()) };
        match CStr::from_bytes_until_nul(&buffer) {
            Ok(text) if status == 0 || !text.is_empty() => text.to_string_lossy().into_owned(),
            _ => format!("Unknown error {}", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Errno({}: {})", self.0, self.text())
    }
}

impl std::error::Error for Errno {}

impl From<nix::errno::Errno> for Errno {
    fn from(error: nix::errno::Errno) -> Self {
        Self(error as i32)
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self::of(&error)
    }
}

impl From<Errno> for std::io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

/// Takes the number of the error that the last failed call of this thread left behind.
pub(crate) fn last() -> Errno {
    Errno::of(&std::io::Error::last_os_error())
}

/// Gives the text that `strerror` has for an input/output error, without the number that `Display` adds.
pub fn error_text(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno(number).text(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_error_number_is_the_one_of_strerror() {
        assert_eq!(Errno(libc::ENOENT).text(), "No such file or directory");
        assert_eq!(error_text(&std::io::Error::from_raw_os_error(libc::EROFS)), "Read-only file system");
        assert!(Errno(99_999).text().contains("99999"));
    }
}
