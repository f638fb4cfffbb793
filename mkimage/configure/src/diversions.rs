//! What `dpkg-divert` and `dpkg-statoverride` leave to the unpacking that, for dpkg, comes after the `preinst`.
//!
//! Here the files are there already when the `preinst` runs, so what it arranged is done to them afterwards: a file
//! that another package ships moves to its diverted name, and an override's owner and mode are applied. Only a file
//! that two packages ship is not in its place before the `preinst` of the one that may divert the other's has run.

use crate::accounts::Accounts;
use crate::error::Error;
use crate::package::{Package, absolute_path};
use crate::root::{Place, Root};
use crate::sandbox::{Sandbox, mode_on_disk};
use crate::{Owner, database};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// The arrangements that are done already.
#[derive(Default)]
pub(crate) struct Arrangements {
    diversions: Vec<u8>,
    overrides: Vec<u8>,
    /// The paths at which packages have what is their own beside what they have diverted.
    settled: BTreeSet<Vec<u8>>,
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
                if !self.settled.contains(diversion.from) {
                    diversion.apply(root, owners)?;
                }
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

    /// Gives a file of a package its place, which another package's file had before the `preinst`.
    pub(crate) fn settle(
        &mut self,
        root: &Root,
        package: &str,
        path: &[u8],
        waits_at: &[u8],
    ) -> Result<(), Error> {
        let path = absolute_path(path);
        let text = database::read(root, "diversions")?;
        let diverted = Diversion::parse(&text)
            .into_iter()
            .find(|diversion| diversion.from == path && diversion.package != package.as_bytes());
        let end = diverted.map_or(path.as_slice(), |diversion| diversion.to);
        let cannot =
            |path: &Path, cause| Error::File { action: "put in place", path: path.to_owned(), cause };
        let Some(file) = root.find(waits_at)?.filter(|file| file.metadata().is_some()) else { return Ok(()) };
        let place = root.find(end)?.ok_or_else(|| cannot(file.shown(), io::ErrorKind::NotFound.into()))?;
        if place.metadata().is_none() {
            fs::rename(file.path(), place.path()).map_err(|cause| cannot(file.shown(), cause))?;
        } else if is_same(&file, &place).map_err(|cause| cannot(file.shown(), cause))? {
            file.remove()?;
        } else {
            return Err(Error::NotDiverted {
                package: package.to_owned(),
                path: String::from_utf8_lossy(end).into_owned(),
            });
        }
        self.settled.insert(path);
        Ok(())
    }
}

/// Whether two files, or two links, say the same.
fn is_same(one: &Place, other: &Place) -> io::Result<bool> {
    let kind = |place: &Place| place.metadata().map(|metadata| metadata.file_type());
    match (kind(one), kind(other)) {
        (Some(one_is), Some(other_is)) if one_is.is_file() && other_is.is_file() => {
            Ok(fs::read(one.path())? == fs::read(other.path())?)
        }
        (Some(one_is), Some(other_is)) if one_is.is_symlink() && other_is.is_symlink() => {
            Ok(fs::read_link(one.path())? == fs::read_link(other.path())?)
        }
        _ => Ok(false),
    }
}

/// Which packages' files lie at a path before the first script runs.
pub(crate) struct FileOwners<'a>(BTreeMap<Vec<u8>, BTreeSet<&'a str>>);

impl<'a> FileOwners<'a> {
    /// Collects the paths of all packages.
    pub(crate) fn of(packages: &'a [Package<'_>]) -> Self {
        let mut owners: BTreeMap<Vec<u8>, BTreeSet<&str>> = BTreeMap::new();
        for package in packages {
            let waiting = &package.control.waiting;
            for file in package.control.files.iter().filter(|file| !waiting.contains_key(&file.path)) {
                owners.entry(file.listed_path()).or_default().insert(&package.name);
            }
        }
        Self(owners)
    }

    /// Whether the path is that of any package but the named one.
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
