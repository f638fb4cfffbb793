//! `catlog`: what a service has printed.

use dinit_json::{Value, object};
use dinit_protocol::{Reply, Request, Version};

use crate::output::{Failure, Outcome, Output};
use crate::session::{Session, protocol_error_in_command};

/// Prints the buffer, and empties it if that is wanted.
pub(super) fn show(session: &mut Session, name: &[u8], clear: bool, output: &mut Output<'_>) -> Outcome<u8> {
    session.need_version(Version(2))?;
    let service = session.load(name)?.handle;
    match session.request(&Request::QueryLog { service, clear })? {
        Reply::Log(log) => {
            if output.is_json() {
                let is_complete = log.last().is_none_or(|last| *last == b'\n');
                output.document(&object([
                    ("service", Value::bytes(name)),
                    ("log", Value::bytes(&log)),
                    ("complete", is_complete.into()),
                ]))?;
                return Ok(0);
            }
            output.print(&log)?;
            if log.last().is_some_and(|last| *last != b'\n') {
                output.print(b"\n(last line is truncated or incomplete)\n")?;
            }
            Ok(0)
        }
        Reply::Nak => Err(Failure::new("cannot cat log for service not configured to buffer output.")),
        _ => Err(protocol_error_in_command()),
    }
}
