//! What launching the processes of a service needs to know, and the graph does not.

use std::sync::Arc;

use dinit_service::Environment;
use dinit_service::value::{Capabilities, IoPriority, ResourceLimits, SecureBits};

/// How the processes of one service are launched.
///
/// All variables are substituted and all names of users and groups are looked up. Paths that are not absolute
/// are relative to the daemon's working directory, except `log`'s, which the child opens after it has changed
/// to `working_dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecSpec {
    /// The full name of the service.
    pub name: Arc<[u8]>,
    /// Where the description was found.
    pub origin: Origin,
    /// `command`. It may be empty although the type needs one (SD DIV 3): the start then fails like the
    /// execution of a missing program.
    pub command: Executable,
    /// `stop-command`; empty means none.
    pub stop_command: Executable,
    /// The directory to change to: `working-dir`, or else, if there are commands, the directory of the description.
    pub working_dir: Vec<u8>,
    /// What the service adds to the daemon's environment: load options and `env-file`.
    pub environment: Environment,
    /// `run-as`.
    pub run_as: Option<RunAs>,
    /// Where the output goes, unless the process is on the console.
    pub log: LogTarget,
    /// `consumer-of`: the full name of the service whose output is this one's standard input.
    pub consumer_of: Option<Vec<u8>>,
    /// `chain-to`: the full name of the service to start after this one.
    pub chain_to: Option<Vec<u8>>,
    /// `socket-listen` and what belongs to it.
    pub socket: Option<Socket>,
    /// `pid-file`; present for every bgprocess service, but it may be empty (SD DIV 3).
    pub pid_file: Option<Vec<u8>>,
    /// `ready-notification`, for a process service.
    pub readiness: ReadinessPipe,
    /// `inittab-id` and `inittab-line`, if one of them is not empty; for a process service.
    pub inittab: Option<InittabEntry>,
    /// The `rlimit-` settings.
    pub limits: ResourceLimits,
    /// `nice`, clamped to -20…19.
    pub nice: Option<i32>,
    /// `ioprio`.
    pub io_priority: Option<IoPriority>,
    /// `oom-score-adj`.
    pub oom_score_adj: Option<i32>,
    /// `run-in-cgroup`, as written: with a leading `/` it is relative to the mount point of cgroups, otherwise
    /// to the daemon's own cgroup.
    pub run_in_cgroup: Option<Vec<u8>>,
    /// `capabilities`.
    pub capabilities: Option<Capabilities>,
    /// `securebits`.
    pub secure_bits: SecureBits,
    /// Option `no-new-privs`.
    pub no_new_privs: bool,
    /// Option `unmask-intr`: SIGINT is not blocked in a process that has the console exclusively.
    pub unmask_intr: bool,
    /// Option `pass-cs-fd`.
    pub pass_cs_fd: bool,
}

/// The words of a command.
pub type Executable = Vec<Vec<u8>>;

/// Where a description was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The service directory, as configured. The control protocol reports it.
    pub directory: Vec<u8>,
    /// When the file was last modified: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
}

/// As whom a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user id.
    pub uid: u32,
    /// The groups.
    pub group: RunAsGroup,
}

/// Which groups a process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAsGroup {
    /// The user was given by number: the daemon's real group, and no supplementary ones.
    OfDaemon,
    /// The user was given by name.
    OfUser {
        /// The primary group.
        gid: u32,
        /// All supplementary groups, the primary one included.
        groups: Vec<u32>,
    },
}

/// Where the output of a process goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// To `/dev/null`.
    Discard,
    /// To the end of a file.
    File(LogFile),
    /// Into a buffer of this many bytes.
    Buffer(u32),
    /// Into a pipe that a consumer reads.
    Pipe,
}

/// A log file; owner and mode are set at every launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The path.
    pub path: Vec<u8>,
    /// The mode.
    pub permissions: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// An activation socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The path.
    pub path: Vec<u8>,
    /// The mode.
    pub permissions: u32,
    /// The owner, or `None` to leave it.
    pub uid: Option<u32>,
    /// The group, or `None` to leave it.
    pub gid: Option<u32>,
}

/// Where the write end of the readiness pipe goes; both may be wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadinessPipe {
    /// To this descriptor.
    pub descriptor: Option<u32>,
    /// To any, whose number is put into this variable.
    pub variable: Option<Vec<u8>>,
}

impl ReadinessPipe {
    /// Tells whether there is a readiness pipe.
    pub fn is_expected(&self) -> bool {
        self.descriptor.is_some() || self.variable.is_some()
    }
}

/// What is entered into utmp for a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InittabEntry {
    /// `inittab-id`, at most 4 bytes.
    pub id: Vec<u8>,
    /// `inittab-line`, at most 32 bytes.
    pub line: Vec<u8>,
}
