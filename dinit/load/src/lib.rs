//! Turns service names into records: search order, includes, cycles, reload rules.
//!
//! A [`Loader`] reads descriptions through a [`Host`] and joins the language (`dinit-service`) to the state
//! machine (`dinit-graph`): each description is split into what the graph must know
//! ([`dinit_graph::Description`]) and what only launching needs ([`ExecSpec`]).
//!
//! * [`Loader::load`] loads one service with everything below it into a graph, as the daemon does.
//! * [`Loader::reload`] reads a loaded service again.
//!
//! * [`check`](check::check) is the loader's queued mode: it reads services breadth first, collects every problem
//!   of all of them, and adds the lints. Checkers and image builders run it.
//!
//! The machine is asked only through the `Host`, so that services can be checked in a root that does not run:
//! [`SystemHost`] reads real files below any root, and other hosts can hold a tree in memory.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod accounts;
mod batch;
pub mod check;
pub mod directories;

mod error;
mod exec;
mod host;
mod load;
mod lower;
mod read;
pub mod references;
mod reload;
mod steps;
mod system;

pub use accounts::Accounts;
pub use error::{Context, Failure, Level, LoadError, Message};
pub use exec::{
    ExecSpec, Executable, InittabEntry, LogFile, LogTarget, Origin, ReadinessPipe, RunAs, RunAsGroup, Socket,
};
pub use host::{ErrorCode, Host, HostError, Kind, Metadata, Opened, Stage, User};
pub use load::{Identity, Loader, Loading, NewService};
pub use reload::Reloading;
pub use system::SystemHost;
