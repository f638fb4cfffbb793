//! Processes other than by launching them: collecting ends, signals, groups, and replacing this one.

use crate::{Errno, last};
use std::ffi::CString;
use std::mem::MaybeUninit;

/// A process id.
pub type Pid = i32;

/// The end of a child, as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which child.
    pub pid: Pid,
    /// How: `CLD_EXITED` (1), `CLD_KILLED` (2) or `CLD_DUMPED` (3).
    pub code: i32,
    /// The exit code, or the number of the signal (any, real-time ones included).
    pub status: i32,
}

/// What is known of a process id that might name a child of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// It is our child and runs.
    Running,
    /// It is our child and has ended; its end has not been collected.
    Ended(Ended),
    /// A process of this id exists, but it is not our child.
    Stranger,
    /// No such process exists.
    Nobody,
}

/// Collects one child that has ended, adopted ones included; nothing if there is none.
pub fn reap() -> Result<Option<Ended>, Errno> {
    match wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG) {
        Err(Errno(libc::ECHILD)) => Ok(None),
        answer => answer,
    }
}

/// Says whether this process has no child at all, neither one that runs nor one whose end is not collected.
///
/// To process 1 that means that it is alone in its namespace, but for what was brought in from outside.
pub fn is_childless() -> bool {
    wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) == Err(Errno(libc::ECHILD))
}

/// Finds out what a process id is to us, without collecting anything.
pub fn kinship(pid: Pid) -> Kinship {
    if pid <= 0 {
        return Kinship::Nobody;
    }
    match wait(libc::P_PID, pid as libc::id_t, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
        Ok(Some(ended)) => Kinship::Ended(ended),
        Ok(None) => Kinship::Running,
        Err(_) => match send_signal(pid, 0) {
            Ok(()) | Err(Errno(libc::EPERM)) => Kinship::Stranger,
            Err(_) => Kinship::Nobody,
        },
    }
}

/// Sends a signal (0 only tests) to one process.
pub fn send_signal(pid: Pid, signal: i32) -> Result<(), Errno> {
    if pid <= 0 {
        return Err(Errno(libc::ESRCH));
    }
    kill(pid, signal)
}

/// Sends a signal to the process group that `pid` belongs to, or to the group `pid` if that cannot be found out.
///
/// Never to our own group, nor to group 0 or 1: then only to the process itself.
pub fn send_signal_to_group(pid: Pid, signal: i32) -> Result<(), Errno> {
    if pid <= 1 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: getpgid only asks.
    let found = unsafe { libc::getpgid(pid) };
    let group = if found < 0 { pid } else { found };
    // SAFETY: getpgrp only asks.
    let own = unsafe { libc::getpgrp() };
    if group <= 1 || group == own { kill(pid, signal) } else { kill(-group, signal) }
}

/// Sends a signal to every process that this one may signal, except itself and process 1.
pub fn send_signal_to_all(signal: i32) -> Result<(), Errno> {
    kill(-1, signal)
}

/// Makes this process the one that adopts orphaned descendants.
pub fn become_subreaper() -> Result<(), Errno> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Raises our soft limit of open descriptors to the hard one; gives the soft limit before, if it was lower.
pub fn raise_open_files() -> Result<Option<u64>, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is writable and of the type that the call fills in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(last());
    }
    let before = limit.rlim_cur;
    if before >= limit.rlim_max {
        return Ok(None);
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the limit outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(last());
    }
    Ok(Some(before))
}

/// Replaces this process; comes back only with the reason why that was not possible.
///
/// The environment is the process environment, as `execv` does it; `program` is a path.
pub fn replace_self(program: &CString, arguments: &[CString]) -> Errno {
    match nix::unistd::execv(program, arguments) {
        Ok(never) => match never {},
        Err(error) => error.into(),
    }
}

/// Gives the id of this process.
pub fn own_pid() -> Pid {
    nix::unistd::getpid().as_raw()
}

/// Gives the real user id of this process.
pub fn real_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// Gives the effective user id of this process.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Gives the real group id of this process.
pub fn real_gid() -> u32 {
    nix::unistd::getgid().as_raw()
}

fn kill(target: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: kill has no memory contract.
    if unsafe { libc::kill(target, signal) } == 0 { Ok(()) } else { Err(last()) }
}

fn wait(kind: libc::idtype_t, id: libc::id_t, options: i32) -> Result<Option<Ended>, Errno> {
    let mut record = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the record is writable and of the type that waitid fills in.
    if unsafe { libc::waitid(kind, id, record.as_mut_ptr(), options) } != 0 {
        return Err(last());
    }
    // SAFETY: it was zeroed, and all bit patterns are valid for this plain C structure.
    let record = unsafe { record.assume_init() };
    // SAFETY: waitid fills in the fields of a child's end, or leaves them zero.
    let pid = unsafe { record.si_pid() };
    // SAFETY: as for the process id.
    let status = unsafe { record.si_status() };
    Ok((pid != 0).then_some(Ended { pid, code: record.si_code, status }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ourselves_is_a_stranger_and_an_impossible_id_is_nobody() {
        assert_eq!(kinship(own_pid()), Kinship::Stranger);
        assert_eq!(kinship(0), Kinship::Nobody);
        assert_eq!(kinship(i32::MAX), Kinship::Nobody);
    }

    #[test]
    fn a_child_is_one_until_its_end_is_collected() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        // WNOWAIT leaves it to be collected.
        wait(libc::P_PID, child.id() as libc::id_t, libc::WEXITED | libc::WNOWAIT).unwrap();
        assert!(!is_childless());
        child.wait().unwrap();
    }

    #[test]
    fn a_running_child_is_recognised_and_its_end_is_seen_without_collecting_it() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id() as Pid;
        assert_eq!(kinship(pid), Kinship::Running);
        // A real-time signal, which `nix` could not report.
        let signal = libc::SIGRTMIN() + 5;
        send_signal(pid, signal).unwrap();
        let expected = Ended { pid, code: libc::CLD_KILLED, status: signal };
        // WNOWAIT leaves it to be collected, so waiting without WNOHANG here is bounded by the child's death.
        let seen = wait(libc::P_PID, pid as libc::id_t, libc::WEXITED | libc::WNOWAIT).unwrap();
        assert_eq!(seen, Some(expected));
        assert_eq!(kinship(pid), Kinship::Ended(expected));
        child.wait().unwrap();
    }
}
