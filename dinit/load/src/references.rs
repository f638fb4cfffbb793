//! Who names whom, as the descriptions say it: for graphs and lists of services that may not be loaded.
//!
//! This is the loader's reading without its rules: a description with errors still names services, and nothing
//! is loaded. What is missing or wrong is for [`check`](crate::check) to tell.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dinit_service::{DependencyKind, Problem, ServiceName, SourceFile, Target};

use crate::check::MAX_LINKS;
use crate::load::Loader;
use crate::read::{Read, ReadError};
use crate::steps::dependency_directory;
use crate::{Host, Kind};

/// As what one service names another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `depends-on`, `depends-ms`, `waits-for` or `prepared-by`.
    Dependency(DependencyKind),
    /// `before`.
    Before,
    /// `after`.
    After,
    /// `consumer-of`.
    Producer,
    /// `chain-to`.
    Chain,
}

impl Role {
    /// Gives the setting that says it of a single service.
    pub fn setting(self) -> &'static str {
        let of_kind = |kind| DependencyKind::SETTINGS.iter().find(|(_, of)| *of == kind);
        match self {
            Role::Dependency(kind) => of_kind(kind).map_or("depends-on", |(setting, _)| *setting),
            Role::Before => "before",
            Role::After => "after",
            Role::Producer => "consumer-of",
            Role::Chain => "chain-to",
        }
    }
}

/// That one service names another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// As what.
    pub role: Role,
    /// The full name of the other.
    pub name: Vec<u8>,
    /// The dependency directory whose entry it is, if it is one.
    pub directory: Option<Vec<u8>>,
}

/// A service and what its description names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The full name.
    pub name: Vec<u8>,
    /// The path of the description; none if it was not found or cannot be read.
    pub file: Option<Vec<u8>>,
    /// What it names, in the order of the lines; what orders, consumes and chains comes last.
    pub references: Vec<Reference>,
    /// The first thing that is wrong with the description, if anything is.
    pub problem: Option<Vec<u8>>,
}

/// Reads the services named and everything that they refer to, each once, breadth first, as far as `follows` wants
/// it. What a service chains to is not followed: it is loaded when it is due. What is nested deeper than a check goes
/// is not followed either: services with arguments can refer to each other without an end.
pub fn walk(loader: &Loader<'_>, names: &[Vec<u8>], follows: &dyn Fn(&[u8]) -> bool) -> Vec<Named> {
    let mut listed: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut queue: VecDeque<(Vec<u8>, u32)> = VecDeque::new();
    let mut walked = Vec::new();
    let mut add = |name: &Vec<u8>, depth: u32, queue: &mut VecDeque<(Vec<u8>, u32)>| {
        if listed.insert(name.clone()) {
            queue.push_back((name.clone(), depth));
        }
    };
    names.iter().for_each(|name| add(name, 0, &mut queue));
    while let Some((name, depth)) = queue.pop_front() {
        let named = read(loader, &name);
        for reference in named.references.iter().filter(|reference| reference.role != Role::Chain) {
            if depth < MAX_LINKS && follows(&reference.name) {
                add(&reference.name, depth.saturating_add(1), &mut queue);
            }
        }
        walked.push(named);
    }
    walked
}

/// Reads one service.
pub fn read(loader: &Loader<'_>, name: &[u8]) -> Named {
    let service = ServiceName::new(name);
    let mut named = Named { name: name.to_vec(), file: None, references: Vec::new(), problem: None };
    match loader.reader().read(&service) {
        Ok(Read { parsed, .. }) => {
            named.file = parsed.files.first().map(|file: &SourceFile| file.path.clone());
            named.problem = parsed.problems.first().map(|problem: &Problem| problem.text.clone());
            for dependency in &parsed.description.dependencies {
                let role = Role::Dependency(dependency.value.kind);
                match &dependency.value.target {
                    Target::Service(name) => {
                        let reference = Reference { role, name: name.clone(), directory: None };
                        named.references.push(reference);
                    }
                    Target::Directory(path) => {
                        let path = dependency_directory(&parsed.files, dependency.place, path);
                        let entries = loader.host.entries(&path).unwrap_or_default();
                        let valid = entries.into_iter().filter(|name| ServiceName::is_valid(name));
                        let entry = |name| Reference { role, name, directory: Some(path.clone()) };
                        named.references.extend(valid.map(entry));
                    }
                }
            }
            let description = &parsed.description;
            let others = [
                (Role::Before, description.before.as_slice()),
                (Role::After, description.after.as_slice()),
                (Role::Producer, description.consumer_of.as_slice()),
                (Role::Chain, description.chain_to.as_slice()),
            ];
            for (role, names) in others {
                let reference = |name: Vec<u8>| Reference { role, name, directory: None };
                named.references.extend(names.iter().map(|name| reference(name.value.clone())));
            }
        }
        Err(ReadError::NotFound) => named.problem = Some(b"service description not found".to_vec()),
        Err(error) => named.problem = error.text(),
    }
    named
}

/// Lists the services that have a description, with its path, in the order of their names.
///
/// These are the regular files in the service directories with a name that a service can have without an
/// argument; of several with one name the first is the one that is loaded.
pub fn available(host: &dyn Host, directories: &[Vec<u8>]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    for directory in directories {
        // A directory that is not there has no services; the defaults are rarely all there.
        for name in host.entries(directory).unwrap_or_default() {
            let path = crate::read::under(directory, &name);
            let is_description = ServiceName::is_valid(&name)
                && !name.contains(&b'@')
                && !found.contains_key(&name)
                && host.metadata(&path).is_ok_and(|metadata| metadata.kind == Kind::Regular);
            if is_description {
                found.insert(name, path);
            }
        }
    }
    found
}
