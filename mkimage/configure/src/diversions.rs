//! What `dpkg-divert` and `dpkg-statoverride` leave to the unpacking that, for dpkg, comes after the `preinst`.
//!
//! Here the files are there already when the `preinst` runs, so what it arranged is done to them afterwards: a file
//! that another package ships moves to its diverted name, and an override's owner and mode are applied.

use crate::accounts::Accounts;
use crate::error::Error;
use crate::package::Package;
use crate::root::Root;
use crate::sandbox::{Sandbox, mode_on_disk};
use crate::{Owner, database};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

/// The arrangements that are done already.
#[derive(Default)]
pub(crate) struct Arrangements {
    diversions: Vec<u8>,
    overrides: Vec<u8>,
}

impl Arrangements {
    /// Does what has been arranged since the last time.
    pub(crate) fn follow(
        &mut self,
        root: &Root,
        owners: &FileOwners<'_>,
        sandbox: &mut Sandbox,
    ) -> Result<(), Error> {
        let diversions = database::read(root, "diversions")?;
        if diversions != self.diversions {
            for diversion in Diversion::parse(&diversions) {
                diversion.apply(root, owners)?;
            }
            self.diversions = diversions;
        }
        let overrides = database::read(root, "statoverride")?;
        if overrides != self.overrides {
            apply_overrides(root, &overrides, &self.overrides, sandbox)?;
            self.overrides = overrides;
        }
        Ok(())
    }
}

/// Which packages ship a path.
pub(crate) struct FileOwners<'a>(BTreeMap<Vec<u8>, BTreeSet<&'a str>>);

impl<'a> FileOwners<'a> {
    /// Collects the paths of all packages.
    pub(crate) fn of(packages: &'a [Package<'_>]) -> Self {
        let mut owners: BTreeMap<Vec<u8>, BTreeSet<&str>> = BTreeMap::new();
        for package in packages {
            for file in &package.control.files {
                owners.entry(file.listed_path()).or_default().insert(&package.name);
            }
        }
        Self(owners)
    }

    /// Whether any package but the named one ships the path.
    fn ships_beside(&self, path: &[u8], package: &[u8]) -> bool {
        self.0.get(path).is_some_and(|names| names.iter().any(|name| name.as_bytes() != package))
    }
}

/// One entry of `diversions`: three lines.
#[derive(Debug, PartialEq, Eq)]
struct Diversion<'a> {
    from: &'a [u8],
    to: &'a [u8],
    /// The package whose own file stays where it is; `:` for the administrator.
    package: &'a [u8],
}

impl<'a> Diversion<'a> {
    fn parse(text: &'a [u8]) -> Vec<Self> {
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let entries = lines.chunks_exact(3);
        entries.map(|entry| Self { from: entry[0], to: entry[1], package: entry[2] }).collect()
    }

    /// Moves the file aside if it is another package's and still in its place.
    fn apply(&self, root: &Root, owners: &FileOwners<'_>) -> Result<(), Error> {
        let (from, to) = (root.find(self.from)?, root.find(self.to)?);
        let Some(from) = from.filter(|from| from.metadata().is_some()) else { return Ok(()) };
        if !owners.ships_beside(self.from, self.package) {
            return Ok(());
        }
        let moved = match to {
            Some(to) if to.metadata().is_some() => Ok(()),
            Some(to) => fs::rename(from.path(), to.path()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        moved.map_err(|cause| Error::File { action: "divert", path: from.shown().to_owned(), cause })
    }
}

/// Applies the lines of `statoverride` that were not there before: user, group, mode, path.
fn apply_overrides(root: &Root, now: &[u8], before: &[u8], sandbox: &mut Sandbox) -> Result<(), Error> {
    let (users, groups) = (Accounts::users(root)?, Accounts::groups(root)?);
    let lines = |text| <[u8]>::split(text, |byte| *byte == b'\n').collect::<BTreeSet<&[u8]>>();
    for line in lines(now).difference(&lines(before)) {
        let mut columns = line.splitn(4, |byte| *byte == b' ');
        let (Some(user), Some(group), Some(mode), Some(path)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if root.find(path)?.is_none_or(|place| place.metadata().is_none()) {
            continue;
        }
        let mode = std::str::from_utf8(mode).ok().and_then(|digits| u32::from_str_radix(digits, 8).ok());
        let (Some(uid), Some(gid), Some(mode)) = (users.number(user), groups.number(group), mode) else {
            return Err(Error::Control {
                package: "dpkg-statoverride".to_owned(),
                problem: format!("the tree has no such owner or mode: `{}`", String::from_utf8_lossy(line)),
            });
        };
        sandbox.adopt([(path, Owner { uid, gid }, mode)])?;
        root.set_mode(path, mode_on_disk(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PackageControl, PackageFile};

    #[test]
    fn only_the_file_of_another_package_moves_to_its_diverted_name() {
        let root = tempfile::tempdir().expect("directory");
        fs::create_dir(root.path().join("bin")).expect("directory");
        fs::write(root.path().join("bin/tool"), "theirs").expect("file");
        fs::write(root.path().join("bin/own"), "ours").expect("file");
        let control = |name: &str, path: &str| {
            let mut control = PackageControl::default();
            let stanza = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
            control.members.insert("control".to_owned(), stanza.into_bytes());
            control.files.push(PackageFile {
                path: path.as_bytes().to_vec(),
                owner: Owner::default(),
                mode: 0o755,
            });
            control
        };
        let controls = [control("theirs", "./bin/tool"), control("ours", "./bin/own")];
        let packages: Vec<_> = controls.iter().map(|control| Package::read(control).expect("read")).collect();
        let text = b"/bin/tool\n/bin/tool.real\nours\n/bin/own\n/bin/own.real\nours\n";
        let tree = Root::open(root.path()).expect("open");
        for diversion in Diversion::parse(text) {
            diversion.apply(&tree, &FileOwners::of(&packages)).expect("divert");
        }
        assert_eq!(fs::read_to_string(root.path().join("bin/tool.real")).expect("read"), "theirs");
        assert!(!root.path().join("bin/tool").exists());
        assert_eq!(fs::read_to_string(root.path().join("bin/own")).expect("read"), "ours");
    }
}
