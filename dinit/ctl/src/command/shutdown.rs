//! `shutdown`: stops everything, and waits until the daemon is gone.

use dinit_protocol::{Reply, Request, ShutdownKind};

use crate::output::{Outcome, Output};
use crate::session::{Session, socket_protocol_error};

/// Has everything stopped.
pub(super) fn run(session: &mut Session, output: &mut Output<'_>) -> Outcome<u8> {
    match session.request(&Request::Shutdown { kind: ShutdownKind::Halt })? {
        Reply::Ack => output.say("Shutting down dinit...")?,
        _ => return Err(socket_protocol_error()),
    }
    output.flush()?;
    // Whatever ends the stream of events is the end of the daemon.
    while session.connection().event(None).is_ok() {}
    let fields = [("command", "shutdown".into()), ("result", "connection-closed".into())];
    output.tell("Connection closed.", fields)?;
    Ok(0)
}
