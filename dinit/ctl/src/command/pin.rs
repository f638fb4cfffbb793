//! `unpin`.

use dinit_protocol::{Reply, Request};

use super::done;
use crate::output::{Outcome, Output, text};
use crate::session::{Session, protocol_error_in_command};

/// Removes the pins of a service.
pub(super) fn unpin(session: &mut Session, service: &[u8], output: &mut Output<'_>) -> Outcome<u8> {
    let handle = session.load(service)?.handle;
    match session.request(&Request::Unpin { service: handle })? {
        Reply::Ack => {
            output.tell(text!["Service '", service, "' unpinned."], done("unpin", service, "unpinned"))?;
            Ok(0)
        }
        _ => Err(protocol_error_in_command()),
    }
}
