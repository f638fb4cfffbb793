//! Starting a process by a plan: everything is decided before, and a table of steps is walked in the child.
//!
//! [`spawn`] lays out arguments, environment and descriptors, then makes the child. The child walks
//! `child::STEPS`; it allocates nothing and takes no lock, so it may start at any moment of the parent. A step that fails
//! sends its [`Stage`] and error number through the status pipe, which is close-on-exec: its silent end means that
//! `exec` has happened.
//!
//! Copying the page tables of the parent would be most of the cost of a launch, so the child usually runs in the
//! parent's memory, on a stack of its own, and beside the parent: unlike `vfork` this never keeps the parent waiting
//! for a slow file system. What both use is freed when the status pipe ends, because the kernel lets go of the memory
//! before it closes descriptors, in `exec` as in `exit`. A child that changes who it is, or its out-of-memory score, is
//! copied instead: the kernel keeps a part of these with the memory, and so would change them for the parent too.

mod child;
mod frame;
mod stack;

use crate::descriptor::{self, moved_clear_of};
use crate::process::Pid;
use crate::signal::{self, Mask};
use crate::{Errno, last};
use frame::Frame;
use stack::Stack;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

/// The stage at which launching failed; the numbers are those of the control protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Moving descriptors to the numbers they must have.
    ArrangeDescriptors = 0,
    /// Composing the environment.
    ReadEnvironment = 1,
    /// Setting the variable that names the readiness descriptor.
    SetVariable = 2,
    /// Handing over the activation socket.
    ActivationSocket = 3,
    /// Handing over the control connection.
    ControlSocket = 4,
    /// Changing to the working directory.
    ChangeDirectory = 5,
    /// Setting up standard input and output.
    StandardDescriptors = 6,
    /// Entering the control group.
    EnterCgroup = 7,
    /// Setting resource limits.
    ResourceLimits = 8,
    /// Setting user and groups.
    SetIdentity = 9,
    /// Opening the log file.
    OpenLogFile = 10,
    /// Setting capabilities, securebits and no-new-privileges.
    SetCapabilities = 11,
    /// Setting priorities: nice, input/output, out-of-memory.
    SetPriority = 12,
    /// Executing the command.
    Execute = 18,
}

impl Stage {
    /// Gives the stage of a number, as it comes through the status pipe.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::ArrangeDescriptors,
            Self::ReadEnvironment,
            Self::SetVariable,
            Self::ActivationSocket,
            Self::ControlSocket,
            Self::ChangeDirectory,
            Self::StandardDescriptors,
            Self::EnterCgroup,
            Self::ResourceLimits,
            Self::SetIdentity,
            Self::OpenLogFile,
            Self::SetCapabilities,
            Self::SetPriority,
            Self::Execute,
        ]
        .into_iter()
        .find(|stage| *stage as u8 == number)
    }
}

/// Where a log file lies and whom it shall belong to.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Its path; relative to the working directory of the child.
    pub path: CString,
    /// The owner, or unchanged.
    pub uid: Option<u32>,
    /// The group, or unchanged.
    pub gid: Option<u32>,
    /// The permission bits.
    pub mode: u32,
}

/// Where standard output and error of a process off the console go.
#[derive(Debug)]
pub enum Output<'a> {
    /// `/dev/null`.
    Discard,
    /// A pipe.
    Pipe(BorrowedFd<'a>),
    /// A file, opened by the child for appending.
    File(LogFile),
}

/// What the standard descriptors of the process are.
#[derive(Debug)]
pub enum Standard<'a> {
    /// The parent's own, but for the input perhaps; the process gets its own group.
    Console {
        /// The pipe to read from instead of the console.
        input: Option<BorrowedFd<'a>>,
        /// Whether the process becomes the foreground group of the terminal.
        exclusive: bool,
        /// Whether `SIGINT` is let through (with `exclusive` it is blocked otherwise).
        interruptible: bool,
    },
    /// Input from `/dev/null` or a pipe, output somewhere; the process leads its own session.
    Detached {
        /// The pipe to read from, else `/dev/null`.
        input: Option<BorrowedFd<'a>>,
        /// Where the output goes.
        output: Output<'a>,
    },
}

/// How the write end of the readiness pipe reaches the process.
#[derive(Debug)]
pub struct Readiness<'a> {
    /// The write end.
    pub pipe: BorrowedFd<'a>,
    /// The number it must have, if one is prescribed.
    pub number: Option<RawFd>,
    /// The variable that says which number it has.
    pub variable: Option<Vec<u8>>,
}

/// A resource limit; a missing half keeps what the parent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which resource.
    pub resource: Resource,
    /// The soft limit; `u64::MAX` is unlimited.
    pub soft: Option<u64>,
    /// The hard limit; `u64::MAX` is unlimited.
    pub hard: Option<u64>,
}

/// The resources that can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Open descriptors.
    OpenFiles,
    /// The size of a core dump in bytes.
    CoreSize,
    /// The data segment in bytes.
    DataSize,
    /// The address space in bytes.
    AddressSpace,
}

/// User and groups of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// All supplementary groups; empty clears them.
    pub groups: Vec<u32>,
}

/// Capabilities as inheritable, ambient and bounding sets, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The inheritable set.
    pub inheritable: u64,
    /// The ambient set.
    pub ambient: u64,
    /// What is taken out of the bounding set.
    pub dropped: u64,
}

/// An entry for the process in the file of logged-in users.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    /// The file, such as `/run/utmp`; if it does not exist no entry is made.
    pub path: CString,
    /// The entry, complete but for the process id.
    pub record: Vec<u8>,
    /// Where in the record the 4 bytes of the process id lie.
    pub pid_at: usize,
    /// Where in the record the 4 bytes of the id lie, by which an older entry is found and replaced.
    pub id_at: usize,
}

/// All that is to happen in a child before its command runs.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The command line; the first word is searched in `PATH` of the environment if it has no slash.
    pub arguments: Vec<CString>,
    /// The environment, `NAME=VALUE` each.
    pub environment: Vec<CString>,
    /// The working directory, if it is to be changed.
    pub directory: Option<CString>,
    /// Standard input and output.
    pub standard: Standard<'a>,
    /// The readiness pipe.
    pub readiness: Option<Readiness<'a>>,
    /// The activation socket; it becomes descriptor 3, with `LISTEN_FDS` and `LISTEN_PID`.
    pub activation: Option<BorrowedFd<'a>>,
    /// The process's end of a control connection, whose number goes into `DINIT_CS_FD`.
    pub control: Option<BorrowedFd<'a>>,
    /// Resource limits, in order.
    pub limits: Vec<Limit>,
    /// The nice value, already within the bounds of the kernel.
    pub nice: Option<i32>,
    /// The input/output priority, as the kernel encodes it.
    pub io_priority: Option<i32>,
    /// The out-of-memory score adjustment.
    pub oom_score_adjustment: Option<i32>,
    /// The `cgroup.procs` file of the control group to enter.
    pub cgroup: Option<Cgroup>,
    /// User and groups.
    pub identity: Option<Identity>,
    /// Capability sets.
    pub capabilities: Option<Capabilities>,
    /// Securebits.
    pub securebits: Option<u32>,
    /// Whether the process and its descendants can never gain privileges.
    pub no_new_privileges: bool,
    /// An entry for `who`.
    pub login_record: Option<LoginRecord>,
    /// The mask of blocked signals with which the command starts, before what the console asks for.
    pub signal_mask: Mask,
}

/// Which control group a process enters.
#[derive(Clone, Debug)]
pub enum Cgroup {
    /// The group with this `cgroup.procs` file.
    Procs(CString),
    /// A relative path for which no base is known; launching fails with `ENOENT`.
    NoBase,
}

/// A child that has been made, and the pipe that tells how its launch goes on.
#[derive(Debug)]
pub struct Launched {
    /// The process id.
    pub pid: Pid,
    /// What tells how the launch goes on.
    pub status: StatusPipe,
}

/// The pipe through which a child tells how its launch goes on; to be read until [`ExecStatus::is_last`].
///
/// Dropped before that, it leaks what the child may still use.
#[derive(Debug)]
pub struct StatusPipe {
    reader: OwnedFd,
    has_failed: bool,
    /// What the child uses, until it has let go of it.
    frame: Option<NonNull<Frame>>,
}

/// What the status pipe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecStatus {
    /// Nothing yet.
    Pending,
    /// The command runs.
    Executed,
    /// A step failed; the child is about to end.
    Failed(Stage, Errno),
    /// The end, after a failure was told.
    Over,
}

impl ExecStatus {
    /// Says whether the pipe has nothing more to tell.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Executed | Self::Over)
    }
}

/// Why no child could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// There is no status pipe, or it cannot be watched.
    StatusPipe(Errno),
    /// Descriptors could not be moved out of the way.
    Descriptors(Errno),
    /// The kernel would not make a process.
    Fork(Errno),
}

/// Makes a child that carries out the plan.
///
/// `watch` is given the read end of the status pipe before there is a child, so that none is made whose launch nobody
/// would hear of.
pub fn spawn(
    plan: Plan<'_>,
    watch: impl FnOnce(BorrowedFd<'_>) -> Result<(), Errno>,
) -> Result<Launched, SpawnError> {
    let (status, report) = descriptor::nonblocking_reader_pipe().map_err(SpawnError::StatusPipe)?;
    watch(status.as_fd()).map_err(SpawnError::StatusPipe)?;
    let placed = Placed::new(&plan, report.as_fd()).map_err(SpawnError::Descriptors)?;
    let memory = if plan.changes_identity() { Memory::Copied } else { Memory::Shared };
    let stack = Stack::take().map_err(SpawnError::Fork)?;
    let frame = NonNull::from(Box::leak(Box::new(Frame::new(plan, &placed, stack))));
    // From here on the frame is freed by dropping the pipe, which is what the end of the pipe allows.
    let mut status = StatusPipe { reader: status, has_failed: false, frame: Some(frame) };
    let made = signal::set_blocked(Mask::ALL).and_then(|before| {
        let made = child::make(frame, memory);
        signal::set_blocked(before)?;
        made
    });
    match made {
        Ok(pid) => Ok(Launched { pid, status }),
        Err(error) => {
            status.free_frame();
            Err(SpawnError::Fork(error))
        }
    }
}

impl StatusPipe {
    /// Reads what the child has told, without waiting.
    pub fn read(&mut self) -> ExecStatus {
        let mut message = [0u8; frame::REPORT_LENGTH];
        match descriptor::read(&self.reader, &mut message) {
            Ok(0) => {
                self.free_frame();
                if self.has_failed { ExecStatus::Over } else { ExecStatus::Executed }
            }
            Ok(_) => {
                self.has_failed = true;
                let [stage, a, b, c, d] = message;
                let stage = Stage::from_number(stage).unwrap_or(Stage::Execute);
                ExecStatus::Failed(stage, Errno(i32::from_ne_bytes([a, b, c, d])))
            }
            Err(_) => ExecStatus::Pending,
        }
    }

    /// Frees what the child used; to be called when there is no child, or it has let go.
    fn free_frame(&mut self) {
        if let Some(frame) = self.frame.take() {
            // SAFETY: `spawn` leaked this box, and nobody else uses it any more.
            drop(unsafe { Box::from_raw(frame.as_ptr()) });
        }
    }
}

impl AsFd for StatusPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Plan<'_> {
    /// Says whether the child changes what the kernel partly keeps with the memory.
    fn changes_identity(&self) -> bool {
        self.identity.is_some()
            || self.capabilities.is_some()
            || self.securebits.is_some()
            || self.oom_score_adjustment.is_some()
    }
}

/// Whose memory a child runs in until it executes its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// That of its parent.
    Shared,
    /// A copy of it.
    Copied,
}

/// Sources of the child's descriptors, none of which lies at a number that the child will overwrite.
struct Placed {
    report: RawFd,
    readiness: Option<RawFd>,
    activation: Option<RawFd>,
    control: Option<RawFd>,
    input: Option<RawFd>,
    output: Option<RawFd>,
    /// Copies that were necessary; closed in the parent when this is dropped.
    _copies: Vec<OwnedFd>,
}

impl Placed {
    fn new(plan: &Plan<'_>, report: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut taken = vec![0, 1, 2];
        if plan.activation.is_some() {
            taken.push(frame::ACTIVATION);
        }
        taken.extend(plan.readiness.as_ref().and_then(|readiness| readiness.number));
        let mut copies = Vec::new();
        let mut place = |source: BorrowedFd<'_>| -> Result<RawFd, Errno> {
            Ok(match moved_clear_of(source, &taken)? {
                None => source.as_raw_fd(),
                Some(copy) => {
                    let number = copy.as_raw_fd();
                    copies.push(copy);
                    number
                }
            })
        };
        let (input, output) = match &plan.standard {
            Standard::Console { input, .. } => (*input, None),
            Standard::Detached { input, output } => (
                *input,
                match output {
                    Output::Pipe(pipe) => Some(*pipe),
                    Output::Discard | Output::File(_) => None,
                },
            ),
        };
        Ok(Self {
            report: place(report)?,
            readiness: plan.readiness.as_ref().map(|readiness| place(readiness.pipe)).transpose()?,
            activation: plan.activation.map(&mut place).transpose()?,
            control: plan.control.map(&mut place).transpose()?,
            input: input.map(&mut place).transpose()?,
            output: output.map(&mut place).transpose()?,
            _copies: copies,
        })
    }
}

/// Makes the child process itself, which runs `entry` with the frame on the frame's stack.
fn clone_process(
    frame: NonNull<Frame>,
    memory: Memory,
    entry: extern "C" fn(*mut libc::c_void) -> libc::c_int,
) -> Result<Pid, Errno> {
    // SAFETY: the frame was made by `spawn` and there is no child yet that could change it.
    let top = unsafe { frame.as_ref() }.stack_top();
    let flags = match memory {
        Memory::Shared => libc::CLONE_VM | libc::SIGCHLD,
        Memory::Copied => libc::SIGCHLD,
    };
    // SAFETY: the stack is the child's alone and large enough for its steps, which do not nest deeply. It and the
    // frame live until the child has let go of the memory, see `StatusPipe`. All signals are blocked, so no handler
    // runs on that stack, and the steps use neither the C library nor thread-local variables.
    let pid = unsafe { libc::clone(entry, top, flags, frame.as_ptr().cast()) };
    if pid < 0 { Err(last()) } else { Ok(pid) }
}

#[cfg(test)]
mod tests;
