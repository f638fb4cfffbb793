//! The checks that need the whole description, in the words of the reference.
//!
//! A loader makes them in this order, with the substitution of commands and paths before the last:
//! [`missing_command`], [`background`], [`kill_all`], [`consumer`].

use alloc::vec::Vec;

use crate::{Options, Problem, ServiceDescription, ServiceType};

/// Finds a command that is missing where the type needs one.
pub fn missing_command(description: &ServiceDescription) -> Option<Problem> {
    (description.service_type.runs_commands() && !has_command(&description.command)).then(|| {
        Problem::plain("'command' setting not specified.")
            .with_help("add a `command = ...` line, or use `type = internal`")
    })
}

/// Finds what a bgprocess service lacks or must not have.
pub fn background(description: &ServiceDescription) -> Vec<Problem> {
    let mut problems = Vec::new();
    if description.service_type != ServiceType::BgProcess {
        return problems;
    }
    if description.pid_file.is_none() {
        problems.push(
            Problem::plain("process ID file ('pid-file') not specified for bgprocess service.")
                .with_help("add `pid-file = PATH`, the file that the program writes its process id to"),
        );
    }
    if description.readiness.is_expected() {
        problems.push(
            Problem::plain(
                "readiness notification ('ready-notification') is not supported for bgprocess services.",
            )
            .with_help("use `type = process` and keep the program in the foreground"),
        );
    }
    problems
}

/// Finds `kill-all-on-stop` where it would kill the service itself.
pub fn kill_all(description: &ServiceDescription) -> Option<Problem> {
    let is_allowed = matches!(description.service_type, ServiceType::Scripted | ServiceType::Internal);
    (description.options.contains(Options::KILL_ALL_ON_STOP) && !is_allowed).then(|| {
        Problem::plain("kill-all-on-stop can only be set on scripted or internal services.")
            .with_help("move the option to an internal service that this one depends on")
    })
}

/// Finds a log consumer that has no process to read the log.
pub fn consumer(description: &ServiceDescription) -> Option<Problem> {
    (description.consumer_of.is_some() && !description.service_type.has_process()).then(|| {
        Problem::plain(
            "only a process or bgprocess service can be a log consumer ('consumer-of') another service.",
        )
        .with_help("use `type = process`")
    })
}

/// Tells whether command words count as a command: `command = ""` does not.
pub fn has_command(words: &[Vec<u8>]) -> bool {
    match words {
        [] => false,
        [only] => !only.is_empty(),
        _ => true,
    }
}
