//! What a person reads when the root cannot be entered: the step, the cause, what was there instead, the way on.

use std::fs;
use std::io::{self, Write};

use nix::sys::termios::tcdrain;

use crate::blocks;

/// Why a step could not be done.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What was to be done: `mount the root …`.
    pub(crate) step: String,
    /// Why it could not be.
    pub(crate) cause: String,
    /// What to look at instead.
    pub(crate) evidence: Evidence,
    /// What to do about it.
    pub(crate) help: &'static str,
}

/// What helps to understand a failure, gathered when it is reported.
#[derive(Debug)]
pub(crate) enum Evidence {
    /// Nothing beside the cause.
    Nothing,
    /// The block devices and the modules that there are.
    Devices,
    /// The names in a folder.
    Folder(&'static str),
}

/// Prints a failure on the console, and waits until it is out.
///
/// The first line begins with `initramfs: cannot `, always, for whoever watches the console.
pub(crate) fn report(failure: &Failure) {
    let mut text = String::from("\ninitramfs: cannot ");
    for part in [&failure.step, ": ", &failure.cause, "\n"] {
        text.push_str(part);
    }
    match failure.evidence {
        Evidence::Nothing => {}
        Evidence::Devices => {
            push_list(
                &mut text,
                "block devices",
                blocks::all().iter().map(blocks::Block::describe).collect(),
            );
            push_list(&mut text, "modules loaded", loaded_modules());
        }
        Evidence::Folder(folder) => push_list(&mut text, folder, names_in(folder)),
    }
    for part in ["initramfs: help: ", failure.help, "\n"] {
        text.push_str(part);
    }
    say(&text);
    // The kernel panics when we end; what is still on its way to a serial line would be lost.
    let _ = tcdrain(io::stderr());
}

/// Writes on the console; there is nowhere to complain if that fails.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes a line to the kernel log, where it gets a time and obeys `quiet`.
pub(crate) fn log(line: &str) {
    let mut text = String::from("<6>initramfs: ");
    text.push_str(line);
    let _ = fs::write("/dev/kmsg", text);
}

fn push_list(text: &mut String, what: &str, mut items: Vec<String>) {
    items.sort();
    for part in ["initramfs: ", what, ": "] {
        text.push_str(part);
    }
    text.push_str(&if items.is_empty() { "none".to_owned() } else { items.join(", ") });
    text.push('\n');
}

fn loaded_modules() -> Vec<String> {
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    modules.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn names_in(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
