//! What can be known of a service from outside: its visible state, why it stopped, how its process ended.

use crate::id::RunId;

/// The four states a client can see; the phases inside them stay inside the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceState {
    /// Not running and not about to.
    Stopped,
    /// On the way up, waiting for something or running its start action.
    Starting,
    /// Up.
    Started,
    /// On the way down, waiting for dependents or running its stop action.
    Stopping,
}

/// What a service is heading for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// It shall be down, or go down once its start is through.
    Stopped,
    /// It shall be up, or come up again once it is down.
    Started,
}

/// Why a service stopped last, or why its last start failed (LC 2.3).
///
/// Kept while the service runs again, until the next stop overwrites it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopReason {
    /// Stopped on request or because nothing required it any more; also: never started.
    #[default]
    Normal,
    /// A hard dependency was restarted on request.
    DependencyRestarted,
    /// A dependency failed to start or was stopped by force.
    DependencyFailed,
    /// Its own process ended, or closed its readiness pipe, before the start was complete.
    Failed,
    /// Its process could not be launched; see [`Status::exec_failure`].
    ExecFailed,
    /// Its start took longer than `start-timeout`.
    TimedOut,
    /// Its process ended while the service was up, or could not be recovered.
    Terminated,
}

/// A signal number as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(pub i32);

impl Signal {
    /// Hang-up.
    pub const HUP: Self = Self(1);
    /// Interrupt, as sent to a start that shall be given up.
    pub const INT: Self = Self(2);
    /// The signal that cannot be caught.
    pub const KILL: Self = Self(9);
    /// User-defined signal 1.
    pub const USR1: Self = Self(10);
    /// User-defined signal 2.
    pub const USR2: Self = Self(12);
    /// Request to end.
    pub const TERM: Self = Self(15);
}

/// How a process ended, as `waitid` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitStatus {
    /// It exited with this code (0 to 255).
    Exited(i32),
    /// A signal ended it.
    Killed(Signal),
    /// A signal ended it and a core was written.
    Dumped(Signal),
}

impl ExitStatus {
    /// Whether the process exited with code 0.
    #[must_use]
    pub fn is_clean(self) -> bool {
        self == Self::Exited(0)
    }

    /// Whether `restart = on-failure` takes this end for a failure (LC 8.3): a code other than 0, or a signal
    /// other than HUP, INT, USR1, USR2 and TERM.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::Exited(code) => code != 0,
            Self::Killed(signal) | Self::Dumped(signal) => {
                ![Signal::HUP, Signal::INT, Signal::USR1, Signal::USR2, Signal::TERM].contains(&signal)
            }
        }
    }

    /// Whether this signal ended the process.
    #[must_use]
    pub fn is_death_by(self, signal: Signal) -> bool {
        self == Self::Killed(signal) || self == Self::Dumped(signal)
    }
}

/// The step of launching that went wrong, as numbered in LC 1; the graph only passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecStage(pub u16);

/// Why a process could not be launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecFailure {
    /// The step that failed.
    pub stage: ExecStage,
    /// The error number of that step.
    pub errno: i32,
}

/// What listeners are told about a service (LC 1, "event").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Milestone {
    /// The service is up.
    Started,
    /// The service is down; when it restarts at once, the status already shows STARTING.
    Stopped,
    /// Its start failed; a [`Milestone::Stopped`] follows, except for a service that is pinned stopped.
    FailedStart,
    /// Its start, or the restart it was heading for, was given up.
    StartCancelled,
    /// Its stop was given up before it began.
    StopCancelled,
}

/// Everything a status block shows, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The visible state.
    pub state: ServiceState,
    /// What it is heading for.
    pub target: Target,
    /// Whether it was started explicitly and that activation still holds.
    pub explicitly_active: bool,
    /// Whether it waits in the queue for the console.
    pub waiting_for_console: bool,
    /// Whether it holds the console.
    pub has_console: bool,
    /// Whether the last start was ended by the user's interrupt (`skippable`).
    pub start_skipped: bool,
    /// Whether its last start failed and none has begun since: the STOPPED that follows is not logged (LC 6.6).
    pub start_failed: bool,
    /// Why it stopped last.
    pub stop_reason: StopReason,
    /// What went wrong with the launch; only meaningful with [`StopReason::ExecFailed`].
    pub exec_failure: Option<ExecFailure>,
    /// How its main process (or the last command of a scripted service) ended last; `None` if none ever did.
    pub exit_status: Option<ExitStatus>,
    /// The main process, or the command of a scripted service, that is there right now: its pid is "the" pid.
    pub main_run: Option<RunId>,
}
