//! Versions and their order (Debian policy, section 5.6.12, "Version").
//!
//! A version is `[epoch:]upstream[-revision]`. Two versions are compared by epoch, then upstream part, then
//! revision; parts alternate between runs of non-digits, where letters sort before all else and `~` sorts
//! before even the end, and runs of digits, compared as numbers of any length.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version as written, ordered and compared as Debian policy says.
///
/// `1.0` and `1.00` are different texts of equal versions, so equality is not that of the text.
#[derive(Clone)]
pub struct Version(String);

impl Version {
    /// Gives the version as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionError {
    /// There is nothing where the upstream version should be.
    Empty,
    /// What stands before the first colon is not a number that fits.
    Epoch(String),
    /// A character that no version may contain.
    Character(char),
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the version is empty"),
            Self::Epoch(epoch) => write!(f, "the epoch `{epoch}` of a version is not a number"),
            Self::Character(character) => {
                write!(f, "a version cannot contain `{}`", character.escape_debug())
            }
        }
    }
}

impl std::error::Error for VersionError {}

fn check(text: &str) -> Result<(), VersionError> {
    let rest = match text.split_once(':') {
        Some((epoch, rest)) => {
            if epoch.is_empty() || !epoch.bytes().all(|b| b.is_ascii_digit()) || epoch.parse::<u32>().is_err()
            {
                return Err(VersionError::Epoch(epoch.to_owned()));
            }
            rest
        }
        None => text,
    };
    if rest.is_empty() {
        return Err(VersionError::Empty);
    }
    match rest.chars().find(|&c| !(c.is_ascii_alphanumeric() || ".+-~:".contains(c))) {
        Some(character) => Err(VersionError::Character(character)),
        None => Ok(()),
    }
}

/// Compares two versions given as text; texts that are no versions compare in some fixed order too.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_upstream, left_revision) = split(left);
    let (right_epoch, right_upstream, right_revision) = split(right);
    compare_part(left_epoch.as_bytes(), right_epoch.as_bytes())
        .then_with(|| compare_part(left_upstream.as_bytes(), right_upstream.as_bytes()))
        .then_with(|| compare_part(left_revision.as_bytes(), right_revision.as_bytes()))
}

/// Splits into epoch, upstream version and revision; what is absent is empty, and empty compares like `0`.
fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (l, r) = (weight(left), weight(right));
            if l != r {
                return l.cmp(&r);
            }
            if l == 0 {
                break;
            }
            (left, right) = (&left[1..], &right[1..]);
        }
        let (left_number, right_number) = (take_number(&mut left), take_number(&mut right));
        let order = left_number.len().cmp(&right_number.len()).then_with(|| left_number.cmp(right_number));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Gives the rank of the first character: the end and digits are 0, `~` is below, letters come before the rest.
fn weight(part: &[u8]) -> i32 {
    match part.first() {
        None | Some(b'0'..=b'9') => 0,
        Some(b'~') => -1,
        Some(&letter) if letter.is_ascii_alphabetic() => i32::from(letter),
        Some(&other) => i32::from(other) + 256,
    }
}

/// Takes the digits at the front and gives them without leading zeros.
fn take_number<'a>(part: &mut &'a [u8]) -> &'a [u8] {
    let digits = part.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = part.split_at(digits);
    *part = rest;
    &number[number.iter().take_while(|&&b| b == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each line ascends strictly.
    const ASCENDING: &[&[&str]] = &[
        &["~~", "~~a", "~", "0", "a"],
        &["1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0+dfsg-1", "1.0.1"],
        &["9.9", "1:0.1", "2:0"],
        &["1.9", "1.10", "1.99999999999999999999", "1.100000000000000000000"],
        &["1a", "1b", "1+", "1.", "1.a"],
        &["2.7.4-1", "2.7.4+reloaded2-13ubuntu1", "2.7.4+reloaded2-13+deb9u1"],
        &["1-1~bpo13+1", "1-1", "1-1+deb13u1"],
    ];

    #[test]
    fn versions_are_ordered_as_policy_says() {
        for line in ASCENDING {
            for (i, left) in line.iter().enumerate() {
                for (j, right) in line.iter().enumerate() {
                    assert_eq!(compare(left, right), i.cmp(&j), "{left} and {right}");
                }
            }
        }
    }

    #[test]
    fn an_absent_epoch_revision_or_leading_zero_makes_no_difference() {
        for (left, right) in [("0:1.0", "1.0"), ("1.0-0", "1.0"), ("1.0", "1.00"), ("1.0-", "1.0-0")] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} and {right}");
        }
        let (short, long): (Version, Version) = ("1.0".parse().unwrap(), "1.00".parse().unwrap());
        assert_eq!(short, long);
        assert_ne!(short.as_str(), long.as_str());
    }

    #[test]
    fn texts_that_are_no_versions_are_refused_by_name() {
        let error = |text: &str| text.parse::<Version>().unwrap_err();
        assert_eq!(error(""), VersionError::Empty);
        assert_eq!(error("1:"), VersionError::Empty);
        assert_eq!(error("a:1"), VersionError::Epoch("a".into()));
        assert_eq!(error(":1"), VersionError::Epoch(String::new()));
        assert_eq!(error("1_2"), VersionError::Character('_'));
        assert_eq!(error("1 2"), VersionError::Character(' '));
    }

    fn any_version() -> impl Strategy<Value = String> {
        "([0-2]:)?[01ab.+~]{1,5}(-[01a+~.]{1,3})?"
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le(), "{} <= {} <= {}", a, b, c);
            }
        }

        #[test]
        fn a_tilde_after_a_version_makes_it_older_and_a_plus_makes_it_newer(a in any_version()) {
            let (older, newer) = (format!("{a}~"), format!("{a}+"));
            prop_assert!(compare(&older, &a).is_lt() && compare(&newer, &a).is_gt());
        }
    }
}
