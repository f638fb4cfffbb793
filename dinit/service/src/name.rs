//! Names of services: the base name, the argument, and what counts as a name.

use alloc::vec::Vec;

/// The full name of a service, `BASE` or `BASE@ARGUMENT`: any bytes, compared as such.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Vec<u8>);

impl ServiceName {
    /// The longest name that can be loaded, in bytes.
    pub const MAX_LENGTH: usize = 65535;

    /// Makes a name without judging it; see [`ServiceName::is_valid`].
    pub fn new(name: impl Into<Vec<u8>>) -> ServiceName {
        ServiceName(name.into())
    }

    /// Returns the full name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the name of the description file: what stands before the first `@`.
    pub fn base(&self) -> &[u8] {
        self.split().0
    }

    /// Returns what stands behind the first `@`, which may be empty, or `None` without an `@`.
    pub fn argument(&self) -> Option<&[u8]> {
        self.split().1
    }

    /// Tells whether `name` can name a service: not empty, and not starting with `.` or `@`.
    pub fn is_valid(name: &[u8]) -> bool {
        !matches!(name.first(), None | Some(b'.' | b'@'))
    }

    /// Tells whether the base name keeps to the documented characters: `A–Z a–z 0–9 . _ -` and bytes from 0x80.
    ///
    /// Nothing enforces them; the checker warns.
    pub fn has_documented_characters(&self) -> bool {
        self.base()
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') || byte >= 0x80)
    }

    fn split(&self) -> (&[u8], Option<&[u8]>) {
        let mut halves = self.0.splitn(2, |&byte| byte == b'@');
        (halves.next().unwrap_or_default(), halves.next())
    }
}

impl core::fmt::Display for ServiceName {
    /// Writes the name; what is not UTF-8 is replaced.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&alloc::string::String::from_utf8_lossy(&self.0))
    }
}
