//! What changed in a directory that a tree was laid out in, as a layer.
//!
//! Owners, setuid and setgid bits and extended attributes are not on disk, so they come from the tree for
//! what was there before, and from the caller for what its sandbox saw being changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, File, Metadata};
use std::io;
use std::mem::discriminant;
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
    /// Modes of paths where something else than on disk is known to hold, as after setuid was taken away.
    pub modes: BTreeMap<TreePath, u32>,
    /// Devices that could not be made; on disk anything may stand in their place.
    pub devices: BTreeMap<TreePath, Kind>,
    /// Extended attributes that were set; others that an unchanged file had stay.
    pub xattrs: BTreeMap<TreePath, Xattrs>,
    /// Directories and files that are not looked at, as mounts of the sandbox.
    pub ignored: BTreeSet<TreePath>,
    /// Times of changed files after this one, in seconds since 1970, are set back to it.
    pub epoch: i64,
}

impl Scan {
    /// Makes a scan that looks at everything and knows nothing that is not on disk.
    pub fn new(provenance: Provenance, epoch: i64) -> Scan {
        let (owners, modes) = (BTreeMap::new(), BTreeMap::new());
        let (devices, xattrs) = (BTreeMap::new(), BTreeMap::new());
        Scan { provenance, owners, modes, devices, xattrs, ignored: BTreeSet::new(), epoch }
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
    let mut items = fs::read_dir(&at).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(list)?;
    items.sort_by_key(DirEntry::file_name);
    for item in items {
        let inside = path
            .join(item.file_name().as_bytes())
            .map_err(|source| Error::Path { found_in: format!("directory `{}`", at.display()), source })?;
        if how.ignored.contains(&inside) {
            continue;
        }
        // Looked at through the directory, as walking down to it again for each entry takes longer than the rest.
        let metadata = item.metadata().map_err(|source| Error::io("examine", &item.path(), source))?;
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
        let names = self.names_on_disk(path, metadata);
        let (mut entry, changed) = self.describe(path, &names, metadata)?;
        // If a name came or went, all that are left are laid down anew, the first with the content.
        if !changed && self.names_in_tree(path) == names {
            return Ok(());
        }
        if let Some(first) = names.first().filter(|first| *first != path) {
            entry.kind = Kind::Hardlink(first.clone());
        }
        if entry.is_directory() {
            self.layer.weigh(path.clone(), Weight::Imposed);
        }
        self.layer.put(path.clone(), entry);
        Ok(())
    }

    /// Returns all names of the inode at `path`.
    fn names_on_disk(&self, path: &TreePath, metadata: &Metadata) -> BTreeSet<TreePath> {
        match self.groups.get(&(metadata.dev(), metadata.ino())) {
            Some(names) if !metadata.is_dir() => names.clone(),
            _ => BTreeSet::from([path.clone()]),
        }
    }

    fn names_in_tree(&self, path: &TreePath) -> BTreeSet<TreePath> {
        let Some(entry) = self.tree.get(path) else {
            return BTreeSet::new();
        };
        let (target, _) = self.tree.inode(path, entry);
        let mut names = self.tree.links.get(target).cloned().unwrap_or_default();
        names.insert(target.clone());
        names
    }

    /// Makes the entry that is on disk, and tells whether it is another than the tree has.
    fn describe(
        &self,
        path: &TreePath,
        names: &BTreeSet<TreePath>,
        metadata: &Metadata,
    ) -> Result<(Entry, bool), Error> {
        let before = self.tree.get(path).map(|entry| self.tree.inode(path, entry).1);
        let (kind, same_content) = self.kind(path, metadata, before)?;
        // What has become something else keeps nothing of what it was.
        let before = before.filter(|before| discriminant(&kind) == discriminant(&before.kind));
        let mode_on_disk = match before {
            Some(before) if same_mode(before, metadata) => before.mode,
            _ if metadata.file_type().is_symlink() => 0o777,
            _ => metadata.mode() & 0o7777,
        };
        let owner_of_tree = before.map_or((0, 0), |before| (before.uid, before.gid));
        let (uid, gid) = known(&self.how.owners, path, names).copied().unwrap_or(owner_of_tree);
        let kept = before.filter(|_| same_content);
        // Writing to a file takes its capabilities away.
        let mut xattrs = kept.map(|before| before.xattrs.clone()).unwrap_or_default();
        if let Some(set) = known(&self.how.xattrs, path, names) {
            xattrs.extend(set.clone());
        }
        let entry = Entry {
            kind,
            mode: known(&self.how.modes, path, names).copied().unwrap_or(mode_on_disk),
            uid,
            gid,
            mtime: kept.map_or_else(|| metadata.mtime().min(self.how.epoch), |before| before.mtime),
            xattrs,
            provenance: self.how.provenance.clone(),
        };
        let unchanged = kept.is_some_and(|before| {
            (before.mode, before.uid, before.gid) == (entry.mode, entry.uid, entry.gid)
                && before.xattrs == entry.xattrs
        });
        Ok((entry, !unchanged))
    }

    /// Returns what stands on disk, and whether it is what stood there before.
    fn kind(
        &self,
        path: &TreePath,
        metadata: &Metadata,
        before: Option<&Entry>,
    ) -> Result<(Kind, bool), Error> {
        let at = path.below(&self.laid_out.directory);
        let file_type = metadata.file_type();
        let (major, minor) = device_numbers(metadata.rdev());
        let kind = if let Some(device) = self.how.devices.get(path) {
            device.clone()
        } else if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_symlink() {
            let target = fs::read_link(&at).map_err(|source| Error::io("read the link", &at, source))?;
            Kind::Symlink(target.into_os_string().into_vec())
        } else if file_type.is_char_device() {
            Kind::CharDevice { major, minor }
        } else if file_type.is_block_device() {
            Kind::BlockDevice { major, minor }
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else {
            return self.file(&at, metadata, before);
        };
        let same = before.is_some_and(|before| before.kind.is_same_without_content(&kind));
        Ok((kind, same))
    }

    /// Reads a file only if it may have changed; with the same bytes, the content of the tree is kept.
    fn file(&self, at: &Path, metadata: &Metadata, before: Option<&Entry>) -> Result<(Kind, bool), Error> {
        let before = before.and_then(Entry::content).filter(|content| content.len() == metadata.len());
        if let Some(content) = before
            && (self.is_untouched(metadata) || content.is_same_as(&content_on_disk(at)?)?)
        {
            return Ok((Kind::File(content.clone()), true));
        }
        Ok((Kind::File(content_on_disk(at)?), false))
    }

    /// Tells whether nobody can have changed the inode since the tree was laid out.
    fn is_untouched(&self, metadata: &Metadata) -> bool {
        (metadata.ctime(), metadata.ctime_nsec()) < self.laid_out.finished
    }
}

/// Looks `path` up, and then the other names of the same inode.
fn known<'a, T>(
    map: &'a BTreeMap<TreePath, T>,
    path: &TreePath,
    names: &BTreeSet<TreePath>,
) -> Option<&'a T> {
    map.get(path).or_else(|| names.iter().find_map(|name| map.get(name)))
}

/// Tells whether the mode is the one that the entry was laid out with.
fn same_mode(before: &Entry, metadata: &Metadata) -> bool {
    matches!(before.kind, Kind::Symlink(_)) || metadata.mode() & 0o7777 == disk_mode(before)
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
