//! Tests of the stage with a real sandbox, so with a program of its own: it becomes the sandbox when told to.
//!
//! `cargo test -p mkimage-configure --test configure -- --debs DIR --into DIR` configures all packages of a
//! directory and says what was done and how long it took, for whoever works on this.

mod bench;
mod small;
mod unpack;
mod world;

use mkimage_configure::SANDBOX_ARGUMENT;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use world::Place;

/// A test: it passes, or it panics, or it cannot run here for the reason it gives.
type Test = fn() -> Result<(), Skipped>;

/// Why a test cannot run on this machine.
pub(crate) struct Skipped(pub String);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == SANDBOX_ARGUMENT) {
        return mkimage_configure::sandbox_main(arguments.into_iter().skip(1));
    }
    let arguments: Vec<String> = arguments.into_iter().filter_map(|text| text.into_string().ok()).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--debs", ..] => bench::run(&arguments),
        ["--hold", folder, place] => match small::hold(Path::new(folder), Place::called(place)) {
            Ok(why) | Err(Skipped(why)) => say(&why),
        },
        ["--portrait", folder, place] => match small::portrait(Path::new(folder), Place::called(place)) {
            Ok(portrait) => say(&portrait),
            Err(Skipped(why)) => say(&format!("skipped: {why}")),
        },
        _ => run_tests(&arguments),
    }
}

/// Prints what another run of this program wants to know.
fn say(text: &str) -> ExitCode {
    if write!(io::stdout(), "{text}").is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the tests whose names have one of the arguments in them, as the usual harness does.
fn run_tests(arguments: &[String]) -> ExitCode {
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_exact = arguments.iter().any(|argument| argument == "--exact");
    let chosen = |name: &str| {
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| if is_exact { name == *filter } else { name.contains(filter.as_str()) })
    };
    let mut out = io::stdout();
    let mut say = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    let mut failed = 0;
    for (name, test) in small::TESTS.iter().filter(|(name, _)| chosen(name)) {
        if arguments.iter().any(|argument| argument == "--list") {
            say(format!("{name}: test"));
            continue;
        }
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(Ok(())) => say(format!("test {name} ... ok")),
            Ok(Err(Skipped(why))) if std::env::var_os("REQUIRE_ALL").is_none() => {
                say(format!("test {name} ... skipped: {why}"));
            }
            Ok(Err(Skipped(why))) => {
                say(format!("test {name} ... FAILED: it cannot run here, and REQUIRE_ALL is set: {why}"));
                failed += 1;
            }
            Err(_) => {
                say(format!("test {name} ... FAILED"));
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
