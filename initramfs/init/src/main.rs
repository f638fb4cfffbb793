//! Static PID 1 of the initramfs: finds the root file system, mounts it, and lets its init take over.
//!
//! The way through: [`plan`] decides, from the kernel command line and one file of the image builder, what will be
//! done; [`perform`] does it. A step that cannot be done ends in a report on the console and the end of PID 1, which
//! is a kernel panic: with `panic=-1` on the command line whoever watches the machine sees it at once.
//!
//! Deliberately absent: a shell, udev, LVM, networks, file system checks. What needs those needs another initramfs.

mod blocks;
mod cmdline;
mod enter;
mod failure;
mod partition;
mod perform;
mod plan;
mod superblock;
mod uevent;

use std::fs;
use std::process::ExitCode;

use initramfs_config::Config;

use crate::failure::{Evidence, Failure, report, say};
use crate::perform::{Found, error_text, perform};

fn main() -> ExitCode {
    if std::process::id() != 1 {
        say("initramfs-init: this is the first program of an initramfs, and of no use otherwise\n");
        return ExitCode::from(2);
    }
    if let Err(failure) = run() {
        report(&failure);
    }
    ExitCode::FAILURE
}

/// Returns only with a failure: at the end of the plan another program has taken our place.
fn run() -> Result<(), Failure> {
    let mut found = Found::default();
    for step in plan::early() {
        perform(&step, &mut found)?;
    }
    for step in read_plan()? {
        perform(&step, &mut found)?;
    }
    Ok(())
}

fn read_plan() -> Result<Vec<plan::Step>, Failure> {
    let command_line = fs::read("/proc/cmdline").map_err(|error| Failure {
        step: "read `/proc/cmdline`".to_owned(),
        cause: error_text(&error),
        evidence: Evidence::Nothing,
        help: "use a kernel that is built with the proc file system",
    })?;
    let config = read_config()?;
    plan::plan(&command_line, &config).map_err(|bad| Failure {
        step: format!("use `{}`", bad.word),
        cause: format!("it {}", bad.problem),
        evidence: Evidence::Nothing,
        help: bad.help,
    })
}

fn read_config() -> Result<Config, Failure> {
    let path = initramfs_config::PATH;
    let failure = |cause| Failure {
        step: format!("read `{path}`"),
        cause,
        evidence: Evidence::Nothing,
        help: "build the initramfs again",
    };
    let text = fs::read_to_string(path).map_err(|error| failure(error_text(&error)))?;
    initramfs_config::parse(&text)
        .map_err(|problems| failure(problems.iter().map(|p| p.to_string()).collect::<Vec<_>>().join("; ")))
}
