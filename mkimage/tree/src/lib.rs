//! File trees as values: layers, merge rules, readers and writers.
//!
//! Everything that adds files to an image is a [`Layer`]: an ordered list of paths and entries, read from an
//! archive, from a directory, or from what a configuring run left behind. Layers are merged into a [`Tree`],
//! in which owners, modes and devices are plain data, so no privileges are needed. Contents stay where they
//! are, as spans of opened files, until a writer copies them into an image.
//!
//! The way through, in reading order: [`TreePath`], [`Entry`], [`Layer`], [`Tree::merge`]; then one module a
//! format.
//!
//! ```
//! use mkimage_tree::{CpioCompression, CpioWriter, Layer, MergePolicy, Provenance, Tree, TreePath};
//!
//! # fn main() -> Result<(), mkimage_tree::Error> {
//! # let path = |text| TreePath::new(text).expect("a sound path");
//! let mut links = Layer::new(Provenance::Skeleton);
//! links.directory(path("usr/bin"), 0o755).symlink(path("bin"), "usr/bin");
//! let mut package = Layer::new(Provenance::package("hello", "2.10-3"));
//! package.file(path("bin/hello"), 0o755, "#!/bin/sh\necho hello\n");
//!
//! let policy = MergePolicy::new();
//! let tree = Tree::new().merge(&links, &policy)?.merge(&package, &policy)?;
//! assert_eq!(tree.why(&path("usr/bin/hello"))?.package_name(), Some("hello"));
//!
//! let tree = tree.configured().complete();
//! let mut archives = CpioWriter::new(Vec::new());
//! archives.append(&tree, CpioCompression::Gzip(6), 1_700_000_000)?;
//! let (_bytes, _length) = archives.finish()?;
//! # Ok(())
//! # }
//! ```
//!
//! A tree that has not been configured cannot be written:
//!
//! ```compile_fail,E0308
//! use mkimage_tree::{CpioCompression, CpioWriter, Tree};
//!
//! let _ = CpioWriter::new(Vec::new()).append(&Tree::new(), CpioCompression::Plain, 0);
//! ```
//!
//! Deliberately absent: packages, services, Debian's rules (the caller brings them as a
//! [`MergePolicy`]), and clocks (all times are arguments).

mod content;
mod cpio;
mod digest;
mod dir_reader;
mod entry;
mod error;
mod ext4;
mod layer;
mod materialise;
mod merge;
mod path;
mod policy;
mod scan;
mod stored;
mod tar_reader;
mod tar_writer;
mod tree;
mod whole_file;

pub use content::{Blob, Content};
pub use cpio::{CpioCompression, CpioWriter};
pub use digest::{ContentDigest, Digest};
pub use entry::{Entry, Kind, Provenance, Xattrs};
pub use error::{Error, ResolveError};
pub use ext4::{Ext4Options, Ext4Size, Ext4Summary, write_ext4};
pub use layer::{Layer, Weight};
pub use materialise::{Materialise, Materialised, materialise};
pub use path::{NAME_LIMIT, PATH_LIMIT, PathError, TreePath};
pub use policy::{Conflict, MergePolicy, Reason};
pub use scan::{Scan, scan};
pub use tar_writer::write_tar;
pub use tree::{Complete, Configured, State, Tree, Unpacked};
