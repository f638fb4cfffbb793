//! `unload` and `reload`.

use dinit_protocol::Request;

use super::{ask, done};
use crate::output::{Failure, Outcome, Output, text};
use crate::session::{NotLoaded, Session, protocol_error_in_command};

/// Unloads a service.
pub(super) fn unload(session: &mut Session, service: &[u8], output: &mut Output<'_>) -> Outcome<u8> {
    let handle = match session.find(service) {
        Ok(record) => record.handle,
        Err(NotLoaded::Refused(_)) => return Err(Failure::new("service not loaded.")),
        Err(reason) => return Err(reason.into()),
    };
    let no = "could not unload service; service not stopped, or is a dependency of another service.";
    ask(session, &Request::Unload { service: handle }, no, protocol_error_in_command)?;
    output.tell(text!["Service '", service, "' unloaded."], done("unload", service, "unloaded"))?;
    Ok(0)
}

/// Has a description read again, or for the first time.
pub(super) fn reload(session: &mut Session, service: &[u8], output: &mut Output<'_>) -> Outcome<u8> {
    match session.find(service) {
        Ok(record) => {
            let no = "could not reload service; service in wrong state, incompatible change, or bad service \
                      description.";
            ask(session, &Request::Reload { service: record.handle }, no, protocol_error_in_command)?;
        }
        Err(NotLoaded::Refused(_)) => {
            session.load(service)?;
        }
        Err(reason) => return Err(reason.into()),
    }
    output.tell(text!["Service '", service, "' reloaded."], done("reload", service, "reloaded"))?;
    Ok(0)
}
