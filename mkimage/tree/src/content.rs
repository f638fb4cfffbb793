//! What a file holds: bytes in memory, or a part of an opened file on disk.
//!
//! A package's files are spans of its uncompressed `data.tar`, so unpacking copies nothing: the bytes go from
//! that file to the image in one step.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Digest, Error};

/// An opened plain file that contents are read from by position.
pub struct Blob {
    file: File,
    path: PathBuf,
    len: u64,
    identity: Option<Digest>,
}

impl Blob {
    /// Opens a plain file whose contents nobody has named yet.
    pub fn open(path: impl Into<PathBuf>) -> Result<Arc<Blob>, Error> {
        let path = path.into();
        let file = File::open(&path).map_err(|source| Error::io("open", &path, source))?;
        Blob::from_file(file, path)
    }

    /// Opens a plain file that the caller guarantees to hold the bytes `identity` stands for.
    ///
    /// The identity is any digest that is the same only for the same bytes: of the file itself, or of the
    /// package it was unpacked from.
    pub fn open_identified(path: impl Into<PathBuf>, identity: Digest) -> Result<Arc<Blob>, Error> {
        let path = path.into();
        let file = File::open(&path).map_err(|source| Error::io("open", &path, source))?;
        Ok(Arc::new(Blob { identity: Some(identity), ..Blob::checked(file, path)? }))
    }

    /// Takes over an opened plain file; `path` is only named in errors.
    pub fn from_file(file: File, path: impl Into<PathBuf>) -> Result<Arc<Blob>, Error> {
        Ok(Arc::new(Blob::checked(file, path.into())?))
    }

    fn checked(file: File, path: PathBuf) -> Result<Blob, Error> {
        let metadata = file.metadata().map_err(|source| Error::io("examine", &path, source))?;
        if !metadata.is_file() {
            return Err(Error::io("read", &path, io::Error::other("not a regular file")));
        }
        Ok(Blob { file, len: metadata.size(), path, identity: None })
    }

    /// Returns the same opened file with an identity that has been found out by reading it.
    pub(crate) fn identified(&self, identity: Digest) -> Result<Arc<Blob>, Error> {
        let file = self.file.try_clone().map_err(|source| Error::io("open", &self.path, source))?;
        Ok(Arc::new(Blob { identity: Some(identity), ..Blob::checked(file, self.path.clone())? }))
    }

    /// Returns the length in bytes at the time of opening.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Tells whether the file was empty at the time of opening.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the digest that stands for the bytes, if the caller gave one.
    pub fn identity(&self) -> Option<Digest> {
        self.identity
    }

    /// Fills `buffer` from `offset`; a shorter file is an error.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_exact_at(buffer, offset).map_err(|source| Error::io("read", &self.path, source))
    }

    /// Fills `buffer` from `offset` as far as the file goes, and returns the count.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("path", &self.path).field("len", &self.len).finish_non_exhaustive()
    }
}

/// The bytes of a regular file.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes held in memory.
    Inline(Arc<[u8]>),
    /// A part of an opened file.
    Span {
        /// The file it is a part of.
        blob: Arc<Blob>,
        /// Where it starts, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
    },
}

/// How much is read at once; large enough that the count of calls does not matter.
const CHUNK: usize = 1 << 20;

impl Content {
    /// Holds `bytes` in memory.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Content {
        Content::Inline(bytes.into())
    }

    /// Makes a span, refusing one that reaches past the end of its file.
    pub fn span(blob: &Arc<Blob>, offset: u64, len: u64) -> Result<Content, Error> {
        match offset.checked_add(len) {
            Some(end) if end <= blob.len() => Ok(Content::Span { blob: Arc::clone(blob), offset, len }),
            _ => Err(Error::io(
                "read",
                blob.path(),
                io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("{len} bytes at {offset} are wanted, the file ends at {}", blob.len()),
                ),
            )),
        }
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Span { len, .. } => *len,
        }
    }

    /// Tells whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads all bytes into memory.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        match self {
            Content::Inline(bytes) => Ok(bytes.to_vec()),
            Content::Span { blob, offset, len } => {
                let mut bytes = vec![0; *len as usize];
                blob.read_exact_at(&mut bytes, *offset)?;
                Ok(bytes)
            }
        }
    }

    /// Fills `buffer` with the bytes from `at` on, which must be there.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> Result<(), Error> {
        match self {
            Content::Inline(bytes) => {
                let from = at as usize;
                buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
                Ok(())
            }
            Content::Span { blob, offset, .. } => blob.read_exact_at(buffer, offset + at),
        }
    }

    /// Hands the bytes to `take`, piece by piece and in order; `scratch` keeps its memory between calls.
    pub fn for_each_chunk<E: From<Error>>(
        &self,
        scratch: &mut Vec<u8>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Content::Inline(bytes) if bytes.is_empty() => Ok(()),
            Content::Inline(bytes) => take(bytes),
            Content::Span { blob, offset, len } => {
                let mut done = 0;
                while done < *len {
                    let count = (*len - done).min(CHUNK as u64) as usize;
                    if scratch.len() < count {
                        scratch.resize(count, 0);
                    }
                    blob.read_exact_at(&mut scratch[..count], offset + done)?;
                    take(&scratch[..count])?;
                    done += count as u64;
                }
                Ok(())
            }
        }
    }

    /// Tells whether both hold the same bytes; reads only when neither lengths nor origin decide.
    pub fn is_same_as(&self, other: &Content) -> Result<bool, Error> {
        if self.len() != other.len() {
            return Ok(false);
        }
        if let (
            Content::Span { blob: a, offset: from_a, .. },
            Content::Span { blob: b, offset: from_b, .. },
        ) = (self, other)
        {
            let same_blob = Arc::ptr_eq(a, b) || (a.identity.is_some() && a.identity == b.identity);
            if same_blob && from_a == from_b {
                return Ok(true);
            }
        }
        let mut at = 0;
        let mut mine = vec![0; self.len().min(CHUNK as u64) as usize];
        let mut theirs = mine.clone();
        while at < self.len() {
            let count = (self.len() - at).min(CHUNK as u64) as usize;
            self.read_exact_at(&mut mine[..count], at)?;
            other.read_exact_at(&mut theirs[..count], at)?;
            if mine[..count] != theirs[..count] {
                return Ok(false);
            }
            at += count as u64;
        }
        Ok(true)
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Content {
        Content::inline(bytes)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Content {
        Content::inline(text.as_bytes())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content::inline(bytes)
    }
}
