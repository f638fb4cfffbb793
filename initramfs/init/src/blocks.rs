//! The block devices that the kernel has, and whether one of them is the root.

use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use crate::cmdline::{Root, Tag};
use crate::partition::{Partition, look_up};
use crate::superblock::{FileSystem, HEAD, identify};

/// A block device as `/sys/class/block` has it.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The folder in `/sys`.
    folder: PathBuf,
    /// `uevent`: lines of `NAME=value`.
    event: String,
}

/// All block devices that hold something.
pub(crate) fn all() -> Vec<Block> {
    let Ok(entries) = fs::read_dir("/sys/class/block") else { return Vec::new() };
    entries.flatten().map(|entry| Block::at(entry.path())).filter(|block| !block.is_empty()).collect()
}

/// Finds the device that is meant, if it is there by now.
pub(crate) fn find(root: &Root) -> Option<PathBuf> {
    match root {
        Root::Device(name) => {
            let path = Path::new("/dev").join(std::ffi::OsStr::from_bytes(name));
            is_block_device(&path).then_some(path)
        }
        Root::Numbers(numbers) => {
            let folder = Path::new("/sys/dev/block").join(std::ffi::OsStr::from_bytes(numbers));
            Block::at(folder).node()
        }
        Root::Tag(tag, name) => all().iter().find(|block| block.is(*tag, name)).and_then(Block::node),
    }
}

/// Says what file system is on a device.
pub(crate) fn file_system(node: &Path) -> Option<FileSystem> {
    let device = File::open(node).ok()?;
    let mut head = vec![0; HEAD];
    let mut length = 0;
    // A small device ends early; what cannot be read is no superblock.
    while let Ok(count @ 1..) = device.read_at(&mut head[length..], length as u64) {
        length += count;
    }
    identify(&head[..length])
}

impl Block {
    fn at(folder: PathBuf) -> Block {
        let event = fs::read_to_string(folder.join("uevent")).unwrap_or_default();
        Block { folder, event }
    }

    /// Loop devices and card readers are there with nothing in them.
    fn is_empty(&self) -> bool {
        fs::read(self.folder.join("size")).is_ok_and(|size| size.trim_ascii() == b"0")
    }

    /// A line of `uevent`.
    fn value(&self, name: &str) -> Option<&str> {
        self.event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// The path below `/dev`, if the node is there already.
    fn node(&self) -> Option<PathBuf> {
        let path = Path::new("/dev").join(self.value("DEVNAME")?);
        is_block_device(&path).then_some(path)
    }

    fn is(&self, tag: Tag, name: &[u8]) -> bool {
        match tag {
            Tag::Uuid => self.file_system().is_some_and(|found| same_uuid(&found.uuid, name)),
            Tag::Label => self.file_system().is_some_and(|found| found.label == name),
            Tag::PartUuid => same_uuid(&self.partition().uuid, name),
            Tag::PartLabel => !name.is_empty() && self.partition().label.as_bytes() == name,
        }
    }

    fn file_system(&self) -> Option<FileSystem> {
        file_system(&self.node()?)
    }

    /// What the kernel says about this partition; what it does not say, the partition table does.
    fn partition(&self) -> Partition {
        let told = |name| self.value(name).unwrap_or_default().to_owned();
        let mut partition = Partition { uuid: told("PARTUUID"), label: told("PARTNAME") };
        if partition.uuid.is_empty()
            && let Some(found) = self.table_entry()
        {
            partition = found;
        }
        partition
    }

    fn table_entry(&self) -> Option<Partition> {
        let number: u32 = self.value("PARTN")?.parse().ok()?;
        // The link in /sys/class leads to a folder inside that of the whole disk.
        let disk = Block::at(fs::canonicalize(&self.folder).ok()?.parent()?.to_owned());
        let sector = fs::read_to_string(disk.folder.join("queue/logical_block_size")).ok()?;
        let device = File::open(disk.node()?).ok()?;
        look_up(&|buffer, at| device.read_exact_at(buffer, at), sector.trim().parse().ok()?, number)
    }

    /// Says what the device is and holds, in a few words.
    pub(crate) fn describe(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default().to_os_string();
        let mut text = String::from_utf8_lossy(&name.into_vec()).into_owned();
        let partition = self.partition();
        let found = self.file_system();
        let (kind, uuid, label) = match &found {
            Some(found) => (found.kind, found.uuid.as_str(), String::from_utf8_lossy(&found.label)),
            None => ("no known file system", "", "".into()),
        };
        text.push_str(" (");
        text.push_str(kind);
        let tags = [
            ("UUID", uuid),
            ("LABEL", &*label),
            ("PARTUUID", &*partition.uuid),
            ("PARTLABEL", &*partition.label),
        ];
        for (name, value) in tags.into_iter().filter(|(_, value)| !value.is_empty()) {
            for part in [" ", name, "=", value] {
                text.push_str(part);
            }
        }
        text.push(')');
        text
    }
}

fn is_block_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

/// A UUID may be written in either case.
fn same_uuid(found: &str, wanted: &[u8]) -> bool {
    !found.is_empty() && found.as_bytes().eq_ignore_ascii_case(wanted)
}
