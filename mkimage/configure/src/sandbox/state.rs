//! The memory layout of what `stat` and `statx` tell, with recorded owners in place of those on the disk.

use super::records::Record;
use crate::DeviceKind;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// What a file looks like: the disk's word, except where there is a record.
struct Appearance {
    mode: u32,
    major: u32,
    minor: u32,
}

impl Appearance {
    fn of(metadata: &Metadata, record: &Record) -> Self {
        let (major, minor) = (libc::major(metadata.rdev()), libc::minor(metadata.rdev()));
        let mode = record.mode.map_or(metadata.mode(), |mode| metadata.mode() & !0o7777 | mode);
        let Some(node) = record.node else { return Self { mode, major, minor } };
        let kind = match node.kind {
            DeviceKind::Character => libc::S_IFCHR,
            DeviceKind::Block => libc::S_IFBLK,
        };
        Self { mode: kind | mode & !libc::S_IFMT, major: node.major, minor: node.minor }
    }
}

/// Lays out `struct stat` of this architecture.
pub(super) fn short(metadata: &Metadata, record: &Record) -> Vec<u8> {
    let look = Appearance::of(metadata, record);
    let rdev = libc::makedev(look.major, look.minor);
    let mut out = Layout::default();
    out.u64(metadata.dev()).u64(metadata.ino());
    if cfg!(target_arch = "x86_64") {
        out.u64(metadata.nlink()).u32(look.mode).u32(record.uid).u32(record.gid).u32(0).u64(rdev);
        out.i64(metadata.size() as i64).i64(metadata.blksize() as i64).i64(metadata.blocks() as i64);
    } else {
        out.u32(look.mode).u32(metadata.nlink() as u32).u32(record.uid).u32(record.gid).u64(rdev).u64(0);
        out.i64(metadata.size() as i64).u32(metadata.blksize() as u32).u32(0).i64(metadata.blocks() as i64);
    }
    out.i64(metadata.atime()).i64(metadata.atime_nsec());
    out.i64(metadata.mtime()).i64(metadata.mtime_nsec());
    out.i64(metadata.ctime()).i64(metadata.ctime_nsec());
    out.u64(0);
    if cfg!(target_arch = "x86_64") {
        out.u64(0).u64(0);
    }
    out.0
}

/// Lays out `struct statx`, which is the same everywhere, with the basic fields in it.
pub(super) fn extended(metadata: &Metadata, record: &Record) -> Vec<u8> {
    const BASIC_FIELDS: u32 = 0x7ff;
    const LENGTH: usize = 256;
    let look = Appearance::of(metadata, record);
    let mut out = Layout::default();
    out.u32(BASIC_FIELDS).u32(metadata.blksize() as u32).u64(0);
    out.u32(metadata.nlink() as u32).u32(record.uid).u32(record.gid);
    out.u16(look.mode as u16).u16(0);
    out.u64(metadata.ino()).u64(metadata.size()).u64(metadata.blocks()).u64(0);
    out.time(metadata.atime(), metadata.atime_nsec());
    out.time(0, 0);
    out.time(metadata.ctime(), metadata.ctime_nsec());
    out.time(metadata.mtime(), metadata.mtime_nsec());
    out.u32(look.major).u32(look.minor);
    out.u32(libc::major(metadata.dev())).u32(libc::minor(metadata.dev()));
    out.0.resize(LENGTH, 0);
    out.0
}

/// Bytes in the making, in the machine's order.
#[derive(Default)]
struct Layout(Vec<u8>);

impl Layout {
    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    /// A time of `statx`: seconds, nanoseconds, padding.
    fn time(&mut self, seconds: i64, nanoseconds: i64) -> &mut Self {
        self.i64(seconds).u32(nanoseconds as u32).u32(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_have_the_sizes_and_places_that_the_kernel_uses() {
        let metadata = std::fs::metadata("/").expect("metadata");
        let record = Record { uid: 0x0102_0304, gid: 0x0506_0708, ..Record::default() };
        let short = short(&metadata, &record);
        assert_eq!(short.len(), size_of::<libc::stat>());
        let place = std::mem::offset_of!(libc::stat, st_uid);
        assert_eq!(short[place..place + 4], record.uid.to_ne_bytes());
        let place = std::mem::offset_of!(libc::stat, st_mtime);
        assert_eq!(short[place..place + 8], metadata.mtime().to_ne_bytes());
        let extended = extended(&metadata, &record);
        assert_eq!(extended.len(), size_of::<libc::statx>());
        let place = std::mem::offset_of!(libc::statx, stx_gid);
        assert_eq!(extended[place..place + 4], record.gid.to_ne_bytes());
        let place = std::mem::offset_of!(libc::statx, stx_dev_major);
        assert_eq!(extended[place..place + 4], libc::major(metadata.dev()).to_ne_bytes());
    }
}
