//! The tree: every path of an image as a value, with the questions one may ask it.
//!
//! What always holds, because [`Tree::merge`] is the only way to change a tree:
//! - the root is a directory, and the parent of each entry is a directory;
//! - a hard link names an entry that is neither a directory nor a hard link.
//!
//! The state of a tree is a type, so that an unconfigured tree cannot be written:
//! `Unpacked` → [`Tree::configured`] → `Configured` → [`Tree::complete`] → `Complete`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::marker::PhantomData;

use crate::{Content, Entry, Error, Kind, Layer, MergePolicy, Provenance, ResolveError, TreePath};

/// Packages are unpacked, nothing has been configured.
#[derive(Debug, Clone, Copy)]
pub enum Unpacked {}
/// Packages are configured; own layers are still to come.
#[derive(Debug, Clone, Copy)]
pub enum Configured {}
/// Nothing more is added; the tree may be written.
#[derive(Debug, Clone, Copy)]
pub enum Complete {}

/// A state that a tree can be in.
pub trait State: sealed::Sealed {}
impl State for Unpacked {}
impl State for Configured {}
impl State for Complete {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Unpacked {}
    impl Sealed for super::Configured {}
    impl Sealed for super::Complete {}
}

/// All entries of an image by path.
#[derive(Debug)]
pub struct Tree<S: State> {
    pub(crate) entries: BTreeMap<TreePath, Entry>,
    /// For each entry that hard links name: their paths.
    pub(crate) links: BTreeMap<TreePath, BTreeSet<TreePath>>,
    /// Directories that only had to be there; the first layer that says more about one is heard.
    pub(crate) implied: BTreeSet<TreePath>,
    state: PhantomData<S>,
}

/// How many symbolic links one path may lead through, as in Linux.
const LINK_LIMIT: usize = 40;

impl Tree<Unpacked> {
    /// Makes a tree with nothing but its root directory, mode 0755.
    pub fn new() -> Tree<Unpacked> {
        let root = Entry::directory(0o755, Provenance::Base);
        Tree {
            entries: BTreeMap::from([(TreePath::root(), root)]),
            links: BTreeMap::new(),
            implied: BTreeSet::from([TreePath::root()]),
            state: PhantomData,
        }
    }

    /// Declares the packages configured.
    pub fn configured(self) -> Tree<Configured> {
        self.become_state()
    }
}

impl Default for Tree<Unpacked> {
    fn default() -> Tree<Unpacked> {
        Tree::new()
    }
}

impl Tree<Configured> {
    /// Declares that nothing more is added.
    pub fn complete(self) -> Tree<Complete> {
        self.become_state()
    }
}

impl Tree<Complete> {
    /// Makes a tree in which nothing has to be configured: an initramfs, an extra archive, unpacked tools.
    pub fn standalone<'a>(
        layers: impl IntoIterator<Item = &'a Layer>,
        policy: &MergePolicy,
    ) -> Result<Tree<Complete>, Error> {
        let mut tree = Tree::new();
        for layer in layers {
            tree = tree.merge(layer, policy)?;
        }
        Ok(tree.become_state())
    }
}

impl<S: State> Clone for Tree<S> {
    fn clone(&self) -> Tree<S> {
        let (entries, links, implied) = (self.entries.clone(), self.links.clone(), self.implied.clone());
        Tree { entries, links, implied, state: PhantomData }
    }
}

impl<S: State> Tree<S> {
    fn become_state<T: State>(self) -> Tree<T> {
        Tree { entries: self.entries, links: self.links, implied: self.implied, state: PhantomData }
    }

    /// Returns the entry at exactly this path; no symbolic link is followed, not even in directories.
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Follows all symbolic links, and a hard link at the end, to the entry that `path` means.
    pub fn resolve(&self, path: &TreePath) -> Result<(&TreePath, &Entry), ResolveError> {
        let located = self.locate(path, LastLink::Followed)?;
        let (found, entry) =
            self.entries.get_key_value(&located).ok_or_else(|| ResolveError::Missing(path.clone()))?;
        Ok(match &entry.kind {
            Kind::Hardlink(target) => self.entries.get_key_value(target).unwrap_or((found, entry)),
            _ => (found, entry),
        })
    }

    /// Reads the regular file that `path` leads to.
    pub fn read(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        self.content(path)?.bytes()
    }

    /// Returns the content of the regular file that `path` leads to.
    pub fn content(&self, path: &TreePath) -> Result<&Content, Error> {
        let (found, entry) = self.resolve(path)?;
        entry.content().ok_or_else(|| {
            Error::Options(format!("`{found}` is a {} where a file is wanted", entry.kind.noun()))
        })
    }

    /// Returns which layer brought `path`: of the exact entry if there is one, else of what it leads to.
    pub fn why(&self, path: &TreePath) -> Result<&Provenance, ResolveError> {
        match self.entries.get(path) {
            Some(entry) => Ok(&entry.provenance),
            None => self.resolve(path).map(|(_, entry)| &entry.provenance),
        }
    }

    /// Returns all entries in order, the root first, each directory right before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// Returns `path` and everything below it, in order.
    pub fn subtree<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        self.entries.range(path.clone()..).take_while(move |(found, _)| found.is_within(path))
    }

    /// Returns what is directly in the directory `path`, in order.
    pub fn children<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        let depth = path.components().count() + 1;
        self.subtree(path).filter(move |(found, _)| found.components().count() == depth)
    }

    /// Returns how many entries there are, the root included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.entries.len() <= 1
    }

    /// Returns the sum of the lengths of all files in bytes, hard links counted once.
    pub fn total_size(&self) -> u64 {
        self.entries.values().filter_map(Entry::content).map(Content::len).sum()
    }

    /// Returns how many bytes a file system of 4096-byte blocks takes for the tree, about: files in whole blocks, and
    /// for each entry its inode and name.
    pub fn size_on_disk(&self) -> u64 {
        const BLOCK: u64 = 4096;
        const INODE: u64 = 1024;
        let contents = self.entries.values().filter_map(Entry::content);
        let blocks: u64 = contents.map(|content| content.len().div_ceil(BLOCK)).sum();
        blocks * BLOCK + self.entries.len() as u64 * INODE
    }

    /// Returns the entry whose metadata and content count at `path`: a hard link's target, else the entry.
    pub(crate) fn inode<'a>(&'a self, path: &'a TreePath, entry: &'a Entry) -> (&'a TreePath, &'a Entry) {
        match &entry.kind {
            Kind::Hardlink(target) => self.entries.get_key_value(target).unwrap_or((path, entry)),
            _ => (path, entry),
        }
    }

    /// Follows the symbolic links in `path`; what does not exist is taken as it is spelled.
    ///
    /// `..` at the root stays at the root, as it does for a process whose root this is.
    pub(crate) fn locate(&self, path: &TreePath, last: LastLink) -> Result<TreePath, ResolveError> {
        if last == LastLink::Kept
            && let Some(parent) = path.parent()
            && self.entries.get(&parent).is_some_and(Entry::is_directory)
        {
            return Ok(path.clone());
        }
        let mut left: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        let mut here = TreePath::root();
        let mut followed = 0;
        while let Some(component) = left.pop_front() {
            if component == b".." {
                here = here.parent().unwrap_or_else(TreePath::root);
                continue;
            }
            let next = here.join(&component).map_err(ResolveError::Path)?;
            match self.entries.get(&next).map(|entry| &entry.kind) {
                Some(Kind::Symlink(target)) if !left.is_empty() || last == LastLink::Followed => {
                    followed += 1;
                    if followed > LINK_LIMIT {
                        return Err(ResolveError::Loop(path.clone()));
                    }
                    if target.first() == Some(&b'/') {
                        here = TreePath::root();
                    }
                    let parts =
                        target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
                    for part in parts.rev() {
                        left.push_front(part.to_vec());
                    }
                }
                Some(Kind::Directory | Kind::Symlink(_)) | None => here = next,
                Some(
                    Kind::File(_)
                    | Kind::Hardlink(_)
                    | Kind::CharDevice { .. }
                    | Kind::BlockDevice { .. }
                    | Kind::Fifo,
                ) => {
                    if !left.is_empty() {
                        return Err(ResolveError::NotADirectory(next));
                    }
                    here = next;
                }
            }
        }
        Ok(here)
    }
}

/// Whether a symbolic link in the last component is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLink {
    /// As `stat` does.
    Followed,
    /// As `lstat` does.
    Kept,
}
