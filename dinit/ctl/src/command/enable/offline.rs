//! Enabling and disabling without a daemon: for a system that does not run, or before it does.

use dinit_load::{Host as _, HostError, SystemHost};

use super::description::unopened;
use crate::descriptions::Place;
use crate::output::{Failure, Outcome, text};
use crate::session::{as_path, base_name, joined};

/// Says that a description that is there cannot be read.
pub(super) fn unreadable(path: &[u8], error: HostError) -> Failure {
    Failure::new(text!["could not read service description file '", path, "': ", error.message()])
}

/// Finds the description of what is to be depended on.
pub(super) fn find_dependency(place: &Place, name: &[u8]) -> Outcome<Vec<u8>> {
    let paths = place.directories.iter().map(|directory| joined(directory, base_name(name)));
    paths
        .into_iter()
        .find(|path| std::fs::metadata(as_path(path)).is_ok())
        .ok_or_else(|| Failure::new(text!["could not locate service file for target service '", name, "'"]))
}

/// Finds the description of the dependent.
pub(super) fn find_dependent(place: &Place, name: &[u8]) -> Outcome<Vec<u8>> {
    let host = SystemHost::new();
    for directory in &place.directories {
        let path = joined(directory, name);
        match host.metadata(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(unopened(&path, error)),
        }
    }
    Err(Failure::new(text!["could not locate service file for service '", name, "'"]))
}
