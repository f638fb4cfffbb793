//! Whether KVM can be trusted here: tried once with the kernel in question, then remembered.
//!
//! `/dev/kvm` may be there and yet hang an ordinary kernel, so its presence proves nothing. The probe boots the
//! kernel with no root: a machine that works reaches the kernel's complaint about that within seconds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::config::{Accelerator, Config};
use crate::error::{Error, Failure};
use crate::machine::Machine;
use crate::program::{Program, Version};

const DEVICE: &str = "/dev/kvm";

/// How long a kernel under KVM may say nothing on its way to the end of its own start, which is a second where it
/// works. Like every silence it is counted without what a busy host takes.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// How long it may take in all: a host that needs longer proves nothing about KVM.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// What the kernel prints when it has started fully and finds no root.
const KERNEL_STARTED: &str = "Unable to mount root fs";

/// An accelerator, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Why, as a clause: `KVM does not start this kernel`.
    pub reason: String,
}

/// Chooses KVM where it works with this kernel, else TCG.
///
/// The verdict of a probe is kept in the file `verdicts`, one line for each host kernel, QEMU version and
/// `kernel_digest`, so that it takes time once; a file that cannot be read or written only costs that time again. A
/// probe that proves nothing is not remembered. Setting `cancelled` ends the probe.
///
/// # Errors
/// QEMU cannot be run at all, or the probe was interrupted.
pub fn choose_accelerator(
    program: &Program,
    version: Version,
    kernel: &Path,
    kernel_digest: &str,
    verdicts: &Path,
    cancelled: &Arc<AtomicBool>,
) -> Result<Choice, Error> {
    let tcg = |reason: String| Ok(Choice { accelerator: Accelerator::Tcg, reason });
    if let Err(error) = OpenOptions::new().read(true).write(true).open(DEVICE) {
        return tcg(match error.kind() {
            io::ErrorKind::NotFound => format!("there is no `{DEVICE}`"),
            io::ErrorKind::PermissionDenied => format!("this user may not use `{DEVICE}`"),
            _ => format!("`{DEVICE}` cannot be opened: {error}"),
        });
    }
    let key = verdict_key(version, kernel_digest);
    let known = fs::read_to_string(verdicts).unwrap_or_default();
    let works = match remembered(&known, &key) {
        Some(works) => works,
        None => match probe(program, version, kernel, cancelled)? {
            Verdict::Unclear(why) => return tcg(format!("KVM could not be tried: {why}")),
            clear => {
                let works = clear == Verdict::Works;
                // Not being able to remember is no reason to fail.
                let _ = remember(verdicts, &key, works);
                works
            }
        },
    };
    if works {
        return Ok(Choice { accelerator: Accelerator::Kvm, reason: "KVM starts this kernel".to_owned() });
    }
    tcg(format!("`{DEVICE}` is there, but does not start this kernel"))
}

fn verdict_key(version: Version, kernel_digest: &str) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} qemu-{version} {kernel_digest}", host.trim())
}

/// Looks a verdict up; the last one for a key counts.
fn remembered(known: &str, key: &str) -> Option<bool> {
    known.lines().rev().find_map(|line| match line.strip_prefix(key)? {
        " works" => Some(true),
        " fails" => Some(false),
        _ => None,
    })
}

fn remember(verdicts: &Path, key: &str, works: bool) -> io::Result<()> {
    if let Some(folder) = verdicts.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file: File = OpenOptions::new().create(true).append(true).open(verdicts)?;
    writeln!(file, "{key} {}", if works { "works" } else { "fails" })
}

/// What a probe has shown.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Works,
    Fails,
    /// Nothing, and why.
    Unclear(String),
}

/// Boots the kernel under KVM without anything else.
fn probe(
    program: &Program,
    version: Version,
    kernel: &Path,
    cancelled: &Arc<AtomicBool>,
) -> Result<Verdict, Error> {
    let mut config = Config::new(program.clone(), version, Accelerator::Kvm, kernel.to_owned());
    config.command_line = "panic=-1".to_owned();
    config.processors = 1;
    config.failures = Vec::new();
    config.silence = Some(SILENCE_LIMIT);
    config.cancelled = Arc::clone(cancelled);
    let seen = Machine::start(&config).and_then(|mut machine| machine.expect(KERNEL_STARTED, PROBE_LIMIT));
    seen.map_or_else(judged, |_| Ok(Verdict::Works))
}

/// What it means that the kernel was not seen to start.
fn judged(error: Error) -> Result<Verdict, Error> {
    match &*error.failure {
        Failure::Silent { .. } => Ok(Verdict::Fails),
        // The guest reset itself before its kernel got anywhere.
        Failure::Ended { exit } if exit.is_clean() => Ok(Verdict::Fails),
        // QEMU found that this KVM does not do what it relies on.
        Failure::Ended { exit } if exit.status.signal() == Some(Signal::SIGABRT as i32) => Ok(Verdict::Fails),
        // QEMU's own complaint may be about something that passes, and it comes at once.
        Failure::Ended { .. } | Failure::NotSeen { .. } => Ok(Verdict::Unclear(error.to_string())),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Exit;
    use std::process::ExitStatus;

    fn judged_end(status: i32, errors: &str) -> Verdict {
        let status = ExitStatus::from_raw(status);
        let exit = Exit { status, errors: errors.to_owned(), processor_time: Duration::ZERO };
        judged(Failure::Ended { exit }.into()).expect("an end is no error")
    }

    #[test]
    fn only_a_probe_that_proves_something_gives_a_clear_verdict() {
        let silent = Failure::Silent { duration: SILENCE_LIMIT };
        assert_eq!(judged(silent.into()).expect("no error"), Verdict::Fails);
        assert_eq!(judged_end(0, ""), Verdict::Fails);
        assert_eq!(judged_end(Signal::SIGABRT as i32, "kvm.c:3877: Assertion failed"), Verdict::Fails);
        let killed = Verdict::Unclear("QEMU was killed by signal 2".to_owned());
        assert_eq!(judged_end(2, ""), killed);
        let refused = "QEMU ended with status 1: failed to initialize kvm: Device or resource busy";
        let busy = "qemu: x\nfailed to initialize kvm: Device or resource busy\n";
        assert_eq!(judged_end(1 << 8, busy), Verdict::Unclear(refused.to_owned()));
        let slow = Failure::NotSeen { text: KERNEL_STARTED.to_owned(), limit: PROBE_LIMIT };
        assert!(matches!(judged(slow.into()), Ok(Verdict::Unclear(_))));
        let stopped = judged(Failure::Interrupted.into()).expect_err("the user wants to stop");
        assert!(matches!(*stopped.failure, Failure::Interrupted));
    }

    #[test]
    fn a_verdict_is_remembered_for_its_key_alone_and_the_last_one_counts() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("cache/verdicts");
        remember(&file, "6.1 qemu-10.0 abc", false).expect("writable");
        remember(&file, "6.1 qemu-10.0 abcd", true).expect("writable");
        remember(&file, "6.1 qemu-10.0 x", false).expect("writable");
        remember(&file, "6.1 qemu-10.0 x", true).expect("writable");
        let known = fs::read_to_string(&file).expect("readable");
        assert_eq!(remembered(&known, "6.1 qemu-10.0 abc"), Some(false));
        assert_eq!(remembered(&known, "6.1 qemu-10.0 abcd"), Some(true));
        assert_eq!(remembered(&known, "6.1 qemu-10.0 x"), Some(true));
        assert_eq!(remembered(&known, "6.1 qemu-10.0 ab"), None);
    }
}
