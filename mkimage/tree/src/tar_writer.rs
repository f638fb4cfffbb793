//! Writing a tree as a plain tar archive: GNU headers, long names where needed, PAX records for attributes.

use std::io::{Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::tree::State;
use crate::{Content, Entry, Error, Kind, Tree, TreePath};

/// Writes `tree` as a tar archive; times after `epoch` (seconds since 1970) are set back to it.
///
/// Names start with `./`, directories end in `/`, owners are numbers only.
pub fn write_tar<S: State, W: Write>(tree: &Tree<S>, out: W, epoch: i64) -> Result<W, Error> {
    let mut archive = Builder::new(out);
    for (path, entry) in tree.iter() {
        write_member(&mut archive, tree, path, entry, epoch)?;
    }
    archive.into_inner().map_err(write_error)
}

fn write_error(error: std::io::Error) -> Error {
    Error::io("write", Path::new("tar archive"), error)
}

fn write_member<S: State, W: Write>(
    archive: &mut Builder<W>,
    tree: &Tree<S>,
    path: &TreePath,
    entry: &Entry,
    epoch: i64,
) -> Result<(), Error> {
    // Whoever unpacks must meet the contents before other names of them, so the first name brings them.
    let (target, inode) = tree.inode(path, entry);
    let other_names = tree.links.get(target);
    let first_name = other_names.and_then(|names| names.first()).map_or(target, |name| name.min(target));
    let mut header = Header::new_gnu();
    header.set_mode(inode.mode);
    header.set_uid(inode.uid.into());
    header.set_gid(inode.gid.into());
    header.set_mtime(inode.mtime.min(epoch).max(0) as u64);
    header.set_size(0);
    let device = |header: &mut Header, kind, major, minor| {
        header.set_entry_type(kind);
        header.set_device_major(major).and_then(|()| header.set_device_minor(minor)).map_err(write_error)
    };
    let mut link = None;
    let mut content = None;
    match &inode.kind {
        _ if first_name != path => {
            header.set_entry_type(EntryType::Link);
            link = Some(member_name(first_name, false));
        }
        Kind::File(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len());
            content = Some(bytes);
        }
        Kind::Directory => header.set_entry_type(EntryType::Directory),
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            link = Some(target.clone());
        }
        Kind::Hardlink(_) => return Err(Error::unwritable("tar", path, "it names another hard link")),
        Kind::CharDevice { major, minor } => device(&mut header, EntryType::Char, *major, *minor)?,
        Kind::BlockDevice { major, minor } => device(&mut header, EntryType::Block, *major, *minor)?,
        Kind::Fifo => header.set_entry_type(EntryType::Fifo),
    }
    let mut records = Vec::new();
    // Attributes belong to the inode, so they are told once.
    for (name, value) in inode.xattrs.iter().filter(|_| first_name == path) {
        let name = std::str::from_utf8(name)
            .map_err(|_| Error::unwritable("tar", path, "the name of an extended attribute is not UTF-8"))?;
        records.push((format!("SCHILY.xattr.{name}"), value.as_slice()));
    }
    let records = records.iter().map(|(name, value)| (name.as_str(), *value));
    archive.append_pax_extensions(records).map_err(write_error)?;
    append(archive, header, &member_name(path, entry.is_directory()), link.as_deref(), content)
}

fn member_name(path: &TreePath, directory: bool) -> Vec<u8> {
    let end: &[u8] = if directory && !path.is_root() { b"/" } else { b"" };
    [b"./", path.as_bytes(), end].concat()
}

/// Where names and link targets stand in a header, and how long they may be there.
const NAME_FIELD: std::ops::Range<usize> = 0..100;
const LINK_FIELD: std::ops::Range<usize> = 157..257;

fn append<W: Write>(
    archive: &mut Builder<W>,
    mut header: Header,
    name: &[u8],
    link: Option<&[u8]>,
    content: Option<&Content>,
) -> Result<(), Error> {
    if let Some(link) = link {
        put_name(archive, &mut header, LINK_FIELD, EntryType::GNULongLink, link)?;
    }
    put_name(archive, &mut header, NAME_FIELD, EntryType::GNULongName, name)?;
    header.set_cksum();
    match content {
        Some(content) => archive.append(&header, ContentReader { content, at: 0 }).map_err(write_error),
        None => archive.append(&header, std::io::empty()).map_err(write_error),
    }
}

/// Puts a name into its field, with a member of its own before it when it is too long for that.
fn put_name<W: Write>(
    archive: &mut Builder<W>,
    header: &mut Header,
    field: std::ops::Range<usize>,
    long: EntryType,
    name: &[u8],
) -> Result<(), Error> {
    let fits = name.len().min(field.len());
    if name.len() > field.len() {
        let mut before = Header::new_gnu();
        let title = b"././@LongLink";
        before.as_mut_bytes()[NAME_FIELD][..title.len()].copy_from_slice(title);
        before.set_entry_type(long);
        before.set_mode(0o644);
        before.set_uid(0);
        before.set_gid(0);
        before.set_mtime(0);
        before.set_size(name.len() as u64 + 1);
        before.set_cksum();
        archive.append(&before, name.chain(&[0_u8][..])).map_err(write_error)?;
    }
    header.as_mut_bytes()[field][..fits].copy_from_slice(&name[..fits]);
    Ok(())
}

/// Reads a content from front to end.
struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
}

impl Read for ContentReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = (self.content.len() - self.at).min(out.len() as u64) as usize;
        self.content.read_exact_at(&mut out[..count], self.at).map_err(std::io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}
