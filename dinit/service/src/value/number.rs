//! Numbers as C reads them: base 0 means decimal, `0x` hexadecimal or `0` octal; a sign may stand before.

/// What stands at the start of a text, read as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// No number at all.
    Nothing,
    /// A number whose digits do not fit 64 bits.
    TooLarge,
    /// A number.
    Number {
        /// Whether there was a minus sign.
        negative: bool,
        /// The digits.
        magnitude: u64,
        /// How many bytes were read.
        length: usize,
    },
}

/// Reads a number at the start of `text`; `base` is 8, 10, 16, or 0 for what the text says.
pub fn scan(text: &[u8], base: u64) -> Scanned {
    let mut at = text.iter().take_while(|byte| is_space(**byte)).count();
    let negative = text.get(at) == Some(&b'-');
    if matches!(text.get(at), Some(b'-' | b'+')) {
        at = at.saturating_add(1);
    }
    let (base, skip) = base_of(text.get(at..).unwrap_or_default(), base);
    at = at.saturating_add(skip);
    let digits = text.get(at..).unwrap_or_default();
    let count = digits.iter().take_while(|byte| digit(**byte, base).is_some()).count();
    if count == 0 {
        return Scanned::Nothing;
    }
    let magnitude = digits
        .iter()
        .take(count)
        .try_fold(0u64, |number, byte| number.checked_mul(base)?.checked_add(digit(*byte, base)?));
    match magnitude {
        Some(magnitude) => Scanned::Number { negative, magnitude, length: at.saturating_add(count) },
        None => Scanned::TooLarge,
    }
}

/// Reads all of `text` as an unsigned number; a negative one wraps around 64 bits, as in C.
pub fn unsigned(text: &[u8]) -> Option<u64> {
    match scan(text, 0) {
        Scanned::Number { negative, magnitude, length } if length == text.len() => {
            Some(if negative { magnitude.wrapping_neg() } else { magnitude })
        }
        _ => None,
    }
}

/// Reads all of `text` as a number from 0 to 2147483647.
pub fn count(text: &[u8]) -> Option<u32> {
    u32::try_from(unsigned(text)?).ok().filter(|number| i32::try_from(*number).is_ok())
}

/// Reads all of `text` as a number from `least` to `most`.
pub fn signed(text: &[u8], least: i32, most: i32) -> Option<i32> {
    match scan(text, 0) {
        Scanned::Number { negative, magnitude, length } if length == text.len() => {
            let magnitude = i64::try_from(magnitude).ok()?;
            let number = i32::try_from(if negative { magnitude.checked_neg()? } else { magnitude }).ok()?;
            (least..=most).contains(&number).then_some(number)
        }
        _ => None,
    }
}

/// Reads all of `text` as an octal mode.
///
/// The reference accepts negative ones, which is a defect (DIV 7).
pub fn octal_mode(text: &[u8]) -> Option<u32> {
    match scan(text, 8) {
        Scanned::Number { negative: false, magnitude, length } if length == text.len() => {
            u32::try_from(magnitude).ok().filter(|mode| i32::try_from(*mode).is_ok())
        }
        _ => None,
    }
}

/// Finds the base that `digits` are written in, and how many bytes say so.
fn base_of(digits: &[u8], base: u64) -> (u64, usize) {
    let is_hexadecimal = matches!(digits, [b'0', b'x' | b'X', next, ..] if next.is_ascii_hexdigit());
    match base {
        0 if is_hexadecimal => (16, 2),
        0 if digits.first() == Some(&b'0') => (8, 0),
        0 => (10, 0),
        16 if is_hexadecimal => (16, 2),
        _ => (base, 0),
    }
}

fn digit(byte: u8, base: u64) -> Option<u64> {
    let digit = char::from(byte).to_digit(16).map(u64::from)?;
    (digit < base).then_some(digit)
}

/// Tells whether the C locale calls this byte white space.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}
