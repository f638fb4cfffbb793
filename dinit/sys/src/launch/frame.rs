//! The plan as the child sees it: raw pointers and numbers, all made before the child exists.

use super::stack::Stack;
use super::{Capabilities, Cgroup, Limit, LogFile, LoginRecord, Output, Placed, Plan, Resource, Standard};
use crate::signal::Mask;
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::ptr;

/// The number of bytes in a report: the stage, and the error number in native order.
pub(super) const REPORT_LENGTH: usize = 5;

/// The number of the activation socket in a process that has one.
pub(super) const ACTIVATION: RawFd = 3;

const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
const SHELL: &CStr = c"/bin/sh";

/// What the steps in the child read, and the few cells they write.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) candidates: Vec<CString>,
    pub(super) argv: Vec<*const libc::c_char>,
    /// The command line with which the shell runs a file that has no recognised format.
    pub(super) shell_argv: Vec<Cell<*const libc::c_char>>,
    pub(super) envp: Vec<*const libc::c_char>,
    pub(super) listen_pid: Option<Box<[Cell<u8>]>>,
    pub(super) directory: Option<CString>,
    pub(super) report: RawFd,
    pub(super) console: Option<Console>,
    pub(super) input: Option<RawFd>,
    pub(super) output: Option<RawFd>,
    /// The descriptor from which standard output and error are made.
    pub(super) opened: Cell<RawFd>,
    pub(super) log_file: Option<LogFile>,
    pub(super) readiness: Option<RawFd>,
    pub(super) readiness_number: Option<RawFd>,
    pub(super) activation: Option<RawFd>,
    pub(super) control: Option<RawFd>,
    pub(super) limits: Vec<Limit>,
    pub(super) nice: Option<i32>,
    pub(super) io_priority: Option<i32>,
    pub(super) oom_score_adjustment: Option<i32>,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) identity: Option<super::Identity>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) securebits: Option<u32>,
    pub(super) no_new_privileges: bool,
    pub(super) login_record: Option<LoginRecord>,
    pub(super) mask: Mask,
    /// What the pointers in `argv` and `envp` point to.
    _strings: Vec<CString>,
    /// What the child runs on.
    stack: Option<Stack>,
}

/// How a process stands on the console.
#[derive(Clone, Copy, Debug)]
pub(super) struct Console {
    pub(super) exclusive: bool,
}

impl Frame {
    pub(super) fn new(plan: Plan<'_>, placed: &Placed, stack: Stack) -> Self {
        let (console, log_file, mask) = standard(plan.standard, plan.signal_mask);
        let mut environment = plan.environment;
        let readiness_number =
            plan.readiness.as_ref().and_then(|readiness| readiness.number.or(placed.readiness));
        if let (Some(number), Some(name)) =
            (readiness_number, plan.readiness.as_ref().and_then(|readiness| readiness.variable.as_deref()))
        {
            set(&mut environment, name, number.to_string().as_bytes());
        }
        if let Some(number) = placed.control {
            set(&mut environment, b"DINIT_CS_FD", number.to_string().as_bytes());
        }
        let listen_pid = placed.activation.map(|_| {
            set(&mut environment, b"LISTEN_FDS", b"1");
            remove(&mut environment, b"LISTEN_PID");
            b"LISTEN_PID=\0\0\0\0\0\0\0\0\0\0\0\0".iter().copied().map(Cell::new).collect::<Box<[Cell<u8>]>>()
        });
        let candidates = candidates(plan.arguments.first(), &environment);
        let argv = pointers(&plan.arguments, None);
        let shell_argv = std::iter::once(SHELL.as_ptr()).chain(argv.iter().copied()).map(Cell::new).collect();
        let envp = pointers(&environment, listen_pid.as_deref().map(|text| text.as_ptr().cast()));
        let mut strings = plan.arguments;
        strings.append(&mut environment);
        Self {
            candidates,
            argv,
            shell_argv,
            envp,
            listen_pid,
            directory: plan.directory,
            report: placed.report,
            console,
            input: placed.input,
            output: placed.output,
            opened: Cell::new(-1),
            log_file,
            readiness: placed.readiness,
            readiness_number: plan.readiness.and_then(|readiness| readiness.number),
            activation: placed.activation,
            control: placed.control,
            limits: plan.limits,
            nice: plan.nice,
            io_priority: plan.io_priority,
            oom_score_adjustment: plan.oom_score_adjustment,
            cgroup: plan.cgroup,
            identity: plan.identity,
            capabilities: plan.capabilities,
            securebits: plan.securebits,
            no_new_privileges: plan.no_new_privileges,
            login_record: plan.login_record,
            mask,
            _strings: strings,
            stack: Some(stack),
        }
    }

    /// Gives the upper end of the child's stack.
    pub(super) fn stack_top(&self) -> *mut libc::c_void {
        self.stack.as_ref().map_or(ptr::null_mut(), Stack::top)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(stack) = self.stack.take() {
            stack.give_back();
        }
    }
}

/// The number of the kernel for a resource.
pub(super) fn resource_number(resource: Resource) -> usize {
    (match resource {
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
        Resource::CoreSize => libc::RLIMIT_CORE,
        Resource::DataSize => libc::RLIMIT_DATA,
        Resource::AddressSpace => libc::RLIMIT_AS,
    }) as usize
}

fn standard(standard: Standard<'_>, mask: Mask) -> (Option<Console>, Option<LogFile>, Mask) {
    match standard {
        Standard::Console { exclusive: false, .. } => (Some(Console { exclusive: false }), None, mask),
        Standard::Console { exclusive: true, interruptible, .. } => {
            let kept = [libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
            let mask = kept.into_iter().fold(mask, Mask::with);
            let mask = if interruptible { mask.without(libc::SIGINT) } else { mask.with(libc::SIGINT) };
            (Some(Console { exclusive: true }), None, mask)
        }
        Standard::Detached { output: Output::File(file), .. } => (None, Some(file), mask),
        Standard::Detached { .. } => (None, None, mask),
    }
}

/// The paths at which the command is tried, in order; none for an empty command.
fn candidates(command: Option<&CString>, environment: &[CString]) -> Vec<CString> {
    let Some(command) = command else { return Vec::new() };
    let name = command.to_bytes();
    if name.contains(&b'/') || name.is_empty() {
        return vec![command.clone()];
    }
    let path =
        environment.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(|&byte| byte == b':')
        .filter_map(|directory| {
            let mut full = directory.to_vec();
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(name);
            CString::new(full).ok()
        })
        .collect()
}

fn pointers(strings: &[CString], more: Option<*const libc::c_char>) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain(more).chain([ptr::null()]).collect()
}

fn set(environment: &mut Vec<CString>, name: &[u8], value: &[u8]) {
    remove(environment, name);
    if let Ok(entry) = CString::new([name, b"=", value].concat()) {
        environment.push(entry);
    }
}

fn remove(environment: &mut Vec<CString>, name: &[u8]) {
    environment
        .retain(|entry| entry.to_bytes().strip_prefix(name).is_none_or(|rest| !rest.starts_with(b"=")));
}
