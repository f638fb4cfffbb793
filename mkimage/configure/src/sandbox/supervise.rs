//! Answers the calls that the filter puts to the supervisor: remembers owners, devices and attributes, and tells
//! of them when a faithful view was asked for.
//!
//! It runs beside the scripts in their process namespace, outside of their filter, and reads the caller's memory.
//! Nothing here guards against a caller that changes its memory meanwhile: the namespaces are the walls, this is
//! bookkeeping.

use super::records::{FileId, Record, Records};
use super::state;
use crate::{Device, DeviceKind};
use dinit_sys::seccomp::{self, Answer, Notification};
use nix::fcntl::OFlag;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Takes one call from the listener and answers it.
///
/// # Errors
/// Only if the listener itself is of no use any more; a caller that has ended is none of our business.
pub(super) fn serve(listener: BorrowedFd<'_>, records: &Mutex<Records>) -> io::Result<()> {
    let notification = match seccomp::receive(listener) {
        Ok(notification) => notification,
        Err(error) if caller_has_ended(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = Caller::new(&notification).answer(&mut records).unwrap_or_else(Answer::Error);
    drop(records);
    match seccomp::answer(listener, notification.id, answer) {
        Err(error) if !caller_has_ended(&error) => Err(error),
        _ => Ok(()),
    }
}

fn caller_has_ended(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR | libc::ESRCH))
}

/// A call, seen from the thread that makes it.
struct Caller {
    thread: Pid,
    call: i64,
    arguments: [u64; 6],
}

/// Which file a call means.
struct Target {
    file: File,
    id: FileId,
    mode: u32,
}

/// An error number to answer with.
type Number = i32;

/// In the arguments of a call: the directory that the caller is in.
const CURRENT_DIRECTORY: i32 = libc::AT_FDCWD;

impl Caller {
    fn new(notification: &Notification) -> Self {
        Self {
            thread: Pid::from_raw(notification.thread as i32),
            call: notification.call,
            arguments: notification.arguments,
        }
    }

    fn answer(&self, records: &mut Records) -> Result<Answer, Number> {
        let [a, b, c, d, e, _] = self.arguments;
        let (here, descriptor) = (CURRENT_DIRECTORY, a as i32);
        let never_follow = libc::AT_SYMLINK_NOFOLLOW;
        match self.call {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => change_owner(records, self.named(here, a, 0)?, b, c),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => change_owner(records, self.named(here, a, never_follow)?, b, c),
            libc::SYS_fchown => change_owner(records, self.opened(descriptor)?, b, c),
            libc::SYS_fchownat => change_owner(records, self.named(descriptor, b, e as i32)?, c, d),

            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => change_mode(records, self.named(here, a, 0)?, b),
            libc::SYS_fchmod => change_mode(records, self.opened(descriptor)?, b),
            libc::SYS_fchmodat => change_mode(records, self.named(descriptor, b, 0)?, c),
            libc::SYS_fchmodat2 => change_mode(records, self.named(descriptor, b, d as i32)?, c),

            #[cfg(target_arch = "x86_64")]
            libc::SYS_mknod => self.make_node(records, here, a, b, c),
            libc::SYS_mknodat => self.make_node(records, descriptor, b, c, d),

            libc::SYS_setxattr => self.set_attribute(records, self.named(here, a, 0), b, c, d),
            libc::SYS_lsetxattr => self.set_attribute(records, self.named(here, a, never_follow), b, c, d),
            libc::SYS_fsetxattr => self.set_attribute(records, self.opened(descriptor), b, c, d),
            libc::SYS_removexattr => self.remove_attribute(records, self.named(here, a, 0), b),
            libc::SYS_lremovexattr => self.remove_attribute(records, self.named(here, a, never_follow), b),
            libc::SYS_fremovexattr => self.remove_attribute(records, self.opened(descriptor), b),

            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => self.tell(records, self.meant(here, a, 0), b, state::short),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => self.tell(records, self.meant(here, a, never_follow), b, state::short),
            libc::SYS_fstat => {
                self.tell(records, Ok((self.descriptor_path(descriptor), true)), b, state::short)
            }
            libc::SYS_newfstatat => self.tell(records, self.meant(descriptor, b, d as i32), c, state::short),
            libc::SYS_statx => self.tell(records, self.meant(descriptor, b, c as i32), e, state::extended),
            _ => Ok(Answer::Proceed),
        }
    }

    /// Finds the file that a path of the caller means.
    fn named(&self, directory: i32, path: u64, flags: i32) -> Result<Target, Number> {
        let (path, follow) = self.meant(directory, path, flags)?;
        open(&path, if follow { 0 } else { libc::O_NOFOLLOW })
    }

    /// Gives our path to what a path of the caller means, and whether a link at its end is followed.
    fn meant(&self, directory: i32, path: u64, flags: i32) -> Result<(PathBuf, bool), Number> {
        let path = if path == 0 { Vec::new() } else { self.read_text(path)? };
        if path.is_empty() {
            return if flags & libc::AT_EMPTY_PATH == 0 {
                Err(libc::ENOENT)
            } else if directory == CURRENT_DIRECTORY {
                Ok((self.process_path("cwd"), true))
            } else {
                Ok((self.descriptor_path(directory), true))
            };
        }
        Ok((self.seen_from_here(directory, &path), flags & libc::AT_SYMLINK_NOFOLLOW == 0))
    }

    /// Finds the file behind a descriptor of the caller.
    fn opened(&self, descriptor: i32) -> Result<Target, Number> {
        open(&self.descriptor_path(descriptor), 0)
            .map_err(|number| if number == libc::ENOENT { libc::EBADF } else { number })
    }

    fn descriptor_path(&self, descriptor: i32) -> PathBuf {
        self.process_path(&format!("fd/{descriptor}"))
    }

    /// Gives the path that means for us what `path` means for the caller.
    fn seen_from_here(&self, directory: i32, path: &[u8]) -> PathBuf {
        // These mean another directory to each process.
        for own in [b"/proc/self/".as_slice(), b"/proc/thread-self/", b"/dev/fd/"] {
            if let Some(rest) = path.strip_prefix(own) {
                let base = if own == b"/dev/fd/" { "fd/" } else { "" };
                let mut full = self.process_path(base).into_os_string();
                full.push(OsStr::from_bytes(rest));
                return full.into();
            }
        }
        let base = if path.starts_with(b"/") {
            "root".to_owned()
        } else if directory == CURRENT_DIRECTORY {
            "cwd".to_owned()
        } else {
            format!("fd/{directory}")
        };
        let mut full = self.process_path(&base).into_os_string();
        full.push("/");
        full.push(OsStr::from_bytes(path));
        full.into()
    }

    fn process_path(&self, what: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{what}", self.thread))
    }

    /// Makes an empty file and records that it is a device.
    fn make_node(
        &self,
        records: &mut Records,
        directory: i32,
        path: u64,
        mode: u64,
        number: u64,
    ) -> Result<Answer, Number> {
        let path = self.read_text(path)?;
        let place = self.seen_from_here(directory, &path);
        let mode = mode as u32;
        let kind =
            if mode & libc::S_IFMT == libc::S_IFBLK { DeviceKind::Block } else { DeviceKind::Character };
        let node = Device { kind, major: libc::major(number), minor: libc::minor(number) };
        let create =
            OpenOptions::new().write(true).create_new(true).mode(mode & 0o777 & !self.umask()).open(&place);
        create.map_err(|error| number_of(&error))?;
        let target = open(&place, libc::O_NOFOLLOW)?;
        records.change(target.id, target.file, |record| record.node = Some(node));
        Ok(Answer::Value(0))
    }

    fn umask(&self) -> u32 {
        let status = fs::read_to_string(self.process_path("status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        mask.and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok()).unwrap_or(0o022)
    }

    /// Records a privileged attribute; others are set for real.
    fn set_attribute(
        &self,
        records: &mut Records,
        target: Result<Target, Number>,
        name: u64,
        value: u64,
        size: u64,
    ) -> Result<Answer, Number> {
        let name = self.read_text(name)?;
        if !is_privileged(&name) {
            return Ok(Answer::Proceed);
        }
        let target = target?;
        let size = usize::try_from(size).ok().filter(|size| *size <= 64 << 10).ok_or(libc::E2BIG)?;
        let value = self.read(value, size)?;
        records.change(target.id, target.file, |record| {
            record.attributes.insert(name, value);
        });
        Ok(Answer::Value(0))
    }

    fn remove_attribute(
        &self,
        records: &mut Records,
        target: Result<Target, Number>,
        name: u64,
    ) -> Result<Answer, Number> {
        let name = self.read_text(name)?;
        if !is_privileged(&name) {
            return Ok(Answer::Proceed);
        }
        let target = target?;
        if records.get(target.id).is_none_or(|record| !record.attributes.contains_key(&name)) {
            return Err(libc::ENODATA);
        }
        records.change(target.id, target.file, |record| {
            record.attributes.remove(&name);
        });
        Ok(Answer::Value(0))
    }

    /// Answers `stat` and its kin for files that something is recorded of; lets the kernel answer for others.
    ///
    /// No other call is as frequent, so the file is looked at and not opened: the caller waits meanwhile.
    fn tell(
        &self,
        records: &Records,
        meant: Result<(PathBuf, bool), Number>,
        into: u64,
        layout: fn(&Metadata, &Record) -> Vec<u8>,
    ) -> Result<Answer, Number> {
        let Ok((path, follow)) = meant else { return Ok(Answer::Proceed) };
        let seen = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let Ok(seen) = seen else { return Ok(Answer::Proceed) };
        let Some(record) = records.get(FileId::of(&seen)) else { return Ok(Answer::Proceed) };
        self.write(into, &layout(&seen, record))?;
        Ok(Answer::Value(0))
    }

    /// Reads a text that ends with a zero byte from the caller's memory.
    fn read_text(&self, address: u64) -> Result<Vec<u8>, Number> {
        const PAGE: usize = 4096;
        let mut text = Vec::new();
        while text.len() <= libc::PATH_MAX as usize {
            let from = address as usize + text.len();
            let piece = self.read(from as u64, PAGE - from % PAGE)?;
            match piece.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend_from_slice(&piece[..end]);
                    return Ok(text);
                }
                None => text.extend_from_slice(&piece),
            }
        }
        Err(libc::ENAMETOOLONG)
    }

    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, Number> {
        let mut bytes = vec![0; length];
        if length == 0 {
            return Ok(bytes);
        }
        let remote = RemoteIoVec { base: address as usize, len: length };
        match process_vm_readv(self.thread, &mut [IoSliceMut::new(&mut bytes)], &[remote]) {
            Ok(read) if read == length => Ok(bytes),
            _ => Err(libc::EFAULT),
        }
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Number> {
        let remote = RemoteIoVec { base: address as usize, len: bytes.len() };
        match process_vm_writev(self.thread, &[IoSlice::new(bytes)], &[remote]) {
            Ok(written) if written == bytes.len() => Ok(()),
            _ => Err(libc::EFAULT),
        }
    }
}

/// Opens a path without opening the file: only to know it and to keep its number from being given away.
fn open(path: &Path, flags: i32) -> Result<Target, Number> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_PATH.bits() | flags)
        .open(path)
        .map_err(|error| number_of(&error))?;
    let metadata = file.metadata().map_err(|error| number_of(&error))?;
    Ok(Target { id: FileId::of(&metadata), mode: metadata.mode(), file })
}

/// Records a change of owner; -1 keeps what is.
fn change_owner(records: &mut Records, target: Target, uid: u64, gid: u64) -> Result<Answer, Number> {
    let (uid, gid) = (uid as u32, gid as u32);
    let is_file = target.mode & libc::S_IFMT == libc::S_IFREG;
    records.change(target.id, target.file, |record| {
        if uid != u32::MAX {
            record.uid = uid;
        }
        if gid != u32::MAX {
            record.gid = gid;
        }
        if is_file {
            record.mode = record.mode.map(without_privileges);
        }
    });
    Ok(Answer::Value(0))
}

/// Takes the set-id bits away, as the kernel does when the owner of a program changes; see chown(2).
fn without_privileges(mode: u32) -> u32 {
    let cleared = mode & !libc::S_ISUID;
    if mode & libc::S_IXGRP != 0 { cleared & !libc::S_ISGID } else { cleared }
}

/// Changes a mode on the disk as far as [`mode_on_disk`] goes, and records it where that is not all.
fn change_mode(records: &mut Records, target: Target, mode: u64) -> Result<Answer, Number> {
    let mode = mode as u32 & 0o7777;
    if target.mode & libc::S_IFMT == libc::S_IFLNK {
        return Err(libc::EOPNOTSUPP);
    }
    let path = format!("/proc/self/fd/{}", target.file.as_raw_fd());
    let shown = mode_on_disk(mode);
    fs::set_permissions(path, Permissions::from_mode(shown)).map_err(|error| number_of(&error))?;
    if shown != mode || records.get(target.id).is_some_and(|record| record.mode.is_some()) {
        records.change(target.id, target.file, |record| record.mode = Some(mode));
    }
    Ok(Answer::Value(0))
}

/// Gives what the disk may have of a mode: no set-id bits, as they would be the builder's, and the builder must
/// always be able to read and write.
pub(crate) fn mode_on_disk(mode: u32) -> u32 {
    mode & 0o1777 | 0o600
}

/// Whether only a real root may set an attribute of this name.
fn is_privileged(name: &[u8]) -> bool {
    name.starts_with(b"security.") || name.starts_with(b"trusted.")
}

fn number_of(error: &io::Error) -> Number {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Records owner and mode of a path that no script has touched yet; says whether the path exists.
pub(super) fn adopt(records: &Mutex<Records>, path: &Path, uid: u32, gid: u32, mode: u32) -> bool {
    let Ok(target) = open(path, libc::O_NOFOLLOW) else { return false };
    let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
    let mode =
        Some(mode).filter(|mode| mode_on_disk(*mode) != *mode && target.mode & libc::S_IFMT != libc::S_IFLNK);
    records.change(target.id, target.file, |record| {
        (record.uid, record.gid, record.mode) = (uid, gid, mode);
    });
    true
}
