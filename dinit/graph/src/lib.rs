//! The dinit service state machine: events in, effects out.
//!
//! Pure code. It knows nothing of command lines, pids, descriptors, clocks, files or logging: the caller passes the
//! time in, performs the [`Effect`]s that come out, and reports what happened as [`Event`]s. Read [`Event`] and
//! [`Effect`] first, then [`Request`]; then `record.rs` for the states, `propagate.rs` and `transition.rs` for the
//! two phases in which the graph settles after every stimulus.
//!
//! Rules are cited as LC (service lifecycle), D (a decision that differs from the reference, see `DIFFERENCES.md`),
//! INV (an invariant, checked in `invariants.rs`), S (a scenario of `tests/scenarios.txt`).

#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod change;
mod console;
mod edge;
mod effect;
mod event;
mod graph;
mod id;
mod insert;
#[cfg(any(test, debug_assertions))]
mod invariants;
mod lifecycle;
mod links;
mod propagate;
mod record;
mod request;
mod respond;
mod restart;
mod spec;
mod status;
mod transition;

#[cfg(test)]
mod tests;

pub use effect::{ConsoleUse, Effect, EndedProcess, Notice, Recipient, Role, TimerKind};
pub use event::{Daemon, Event};
pub use graph::{Graph, Link};
pub use id::{Instant, RunId, ServiceId, TimerId};
pub use insert::InsertError;
pub use request::{Answer, Incompatible, Refusal, Request, ShutdownKind};
pub use spec::{
    ChainRule, ConsoleNeed, Dependency, DependencyKind, Description, Kind, Output, Readiness, Restart, Spec,
};
pub use status::{
    ExecFailure, ExecStage, ExitStatus, Milestone, ServiceState, Signal, Status, StopReason, Target,
};
