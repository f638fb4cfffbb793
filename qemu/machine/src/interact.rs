//! A person at the console: raw terminal, bytes both ways, and an escape key.
//!
//! The pump is ours, not QEMU's, so that the end of the guest is seen and the terminal restored on every way out.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::machine::{Interaction, type_in};
use crate::process::{Process, Shared};

/// The byte that leaves an interactive session: Control and `]`, as in telnet.
pub const ESCAPE_KEY: u8 = 0x1d;

/// How to say [`ESCAPE_KEY`] to a person.
pub const ESCAPE_KEY_NAME: &str = "Ctrl-]";

/// A terminal in raw mode, restored when dropped.
struct Raw<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Raw<'a> {
    fn enter(terminal: &'a File) -> io::Result<Raw<'a>> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(Raw { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring. Not behind what is still to be shown: the person may have
        // stopped the terminal, and then it never is.
        let _ = tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
    }
}

pub(crate) fn run(
    process: &mut Process,
    shared: &Shared,
    keyboard: &File,
    screen: &mut impl Write,
) -> io::Result<Interaction> {
    let _raw = if keyboard.is_terminal() { Some(Raw::enter(keyboard)?) } else { None };
    let mut shown = 0;
    let mut listening = true;
    loop {
        drain(&process.wake);
        shown = show(shared, shown, screen)?;
        // On a line of its own, so that the lock is free again when the rest is shown.
        let exit = shared.lock().exit.clone();
        if let Some(exit) = exit {
            show(shared, shown, screen)?;
            return Ok(Interaction::Ended(exit));
        }
        if wait(process, keyboard, listening)? {
            match take_keys(&mut &*keyboard)? {
                Keys::None => listening = false,
                Keys::Typed(keys) => {
                    // A guest that does not read, or is gone, loses what is typed; its end is seen above.
                    let _ = type_in(&mut process.input, &keys);
                }
                Keys::Escape(keys) => {
                    let _ = type_in(&mut process.input, &keys);
                    return Ok(Interaction::Escaped);
                }
            }
        }
    }
}

/// How somebody's use of a serial port came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// The machine has gone.
    Ended,
    /// The person pressed the escape key.
    Escaped,
    /// The flag was set.
    Interrupted,
}

/// Lets a person use another serial port of a machine, see [`Config::second_serial`](crate::Config::second_serial):
/// bytes go both ways until the machine goes, the person presses [`ESCAPE_KEY`], or `cancelled` is set by a signal.
///
/// A terminal is put into raw mode and restored on every way out. With a keyboard that is no terminal, the end of its
/// input leaves the port being shown.
///
/// # Errors
/// Keyboard, screen or port cannot be used.
pub fn attach(
    port: &UnixStream,
    keyboard: &File,
    screen: &mut impl Write,
    cancelled: &AtomicBool,
) -> io::Result<Attached> {
    let _raw = if keyboard.is_terminal() { Some(Raw::enter(keyboard)?) } else { None };
    let mut listening = true;
    let mut buffer = [0; 8192];
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(Attached::Interrupted);
        }
        let mut waiting = vec![PollFd::new(port.as_fd(), PollFlags::POLLIN)];
        if listening {
            waiting.push(PollFd::new(keyboard.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| waiting.get(at).and_then(PollFd::any).unwrap_or(false);
        if is_ready(0) {
            match (&mut &*port).read(&mut buffer) {
                Ok(0) => return Ok(Attached::Ended),
                Ok(count) => {
                    screen.write_all(&buffer[..count])?;
                    screen.flush()?;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Attached::Ended),
                Err(error) => return Err(error),
            }
        }
        if is_ready(1) {
            match take_keys(&mut &*keyboard)? {
                Keys::None => listening = false,
                Keys::Typed(keys) => type_in(&mut &*port, &keys)?,
                Keys::Escape(keys) => {
                    type_in(&mut &*port, &keys)?;
                    return Ok(Attached::Escaped);
                }
            }
        }
    }
}

/// What one reading of the keyboard gave.
#[derive(Debug, PartialEq, Eq)]
enum Keys {
    /// The input has ended.
    None,
    Typed(Vec<u8>),
    /// The escape key, behind these.
    Escape(Vec<u8>),
}

fn take_keys(keyboard: &mut impl Read) -> io::Result<Keys> {
    let mut buffer = [0; 1024];
    let count = match keyboard.read(&mut buffer) {
        Ok(0) => return Ok(Keys::None),
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Keys::Typed(Vec::new())),
        // What a terminal says that has been hung up.
        Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => return Ok(Keys::None),
        Err(error) => return Err(error),
    };
    let keys = &buffer[..count];
    Ok(match keys.iter().position(|&key| key == ESCAPE_KEY) {
        Some(at) => Keys::Escape(keys[..at].to_vec()),
        None => Keys::Typed(keys.to_vec()),
    })
}

/// Shows what was printed from a position on, and gives the new position.
fn show(shared: &Shared, position: u64, screen: &mut impl Write) -> io::Result<u64> {
    let (text, end) = {
        let state = shared.lock();
        (state.transcript.from(position).to_vec(), state.transcript.end())
    };
    if !text.is_empty() {
        screen.write_all(&text)?;
        screen.flush()?;
    }
    Ok(end)
}

/// Waits for the console or the keyboard; says whether there is something to read from the latter.
fn wait(process: &Process, keyboard: &File, listening: bool) -> io::Result<bool> {
    let wake = PollFd::new(process.wake.as_fd(), PollFlags::POLLIN);
    let mut waiting = vec![wake];
    if listening {
        waiting.push(PollFd::new(keyboard.as_fd(), PollFlags::POLLIN));
    }
    // The end of the output comes a moment before the end is recorded, so do not spin on it.
    match poll(&mut waiting, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ended = waiting[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP));
    let typed = waiting.get(1).and_then(PollFd::revents).is_some_and(|events| !events.is_empty());
    if ended && !typed {
        std::thread::yield_now();
    }
    Ok(typed)
}

/// Takes the wake-up bytes, however many.
pub(crate) fn drain(mut wake: &UnixStream) {
    let mut buffer = [0; 256];
    // Nothing there, the end, or an error: all mean that there is nothing to drain.
    while matches!(wake.read(&mut buffer), Ok(count) if count > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Guarded, guard};
    use std::sync::Arc;

    #[test]
    fn the_end_of_the_guest_ends_the_session_after_all_it_printed() {
        let shared = Arc::new(Shared::new(Vec::new()));
        let words = ["sh", "-c", "read line; echo heard $line"].map(std::ffi::OsString::from);
        let mut process = Process::spawn(&words, &shared).expect("`sh` can be run");
        let mut keyboard = tempfile::tempfile().expect("temporary file");
        keyboard.write_all(b"you\n").expect("written");
        io::Seek::rewind(&mut keyboard).expect("rewound");
        let mut screen = Vec::new();
        let ended = run(&mut process, &shared, &keyboard, &mut screen).expect("usable");
        assert!(matches!(ended, Interaction::Ended(exit) if exit.is_clean()));
        assert_eq!(screen, b"heard you\n");
    }

    /// A screen that asks for the machine's end as soon as something is shown.
    struct Impatient(Arc<AtomicBool>);

    impl Write for Impatient {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.store(true, Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_interrupted_session_ends_and_leaves_the_terminal_as_it_was() {
        let terminal = nix::pty::openpty(None, None).expect("a pseudo-terminal");
        let keyboard = File::from(terminal.slave);
        let modes = || tcgetattr(&keyboard).expect("a terminal").local_flags;
        let before = modes();
        let shared = Arc::new(Shared::new(Vec::new()));
        let words = ["sh", "-c", "echo up; exec sleep 1000"].map(std::ffi::OsString::from);
        let mut process = Process::spawn(&words, &shared).expect("`sh` can be run");
        let cancelled = Arc::new(AtomicBool::new(false));
        let guarded = Guarded {
            pid: process.pid,
            silence: None,
            cancelled: Arc::clone(&cancelled),
            channels: std::sync::mpsc::channel().1,
        };
        guard(Arc::clone(&shared), guarded);
        let ended = run(&mut process, &shared, &keyboard, &mut Impatient(cancelled)).expect("usable");
        assert!(matches!(ended, Interaction::Ended(exit) if !exit.is_clean()));
        assert!(shared.lock().interrupted);
        assert_eq!(modes(), before);
    }

    /// Uses a port with a keyboard that holds what was typed.
    fn attached(port: &UnixStream, typed: &[u8]) -> (Attached, Vec<u8>) {
        let mut keyboard = tempfile::tempfile().expect("temporary file");
        keyboard.write_all(typed).expect("written");
        io::Seek::rewind(&mut keyboard).expect("rewound");
        let mut screen = Vec::new();
        let end = attach(port, &keyboard, &mut screen, &AtomicBool::new(false)).expect("usable");
        (end, screen)
    }

    #[test]
    fn a_serial_port_is_left_by_the_escape_key() {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        assert_eq!(attached(&ours, b"id\x1dmore").0, Attached::Escaped);
        drop(ours);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).expect("readable");
        assert_eq!(heard, b"id");
    }

    #[test]
    fn a_serial_port_is_shown_until_the_machine_goes() {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        theirs.write_all(b"uid=0").expect("fits the socket");
        drop(theirs);
        assert_eq!(attached(&ours, b""), (Attached::Ended, b"uid=0".to_vec()));
    }

    #[test]
    fn keys_before_the_escape_key_still_reach_the_guest() {
        let keys = |bytes: &[u8]| take_keys(&mut io::Cursor::new(bytes.to_vec())).expect("readable");
        assert_eq!(keys(b"ls\r"), Keys::Typed(b"ls\r".to_vec()));
        assert_eq!(keys(b"ls\x1dmore"), Keys::Escape(b"ls".to_vec()));
        assert_eq!(keys(b""), Keys::None);
    }
}
