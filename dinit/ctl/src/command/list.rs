//! `list`: one line for each service, or one document for all.

use std::collections::{BTreeMap, BTreeSet};

use dinit_json::{Value, list, object};
use dinit_load::references::{self, Role};
use dinit_protocol::{Reply, Status};
use dinit_service::DependencyKind;

use crate::command_line::{General, Listed};
use crate::descriptions::Place;
use crate::host::Host;
use crate::output::{Outcome, Output, text};
use crate::session::{Session, base_name, socket_protocol_error};
use crate::status::document::{Known, is_marked_failed, service_document};
use crate::status::{state_box, suffixes};

/// What stands in front of a service that is not loaded: a box with nothing in it.
const NOT_LOADED: &str = "[        ]";

/// Prints the services that meet the conditions.
pub(super) fn run(listed: Listed, general: &General, host: &Host, output: &mut Output<'_>) -> Outcome<u8> {
    if general.offline {
        let found = Found::below(&Place::offline(general, host)?, listed);
        return found.print(listed, None, output);
    }
    let mut session = Session::open(general, host)?;
    if listed.enabled || listed.available {
        let found = Found::below(&Place::of_daemon(&mut session)?, listed);
        let mut loaded = BTreeMap::new();
        each(&mut session, |name, status| {
            loaded.insert(name, status);
            Ok(())
        })?;
        return found.print(listed, Some(&loaded), output);
    }
    let mut documents = Vec::new();
    each(&mut session, |name, status| {
        if listed.failed && !is_marked_failed(&status) {
            return Ok(());
        }
        if output.is_json() {
            documents.push(service_document(&name, Some(true), Some(&status), &Known::default()));
            return Ok(());
        }
        output.print(&line(&name, &status))
    })?;
    finish(documents, output)
}

/// Takes the services one by one, as they arrive.
pub(super) fn each(
    session: &mut Session,
    mut take: impl FnMut(Vec<u8>, Status) -> Outcome<()>,
) -> Outcome<()> {
    let request = session.connection().list_request();
    let mut reply = session.request(&request)?;
    loop {
        match reply {
            Reply::ServiceInfo { status, name, .. } => take(name, status)?,
            Reply::ListDone => return Ok(()),
            _ => return Err(socket_protocol_error()),
        }
        reply = session.connection().reply(request.status_layout())?;
    }
}

fn line(name: &[u8], status: &Status) -> Vec<u8> {
    text![state_box(status), " ", name, suffixes(status), "\n"]
}

fn finish(documents: Vec<Value>, output: &mut Output<'_>) -> Outcome<u8> {
    if output.is_json() {
        output.document(&object([("services", list(documents))]))?;
    }
    Ok(0)
}

/// What the service directories say.
struct Found {
    /// The descriptions, with their paths.
    available: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What is enabled, with the services that it is enabled for.
    enabled: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Found {
    fn below(place: &Place, listed: Listed) -> Self {
        let loader = place.loader();
        let available = references::available(loader.host, &place.directories);
        let mut enabled: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for dependent in available.keys().filter(|_| listed.enabled) {
            for reference in references::read(&loader, dependent).references {
                let is_soft = reference.role == Role::Dependency(DependencyKind::Soft);
                if is_soft && reference.directory.is_some() {
                    enabled.entry(reference.name).or_default().push(dependent.clone());
                }
            }
        }
        Self { available, enabled }
    }

    /// Prints what meets the conditions in the order of the names, with the status where that is known.
    fn print(
        &self,
        listed: Listed,
        loaded: Option<&BTreeMap<Vec<u8>, Status>>,
        output: &mut Output<'_>,
    ) -> Outcome<u8> {
        let names: BTreeSet<&Vec<u8>> =
            if listed.enabled { self.enabled.keys().collect() } else { self.available.keys().collect() };
        let mut documents = Vec::new();
        for name in names {
            let status = loaded.and_then(|loaded| loaded.get(name));
            let file = self.available.get(base_name(name));
            if listed.failed && !status.is_some_and(is_marked_failed) || listed.available && file.is_none() {
                continue;
            }
            if output.is_json() {
                let enabled_by = self.enabled.get(name).map(Vec::as_slice);
                let known = Known { file: file.map(Vec::as_slice), enabled_by, ..Known::default() };
                let is_loaded = loaded.map(|loaded| loaded.contains_key(name));
                documents.push(service_document(name, is_loaded, status, &known));
                continue;
            }
            output.print(&match (status, loaded) {
                (Some(status), _) => line(name, status),
                (None, Some(_)) => text![NOT_LOADED, " ", name, "\n"],
                (None, None) => text![name, "\n"],
            })?;
        }
        finish(documents, output)
    }
}
