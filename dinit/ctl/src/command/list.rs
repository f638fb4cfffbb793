//! `list`: one line for each service.

use dinit_protocol::Reply;

use crate::output::{Outcome, Output, text};
use crate::session::{Session, socket_protocol_error};
use crate::status::{state_box, suffixes};

/// Prints the list as it arrives.
pub(super) fn run(session: &mut Session, output: &mut Output<'_>) -> Outcome<u8> {
    let request = session.connection().list_request();
    let mut reply = session.request(&request)?;
    loop {
        match reply {
            Reply::ServiceInfo { status, name, .. } => {
                output.print(&text![state_box(&status), " ", name, suffixes(&status), "\n"])?;
            }
            Reply::ListDone => return Ok(0),
            _ => return Err(socket_protocol_error()),
        }
        reply = session.connection().reply(request.status_layout())?;
    }
}
