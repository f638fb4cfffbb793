//! `signal`: signals to the processes of services.

use dinit_protocol::{Reply, Request, Version};

use crate::command_line::SIGNALS;
use crate::output::{Failure, Outcome, Output};
use crate::session::{Session, protocol_error_in_command};

/// Sends a signal to the process of a service.
pub(super) fn send(session: &mut Session, signal: i32, service: &[u8]) -> Outcome<u8> {
    session.need_version(Version(2))?;
    let service = session.load(service)?.handle;
    Err(match session.request(&Request::Signal { service, signal })? {
        Reply::Ack => return Ok(0),
        Reply::NoProcess => Failure::new(
            "could not get valid PID of service; service is not process-based or is in wrong state.",
        ),
        Reply::BadSignal => Failure::new("provided signal was invalid."),
        Reply::KillFailed => Failure::new("failed sending signal to service."),
        _ => protocol_error_in_command(),
    })
}

/// Prints the names that signals can be given by.
pub(super) fn list(output: &mut Output<'_>) -> Outcome<u8> {
    let mut text = String::from("dinitctl: The following signal names are supported:\n");
    for (name, number) in SIGNALS {
        text += &format!("dinitctl: {name:<5}-> {number}\n");
    }
    output.print(text.as_bytes())?;
    Ok(0)
}
