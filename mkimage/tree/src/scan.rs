//! What changed in a directory that a tree was laid out in, as a layer.
//!
//! Owners, setuid and setgid bits and extended attributes are not on disk, so they come from the tree for
//! what was there before, and from the caller for what its sandbox saw being changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::materialise::{disk_mode, is_on_disk};
use crate::tree::State;
use crate::{
    Blob, Content, Entry, Error, Kind, Layer, Materialised, Provenance, Tree, TreePath, Weight, Xattrs,
};

/// Files up to this many bytes are held in memory, larger ones stay open.
pub(crate) const INLINE_LIMIT: u64 = 4 << 20;

/// How a directory is compared with its tree.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Which layer the changes become.
    pub provenance: Provenance,
    /// Owner and group of paths where something else than disk and tree is known to hold.
    ///
    /// Without it an entry of the tree keeps its owner, and anything new belongs to root.
    pub owners: BTreeMap<TreePath, (u32, u32)>,
    /// Directories and files that are not looked at, as mounts of the sandbox.
    pub ignored: BTreeSet<TreePath>,
    /// Times of changed files after this one, in seconds since 1970, are set back to it.
    pub epoch: i64,
}

impl Scan {
    /// Makes a scan that looks at everything and knows no other owners.
    pub fn new(provenance: Provenance, epoch: i64) -> Scan {
        Scan { provenance, owners: BTreeMap::new(), ignored: BTreeSet::new(), epoch }
    }
}

/// Returns what is different in the directory from the tree that was laid out there.
///
/// Merging the layer into that tree gives what is on disk. Sockets are left out. The layer may refer to
/// large files of the directory, which must not be written to any more; it may be removed.
pub fn scan<S: State>(laid_out: &Materialised, tree: &Tree<S>, how: &Scan) -> Result<Layer, Error> {
    let mut found = Vec::new();
    walk(&laid_out.directory, &TreePath::root(), how, &mut found)?;
    let groups = link_groups(&found);
    let mut comparison =
        Comparison { laid_out, tree, how, groups, layer: Layer::new(how.provenance.clone()) };
    comparison.note_removals(&found);
    for (path, metadata) in &found {
        comparison.compare(path, metadata)?;
    }
    Ok(comparison.layer)
}

/// Lists a directory and all below it in the order of the paths.
fn walk(
    base: &Path,
    path: &TreePath,
    how: &Scan,
    found: &mut Vec<(TreePath, Metadata)>,
) -> Result<(), Error> {
    let at = path.below(base);
    let list = |source| Error::io("list", &at, source);
    let mut names = Vec::new();
    for item in fs::read_dir(&at).map_err(list)? {
        names.push(item.map_err(list)?.file_name());
    }
    names.sort();
    for name in names {
        let inside = path
            .join(name.as_bytes())
            .map_err(|source| Error::Path { found_in: format!("directory `{}`", at.display()), source })?;
        if how.ignored.contains(&inside) {
            continue;
        }
        let at = inside.below(base);
        let metadata = fs::symlink_metadata(&at).map_err(|source| Error::io("examine", &at, source))?;
        if metadata.file_type().is_socket() {
            continue;
        }
        let is_directory = metadata.is_dir();
        found.push((inside.clone(), metadata));
        if is_directory {
            walk(base, &inside, how, found)?;
        }
    }
    Ok(())
}

/// All names of an inode that has several: device and inode number to paths.
type Groups = BTreeMap<(u64, u64), BTreeSet<TreePath>>;

fn link_groups(found: &[(TreePath, Metadata)]) -> Groups {
    let mut groups = Groups::new();
    for (path, metadata) in found {
        if !metadata.is_dir() && metadata.nlink() > 1 {
            groups.entry((metadata.dev(), metadata.ino())).or_default().insert(path.clone());
        }
    }
    groups
}

struct Comparison<'a, S: State> {
    laid_out: &'a Materialised,
    tree: &'a Tree<S>,
    how: &'a Scan,
    groups: Groups,
    layer: Layer,
}

impl<S: State> Comparison<'_, S> {
    /// Notes the topmost paths that are gone, or that have become something a merge cannot replace.
    fn note_removals(&mut self, found: &[(TreePath, Metadata)]) {
        let on_disk: BTreeMap<&TreePath, &Metadata> = found.iter().map(|(path, data)| (path, data)).collect();
        let mut gone: Option<TreePath> = None;
        for (path, entry) in self.tree.iter().filter(|(path, _)| !path.is_root()) {
            if gone.as_ref().is_some_and(|gone| path.is_within(gone)) || self.is_ignored(path) {
                continue;
            }
            let (_, inode) = self.tree.inode(path, entry);
            let keep = match on_disk.get(path) {
                None => !is_on_disk(inode),
                Some(metadata) => metadata.is_dir() == inode.is_directory(),
            };
            if !keep {
                self.layer.remove(path.clone());
                gone = Some(path.clone());
            }
        }
    }

    fn is_ignored(&self, path: &TreePath) -> bool {
        self.how.ignored.iter().any(|ignored| path.is_within(ignored))
    }

    fn compare(&mut self, path: &TreePath, metadata: &Metadata) -> Result<(), Error> {
        let tree = self.tree;
        let before = tree.get(path).map(|entry| tree.inode(path, entry).1);
        let new_kind = self.new_kind(path, metadata, before)?;
        // What has become something else keeps nothing of what it was.
        let before = before.filter(|before| {
            new_kind
                .as_ref()
                .is_none_or(|kind| std::mem::discriminant(kind) == std::mem::discriminant(&before.kind))
        });
        let owner = match (self.how.owners.get(path), before) {
            (Some(owner), _) => *owner,
            (None, Some(before)) => (before.uid, before.gid),
            (None, None) => (0, 0),
        };
        let grouped = self.grouped(path, metadata);
        let same_owner = before.is_some_and(|before| (before.uid, before.gid) == owner);
        let content_changed = new_kind.is_some();
        let metadata_same = before.is_some_and(|before| same_mode(before, metadata)) && same_owner;
        if !content_changed && metadata_same && grouped == Grouped::AsBefore {
            return Ok(());
        }
        let Some(kind) = new_kind.or_else(|| before.map(|before| before.kind.clone())) else {
            return Ok(());
        };
        let is_directory = matches!(kind, Kind::Directory);
        let entry = Entry {
            kind: match grouped {
                Grouped::LinkTo(leader) => Kind::Hardlink(leader),
                Grouped::AsBefore | Grouped::Leader => kind,
            },
            mode: new_mode(before, metadata),
            uid: owner.0,
            gid: owner.1,
            mtime: match before {
                Some(before) if !content_changed => before.mtime,
                _ => metadata.mtime().min(self.how.epoch),
            },
            // Writing to a file takes its capabilities away.
            xattrs: match before {
                Some(before) if !content_changed => before.xattrs.clone(),
                _ => Xattrs::new(),
            },
            provenance: self.how.provenance.clone(),
        };
        self.layer.put(path.clone(), entry);
        if is_directory {
            self.layer.weigh(path.clone(), Weight::Imposed);
        }
        Ok(())
    }

    /// Compares the names of an inode on disk with those in the tree.
    ///
    /// As soon as one of them differs, or what they name, the whole group is laid down anew.
    fn grouped(&self, path: &TreePath, metadata: &Metadata) -> Grouped {
        let alone = BTreeSet::from([path.clone()]);
        let on_disk = match self.groups.get(&(metadata.dev(), metadata.ino())) {
            Some(group) if !metadata.is_dir() => group,
            _ => &alone,
        };
        let in_tree = self.tree.get(path).map(|entry| {
            let (target, _) = self.tree.inode(path, entry);
            let mut names = self.tree.links.get(target).cloned().unwrap_or_default();
            names.insert(target.clone());
            names
        });
        let changed = match in_tree {
            Some(names) => names != *on_disk || (on_disk.len() > 1 && self.group_changed(path, metadata)),
            None => true,
        };
        match on_disk.first() {
            Some(leader) if changed && leader != path => Grouped::LinkTo(leader.clone()),
            _ if changed => Grouped::Leader,
            _ => Grouped::AsBefore,
        }
    }

    fn group_changed(&self, path: &TreePath, metadata: &Metadata) -> bool {
        let Some(entry) = self.tree.get(path) else {
            return true;
        };
        let (_, inode) = self.tree.inode(path, entry);
        let group = self.groups.get(&(metadata.dev(), metadata.ino()));
        let owner_known =
            group.is_some_and(|names| names.iter().any(|name| self.how.owners.contains_key(name)));
        owner_known
            || !same_mode(inode, metadata)
            || !matches!(self.new_kind(path, metadata, Some(inode)), Ok(None))
    }

    /// Returns what stands on disk, or none if it is what stood there before.
    fn new_kind(
        &self,
        path: &TreePath,
        metadata: &Metadata,
        before: Option<&Entry>,
    ) -> Result<Option<Kind>, Error> {
        let at = path.below(&self.laid_out.directory);
        let file_type = metadata.file_type();
        let (major, minor) = device_numbers(metadata.rdev());
        let before = before.map(|before| &before.kind);
        let (same, kind) = if file_type.is_dir() {
            (matches!(before, Some(Kind::Directory)), Kind::Directory)
        } else if file_type.is_symlink() {
            let target = fs::read_link(&at).map_err(|source| Error::io("read the link", &at, source))?;
            let target = target.into_os_string().into_vec();
            (matches!(before, Some(Kind::Symlink(old)) if *old == target), Kind::Symlink(target))
        } else if file_type.is_char_device() {
            let same =
                matches!(before, Some(Kind::CharDevice { major: a, minor: b }) if (*a, *b) == (major, minor));
            (same, Kind::CharDevice { major, minor })
        } else if file_type.is_block_device() {
            let same = matches!(before, Some(Kind::BlockDevice { major: a, minor: b }) if (*a, *b) == (major, minor));
            (same, Kind::BlockDevice { major, minor })
        } else if file_type.is_fifo() {
            (matches!(before, Some(Kind::Fifo)), Kind::Fifo)
        } else {
            let content = match before {
                Some(Kind::File(content)) if content.len() == metadata.len() => Some(content),
                _ => None,
            };
            if content.is_some() && self.is_untouched(metadata) {
                return Ok(None);
            }
            let on_disk = content_on_disk(&at)?;
            let same = content.map_or(Ok(false), |content| content.is_same_as(&on_disk))?;
            (same, Kind::File(on_disk))
        };
        Ok(Some(kind).filter(|_| !same))
    }

    /// Tells whether nobody can have changed the inode since the tree was laid out.
    fn is_untouched(&self, metadata: &Metadata) -> bool {
        (metadata.ctime(), metadata.ctime_nsec()) < self.laid_out.finished
    }
}

/// How the names of an inode stand to those in the tree.
#[derive(Debug, PartialEq, Eq)]
enum Grouped {
    AsBefore,
    Leader,
    LinkTo(TreePath),
}

fn same_mode(before: &Entry, metadata: &Metadata) -> bool {
    if matches!(before.kind, Kind::Symlink(_)) {
        return true;
    }
    let on_disk = metadata.mode() & 0o7777;
    on_disk == disk_mode(before) || on_disk == before.mode
}

/// Takes the mode from the disk, without losing what was not laid out.
fn new_mode(before: Option<&Entry>, metadata: &Metadata) -> u32 {
    match before {
        Some(before) if same_mode(before, metadata) => before.mode,
        _ if metadata.file_type().is_symlink() => 0o777,
        _ => metadata.mode() & 0o7777,
    }
}

pub(crate) fn content_on_disk(at: &Path) -> Result<Content, Error> {
    let file = File::open(at).map_err(|source| Error::io("open", at, source))?;
    let blob = Blob::from_file(file, at)?;
    let whole = Content::span(&blob, 0, blob.len())?;
    if blob.len() <= INLINE_LIMIT { whole.bytes().map(Content::from) } else { Ok(whole) }
}

/// Takes a device number apart as Linux puts it together.
pub(crate) fn device_numbers(number: u64) -> (u32, u32) {
    let major = (number >> 8 & 0xfff) | (number >> 32 & 0xffff_f000);
    let minor = (number & 0xff) | (number >> 12 & 0xffff_ff00);
    (major as u32, minor as u32)
}
