//! Reading a directory of a checkout as a layer: root's files, with the usual modes.
//!
//! Who owns the files on the host, and what its umask was, does not show in the result: a file is 0644, or
//! 0755 if its owner may execute it, a directory 0755.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::scan::content_on_disk;
use crate::{Entry, Error, Kind, Layer, Provenance, TreePath, Weight};

impl Layer {
    /// Reads everything in `directory`; all times are `epoch`, in seconds since 1970.
    ///
    /// Symbolic links are kept as they are and not followed. A directory only has to be there
    /// ([`Weight::Implied`]). Anything that is not a file, a directory or a symbolic link is an error.
    pub fn from_dir(directory: &Path, provenance: &Provenance, epoch: i64) -> Result<Layer, Error> {
        let mut found = BTreeMap::new();
        read_directory(directory, &TreePath::root(), provenance, &mut found)?;
        let mut layer = Layer::new(provenance.clone());
        for (path, entry) in found {
            if entry.is_directory() {
                layer.weigh(path.clone(), Weight::Implied);
            }
            layer.put(path, entry.changed_at(epoch));
        }
        Ok(layer)
    }
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
        let origin = match &kind {
            Kind::Directory => provenance.clone(),
            _ => provenance.of_file(&String::from_utf8_lossy(inside.as_bytes())),
        };
        found.insert(inside, Entry::new(kind, mode, origin));
    }
    Ok(())
}
