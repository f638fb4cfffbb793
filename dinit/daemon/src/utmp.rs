//! Entries in the files of logged-in users: the boot, and processes that `init` starts for logging in.
//!
//! The entry of a starting process is written by its child ([`dinit_sys::launch::LoginRecord`]); what is written here
//! are the boot and the ends. None of the files is created: a system that wants them makes them.

use dinit_sys::launch::LoginRecord;
use dinit_sys::system::time_of_day;
use std::fs::File;
use std::io::{self, Write};
use std::mem::offset_of;
use std::os::unix::fs::FileExt;

const UTMP: &str = "/run/utmp";
const WTMP: &str = "/var/log/wtmp";
const SIZE: usize = size_of::<libc::utmpx>();
const PID_AT: usize = offset_of!(libc::utmpx, ut_pid);
const ID_AT: usize = offset_of!(libc::utmpx, ut_id);
const ID_LENGTH: usize = 4;
const LINE_LENGTH: usize = 32;

/// The names under which a process is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) id: Vec<u8>,
    pub(crate) line: Vec<u8>,
}

impl Login {
    /// Makes the entry that the child completes with its process id; nothing if the path cannot be expressed.
    pub(crate) fn starting(&self) -> Option<LoginRecord> {
        let record = self.record(libc::INIT_PROCESS, 0);
        Some(LoginRecord {
            path: dinit_sys::system::c_string(UTMP.as_bytes()).ok()?,
            record,
            pid_at: PID_AT,
            id_at: ID_AT,
        })
    }

    /// Replaces the entry of this process by that of a dead one.
    pub(crate) fn ended(&self, pid: i32) {
        let record = self.record(libc::DEAD_PROCESS, pid);
        let _ = replace(&record);
    }

    fn record(&self, kind: i16, pid: i32) -> Vec<u8> {
        let mut record = blank(kind);
        put(&mut record, PID_AT, &pid.to_ne_bytes());
        put(&mut record, ID_AT, self.id.get(..ID_LENGTH).unwrap_or(&self.id));
        put(
            &mut record,
            offset_of!(libc::utmpx, ut_line),
            self.line.get(..LINE_LENGTH).unwrap_or(&self.line),
        );
        record
    }
}

/// Enters the time of the boot: it is added to the history, and becomes the only entry of those logged in.
///
/// # Errors
/// One of the files is not there or cannot be written; to be tried again later.
pub(crate) fn log_boot() -> io::Result<()> {
    let record = blank(libc::BOOT_TIME);
    let mut history = std::fs::OpenOptions::new().append(true).open(WTMP);
    let history = history
        .as_mut()
        .map_err(|error| io::Error::from(error.kind()))
        .and_then(|file| file.write_all(&record));
    let mut current = std::fs::OpenOptions::new().write(true).truncate(true).open(UTMP)?;
    current.write_all(&record)?;
    history
}

/// Makes an entry of a kind with the present time and nothing else.
fn blank(kind: i16) -> Vec<u8> {
    let mut record = vec![0; SIZE];
    let (seconds, nanoseconds) = time_of_day();
    put(&mut record, offset_of!(libc::utmpx, ut_type), &kind.to_ne_bytes());
    let time = offset_of!(libc::utmpx, ut_tv);
    let microseconds = nanoseconds / 1000;
    // Two fields of 32 bits on the 64-bit machines that kept the old format, two of 64 bits elsewhere.
    if offset_of!(libc::utmpx, ut_addr_v6) - time == 8 {
        put(&mut record, time, &(seconds as i32).to_ne_bytes());
        put(&mut record, time + 4, &(microseconds as i32).to_ne_bytes());
    } else {
        put(&mut record, time, &seconds.to_ne_bytes());
        put(&mut record, time + 8, &microseconds.to_ne_bytes());
    }
    record
}

/// Writes an entry over the one of the same id.
fn replace(record: &[u8]) -> io::Result<()> {
    let file: File = std::fs::OpenOptions::new().read(true).write(true).open(UTMP)?;
    let mut old = vec![0; SIZE];
    let mut offset = 0;
    while file.read_at(&mut old, offset)? == SIZE {
        if old.get(ID_AT..ID_AT + ID_LENGTH) == record.get(ID_AT..ID_AT + ID_LENGTH) {
            file.write_at(record, offset)?;
            return Ok(());
        }
        offset += SIZE as u64;
    }
    Ok(())
}

fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = record.get_mut(at..at + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_names_where_they_belong_and_too_long_ones_are_cut() {
        let login = Login { id: b"tty1x".to_vec(), line: b"tty1".to_vec() };
        let entry = login.starting().unwrap();
        assert_eq!(entry.record.len(), SIZE);
        assert_eq!(&entry.record[..2], &libc::INIT_PROCESS.to_ne_bytes());
        assert_eq!(&entry.record[ID_AT..ID_AT + 4], b"tty1");
        let line = offset_of!(libc::utmpx, ut_line);
        assert_eq!(&entry.record[line..line + 5], b"tty1\0");
    }
}
