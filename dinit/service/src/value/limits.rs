//! Resource limits: `SOFT:HARD`, either of which may be missing or `-` for no limit.

use alloc::format;
use alloc::string::{String, ToString};

use super::number::{Scanned, scan};

/// One half of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What is inherited stays.
    Unset,
    /// No limit.
    Unlimited,
    /// At most this much.
    At(u64),
}

/// The soft and the hard limit of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The limit in force.
    pub soft: Bound,
    /// How far the process may raise it.
    pub hard: Bound,
}

/// The limits of all resources that have a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// `rlimit-nofile`: open files.
    pub nofile: Option<Limits>,
    /// `rlimit-core`: the size of a core dump in bytes.
    pub core: Option<Limits>,
    /// `rlimit-data`: the data segment in bytes.
    pub data: Option<Limits>,
    /// `rlimit-addrspace`: the address space in bytes.
    pub addrspace: Option<Limits>,
}

/// Why a text is not a pair of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitFault {
    /// Not of the form.
    Bad,
    /// A number that does not fit 64 bits.
    TooLarge,
}

/// A pair of limits as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The limits.
    pub limits: Limits,
    /// Whether characters behind a numeric hard limit were ignored (DIV 15).
    pub has_junk: bool,
}

/// Reads a pair of limits.
pub fn parse(text: &[u8]) -> Result<ReadLimits, LimitFault> {
    let (soft, rest) = match text {
        [] => return Err(LimitFault::Bad),
        [b':', ..] => (Bound::Unset, text),
        _ => bound(text)?,
    };
    match rest {
        [] => Ok(ReadLimits { limits: Limits { soft, hard: soft }, has_junk: false }),
        [b':'] => Ok(ReadLimits { limits: Limits { soft, hard: Bound::Unset }, has_junk: false }),
        [b':', hard @ ..] => {
            let (hard, junk) = bound(hard)?;
            if hard == Bound::Unlimited && !junk.is_empty() {
                return Err(LimitFault::Bad);
            }
            Ok(ReadLimits { limits: Limits { soft, hard }, has_junk: !junk.is_empty() })
        }
        _ => Err(LimitFault::Bad),
    }
}

/// Reads one half and returns what stands behind it.
fn bound(text: &[u8]) -> Result<(Bound, &[u8]), LimitFault> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Ok((Bound::Unlimited, rest));
    }
    match scan(text, 0) {
        Scanned::Nothing => Err(LimitFault::Bad),
        Scanned::TooLarge => Err(LimitFault::TooLarge),
        Scanned::Number { negative, magnitude, length } => {
            let number = if negative { magnitude.wrapping_neg() } else { magnitude };
            Ok((Bound::At(number), text.get(length..).unwrap_or_default()))
        }
    }
}

/// Writes a pair of limits in the form that [`parse`] reads.
pub fn print(limits: Limits) -> String {
    if limits.soft == limits.hard && limits.soft != Bound::Unset {
        return half(limits.soft);
    }
    format!("{}:{}", half(limits.soft), half(limits.hard))
}

fn half(bound: Bound) -> String {
    match bound {
        Bound::Unset => String::new(),
        Bound::Unlimited => String::from("-"),
        Bound::At(number) => number.to_string(),
    }
}
