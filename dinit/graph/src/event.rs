//! Facts: what the outside tells the graph, in the past tense.
//!
//! An event has no answer. An event about a run, timer or service that the graph no longer knows is dropped, so
//! the caller need not filter late messages.

use crate::id::{RunId, ServiceId, TimerId};
use crate::status::{ExecFailure, ExitStatus};

/// Something that happened outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program of this run was executed (the status pipe was closed by `exec`).
    Executed {
        /// The run.
        run: RunId,
    },
    /// The child of this run could not execute its program. Its exit need not be reported, and is ignored if it is.
    ExecFailed {
        /// The run.
        run: RunId,
        /// The step and the error.
        failure: ExecFailure,
    },
    /// No child was made for this run: nothing was forked, nothing will exit.
    LaunchRefused {
        /// The run.
        run: RunId,
        /// The step and the error.
        failure: ExecFailure,
    },
    /// The process of this run ended and was reaped. May come before `Executed` or `ExecFailed`: both orders give
    /// the same outcome, and after this event the run is never signalled again.
    Exited {
        /// The run.
        run: RunId,
        /// How it ended.
        status: ExitStatus,
    },
    /// Data arrived in the readiness pipe that [`Effect::EnableReadiness`](crate::Effect::EnableReadiness) enabled.
    Ready {
        /// The run.
        run: RunId,
    },
    /// The readiness pipe ended, or could not be read, before any data came.
    ReadinessClosed {
        /// The run.
        run: RunId,
    },
    /// The pid file asked for by [`Effect::ReadPidFile`](crate::Effect::ReadPidFile) was read.
    PidFileRead {
        /// The launcher's run, as in the effect.
        run: RunId,
        /// What it named.
        daemon: Daemon,
    },
    /// A timer ran out. A timer that was cancelled or armed anew in the meantime is ignored.
    TimerExpired {
        /// The service the timer was armed for.
        service: ServiceId,
        /// The arming.
        timer: TimerId,
    },
    /// The manager's own log has let go of the console, as asked for by
    /// [`Effect::ClaimConsole`](crate::Effect::ClaimConsole).
    ConsoleYielded,
    /// The chain target asked for by [`Effect::Chain`](crate::Effect::Chain) is loaded: it shall now start.
    /// When it cannot be loaded the caller says so in its log and sends nothing.
    ChainResolved {
        /// The target (not the service that chains).
        service: ServiceId,
    },
    /// Every process has had its TERM, its second, and its KILL, as asked for by
    /// [`Effect::KillAll`](crate::Effect::KillAll).
    AllKilled {
        /// The service, as in the effect.
        service: ServiceId,
    },
}

/// What the pid file of a bgprocess turned out to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// A living child of ours; from now on it is the run the effect named for the daemon.
    Supervised,
    /// A child of ours that has already ended this way.
    Ended(ExitStatus),
    /// A living process that is not our child: its end will not be noticed.
    Unsupervised,
    /// Nothing: no file, no number, no such process.
    Unusable,
}
