//! The cache: what was fetched, by digest, and what was unpacked of it.
//!
//! ```text
//! lock                               whoever writes holds this file locked; reading needs no lock
//! indices/<digest>                   an index reduced to the fields that matter, by the digest that was signed
//! releases/<digest>                  the date of the newest description of a suite that a mirror gave, by all three
//! packages/sha256/<digest>           a `.deb` that is not unpacked yet
//! unpacked/<digest>.tar              its files as a plain tar archive
//! unpacked/<digest>.control.tar      its control members as a plain tar archive
//! unpacked/<digest>.complete         what both must be (see `damage`); written last: without it they are not there
//! partial/                           what is being written; emptied by the next run that writes
//! ```
//!
//! What is written gets its final name by renaming, whole and checked. A `.deb` goes away once it is unpacked: its
//! tar archives are all that is ever used again, and keeping both would take up a third more.

use crate::error::ArchiveError;
use mkimage_deb::{Sha256, Timestamp};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// A folder that keeps what is costly to get.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// The right to write into the cache, given back when dropped.
#[derive(Debug)]
pub(crate) struct CacheLock {
    _file: File,
}

/// The files of one unpacked package.
pub(crate) struct UnpackedPaths {
    pub(crate) data: PathBuf,
    pub(crate) control: PathBuf,
    pub(crate) complete: PathBuf,
}

impl Cache {
    /// Opens the cache in the folder `root`, which is created if it is not there.
    pub fn open(root: &Path) -> Result<Self, ArchiveError> {
        for folder in ["indices", "releases", "packages/sha256", "unpacked", "partial"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|source| ArchiveError::Cache {
                doing: "create",
                path,
                source,
            })?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Gives the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the right to write, unless somebody has it; removes what an earlier run left half-done.
    pub(crate) fn try_occupy(&self) -> Result<Option<CacheLock>, ArchiveError> {
        let path = self.root.join("lock");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file =
            file.map_err(|source| ArchiveError::Cache { doing: "open", path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => {
                self.remove_partial()?;
                Ok(Some(CacheLock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(ArchiveError::Cache { doing: "lock", path, source }),
        }
    }

    /// Names a file that is being written.
    pub(crate) fn partial(&self, name: &str) -> PathBuf {
        self.root.join("partial").join(name)
    }

    pub(crate) fn package(&self, digest: &Sha256) -> PathBuf {
        self.root.join(format!("packages/sha256/{digest}"))
    }

    pub(crate) fn unpacked(&self, digest: &Sha256) -> UnpackedPaths {
        let path = |end: &str| self.root.join(format!("unpacked/{digest}.{end}"));
        UnpackedPaths { data: path("tar"), control: path("control.tar"), complete: path("complete") }
    }

    /// Gives the date of the newest description of a suite that was seen; none, too, if the note is damaged.
    pub(crate) fn newest_release(&self, seen_at: &Sha256) -> Option<Timestamp> {
        fs::read_to_string(self.release_note(seen_at)).ok()?.trim_end().parse().ok()
    }

    pub(crate) fn remember_release(&self, seen_at: &Sha256, date: Timestamp) -> Result<(), ArchiveError> {
        self.place(&self.release_note(seen_at), format!("{date}\n").as_bytes())
    }

    fn release_note(&self, seen_at: &Sha256) -> PathBuf {
        self.root.join(format!("releases/{seen_at}"))
    }

    /// Writes a whole file and then gives it its final name.
    pub(crate) fn place(&self, path: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let partial = self.partial(&name);
        let written = fs::write(&partial, bytes);
        written.map_err(|source| ArchiveError::Cache { doing: "write", path: partial.clone(), source })?;
        self.finish(&partial, path)
    }

    /// Gives a file that is whole its final name.
    pub(crate) fn finish(&self, partial: &Path, path: &Path) -> Result<(), ArchiveError> {
        fs::rename(partial, path).map_err(|source| ArchiveError::Cache {
            doing: "put in place",
            path: path.to_owned(),
            source,
        })
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), ArchiveError> {
        fs::remove_file(path).map_err(|source| ArchiveError::Cache {
            doing: "remove",
            path: path.to_owned(),
            source,
        })
    }

    /// Removes what is half-done; only for whoever has the right to write.
    pub(crate) fn remove_partial(&self) -> Result<(), ArchiveError> {
        let path = self.root.join("partial");
        let error = |source| ArchiveError::Cache { doing: "empty", path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(error)? {
            fs::remove_file(entry.map_err(error)?.path()).map_err(error)?;
        }
        Ok(())
    }
}
