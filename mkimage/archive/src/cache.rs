//! The cache: what was fetched, by digest, and what was unpacked of it.
//!
//! ```text
//! lock                               the file that runs lock against each other
//! releases/<suite>.<mirror>          the last verified InRelease of a suite
//! indices/<digest>                   an index reduced to the fields that matter, by the digest of what was signed
//! packages/sha256/<digest>           a `.deb` that is not unpacked yet
//! unpacked/<digest>.tar              its files as a plain tar archive
//! unpacked/<digest>.control.tar      its control members as a plain tar archive
//! unpacked/<digest>.complete         the sizes of both; written last, so without it they are not there
//! partial/                           what is being written; never read, emptied by whoever has the cache alone
//! ```
//!
//! A `.deb` goes away once it is unpacked: its tar archives are all that is ever used again, and keeping both
//! would half as much again.

use crate::error::ArchiveError;
use mkimage_deb::Sha256;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A folder that keeps what is costly to get.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// The right to use the cache, given back when dropped.
#[derive(Debug)]
pub struct CacheLock {
    _file: File,
}

impl Cache {
    /// Opens the cache in the folder `root`, which is created if it is not there.
    pub fn open(root: &Path) -> Result<Self, ArchiveError> {
        for folder in ["releases", "indices", "packages/sha256", "unpacked", "partial"] {
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

    /// Waits until nobody changes the cache, and keeps it so: for those who only read what is there.
    pub fn share(&self) -> Result<CacheLock, ArchiveError> {
        self.lock("share", File::lock_shared)
    }

    /// Waits until nobody else uses the cache, and keeps it so: for those who fetch or unpack.
    ///
    /// What earlier runs left half-done is removed.
    pub fn occupy(&self) -> Result<CacheLock, ArchiveError> {
        let lock = self.lock("lock", File::lock)?;
        self.remove_partial()?;
        Ok(lock)
    }

    /// Like [`Cache::occupy`], but gives none instead of waiting.
    pub fn try_occupy(&self) -> Result<Option<CacheLock>, ArchiveError> {
        let (path, file) = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => {
                self.remove_partial()?;
                Ok(Some(CacheLock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(ArchiveError::Cache { doing: "lock", path, source }),
        }
    }

    pub(crate) fn package(&self, digest: &Sha256) -> PathBuf {
        self.root.join(format!("packages/sha256/{digest}"))
    }

    fn lock(
        &self,
        doing: &'static str,
        lock: fn(&File) -> io::Result<()>,
    ) -> Result<CacheLock, ArchiveError> {
        let (path, file) = self.lock_file()?;
        lock(&file).map_err(|source| ArchiveError::Cache { doing, path, source })?;
        Ok(CacheLock { _file: file })
    }

    fn lock_file(&self) -> Result<(PathBuf, File), ArchiveError> {
        let path = self.root.join("lock");
        match File::options().create(true).truncate(false).read(true).write(true).open(&path) {
            Ok(file) => Ok((path, file)),
            Err(source) => Err(ArchiveError::Cache { doing: "open", path, source }),
        }
    }

    fn remove_partial(&self) -> Result<(), ArchiveError> {
        let path = self.root.join("partial");
        let error = |source| ArchiveError::Cache { doing: "empty", path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(error)? {
            fs::remove_file(entry.map_err(error)?.path()).map_err(error)?;
        }
        Ok(())
    }
}
