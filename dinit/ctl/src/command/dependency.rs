//! `add-dep` and `rm-dep`: dependencies of the running daemon, written down nowhere.

use dinit_json::Value;
use dinit_protocol::{DependencyKind, DependencyRequest, Request};

use super::ask;
use crate::command_line::DEPENDENCY_KINDS;
use crate::output::{Failure, Outcome, Output, text};
use crate::session::{Session, socket_protocol_error};

/// Adds a dependency.
pub(super) fn add(
    session: &mut Session,
    kind: DependencyKind,
    from: &[u8],
    to: &[u8],
    output: &mut Output<'_>,
) -> Outcome<u8> {
    let request = Request::AddDependency(load_both(session, kind, from, to)?);
    let no = "could not add dependency: circular dependency or wrong state";
    ask(session, &request, no, socket_protocol_error)?;
    output.tell(
        text!["Service '", from, "': dependency '", to, "' added"],
        changed("add-dep", kind, from, to, "added"),
    )?;
    Ok(0)
}

/// Removes a dependency.
pub(super) fn remove(
    session: &mut Session,
    kind: DependencyKind,
    from: &[u8],
    to: &[u8],
    output: &mut Output<'_>,
) -> Outcome<u8> {
    let request = Request::RemoveDependency(load_both(session, kind, from, to)?);
    ask(session, &request, "no such dependency to remove", socket_protocol_error)?;
    output.tell(
        text!["Service '", from, "': dependency '", to, "' removed"],
        changed("rm-dep", kind, from, to, "removed"),
    )?;
    Ok(0)
}

fn changed(
    command: &'static str,
    kind: DependencyKind,
    from: &[u8],
    to: &[u8],
    result: &'static str,
) -> [(&'static str, Value); 5] {
    let kind = DEPENDENCY_KINDS.iter().find(|(_, of)| *of == kind).map(|(word, _)| *word);
    [
        ("command", command.into()),
        ("type", kind.into()),
        ("from", Value::bytes(from)),
        ("to", Value::bytes(to)),
        ("result", result.into()),
    ]
}

fn load_both(
    session: &mut Session,
    kind: DependencyKind,
    from: &[u8],
    to: &[u8],
) -> Outcome<DependencyRequest> {
    let from = session.load(from)?.handle;
    let to = session.load(to)?.handle;
    if from == to {
        return Err(Failure::new("can not add/remove a dependency from a service to itself"));
    }
    Ok(DependencyRequest { kind, from, to })
}
