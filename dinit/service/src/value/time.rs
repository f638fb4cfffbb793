//! Lengths of time: decimal seconds, with a point or a comma before the fraction.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// Why a text is not a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFault {
    /// Something other than digits and one separator.
    Bad,
    /// More seconds than can be counted.
    TooLarge,
}

/// More seconds than this are refused; the reference keeps one digit in hand.
const MOST_SECONDS: u64 = 922_337_203_685_477_580;

/// Reads a length of time. Missing parts are 0, and digits beyond nanoseconds are ignored.
pub fn parse(text: &[u8]) -> Result<Duration, TimeFault> {
    let mut bytes = text.iter();
    let mut seconds = 0u64;
    for byte in bytes.by_ref() {
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte.wrapping_sub(b'0'));
                seconds = seconds.saturating_mul(10).saturating_add(digit);
                if seconds > MOST_SECONDS {
                    return Err(TimeFault::TooLarge);
                }
            }
            b'.' | b',' => return fraction(seconds, bytes.as_slice()),
            _ => return Err(TimeFault::Bad),
        }
    }
    Ok(Duration::from_secs(seconds))
}

fn fraction(seconds: u64, digits: &[u8]) -> Result<Duration, TimeFault> {
    let mut nanoseconds = 0u32;
    let mut unit = 100_000_000u32;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Err(TimeFault::Bad);
        }
        nanoseconds = nanoseconds.saturating_add(unit.saturating_mul(u32::from(byte.wrapping_sub(b'0'))));
        unit /= 10;
    }
    Ok(Duration::new(seconds, nanoseconds))
}

/// Writes a length of time in the form that [`parse`] reads.
pub fn print(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        return format!("{}", time.as_secs());
    }
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    String::from(text.trim_end_matches('0'))
}
