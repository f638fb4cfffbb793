//! What the resolver chose, each package with the reason it is there.

use mkimage_deb::{Package, Sha256, Version};
use std::fmt;

/// The packages chosen, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The packages; no name stands twice.
    pub packages: Vec<Chosen>,
}

/// One chosen package: which, where its bytes are, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The name.
    pub name: String,
    /// The version.
    pub version: Version,
    /// The architecture; `all` for a package that fits every one.
    pub architecture: String,
    /// The size of the `.deb` in bytes.
    pub size: u64,
    /// The digest of the `.deb`.
    pub sha256: Sha256,
    /// The path of the `.deb` below the root of the archive.
    pub filename: String,
    /// Who asked for it.
    pub because: Because,
    /// What it is for.
    pub role: Role,
}

/// Who asked for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// The request names it.
    Requested,
    /// The request names something that it provides or stands for.
    RequestedAs(String),
    /// It is marked `Essential: yes`.
    Essential,
    /// The named package depends on it; of several, the one nearest to what was asked for.
    NeededBy(String),
}

/// What a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is unpacked and configured.
    Normal,
    /// Its files are taken and nothing else.
    FilesOnly,
}

impl Chosen {
    pub(crate) fn new(
        package: Package<'_>,
        because: Because,
        role: Role,
    ) -> Result<Self, mkimage_deb::version::VersionError> {
        Ok(Self {
            name: package.name().to_owned(),
            version: package.version().parse()?,
            architecture: package.architecture().to_owned(),
            size: package.size(),
            sha256: package.sha256(),
            filename: package.filename().to_owned(),
            because,
            role,
        })
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::RequestedAs(name) => write!(f, "requested as {name}"),
            Self::Essential => f.write_str("essential"),
            Self::NeededBy(name) => write!(f, "needed by {name}"),
        }
    }
}

impl Because {
    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = |name: &str| (!name.is_empty() && !name.contains(' ')).then(|| name.to_owned());
        match text {
            "requested" => return Some(Self::Requested),
            "essential" => return Some(Self::Essential),
            _ => {}
        }
        match text.strip_prefix("requested as ") {
            Some(rest) => name(rest).map(Self::RequestedAs),
            None => name(text.strip_prefix("needed by ")?).map(Self::NeededBy),
        }
    }
}

impl Role {
    /// Gives the word that stands for the role in a lock.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::FilesOnly => "files-only",
        }
    }
}
