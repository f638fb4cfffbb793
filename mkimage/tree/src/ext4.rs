//! Writing a tree as an ext4 file system into a sparse file.
//!
//! `mkext4` lays the file system out and emits its metadata; the contents are copied here, straight from
//! where they are to where they go, gathered into large writes by two threads. The bytes depend on the tree
//! and the options alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mkext4::sink::FileSink;
use mkext4::{FsBuilder, InodeCount, InodeHandle, Meta, Options, ROOT, SpecialKind};

use crate::whole_file::WholeFile;
use crate::{Complete, Content, Entry, Error, Kind, Tree, TreePath};

/// Bytes in a block of the file systems written here.
const BLOCK: u64 = 4096;
/// Blocks in a block group, and at the same time the most inodes it can hold.
const GROUP: u64 = 32768;
/// Inodes that the file system itself takes: 1 to 11.
const OWN_INODES: u64 = 11;

/// How an ext4 file system is written.
///
/// The features are fixed: `has_journal`, `ext_attr`, `dir_index`, `filetype`, `extent`, `flex_bg`,
/// `sparse_super`, `large_file`, `huge_file`, `dir_nlink`, `extra_isize`, `metadata_csum`.
#[derive(Debug, Clone)]
pub struct Ext4Options {
    /// How large the file system is.
    pub size: Ext4Size,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Its label, at most 16 bytes; none if empty.
    pub label: String,
    /// The seed of the hashes that order large directories, as UUID; none takes the file system's own.
    pub hash_seed: Option<[u8; 16]>,
    /// The time it is made at, in seconds since 1970; later times of files are set back to it.
    pub epoch: i64,
    /// The part of its blocks that only root may use, in percent.
    pub reserved_percent: u8,
}

/// How large a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ext4Size {
    /// So many bytes; a multiple of 4096. A last block group that is too small for use is left out.
    Exactly(u64),
    /// What the tree needs and about so many bytes of free space.
    WithFree(u64),
}

impl Ext4Options {
    /// Makes options for a file system without a label and with 1 percent reserved.
    pub fn new(size: Ext4Size, uuid: [u8; 16], epoch: i64) -> Ext4Options {
        Ext4Options { size, uuid, label: String::new(), hash_seed: None, epoch, reserved_percent: 1 }
    }
}

/// What an ext4 file system has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ext4Summary {
    /// Its length in bytes.
    pub size: u64,
    /// Inodes that the tree takes.
    pub inodes: u64,
    /// Bytes of file contents.
    pub contents: u64,
}

/// Writes `tree` as an ext4 file system at `path`.
///
/// The file is written under a temporary name in the same directory, mode 0644, and renamed when it is whole.
/// It is sparse: free space takes no room on the host. Nothing is synced to the disk of the host.
pub fn write_ext4(tree: &Tree<Complete>, path: &Path, options: &Ext4Options) -> Result<Ext4Summary, Error> {
    let needs = Needs::of(tree);
    let size = needs.image_size(options.size);
    let laid_out = needs.without_stump(size / BLOCK) * BLOCK;
    let mut builder = FsBuilder::new(layout_options(options, laid_out, &needs)).map_err(Error::Ext4)?;
    let files = declare(tree, &mut builder, options.epoch)?;
    let layout = builder.seal().map_err(Error::Ext4)?;
    let mut copies = Vec::with_capacity(files.len());
    for (handle, content) in files {
        let mut from = 0;
        for (to, len) in layout.extents(handle) {
            copies.push(Copy { content, from, to, len });
            from += len;
        }
    }

    let whole = WholeFile::create(path)?;
    let write_error = |source| Error::io("write", path, source);
    let mut sink = FileSink::create(whole.path(), size).map_err(write_error)?;
    // All that is not file contents is emitted here. The writer itself is not needed for the contents.
    drop(layout.writer(&mut sink).map_err(Error::Ext4)?);
    let file = sink.into_file();
    copy_contents(&copies, &file, path)?;
    whole.finish()?;
    Ok(Ext4Summary { size, inodes: needs.inodes, contents: needs.contents })
}

/// What a tree takes in an ext4 file system.
struct Needs {
    inodes: u64,
    blocks: u64,
    contents: u64,
}

impl Needs {
    fn of(tree: &Tree<Complete>) -> Needs {
        let mut needs = Needs { inodes: OWN_INODES, blocks: 0, contents: 0 };
        let mut names: BTreeMap<TreePath, u64> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            if let (Some(parent), Some(name)) = (path.parent(), path.name()) {
                *names.entry(parent).or_default() += 8 + name.len().next_multiple_of(4) as u64;
            }
            needs.inodes += u64::from(!matches!(entry.kind, Kind::Hardlink(_)));
            needs.blocks += u64::from(!entry.xattrs.is_empty());
            match &entry.kind {
                Kind::File(content) => {
                    needs.contents += content.len();
                    // One more block for the extent tree of whatever spans many groups.
                    needs.blocks += content.len().div_ceil(BLOCK) + content.len() / (4 * GROUP * BLOCK);
                }
                Kind::Directory => needs.blocks += 1,
                Kind::Symlink(target) => needs.blocks += u64::from(target.len() > 59),
                Kind::Hardlink(_) | Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => {}
            }
        }
        // A hashed directory fills its blocks by half at worst.
        needs.blocks += names.values().map(|bytes| bytes * 2 / BLOCK).sum::<u64>();
        needs
    }

    fn image_size(&self, size: Ext4Size) -> u64 {
        let free = match size {
            Ext4Size::Exactly(bytes) => return bytes,
            Ext4Size::WithFree(bytes) => bytes.div_ceil(BLOCK),
        };
        const MEBIBYTE: u64 = (1 << 20) / BLOCK;
        let fixed_point = |blocks: u64| {
            let groups = blocks.div_ceil(GROUP);
            let inodes = self.inode_count(blocks * BLOCK);
            let descriptors = 1 + (groups * 32).div_ceil(BLOCK);
            let overhead = inodes.div_ceil(16) + groups * (3 + descriptors) + journal_blocks(blocks) + 64;
            let needed = (self.blocks + free + overhead).next_multiple_of(MEBIBYTE);
            // Each group holds so many inodes at most, so inodes alone may ask for more groups.
            needed.max((inodes.div_ceil(GROUP) - 1) * GROUP + MEBIBYTE).max(16 * MEBIBYTE)
        };
        let mut blocks = fixed_point(self.blocks + free);
        // The overhead grows far more slowly than the size, so this ends; the bound is only for the reader.
        for _ in 0..32 {
            let next = fixed_point(blocks);
            if next <= blocks {
                break;
            }
            blocks = next;
        }
        if self.without_stump(blocks) < blocks {
            blocks = blocks.next_multiple_of(GROUP);
        }
        blocks * BLOCK
    }

    /// Leaves out a last group that is too small for its own tables, as `mke2fs` does.
    fn without_stump(&self, blocks: u64) -> u64 {
        let rest = blocks % GROUP;
        let groups = blocks.div_ceil(GROUP);
        let tables =
            3 + (groups * 32).div_ceil(BLOCK) + self.inode_count(blocks * BLOCK).div_ceil(16 * groups.max(1));
        if blocks > GROUP && rest < tables + 50 { blocks - rest } else { blocks }
    }

    /// Returns how many inodes a file system of `size` bytes gets: one for 16 KiB, and a quarter to spare.
    fn inode_count(&self, size: u64) -> u64 {
        (size / 16384).max(self.inodes + self.inodes / 4 + 64)
    }
}

/// Mirrors the sizes that the layout gives to the journal.
fn journal_blocks(blocks: u64) -> u64 {
    match blocks {
        0..=32_767 => 1024,
        32_768..=262_143 => 4096,
        262_144..=524_287 => 8192,
        524_288..=4_194_303 => 16_384,
        4_194_304..=8_388_607 => 32_768,
        8_388_608..=16_777_215 => 65_536,
        16_777_216..=33_554_431 => 131_072,
        _ => 262_144,
    }
}

fn layout_options(options: &Ext4Options, size: u64, needs: &Needs) -> Options {
    let mut layout = Options::new(size, options.uuid, options.epoch);
    if let Some(seed) = &options.hash_seed {
        for (word, bytes) in layout.hash_seed.iter_mut().zip(seed.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    layout.label = Some(options.label.clone()).filter(|label| !label.is_empty());
    layout.reserved_percent = options.reserved_percent;
    layout.inodes = InodeCount::Exact(u32::try_from(needs.inode_count(size)).unwrap_or(u32::MAX));
    layout
}

/// Declares every entry in path order, and returns the files that have contents, in image order.
fn declare<'a>(
    tree: &'a Tree<Complete>,
    builder: &mut FsBuilder,
    epoch: i64,
) -> Result<Vec<(InodeHandle, &'a Content)>, Error> {
    let mut handles: BTreeMap<&TreePath, InodeHandle> = BTreeMap::new();
    let mut hard_links = Vec::new();
    let mut files = Vec::new();
    for (path, entry) in tree.iter() {
        let refuse = |error: mkext4::Error| Error::unwritable("ext4", path, error.to_string());
        let meta = Meta::new(entry.mode as u16, entry.uid, entry.gid, (entry.mtime.min(epoch), 0));
        let handle = match (path.parent(), path.name()) {
            (Some(parent), Some(name)) => {
                if is_lost_and_found(tree, path, entry)? {
                    continue;
                }
                let name = text("name", path, name)?;
                let directory = *handles.get(&parent).ok_or_else(|| {
                    Error::unwritable("ext4", path, format!("its directory `{parent}` is not in the tree"))
                })?;
                if let Kind::Hardlink(target) = &entry.kind {
                    hard_links.push((path, directory, name, target));
                    continue;
                }
                declare_one(builder, directory, name, path, entry, meta).map_err(|error| match error {
                    Error::Ext4(error) => refuse(error),
                    other => other,
                })?
            }
            _ => {
                builder.set_meta(ROOT, meta).map_err(refuse)?;
                ROOT
            }
        };
        for (name, value) in &entry.xattrs {
            builder.set_xattr(handle, text("extended attribute", path, name)?, value).map_err(refuse)?;
        }
        if let Kind::File(content) = &entry.kind
            && !content.is_empty()
        {
            files.push((handle, content));
        }
        handles.insert(path, handle);
    }
    for (path, directory, name, target) in hard_links {
        let handle = *handles.get(target).ok_or_else(|| {
            Error::unwritable("ext4", path, format!("it is another name of `{target}`, which is not written"))
        })?;
        let refuse = |error: mkext4::Error| Error::unwritable("ext4", path, error.to_string());
        builder.hardlink(directory, name, handle).map_err(refuse)?;
    }
    Ok(files)
}

fn declare_one(
    builder: &mut FsBuilder,
    directory: InodeHandle,
    name: &str,
    path: &TreePath,
    entry: &Entry,
    meta: Meta,
) -> Result<InodeHandle, Error> {
    let special = match &entry.kind {
        Kind::File(content) => {
            return builder.file(directory, name, meta, content.len()).map_err(Error::Ext4);
        }
        Kind::Directory => return builder.mkdir(directory, name, meta).map_err(Error::Ext4),
        Kind::Symlink(target) => {
            let target = text("link target", path, target)?;
            return builder.symlink(directory, name, target, meta).map_err(Error::Ext4);
        }
        Kind::Hardlink(_) => {
            return Err(Error::unwritable("ext4", path, "a hard link has no inode of its own"));
        }
        Kind::CharDevice { major, minor } => SpecialKind::Char { major: *major, minor: *minor },
        Kind::BlockDevice { major, minor } => SpecialKind::Block { major: *major, minor: *minor },
        Kind::Fifo => SpecialKind::Fifo,
    };
    builder.mknod(directory, name, meta, special).map_err(Error::Ext4)
}

/// Tells whether this is the directory that every ext4 file system has by itself, refusing any other use.
fn is_lost_and_found(tree: &Tree<Complete>, path: &TreePath, entry: &Entry) -> Result<bool, Error> {
    if path.as_bytes() != b"lost+found" {
        return Ok(false);
    }
    if !entry.is_directory() || tree.subtree(path).count() > 1 {
        return Err(Error::unwritable("ext4", path, "the file system needs an empty directory there"));
    }
    Ok(true)
}

fn text<'a>(what: &str, path: &TreePath, bytes: &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|_| {
        Error::unwritable("ext4", path, format!("its {what} `{}` is not UTF-8", bytes.escape_ascii()))
    })
}

/// A run of file contents and its place in the image.
struct Copy<'a> {
    content: &'a Content,
    from: u64,
    to: u64,
    len: u64,
}

/// How much is gathered before it is written.
const GATHER: usize = 1 << 20;
const COPYING_THREADS: usize = 2;

/// Copies all contents; `copies` ascend in the image, so neighbours can share one write.
fn copy_contents(copies: &[Copy<'_>], image: &File, path: &Path) -> Result<(), Error> {
    let total: u64 = copies.iter().map(|copy| copy.len).sum();
    let share = total / COPYING_THREADS as u64 + 1;
    let mut taken = 0;
    let parts = copies.chunk_by(|left, _| {
        let before = taken / share;
        taken += left.len;
        taken / share == before
    });
    std::thread::scope(|scope| {
        let workers: Vec<_> = parts.map(|part| scope.spawn(|| copy_part(part, image, path))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn copy_part(copies: &[Copy<'_>], image: &File, path: &Path) -> Result<(), Error> {
    let mut gathered =
        Gathered { buffer: vec![0; 2 * GATHER + BLOCK as usize], length: 0, at: 0, image, path };
    for copy in copies {
        let mut done = 0;
        while done < copy.len {
            let count = (copy.len - done).min(GATHER as u64) as usize;
            let room = gathered.room(copy.to + done, count)?;
            copy.content.read_exact_at(room, copy.from + done)?;
            done += count as u64;
        }
    }
    gathered.flush()
}

/// Bytes on their way into the image that lie in one piece there.
struct Gathered<'a> {
    buffer: Vec<u8>,
    length: usize,
    at: u64,
    image: &'a File,
    path: &'a Path,
}

impl Gathered<'_> {
    /// Returns room for `count` bytes at `to`, writing out first what cannot be joined with them.
    fn room(&mut self, to: u64, count: usize) -> Result<&mut [u8], Error> {
        let end = self.at + self.length as u64;
        let joins = end <= to && to - end < BLOCK;
        if !joins || self.length >= GATHER {
            self.flush()?;
            self.at = to;
        }
        let start = (to - self.at) as usize;
        // The rest of a file's last block is zero.
        self.buffer[self.length..start].fill(0);
        self.length = start + count;
        Ok(&mut self.buffer[start..start + count])
    }

    /// Writes what is gathered; only zeros stay a hole in the file.
    fn flush(&mut self) -> Result<(), Error> {
        const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        let gathered = &self.buffer[..self.length];
        if !gathered.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()]) {
            let write = self.image.write_all_at(gathered, self.at);
            write.map_err(|source| Error::io("write", self.path, source))?;
        }
        self.length = 0;
        Ok(())
    }
}
