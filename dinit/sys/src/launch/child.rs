//! What runs between the making of a child and `exec`.
//!
//! Permitted here: system calls through [`crate::raw`], reading the [`Frame`], writing its cells. Not permitted:
//! allocation, locks, the C library, panics. The child may run in the memory of its parent, beside it.

use super::frame::{self, ACTIVATION, Frame, REPORT_LENGTH};
use super::{Cgroup, Memory, Stage, clone_process};
use crate::process::Pid;
use crate::{Errno, raw};
use std::ffi::CStr;
use std::ptr::NonNull;

type Step = (Stage, fn(&Frame) -> Result<(), Errno>);

/// The steps, in the order in which they are taken.
const STEPS: &[Step] = &[
    (Stage::ArrangeDescriptors, write_login_record),
    (Stage::ArrangeDescriptors, place_input),
    (Stage::ArrangeDescriptors, place_readiness),
    (Stage::ActivationSocket, place_activation_socket),
    (Stage::ControlSocket, keep_control_connection),
    (Stage::ChangeDirectory, change_directory),
    (Stage::StandardDescriptors, close_input),
    (Stage::OpenLogFile, open_log_file),
    (Stage::StandardDescriptors, place_output),
    (Stage::StandardDescriptors, take_place),
    (Stage::ResourceLimits, set_limits),
    (Stage::SetPriority, set_nice),
    (Stage::SetPriority, set_io_priority),
    (Stage::SetPriority, set_oom_score_adjustment),
    (Stage::EnterCgroup, enter_cgroup),
    (Stage::SetIdentity, set_identity),
    (Stage::SetCapabilities, set_capabilities),
    (Stage::SetCapabilities, set_securebits),
    (Stage::SetCapabilities, refuse_new_privileges),
    (Stage::Execute, execute),
];

/// Makes the child, which walks the steps.
pub(super) fn make(frame: NonNull<Frame>, memory: Memory) -> Result<Pid, Errno> {
    clone_process(frame, memory, run)
}

extern "C" fn run(frame: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `clone_process` passes a frame that lives as long as this child does not exec or end.
    let frame = unsafe { &*frame.cast::<Frame>() };
    for &(stage, step) in STEPS {
        if let Err(Errno(number)) = step(frame) {
            let [a, b, c, d] = number.to_ne_bytes();
            let report: [u8; REPORT_LENGTH] = [stage as u8, a, b, c, d];
            let _ = write(frame.report, &report);
            break;
        }
    }
    exit()
}

/// Replaces the older entry of the same id in the file of logged-in users, or adds one; errors do not matter.
fn write_login_record(frame: &Frame) -> Result<(), Errno> {
    let Some(login) = &frame.login_record else { return Ok(()) };
    let (length, pid) = (login.record.len(), own_pid().to_ne_bytes());
    let Some(id) = login.record.get(login.id_at..login.id_at + 4) else { return Ok(()) };
    let Ok(file) = open(&login.path, libc::O_RDWR | libc::O_CLOEXEC, 0) else { return Ok(()) };
    let mut offset = 0;
    let mut buffer = [0u8; 512];
    while let Some(slot) = buffer.get_mut(..length) {
        match call(libc::SYS_pread64, [file, slot.as_mut_ptr() as usize, length, offset, 0, 0]) {
            Ok(read) if read == length => {}
            _ => break,
        }
        let dead_or_init = matches!(slot, [5..=8, 0, ..]);
        if dead_or_init && slot.get(login.id_at..login.id_at + 4) == Some(id) {
            break;
        }
        offset += length;
    }
    let before = login.record.get(..login.pid_at).unwrap_or_default();
    let after = login.record.get(login.pid_at + 4..).unwrap_or_default();
    for (part, at) in [(before, 0), (&pid[..], login.pid_at), (after, login.pid_at + 4)] {
        let _ = call(libc::SYS_pwrite64, [file, part.as_ptr() as usize, part.len(), offset + at, 0, 0]);
    }
    close(file);
    Ok(())
}

fn place_input(frame: &Frame) -> Result<(), Errno> {
    frame.input.map_or(Ok(()), |pipe| duplicate(pipe as usize, 0))
}

fn place_readiness(frame: &Frame) -> Result<(), Errno> {
    match (frame.readiness, frame.readiness_number) {
        (Some(pipe), Some(number)) => duplicate(pipe as usize, number as usize),
        (Some(pipe), None) => keep_open(pipe as usize),
        (None, _) => Ok(()),
    }
}

fn place_activation_socket(frame: &Frame) -> Result<(), Errno> {
    let (Some(socket), Some(text)) = (frame.activation, frame.listen_pid.as_deref()) else { return Ok(()) };
    let mut digits = [0u8; 12];
    let digits = decimal(own_pid(), &mut digits);
    for (cell, digit) in text.iter().skip(b"LISTEN_PID=".len()).zip(digits) {
        cell.set(*digit);
    }
    duplicate(socket as usize, ACTIVATION as usize)
}

fn keep_control_connection(frame: &Frame) -> Result<(), Errno> {
    frame.control.map_or(Ok(()), |control| keep_open(control as usize))
}

fn change_directory(frame: &Frame) -> Result<(), Errno> {
    let Some(directory) = &frame.directory else { return Ok(()) };
    call(libc::SYS_chdir, [directory.as_ptr() as usize, 0, 0, 0, 0, 0]).map(drop)
}

/// Makes standard input `/dev/null` unless something else is there on purpose.
fn close_input(frame: &Frame) -> Result<(), Errno> {
    if frame.console.is_some() || frame.input.is_some() || frame.readiness_number == Some(0) {
        return Ok(());
    }
    let null = open(c"/dev/null", libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    let placed = duplicate(null, 0);
    close(null);
    placed
}

fn open_log_file(frame: &Frame) -> Result<(), Errno> {
    let Some(file) = &frame.log_file else { return Ok(()) };
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC | libc::O_NOCTTY;
    let opened = open(&file.path, flags, 0o600)?;
    frame.opened.set(opened as i32);
    Ok(())
}

/// Gives the log file its owner and mode, and makes standard output and error what they shall be.
fn place_output(frame: &Frame) -> Result<(), Errno> {
    if frame.console.is_some() {
        return Ok(());
    }
    let output = match (&frame.log_file, frame.output) {
        (Some(file), _) => {
            let opened = frame.opened.get() as usize;
            if file.uid.is_some() || file.gid.is_some() {
                let owner = file.uid.unwrap_or(u32::MAX) as usize;
                let group = file.gid.unwrap_or(u32::MAX) as usize;
                call(libc::SYS_fchown, [opened, owner, group, 0, 0, 0])?;
            }
            call(libc::SYS_fchmod, [opened, file.mode as usize, 0, 0, 0, 0])?;
            opened
        }
        (None, Some(pipe)) => pipe as usize,
        (None, None) => open(c"/dev/null", libc::O_WRONLY | libc::O_CLOEXEC, 0)?,
    };
    for standard in [1, 2] {
        if frame.readiness_number != Some(standard) {
            duplicate(output, standard as usize)?;
        }
    }
    Ok(())
}

/// Off the console, starts a session; on it, takes the terminal as far as that is possible.
fn take_place(frame: &Frame) -> Result<(), Errno> {
    let Some(console) = frame.console else {
        return call(libc::SYS_setsid, [0; 6]).map(drop);
    };
    // Where the input is a pipe, the output is the console still.
    let terminal = usize::from(frame.input.is_some());
    let mut session: libc::pid_t = 0;
    let ask = [terminal, libc::TIOCGSID as usize, &raw mut session as usize, 0, 0, 0];
    if call(libc::SYS_ioctl, ask) == Err(Errno(libc::ENOTTY)) {
        let _ = call(libc::SYS_setsid, [0; 6]);
        let _ = call(libc::SYS_ioctl, [terminal, libc::TIOCSCTTY as usize, 0, 0, 0, 0]);
    }
    let _ = call(libc::SYS_setpgid, [0; 6]);
    if console.exclusive {
        let group: libc::pid_t = own_pid();
        let ask = [terminal, libc::TIOCSPGRP as usize, &raw const group as usize, 0, 0, 0];
        let _ = call(libc::SYS_ioctl, ask);
    }
    Ok(())
}

fn set_limits(frame: &Frame) -> Result<(), Errno> {
    for limit in &frame.limits {
        let resource = frame::resource_number(limit.resource);
        let mut halves = [0u64; 2];
        call(libc::SYS_prlimit64, [0, resource, 0, halves.as_mut_ptr() as usize, 0, 0])?;
        let [soft, hard] = halves;
        let wanted = [limit.soft.unwrap_or(soft), limit.hard.unwrap_or(hard)];
        call(libc::SYS_prlimit64, [0, resource, wanted.as_ptr() as usize, 0, 0, 0])?;
    }
    Ok(())
}

fn set_nice(frame: &Frame) -> Result<(), Errno> {
    let Some(nice) = frame.nice else { return Ok(()) };
    call(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, nice as usize, 0, 0, 0])?;
    if let Ok(file) = open(c"/proc/self/autogroup", libc::O_WRONLY | libc::O_CLOEXEC, 0) {
        let mut digits = [0u8; 12];
        let _ = write(file as i32, decimal(nice, &mut digits));
        close(file);
    }
    Ok(())
}

fn set_io_priority(frame: &Frame) -> Result<(), Errno> {
    const WHO_PROCESS: usize = 1;
    let Some(priority) = frame.io_priority else { return Ok(()) };
    call(libc::SYS_ioprio_set, [WHO_PROCESS, 0, priority as usize, 0, 0, 0]).map(drop)
}

fn set_oom_score_adjustment(frame: &Frame) -> Result<(), Errno> {
    let Some(adjustment) = frame.oom_score_adjustment else { return Ok(()) };
    let mut digits = [0u8; 12];
    write_to(c"/proc/self/oom_score_adj", decimal(adjustment, &mut digits))
}

fn enter_cgroup(frame: &Frame) -> Result<(), Errno> {
    match &frame.cgroup {
        None => Ok(()),
        Some(Cgroup::NoBase) => Err(Errno(libc::ENOENT)),
        // The kernel takes 0 for the process that writes.
        Some(Cgroup::Procs(file)) => write_to(file, b"0"),
    }
}

fn set_identity(frame: &Frame) -> Result<(), Errno> {
    let Some(identity) = &frame.identity else { return Ok(()) };
    let (uid, gid) = (identity.uid as usize, identity.gid as usize);
    let groups = &identity.groups;
    call(libc::SYS_setgroups, [groups.len(), groups.as_ptr() as usize, 0, 0, 0, 0])?;
    call(libc::SYS_setresgid, [gid, gid, gid, 0, 0, 0])?;
    let keeps = frame.capabilities.is_some() || frame.securebits.is_some();
    if keeps {
        control(libc::PR_SET_KEEPCAPS, 1, 0)?;
    }
    call(libc::SYS_setresuid, [uid, uid, uid, 0, 0, 0])?;
    if keeps {
        control(libc::PR_SET_KEEPCAPS, 0, 0)?;
    }
    Ok(())
}

fn set_capabilities(frame: &Frame) -> Result<(), Errno> {
    const SETPCAP: u64 = 1 << 8;
    const HIGHEST: usize = 63;
    if frame.capabilities.is_none() && frame.securebits.is_none() {
        return Ok(());
    }
    let mut sets = CapabilitySets::current()?;
    // After a change of user the permitted set is there but not in effect.
    sets.effective |= sets.permitted & SETPCAP;
    let Some(wanted) = frame.capabilities else { return sets.apply() };
    sets.apply()?;
    for capability in 0..=HIGHEST {
        if wanted.dropped & (1 << capability) != 0 {
            control(libc::PR_CAPBSET_DROP, capability, 0)?;
        }
    }
    sets.inheritable = wanted.inheritable;
    sets.apply()?;
    control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0)?;
    for capability in 0..=HIGHEST {
        if wanted.ambient & (1 << capability) != 0 {
            control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as usize, capability)?;
        }
    }
    Ok(())
}

fn set_securebits(frame: &Frame) -> Result<(), Errno> {
    frame.securebits.map_or(Ok(()), |bits| control(libc::PR_SET_SECUREBITS, bits as usize, 0))
}

fn refuse_new_privileges(frame: &Frame) -> Result<(), Errno> {
    if frame.no_new_privileges { control(libc::PR_SET_NO_NEW_PRIVS, 1, 0) } else { Ok(()) }
}

/// Tries the candidates as `execvp` does; comes back with the error that says most.
fn execute(frame: &Frame) -> Result<(), Errno> {
    let mask = &raw const frame.mask.0 as usize;
    call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, mask, 0, 8, 0, 0])?;
    let (argv, envp) = (frame.argv.as_ptr() as usize, frame.envp.as_ptr() as usize);
    let mut denied = false;
    let mut failure = Errno(libc::ENOENT);
    for candidate in &frame.candidates {
        let Err(error) = call(libc::SYS_execve, [candidate.as_ptr() as usize, argv, envp, 0, 0, 0]) else {
            continue;
        };
        match error {
            Errno(libc::ENOEXEC) => return execute_by_shell(frame, candidate),
            Errno(libc::EACCES) => denied = true,
            Errno(libc::ENOENT | libc::ENOTDIR) => {}
            error => return Err(error),
        }
        failure = error;
    }
    Err(if denied { Errno(libc::EACCES) } else { failure })
}

/// Runs a file that the kernel does not recognise as a shell script, as `execvp` does.
fn execute_by_shell(frame: &Frame, script: &CStr) -> Result<(), Errno> {
    if let Some(slot) = frame.shell_argv.get(1) {
        slot.set(script.as_ptr());
    }
    let (argv, envp) = (frame.shell_argv.as_ptr() as usize, frame.envp.as_ptr() as usize);
    call(libc::SYS_execve, [c"/bin/sh".as_ptr() as usize, argv, envp, 0, 0, 0]).map(drop)
}

struct CapabilitySets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

impl CapabilitySets {
    /// Version 3 of the structure, for ourselves.
    const HEADER: [u32; 2] = [0x2008_0522, 0];

    fn current() -> Result<Self, Errno> {
        let header = Self::HEADER;
        let mut data = [0u32; 6];
        call(libc::SYS_capget, [header.as_ptr() as usize, data.as_mut_ptr() as usize, 0, 0, 0, 0])?;
        let [effective, permitted, inheritable, effective_high, permitted_high, inheritable_high] = data;
        let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        Ok(Self {
            effective: join(effective, effective_high),
            permitted: join(permitted, permitted_high),
            inheritable: join(inheritable, inheritable_high),
        })
    }

    fn apply(&self) -> Result<(), Errno> {
        let header = Self::HEADER;
        let halves = |set: u64| (set as u32, (set >> 32) as u32);
        let ((e, eh), (p, ph), (i, ih)) =
            (halves(self.effective), halves(self.permitted), halves(self.inheritable));
        let data: [u32; 6] = [e, p, i, eh, ph, ih];
        call(libc::SYS_capset, [header.as_ptr() as usize, data.as_ptr() as usize, 0, 0, 0, 0]).map(drop)
    }
}

fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: every caller in this module passes numbers, or pointers into the frame or its own stack frame that
    // are valid for as many bytes as the system call uses.
    unsafe { raw::call(number, arguments) }
}

fn control(option: libc::c_int, first: usize, second: usize) -> Result<(), Errno> {
    call(libc::SYS_prctl, [option as usize, first, second, 0, 0, 0]).map(drop)
}

fn own_pid() -> Pid {
    call(libc::SYS_getpid, [0; 6]).unwrap_or(0) as Pid
}

fn open(path: &CStr, flags: libc::c_int, mode: libc::mode_t) -> Result<usize, Errno> {
    let here = libc::AT_FDCWD as isize as usize;
    call(libc::SYS_openat, [here, path.as_ptr() as usize, flags as usize, mode as usize, 0, 0])
}

fn close(descriptor: usize) {
    let _ = call(libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
}

fn write(descriptor: i32, bytes: &[u8]) -> Result<usize, Errno> {
    call(libc::SYS_write, [descriptor as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])
}

fn write_to(path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    let file = open(path, libc::O_WRONLY | libc::O_CLOEXEC, 0)?;
    let written = write(file as i32, bytes);
    close(file);
    written.map(drop)
}

/// Makes `target` a copy of `source` that stays open across `exec`.
fn duplicate(source: usize, target: usize) -> Result<(), Errno> {
    call(libc::SYS_dup3, [source, target, 0, 0, 0, 0]).map(drop)
}

fn keep_open(descriptor: usize) -> Result<(), Errno> {
    call(libc::SYS_fcntl, [descriptor, libc::F_SETFD as usize, 0, 0, 0, 0]).map(drop)
}

/// Writes a number in decimal into the buffer and gives the part that was used.
fn decimal(number: i32, buffer: &mut [u8; 12]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut start = buffer.len();
    loop {
        start -= 1;
        if let Some(digit) = buffer.get_mut(start) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        if let Some(sign) = buffer.get_mut(start) {
            *sign = b'-';
        }
    }
    buffer.get(start..).unwrap_or_default()
}

fn exit() -> ! {
    loop {
        let _ = call(libc::SYS_exit_group, [0; 6]);
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, -1, -1000, i32::MAX, i32::MIN] {
            assert_eq!(decimal(number, &mut [0; 12]), number.to_string().as_bytes());
        }
    }
}
