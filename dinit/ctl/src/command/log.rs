//! `catlog`: what a service has printed.

use dinit_protocol::{Reply, Request, Version};

use crate::output::{Failure, Outcome, Output};
use crate::session::{Session, protocol_error_in_command};

/// Prints the buffer, and empties it if that is wanted.
pub(super) fn show(
    session: &mut Session,
    service: &[u8],
    clear: bool,
    output: &mut Output<'_>,
) -> Outcome<u8> {
    session.need_version(Version(2))?;
    let service = session.load(service)?.handle;
    match session.request(&Request::QueryLog { service, clear })? {
        Reply::Log(log) => {
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
