//! Power keys: input devices that come and go in a folder, and what they report.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::complain;

/// Length of `struct input_event` (linux/input.h) in bytes: a time in 16, then type, code and value.
const EVENT: usize = 24;
/// EV_KEY of linux/input-event-codes.h.
const KEY: u16 = 1;
/// KEY_POWER of linux/input-event-codes.h.
const POWER: u16 = 116;
/// The value of a key that was pressed; 0 is one let go, 2 one that repeats.
const PRESSED: i32 = 1;

/// The devices that are open, by name.
type Devices = BTreeMap<OsString, File>;

/// Runs the command whenever the power key of a device in the folder is pressed; never returns but with an error.
/// The folder is made whenever it is not there.
pub(crate) fn watch(folder: &Path, command: &[&OsStr]) -> Result<(), String> {
    let wrong =
        |what: &str, error: &dyn std::fmt::Display| format!("cannot {what} `{}`: {error}", folder.display());
    if folder.as_os_str().is_empty() {
        return Err("the folder of the devices has no name".to_owned());
    }
    let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
        .map_err(|error| wrong("watch", &error))?;
    let flags = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR;
    let mut devices = Devices::new();
    // There may be some before the folder is watched.
    let mut has_changed = true;
    loop {
        // What has changed does not matter, only that the events are taken off the queue.
        while changes.read_events().is_ok() {
            has_changed = true;
        }
        // Between the events and the look at the folder: a device that has gone makes room for its successor of the
        // same name.
        let gone: Vec<OsString> =
            devices.iter_mut().filter_map(|(name, device)| report(name, device, command)).collect();
        for name in gone {
            devices.remove(&name);
        }
        if has_changed {
            // udev removes the folder with the last of its links.
            std::fs::create_dir_all(folder).map_err(|error| wrong("make", &error))?;
            // One that is watched already stays so; one that is removed at this moment is made again.
            match changes.add_watch(folder, flags) {
                Ok(_) => {}
                Err(Errno::ENOENT) => continue,
                Err(error) => return Err(wrong("watch", &error)),
            }
            match look(folder, &mut devices) {
                Ok(()) => has_changed = false,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(wrong("read", &error)),
            }
        }
        let mut entries = vec![PollFd::new(changes.as_fd(), PollFlags::POLLIN)];
        entries.extend(devices.values().map(|device| PollFd::new(device.as_fd(), PollFlags::POLLIN)));
        match poll(&mut entries, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(wrong("wait for devices in", &error)),
        }
    }
}

/// Opens the devices that have come. A hidden name is that of a link in the making, which is about to be renamed.
fn look(folder: &Path, devices: &mut Devices) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || devices.contains_key(&name) {
            continue;
        }
        match OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(entry.path()) {
            Ok(device) => drop(devices.insert(name, device)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => complain(&format!("cannot open `{}`: {error}", entry.path().display())),
        }
    }
    Ok(())
}

/// Reads what a device has to report, and runs the command for each press of its power key. Gives the name of a
/// device that has gone.
fn report(name: &OsStr, device: &mut File, command: &[&OsStr]) -> Option<OsString> {
    loop {
        let mut event = [0; EVENT];
        match device.read(&mut event) {
            Ok(EVENT) if is_press(&event) => run(name, command),
            Ok(EVENT) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return Some(name.to_owned()),
        }
    }
}

/// Whether the event is that of a power key being pressed.
fn is_press(event: &[u8; EVENT]) -> bool {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event;
    u16::from_ne_bytes([t0, t1]) == KEY
        && u16::from_ne_bytes([c0, c1]) == POWER
        && i32::from_ne_bytes([v0, v1, v2, v3]) == PRESSED
}

/// Runs the command to its end.
fn run(name: &OsStr, command: &[&OsStr]) {
    let _ =
        writeln!(std::io::stdout(), "dinit-when: the power key of {} was pressed", name.to_string_lossy());
    let [program, arguments @ ..] = command else { return };
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => {}
        Ok(status) => complain(&format!("`{}` ended with {status}", program.to_string_lossy())),
        Err(error) => complain(&format!("cannot execute `{}`: {error}", program.to_string_lossy())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> [u8; EVENT] {
        let mut event = [0xab; EVENT];
        event[16..18].copy_from_slice(&kind.to_ne_bytes());
        event[18..20].copy_from_slice(&code.to_ne_bytes());
        event[20..].copy_from_slice(&value.to_ne_bytes());
        event
    }

    #[test]
    fn only_a_power_key_that_goes_down_is_a_press() {
        assert!(is_press(&event(1, 116, 1)));
        assert!(!is_press(&event(1, 116, 0)), "let go");
        assert!(!is_press(&event(1, 116, 2)), "repeated");
        assert!(!is_press(&event(1, 30, 1)), "another key");
        assert!(!is_press(&event(4, 116, 1)), "no key");
        assert!(!is_press(&event(0, 0, 0)), "end of a report");
    }
}
