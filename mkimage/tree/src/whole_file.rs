//! A file that appears under its name when it is whole, or not at all.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::Error;

/// A file under a temporary name beside the one that it will have; dropped unfinished, it is removed.
pub(crate) struct WholeFile<'a> {
    temporary: NamedTempFile,
    path: &'a Path,
}

impl<'a> WholeFile<'a> {
    /// Makes an empty file, mode 0644, in the directory of `path`.
    pub(crate) fn create(path: &'a Path) -> Result<WholeFile<'a>, Error> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let temporary = tempfile::Builder::new()
            .prefix(".partial-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(directory.unwrap_or(Path::new(".")))
            .map_err(|source| Error::io("create a file beside", path, source))?;
        Ok(WholeFile { temporary, path })
    }

    /// Returns the open file.
    pub(crate) fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Returns the temporary name.
    pub(crate) fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives the file its name, replacing what had it.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let put = self.temporary.persist(self.path);
        put.map(drop).map_err(|failed| Error::io("put in place", self.path, failed.error))
    }
}
