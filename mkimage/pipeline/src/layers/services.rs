//! `services/` as layers: the base set, and what comes along with each package in the lock.
//!
//! A folder of services has the descriptions themselves, `scripts/` with the programs they run, `boot.d/`
//! with the names that `boot` waits for, and `files/` with whatever else the service needs at its path. The folder of
//! a package may have a file `replaces`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mkimage_tree::{Entry, Layer, Provenance, State, Tree};
use walkdir::WalkDir;

use super::path;
use crate::manifest::Manifest;

/// Where descriptions go; the last folder that dinit searches, so that the administrator's win.
const DESCRIPTIONS: &str = "usr/lib/dinit.d";
/// Where the programs go that descriptions run.
const SCRIPTS: &str = "usr/lib/dinit";
/// Names packages, one a line, whose services are not taken where this folder's are.
const REPLACES: &str = "replaces";

/// The folders of `services/packages` that belong to these packages, in order.
///
/// Where several packages can do the same (device manager, system log, message bus, DHCP), their services have the
/// same names, and the lock decides whose are taken: those of the package that is there; of two, those of the one
/// whose `replaces` names the other.
///
/// # Errors
///
/// Two packages bring a service of the same name, and neither replaces the other.
pub fn package_folders(data: &Path, packages: &[String]) -> Result<Vec<PathBuf>> {
    let all = data.join("services/packages");
    let mut names: Vec<&String> = packages.iter().filter(|package| all.join(package).is_dir()).collect();
    names.sort();
    names.dedup();
    let mut replaced = BTreeSet::new();
    for name in &names {
        let file = all.join(name).join(REPLACES);
        match std::fs::read_to_string(&file) {
            Ok(text) => replaced.extend(text.split_whitespace().map(str::to_owned)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", file.display())),
        }
    }
    names.retain(|name| !replaced.contains(*name));
    let mut bringers = BTreeMap::new();
    for name in &names {
        for service in own_services(&all.join(name))? {
            if let Some(other) = bringers.insert(service.clone(), name) {
                bail!(
                    "the packages `{other}` and `{name}` both bring the service `{service}`\n\
                     help: leave one of them out, or tell with `packages.exclude` which one should not come in"
                );
            }
        }
    }
    Ok(names.into_iter().map(|name| all.join(name)).collect())
}

/// The names of the services that a folder describes.
fn own_services(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && name != REPLACES {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The base set, then each package's.
pub(super) fn layers(data: &Path, packages: &[String], epoch: i64) -> Result<Vec<Layer>> {
    let base = data.join("services/base");
    let mut layers = Vec::new();
    for folder in [base].into_iter().chain(package_folders(data, packages)?) {
        let shown = folder.strip_prefix(data).unwrap_or(&folder).to_string_lossy().into();
        layers.extend(directory(&folder, &Provenance::Services(shown), epoch)?);
    }
    Ok(layers)
}

/// One folder of services, and the files that go with them.
pub(super) fn directory(folder: &Path, provenance: &Provenance, epoch: i64) -> Result<Vec<Layer>> {
    let mut layers = vec![services(folder, provenance.clone())?];
    let files = folder.join("files");
    if files.is_dir() {
        // These may take the place of a package's files, as descriptions may not.
        let origin = match provenance {
            Provenance::Services(folder) => Provenance::Overlay(format!("{folder}/files").into()),
            other => other.clone(),
        };
        layers.push(super::folder(&files, origin, epoch)?);
    }
    Ok(layers)
}

fn services(folder: &Path, provenance: Provenance) -> Result<Layer> {
    let mut layer = Layer::new(provenance);
    for directory in [DESCRIPTIONS, &format!("{DESCRIPTIONS}/boot.d"), SCRIPTS] {
        layer.directory(path(directory)?, 0o755);
    }
    let own_files = |entry: &walkdir::DirEntry| {
        !(entry.depth() == 1 && (entry.file_name() == "files" || entry.file_name() == REPLACES))
    };
    for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().filter_entry(own_files) {
        let entry = entry.with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let Some(below) = below.to_str() else { bail!("`{}` is not UTF-8", entry.path().display()) };
        if entry.path().is_dir() {
            continue;
        }
        let read = || {
            std::fs::read(entry.path()).with_context(|| format!("cannot read `{}`", entry.path().display()))
        };
        let origin = layer.provenance().of_file(below);
        match below.split_once('/') {
            None => layer.put(path(&format!("{DESCRIPTIONS}/{below}"))?, Entry::file(read()?, 0o644, origin)),
            Some((_, name)) if name.contains('/') => {
                bail!("`{}` is deeper than a folder of services goes", entry.path().display())
            }
            Some(("scripts", name)) => {
                layer.put(path(&format!("{SCRIPTS}/{name}"))?, Entry::file(read()?, 0o755, origin))
            }
            // Only the name counts in such a folder; a link leads the reader to the description.
            Some(("boot.d", name)) => {
                let place = path(&format!("{DESCRIPTIONS}/boot.d/{name}"))?;
                layer.put(place, Entry::symlink(format!("../{name}"), origin))
            }
            Some((other, _)) => {
                bail!("`{}` has a folder `{other}`, which means nothing here", folder.display())
            }
        };
    }
    Ok(layer)
}

/// What `[services] enable` adds, the way `dinitctl enable` would.
pub(super) fn enabled<S: State>(manifest: &Manifest, tree: &Tree<S>) -> Result<Option<Layer>> {
    if manifest.services.enable.is_empty() {
        return Ok(None);
    }
    let mut layer = Layer::new(manifest.provenance());
    for service in &manifest.services.enable {
        let name = service.get_ref();
        let base = name.split('@').next().unwrap_or(name);
        let folders = ["etc/dinit.d", "usr/local/lib/dinit.d", DESCRIPTIONS];
        let mut found = None;
        for folder in folders {
            let description = path(&format!("{folder}/{base}"))?;
            if tree.resolve(&description).is_ok() {
                found = Some(description);
                break;
            }
        }
        let Some(description) = found else {
            let problem =
                manifest.source.problem(service.span(), format!("no service named `{base}` in the image"));
            let descriptions = descriptions(tree, &folders);
            bail!(
                "{}",
                match crate::manifest::closest(base, &descriptions) {
                    Some(similar) =>
                        problem.with_help(format!("a service with a similar name exists: `{similar}`")),
                    None => problem,
                }
            );
        };
        layer.symlink(path(&format!("etc/dinit.d/boot.d/{name}"))?, description.absolute());
    }
    Ok(Some(layer))
}

/// The names of what lies in these folders of a tree.
fn descriptions<S: State>(tree: &Tree<S>, folders: &[&str]) -> Vec<String> {
    let name = |path: &mkimage_tree::TreePath| {
        let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let (folder, name) = text.rsplit_once('/')?;
        folders.contains(&folder).then(|| name.to_owned())
    };
    tree.iter().filter(|(_, entry)| !entry.is_directory()).filter_map(|(path, _)| name(path)).collect()
}

#[cfg(test)]
mod tests {
    use mkimage_tree::{MergePolicy, TreePath};

    use super::*;

    fn data() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn folders(packages: &[&str]) -> Result<Vec<String>> {
        let packages: Vec<String> = packages.iter().map(|&name| name.to_owned()).collect();
        let folders = package_folders(&data(), &packages)?;
        Ok(folders.iter().filter_map(|it| it.file_name()?.to_str().map(str::to_owned)).collect())
    }

    /// Every folder of `services/packages`.
    fn every_package() -> Vec<String> {
        let entries = std::fs::read_dir(data().join("services/packages")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What the packages of these layers would have: each program that a description runs, and the accounts.
    fn stand_ins(layers: &[Layer]) -> Layer {
        let mut layer = Layer::new(Provenance::Generated("stand-ins of a test".into()));
        let accounts = "root:x:0:0::/root:/bin/sh\nredis:x:100:100::/:/bin/sh\n";
        layer.file(path("etc/passwd").unwrap(), 0o644, accounts.as_bytes());
        layer.file(path("etc/group").unwrap(), 0o644, b"root:x:0:\nredis:x:100:\n".as_slice());
        let is_program =
            |word: &str| ["/usr/", "/bin/", "/sbin/"].iter().any(|start| word.starts_with(start));
        let mut programs = BTreeSet::from(["/usr/bin/udevadm".to_owned()]);
        for (_, entry) in layers.iter().flat_map(Layer::entries) {
            let mkimage_tree::Kind::File(content) = &entry.kind else { continue };
            let text = String::from_utf8_lossy(&content.bytes().unwrap()).into_owned();
            let commands = text.lines().filter_map(|line| line.split_once("command = "));
            // Ours stand in front of others'.
            let words = commands.flat_map(|(_, command)| command.split(' '));
            programs.extend(words.filter(|word| is_program(word)).map(str::to_owned));
        }
        for program in programs {
            let program = path(program.trim_start_matches('/')).unwrap();
            if layers.iter().flat_map(Layer::entries).all(|(path, _)| *path != program) {
                layer.file(program, 0o755, b"".as_slice());
            }
        }
        layer
    }

    #[test]
    fn the_services_of_every_package_load_with_the_base_set_in_the_daemons_own_loader() {
        for package in every_package() {
            // What a package's services need of another package's.
            let mut packages = vec![package.clone()];
            let other = match package.as_str() {
                "dbus-broker" => Some("busybox-syslogd"),
                "elogind" => Some("dbus"),
                _ => None,
            };
            packages.extend(other.map(str::to_owned));
            let mut layers = layers(&data(), &packages, 0).unwrap();
            layers.push(stand_ins(&layers));
            let tree = mkimage_tree::Tree::standalone(&layers, &MergePolicy::new()).unwrap();
            let checked = crate::check::services(&tree);
            assert!(checked.is_ok(), "{package}: {:#}", checked.unwrap_err());
            let own = own_services(&data().join("services/packages").join(&package)).unwrap();
            assert!(!own.is_empty(), "{package}");
            for service in own {
                let description = TreePath::in_root(format!("/{DESCRIPTIONS}/{service}").as_bytes()).unwrap();
                assert!(tree.resolve(&description).is_ok(), "{package}: {service}");
            }
        }
    }

    #[test]
    fn what_boot_waits_for_is_described_beside_it() {
        for package in every_package() {
            let folder = data().join("services/packages").join(&package);
            let own = own_services(&folder).unwrap();
            for entry in WalkDir::new(folder.join("boot.d")).min_depth(1).into_iter().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                assert!(own.contains(&name), "{package}: {name}");
            }
        }
    }

    #[test]
    fn of_two_packages_for_the_same_the_one_that_replaces_the_other_is_taken() {
        assert_eq!(folders(&["busybox", "bash"]).unwrap(), ["busybox"]);
        assert_eq!(folders(&["busybox", "udev"]).unwrap(), ["udev"]);
        assert_eq!(folders(&["busybox-static", "eudev"]).unwrap(), ["eudev"]);
        assert_eq!(folders(&["eudev", "udev"]).unwrap(), ["eudev"]);
        assert_eq!(folders(&["dbus", "dbus-broker"]).unwrap(), ["dbus-broker"]);
    }

    #[test]
    fn two_packages_for_the_same_of_which_none_replaces_the_other_are_an_error() {
        for (one, other, service) in
            [("dhcpcd-base", "udhcpc", "dhcpcd"), ("inetutils-syslogd", "sysklogd", "syslogd")]
        {
            let error = folders(&[one, other]).unwrap_err().to_string();
            let expected =
                format!("the packages `{one}` and `{other}` both bring the service `{service}`\nhelp: ");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
