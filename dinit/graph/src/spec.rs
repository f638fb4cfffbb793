//! What a service must tell the graph when it is loaded or reloaded.

use alloc::vec::Vec;
use core::time::Duration;

use crate::status::Signal;

/// The settings of a service that its life depends on. How it is launched is none of the graph's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `type`.
    pub kind: Kind,
    /// `restart`.
    pub restart: Restart,
    /// `smooth-recovery`; only a process or bgprocess heeds it.
    pub smooth_recovery: bool,
    /// `restart-delay`: the least time between two launches when the second is automatic.
    pub restart_delay: Duration,
    /// `restart-limit-count`: automatic restarts allowed in one interval; 0 is no limit.
    pub restart_limit_count: u32,
    /// `restart-limit-interval`.
    pub restart_limit_interval: Duration,
    /// `start-timeout`; `None` (written 0) is no limit.
    pub start_timeout: Option<Duration>,
    /// `stop-timeout`; `None` (written 0) is no limit.
    pub stop_timeout: Option<Duration>,
    /// `term-signal`; `None` sends nothing.
    pub term_signal: Option<Signal>,
    /// Option `signal-process-only`.
    pub signal_process_only: bool,
    /// Whether there is a `stop-command`.
    pub has_stop_command: bool,
    /// `ready-notification`; only a process has one.
    pub readiness: Readiness,
    /// Option `start-interruptible`.
    pub start_interruptible: bool,
    /// Option `skippable`; only a scripted service heeds it.
    pub skippable: bool,
    /// Option `kill-all-on-stop`; only scripted and internal services have it.
    pub kill_all_on_stop: bool,
    /// Option `starts-rwfs`.
    pub starts_rwfs: bool,
    /// Option `starts-log`.
    pub starts_log: bool,
    /// Options `shares-console`, `starts-on-console`, `runs-on-console`.
    pub console: ConsoleNeed,
    /// `chain-to` together with option `always-chain`.
    pub chain: ChainRule,
    /// `log-type`; the graph only needs to know whether it stays the same and whether it is a pipe.
    pub output: Output,
    /// The modification time of the description file: seconds and nanoseconds. Only passed on.
    pub described_at: (i64, u32),
}

impl Spec {
    /// A service of this kind with every setting at its default.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            restart: Restart::Never,
            smooth_recovery: false,
            restart_delay: Duration::from_millis(200),
            restart_limit_count: 3,
            restart_limit_interval: Duration::from_secs(10),
            start_timeout: Some(Duration::from_secs(60)),
            stop_timeout: Some(Duration::from_secs(10)),
            term_signal: Some(Signal::TERM),
            signal_process_only: false,
            has_stop_command: false,
            readiness: Readiness::Execution,
            start_interruptible: false,
            skippable: false,
            kill_all_on_stop: false,
            starts_rwfs: false,
            starts_log: false,
            console: ConsoleNeed::None,
            chain: ChainRule::Never,
            output: Output::None,
            described_at: (0, 0),
        }
    }
}

/// The type of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A process that stays in the foreground.
    Process,
    /// A daemon that a launcher leaves in the background, found by its pid file.
    BgProcess,
    /// A command to start and a command to stop, with nothing running in between.
    Scripted,
    /// Nothing but its dependencies.
    Internal,
    /// Nothing but its dependencies and a trigger.
    Triggered,
    /// A double whose actions complete when the test says so (LC 13).
    #[cfg(test)]
    Timed(crate::tests::Timed),
}

/// When a service that went down comes up again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Restart {
    /// `restart = no`.
    Never,
    /// `restart = yes`.
    Always,
    /// `restart = on-failure`: a process or bgprocess whose last end was a failure.
    OnFailure,
}

/// What tells that a process is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Readiness {
    /// That its program was executed.
    Execution,
    /// That it wrote to its readiness pipe.
    Notification,
}

/// What a service needs of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsoleNeed {
    /// Nothing.
    None,
    /// To use it beside others (`shares-console`).
    Shared,
    /// To own it until it is started (`starts-on-console`).
    Start,
    /// To own it until it is stopped (`runs-on-console`).
    Run,
}

/// Whether another service is started when this one is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainRule {
    /// No `chain-to`.
    Never,
    /// `chain-to`: after its process ended by itself with code 0.
    AfterCleanEnd,
    /// `chain-to` with `always-chain`: after every stop.
    Always,
}

/// Where the output of a service goes, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// `log-type = none`.
    None,
    /// `log-type = file`.
    File,
    /// `log-type = buffer`.
    Buffer,
    /// `log-type = pipe`.
    Pipe,
}

/// What one service is to another (LC 3). A link goes from the dependent to the dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DependencyKind {
    /// `depends-on`.
    Regular,
    /// `waits-for`.
    WaitsFor,
    /// `depends-ms`.
    Milestone,
    /// `prepared-by`.
    PreparedBy,
    /// `before`, declared by the dependency: the link goes from the later service to the earlier one.
    Before,
    /// `after`, declared by the dependent.
    After,
}

impl DependencyKind {
    /// Whether the link only says in which order two services start.
    #[must_use]
    pub fn is_ordering(self) -> bool {
        matches!(self, Self::Before | Self::After)
    }

    /// Whether the dependent cannot be up without the dependency.
    #[must_use]
    pub fn is_always_hard(self) -> bool {
        matches!(self, Self::Regular | Self::PreparedBy)
    }
}

/// One dependency that a description declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dependency {
    /// `Regular`, `WaitsFor`, `Milestone`, `PreparedBy`; or `After`; or `Before`, where `name` is the later service.
    pub kind: DependencyKind,
    /// The full name of the other service.
    pub name: Vec<u8>,
}

/// One description, ready for the graph: for [`Graph::insert`](crate::Graph::insert) and
/// [`Request::Reload`](crate::Request::Reload).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The full name, argument included. The graph takes it for opaque bytes.
    pub name: Vec<u8>,
    /// Its settings.
    pub spec: Spec,
    /// Its dependencies and ordering, in the order of the description. The same kind and name twice counts once.
    pub dependencies: Vec<Dependency>,
    /// `consumer-of`: the full name of the service whose output this one reads.
    pub consumer_of: Option<Vec<u8>>,
}
