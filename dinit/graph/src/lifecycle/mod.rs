//! What the start and stop actions of each type are, and what the end of a process means to it.
//!
//! `run.rs` launches, signals and times; it finds out which process an event is about and asks the type of the
//! service what that means: `process.rs` for process and bgprocess, `bgprocess.rs` for what only a daemon with a
//! pid file has, `scripted.rs` for start and stop commands. Internal and triggered services have nothing that could
//! end; their actions are complete where they begin, in `transition.rs`.

mod bgprocess;
mod process;
mod run;
mod scripted;
