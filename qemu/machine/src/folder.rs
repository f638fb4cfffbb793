//! The folder of one machine, for its sockets and what else it needs as a file.
//!
//! Nobody else may enter it. It goes with the machine; what a killed program leaves behind is removed by the next one,
//! which knows it by a lock that nobody holds any more.

use std::fs::{self, DirEntry, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::error::Failure;

/// What the names of such folders begin with.
const PREFIX: &str = "qemu-machine-";
/// The file whose lock says that the folder is in use; a folder without it is none of ours.
const LOCK: &str = "qemu-machine.lock";
/// The longest path that fits a Unix socket address with room for the file name.
const LONGEST_PLACE: usize = 80;

/// A folder that only we can enter, removed when dropped.
pub(crate) struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// Makes one for temporary files, at a path short enough for sockets.
    pub(crate) fn new() -> Result<Folder, Failure> {
        let mut place = std::env::temp_dir();
        if place.as_os_str().len() > LONGEST_PLACE {
            place = PathBuf::from("/tmp");
        }
        remove_leftovers(&place);
        Folder::new_in(&place).map_err(|cause| Failure::Host {
            deed: "make a temporary folder in",
            path: place,
            cause,
        })
    }

    fn new_in(place: &Path) -> io::Result<Folder> {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(place)?;
        // Under its own name only once it is locked, so that one that is not locked was left behind.
        let early = folder.path().join("new.lock");
        let lock = File::create_new(&early)?;
        lock.lock()?;
        fs::rename(&early, folder.path().join(LOCK))?;
        Ok(Folder { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of programs that were killed.
fn remove_leftovers(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if let Some(_lock) = abandoned(&entry) {
            // What cannot be removed is no harm to this machine.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Takes the lock of a folder of ours that nobody uses.
fn abandoned(entry: &DirEntry) -> Option<File> {
    if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
        return None;
    }
    let about = entry.metadata().ok()?;
    if !about.is_dir() || about.uid() != geteuid().as_raw() {
        return None;
    }
    let lock = File::open(entry.path().join(LOCK)).ok()?;
    lock.try_lock().ok().map(|()| lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_enter_the_folder() {
        let folder = Folder::new().expect("temporary folder");
        let mode = fs::metadata(folder.path()).expect("it is there").mode();
        assert_eq!(mode & 0o7777, 0o700);
    }

    #[test]
    fn the_folder_of_a_killed_program_is_removed_and_one_in_use_is_not() {
        let place = tempfile::tempdir().expect("temporary folder");
        let used = Folder::new_in(place.path()).expect("temporary folder");
        let Folder { folder, _lock } = Folder::new_in(place.path()).expect("temporary folder");
        let left = folder.keep();
        // As when the program that held it was killed.
        drop(_lock);
        let foreign = place.path().join(format!("{PREFIX}foreign"));
        fs::create_dir(&foreign).expect("made");
        remove_leftovers(place.path());
        assert!(!left.exists());
        assert!(foreign.exists() && used.path().join(LOCK).exists());
    }
}
