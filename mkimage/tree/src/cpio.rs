//! Writing trees as cpio archives in the `newc` format, one behind the other, as the kernel unpacks them.
//!
//! The kernel takes any number of archives, each plain or compressed; zeros between them are skipped, and a
//! plain one must begin at a multiple of four (`init/initramfs.c`). So an archive can be put behind an
//! initramfs that is already there: see [`CpioWriter::behind`].

use std::collections::BTreeMap;
use std::io::{self, Write};

use cpio::newc::{Builder, ModeFileType, trailer};
use flate2::{Compression, GzBuilder};

use crate::{Complete, Content, Entry, Error, Kind, Tree, TreePath};

/// How one archive is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpioCompression {
    /// As it is.
    Plain,
    /// By gzip with a level from 1, fast, to 9, small.
    Gzip(u32),
}

/// Writes archives one behind the other.
#[derive(Debug)]
pub struct CpioWriter<W: Write> {
    out: Counted<W>,
}

/// Archives begin at multiples of so many bytes.
const ALIGNMENT: u64 = 4;

impl<W: Write> CpioWriter<W> {
    /// Starts at the beginning of a file.
    pub fn new(out: W) -> CpioWriter<W> {
        CpioWriter::behind(out, 0)
    }

    /// Starts behind `length` bytes that the file has already.
    pub fn behind(out: W, length: u64) -> CpioWriter<W> {
        CpioWriter { out: Counted { out, count: length } }
    }

    /// Adds a tree as one archive; times after `epoch` (seconds since 1970) are set back to it.
    ///
    /// The root directory itself is left out, so that an archive behind another changes nothing about it.
    pub fn append(
        &mut self,
        tree: &Tree<Complete>,
        compression: CpioCompression,
        epoch: i64,
    ) -> Result<&mut CpioWriter<W>, Error> {
        self.align()?;
        match compression {
            CpioCompression::Plain => {
                write_archive(tree, &mut self.out, epoch)?;
            }
            CpioCompression::Gzip(level) => {
                let gzip = GzBuilder::new().write(&mut self.out, Compression::new(level.clamp(1, 9)));
                let gathered = io::BufWriter::with_capacity(1 << 16, gzip);
                let gathered = write_archive(tree, gathered, epoch)?;
                let gzip = gathered.into_inner().map_err(|error| write_error(error.into_error()))?;
                gzip.finish().map_err(write_error)?;
            }
        }
        self.align()?;
        Ok(self)
    }

    fn align(&mut self) -> Result<(), Error> {
        let zeros = (ALIGNMENT - self.out.count % ALIGNMENT) % ALIGNMENT;
        self.out.write_all(&[0; ALIGNMENT as usize][..zeros as usize]).map_err(write_error)
    }

    /// Flushes, and returns the writer below and the length of the file in bytes.
    pub fn finish(mut self) -> Result<(W, u64), Error> {
        self.out.flush().map_err(write_error)?;
        Ok((self.out.out, self.out.count))
    }
}

fn write_error(error: io::Error) -> Error {
    Error::io("write", std::path::Path::new("cpio archive"), error)
}

fn write_archive<W: Write>(tree: &Tree<Complete>, out: W, epoch: i64) -> Result<W, Error> {
    let links = LinkCounts::of(tree);
    let mut out = Unflushed(out);
    let mut scratch = Vec::new();
    let mut number = 0;
    for (path, entry) in tree.iter().filter(|(path, _)| !path.is_root()) {
        let (inode_path, inode) = tree.inode(path, entry);
        let link = links.of_path(inode_path);
        let ino = match link {
            Some(link) => link.ino,
            None => {
                number += 1;
                links.first_free + number - 1
            }
        };
        let header = header(path, inode, epoch)?
            .ino(ino)
            .nlink(link.map_or(if inode.is_directory() { 2 } else { 1 }, |link| link.count));
        // All names of an inode share the contents; they come with the last one.
        let here = link.is_none_or(|link| link.last == path);
        let content = match &inode.kind {
            Kind::File(content) if here => content.clone(),
            Kind::Symlink(target) => Content::inline(target.as_slice()),
            _ => Content::inline(&b""[..]),
        };
        out = write_member(out, path, header, &content, &mut scratch)?;
    }
    trailer(out).map(|out| out.0).map_err(write_error)
}

/// The entries that have more than one name.
struct LinkCounts<'a> {
    by_target: BTreeMap<&'a TreePath, Link<'a>>,
    first_free: u32,
}

struct Link<'a> {
    ino: u32,
    count: u32,
    last: &'a TreePath,
}

impl<'a> LinkCounts<'a> {
    fn of(tree: &'a Tree<Complete>) -> LinkCounts<'a> {
        let mut by_target = BTreeMap::new();
        for (ino, (target, names)) in (1..).zip(&tree.links) {
            let last = names.last().map_or(target, |last| last.max(target));
            by_target.insert(target, Link { ino, count: names.len() as u32 + 1, last });
        }
        LinkCounts { first_free: by_target.len() as u32 + 1, by_target }
    }

    fn of_path(&self, path: &TreePath) -> Option<&Link<'a>> {
        self.by_target.get(path)
    }
}

fn header(path: &TreePath, inode: &Entry, epoch: i64) -> Result<Builder, Error> {
    let name = std::str::from_utf8(path.as_bytes())
        .map_err(|_| Error::unwritable("cpio", path, "its name is not UTF-8"))?;
    if !inode.xattrs.is_empty() {
        return Err(Error::unwritable("cpio", path, "it has extended attributes"));
    }
    let mtime = u32::try_from(inode.mtime.min(epoch).max(0))
        .map_err(|_| Error::unwritable("cpio", path, "its time is after 2106"))?;
    let builder = Builder::new(name).mode(inode.mode).uid(inode.uid).gid(inode.gid).mtime(mtime);
    Ok(match &inode.kind {
        Kind::File(_) => builder.set_mode_file_type(ModeFileType::Regular),
        Kind::Directory => builder.set_mode_file_type(ModeFileType::Directory),
        Kind::Symlink(_) => builder.set_mode_file_type(ModeFileType::Symlink),
        Kind::Fifo => builder.set_mode_file_type(ModeFileType::Fifo),
        Kind::CharDevice { major, minor } => {
            builder.rdev_major(*major).rdev_minor(*minor).set_mode_file_type(ModeFileType::Char)
        }
        Kind::BlockDevice { major, minor } => {
            builder.rdev_major(*major).rdev_minor(*minor).set_mode_file_type(ModeFileType::Block)
        }
        Kind::Hardlink(_) => return Err(Error::unwritable("cpio", path, "it names another hard link")),
    })
}

/// Writes one member and makes sure that as many bytes came as its header says.
fn write_member<W: Write>(
    out: W,
    path: &TreePath,
    header: Builder,
    content: &Content,
    scratch: &mut Vec<u8>,
) -> Result<W, Error> {
    // A member is padded to whole words, so the very last size does not fit either.
    let length = u32::try_from(content.len()).ok().filter(|length| *length <= u32::MAX - 3);
    let Some(length) = length else {
        return Err(Error::unwritable("cpio", path, "it is larger than 4 GiB"));
    };
    let mut member = header.write(out, length);
    let mut written = 0;
    content.for_each_chunk(scratch, |chunk| {
        written += chunk.len() as u64;
        member.write_all(chunk).map_err(write_error)
    })?;
    if written != content.len() {
        // The crate would end a member that is too short without a word.
        let problem = format!("{written} of its {} bytes could be read", content.len());
        return Err(Error::unwritable("cpio", path, problem));
    }
    member.finish().map_err(write_error)
}

/// Counts what passes through.
#[derive(Debug)]
struct Counted<W> {
    out: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Swallows the flush after each member, which would end a block of the compression each time.
struct Unflushed<W>(W);

impl<W: Write> Write for Unflushed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
