//! SHA-256 digests, and the two digests of a whole tree.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::tree::State;
use crate::{Content, Entry, Error, Kind, Tree, TreePath};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// How the contents of files enter the digest of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentDigest {
    /// A span of an identified blob by that identity and its place; other contents by their bytes.
    ///
    /// Cheap. The same bytes from another origin give another digest: right for a cache key, where that costs
    /// a miss, and wrong for comparing images.
    ByOrigin,
    /// All contents by their bytes, wherever they come from.
    ByBytes,
}

impl<S: State> Tree<S> {
    /// Returns the SHA-256 over all paths, kinds, metadata and contents; provenance does not count.
    pub fn digest(&self, contents: ContentDigest) -> Result<Digest, Error> {
        let mut hash = Sha256::new();
        let mut scratch = Vec::new();
        hash.update(b"mkimage tree 1\n");
        for (path, entry) in self.iter() {
            hash_entry(&mut hash, path, entry);
            if let Kind::File(content) = &entry.kind {
                hash_content(&mut hash, content, contents, &mut scratch)?;
            }
        }
        Ok(Digest(hash.finalize().into()))
    }
}

fn hash_entry(hash: &mut Sha256, path: &TreePath, entry: &Entry) {
    hash_bytes(hash, path.as_bytes());
    for number in [entry.mode, entry.uid, entry.gid] {
        hash.update(number.to_le_bytes());
    }
    hash.update(entry.mtime.to_le_bytes());
    hash.update((entry.xattrs.len() as u64).to_le_bytes());
    for (name, value) in &entry.xattrs {
        hash_bytes(hash, name);
        hash_bytes(hash, value);
    }
    let mut device = |tag: &[u8], major: u32, minor: u32| {
        hash.update(tag);
        hash.update(major.to_le_bytes());
        hash.update(minor.to_le_bytes());
    };
    match &entry.kind {
        Kind::CharDevice { major, minor } => device(b"c", *major, *minor),
        Kind::BlockDevice { major, minor } => device(b"b", *major, *minor),
        Kind::File(_) => hash.update(b"f"),
        Kind::Directory => hash.update(b"d"),
        Kind::Fifo => hash.update(b"p"),
        Kind::Symlink(target) => {
            hash.update(b"l");
            hash_bytes(hash, target);
        }
        Kind::Hardlink(target) => {
            hash.update(b"h");
            hash_bytes(hash, target.as_bytes());
        }
    }
}

fn hash_content(
    hash: &mut Sha256,
    content: &Content,
    how: ContentDigest,
    scratch: &mut Vec<u8>,
) -> Result<(), Error> {
    hash.update(content.len().to_le_bytes());
    if how == ContentDigest::ByOrigin
        && let Content::Span { blob, offset, .. } = content
        && let Some(identity) = blob.identity()
    {
        hash.update(b"origin");
        hash.update(identity.0);
        hash.update(offset.to_le_bytes());
        return Ok(());
    }
    hash.update(b"bytes");
    content.for_each_chunk(scratch, |chunk| {
        hash.update(chunk);
        Ok(())
    })
}

fn hash_bytes(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
