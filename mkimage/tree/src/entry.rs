//! One entry of a tree: its kind, its metadata, and where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Content, TreePath};

/// What stands at a path.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link and its target, which may point anywhere.
    Symlink(Vec<u8>),
    /// Another name of the entry at this path; metadata and content are that entry's.
    Hardlink(TreePath),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// Names the kind as in a message: `directory`, `symbolic link`.
    pub fn noun(&self) -> &'static str {
        match self {
            Kind::File(_) => "file",
            Kind::Directory => "directory",
            Kind::Symlink(_) => "symbolic link",
            Kind::Hardlink(_) => "hard link",
            Kind::CharDevice { .. } => "character device",
            Kind::BlockDevice { .. } => "block device",
            Kind::Fifo => "named pipe",
        }
    }
}

impl Kind {
    /// Tells whether both are the same; files, which have contents to read, never are here.
    pub(crate) fn is_same_without_content(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::CharDevice { major: a, minor: b }, Kind::CharDevice { major: c, minor: d })
            | (Kind::BlockDevice { major: a, minor: b }, Kind::BlockDevice { major: c, minor: d }) => {
                (a, b) == (c, d)
            }
            (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
            (Kind::Hardlink(a), Kind::Hardlink(b)) => a == b,
            (Kind::Directory, Kind::Directory) | (Kind::Fifo, Kind::Fifo) => true,
            _ => false,
        }
    }
}

/// Extended attributes: full name (`security.capability`) to value, both bytes.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// One entry: what it is, who may do what with it, and which layer brought it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What stands there.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change in seconds since 1970; writers clamp it.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// The layer it came with.
    pub provenance: Provenance,
}

impl Entry {
    /// Makes an entry of root's, from 1970 and without extended attributes.
    pub fn new(kind: Kind, mode: u32, provenance: Provenance) -> Entry {
        Entry { kind, mode: mode & 0o7777, uid: 0, gid: 0, mtime: 0, xattrs: Xattrs::new(), provenance }
    }

    /// Makes a regular file of root's.
    pub fn file(content: impl Into<Content>, mode: u32, provenance: Provenance) -> Entry {
        Entry::new(Kind::File(content.into()), mode, provenance)
    }

    /// Makes a directory of root's.
    pub fn directory(mode: u32, provenance: Provenance) -> Entry {
        Entry::new(Kind::Directory, mode, provenance)
    }

    /// Makes a symbolic link of root's, mode 0777.
    pub fn symlink(target: impl Into<Vec<u8>>, provenance: Provenance) -> Entry {
        Entry::new(Kind::Symlink(target.into()), 0o777, provenance)
    }

    /// Gives the entry to another owner and group.
    pub fn owned_by(self, uid: u32, gid: u32) -> Entry {
        Entry { uid, gid, ..self }
    }

    /// Gives the entry another time of last change.
    pub fn changed_at(self, mtime: i64) -> Entry {
        Entry { mtime, ..self }
    }

    /// Tells whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }

    /// Returns the content of a regular file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// Returns the target of a symbolic link.
    pub fn link_target(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Symlink(target) => Some(target),
            _ => None,
        }
    }
}

/// Which layer an entry came with; what `mkimage why` prints and both sides of a conflict are named by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// The tree itself: its root directory, before any layer.
    Base,
    /// A package.
    Package {
        /// Its name.
        name: Arc<str>,
        /// Its version.
        version: Arc<str>,
    },
    /// Files laid down before packages are configured.
    Skeleton,
    /// Laid down after packages are configured; the file or folder it comes from.
    Overlay(Arc<str>),
    /// Service descriptions and what goes with them; the file or folder they come from.
    Services(Arc<str>),
    /// A program built in this workspace, by name.
    Binary(Arc<str>),
    /// What configuring changed, and which step of it.
    Configure(Arc<str>),
    /// Made by the builder itself: an index of kernel modules, the configuration of an initramfs.
    Generated(Arc<str>),
}

impl Provenance {
    /// Names a file in the folder that this names; `self` if it names none.
    #[must_use]
    pub fn of_file(&self, below: &str) -> Provenance {
        match self {
            Provenance::Overlay(folder) => Provenance::Overlay(format!("{folder}/{below}").into()),
            Provenance::Services(folder) => Provenance::Services(format!("{folder}/{below}").into()),
            other => other.clone(),
        }
    }

    /// The file of the host that something was copied from, if it was, or the folder.
    pub fn source(&self) -> Option<&str> {
        match self {
            Provenance::Overlay(source) | Provenance::Services(source) => Some(source),
            _ => None,
        }
    }

    /// Names a package as the origin.
    pub fn package(name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Provenance {
        Provenance::Package { name: name.into(), version: version.into() }
    }

    /// Returns the package's name, if it is one.
    pub fn package_name(&self) -> Option<&str> {
        match self {
            Provenance::Package { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Provenance::Base => f.write_str("the tree itself"),
            Provenance::Package { name, version } => write!(f, "package `{name}` {version}"),
            Provenance::Skeleton => f.write_str("the skeleton"),
            Provenance::Overlay(source) => write!(f, "laid over from `{source}`"),
            Provenance::Services(folder) => write!(f, "services, from `{folder}`"),
            Provenance::Binary(name) => write!(f, "own program `{name}`"),
            Provenance::Configure(step) => write!(f, "configuring (`{step}`)"),
            Provenance::Generated(what) => write!(f, "mkimage (`{what}`)"),
        }
    }
}
