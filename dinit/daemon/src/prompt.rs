//! The question on the console when all services have stopped and nobody asked for that.

use crate::daemon::Daemon;
use crate::options::Level;
use crate::reactor::Source;
use dinit_graph::{Request, ShutdownKind};
use dinit_load::Context;
use dinit_sys::poll::Interest;
use dinit_sys::terminal::{self, LineMode};
use dinit_sys::{Errno, descriptor};
use std::os::fd::BorrowedFd;

const STOPPED: &str = "All services have stopped with no shutdown issued; boot failure?\n";
const CHOOSE: &str = "Choose: (r)eboot, r(e)covery, re(s)tart boot sequence, (p)ower off? ";

/// A question that waits for a key.
#[derive(Debug)]
pub(crate) struct Prompt {
    /// How the terminal was set before.
    before: Option<LineMode>,
}

impl Daemon {
    /// Deals with the end of all services without a shutdown: recovery, or the question.
    pub(crate) fn handle_boot_failure(&mut self) {
        dinit_sys::system::sync();
        // Once only: what fails, or ends, is not to go round for ever, and who leaves it has to get out.
        if self.settings.options.auto_recovery && !std::mem::replace(&mut self.has_recovered, true) {
            match self.start_recovery() {
                Ok(()) if self.graph.active_count() > 0 => return,
                // It was over at once.
                Ok(()) => {}
                Err(text) => {
                    let line = [b"Unable to start recovery service: ".as_slice(), &text].concat();
                    self.log.message(Level::Error, line);
                    self.log.flush();
                }
            }
        }
        self.ask_on_console();
    }

    fn ask_on_console(&mut self) {
        print(STOPPED);
        let stdin = stdin();
        if !terminal::is_terminal(stdin) {
            print("Halting.\n");
            return self.shut_down(ShutdownKind::Halt);
        }
        let _ = terminal::discard_input(stdin);
        let before = terminal::read_single_keys(stdin).ok();
        let _ = descriptor::set_nonblocking(stdin, true);
        self.prompt = Some(Prompt { before });
        print(CHOOSE);
        if self.reactor.add(stdin, Source::Prompt, Interest::READ).is_err() {
            self.leave_prompt();
            self.restart_boot();
        }
    }

    /// Reads the key that was pressed, and does what it stands for.
    pub(crate) fn take_key(&mut self) {
        if self.prompt.is_none() {
            return;
        }
        let mut key = [0u8];
        match descriptor::read(stdin(), &mut key) {
            Err(Errno(libc::EAGAIN | libc::EINTR)) => return,
            // The end of the input, or an error, is taken for `s`.
            Ok(0) | Err(_) => key = [b's'],
            Ok(_) => print("\n"),
        }
        let [key] = key;
        match key.to_ascii_lowercase() {
            b'r' => self.shut_down(ShutdownKind::Reboot),
            b'p' => self.shut_down(ShutdownKind::PowerOff),
            b's' => {}
            b'e' => {
                if self.start_recovery().is_err() {
                    print("Unable to start recovery service.\n");
                    return print(CHOOSE);
                }
            }
            _ => return print(CHOOSE),
        }
        self.leave_prompt();
        if self.graph.active_count() == 0 && self.graph.shutdown().is_none() {
            self.restart_boot();
        }
    }

    /// Takes the question back and sets the terminal as it was.
    pub(crate) fn leave_prompt(&mut self) {
        let Some(prompt) = self.prompt.take() else { return };
        let stdin = stdin();
        self.reactor.remove(stdin);
        let _ = terminal::discard_input(stdin);
        if let Some(before) = &prompt.before {
            let _ = terminal::restore(stdin, before);
        }
        let _ = descriptor::set_nonblocking(stdin, false);
    }

    fn restart_boot(&mut self) {
        self.has_recovered = false;
        match self.load(b"boot", Context::StartUp) {
            Ok(service) => {
                self.ask(Request::Activate { service });
            }
            Err(_) => {
                self.log.message(Level::Error, "Could not start 'boot' service. Will attempt reboot.");
                self.shut_down(ShutdownKind::Reboot);
            }
        }
    }

    /// Starts the service `recovery`.
    ///
    /// # Errors
    /// The text that says why it cannot be loaded.
    fn start_recovery(&mut self) -> Result<(), Vec<u8>> {
        let service = self.load_quietly(b"recovery")?;
        self.ask(Request::Activate { service });
        Ok(())
    }
}

fn stdin() -> BorrowedFd<'static> {
    descriptor::standard(0)
}

/// Writes on the console past the log, waiting at most a moment for it.
fn print(text: &str) {
    const PATIENCE: u64 = 1_000;
    let stdout = descriptor::standard(1);
    let mut rest = text.as_bytes();
    while let [_, ..] = rest {
        match descriptor::write(stdout, rest) {
            Ok(count @ 1..) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno(libc::EINTR)) => {}
            Err(Errno(libc::EAGAIN)) => {
                if !dinit_sys::poll::wait_writable(&[stdout], PATIENCE) {
                    return;
                }
            }
            Ok(0) | Err(_) => return,
        }
    }
}
