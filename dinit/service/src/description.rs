//! What a service description says.

use alloc::vec::Vec;
use core::ops::{BitOr, BitOrAssign};
use core::time::Duration;

use crate::At;
use crate::value::{Capabilities, Group, IoPriority, ResourceLimits, SecureBits, TermSignal, User};

/// The words of a command: the executable and its arguments.
pub type CommandLine = Vec<Vec<u8>>;

/// Everything that one description says, with the defaults where it says nothing.
///
/// Paths and names are the bytes that were written. `command`, `stop_command`, `working_dir`, `pid_file`,
/// `logfile` and `socket_listen` hold their `$` expressions until [`ServiceDescription::substitute`]; all
/// others are final. An empty path counts as none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDescription {
    /// `type`.
    pub service_type: ServiceType,
    /// `command`; empty means none.
    pub command: CommandLine,
    /// `stop-command`; empty means none.
    pub stop_command: CommandLine,
    /// `working-dir`.
    pub working_dir: Option<Vec<u8>>,
    /// `run-as`.
    pub run_as: Option<User>,
    /// `env-file`; relative to the real directory of the file that its place names.
    pub env_file: Option<At<Vec<u8>>>,
    /// `restart`.
    pub restart: Restart,
    /// `smooth-recovery`.
    pub smooth_recovery: bool,
    /// `restart-delay`.
    pub restart_delay: Duration,
    /// `restart-limit-interval`.
    pub restart_limit_interval: Duration,
    /// `restart-limit-count`; 0 means no limit.
    pub restart_limit_count: u32,
    /// `start-timeout`; zero means none.
    pub start_timeout: Duration,
    /// `stop-timeout`; zero means none.
    pub stop_timeout: Duration,
    /// `pid-file`.
    pub pid_file: Option<Vec<u8>>,
    /// All dependencies that are loaded with the service, in the order in which they were written.
    pub dependencies: Vec<At<Dependency>>,
    /// `before`.
    pub before: Vec<At<Vec<u8>>>,
    /// `after`.
    pub after: Vec<At<Vec<u8>>>,
    /// `chain-to`.
    pub chain_to: Option<At<Vec<u8>>>,
    /// `consumer-of`.
    pub consumer_of: Option<At<Vec<u8>>>,
    /// `socket-listen`.
    pub socket_listen: Option<Vec<u8>>,
    /// `socket-permissions`.
    pub socket_permissions: u32,
    /// `socket-uid`.
    pub socket_uid: Option<User>,
    /// `socket-gid`.
    pub socket_gid: Option<Group>,
    /// `term-signal`.
    pub term_signal: TermSignal,
    /// `ready-notification`.
    pub readiness: Readiness,
    /// `log-type`, after what `logfile` did to it.
    pub log_type: LogType,
    /// `logfile`; it may be present although the log type is another.
    pub logfile: Option<Vec<u8>>,
    /// `logfile-permissions`.
    pub logfile_permissions: u32,
    /// `logfile-uid`.
    pub logfile_uid: Option<User>,
    /// `logfile-gid`.
    pub logfile_gid: Option<Group>,
    /// `log-buffer-size`, in bytes.
    pub log_buffer_size: u32,
    /// `options`.
    pub options: Options,
    /// `load-options: export-passwd-vars`.
    pub export_passwd_vars: bool,
    /// `load-options: export-service-name`.
    pub export_service_name: bool,
    /// `inittab-id`, at most 4 bytes; empty means none.
    pub inittab_id: Vec<u8>,
    /// `inittab-line`, at most 32 bytes; empty means none.
    pub inittab_line: Vec<u8>,
    /// The `rlimit-` settings.
    pub limits: ResourceLimits,
    /// `nice`, as written: the kernel's range is smaller than what may be written.
    pub nice: Option<i32>,
    /// `run-in-cgroup`.
    pub run_in_cgroup: Option<Vec<u8>>,
    /// `capabilities`.
    pub capabilities: Option<Capabilities>,
    /// `securebits`.
    pub secure_bits: SecureBits,
    /// `ioprio`.
    pub io_priority: Option<IoPriority>,
    /// `oom-score-adj`.
    pub oom_score_adj: Option<i32>,
}

impl ServiceDescription {
    /// The default of `restart-delay`.
    pub const RESTART_DELAY: Duration = Duration::from_millis(200);
    /// The default of `restart-limit-interval`.
    pub const RESTART_LIMIT_INTERVAL: Duration = Duration::from_secs(10);
    /// The default of `restart-limit-count`.
    pub const RESTART_LIMIT_COUNT: u32 = 3;
    /// The default of `start-timeout`.
    pub const START_TIMEOUT: Duration = Duration::from_secs(60);
    /// The default of `stop-timeout`.
    pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of `socket-permissions`.
    pub const SOCKET_PERMISSIONS: u32 = 0o666;
    /// The default of `logfile-permissions`.
    pub const LOGFILE_PERMISSIONS: u32 = 0o600;
    /// The default of `log-buffer-size`.
    pub const LOG_BUFFER_SIZE: u32 = 4096;
}

impl Default for ServiceDescription {
    /// Says what an empty description says.
    fn default() -> ServiceDescription {
        ServiceDescription {
            service_type: ServiceType::Internal,
            command: Vec::new(),
            stop_command: Vec::new(),
            working_dir: None,
            run_as: None,
            env_file: None,
            restart: Restart::Always,
            smooth_recovery: false,
            restart_delay: Self::RESTART_DELAY,
            restart_limit_interval: Self::RESTART_LIMIT_INTERVAL,
            restart_limit_count: Self::RESTART_LIMIT_COUNT,
            start_timeout: Self::START_TIMEOUT,
            stop_timeout: Self::STOP_TIMEOUT,
            pid_file: None,
            dependencies: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            chain_to: None,
            consumer_of: None,
            socket_listen: None,
            socket_permissions: Self::SOCKET_PERMISSIONS,
            socket_uid: None,
            socket_gid: None,
            term_signal: TermSignal::Term,
            readiness: Readiness::default(),
            log_type: LogType::None,
            logfile: None,
            logfile_permissions: Self::LOGFILE_PERMISSIONS,
            logfile_uid: None,
            logfile_gid: None,
            log_buffer_size: Self::LOG_BUFFER_SIZE,
            options: Options::NONE,
            export_passwd_vars: false,
            export_service_name: false,
            inittab_id: Vec::new(),
            inittab_line: Vec::new(),
            limits: ResourceLimits::default(),
            nice: None,
            run_in_cgroup: None,
            capabilities: None,
            secure_bits: SecureBits::NONE,
            io_priority: None,
            oom_score_adj: None,
        }
    }
}

/// What a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceType {
    /// A process that stays in the foreground.
    Process,
    /// A process that puts itself into the background and writes a pid file.
    BgProcess,
    /// A start command and a stop command, and nothing running in between.
    Scripted,
    /// Nothing but its dependencies.
    Internal,
    /// Started once a client has set its trigger.
    Triggered,
}

impl ServiceType {
    /// The words of the `type` setting.
    pub const WORDS: &'static [(&'static str, ServiceType)] = &[
        ("process", ServiceType::Process),
        ("bgprocess", ServiceType::BgProcess),
        ("scripted", ServiceType::Scripted),
        ("internal", ServiceType::Internal),
        ("triggered", ServiceType::Triggered),
    ];

    /// Tells whether services of this type run commands.
    pub fn runs_commands(self) -> bool {
        match self {
            ServiceType::Process | ServiceType::BgProcess | ServiceType::Scripted => true,
            ServiceType::Internal | ServiceType::Triggered => false,
        }
    }

    /// Tells whether services of this type have a process while they are started.
    pub fn has_process(self) -> bool {
        match self {
            ServiceType::Process | ServiceType::BgProcess => true,
            ServiceType::Scripted | ServiceType::Internal | ServiceType::Triggered => false,
        }
    }
}

/// When a service that stopped without being asked to is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Always,
    /// If its process ended in failure.
    OnFailure,
    /// Never.
    Never,
}

impl Restart {
    /// The words of the `restart` setting; the first of several for one value is the canonical one.
    pub const WORDS: &'static [(&'static str, Restart)] = &[
        ("yes", Restart::Always),
        ("true", Restart::Always),
        ("on-failure", Restart::OnFailure),
        ("no", Restart::Never),
        ("false", Restart::Never),
    ];
}

/// Where the output of a service goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogType {
    /// To a file.
    File,
    /// To a buffer that clients can read.
    Buffer,
    /// To a pipe that another service reads.
    Pipe,
    /// Nowhere.
    None,
}

impl LogType {
    /// The words of the `log-type` setting.
    pub const WORDS: &'static [(&'static str, LogType)] = &[
        ("file", LogType::File),
        ("buffer", LogType::Buffer),
        ("pipe", LogType::Pipe),
        ("none", LogType::None),
    ];
}

/// A dependency that is loaded together with the service that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// How much the dependent needs it.
    pub kind: DependencyKind,
    /// What is needed.
    pub target: Target,
}

/// How much a dependent needs its dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DependencyKind {
    /// `depends-on`: always.
    Regular,
    /// `depends-ms`: until the dependent has started.
    Milestone,
    /// `waits-for`: it is started, and may fail.
    Soft,
    /// `prepared-by`: always, and restarted with the dependent.
    Preparation,
}

impl DependencyKind {
    /// The settings that name one service of each kind.
    pub const SETTINGS: &'static [(&'static str, DependencyKind)] = &[
        ("depends-on", DependencyKind::Regular),
        ("depends-ms", DependencyKind::Milestone),
        ("waits-for", DependencyKind::Soft),
        ("prepared-by", DependencyKind::Preparation),
    ];

    /// The settings that name a directory whose entries are services.
    pub const DIRECTORY_SETTINGS: &'static [(&'static str, DependencyKind)] = &[
        ("depends-on.d", DependencyKind::Regular),
        ("depends-ms.d", DependencyKind::Milestone),
        ("waits-for.d", DependencyKind::Soft),
    ];
}

/// What a dependency setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A service, by its full name.
    Service(Vec<u8>),
    /// A directory, each entry of which is the name of a service.
    ///
    /// A relative path starts at the textual directory of the file it was written in.
    Directory(Vec<u8>),
}

/// How a process says that it is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// `pipefd:N`: by writing to this descriptor.
    pub descriptor: Option<u32>,
    /// `pipevar:NAME`: by writing to the descriptor whose number this variable holds.
    pub variable: Option<Vec<u8>>,
}

impl Readiness {
    /// Tells whether readiness is waited for at all.
    pub fn is_expected(&self) -> bool {
        self.descriptor.is_some() || self.variable.is_some()
    }
}

/// The words of the `options` setting, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options(u16);

impl Options {
    /// No option.
    pub const NONE: Options = Options(0);
    /// `runs-on-console`; implies [`Options::STARTS_ON_CONSOLE`].
    pub const RUNS_ON_CONSOLE: Options = Options(1);
    /// `starts-on-console`.
    pub const STARTS_ON_CONSOLE: Options = Options(1 << 1);
    /// `shares-console`.
    pub const SHARES_CONSOLE: Options = Options(1 << 2);
    /// `unmask-intr`.
    pub const UNMASK_INTR: Options = Options(1 << 3);
    /// `starts-rwfs`.
    pub const STARTS_RWFS: Options = Options(1 << 4);
    /// `starts-log`.
    pub const STARTS_LOG: Options = Options(1 << 5);
    /// `pass-cs-fd`.
    pub const PASS_CS_FD: Options = Options(1 << 6);
    /// `start-interruptible`.
    pub const START_INTERRUPTIBLE: Options = Options(1 << 7);
    /// `skippable`.
    pub const SKIPPABLE: Options = Options(1 << 8);
    /// `signal-process-only`.
    pub const SIGNAL_PROCESS_ONLY: Options = Options(1 << 9);
    /// `always-chain`.
    pub const ALWAYS_CHAIN: Options = Options(1 << 10);
    /// `kill-all-on-stop`.
    pub const KILL_ALL_ON_STOP: Options = Options(1 << 11);
    /// `no-new-privs`.
    pub const NO_NEW_PRIVS: Options = Options(1 << 12);

    /// The words of the setting.
    pub const WORDS: &'static [(&'static str, Options)] = &[
        ("runs-on-console", Options::RUNS_ON_CONSOLE),
        ("starts-on-console", Options::STARTS_ON_CONSOLE),
        ("shares-console", Options::SHARES_CONSOLE),
        ("unmask-intr", Options::UNMASK_INTR),
        ("starts-rwfs", Options::STARTS_RWFS),
        ("starts-log", Options::STARTS_LOG),
        ("pass-cs-fd", Options::PASS_CS_FD),
        ("start-interruptible", Options::START_INTERRUPTIBLE),
        ("skippable", Options::SKIPPABLE),
        ("signal-process-only", Options::SIGNAL_PROCESS_ONLY),
        ("always-chain", Options::ALWAYS_CHAIN),
        ("kill-all-on-stop", Options::KILL_ALL_ON_STOP),
        ("no-new-privs", Options::NO_NEW_PRIVS),
    ];

    /// Tells whether all of `other` are in the set.
    pub fn contains(self, other: Options) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds one word of the setting, with what it implies and excludes.
    pub fn add(&mut self, word: Options) {
        let exclusive = Options::RUNS_ON_CONSOLE | Options::STARTS_ON_CONSOLE;
        match word {
            Options::RUNS_ON_CONSOLE => {
                self.0 = (self.0 | exclusive.0) & !Options::SHARES_CONSOLE.0;
            }
            Options::STARTS_ON_CONSOLE => self.0 = (self.0 | word.0) & !Options::SHARES_CONSOLE.0,
            Options::SHARES_CONSOLE => self.0 = (self.0 | word.0) & !exclusive.0,
            _ => self.0 |= word.0,
        }
    }
}

impl BitOr for Options {
    type Output = Options;

    fn bitor(self, other: Options) -> Options {
        Options(self.0 | other.0)
    }
}

impl BitOrAssign for Options {
    fn bitor_assign(&mut self, other: Options) {
        self.0 |= other.0;
    }
}
