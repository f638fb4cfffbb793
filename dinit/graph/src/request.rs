//! What clients, and the manager on its own behalf, may ask; and the answer each asking gets.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::id::ServiceId;
use crate::spec::{DependencyKind, Description};

/// Something that is asked of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Activate a service explicitly and start it.
    Start {
        /// Which.
        service: ServiceId,
        /// Pin it started as well.
        pin: bool,
    },
    /// Start on the manager's own behalf (boot, `recovery`): as `Start`, but not refused during shutdown.
    /// A service that is pinned stopped is quietly left alone.
    Activate {
        /// Which.
        service: ServiceId,
    },
    /// Start a service for those of its dependents that are up or coming up, without activating it.
    Wake {
        /// Which.
        service: ServiceId,
        /// Pin it started as well, even when nothing was woken.
        pin: bool,
    },
    /// Stop a service, and everything that cannot be without it.
    Stop {
        /// Which.
        service: ServiceId,
        /// Pin it stopped as well.
        pin: bool,
        /// Refuse if hard dependents hold it.
        gentle: bool,
    },
    /// Stop a service and start it again.
    Restart {
        /// Which.
        service: ServiceId,
        /// Refuse if hard dependents hold it.
        gentle: bool,
    },
    /// Take the explicit activation away.
    Release {
        /// Which.
        service: ServiceId,
        /// Pin it stopped as well.
        pin: bool,
    },
    /// Remove both pins.
    Unpin {
        /// Which.
        service: ServiceId,
    },
    /// Set or clear the trigger of a triggered service.
    SetTrigger {
        /// Which.
        service: ServiceId,
        /// The new value.
        value: bool,
    },
    /// Add a dependency of kind `Regular`, `Milestone` or `WaitsFor`.
    AddDep {
        /// The kind.
        kind: DependencyKind,
        /// The dependent.
        from: ServiceId,
        /// The dependency.
        to: ServiceId,
    },
    /// Remove a dependency.
    RemoveDep {
        /// The kind.
        kind: DependencyKind,
        /// The dependent.
        from: ServiceId,
        /// The dependency.
        to: ServiceId,
    },
    /// Add a dependency, or find it, and start it if the dependent is up or coming up.
    Enable {
        /// The kind.
        kind: DependencyKind,
        /// The dependent.
        from: ServiceId,
        /// The dependency.
        to: ServiceId,
    },
    /// Give a service a new description: all of it, or nothing.
    Reload {
        /// Which.
        service: ServiceId,
        /// The new description; its name is not looked at. Dependencies it names must be loaded already.
        description: Box<Description>,
    },
    /// Forget a stopped service that nothing needs.
    Unload {
        /// Which.
        service: ServiceId,
    },
    /// Stop everything, for good.
    Shutdown {
        /// What shall come after.
        kind: ShutdownKind,
    },
}

/// What comes after everything is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShutdownKind {
    /// The manager stays, without services.
    Remain,
    /// The machine halts.
    Halt,
    /// The machine switches itself off.
    PowerOff,
    /// The machine starts again.
    Reboot,
    /// The manager starts again.
    SoftReboot,
    /// Another kernel is started.
    Kexec,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was accepted.
    Done,
    /// It was accepted, and the service already is (or instantly became) what was asked for.
    AlreadyThere,
    /// Refused: the service is pinned started, by itself or by a dependent.
    PinnedStarted,
    /// Refused: the service is pinned stopped.
    PinnedStopped,
    /// Refused: everything is being stopped.
    ShuttingDown,
    /// Refused: these dependents hold the service, one entry a link.
    Dependents(Vec<ServiceId>),
    /// `Enable` was accepted.
    Enabled {
        /// Whether the dependency existed before.
        existed: bool,
    },
    /// Refused for another reason.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The id is of a service that is not loaded any more.
    NoSuchService,
    /// A restart of a service that is not started.
    NotStarted,
    /// A wake without a dependent to wake it for.
    NoActiveDependents,
    /// A trigger for a service of another type.
    NotTriggered,
    /// The link would close a cycle, or lead from a service to itself.
    Cycle,
    /// A link of this kind cannot be added or removed by request.
    WrongKind,
    /// A hard dependency that is not started, for a dependent that is not stopped; or a reload while the service is
    /// starting or stopping.
    WrongState,
    /// There is no such link.
    NoSuchDependency,
    /// Others depend on the service.
    InUse,
    /// The service is not stopped.
    NotStopped,
    /// A reload names a dependency that is not loaded.
    UnknownDependency(Vec<u8>),
    /// A reload changes something that cannot change now.
    Incompatible(Incompatible),
}

/// What a reload may not change (LC 10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incompatible {
    /// The type, while the service is not stopped.
    Kind,
    /// A hard dependency that is not started, for a started service: its id.
    DependencyNotStarted(ServiceId),
    /// `starts-on-console` or `shares-console`, while the service is not stopped.
    Console,
    /// `log-type`, while the service is not stopped.
    Output,
    /// `consumer-of`, while the service is not stopped.
    ConsumerOf,
    /// The service it wants to read from already has a reader.
    SecondConsumer,
    /// A consumer is attached: the type must be one that has output.
    ConsumedKind,
    /// A consumer is attached: `log-type` must stay `pipe`.
    ConsumedOutput,
}
