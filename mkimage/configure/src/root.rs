//! The tree as a directory that no path leads out of.
//!
//! Maintainer scripts write paths into dpkg's files and may leave a link in the place of any directory, and the
//! builder acts on both from outside of the sandbox. So every path of the tree is looked up here, by the kernel,
//! with the tree as the root: an absolute link leads to a place in the tree, as it does for who runs in it.

use crate::error::Error;
use crate::package::absolute_path;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A tree that is worked on. Paths in it are bytes, with or without a slash before them.
pub(crate) struct Root {
    directory: OwnedFd,
    path: PathBuf,
}

/// A name in a directory of the tree, whether something has it or not. The directory is held open, so that it is
/// the one that was found whatever becomes of the path to it.
pub(crate) struct Place {
    directory: OwnedFd,
    name: OsString,
    /// The path outside, for messages.
    shown: PathBuf,
}

impl Root {
    /// Opens the directory of a tree.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        let directory = openat2(AT_FDCWD, path, how).map_err(|errno| Error::File {
            action: "open",
            path: path.to_owned(),
            cause: errno.into(),
        })?;
        Ok(Self { directory, path: path.to_owned() })
    }

    /// Gives the tree's directory, for what does not go through links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Finds a path; `None` if the directory it is in is not there. A link at its end is not followed.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Option<Place>, Error> {
        let path = self.checked(path)?;
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) if at + 1 < path.len() => (&path[..at], &path[at + 1..]),
            _ => (&b""[..], &b"."[..]),
        };
        let found = self.look_up(parent, OFlag::O_PATH | OFlag::O_DIRECTORY);
        let (name, shown) = (OsStr::from_bytes(name).to_owned(), self.shown(&path));
        match found {
            Ok(directory) => Ok(Some(Place { directory, name, shown })),
            Err(errno) if is_absent(errno) => Ok(None),
            Err(errno) => Err(Error::File { action: "find", path: shown, cause: errno.into() }),
        }
    }

    /// Whether there is a directory, or a link to one in the tree.
    pub(crate) fn has_directory(&self, path: &[u8]) -> bool {
        self.look_up(path, OFlag::O_PATH | OFlag::O_DIRECTORY).is_ok()
    }

    /// Gives the names in a directory, sorted; none if there is no such directory.
    pub(crate) fn list(&self, path: &[u8]) -> Result<Vec<OsString>, Error> {
        let failed = |cause| Error::File { action: "list", path: self.shown(path), cause };
        let directory = match self.look_up(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(directory) => directory,
            Err(errno) if is_absent(errno) => return Ok(Vec::new()),
            Err(errno) => return Err(failed(errno.into())),
        };
        let entries = fs::read_dir(path_through(&directory)).map_err(failed)?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        names.sort();
        Ok(names)
    }

    /// Reads a file; `None` if it is not there.
    pub(crate) fn read(&self, path: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let failed = |cause| Error::File { action: "read", path: self.shown(path), cause };
        let mut file = match self.open_file(path, OFlag::O_RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(cause)),
        };
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(failed)?;
        Ok(Some(content))
    }

    /// Writes a file with exactly this mode.
    pub(crate) fn write(&self, path: &[u8], content: &[u8], mode: u32) -> Result<(), Error> {
        let written = self.open_file(path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC);
        let written = written.and_then(|mut file| {
            file.write_all(content)?;
            file.set_permissions(Permissions::from_mode(mode))
        });
        written.map_err(|cause| Error::File { action: "write", path: self.shown(path), cause })
    }

    /// Makes a directory and those it is in, unless they are there.
    pub(crate) fn make_directory(&self, path: &[u8]) -> Result<(), Error> {
        if self.has_directory(path) {
            return Ok(());
        }
        let path = self.checked(path)?;
        let parent = path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &path[..at]);
        self.make_directory(parent)?;
        let failed = |cause| Error::File { action: "make", path: self.shown(&path), cause };
        let place = self.find(&path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let made = fs::create_dir(place.path());
        made.and_then(|()| fs::set_permissions(place.path(), Permissions::from_mode(0o755))).map_err(failed)
    }

    /// Sets the mode of what a path leads to.
    pub(crate) fn set_mode(&self, path: &[u8], mode: u32) -> Result<(), Error> {
        let file = self.look_up(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).map(File::from);
        let set = file.map_err(io::Error::from);
        let set = set.and_then(|file| file.set_permissions(Permissions::from_mode(mode)));
        set.map_err(|cause| Error::File { action: "set the mode of", path: self.shown(path), cause })
    }

    /// Opens a regular file; what scripts left in its place must neither block nor end the builder.
    fn open_file(&self, path: &[u8], flags: OFlag) -> io::Result<File> {
        let file = File::from(self.look_up(path, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
    }

    /// Opens what a path leads to.
    fn look_up(&self, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
        let path = absolute_path(path);
        let mode = if flags.contains(OFlag::O_CREAT) { Mode::S_IRUSR | Mode::S_IWUSR } else { Mode::empty() };
        let inside = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(inside);
        loop {
            match openat2(&self.directory, path.as_slice(), how) {
                // Somewhere on this machine something was renamed while the kernel followed a `..`.
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Brings a path into the usual form, refusing one that tries to climb.
    fn checked(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        if path.split(|byte| *byte == b'/').any(|part| part == b"..") {
            return Err(Error::Climbing { path: String::from_utf8_lossy(path).into_owned() });
        }
        Ok(absolute_path(path))
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(&absolute_path(path)[1..]))
    }
}

impl Place {
    /// Gives a path to it that leads through the directory that is held open.
    pub(crate) fn path(&self) -> PathBuf {
        path_through(&self.directory).join(&self.name)
    }

    /// Gives the path outside, for messages.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Looks at what is there, itself and not what it links to.
    pub(crate) fn metadata(&self) -> Option<Metadata> {
        fs::symlink_metadata(self.path()).ok()
    }

    /// Removes what is there, directories with all they hold; links are removed and not followed.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let is_directory = self.metadata().is_some_and(|metadata| metadata.is_dir());
        let path = self.path();
        let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(|cause| Error::File { action: "remove", path: self.shown.clone(), cause })
    }
}

fn path_through(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// Whether the kernel's answer means that there is nothing by that path.
fn is_absent(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Makes a tree with a directory beside it that must stay as it is.
    fn world() -> (tempfile::TempDir, Root) {
        let world = tempfile::tempdir().expect("directory");
        for name in ["tree/etc", "outside"] {
            fs::create_dir_all(world.path().join(name)).expect("directory");
        }
        fs::write(world.path().join("outside/file"), "theirs").expect("write");
        let root = Root::open(&world.path().join("tree")).expect("open");
        (world, root)
    }

    #[test]
    fn absolute_links_lead_to_places_in_the_tree() {
        let (world, root) = world();
        let outside = world.path().join("outside");
        symlink(&outside, root.path().join("away")).expect("link");
        symlink("/etc", root.path().join("here")).expect("link");
        symlink("../../outside", root.path().join("etc/up")).expect("link");
        for link in [&b"/away"[..], b"/etc/up"] {
            let below = [link, b"/file"].concat();
            assert!(root.find(&below).expect("find").is_none());
            assert_eq!(root.read(&below).expect("read"), None);
            root.write(&below, b"text", 0o644).expect_err("no such directory");
            root.make_directory(&[link, b"/new"].concat()).expect_err("nothing the link leads to");
        }
        root.write(b"/here/name", b"text", 0o600).expect("write");
        assert_eq!(fs::read_to_string(root.path().join("etc/name")).expect("read"), "text");
        root.set_mode(b"here/name", 0o640).expect("mode");
        assert_eq!(root.list(b"/here").expect("list"), ["name", "up"]);
        assert_eq!(fs::read_dir(&outside).expect("list").count(), 1);
        assert_eq!(fs::read_to_string(outside.join("file")).expect("read"), "theirs");
    }

    #[test]
    fn a_path_that_climbs_is_refused_by_its_name() {
        let (_world, root) = world();
        let error = root.find(b"/etc/../../outside/file").err().expect("refused");
        assert_eq!(
            error.to_string(),
            "`/etc/../../outside/file` has `..` in it, which no path of a package may have"
        );
        assert!(error.help().is_some());
    }

    #[test]
    fn a_pipe_or_a_directory_in_the_place_of_a_file_is_an_error_and_no_wait() {
        let (_world, root) = world();
        nix::unistd::mkfifo(&root.path().join("etc/pipe"), Mode::S_IRWXU).expect("pipe");
        for path in [&b"/etc/pipe"[..], b"/etc"] {
            root.read(path).expect_err("no file");
            root.write(path, b"text", 0o644).expect_err("no file");
        }
    }

    #[test]
    fn removing_takes_a_directory_with_all_and_a_link_alone() {
        let (world, root) = world();
        root.make_directory(b"a/b/c").expect("make");
        symlink(world.path().join("outside"), root.path().join("a/link")).expect("link");
        for path in [&b"a/link"[..], b"a"] {
            root.find(path).expect("find").expect("a place").remove().expect("remove");
            assert!(root.find(path).expect("find").expect("a place").metadata().is_none());
        }
        assert!(world.path().join("outside/file").exists());
    }
}
