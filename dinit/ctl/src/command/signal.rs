//! `signal`: signals to the processes of services.

use dinit_json::{list, object};
use dinit_options::dinitctl::signals;
use dinit_protocol::{Reply, Request, Version};

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
pub(super) fn names(output: &mut Output<'_>) -> Outcome<u8> {
    if output.is_json() {
        let signal = |(name, number): (&str, i32)| object([("name", name.into()), ("number", number.into())]);
        output.document(&object([("signals", list(signals().map(signal)))]))?;
        return Ok(0);
    }
    let mut text = String::from("dinitctl: The following signal names are supported:\n");
    for (name, number) in signals() {
        text += &format!("dinitctl: {name:<5}-> {number}\n");
    }
    output.print(text.as_bytes())?;
    Ok(0)
}
