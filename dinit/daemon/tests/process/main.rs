//! The daemon as a process, with real children: the rows B1 to B42 and N1 to N12 of the
//! specification (DN 18), and more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command_line;
mod control;
mod exchanges;
mod failures;
mod kinds;
mod launching;
mod manager;
mod output;
mod world;
