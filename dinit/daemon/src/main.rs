//! The dinit init system and service manager.
//!
//! `boot` sets up, `turn` is the loop, `perform` carries out what the graph orders, `ending` closes. Process 1 must
//! not die, block or forget: nothing here panics, waits without a limit, or grows without a bound.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod boot;
mod control;
mod daemon;
mod ending;
mod environment;
mod exec;
mod launch;
mod loading;
mod log;
mod options;
mod output;
mod paths;
mod perform;
mod prompt;
mod reactor;
mod runs;
mod texts;
mod timers;
mod turn;
mod utmp;

use ending::Finish;
use options::{Caller, Invocation};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

/// Keeps small requests from failing when there is no memory; see [`daemon::Daemon::is_short_of_memory`].
#[global_allocator]
static MEMORY: dinit_sys::reserve::Reserve =
    dinit_sys::reserve::Reserve::new(b"dinit: out-of-memory during initialisation\n");

fn main() -> ExitCode {
    let arguments: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let caller = Caller {
        is_process_one: dinit_sys::process::own_pid() == 1,
        is_root: dinit_sys::process::real_uid() == 0,
    };
    let words = arguments.get(1..).unwrap_or_default();
    let options = match options::parse(words, caller, dinit_sys::descriptor::is_open) {
        Ok(Invocation::Run(options)) => *options,
        Ok(Invocation::Version) => return printed(std::io::stdout().write_all(options::VERSION.as_bytes())),
        Ok(Invocation::Help) => return printed(std::io::stdout().write_all(options::help().as_bytes())),
        Err(text) => {
            let _ = std::io::stderr().write_all(&[text, b"\n".to_vec()].concat());
            return ExitCode::FAILURE;
        }
    };
    match boot::start(options, arguments) {
        Ok(mut daemon) => {
            let finish = daemon.run();
            daemon.log.leave_console();
            if finish == Finish::DieByInterrupt {
                dinit_sys::signal::die_by(libc::SIGINT);
            }
            ExitCode::SUCCESS
        }
        Err(reason) => {
            let _ = std::io::stdout().write_all(reason.last_words().as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn printed(outcome: std::io::Result<()>) -> ExitCode {
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
