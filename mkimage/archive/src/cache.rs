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
//! When a `.complete` file was last modified is when its package was last used.
//!
//! What is written gets its final name by renaming, whole and checked. A `.deb` goes away once it is unpacked: its
//! tar archives are all that is ever used again, and keeping both would take up a third more.

use crate::error::ArchiveError;
use mkimage_deb::{Sha256, Timestamp};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How old a note of a use must be before it is worth a write to renew it.
const NOTED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

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

    /// Notes that packages are used, so that [`Cache::remove_unused`] keeps them.
    ///
    /// What is not in the cache, or cannot be written to, is passed over.
    pub fn mark_used<'d>(&self, digests: impl IntoIterator<Item = &'d Sha256>, now: SystemTime) {
        for digest in digests {
            let path = self.unpacked(digest).complete;
            let noted = fs::metadata(&path).and_then(|metadata| metadata.modified());
            if noted.is_ok_and(|noted| noted + NOTED_FOR < now)
                && let Ok(file) = File::options().write(true).open(&path)
            {
                let _ = file.set_modified(now);
            }
        }
    }

    /// Removes the packages that were not used since `limit`, and gives how many bytes that were.
    ///
    /// While another run writes, nothing is removed. What cannot be removed stays for the next time.
    pub fn remove_unused(&self, limit: SystemTime) -> u64 {
        let Ok(Some(_alone)) = self.try_occupy() else { return 0 };
        let mut removed = 0;
        for folder in ["unpacked", "packages/sha256"] {
            removed += remove_old(&self.root.join(folder), limit).unwrap_or_default();
        }
        removed
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

/// Removes the files of a folder that are older than `limit`, where what has the same name up to the first dot is one.
fn remove_old(folder: &Path, limit: SystemTime) -> io::Result<u64> {
    let mut groups: BTreeMap<Vec<u8>, Vec<(PathBuf, Metadata)>> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_encoded_bytes();
        let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default().to_vec();
        groups.entry(stem).or_default().push((entry.path(), entry.metadata()?));
    }
    let is_old = |(_, metadata): &(PathBuf, Metadata)| metadata.modified().is_ok_and(|time| time < limit);
    let mut removed = 0;
    for mut group in groups.into_values().filter(|group| group.iter().all(is_old)) {
        // What says that the others are whole goes first.
        group.sort_by_key(|(path, _)| path.extension().is_none_or(|end| end != "complete"));
        for (path, metadata) in group {
            match fs::remove_file(path) {
                Ok(()) => removed += metadata.len(),
                Err(_) => break,
            }
        }
    }
    Ok(removed)
}
