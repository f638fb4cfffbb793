//! What happens when no service is active any more.

use crate::daemon::Daemon;
use crate::options::{Level, without_readiness};
use crate::paths::{DINIT, SHUTDOWN};
use dinit_graph::ShutdownKind;
use dinit_sys::system::{self, c_string};
use dinit_sys::{Errno, process, signal};
use std::ffi::CString;

/// How things stand at the end of a turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The loop goes on.
    Goes,
    /// Something was done about it; look again.
    Again,
    /// The daemon ends.
    Over(Finish),
}

/// How the daemon ends when it does not replace itself by another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// With status 0.
    Exit,
    /// Killed by its own interrupt signal, which tells its parent to start it again.
    DieByInterrupt,
}

impl Daemon {
    /// Sees whether all services have stopped, and does what then has to be done.
    pub(crate) fn progress(&mut self) -> Progress {
        let shutdown = self.graph.shutdown();
        if self.prompt.is_some() {
            if shutdown.is_none() {
                return Progress::Goes;
            }
            self.leave_prompt();
        }
        if self.graph.active_count() > 0 || self.is_stranded {
            return Progress::Goes;
        }
        if !self.settings.options.manager {
            return self.end_of_instance(shutdown);
        }
        match shutdown {
            Some(ShutdownKind::Remain) => return Progress::Goes,
            Some(kind) => {
                self.say_last_words(match kind {
                    ShutdownKind::Reboot => " Will reboot.",
                    ShutdownKind::SoftReboot => " Will soft-reboot.",
                    ShutdownKind::PowerOff => " Will power down.",
                    ShutdownKind::Kexec => " Will kexec.",
                    ShutdownKind::Halt | ShutdownKind::Remain => " Will halt.",
                });
                self.end_system(kind);
            }
            None => {
                self.say_last_words(" Will handle boot failure.");
                self.handle_boot_failure();
            }
        }
        Progress::Again
    }

    /// Replaces the system manager by the shutdown program without stopping anything.
    pub(crate) fn shut_down_at_once(&mut self) {
        self.close_control_socket();
        let error = self.execute(SHUTDOWN, &["--system"]);
        self.log.message(Level::Error, format!("Error executing {SHUTDOWN}: {error}"));
        system::sync();
    }

    fn end_of_instance(&mut self, shutdown: Option<ShutdownKind>) -> Progress {
        let finish = match shutdown {
            Some(ShutdownKind::Remain) => return Progress::Goes,
            Some(ShutdownKind::Reboot) => Finish::DieByInterrupt,
            None
            | Some(
                ShutdownKind::Halt | ShutdownKind::PowerOff | ShutdownKind::SoftReboot | ShutdownKind::Kexec,
            ) => Finish::Exit,
        };
        self.log.flush();
        self.close_control_socket();
        Progress::Over(finish)
    }

    fn say_last_words(&mut self, what_next: &str) {
        self.log.message(Level::Notice, format!("No more active services.{what_next}"));
        self.log.flush();
        self.close_control_socket();
    }

    /// Hands the machine over to the shutdown program; if that cannot be executed, the loop goes on for ever.
    fn end_system(&mut self, kind: ShutdownKind) {
        if kind == ShutdownKind::SoftReboot {
            self.start_anew();
        }
        let argument = match kind {
            ShutdownKind::Halt => "-h",
            ShutdownKind::Reboot | ShutdownKind::SoftReboot => "-r",
            ShutdownKind::Kexec => "-k",
            ShutdownKind::PowerOff | ShutdownKind::Remain => "-p",
        };
        let error = self.execute(SHUTDOWN, &["--system", argument]);
        self.log.message(Level::Error, format!("Error executing {SHUTDOWN}: {error}"));
        self.is_stranded = true;
    }

    /// Ends all processes and starts this program again; comes back only if it cannot be executed.
    fn start_anew(&mut self) {
        system::sync();
        self.log.leave_console();
        // The shutdown program is not one of our services; its end is awaited here, and nothing else matters now.
        match std::process::Command::new(SHUTDOWN).args(["--system", "-s"]).status() {
            Ok(status) if status.success() => {}
            Ok(_) => self.log.message(Level::Error, "Execution of shutdown returned non-zero status"),
            Err(error) => {
                let text = dinit_sys::error_text(&error);
                self.log.message(Level::Error, format!("Error executing {SHUTDOWN}: {text}"));
            }
        }
        self.log.write_out();
        let arguments = without_readiness(&self.settings.arguments);
        let _ = signal::set_blocked(self.settings.original_mask);
        let error = execute(DINIT, &arguments);
        let _ = signal::set_blocked(dinit_sys::signal::Mask::ALL);
        self.log.start_console();
        self.log.message(Level::Error, format!("Error executing {DINIT}: {error}"));
        self.log.message(Level::Error, "Could not soft-reboot. Will attempt reboot.");
    }

    /// Replaces this process; comes back only with the reason why not.
    fn execute(&mut self, program: &str, arguments: &[&str]) -> Errno {
        self.log.leave_console();
        let words: Vec<Vec<u8>> = std::iter::once(program)
            .chain(arguments.iter().copied())
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let error = execute(program, &words);
        self.log.start_console();
        error
    }
}

/// Replaces this process; comes back only with the reason why not.
fn execute(program: &str, words: &[Vec<u8>]) -> Errno {
    let Ok(program) = c_string(program.as_bytes()) else { return Errno(libc::EINVAL) };
    let words: Result<Vec<CString>, Errno> = words.iter().map(|word| c_string(word)).collect();
    match words {
        Ok(words) => process::replace_self(&program, &words),
        Err(error) => error,
    }
}
