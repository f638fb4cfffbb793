//! What one origin adds to a tree: ordered entries, and paths to take away first.

use std::collections::BTreeMap;

use crate::{Content, Entry, Kind, Provenance, TreePath};

/// Entries in the order in which their origin lists them, and removals that come before them.
///
/// Directories are shared between layers; the [`Weight`] of one says whose owner and mode count.
#[derive(Debug, Clone)]
pub struct Layer {
    provenance: Provenance,
    entries: Vec<(TreePath, Entry)>,
    weights: BTreeMap<TreePath, Weight>,
    removals: Vec<TreePath>,
}

/// How much a layer's owner and mode of a directory count against those that the tree has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The directory only has to be there: whoever says more about it is heard, earlier or later.
    Implied,
    /// The first layer that asks is heard, as with packages.
    Asked,
    /// This layer is heard.
    Imposed,
}

impl Layer {
    /// Makes a layer that changes nothing yet; entries made by its own methods get this provenance.
    pub fn new(provenance: Provenance) -> Layer {
        Layer { provenance, entries: Vec::new(), weights: BTreeMap::new(), removals: Vec::new() }
    }

    /// Returns what the layer as a whole came from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Adds an entry after all others.
    pub fn put(&mut self, path: TreePath, entry: Entry) -> &mut Layer {
        self.entries.push((path, entry));
        self
    }

    /// Adds a regular file of root's.
    pub fn file(&mut self, path: TreePath, mode: u32, content: impl Into<Content>) -> &mut Layer {
        self.put(path, Entry::file(content, mode, self.provenance.clone()))
    }

    /// Adds a directory of root's.
    pub fn directory(&mut self, path: TreePath, mode: u32) -> &mut Layer {
        self.put(path, Entry::directory(mode, self.provenance.clone()))
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: TreePath, target: impl Into<Vec<u8>>) -> &mut Layer {
        self.put(path, Entry::symlink(target, self.provenance.clone()))
    }

    /// Adds a character device of root's.
    pub fn char_device(&mut self, path: TreePath, mode: u32, major: u32, minor: u32) -> &mut Layer {
        self.put(path, Entry::new(Kind::CharDevice { major, minor }, mode, self.provenance.clone()))
    }

    /// Says how much the layer's owner and mode of the directory at `path` count; else [`Weight::Asked`].
    pub fn weigh(&mut self, path: TreePath, weight: Weight) -> &mut Layer {
        self.weights.insert(path, weight);
        self
    }

    /// Makes the layer's owner and mode of the directory at `path` count: [`Weight::Imposed`].
    pub fn impose(&mut self, path: TreePath) -> &mut Layer {
        self.weigh(path, Weight::Imposed)
    }

    /// Takes `path`, and all below it, away before the entries are laid down.
    pub fn remove(&mut self, path: TreePath) -> &mut Layer {
        self.removals.push(path);
        self
    }

    /// Returns the entries in order.
    pub fn entries(&self) -> &[(TreePath, Entry)] {
        &self.entries
    }

    /// Returns the paths that are taken away first.
    pub fn removals(&self) -> &[TreePath] {
        &self.removals
    }

    /// Returns how much the owner and mode of the directory at `path` count.
    pub fn weight(&self, path: &TreePath) -> Weight {
        self.weights.get(path).copied().unwrap_or(Weight::Asked)
    }

    pub(crate) fn weights(&self) -> &BTreeMap<TreePath, Weight> {
        &self.weights
    }

    /// Tells whether merging the layer would change nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.removals.is_empty()
    }

    /// Keeps only the entries for which `keep` holds, as for leaving out documentation.
    pub fn retain(&mut self, mut keep: impl FnMut(&TreePath, &Entry) -> bool) {
        self.entries.retain(|(path, entry)| keep(path, entry));
    }

    /// Lets `change` alter each entry, as for giving files to a user whose number is now known.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(&TreePath, &mut Entry)) {
        for (path, entry) in &mut self.entries {
            change(path, entry);
        }
    }
}
