//! What was asked for and cannot be on the disk: owners, devices, privileged attributes, by file.
//!
//! A file is its device and inode number: scripts write a new file, give it an owner and rename it into place, and
//! the record goes along. So that the number of a removed file is never mistaken for the next one's, each recorded
//! file is kept open.

use super::wire::{self, Message};
use crate::{Device, DeviceKind};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

/// What tells one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// What is recorded of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The mode, if the disk does not or did not show all of it.
    pub(crate) mode: Option<u32>,
    pub(crate) node: Option<Device>,
    pub(crate) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// All records of a sandbox.
#[derive(Default)]
pub(super) struct Records(HashMap<FileId, (Record, File)>);

impl Records {
    /// Gives what is recorded of a file.
    pub(super) fn get(&self, id: FileId) -> Option<&Record> {
        self.0.get(&id).map(|(record, _)| record)
    }

    /// Changes what is recorded of a file; `file` is the file itself, kept open from now on.
    pub(super) fn change(&mut self, id: FileId, file: File, change: impl FnOnce(&mut Record)) {
        change(&mut self.0.entry(id).or_insert_with(|| (Record::default(), file)).0);
    }

    /// Puts all records into a message.
    pub(super) fn to_message(&self, kind: u8) -> Message {
        let mut parts = Vec::new();
        for (id, (record, _)) in &self.0 {
            let (node, major, minor) = match record.node {
                None => (0, 0, 0),
                Some(Device { kind: DeviceKind::Character, major, minor }) => (1, major, minor),
                Some(Device { kind: DeviceKind::Block, major, minor }) => (2, major, minor),
            };
            parts.push(wire::numbers([
                id.device,
                id.inode,
                record.uid.into(),
                record.gid.into(),
                record.mode.map_or(u64::MAX, u64::from),
                node,
                major.into(),
                minor.into(),
                record.attributes.len() as u64,
            ]));
            for (name, value) in &record.attributes {
                parts.push(name.clone());
                parts.push(value.clone());
            }
        }
        Message::new(kind, parts)
    }
}

/// Takes the records out of the message that [`Records::to_message`] made.
pub(super) fn from_message(message: &Message) -> io::Result<HashMap<FileId, Record>> {
    let mut records = HashMap::new();
    let mut parts = message.parts.iter();
    while let Some(part) = parts.next() {
        let [device, inode, uid, gid, mode, node, major, minor, attributes] = wire::unpack::<9>(part)?;
        let kind = match node {
            1 => Some(DeviceKind::Character),
            2 => Some(DeviceKind::Block),
            _ => None,
        };
        let mut record = Record {
            uid: uid as u32,
            gid: gid as u32,
            mode: u32::try_from(mode).ok(),
            node: kind.map(|kind| Device { kind, major: major as u32, minor: minor as u32 }),
            attributes: BTreeMap::new(),
        };
        for _ in 0..attributes {
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            record.attributes.insert(name.clone(), value.clone());
        }
        records.insert(FileId { device, inode }, record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_arrive_as_they_were_sent() {
        let mut records = Records::default();
        let file = || File::open("/dev/null").expect("open");
        let console = Device { kind: DeviceKind::Character, major: 5, minor: 1 };
        let (first, second) = (FileId { device: 1, inode: 2 }, FileId { device: 1, inode: 3 });
        records.change(first, file(), |record| (record.gid, record.mode) = (42, Some(0o2755)));
        records.change(second, file(), |record| {
            record.node = Some(console);
            record.attributes.insert(b"security.capability".to_vec(), vec![1, 2]);
        });
        let received = from_message(&records.to_message(1)).expect("records");
        assert_eq!(received.len(), 2);
        assert_eq!(Some(&received[&first]), records.get(first));
        assert_eq!(Some(&received[&second]), records.get(second));
    }
}
