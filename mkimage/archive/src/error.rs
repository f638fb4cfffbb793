//! What can go wrong between a mirror and the cache, each with what the reader can do about it.

use mkimage_deb::{ControlError, DebError, Sha256, Timestamp};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an archive could not be used.
#[derive(Debug)]
pub enum ArchiveError {
    /// The caller wished for an end.
    Cancelled,
    /// The location of a mirror is not one.
    BadMirror {
        /// What was given.
        location: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The mirror did not deliver.
    Network {
        /// The address that was asked for.
        address: String,
        /// What went wrong.
        source: NetworkError,
    },
    /// The mirror has no such suite.
    NoSuchSuite {
        /// The suite that was asked for.
        suite: String,
        /// The address that was asked for.
        address: String,
    },
    /// The suite has no index for this component and architecture.
    NoSuchIndex {
        /// The path of the index below the suite.
        path: String,
        /// What the suite does have: its components and architectures.
        available: String,
    },
    /// The mirror no longer carries a package that a lock names.
    Gone {
        /// The name and the version of the package.
        package: String,
        /// The address that was asked for.
        address: String,
    },
    /// The mirror does not have the index that the signed description of the suite names.
    IndexGone {
        /// The address that was asked for.
        address: String,
    },
    /// What came is not what the signed index names.
    Mismatch {
        /// The address that was asked for.
        address: String,
        /// The digest that should have come.
        expected: Sha256,
        /// The digest that did come.
        found: Sha256,
    },
    /// A key file cannot be read or is none.
    BadKey {
        /// The file, or the name of the shipped key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The signature over the description of the suite does not hold.
    Signature {
        /// The address of the signed file.
        address: String,
        /// What was wrong, one line for each signature.
        problems: Vec<String>,
    },
    /// The signed description of the suite is too old to be relied on, or from the future.
    Untimely {
        /// The suite.
        suite: String,
        /// What is wrong with its dates.
        problem: String,
    },
    /// The mirror gave a newer description of the suite before.
    Older {
        /// The suite.
        suite: String,
        /// The mirror.
        mirror: String,
        /// When the present description was made.
        offered: Timestamp,
        /// When the one was made that came before.
        seen: Timestamp,
    },
    /// What is signed is not the suite that was asked for.
    OtherSuite {
        /// What was asked for.
        asked: String,
        /// What the signed file says it is.
        found: String,
    },
    /// A signed file breaks the syntax.
    BadControl {
        /// The address of the file.
        address: String,
        /// The line in it.
        line: usize,
        /// What is wrong.
        source: ControlError,
    },
    /// An index cannot be decompressed, or is not text.
    BadIndex {
        /// The address of the file.
        address: String,
        /// What is wrong.
        source: io::Error,
    },
    /// A package with the right digest cannot be unpacked.
    BadPackage {
        /// The package.
        name: String,
        /// What is wrong.
        source: DebError,
    },
    /// The cache cannot be written, read or locked.
    Cache {
        /// What was being done, such as `create`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What went wrong on the way to a mirror.
#[derive(Debug)]
pub enum NetworkError {
    /// The name of the host has no address.
    HostNotFound,
    /// The host does not answer, or the line broke.
    Unreachable(io::Error),
    /// The answer took too long.
    TimedOut,
    /// The server answered with an error.
    Status(u16),
    /// The certificate of the server is not accepted, or the line cannot be encrypted.
    Tls(String),
    /// The answer ended before all was there.
    CutShort {
        /// How many bytes came.
        received: u64,
        /// How many should have come.
        expected: u64,
    },
    /// More came than the signed index says there is.
    TooLong {
        /// How many bytes there should have been.
        expected: u64,
    },
    /// Something else that the transport reports.
    Protocol(String),
}

impl ArchiveError {
    /// Says what the reader can do about it, if anything can be said.
    pub fn help(&self) -> Option<&'static str> {
        const ANOTHER_MIRROR: &str = "name another mirror with `MKIMAGE_MIRROR` or in the manifest";
        match self {
            Self::Network { source: NetworkError::HostNotFound | NetworkError::Unreachable(_), .. } => Some(
                "check the network and the proxy settings, or name another mirror with `MKIMAGE_MIRROR`; a mirror \
                 may be a folder too",
            ),
            Self::Network { source: NetworkError::Tls(_), .. } => Some(
                "add the certificate to the system's own, or use an `http:` mirror: packages are checked by signature",
            ),
            Self::Network { .. } => Some("try again later, or name another mirror with `MKIMAGE_MIRROR`"),
            Self::BadMirror { .. } => Some(
                "a mirror is an `http:`, `https:` or `file:` address, or a path beginning with `/` or `.`",
            ),
            Self::NoSuchSuite { .. } => Some("check the name of the suite and the location of the mirror"),
            Self::NoSuchIndex { .. } => Some("check the names of the components and of the architecture"),
            Self::OtherSuite { .. } => Some(ANOTHER_MIRROR),
            Self::Gone { .. } => Some("make the lock anew with `mkimage lock`: archives drop old versions"),
            Self::IndexGone { .. } | Self::Mismatch { .. } => {
                Some("the mirror is damaged or being updated: try again later, or name another one")
            }
            Self::BadKey { .. } => Some("give a file with OpenPGP public keys, armoured or not"),
            Self::Signature { .. } => Some(
                "the mirror is not the one it claims to be, or its keys are newer than the ones known here: name a \
                 key file in the manifest if you trust it",
            ),
            Self::Untimely { .. } => {
                Some("check the clock of this machine, or name a mirror that is kept up to date")
            }
            Self::Older { .. } => Some(
                "try again later, or name another mirror with `MKIMAGE_MIRROR` or in the manifest: this one fell behind, \
                 or somebody on the way holds back what is new",
            ),
            Self::BadControl { .. } | Self::BadIndex { .. } | Self::BadPackage { .. } => Some(ANOTHER_MIRROR),
            Self::Cache { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("make room, or put the cache elsewhere; what is in the cache already stays usable")
            }
            Self::Cache { .. } => Some("check the permissions of the cache, or put it elsewhere"),
            Self::Cancelled => None,
        }
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("ended on request"),
            Self::BadMirror { location, problem } => {
                write!(f, "`{location}` is not the location of a mirror: {problem}")
            }
            Self::Network { address, .. } => write!(f, "cannot fetch `{address}`"),
            Self::NoSuchSuite { suite, address } => {
                write!(f, "the mirror has no suite `{suite}`: there is no `{address}`")
            }
            Self::NoSuchIndex { path, available } => {
                write!(f, "the suite has no index `{path}`; it has {available}")
            }
            Self::Gone { package, .. } => write!(f, "the mirror no longer carries `{package}`"),
            Self::IndexGone { address } => {
                write!(f, "the mirror does not have `{address}`, which its description of the suite names")
            }
            Self::Mismatch { address, expected, found } => {
                write!(f, "what came from `{address}` has digest `{found}` instead of `{expected}`")
            }
            Self::BadKey { key, problem } => write!(f, "cannot use the key `{key}`: {problem}"),
            Self::Signature { address, problems } => {
                write!(f, "the signature of `{address}` does not hold: {}", problems.join("; "))
            }
            Self::Untimely { suite, problem } => {
                write!(f, "the description of the suite `{suite}` {problem}")
            }
            Self::Older { suite, mirror, offered, seen } => write!(
                f,
                "`{mirror}` gives a description of the suite `{suite}` made on {offered}, and gave one made on {seen} \
                 before"
            ),
            Self::OtherSuite { asked, found } => {
                write!(f, "the mirror gives the suite `{found}` where `{asked}` was asked for")
            }
            Self::BadControl { address, line, .. } => write!(f, "line {line} of `{address}` is wrong"),
            Self::BadIndex { address, .. } => write!(f, "cannot read the index `{address}`"),
            Self::BadPackage { name, .. } => write!(f, "cannot unpack the package `{name}`"),
            Self::Cache { doing, path, .. } => write!(f, "cannot {doing} `{}`", path.display()),
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network { source, .. } => Some(source),
            Self::BadControl { source, .. } => Some(source),
            Self::BadIndex { source, .. } | Self::Cache { source, .. } => Some(source),
            Self::BadPackage { source, .. } => Some(source),
            Self::Cancelled
            | Self::BadMirror { .. }
            | Self::NoSuchSuite { .. }
            | Self::NoSuchIndex { .. }
            | Self::Gone { .. }
            | Self::IndexGone { .. }
            | Self::Mismatch { .. }
            | Self::BadKey { .. }
            | Self::Signature { .. }
            | Self::Untimely { .. }
            | Self::Older { .. }
            | Self::OtherSuite { .. } => None,
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostNotFound => f.write_str("the name of the host has no address"),
            Self::Unreachable(_) => f.write_str("the connection failed"),
            Self::TimedOut => f.write_str("the answer took too long"),
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::Tls(problem) => write!(f, "the encrypted connection failed: {problem}"),
            Self::CutShort { received, expected } => {
                write!(f, "the download ended after {received} of {expected} bytes")
            }
            Self::TooLong { expected } => write!(f, "the download did not end after {expected} bytes"),
            Self::Protocol(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for NetworkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(source) => Some(source),
            Self::HostNotFound
            | Self::TimedOut
            | Self::Status(_)
            | Self::Tls(_)
            | Self::CutShort { .. }
            | Self::TooLong { .. }
            | Self::Protocol(_) => None,
        }
    }
}
