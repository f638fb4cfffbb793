//! `graph`: what depends on what.
//!
//! The protocol does not tell dependencies, so they are read from the descriptions, with the loader of the
//! daemon. With a daemon, its directories and environment are used and only what it has loaded is followed; what
//! `add-dep` and `rm-dep` have changed since is not seen, and a description that was changed after it was loaded
//! is marked.

mod draw;

use std::collections::BTreeMap;

use dinit_load::references::{self, Named};
use dinit_protocol::{Status, Version};

use super::list::each;
use crate::command_line::General;
use crate::descriptions::Place;
use crate::host::Host;
use crate::output::{Failure, Outcome, Output, text};
use crate::session::{Session, is_changed, protocol_error_in_command};

/// The service with which a daemon begins.
const FIRST: &[u8] = b"boot";

/// One service of the graph.
struct Node {
    named: Named,
    /// What the daemon knows of it; none without a daemon, or if it is not loaded.
    status: Option<Status>,
    /// Whether the description was changed after it was loaded.
    modified: bool,
}

/// The services in the order in which they are shown.
struct Drawing {
    nodes: Vec<Node>,
    /// Whether a daemon was asked.
    is_online: bool,
}

/// Prints the graph below the services named, or of all that are loaded.
pub(super) fn run(
    services: &[Vec<u8>],
    dot: bool,
    general: &General,
    host: &Host,
    output: &mut Output<'_>,
) -> Outcome<u8> {
    let drawing = match general.offline {
        true => offline(services, &Place::offline(general, host)?)?,
        false => online(services, &mut Session::open(general, host)?)?,
    };
    if output.is_json() {
        output.document(&drawing.document())?;
    } else if dot {
        output.print(&drawing.dot())?;
    } else {
        output.print(&drawing.text())?;
    }
    Ok(0)
}

fn offline(services: &[Vec<u8>], place: &Place) -> Outcome<Drawing> {
    let first = [FIRST.to_vec()];
    let begin = if services.is_empty() { &first } else { services };
    let walked = references::walk(&place.loader(), begin, &|_| true);
    for name in begin {
        let missing = walked.iter().find(|named| named.name == *name && named.file.is_none());
        if let Some(Named { problem: Some(problem), .. }) = missing {
            return Err(Failure::new(text!["cannot show service '", name, "': ", problem]));
        }
    }
    let node = |named| Node { named, status: None, modified: false };
    Ok(Drawing { nodes: walked.into_iter().map(node).collect(), is_online: false })
}

fn online(services: &[Vec<u8>], session: &mut Session) -> Outcome<Drawing> {
    let place = Place::of_daemon(session)?;
    let mut names = Vec::new();
    let mut loaded = BTreeMap::new();
    each(session, |name, status| {
        names.push(name.clone());
        loaded.insert(name, status);
        Ok(())
    })?;
    if services.iter().any(|name| !loaded.contains_key(name)) {
        return Err(Failure::new("service not loaded."));
    }
    let begin = if services.is_empty() { &names } else { services };
    let walked = references::walk(&place.loader(), begin, &|name| loaded.contains_key(name));
    let mut nodes = Vec::new();
    for named in walked {
        let status = loaded.get(&named.name).copied();
        let modified = is_modified(session, &named)?;
        nodes.push(Node { named, status, modified });
    }
    Ok(Drawing { nodes, is_online: true })
}

/// Says whether a description is not the one that was loaded.
fn is_modified(session: &mut Session, named: &Named) -> Outcome<bool> {
    let Some(file) = named.file.as_ref().filter(|_| session.version() >= Version::WITH_STATUS_6) else {
        return Ok(false);
    };
    // It may have been unloaded since the list was made.
    let Ok(record) = session.find(&named.name) else { return Ok(false) };
    let changed =
        is_changed(file, || Ok(session.status(record.handle, protocol_error_in_command)?.modified))?;
    session.close(record.handle)?;
    Ok(changed)
}
