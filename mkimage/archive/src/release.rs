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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, DAY, NOW, Secret};

    fn judge(field: &str, suite: &str, now: Timestamp) -> Result<Verified<Release>, ArchiveError> {
        let secret = Secret::new();
        let keyring = Keyring::parse("test", &secret.good_key_file()).unwrap();
        verify(secret.sign(&fixture::release("", field)).as_bytes(), suite, "address", &keyring, now)
    }

    #[test]
    fn a_suite_goes_by_its_code_name_and_its_suite_name_and_no_other() {
        assert_eq!(judge("Codename: test", "test", NOW).unwrap().suite(), "test");
        assert!(judge("Codename: test", "testing", NOW).is_ok());
        let error = judge("Codename: test", "stable", NOW).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::OtherSuite { asked, found } if asked == "stable" && found == "test")
        );
    }

    #[test]
    fn an_expired_description_is_refused_with_the_way_on() {
        let until = |days: u64| format!("Codename: test\nValid-Until: {}", Timestamp(NOW.0 + days * DAY));
        assert!(judge(&until(1), "test", NOW).is_ok());
        let error = judge(&until(0), "test", NOW).unwrap_err();
        assert!(matches!(error, ArchiveError::Untimely { .. }), "{error}");
        assert!(error.to_string().contains("expired on"), "{error}");
        assert!(error.help().unwrap().contains("clock"));
    }

    #[test]
    fn a_description_from_the_future_is_refused_though_its_signature_is_not() {
        let date = |days: u64| format!("Date: {}", Timestamp(NOW.0 + days * DAY - DAY));
        let text = fixture::release("", "Codename: test").replace(&date(0), &date(3));
        let secret = Secret::new();
        let keyring = Keyring::parse("test", &secret.good_key_file()).unwrap();
        let error = verify(secret.sign(&text).as_bytes(), "test", "address", &keyring, NOW).unwrap_err();
        assert!(matches!(&error, ArchiveError::Untimely { .. }), "{error}");
        assert!(error.to_string().contains("from the future"), "{error}");
    }
}
