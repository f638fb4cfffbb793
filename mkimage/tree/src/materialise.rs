//! Laying a tree out in a real directory, as an ordinary user.
//!
//! What such a user cannot have stays in the tree: owners are not applied, devices and pipes are left out,
//! extended attributes are not set. The owner of the files can always read and write them, and no file is
//! setuid or setgid, since it would be so for the user who builds. [`crate::scan`] undoes exactly this.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::tree::State;
use crate::{Content, Entry, Error, Kind, Tree};

/// How a tree is laid out.
#[derive(Debug, Clone)]
pub struct Materialise {
    /// Times after this one, in seconds since 1970, are set back to it.
    pub epoch: i64,
    /// How many threads write files; at least one does.
    pub threads: usize,
}

impl Default for Materialise {
    /// Keeps all times, and takes two threads.
    fn default() -> Materialise {
        Materialise { epoch: i64::MAX, threads: 2 }
    }
}

/// A tree that was laid out: where, and what tells later changes from it.
#[derive(Debug, Clone)]
pub struct Materialised {
    /// The directory that is the tree's root.
    pub directory: PathBuf,
    /// What the file system's clock said when all files were there, in seconds and nanoseconds.
    pub(crate) finished: (i64, i64),
}

/// Lays `tree` out in `directory`, which must be absent or empty; the directory above it must exist.
pub fn materialise<S: State>(
    tree: &Tree<S>,
    directory: &Path,
    how: &Materialise,
) -> Result<Materialised, Error> {
    prepare(directory)?;
    let mut files = Vec::new();
    let mut links = Vec::new();
    let mut directories = Vec::new();
    for (path, entry) in tree.iter() {
        let at = path.below(directory);
        match &entry.kind {
            Kind::Directory => {
                if !path.is_root() {
                    fs::create_dir(&at).map_err(|source| Error::io("make the directory", &at, source))?;
                }
                directories.push((at, entry));
            }
            Kind::File(content) => files.push((at, entry, content)),
            Kind::Symlink(target) => {
                symlink(OsString::from_vec(target.clone()), &at)
                    .map_err(|source| Error::io("make the link", &at, source))?;
            }
            Kind::Hardlink(target) => links.push((at, target)),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => {}
        }
    }
    write_files(&files, how)?;
    for (at, target) in links {
        if tree.get(target).is_some_and(is_on_disk) {
            fs::hard_link(target.below(directory), &at)
                .map_err(|source| Error::io("make the link", &at, source))?;
        }
    }
    let finished = clock_of(directory)?;
    // Backwards, as a directory's mode may forbid what is still to be done below it.
    for (at, entry) in directories.iter().rev() {
        let change = |source| Error::io("set mode and time of", at, source);
        fs::set_permissions(at, Permissions::from_mode(disk_mode(entry))).map_err(change)?;
        File::open(at).and_then(|handle| handle.set_times(times(entry, how.epoch))).map_err(change)?;
    }
    Ok(Materialised { directory: directory.to_path_buf(), finished })
}

/// Tells whether an entry of this kind is laid out at all; a hard link is if its target is.
pub(crate) fn is_on_disk(entry: &Entry) -> bool {
    match entry.kind {
        Kind::File(_) | Kind::Directory | Kind::Symlink(_) | Kind::Hardlink(_) => true,
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => false,
    }
}

/// Returns the mode that an entry has on disk: its owner may always read, write and enter.
pub(crate) fn disk_mode(entry: &Entry) -> u32 {
    if entry.is_directory() { entry.mode & 0o1777 | 0o700 } else { entry.mode & 0o777 | 0o600 }
}

fn prepare(directory: &Path) -> Result<(), Error> {
    match fs::create_dir(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut inside =
                fs::read_dir(directory).map_err(|source| Error::io("list", directory, source))?;
            match inside.next() {
                None => Ok(()),
                Some(_) => Err(Error::io(
                    "lay a tree out in",
                    directory,
                    io::Error::from(io::ErrorKind::DirectoryNotEmpty),
                )),
            }
        }
        Err(source) => Err(Error::io("make the directory", directory, source)),
    }
}

type Job<'a> = (PathBuf, &'a Entry, &'a Content);

fn write_files(files: &[Job<'_>], how: &Materialise) -> Result<(), Error> {
    let share = files.len().div_ceil(how.threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let write_share = |share: &[Job<'_>]| {
            let mut scratch = Vec::new();
            share
                .iter()
                .try_for_each(|(at, entry, content)| write_file(at, entry, content, how, &mut scratch))
        };
        let workers: Vec<_> =
            files.chunks(share).map(|share| scope.spawn(move || write_share(share))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn write_file(
    at: &Path,
    entry: &Entry,
    content: &Content,
    how: &Materialise,
    scratch: &mut Vec<u8>,
) -> Result<(), Error> {
    let error = |source| Error::io("write", at, source);
    let mode = disk_mode(entry);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(at).map_err(error)?;
    let mut done = 0;
    content.for_each_chunk(scratch, |chunk| {
        file.write_all_at(chunk, done).map_err(error)?;
        done += chunk.len() as u64;
        Ok::<(), Error>(())
    })?;
    // The mode given when opening lacks what the user's umask forbids.
    file.set_permissions(Permissions::from_mode(mode)).map_err(error)?;
    file.set_times(times(entry, how.epoch)).map_err(error)
}

fn times(entry: &Entry, epoch: i64) -> FileTimes {
    let seconds = entry.mtime.min(epoch);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let time: SystemTime = time.unwrap_or(UNIX_EPOCH);
    FileTimes::new().set_modified(time).set_accessed(time)
}

/// Asks the clock that change times on this file system are taken from, by making a file there.
fn clock_of(directory: &Path) -> Result<(i64, i64), Error> {
    let error = |source| Error::io("make a file in", directory, source);
    let file = tempfile::tempfile_in(directory).map_err(error)?;
    let metadata = file.metadata().map_err(error)?;
    Ok((metadata.ctime(), metadata.ctime_nsec()))
}
