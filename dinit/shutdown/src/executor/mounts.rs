//! Closing what `umount` has left open, or all of it where there is no `umount`.
//!
//! A file system is closed when it is unmounted or read-only. The root cannot be unmounted; it is made read-only,
//! which marks it clean. The last processes may take a moment to let go of their files after they were killed, so
//! what is busy is tried again for a while, and for that while only.

use std::time::Duration;

use dinit_sys::Errno;

use super::{Console, Machine, report};

/// One line of the list of mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: Vec<u8>,
    /// What kind of file system it is.
    pub(crate) kind: Vec<u8>,
    /// Whether it can be written to.
    pub(crate) is_writable: bool,
}

/// File systems with nothing behind them that has to be written.
const WITHOUT_STORAGE: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// How often, and how long in between, something busy is tried again.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Closes every file system with storage behind it that is still open.
pub(super) fn close_what_is_open(machine: &mut dyn Machine, console: &mut Console) {
    for attempt in 1..=ATTEMPTS {
        let failures = close_each(machine);
        if failures.is_empty() {
            return;
        }
        if attempt == ATTEMPTS {
            for (point, error) in failures {
                report(machine, console, "cannot close the file system at", &point, error);
            }
        } else {
            machine.pass_time(PAUSE, console);
        }
    }
}

/// Tries each once, those mounted last first, and gives those that stay open.
fn close_each(machine: &mut dyn Machine) -> Vec<(Vec<u8>, Errno)> {
    let Some(mounts) = machine.mounts() else {
        let error = machine.make_read_only(b"/").err();
        return error.map(|error| (b"/".to_vec(), error)).into_iter().collect();
    };
    let mut failures = Vec::new();
    for mount in mounts.into_iter().rev().filter(Mount::is_open) {
        if mount.point != b"/" && machine.unmount(&mount.point).is_ok() {
            continue;
        }
        if let Err(error) = machine.make_read_only(&mount.point) {
            failures.push((mount.point, error));
        }
    }
    failures
}

impl Mount {
    /// Reads the list of mounts as the kernel gives it in `/proc/self/mounts`.
    pub(super) fn parse_all(text: &[u8]) -> Vec<Self> {
        text.split(|byte| *byte == b'\n').filter_map(Self::parse).collect()
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let (_source, point, kind, options) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_writable = options.split(|byte| *byte == b',').any(|option| option == b"rw");
        Some(Self { point: unescape(point), kind: kind.to_vec(), is_writable })
    }

    fn is_open(&self) -> bool {
        self.is_writable && !WITHOUT_STORAGE.iter().any(|kind| kind.as_bytes() == self.kind)
    }
}

/// Turns `\040` and the like back into the bytes they stand for.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match code {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_is_read_with_its_escapes() {
        let text = b"/dev/vda / ext4 rw,relatime 0 0\n/dev/vdb /mnt/a\\040b xfs ro,noatime 0 0\nproc /proc proc rw 0 0\n";
        let mounts = Mount::parse_all(text);
        let open: Vec<_> = mounts.iter().map(Mount::is_open).collect();
        let points: Vec<_> = mounts.iter().map(|mount| mount.point.as_slice()).collect();
        assert_eq!(points, [&b"/"[..], b"/mnt/a b", b"/proc"]);
        assert_eq!(open, [true, false, false]);
        assert_eq!(unescape(b"a\\0x\\134"), b"a\\0x\\");
    }
}
