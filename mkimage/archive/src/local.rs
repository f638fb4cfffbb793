//! Packages in files of the host: what an index says of a package, made from the package itself.

use crate::error::ArchiveError;
use mkimage_deb::{ControlError, Deb, DebError, PackageIndex, Sha256, Stanza};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A `.deb` in a file of the host. Whoever names the file vouches for it: it carries no signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPackage {
    /// The file.
    pub path: PathBuf,
    /// The name of the package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture; `all` for a package that fits every one.
    pub architecture: String,
    /// The digest of the file.
    pub sha256: Sha256,
    stanza: String,
}

/// Why a file is of no use as a package.
#[derive(Debug)]
pub enum LocalError {
    /// It cannot be read.
    Read(io::Error),
    /// It is no `.deb`.
    Deb(DebError),
    /// What it says about itself cannot be understood.
    Control(ControlError),
    /// It does not say what it is, or not in UTF-8.
    NoControl,
}

impl LocalPackage {
    /// Reads what a package says about itself.
    ///
    /// # Errors
    /// The file cannot be read, is no `.deb`, or lacks its name, version or architecture.
    pub fn read(path: &Path) -> Result<Self, LocalError> {
        // A pipe or a device in its place would be read for ever.
        if !fs::metadata(path).map_err(LocalError::Read)?.is_file() {
            return Err(LocalError::Read(io::Error::other("it is not a regular file")));
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(LocalError::Read)?;
        let members = Deb::open(bytes.as_slice()).and_then(|deb| deb.control_members());
        let members = members.map_err(LocalError::Deb)?;
        let control = members.get("control").and_then(|control| std::str::from_utf8(control).ok());
        let control = control.ok_or(LocalError::NoControl)?;
        let said = Stanza::only(control).map_err(LocalError::Control)?;
        let field = |name| said.get(name).map(str::to_owned).ok_or(LocalError::NoControl);
        let (name, version, architecture) = (field("Package")?, field("Version")?, field("Architecture")?);
        let sha256 = Sha256::of(&bytes);
        // Only its name shows where it is from; the digest is what it is known by.
        let stanza = format!(
            "{}\nFilename: local/{name}_{architecture}.deb\nSize: {}\nSHA256: {sha256}\n\n",
            control.trim_end(),
            bytes.len()
        );
        PackageIndex::parse(stanza.clone()).map_err(LocalError::Control)?;
        Ok(Self { path: path.to_owned(), name, version, architecture, sha256, stanza })
    }

    /// Gives the package's stanza, as an index of an archive has it.
    pub fn stanza(&self) -> &str {
        &self.stanza
    }

    /// Copies the file, which must still be what was read.
    pub(crate) fn copy_to(&self, partial: &Path) -> Result<(), ArchiveError> {
        let failed =
            |source| ArchiveError::Cache { doing: "copy a package to", path: partial.to_owned(), source };
        let bytes = fs::read(&self.path).map_err(failed)?;
        if Sha256::of(&bytes) != self.sha256 {
            let text = format!("`{}` was changed meanwhile", self.path.display());
            return Err(failed(io::Error::other(text)));
        }
        fs::write(partial, bytes).map_err(failed)
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "it cannot be read: {error}"),
            Self::Deb(error) => write!(f, "it is no Debian package: {error}"),
            Self::Control(error) => write!(f, "its description cannot be read: {error}"),
            Self::NoControl => f.write_str("it does not say its name, version and architecture"),
        }
    }
}

impl std::error::Error for LocalError {}
