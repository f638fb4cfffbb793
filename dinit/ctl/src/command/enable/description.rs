//! What the descriptions of the two services say about the dependency.
//!
//! They are read for that alone: what is wrong with the rest of them is for the daemon and `dinit-check` to say.

use dinit_load::{Host as _, HostError, Opened, Stage, SystemHost};
use dinit_service::{
    DependencyKind, FileId, IncludeFault, Level, Parsed, Problem, ServiceName, Source, Sources, Target, parse,
};

use super::DEFAULT_DEPENDENT;
use crate::descriptions::Variables;
use crate::output::{Failure, Outcome, text};
use crate::session::{base_name, joined};

/// The settings whose values decide where the link is and whether it may be made.
const LINKING: [&str; 4] = ["waits-for.d", "waits-for", "depends-on", "depends-ms"];

/// Says that a description cannot be opened.
pub(super) fn unopened(path: &[u8], error: HostError) -> Failure {
    Failure::new(text!["could not open service description file '", path, "': ", error.message()])
}

/// Finds the service that is to depend on another when that was not said: the other may name it.
///
/// Settings are passed over, and no argument of the service is substituted: one description serves all of them.
pub(super) fn dependent_of(
    name: &[u8],
    file: &[u8],
    variables: &Variables,
    unreadable: fn(&[u8], HostError) -> Failure,
) -> Outcome<Vec<u8>> {
    let parsed = read(base_name(name), file, variables, unreadable)?;
    let problems = parsed.problems.iter().chain(&parsed.meta_problems);
    if let Some(fault) = first_fault(problems, |problem| problem.level == Level::Structure) {
        return Err(Failure::new(text!["error loading ", name, ": ", fault]));
    }
    Ok(parsed.enable_via.map_or_else(|| DEFAULT_DEPENDENT.to_vec(), |via| via.value))
}

/// Finds the directory in which a service has its links, making sure that the dependency is not fixed.
pub(super) fn link_directory(from: &[u8], file: &[u8], to: &[u8], variables: &Variables) -> Outcome<Vec<u8>> {
    let unreadable = |path: &[u8], error: HostError| match error.stage {
        Stage::Open => unopened(path, error),
        Stage::Read => Failure::new(text![path, ": ", error.message()]),
    };
    let parsed = read(from, file, variables, unreadable)?;
    let counts = |problem: &Problem| match problem.level {
        Level::Structure | Level::Assignment => true,
        Level::Value => problem.setting.is_some_and(|setting| LINKING.contains(&setting)),
    };
    if let Some(fault) = first_fault(&parsed.problems, counts) {
        return Err(Failure::new(text!["error in service description: ", fault]));
    }
    let mut directories = Vec::new();
    for dependency in &parsed.description.dependencies {
        match (&dependency.value.target, dependency.value.kind) {
            (_, DependencyKind::Preparation) => {}
            (Target::Service(name), _) if name == to => {
                return Err(Failure::new(text![
                    "there is a fixed dependency to service '",
                    to,
                    "' in the service description of '",
                    from,
                    "'."
                ]));
            }
            (Target::Directory(path), DependencyKind::Soft) if !path.is_empty() => {
                let file = parsed.files.get(dependency.place.file.index());
                let base = file.map(|file| file.textual_directory()).unwrap_or_default();
                let is_absolute = path.starts_with(b"/") || base.is_empty();
                directories.push(if is_absolute { path.clone() } else { joined(base, path) });
            }
            (Target::Service(_) | Target::Directory(_), _) => {}
        }
    }
    let mut directories = directories.into_iter();
    match (directories.next(), directories.next()) {
        (Some(directory), None) => Ok(directory),
        (Some(_), Some(_)) => {
            let wrong = "' has multiple waits-for.d directories specified in service description";
            Err(Failure::new(text!["service '", from, wrong]))
        }
        (None, _) => Err(Failure::new(text!["service '", from, "' has no waits-for.d directory specified"])),
    }
}

fn first_fault<'a>(
    problems: impl IntoIterator<Item = &'a Problem>,
    counts: impl Fn(&Problem) -> bool,
) -> Option<Vec<u8>> {
    problems.into_iter().find(|problem| counts(problem)).map(|problem| problem.text.clone())
}

fn read(
    name: &[u8],
    path: &[u8],
    variables: &Variables,
    unreadable: fn(&[u8], HostError) -> Failure,
) -> Outcome<Parsed> {
    let host = SystemHost::new();
    let Opened { text, directory, .. } = host.read(path).map_err(|error| unreadable(path, error))?;
    let mut files = Files { host, directories: vec![directory] };
    Ok(parse(&ServiceName::new(name), Source::new(path, text), variables, &mut files))
}

/// The files that a description includes, relative to the real directory of the one that includes them.
struct Files {
    host: SystemHost,
    directories: Vec<Vec<u8>>,
}

impl Sources for Files {
    fn include(&mut self, includer: FileId, included: FileId, path: &[u8]) -> Result<Vec<u8>, IncludeFault> {
        let directory = self.directories.get(includer.index()).map(Vec::as_slice).unwrap_or_default();
        let is_complete = path.starts_with(b"/") || directory.is_empty();
        let path = if is_complete { path.to_vec() } else { joined(directory, path) };
        let opened = self.host.read(&path).map_err(|error| IncludeFault {
            is_missing: error.is_missing(),
            is_unopened: error.stage == Stage::Open,
            message: error.message(),
        })?;
        self.directories.resize(included.index(), Vec::new());
        self.directories.push(opened.directory);
        Ok(opened.text)
    }
}
