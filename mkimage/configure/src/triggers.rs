//! dpkg's triggers: who waits for what, and what was set off; see `deb-triggers(5)`.

use crate::error::Error;
use crate::package::Package;
use crate::root::Root;
use crate::{database, package};
use std::collections::{BTreeMap, BTreeSet};

/// What packages are interested in, in dpkg's words.
#[derive(Default)]
pub(crate) struct Interests {
    /// Path triggers and who waits for them.
    paths: Vec<(String, Interest)>,
    /// Named triggers and who waits for them.
    names: BTreeMap<String, Vec<Interest>>,
}

/// A package that waits for a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interest {
    package: String,
    awaited: bool,
}

impl Interest {
    fn written(&self) -> String {
        format!("{}{}", self.package, if self.awaited { "" } else { "/noawait" })
    }
}

impl Interests {
    /// Collects what packages declare.
    pub(crate) fn declared_by(packages: &[&Package<'_>]) -> Self {
        let mut interests = Self::default();
        for package in packages {
            for (directive, trigger) in directives(package) {
                let awaited = match directive {
                    "interest" | "interest-await" => true,
                    "interest-noawait" => false,
                    _ => continue,
                };
                let interest = Interest { package: package.qualified_name(), awaited };
                if trigger.starts_with('/') {
                    interests.paths.push((trigger.to_owned(), interest));
                } else {
                    interests.names.entry(trigger.to_owned()).or_default().push(interest);
                }
            }
        }
        interests
    }

    /// Gives the files of `triggers/` with their content.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let lines = self.paths.iter().map(|(path, interest)| format!("{path} {}\n", interest.written()));
        files.insert("File".to_owned(), lines.collect::<String>().into_bytes());
        for (name, interests) in &self.names {
            let lines = interests.iter().map(|interest| format!("{}\n", interest.written()));
            files.insert(name.clone(), lines.collect::<String>().into_bytes());
        }
        files
    }

    /// Gives the packages that wait for a trigger.
    fn waiting_for<'a>(&'a self, trigger: &'a str) -> impl Iterator<Item = &'a str> {
        let paths = self.paths.iter().filter(move |(path, _)| path == trigger).map(|(_, interest)| interest);
        paths.chain(self.names.get(trigger).into_iter().flatten()).map(|interest| interest.package.as_str())
    }

    /// Gives the path triggers that a package's files set off.
    fn touched_by<'a>(&'a self, package: &Package<'_>) -> BTreeSet<&'a str> {
        let mut touched = BTreeSet::new();
        if self.paths.is_empty() {
            return touched;
        }
        for file in &package.control.files {
            let path = package::absolute_path(&file.path);
            let below = |trigger: &str| {
                path.strip_prefix(trigger.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            touched.extend(self.paths.iter().map(|(trigger, _)| trigger.as_str()).filter(|t| below(t)));
        }
        touched
    }
}

/// The triggers that each package still has to be called for.
#[derive(Default)]
pub(crate) struct Pending(BTreeMap<String, BTreeSet<String>>);

impl Pending {
    /// Adds what a package sets off when it is configured: by its files and by its declarations.
    pub(crate) fn add_from(&mut self, package: &Package<'_>, interests: &Interests) {
        for trigger in interests.touched_by(package) {
            self.set_off(interests, trigger);
        }
        for (directive, trigger) in directives(package) {
            if matches!(directive, "activate" | "activate-await" | "activate-noawait") {
                self.set_off(interests, trigger);
            }
        }
    }

    /// Adds what scripts set off with `dpkg-trigger` and empties that list.
    pub(crate) fn take_unincorporated(&mut self, root: &Root, interests: &Interests) -> Result<(), Error> {
        let name = "triggers/Unincorp";
        let list = database::read(root, name)?;
        if list.is_empty() {
            return Ok(());
        }
        for line in String::from_utf8_lossy(&list).lines() {
            if let Some(trigger) = line.split_whitespace().next() {
                self.set_off(interests, trigger);
            }
        }
        database::write(root, name, b"")
    }

    fn set_off(&mut self, interests: &Interests, trigger: &str) {
        for package in interests.waiting_for(trigger) {
            self.0.entry(package.to_owned()).or_default().insert(trigger.to_owned());
        }
    }

    /// Forgets what a package is called for: its configuration covers what was set off before.
    pub(crate) fn forget(&mut self, package: &str) {
        self.0.remove(package);
    }

    /// Takes out the next package with its triggers.
    pub(crate) fn pop(&mut self) -> Option<(String, BTreeSet<String>)> {
        self.0.pop_first()
    }

    /// Gives the names of all triggers that are pending.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.values().flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Counts the packages that have to be called.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Gives the directives of a package's `triggers` file with their triggers.
fn directives<'a>(package: &Package<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let text = std::str::from_utf8(package.member("triggers").unwrap_or_default()).unwrap_or_default();
    text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        Some((words.next()?, words.next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Owner, PackageControl, PackageFile};

    fn control(name: &str, triggers: &str, files: &[&str]) -> PackageControl {
        let mut control = PackageControl::default();
        let stanza = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
        control.members.insert("control".to_owned(), stanza.into_bytes());
        control.members.insert("triggers".to_owned(), triggers.as_bytes().to_vec());
        let file = |path: &&str| PackageFile {
            path: path.as_bytes().to_vec(),
            owner: Owner::default(),
            mode: 0o644,
        };
        control.files = files.iter().map(file).collect();
        control
    }

    #[test]
    fn files_below_a_watched_path_and_activations_by_name_call_who_waits() {
        let watcher =
            control("watcher", "# comment\ninterest-noawait /usr/share/things\ninterest ring\n", &[]);
        let near = control("near", "", &["./usr/share/thingsandmore/x"]);
        let below = control("below", "activate-noawait ring\n", &["./usr/share/things/a"]);
        let controls = [watcher, near, below];
        let packages: Vec<_> = controls.iter().map(|control| Package::read(control).expect("read")).collect();
        let interests = Interests::declared_by(&packages.iter().collect::<Vec<_>>());
        let files = interests.files();
        assert_eq!(files["File"], b"/usr/share/things watcher/noawait\n");
        assert_eq!(files["ring"], b"watcher\n");

        let mut pending = Pending::default();
        pending.add_from(&packages[1], &interests);
        assert_eq!(pending.pop(), None);
        pending.add_from(&packages[2], &interests);
        let expected = ["/usr/share/things", "ring"].map(str::to_owned).into();
        assert_eq!(pending.pop(), Some(("watcher".to_owned(), expected)));
        assert_eq!(pending.pop(), None);
    }
}
