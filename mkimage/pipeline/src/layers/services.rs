//! `services/` as layers: the base set, and what comes along with each package in the lock.
//!
//! A folder of services has the descriptions themselves, `scripts/` with the programs they run, `boot.d/`
//! with the names that `boot` waits for, and `files/` with whatever else the service needs at its path.

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

/// The folders of `services/packages` that belong to these packages, in order.
pub fn package_folders(data: &Path, packages: &[String]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = packages
        .iter()
        .map(|package| data.join("services/packages").join(package))
        .filter(|f| f.is_dir())
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

/// The base set, then each package's.
pub(super) fn layers(data: &Path, packages: &[String], epoch: i64) -> Result<Vec<Layer>> {
    let base = data.join("services/base");
    let mut layers = Vec::new();
    for folder in [base].into_iter().chain(package_folders(data, packages)) {
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
    let own_files = |entry: &walkdir::DirEntry| !(entry.depth() == 1 && entry.file_name() == "files");
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
