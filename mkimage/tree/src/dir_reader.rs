//! Reading a directory of a checkout as a layer: root's files, with modes from a table of the caller's.
//!
//! Who owns the files on the host, and what its umask was, does not show in the result: a file is 0644, or
//! 0755 if its owner may execute it, a directory 0755. What must be otherwise stands in the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::scan::content_on_disk;
use crate::{Entry, Error, Kind, Layer, Provenance, TreePath, Weight};

/// What is otherwise than a plain checkout can say, by path.
#[derive(Debug, Clone, Default)]
pub struct ModeTable {
    rules: BTreeMap<TreePath, ModeRule>,
}

/// What holds for one path; what is left out is as usual.
#[derive(Debug, Clone, Default)]
pub struct ModeRule {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// What stands there though no checkout holds it: an empty directory, a device.
    pub make: Option<Kind>,
}

impl ModeTable {
    /// Makes a table without rules.
    pub fn new() -> ModeTable {
        ModeTable::default()
    }

    /// Adds a rule; a second one for the same path takes the place of the first.
    pub fn rule(&mut self, path: TreePath, rule: ModeRule) -> &mut ModeTable {
        self.rules.insert(path, rule);
        self
    }
}

impl Layer {
    /// Reads everything in `directory`; all times are `epoch`, in seconds since 1970.
    ///
    /// Symbolic links are kept as they are and not followed. A directory that the table does not name only
    /// has to be there ([`Weight::Implied`]). A rule for a path that is neither in the directory nor made by
    /// the rule is an error, and so is anything that is not a file, a directory or a symbolic link.
    pub fn from_dir(
        directory: &Path,
        modes: &ModeTable,
        provenance: &Provenance,
        epoch: i64,
    ) -> Result<Layer, Error> {
        let mut found = BTreeMap::new();
        read_directory(directory, &TreePath::root(), provenance, &mut found)?;
        let mut named = BTreeSet::new();
        for (path, rule) in &modes.rules {
            let entry = match (&rule.make, found.contains_key(path)) {
                (None, true) => found.get_mut(path),
                (Some(made), false) => Some(found.entry(path.clone()).or_insert(make(made, provenance))),
                (None, false) => None,
                (Some(_), true) => {
                    let problem = format!("`{path}` is made by a rule, but is there already");
                    return Err(Error::input(directory, problem));
                }
            };
            let Some(entry) = entry else {
                return Err(Error::input(directory, format!("a rule names `{path}`, which is not there")));
            };
            entry.mode = rule.mode.unwrap_or(entry.mode);
            entry.uid = rule.uid.unwrap_or(entry.uid);
            entry.gid = rule.gid.unwrap_or(entry.gid);
            named.insert(path.clone());
        }
        let mut layer = Layer::new(provenance.clone());
        for (path, entry) in found {
            if entry.is_directory() {
                let weight = if named.contains(&path) { Weight::Imposed } else { Weight::Implied };
                layer.weigh(path.clone(), weight);
            }
            layer.put(path, entry.changed_at(epoch));
        }
        Ok(layer)
    }
}

fn make(kind: &Kind, provenance: &Provenance) -> Entry {
    let mode = match kind {
        Kind::Directory => 0o755,
        Kind::Symlink(_) => 0o777,
        Kind::File(_) | Kind::Hardlink(_) => 0o644,
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => 0o600,
    };
    Entry::new(kind.clone(), mode, provenance.clone())
}

fn read_directory(
    base: &Path,
    path: &TreePath,
    provenance: &Provenance,
    found: &mut BTreeMap<TreePath, Entry>,
) -> Result<(), Error> {
    let at = path.below(base);
    let list = |source| Error::io("list", &at, source);
    for item in fs::read_dir(&at).map_err(list)? {
        let item = item.map_err(list)?;
        let inside = path
            .join(item.file_name().as_bytes())
            .map_err(|source| Error::Path { found_in: format!("directory `{}`", at.display()), source })?;
        let at = item.path();
        let metadata = fs::symlink_metadata(&at).map_err(|source| Error::io("examine", &at, source))?;
        let file_type = metadata.file_type();
        let (kind, mode) = if file_type.is_dir() {
            read_directory(base, &inside, provenance, found)?;
            (Kind::Directory, 0o755)
        } else if file_type.is_symlink() {
            let target = fs::read_link(&at).map_err(|source| Error::io("read the link", &at, source))?;
            (Kind::Symlink(target.into_os_string().into_vec()), 0o777)
        } else if file_type.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            (Kind::File(content_on_disk(&at)?), if executable { 0o755 } else { 0o644 })
        } else {
            return Err(Error::input(&at, "it is neither a file, a directory nor a symbolic link"));
        };
        found.insert(inside, Entry::new(kind, mode, provenance.clone()));
    }
    Ok(())
}
