//! A layer in one file, for the cache: metadata first, then all contents.
//!
//! ```text
//! magic "mkimage layer\n"   version u32   length of the metadata u64   SHA-256 of the metadata
//! metadata   contents
//! ```
//! The metadata names the length and the SHA-256 of the contents. Numbers are little-endian; bytes and lists
//! come with their length before them, as u64. Whatever does not fit is an error, which a cache takes for a
//! miss; nothing is repaired and no other version is read.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::whole_file::WholeFile;
use crate::{Blob, Content, Digest, Entry, Error, Kind, Layer, Provenance, TreePath, Weight, Xattrs};

const MAGIC: &[u8; 14] = b"mkimage layer\n";
/// Goes up whenever a byte of the format means something else.
const VERSION: u32 = 2;
const HEADER: usize = MAGIC.len() + 4 + 8 + 32;

impl Layer {
    /// Writes the layer and all its contents into one file, under a temporary name that is then replaced.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let error = |source| Error::io("write", path, source);
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut scratch = Vec::new();
        for content in self.contents() {
            length += content.len();
            content.for_each_chunk(&mut scratch, |chunk| {
                hash.update(chunk);
                Ok::<(), Error>(())
            })?;
        }
        let mut metadata = Encoder(Vec::new());
        metadata.number(length);
        metadata.0.extend_from_slice(&hash.finalize());
        metadata.layer(self);

        let whole = WholeFile::create(path)?;
        let mut out = BufWriter::with_capacity(1 << 16, whole.file());
        out.write_all(MAGIC).map_err(error)?;
        out.write_all(&VERSION.to_le_bytes()).map_err(error)?;
        out.write_all(&(metadata.0.len() as u64).to_le_bytes()).map_err(error)?;
        out.write_all(&Digest::of(&metadata.0).0).map_err(error)?;
        out.write_all(&metadata.0).map_err(error)?;
        for content in self.contents() {
            content.for_each_chunk(&mut scratch, |chunk| out.write_all(chunk).map_err(error))?;
        }
        out.flush().map_err(error)?;
        drop(out);
        whole.finish()
    }

    /// Reads a layer back; its contents stay in the file, which is checked as a whole.
    ///
    /// The file counts as identified by the digest of its contents, so that the digest of a tree
    /// ([`crate::ContentDigest::ByOrigin`]) stays cheap.
    pub fn load(path: &Path) -> Result<Layer, Error> {
        let blob = Blob::open(path)?;
        let damaged = |what: &str| Error::input(path, format!("the stored layer is damaged: {what}"));
        if blob.len() < HEADER as u64 {
            return Err(damaged("it is too short"));
        }
        let mut header = vec![0; HEADER];
        blob.read_exact_at(&mut header, 0)?;
        let mut header = Decoder { bytes: &header };
        if header.take(MAGIC.len() as u64) != Some(&MAGIC[..]) {
            return Err(damaged("it does not begin as one"));
        }
        match header.array().map(u32::from_le_bytes) {
            Some(VERSION) => {}
            found => {
                let found = found.unwrap_or_default();
                return Err(Error::input(
                    path,
                    format!("the stored layer has version {found}, not {VERSION}"),
                ));
            }
        }
        let length = header.number().filter(|length| *length <= blob.len() - HEADER as u64);
        let (Some(length), Some(digest)) = (length, header.array()) else {
            return Err(damaged("its metadata reaches past its end"));
        };
        let mut metadata = vec![0; length as usize];
        blob.read_exact_at(&mut metadata, HEADER as u64)?;
        if Digest::of(&metadata) != Digest(digest) {
            return Err(damaged("its metadata has another digest"));
        }
        let mut metadata = Decoder { bytes: &metadata };
        let start = HEADER as u64 + length;
        let (Some(contents), Some(digest)) = (metadata.number(), metadata.array().map(Digest)) else {
            return Err(damaged("its metadata ends early"));
        };
        if start.checked_add(contents) != Some(blob.len()) {
            return Err(damaged("its contents have another length"));
        }
        check_contents(&blob, start, contents, digest, &damaged)?;
        let blob = blob.identified(digest)?;
        metadata.layer(&blob, start).ok_or_else(|| damaged("its metadata makes no sense"))
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        self.entries().iter().filter_map(|(_, entry)| entry.content())
    }
}

fn check_contents(
    blob: &Arc<Blob>,
    start: u64,
    length: u64,
    expected: Digest,
    damaged: &dyn Fn(&str) -> Error,
) -> Result<(), Error> {
    let mut hash = Sha256::new();
    Content::span(blob, start, length)?.for_each_chunk(&mut Vec::new(), |chunk| {
        hash.update(chunk);
        Ok::<(), Error>(())
    })?;
    if Digest(hash.finalize().into()) == expected {
        Ok(())
    } else {
        Err(damaged("its contents have another digest"))
    }
}

/// Appends values to the metadata.
struct Encoder(Vec<u8>);

impl Encoder {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn path(&mut self, path: &TreePath) {
        self.bytes(path.as_bytes());
    }

    fn layer(&mut self, layer: &Layer) {
        // Provenances repeat, so entries name them by number; the first is the layer's own.
        let mut provenances = vec![layer.provenance()];
        for (_, entry) in layer.entries() {
            if provenances.last() != Some(&&entry.provenance) && !provenances.contains(&&entry.provenance) {
                provenances.push(&entry.provenance);
            }
        }
        self.number(provenances.len() as u64);
        for provenance in &provenances {
            self.provenance(provenance);
        }
        self.number(layer.removals().len() as u64);
        for path in layer.removals() {
            self.path(path);
        }
        self.number(layer.weights().len() as u64);
        for (path, weight) in layer.weights() {
            self.path(path);
            self.0.push(match weight {
                Weight::Implied => 0,
                Weight::Asked => 1,
                Weight::Imposed => 2,
            });
        }
        self.number(layer.entries().len() as u64);
        for (path, entry) in layer.entries() {
            self.path(path);
            let provenance = provenances.iter().position(|known| **known == entry.provenance);
            self.number(provenance.unwrap_or(0) as u64);
            self.entry(entry);
        }
    }

    fn provenance(&mut self, provenance: &Provenance) {
        let (tag, texts): (u8, &[&str]) = match provenance {
            Provenance::Base => (0, &[]),
            Provenance::Package { name, version } => (1, &[name, version]),
            Provenance::Skeleton => (2, &[]),
            Provenance::Overlay(source) => (3, &[source]),
            Provenance::Services(folder) => (4, &[folder]),
            Provenance::Binary(name) => (5, &[name]),
            Provenance::Configure(step) => (6, &[step]),
            Provenance::Generated(what) => (7, &[what]),
        };
        self.0.push(tag);
        for text in texts {
            self.bytes(text.as_bytes());
        }
    }

    fn entry(&mut self, entry: &Entry) {
        for number in [entry.mode, entry.uid, entry.gid] {
            self.0.extend_from_slice(&number.to_le_bytes());
        }
        self.0.extend_from_slice(&entry.mtime.to_le_bytes());
        self.number(entry.xattrs.len() as u64);
        for (name, value) in &entry.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
        match &entry.kind {
            Kind::File(content) => {
                self.0.push(0);
                self.number(content.len());
            }
            Kind::Directory => self.0.push(1),
            Kind::Symlink(target) => {
                self.0.push(2);
                self.bytes(target);
            }
            Kind::Hardlink(target) => {
                self.0.push(3);
                self.path(target);
            }
            Kind::CharDevice { major, minor } => self.device(4, *major, *minor),
            Kind::BlockDevice { major, minor } => self.device(5, *major, *minor),
            Kind::Fifo => self.0.push(6),
        }
    }

    fn device(&mut self, tag: u8, major: u32, minor: u32) {
        self.0.push(tag);
        self.0.extend_from_slice(&major.to_le_bytes());
        self.0.extend_from_slice(&minor.to_le_bytes());
    }
}

/// Takes values from the front of the metadata; none of it is trusted.
struct Decoder<'a> {
    bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(count).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N as u64)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn half(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn tag(&mut self) -> Option<u8> {
        self.array().map(|[tag]| tag)
    }

    fn byte_string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        std::str::from_utf8(self.byte_string()?).ok().map(Arc::from)
    }

    fn path(&mut self) -> Option<TreePath> {
        match self.byte_string()? {
            b"" => Some(TreePath::root()),
            bytes => TreePath::new(bytes).ok(),
        }
    }

    fn layer(&mut self, blob: &Arc<Blob>, start: u64) -> Option<Layer> {
        let mut provenances = Vec::new();
        for _ in 0..self.number()? {
            provenances.push(self.provenance()?);
        }
        let mut layer = Layer::new(provenances.first()?.clone());
        for _ in 0..self.number()? {
            layer.remove(self.path()?);
        }
        for _ in 0..self.number()? {
            let path = self.path()?;
            let weight = match self.tag()? {
                0 => Weight::Implied,
                1 => Weight::Asked,
                2 => Weight::Imposed,
                _ => return None,
            };
            layer.weigh(path, weight);
        }
        let mut at = start;
        for _ in 0..self.number()? {
            let path = self.path()?;
            let provenance = provenances.get(usize::try_from(self.number()?).ok()?)?.clone();
            let entry = self.entry(provenance, blob, &mut at)?;
            layer.put(path, entry);
        }
        (self.bytes.is_empty() && at == blob.len()).then_some(layer)
    }

    fn provenance(&mut self) -> Option<Provenance> {
        Some(match self.tag()? {
            0 => Provenance::Base,
            1 => Provenance::Package { name: self.text()?, version: self.text()? },
            2 => Provenance::Skeleton,
            3 => Provenance::Overlay(self.text()?),
            4 => Provenance::Services(self.text()?),
            5 => Provenance::Binary(self.text()?),
            6 => Provenance::Configure(self.text()?),
            7 => Provenance::Generated(self.text()?),
            _ => return None,
        })
    }

    fn entry(&mut self, provenance: Provenance, blob: &Arc<Blob>, at: &mut u64) -> Option<Entry> {
        let (mode, uid, gid) = (self.half()?, self.half()?, self.half()?);
        let mtime = i64::from_le_bytes(self.array()?);
        let mut xattrs = Xattrs::new();
        for _ in 0..self.number()? {
            xattrs.insert(self.byte_string()?.to_vec(), self.byte_string()?.to_vec());
        }
        let kind = match self.tag()? {
            0 => {
                let length = self.number()?;
                let content = Content::span(blob, *at, length).ok()?;
                *at += length;
                Kind::File(content)
            }
            1 => Kind::Directory,
            2 => Kind::Symlink(self.byte_string()?.to_vec()),
            3 => Kind::Hardlink(self.path()?),
            4 => Kind::CharDevice { major: self.half()?, minor: self.half()? },
            5 => Kind::BlockDevice { major: self.half()?, minor: self.half()? },
            6 => Kind::Fifo,
            _ => return None,
        };
        Some(Entry { kind, mode, uid, gid, mtime, xattrs, provenance })
    }
}
