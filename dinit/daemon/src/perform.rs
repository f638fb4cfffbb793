//! Carrying out the graph's orders: a short function an arm, and no decisions.
//!
//! What goes wrong with an order comes back to the graph as an event.

use crate::daemon::{Daemon, TimerKey, now};
use crate::launch::Order;
use crate::log;
use crate::options::Level;
use crate::reactor::Source;
use crate::runs::Run;
use crate::{texts, utmp};
use dinit_graph::{
    Daemon as Named, Effect, Event, ExitStatus, Milestone, Notice, Recipient, RunId, ServiceId, Signal,
    Status, StopReason,
};
use dinit_load::Context;
use dinit_sys::poll::Interest;
use dinit_sys::process::{self, Ended, Kinship, Pid};
use dinit_sys::{descriptor, error_text, terminal};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// The time between TERM and KILL to all processes.
const KILL_ALL_PAUSE: Duration = Duration::from_secs(1);

impl Daemon {
    /// Carries out one order.
    pub(crate) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { service, role, run, console, relaunch: _ } => {
                self.launch(Order { service, role, run, console });
            }
            Effect::Signal { run, signal, to } => self.send_signal(run, signal, to),
            Effect::ReadPidFile { service, run, daemon } => {
                let named = self.read_pid_file(service, run, daemon);
                self.events.push_back(Event::PidFileRead { run, daemon: named });
            }
            Effect::EnableReadiness { run } => self.enable_readiness(run),
            Effect::ForgetRun { run } => self.runs.forget(run),
            Effect::ArmTimer { service, timer, kind: _, deadline } => {
                self.timers.arm(TimerKey::Graph(service, timer), deadline.0);
            }
            Effect::CancelTimer { service, timer } => self.timers.cancel(&TimerKey::Graph(service, timer)),
            Effect::ClaimConsole => {
                self.log.yield_console();
                self.report_yielded_console();
            }
            Effect::ReturnConsole => self.log.resume_console(now().0),
            Effect::RetakeTerminal => {
                let _ = terminal::take_foreground(descriptor::standard(0));
            }
            Effect::KillAll { service } => self.kill_all(service),
            Effect::CloseSocket { service } => {
                self.sockets.remove(&service);
            }
            Effect::RootWritable => self.root_is_writable(),
            Effect::LogAvailable => self.open_main_log(),
            Effect::Chain { service } => self.chain(service),
            Effect::Announce { service, milestone, status } => self.announce(service, milestone, &status),
            Effect::Note { service, notice } => self.note(service, notice),
        }
    }

    /// Tells the graph that logging has let go of the console, once it has.
    pub(crate) fn report_yielded_console(&mut self) {
        if self.log.has_yielded(now().0) {
            self.events.push_back(Event::ConsoleYielded);
        }
    }

    /// Ends the second between TERM and KILL.
    pub(crate) fn finish_kill_all(&mut self, service: ServiceId) {
        let _ = process::send_signal_to_all(libc::SIGKILL);
        self.feed(Event::AllKilled { service });
    }

    fn kill_all(&mut self, service: ServiceId) {
        self.log.message(Level::Notice, "Sending TERM/KILL to all processes...\n");
        let _ = process::send_signal_to_all(libc::SIGTERM);
        self.timers.arm(TimerKey::KillAll(service), now().after(KILL_ALL_PAUSE).0);
    }

    fn send_signal(&mut self, run: RunId, signal: Signal, to: Recipient) {
        let Some(pid) = self.runs.living(run) else { return };
        let _ = match to {
            Recipient::Process => process::send_signal(pid, signal.0),
            Recipient::Group => process::send_signal_to_group(pid, signal.0),
        };
    }

    fn enable_readiness(&mut self, run: RunId) {
        let Some(found) = self.runs.get(run) else { return };
        let Some(pipe) = &found.readiness else { return };
        if let Err(error) = self.reactor.add(pipe, Source::Readiness(found.number), Interest::READ) {
            let name = self.name_of(found.service);
            let text =
                [&name, b": can't add notification watch: ".as_slice(), error.text().as_bytes()].concat();
            self.log.message(Level::Error, text);
            self.events.push_back(Event::ReadinessClosed { run });
        }
    }

    /// Finds out which process a pid file names, and enters it as the daemon's run.
    fn read_pid_file(&mut self, service: ServiceId, launcher: RunId, daemon: RunId) -> Named {
        let name = self.name_of(service);
        let path = self.execs.launchable(service).and_then(|exec| exec.pid_file.clone()).unwrap_or_default();
        let pid = match pid_in(&path) {
            Ok(pid) => pid,
            Err(text) => {
                self.log.message(Level::Error, [&name, b": ".as_slice(), text.as_bytes()].concat());
                return Named::Unusable;
            }
        };
        let collected = self.adopted.iter().find(|ended| ended.pid == pid).copied();
        match (process::kinship(pid), collected) {
            (Kinship::Running, _) => {
                self.enter_daemon(service, daemon, launcher, pid, true);
                Named::Supervised
            }
            // It has ended, and will be collected with the rest; until then it counts as running.
            (Kinship::Ended(_), _) => {
                self.enter_daemon(service, daemon, launcher, pid, true);
                Named::Supervised
            }
            (Kinship::Nobody, Some(ended)) => Named::Ended(exit_status(ended)),
            (Kinship::Stranger, _) if pid != process::own_pid() => {
                let text = format!(": unable to supervise process with pid {pid}");
                self.log.message(Level::Warn, [&name, text.as_bytes()].concat());
                self.enter_daemon(service, daemon, launcher, pid, false);
                Named::Unsupervised
            }
            (Kinship::Stranger | Kinship::Nobody, _) => {
                let text = format!(": pid read from pidfile ({pid}) is not valid");
                self.log.message(Level::Error, [&name, text.as_bytes()].concat());
                Named::Unusable
            }
        }
    }

    fn enter_daemon(&mut self, service: ServiceId, id: RunId, launcher: RunId, pid: Pid, is_child: bool) {
        let role = self.runs.get(launcher).map_or(dinit_graph::Role::Launcher, |run| run.role);
        let run = Run {
            service,
            role,
            pid,
            is_alive: true,
            status: None,
            readiness: None,
            is_ready: false,
            number: self.reactor.fresh_number(),
            login: None,
        };
        if is_child {
            self.runs.insert(id, run);
        } else {
            self.runs.insert_unsupervised(id, run);
        }
    }

    fn root_is_writable(&mut self) {
        self.reopen_control_socket();
        if self.log.is_to_file() {
            self.open_main_log();
        }
        if !self.boot_is_logged {
            self.boot_is_logged = utmp::log_boot().is_ok();
        }
    }

    /// Opens the main log if it is not open, and says why if that fails.
    pub(crate) fn open_main_log(&mut self) {
        if let Err(text) = self.log.open_main() {
            self.log.message(Level::Error, text);
        }
    }

    fn chain(&mut self, service: ServiceId) {
        let Some(target) = self.execs.chain_to(service) else { return };
        if let Ok(service) = self.load(&target, Context::Chain(&target)) {
            self.events.push_back(Event::ChainResolved { service });
        }
    }

    fn announce(&mut self, service: ServiceId, milestone: Milestone, status: &Status) {
        let block = self.status_block(service, status);
        self.control.announce(service, texts::event(milestone), &block);
        let name = self.name_of(service);
        let had_failed = match milestone {
            Milestone::FailedStart => !self.failed_starts.insert(service),
            Milestone::Started | Milestone::Stopped | Milestone::StartCancelled => {
                self.failed_starts.remove(&service)
            }
            Milestone::StopCancelled => false,
        };
        let shown = match milestone {
            Milestone::Started => log::Milestone::Started,
            Milestone::Stopped if !had_failed => log::Milestone::Stopped,
            Milestone::FailedStart if status.stop_reason == StopReason::DependencyFailed => {
                log::Milestone::DependencyFailed
            }
            Milestone::FailedStart => log::Milestone::Failed,
            Milestone::Stopped | Milestone::StartCancelled | Milestone::StopCancelled => return,
        };
        self.log.milestone(shown, &name);
    }

    fn note(&mut self, service: ServiceId, notice: Notice) {
        let name = self.name_of(service);
        let run = match notice {
            Notice::RestartingTooQuickly => None,
            Notice::StartTimedOut { run }
            | Notice::StartInterrupted { run }
            | Notice::StopTimedOut { run }
            | Notice::StopCommandTimedOut { run }
            | Notice::Ended { run, .. } => self.runs.get(run),
        };
        let pid = run.map_or(-1, |run| run.pid);
        let (level, text) = texts::notice(&name, notice, pid);
        self.log.message(level, text);
        if let Notice::StartTimedOut { run } = notice {
            let (level, text) = texts::notice(&name, Notice::StartInterrupted { run }, pid);
            self.log.message(level, text);
        }
    }
}

/// Gives the graph's word for how a child ended.
pub(crate) fn exit_status(ended: Ended) -> ExitStatus {
    match ended.code {
        libc::CLD_KILLED => ExitStatus::Killed(Signal(ended.status)),
        libc::CLD_DUMPED => ExitStatus::Dumped(Signal(ended.status)),
        _ => ExitStatus::Exited(ended.status),
    }
}

/// Reads the process id at the beginning of a file.
///
/// # Errors
/// The text for the log, without the service's name.
fn pid_in(path: &[u8]) -> Result<Pid, String> {
    const LENGTH: u64 = 20;
    let unreadable = |error: &std::io::Error| format!("read pid file: {}", error_text(error));
    let file = std::fs::OpenOptions::new()
        .read(true)
        // A pipe in place of the file must not make us wait.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(OsStr::from_bytes(path))
        .map_err(|error| unreadable(&error))?;
    let mut text = Vec::new();
    file.take(LENGTH)
        .read_to_end(&mut text)
        .map_err(|error| format!("could not read from pidfile; {}", error_text(&error)))?;
    match leading_number(&text) {
        Some(pid) if pid > 0 => Ok(pid),
        number => Err(format!("pid read from pidfile ({}) is not valid", number.unwrap_or(-1))),
    }
}

/// Reads a number in decimal, or with the prefixes of C, and ignores what follows.
fn leading_number(text: &[u8]) -> Option<Pid> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let text = text.get(start..)?;
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (text.get(2..)?, 16),
        [b'0', ..] => (text, 8),
        _ => (text, 10),
    };
    let count = digits.iter().take_while(|byte| (**byte as char).is_digit(radix)).count();
    let digits = std::str::from_utf8(digits.get(..count)?).ok()?;
    Pid::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_at_the_beginning_of_a_pid_file_counts() {
        assert_eq!(leading_number(b" 123\n"), Some(123));
        assert_eq!(leading_number(b"0x1fz"), Some(31));
        assert_eq!(leading_number(b"010"), Some(8));
        assert_eq!(leading_number(b"12 34"), Some(12));
        for wrong in [&b"abc"[..], b"", b"  ", b"-5", b"99999999999"] {
            assert_eq!(leading_number(wrong), None, "{wrong:?}");
        }
        assert_eq!(leading_number(b"0"), Some(0));
    }
}
