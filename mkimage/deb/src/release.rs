//! The fields of a `Release` file: what an archive says of one suite, and the digests of its indices.

use crate::control::{ControlError, Problem, Stanza};
use crate::date::Timestamp;
use crate::digest::Sha256;
use std::collections::BTreeMap;

/// One suite of an archive, as its `Release` file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The suite, such as `stable`.
    pub suite: Option<String>,
    /// The code name, such as `trixie`.
    pub codename: Option<String>,
    /// The point release, such as `13.2`.
    pub version: Option<String>,
    /// When the file was made.
    pub date: Timestamp,
    /// Until when the file may be relied on; suites that do not move have none.
    pub valid_until: Option<Timestamp>,
    /// The architectures the suite has.
    pub architectures: Vec<String>,
    /// The components the suite has.
    pub components: Vec<String>,
    /// Whether indices can be asked for by their digest.
    pub acquire_by_hash: bool,
    /// The indices by their path below the suite's folder.
    pub files: BTreeMap<String, ReleaseFile>,
}

/// What a `Release` file says of one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

impl Release {
    /// Reads a `Release` file; `Date` and `SHA256` must be there.
    pub fn parse(text: &str) -> Result<Self, ControlError> {
        let stanza = Stanza::only(text)?;
        let owned = |name| stanza.get(name).map(str::to_owned);
        let words =
            |name| stanza.get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let Some(date) = date(&stanza, "Date")? else {
            return Err(ControlError { problem: Problem::Missing("Date"), offset: 0 });
        };
        Ok(Self {
            suite: owned("Suite"),
            codename: owned("Codename"),
            version: owned("Version"),
            date,
            valid_until: self::date(&stanza, "Valid-Until")?,
            architectures: words("Architectures"),
            components: words("Components"),
            acquire_by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            files: files(&stanza)?,
        })
    }
}

fn date(stanza: &Stanza<'_>, name: &'static str) -> Result<Option<Timestamp>, ControlError> {
    let Some(field) = stanza.field(name) else { return Ok(None) };
    let bad = |_| ControlError { problem: Problem::BadValue(name, "a date"), offset: field.offset };
    field.value.parse().map(Some).map_err(bad)
}

fn files(stanza: &Stanza<'_>) -> Result<BTreeMap<String, ReleaseFile>, ControlError> {
    let Some(field) = stanza.field("SHA256") else {
        return Err(ControlError { problem: Problem::Missing("SHA256"), offset: 0 });
    };
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (sha256, size, path) =
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.to_owned());
        words.next().is_none().then_some((path, ReleaseFile { sha256, size }))
    };
    let rows = field.value.lines().filter(|line| !line.trim().is_empty()).map(row);
    rows.collect::<Option<_>>().ok_or(ControlError {
        problem: Problem::BadValue("SHA256", "a list of digest, size and path"),
        offset: field.offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable\nCodename: trixie\nVersion: 13.2\n\
        Date: Sat, 15 Nov 2025 10:02:29 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\nComponents: main\n\
        MD5Sum:\n 00 1 main/x\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages.xz\n";

    #[test]
    fn a_release_file_is_read() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!(release.codename.as_deref(), Some("trixie"));
        assert_eq!(release.architectures, ["all", "amd64"]);
        assert_eq!((release.valid_until, release.acquire_by_hash), (None, true));
        let file = release.files["main/binary-amd64/Packages.xz"];
        assert_eq!((file.sha256, file.size), (Sha256::of(b""), 0));
    }

    #[test]
    fn a_release_file_without_date_or_digests_or_with_bad_ones_is_refused() {
        let problem = |text: &str| Release::parse(text).unwrap_err().problem;
        assert_eq!(problem(&TEXT.replace("Date:", "When:")), Problem::Missing("Date"));
        assert_eq!(problem(&TEXT.replace("SHA256:", "SHA512:")), Problem::Missing("SHA256"));
        assert_eq!(problem(&TEXT.replace("15 Nov", "45 Nov")), Problem::BadValue("Date", "a date"));
        let bad = Problem::BadValue("SHA256", "a list of digest, size and path");
        assert_eq!(problem(&TEXT.replace("e3b0", "e3b")), bad);
    }
}
