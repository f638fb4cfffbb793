//! `trigger` and `untrigger`.

use dinit_protocol::{Request, Version};

use super::ask;
use crate::output::Outcome;
use crate::session::{Session, protocol_error_in_command};

/// Sets or clears the trigger of a service.
pub(super) fn set(session: &mut Session, service: &[u8], set: bool) -> Outcome<u8> {
    session.need_version(Version(2))?;
    let service = session.load(service)?.handle;
    let no = "cannot trigger a service that is not of 'triggered' type.";
    ask(session, &Request::SetTrigger { service, set }, no, protocol_error_in_command)?;
    Ok(0)
}
