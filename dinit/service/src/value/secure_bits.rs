//! The secure bits of a process.

use core::ops::BitOrAssign;

/// A set of secure bits, with the values that `prctl` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecureBits(u32);

impl SecureBits {
    /// No bit.
    pub const NONE: SecureBits = SecureBits(0);

    /// The words of the setting.
    pub const WORDS: &'static [(&'static str, SecureBits)] = &[
        ("keep-caps", SecureBits(0x10)),
        ("keep-caps-locked", SecureBits(0x20)),
        ("no-setuid-fixup", SecureBits(0x4)),
        ("no-setuid-fixup-locked", SecureBits(0x8)),
        ("noroot", SecureBits(0x1)),
        ("noroot-locked", SecureBits(0x2)),
    ];

    /// Returns the bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Tells whether all of `other` are in the set.
    pub fn contains(self, other: SecureBits) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOrAssign for SecureBits {
    fn bitor_assign(&mut self, other: SecureBits) {
        self.0 |= other.0;
    }
}
