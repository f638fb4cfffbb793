//! Reading a tar archive as a layer: headers only, contents become spans of the archive.
//!
//! Understood: ustar, GNU long names, PAX `path`, `linkpath`, `uid`, `gid`, `mtime` and `SCHILY.xattr.*`.
//! Extension records are taken apart here, since their values may hold any byte. Refused: sparse files,
//! sizes that only a PAX record tells, sockets, and every name that may leave the tree.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use tar::{Archive, EntryType, Header};

use crate::{Blob, Content, Entry, Error, Kind, Layer, Provenance, TreePath, Xattrs};

/// The longest extension record that is read; the names and attributes of one file are far smaller.
const EXTENSION_LIMIT: u64 = 1 << 20;

impl Layer {
    /// Reads the headers of an uncompressed tar archive; the contents stay in `blob`.
    pub fn from_tar(blob: &Arc<Blob>, provenance: &Provenance) -> Result<Layer, Error> {
        let mut layer = Layer::new(provenance.clone());
        let damaged = |error: io::Error| Error::input(blob.path(), error.to_string());
        let mut archive = Archive::new(Window::new(blob));
        let mut pending = Extensions::default();
        for member in archive.entries_with_seek().map_err(damaged)?.raw(true) {
            let mut member = member.map_err(damaged)?;
            let (at, size) = (member.raw_file_position(), member.size());
            let kind = member.header().entry_type();
            if matches!(kind, EntryType::XGlobalHeader) {
                continue;
            }
            if let Some(read) = extension(kind) {
                if size > EXTENSION_LIMIT {
                    return Err(Error::input(blob.path(), format!("an extension record has {size} bytes")));
                }
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).map_err(damaged)?;
                read(&mut pending, bytes).map_err(|problem| Error::input(blob.path(), problem))?;
                continue;
            }
            let extensions = std::mem::take(&mut pending);
            let (path, entry) = read_member(blob, provenance, member.header(), extensions, at, size)?;
            layer.put(path, entry);
        }
        if pending.is_empty() {
            Ok(layer)
        } else {
            Err(Error::input(blob.path(), "the archive ends after an extension record"))
        }
    }
}

/// What extension records said about the member that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
    size: Option<u64>,
    xattrs: Xattrs,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        let numbers = self.uid.is_none() && self.gid.is_none() && self.mtime.is_none() && self.size.is_none();
        numbers && self.path.is_none() && self.link.is_none() && self.xattrs.is_empty()
    }
}

type ReadExtension = fn(&mut Extensions, Vec<u8>) -> Result<(), String>;

fn extension(kind: EntryType) -> Option<ReadExtension> {
    match kind {
        EntryType::GNULongName => Some(|pending, bytes| {
            pending.path = Some(until_nul(&bytes).to_vec());
            Ok(())
        }),
        EntryType::GNULongLink => Some(|pending, bytes| {
            pending.link = Some(until_nul(&bytes).to_vec());
            Ok(())
        }),
        EntryType::XHeader => Some(|pending, bytes| read_pax(pending, &bytes)),
        _ => None,
    }
}

/// Reads PAX records: `length SP key=value LF`, where the length counts all of it.
fn read_pax(pending: &mut Extensions, mut bytes: &[u8]) -> Result<(), String> {
    const DAMAGED: &str = "a PAX record is damaged";
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(DAMAGED)?;
        let length: usize = number(&bytes[..space]).ok_or(DAMAGED)?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(DAMAGED.to_owned());
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(DAMAGED)?;
        keep_pax(pending, &record[..equals], &record[equals + 1..])?;
        bytes = &bytes[length..];
    }
    Ok(())
}

fn keep_pax(pending: &mut Extensions, key: &[u8], value: &[u8]) -> Result<(), String> {
    let bad = || format!("PAX record `{}` has the value `{}`", key.escape_ascii(), value.escape_ascii());
    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
        pending.xattrs.insert(name.to_vec(), value.to_vec());
        return Ok(());
    }
    if key.starts_with(b"GNU.sparse.") {
        return Err("sparse files are not supported".to_owned());
    }
    match key {
        b"path" => pending.path = Some(value.to_vec()),
        b"linkpath" => pending.link = Some(value.to_vec()),
        b"uid" => pending.uid = Some(number(value).ok_or_else(bad)?),
        b"gid" => pending.gid = Some(number(value).ok_or_else(bad)?),
        b"size" => pending.size = Some(number(value).ok_or_else(bad)?),
        // Only whole seconds count; a time before 1970 is rounded towards it.
        b"mtime" => {
            let whole = value.split(|byte| *byte == b'.').next().unwrap_or(value);
            pending.mtime = Some(number(whole).ok_or_else(bad)?);
        }
        // What the rest says (access time, names of owners, comments) is not kept in a tree.
        _ => {}
    }
    Ok(())
}

fn read_member(
    blob: &Arc<Blob>,
    provenance: &Provenance,
    header: &Header,
    extensions: Extensions,
    at: u64,
    size: u64,
) -> Result<(TreePath, Entry), Error> {
    let damaged = |error: io::Error| Error::input(blob.path(), error.to_string());
    let name = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let path = tree_path(blob, &name)?;
    let refuse =
        |what: &str| Error::input(blob.path(), format!("`{path}` is {what}, which is not supported"));
    if extensions.size.is_some_and(|told| told != size) {
        return Err(refuse("longer than its header can say"));
    }
    let link = || {
        let header_link = || header.link_name_bytes().map(|name| name.into_owned());
        extensions.link.clone().or_else(header_link).unwrap_or_default()
    };
    let device = || -> Result<(u32, u32), Error> {
        let major = header.device_major().map_err(damaged)?.unwrap_or(0);
        Ok((major, header.device_minor().map_err(damaged)?.unwrap_or(0)))
    };
    let kind = match header.entry_type() {
        // Before ustar, a directory was a file whose name ends in a slash.
        EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File(Content::span(blob, at, size)?),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => match link() {
            target if target.is_empty() || target.contains(&0) => return Err(refuse("a link to nowhere")),
            target => Kind::Symlink(target),
        },
        EntryType::Link => Kind::Hardlink(tree_path(blob, &link())?),
        EntryType::Char => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
        EntryType::Block => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
        EntryType::Fifo => Kind::Fifo,
        EntryType::GNUSparse => return Err(refuse("a sparse file")),
        other => return Err(refuse(&format!("of the type `{}`", other.as_byte().escape_ascii()))),
    };
    let owner = |told: Option<u32>, header: io::Result<u64>| match told {
        Some(id) => Ok(id),
        None => header.and_then(|id| u32::try_from(id).map_err(io::Error::other)),
    };
    let entry = Entry {
        kind,
        mode: header.mode().map_err(damaged)? & 0o7777,
        uid: owner(extensions.uid, header.uid()).map_err(damaged)?,
        gid: owner(extensions.gid, header.gid()).map_err(damaged)?,
        mtime: match extensions.mtime {
            Some(mtime) => mtime,
            None => i64::try_from(header.mtime().map_err(damaged)?).unwrap_or(i64::MAX),
        },
        xattrs: extensions.xattrs,
        provenance: provenance.clone(),
    };
    Ok((path, entry))
}

fn tree_path(blob: &Blob, name: &[u8]) -> Result<TreePath, Error> {
    TreePath::new(name)
        .map_err(|source| Error::Path { found_in: format!("`{}`", blob.path().display()), source })
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

fn number<N: std::str::FromStr>(bytes: &[u8]) -> Option<N> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Reads a blob through a small window, so that headers of small files cost few calls.
struct Window<'a> {
    blob: &'a Blob,
    position: u64,
    start: u64,
    buffer: Vec<u8>,
}

/// How much is read around a header; most files of a package are smaller.
const WINDOW: usize = 8192;

impl Window<'_> {
    fn new(blob: &Blob) -> Window<'_> {
        Window { blob, position: 0, start: 0, buffer: Vec::with_capacity(WINDOW) }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let end = self.start + self.buffer.len() as u64;
        if self.position < self.start || self.position >= end {
            self.buffer.resize(WINDOW, 0);
            let count = self.blob.read_at(&mut self.buffer, self.position)?;
            self.buffer.truncate(count);
            self.start = self.position;
        }
        let held = &self.buffer[(self.position - self.start) as usize..];
        let count = held.len().min(out.len());
        out[..count].copy_from_slice(&held[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.blob.len().checked_add_signed(by),
        };
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
