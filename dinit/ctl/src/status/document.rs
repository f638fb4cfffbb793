//! A status as fields of a JSON document. The manual page describes them; they may be added to, never changed.

use dinit_json::{Value, list, object};
use dinit_protocol::{Detail, ExitInfo, ServiceState, Status, StopReason, TargetState};
use dinit_sys::Errno;

use super::{exit_of, is_failed, process_of, state_name};

/// What is known of a service besides its status.
#[derive(Default)]
pub(crate) struct Known<'a> {
    /// The path of its description.
    pub(crate) file: Option<&'a [u8]>,
    /// Whether the description was changed after it was loaded.
    pub(crate) modified: Option<bool>,
    /// The services whose dependency directories name it.
    pub(crate) enabled_by: Option<&'a [Vec<u8>]>,
}

/// Describes a service; what is not known is `null`.
pub(crate) fn service_document(
    name: &[u8],
    loaded: Option<bool>,
    status: Option<&Status>,
    known: &Known<'_>,
) -> Value {
    let target = |target| if target == TargetState::Started { "started" } else { "stopped" };
    let stopped = status.filter(|status| status.state == ServiceState::Stopped);
    let [reason, exit, launch] = reason_fields(stopped);
    object([
        ("name", Value::bytes(name)),
        ("loaded", loaded.into()),
        ("state", status.map(|status| state_word(status.state)).into()),
        ("target", status.map(|status| target(status.target)).into()),
        ("activated", status.map(|status| status.activated).into()),
        ("skipped", status.map(|status| status.skipped).into()),
        ("failed", status.map(is_marked_failed).into()),
        ("pid", status.and_then(process_of).into()),
        reason,
        exit,
        launch,
        ("has_console", status.map(|status| status.has_console).into()),
        ("waiting_for_console", status.map(|status| status.waiting_for_console).into()),
        ("file", known.file.map(Value::bytes).into()),
        ("modified", known.modified.into()),
        (
            "enabled_by",
            known.enabled_by.map(|names| list(names.iter().map(|name| Value::bytes(name)))).into(),
        ),
    ])
}

/// Describes why a service is stopped, if it is.
pub(crate) fn reason_fields(stopped: Option<&Status>) -> [(&'static str, Value); 3] {
    [
        ("stop_reason", stopped.map(|status| reason_word(status.reason)).into()),
        ("exit", stopped.and_then(exit).into()),
        ("launch_failure", stopped.and_then(launch_failure).into()),
    ]
}

/// Says whether a list marks a service as failed.
pub(crate) fn is_marked_failed(status: &Status) -> bool {
    status.state == ServiceState::Stopped && is_failed(status)
}

/// Gives the word for a state.
pub(crate) fn state_word(state: ServiceState) -> String {
    state_name(state).to_ascii_lowercase()
}

fn reason_word(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Normal => "normal",
        StopReason::DependencyRestarted => "dependency-restarted",
        StopReason::DependencyFailed => "dependency-failed",
        StopReason::Failed => "failed",
        StopReason::ExecFailed => "exec-failed",
        StopReason::TimedOut => "timed-out",
        StopReason::Terminated => "terminated",
    }
}

fn exit(status: &Status) -> Option<Value> {
    let ends = matches!(status.reason, StopReason::Failed | StopReason::Terminated);
    let (kind, name, number) = match exit_of(status) {
        ExitInfo { code: ExitInfo::EXITED, status } => ("exited", "status", status),
        ExitInfo { code: ExitInfo::KILLED, status } => ("signalled", "signal", status),
        ExitInfo { code: ExitInfo::DUMPED, status } => ("dumped", "signal", status),
        // Without a code nothing has ended, or it ended well.
        ExitInfo { code: 0, status: 0 } if ends => ("exited", "status", 0),
        _ => return None,
    };
    Some(object([("kind", kind.into()), (name, number.into())]))
}

fn launch_failure(status: &Status) -> Option<Value> {
    let Detail::ExecFailed { stage, errno } = status.detail else { return None };
    Some(object([
        ("stage", stage.description().into()),
        ("errno", errno.into()),
        ("error", Errno(errno).text().as_str().into()),
    ]))
}
