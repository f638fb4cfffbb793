//! Whether a file of the cache still is what was written: a disk, a program gone wrong, or a hand may have changed it.
//!
//! Reading everything before each build would take longer than the build. So the checksum is checked when anything
//! that a file system notes about a write is other than it was, and only then. What alters a file without a trace
//! is noticed by nobody, as everywhere else on that disk; and whoever may write into the cache on purpose may write the
//! record, too, so a checksum against accidents is all that helps here.

use flate2::Crc;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long after a change another one may leave the same times behind; file systems keep them that coarsely.
const TICK: Duration = Duration::from_secs(2);

/// What a file is: one line of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) size: u64,
    checksum: u32,
    traces: Traces,
}

/// What a write changes beside the contents: the inode, and times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traces {
    inode: u64,
    modified: i128,
    /// None while the next change might leave the same time.
    changed: Option<i128>,
}

/// Counts and sums up what is written through it.
pub(crate) struct Summing<W> {
    inner: W,
    sum: Crc,
}

impl Sound {
    /// Describes a file that was just written through a [`Summing`] and has its final name.
    pub(crate) fn of(path: &Path, checksum: u32, now: SystemTime) -> io::Result<Self> {
        let metadata = path.metadata()?;
        Ok(Self { size: metadata.len(), checksum, traces: Traces::of(&metadata, now) })
    }

    /// Gives the file's description as it is now, if its contents are what they were; with unchanged traces they are
    /// not read.
    pub(crate) fn checked(self, path: &Path, now: SystemTime) -> Option<Self> {
        let metadata =
            path.metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() == self.size)?;
        let found = Self { traces: Traces::of(&metadata, now), ..self };
        let is_untouched = found == self && found.traces.changed.is_some();
        (is_untouched || checksum_of(path).is_ok_and(|checksum| checksum == self.checksum)).then_some(found)
    }
}

impl Traces {
    fn of(metadata: &Metadata, now: SystemTime) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        let changed = nanoseconds(metadata.ctime(), metadata.ctime_nsec());
        Self {
            inode: metadata.ino(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: Some(changed).filter(|changed| changed + TICK.as_nanos() as i128 <= now),
        }
    }
}

impl fmt::Display for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, checksum, traces: Traces { inode, modified, changed } } = self;
        let changed = changed.map_or_else(|| "-".to_owned(), |changed| changed.to_string());
        write!(f, "{size} {checksum:08x} {inode} {modified} {changed}")
    }
}

impl FromStr for Sound {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text.split(' ').collect();
        let [size, checksum, inode, modified, changed] = words[..] else { return Err(()) };
        let traces = Traces {
            inode: inode.parse().map_err(drop)?,
            modified: modified.parse().map_err(drop)?,
            changed: if changed == "-" { None } else { Some(changed.parse().map_err(drop)?) },
        };
        let checksum = u32::from_str_radix(checksum, 16).map_err(drop)?;
        Ok(Self { size: size.parse().map_err(drop)?, checksum, traces })
    }
}

impl<W> Summing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, sum: Crc::new() }
    }

    pub(crate) fn sum(&self) -> u32 {
        self.sum.sum()
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Gives the checksum of bytes.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn checksum_of(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut sum = Crc::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(sum.sum()),
            count => sum.update(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_changed_byte_is_noticed_and_a_new_time_alone_is_only_a_reason_to_look() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        let replace = |text: &str| {
            fs::write(&other, text).unwrap();
            fs::rename(&other, &path).unwrap();
        };
        let soon = SystemTime::now();
        let later = soon + Duration::from_secs(3600);
        replace("some bytes");
        let sound = Sound::of(&path, checksum(b"some bytes"), later).unwrap();
        assert_eq!(sound.to_string().parse(), Ok(sound));
        assert_eq!(sound.checked(&path, later), Some(sound));

        replace("some bytes");
        let moved = sound.checked(&path, later).unwrap();
        assert_ne!(moved, sound);
        assert_eq!(moved.checked(&path, later), Some(moved));

        replace("same bytes");
        assert_eq!(moved.checked(&path, later), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(moved.checked(&path, later), None);
    }

    #[test]
    fn times_too_fresh_to_tell_two_writes_apart_are_not_relied_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "some bytes").unwrap();
        let changed = path.metadata().unwrap();
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(changed.ctime() as u64 + seconds);
        // The checksum is not that of the bytes: whether the times are relied on shows.
        let fresh = Sound::of(&path, 0, at(1)).unwrap();
        assert_eq!(fresh.to_string().parse(), Ok(fresh));
        assert_eq!(fresh.checked(&path, at(1)), None);
        let settled = Sound::of(&path, 0, at(10)).unwrap();
        assert_eq!(settled.checked(&path, at(10)), Some(settled));
        assert_eq!(fresh.checked(&path, at(10)), None);
    }

    #[test]
    fn what_is_written_is_summed_up_in_whatever_pieces() {
        let mut summing = Summing::new(Vec::new());
        for piece in [&b"some "[..], b"", b"bytes"] {
            summing.write_all(piece).unwrap();
        }
        assert_eq!(summing.sum(), checksum(b"some bytes"));
    }
}
