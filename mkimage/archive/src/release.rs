//! The signed description of a suite, and the proof by type that its signature was checked.

use crate::error::ArchiveError;
use crate::openpgp::{self, CLOCK_SKEW, Keyring};
use mkimage_deb::date::Timestamp;
use mkimage_deb::{ControlError, Release};
use std::ops::Deref;

/// Something that only this crate can make, and only after checking the signature over it.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    content: T,
    suite: String,
    signers: Vec<String>,
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.content
    }
}

impl<T> Verified<T> {
    /// Gives the name of the suite as it was asked for.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Gives the fingerprints of the keys whose signatures hold.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }
}

/// Checks an `InRelease` file: its signature, its dates, and that it is of the suite that was asked for.
pub(crate) fn verify(
    bytes: &[u8],
    suite: &str,
    address: &str,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Verified<Release>, ArchiveError> {
    let signed = openpgp::verify(bytes, keyring, now)
        .map_err(|problems| ArchiveError::Signature { address: address.to_owned(), problems })?;
    let release = Release::parse(&signed.text).map_err(|error| bad_control(address, &signed.text, error))?;
    check_name(&release, suite)?;
    check_dates(&release, suite, now)?;
    Ok(Verified { content: release, suite: suite.to_owned(), signers: signed.signers })
}

pub(crate) fn bad_control(address: &str, text: &str, source: ControlError) -> ArchiveError {
    let (line, _) = source.position(text);
    ArchiveError::BadControl { address: address.to_owned(), line, source }
}

fn check_name(release: &Release, suite: &str) -> Result<(), ArchiveError> {
    let names = [release.codename.as_deref(), release.suite.as_deref()];
    if names.contains(&Some(suite)) {
        return Ok(());
    }
    let found = names.into_iter().flatten().next().unwrap_or("without a name").to_owned();
    Err(ArchiveError::OtherSuite { asked: suite.to_owned(), found })
}

fn check_dates(release: &Release, suite: &str, now: Timestamp) -> Result<(), ArchiveError> {
    let untimely = |problem| Err(ArchiveError::Untimely { suite: suite.to_owned(), problem });
    if release.date.0 > now.0 + CLOCK_SKEW {
        return untimely(format!("is from the future: it was made on {}, and it is {now}", release.date));
    }
    match release.valid_until {
        Some(until) if until <= now => untimely(format!("expired on {until}, and it is {now}")),
        _ => Ok(()),
    }
}
