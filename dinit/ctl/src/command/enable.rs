//! `enable` and `disable`: dependencies that outlast the daemon, as links in a directory of the dependent.
//!
//! What is read and decided is the same with a daemon and without one; [`Place`] is what differs: where the
//! descriptions are, which variables are substituted in them, and whether anybody must be told.

mod description;
mod offline;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use dinit_json::Value;
use dinit_protocol::{
    DependencyKind, DependencyRequest, Handle, Reply, Request, ServiceState, Status, StatusLayout,
    TargetState, Version,
};
use dinit_sys::error_text;

use super::change::{Ending, wait_for_start};
use crate::command_line::General;
use crate::descriptions::{Place, Variables};
use crate::host::Host;
use crate::output::{Failure, Outcome, Output, text};
use crate::session::{Session, as_path, base_name, joined, socket_protocol_error};

/// The service that depends on what is enabled unless something else is said.
const DEFAULT_DEPENDENT: &[u8] = b"boot";

/// What is to be done to which dependency.
pub(super) struct Edit<'a> {
    pub(super) action: Action,
    /// The dependent, if it was given.
    pub(super) from: Option<&'a [u8]>,
    /// What it is to depend on, or no longer.
    pub(super) to: &'a [u8],
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Enable,
    Disable,
}

impl Action {
    /// Gives the word of the command.
    fn command(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }

    /// Says that it was done.
    fn done(self) -> &'static str {
        match self {
            Self::Enable => "enabled",
            Self::Disable => "disabled",
        }
    }
}

/// Carries out the edit.
pub(super) fn run(edit: &Edit<'_>, general: &General, host: &Host, output: &mut Output<'_>) -> Outcome<u8> {
    if edit.from.is_some_and(|from| from.contains(&b'@')) {
        return Err(Failure::new("cannot enable/disable from a service with argument (service@arg)."));
    }
    if general.offline {
        let place = Place::offline(general, host)?;
        let to_file = offline::find_dependency(&place, edit.to)?;
        let from = match edit.from {
            Some(from) => from.to_vec(),
            None => description::dependent_of(edit.to, &to_file, &place.variables, offline::unreadable)?,
        };
        let from_file = offline::find_dependent(&place, &from)?;
        let link = Link::find(edit, &from, &from_file, &to_file, &place.variables)?;
        link.change(edit.action)?;
        output.say(line_of(edit))?;
        return tell_document(edit, &from, None, output);
    }
    online(edit, &mut Session::open(general, host)?, output)
}

fn online(edit: &Edit<'_>, session: &mut Session, output: &mut Output<'_>) -> Outcome<u8> {
    session.need_version(Version(3))?;
    let variables = match session.request(&Request::QueryEnvironment)? {
        Reply::Environment(environment) => Variables::parse(&environment),
        _ => return Err(crate::session::protocol_error()),
    };
    let to = session.load(edit.to)?.handle;
    let to_file = session.description_path(to, edit.to)?;
    let from_name = match edit.from {
        Some(from) => from.to_vec(),
        None => description::dependent_of(edit.to, &to_file, &variables, description::unopened)?,
    };
    let from = session.load(&from_name)?;
    let from_file = session.description_path(from.handle, &from_name)?;
    let link = Link::find(edit, &from_name, &from_file, &to_file, &variables)?;
    if edit.action == Action::Enable && from.state != ServiceState::Started {
        output.warn("warning: enabling dependency for non-started service")?;
    }
    let dependency = DependencyRequest { kind: DependencyKind::WaitsFor, from: from.handle, to };
    let reported = tell_daemon(edit.action, dependency, session)?;
    if let Err(failure) = link.change(edit.action) {
        let (done, what) = (edit.action.done(), edit.action.command());
        return Err(failure.and(text![
            "note: service was ",
            done,
            " for now; persistent ",
            what,
            " failed."
        ]));
    }
    output.say(line_of(edit))?;
    let status = match reported {
        Some(status) => status,
        None => status_of(to, session)?,
    };
    match edit.action {
        Action::Enable => {
            let is_on_its_way =
                status.state != ServiceState::Started && status.target == TargetState::Started;
            let is_decided = reported.is_none() && session.has_start_outcome(to);
            let start = match is_on_its_way || is_decided {
                true => {
                    output.flush()?;
                    let ending = wait_for_start(session, to)?;
                    output.say(ending.line(edit.to))?;
                    Some(ending)
                }
                false => None,
            };
            tell_document(edit, &from_name, start, output)
        }
        Action::Disable => {
            if status.target != TargetState::Stopped {
                output.warn("note: disabled service may have other dependents")?;
            }
            tell_document(edit, &from_name, None, output)
        }
    }
}

/// Has the running daemon do the same; gives the status of the dependency if it came with the answer.
fn tell_daemon(
    action: Action,
    dependency: DependencyRequest,
    session: &mut Session,
) -> Outcome<Option<Status>> {
    let request = match action {
        Action::Enable if session.version() >= Version::WITH_ENABLE_7 => {
            Request::EnableReportingStatus(dependency)
        }
        Action::Enable => Request::Enable(dependency),
        Action::Disable => Request::RemoveDependency(dependency),
    };
    match session.request(&request)? {
        Reply::Ack => Ok(None),
        Reply::Status { status, .. } => Ok(Some(status)),
        Reply::Nak => Err(Failure::new(match action {
            Action::Enable => "could not enable service: possible circular dependency",
            Action::Disable => "service not currently enabled",
        })),
        _ => Err(socket_protocol_error()),
    }
}

fn status_of(service: Handle, session: &mut Session) -> Outcome<Status> {
    let new = session.version() >= Version::WITH_STATUS_5;
    let layout = if new { StatusLayout::V5 } else { StatusLayout::V1 };
    match session.request(&Request::QueryStatus { service, layout })? {
        Reply::Status { status, .. } => Ok(status),
        _ => Err(socket_protocol_error()),
    }
}

fn line_of(edit: &Edit<'_>) -> Vec<u8> {
    text!["Service '", edit.to, "' has been ", edit.action.done(), "."]
}

/// Tells in a document what was done and how the start that followed came out; gives the exit status.
fn tell_document(
    edit: &Edit<'_>,
    from: &[u8],
    start: Option<Ending>,
    output: &mut Output<'_>,
) -> Outcome<u8> {
    let mut fields = vec![
        ("command", edit.action.command().into()),
        ("service", Value::bytes(edit.to)),
        ("from", Value::bytes(from)),
        ("result", edit.action.done().into()),
        ("start", start.map(Ending::word).into()),
    ];
    fields.extend(start.unwrap_or(Ending::Started).reason());
    output.tell_document(fields)?;
    Ok(start.map_or(0, Ending::status))
}

/// The link that makes the dependency last.
struct Link {
    path: Vec<u8>,
    target: Vec<u8>,
}

impl Link {
    /// Works out where the link is, or is to be, and whether it may be changed.
    fn find(
        edit: &Edit<'_>,
        from: &[u8],
        from_file: &[u8],
        to_file: &[u8],
        variables: &Variables,
    ) -> Outcome<Self> {
        let directory = description::link_directory(from, from_file, edit.to, variables)?;
        let path = joined(&directory, edit.to);
        match fs::symlink_metadata(as_path(&path)) {
            Ok(_) if edit.action == Action::Enable => return Err(Failure::new("service already enabled.")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = "checking for existing dependency link: ";
                return Err(Failure::new(text![what, path, ": ", error_text(&error)]));
            }
            Ok(_) | Err(_) => {}
        }
        let target = link_target(&directory, to_file, edit.to);
        Ok(Self { path, target })
    }

    fn change(&self, action: Action) -> Outcome<()> {
        let path = as_path(&self.path);
        let (changed, what) = match action {
            Action::Enable => (symlink(as_path(&self.target), path), "could not create symlink at "),
            Action::Disable => (fs::remove_file(path), "could not unlink dependency entry "),
        };
        changed.map_err(|error| Failure::new(text![what, self.path, ": ", error_text(&error)]))
    }
}

/// Works out what the link says: the way to the description, relative where it is near.
fn link_target(directory: &[u8], to_file: &[u8], to: &[u8]) -> Vec<u8> {
    let end = directory.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let parent = directory[..end].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    match to_file.strip_prefix(&directory[..parent]).and_then(|rest| rest.strip_prefix(b"/")) {
        Some(below) => text!["../", below],
        None if to_file.starts_with(b"/") => to_file.to_vec(),
        None => text!["../", base_name(to)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_relative_only_if_the_description_is_below_the_same_directory() {
        for (directory, file, to, target) in [
            ("/srv/sd/boot.d", "/srv/sd/foo", "foo@x", "../foo"),
            ("/srv/sd/boot.d/", "/srv/sd/foo", "foo", "../foo"),
            ("/srv/sd/boot.d", "/opt/sd/foo", "foo", "/opt/sd/foo"),
            ("/srv/sd/boot.d", "/srv/sdx/foo", "foo", "/srv/sdx/foo"),
            ("/srv/sd/boot.d", "/srv/sd/more/foo", "foo", "../more/foo"),
            ("sd/boot.d", "sd/foo", "foo", "../foo"),
            ("sd/boot.d", "other/foo", "foo@y", "../foo"),
        ] {
            let found = link_target(directory.as_bytes(), file.as_bytes(), to.as_bytes());
            assert_eq!(String::from_utf8(found).unwrap(), target, "{directory} {file}");
        }
    }
}
