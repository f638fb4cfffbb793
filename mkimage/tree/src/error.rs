//! What can go wrong with trees, as one enum.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Conflict, PathError, TreePath};

/// What went wrong while reading, merging or writing a tree.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused something about a file of the host.
    Io {
        /// What was tried, as a verb: `open`.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// A name found in some input cannot be a path of a tree.
    Path {
        /// Where the name was found.
        found_in: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// Layers want different things at the same paths.
    Conflicts(Vec<Conflict>),
    /// A path inside the tree leads nowhere.
    Resolve(ResolveError),
    /// An archive or a stored layer is damaged or uses what we do not support.
    Input {
        /// The file that is being read.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A format cannot hold an entry of the tree.
    Unwritable {
        /// The format: `cpio`, `ext4`, `tar`.
        format: &'static str,
        /// The entry.
        path: TreePath,
        /// What about it the format cannot hold.
        problem: String,
    },
    /// The ext4 file system as a whole cannot be laid out.
    Ext4(mkext4::Error),
    /// Options contradict each other or the tree.
    Options(String),
}

/// Why a path inside a tree cannot be followed to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// Nothing is there.
    Missing(TreePath),
    /// More than 40 symbolic links were followed.
    Loop(TreePath),
    /// Something that is not a directory stands where a directory is needed.
    NotADirectory(TreePath),
    /// The path, or one a link leads to, is not a possible path.
    Path(PathError),
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Error {
        Error::Io { doing, path: path.to_path_buf(), source }
    }

    pub(crate) fn input(path: &Path, problem: impl Into<String>) -> Error {
        Error::Input { path: path.to_path_buf(), problem: problem.into() }
    }

    pub(crate) fn unwritable(format: &'static str, path: &TreePath, problem: impl Into<String>) -> Error {
        Error::Unwritable { format, path: path.clone(), problem: problem.into() }
    }

    /// Says what the user can do about it, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Conflicts(conflicts) => conflicts.first().map(|conflict| conflict.help().to_owned()),
            Error::Unwritable { path, .. } => {
                Some(format!("remove or rename `{path}` in the layer it came with"))
            }
            Error::Ext4(mkext4::Error::Invalid(problem)) if problem.contains("too small") => {
                Some("choose a larger size for the root file system".to_owned())
            }
            Error::Io { .. }
            | Error::Path { .. }
            | Error::Resolve(_)
            | Error::Input { .. }
            | Error::Ext4(_)
            | Error::Options(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, path, .. } => write!(f, "cannot {doing} `{}`", path.display()),
            Error::Path { found_in, .. } => write!(f, "cannot use a name found in {found_in}"),
            Error::Conflicts(conflicts) => {
                for (count, conflict) in conflicts.iter().enumerate() {
                    if count > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{conflict}")?;
                }
                Ok(())
            }
            Error::Resolve(error) => error.fmt(f),
            Error::Input { path, problem } => write!(f, "cannot read `{}`: {problem}", path.display()),
            Error::Unwritable { format, path, problem } => {
                write!(f, "cannot write `{path}` into {format}: {problem}")
            }
            Error::Ext4(error) => write!(f, "cannot lay out the ext4 file system: {error}"),
            Error::Options(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Path { source, .. } => Some(source),
            Error::Conflicts(_)
            | Error::Resolve(_)
            | Error::Input { .. }
            | Error::Unwritable { .. }
            | Error::Ext4(_)
            | Error::Options(_) => None,
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::Missing(path) => write!(f, "`{path}` does not exist in the tree"),
            ResolveError::Loop(path) => write!(f, "`{path}` leads through more than 40 symbolic links"),
            ResolveError::NotADirectory(path) => write!(f, "`{path}` is not a directory"),
            ResolveError::Path(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ResolveError {}

impl From<ResolveError> for Error {
    fn from(error: ResolveError) -> Error {
        Error::Resolve(error)
    }
}
