//! `status`, `is-started` and `is-failed`: what is known of one service; none of them loads it.

use dinit_json::Value;
use dinit_protocol::{ServiceState, Status, StopReason, Version};

use crate::output::{Failure, Outcome, Output, text};
use crate::session::{NotLoaded, Session, is_changed, protocol_error_in_command};
use crate::status::document::{Known, service_document};
use crate::status::{describe, state_name};

/// Prints all that is known of a service.
pub(super) fn show(session: &mut Session, name: &[u8], output: &mut Output<'_>) -> Outcome<u8> {
    let service = match session.find(name) {
        Ok(record) => record.handle,
        Err(NotLoaded::Refused(_)) => return Err(Failure::new("service not loaded.")),
        Err(reason) => return Err(reason.into()),
    };
    let file = match session.version() {
        version if version < Version(3) => None,
        _ => Some(session.description_path(service, name)?),
    };
    let status = session.status(service, protocol_error_in_command)?;
    if output.is_json() {
        let modified = match &file {
            Some(file) => Some(is_changed(file, || Ok(status.modified))?),
            None => None,
        };
        let known = Known { file: file.as_deref(), modified, ..Known::default() };
        output.document(&service_document(name, Some(true), Some(&status), &known))?;
        return Ok(0);
    }
    output.print(&text!["Service: ", name, "\n"])?;
    if let Some(file) = file {
        let changed = is_changed(&file, || Ok(status.modified))?;
        let remark = if changed { " (modified since loaded)" } else { "" };
        output.print(&text!["    File: ", file, remark, "\n"])?;
    }
    output.print(describe(&status).as_bytes())?;
    Ok(0)
}

/// Tells by its exit status whether a service is started.
pub(super) fn is_started(session: &mut Session, name: &[u8], output: &mut Output<'_>) -> Outcome<u8> {
    tell(session, name, output, "is_started", |status| status.state == ServiceState::Started)
}

/// Tells by its exit status whether a service has failed to start.
pub(super) fn is_failed(session: &mut Session, name: &[u8], output: &mut Output<'_>) -> Outcome<u8> {
    tell(session, name, output, "is_failed", |status| {
        let failed = match status.reason {
            StopReason::DependencyFailed
            | StopReason::Failed
            | StopReason::ExecFailed
            | StopReason::TimedOut => true,
            StopReason::Normal | StopReason::DependencyRestarted | StopReason::Terminated => false,
        };
        failed && status.state == ServiceState::Stopped
    })
}

fn tell(
    session: &mut Session,
    name: &[u8],
    output: &mut Output<'_>,
    question: &'static str,
    is_so: fn(&Status) -> bool,
) -> Outcome<u8> {
    let answer = |state: Option<&str>, is_so: bool| {
        let state = state.map(str::to_ascii_lowercase);
        [("name", Value::bytes(name)), ("state", state.into()), (question, is_so.into())]
    };
    let Ok(record) = session.find(name) else {
        output.tell_document(answer(None, false))?;
        return Err(Failure::silent());
    };
    let status = session.status(record.handle, protocol_error_in_command)?;
    let state = state_name(status.state);
    output.tell(state, answer(Some(state), is_so(&status)))?;
    Ok(u8::from(!is_so(&status)))
}
