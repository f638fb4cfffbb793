//! Checking without building: the manifest and its lock, and the services of a complete tree.
//!
//! Services are checked by the daemon's own loader, which looks into the tree instead of a running system, so
//! that a missing program, user or dependency is an error of the build and not a boot that hangs.

use std::process::ExitCode;

use anyhow::{Result, bail};
use dinit_load::check::{Finding, Options, check};
use dinit_load::{Accounts, Host, HostError, Identity, Kind as FileKind, Loader, Metadata, Opened, User};
use dinit_service::{NoVariables, ServiceName};
use mkimage_tree::{Complete, Kind, ResolveError, Tree, TreePath};

use crate::manifest::Manifest;
use crate::packages::{self, Locking};
use crate::world::World;
use crate::{build, initramfs, programs};

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EISDIR: i32 = 21;

/// Checks a manifest, its lock, and all services of the image they make.
pub fn run(world: &World, manifest: &Manifest, locking: Locking) -> Result<ExitCode> {
    let (lock, _) = packages::lock(world, manifest, locking)?;
    let programs = programs::run(world)?;
    let (tree, built) = build::assemble(world, manifest, lock, locking, &programs, build::Reuse::WhatFits)?;
    build::must_fit(manifest, &tree)?;
    if let Some(release) = built.kernel_release() {
        initramfs::run(manifest, &programs, &tree, release)?;
    }
    world.ui.say(format_args!("{} is in order", manifest.source.path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Checks every service that the tree has a description of; gives their number.
pub fn services(tree: &Tree<Complete>) -> Result<usize> {
    let host = ImageHost::new(tree);
    let directories = dinit_load::directories::of_system();
    let names = descriptions(&host, &directories);
    let identity = Identity { effective_uid: 0, real_uid: 0, real_gid: 0 };
    let loader = Loader { host: &host, directories: &directories, variables: &NoVariables, identity };
    let report = check(&loader, &names, Options { warns_of_variables: false, permits_absent_order: true });
    let wrong: Vec<String> = report
        .findings()
        .filter(|finding| finding.counts && !is_harmless(finding))
        .map(|finding| shown(finding, tree))
        .collect();
    if !wrong.is_empty() {
        bail!("the services of the image have errors:\n{}", wrong.join("\n"));
    }
    Ok(report.services.len())
}

/// A description that uses its argument cannot be checked without one; it is checked with each instance that
/// something depends on.
fn is_harmless(finding: &Finding) -> bool {
    finding.diagnostic.message.contains("missing value in argument substitution")
}

/// The finding, at the file of the host that the description was copied from.
fn shown(finding: &Finding, tree: &Tree<Complete>) -> String {
    let mut diagnostic = finding.diagnostic.clone();
    let found = TreePath::in_root(diagnostic.file.as_bytes()).ok();
    let entry = found.and_then(|path| tree.resolve(&path).ok().map(|(_, entry)| entry));
    if let Some(source) = entry.and_then(|entry| entry.provenance.source()) {
        diagnostic.file = source.to_owned();
    }
    diagnostic.to_string()
}

/// The names of all descriptions in the search directories.
fn descriptions(host: &ImageHost<'_>, directories: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    for directory in directories {
        for entry in host.entries(directory).unwrap_or_default() {
            let at = [directory.as_slice(), b"/", &entry].concat();
            let is_file = host.metadata(&at).is_ok_and(|metadata| metadata.kind == FileKind::Regular);
            if is_file && ServiceName::is_valid(&entry) {
                names.push(entry);
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

/// A tree that does not run, as the loader sees it.
struct ImageHost<'a> {
    tree: &'a Tree<Complete>,
    accounts: Accounts,
}

impl<'a> ImageHost<'a> {
    fn new(tree: &'a Tree<Complete>) -> Self {
        let read = |path: &[u8]| {
            TreePath::in_root(path).ok().and_then(|path| tree.read(&path).ok()).unwrap_or_default()
        };
        let accounts = Accounts::parse(&read(b"/etc/passwd"), &read(b"/etc/group"));
        Self { tree, accounts }
    }

    fn find(&self, path: &[u8]) -> Result<(&TreePath, &mkimage_tree::Entry), HostError> {
        let path = TreePath::in_root(path).map_err(|_| HostError::MISSING)?;
        self.tree.resolve(&path).map_err(|error| match error {
            ResolveError::Missing(_) => HostError::open(ENOENT),
            _ => HostError::open(EIO),
        })
    }
}

impl Host for ImageHost<'_> {
    fn read(&self, path: &[u8]) -> Result<Opened, HostError> {
        let (found, entry) = self.find(path)?;
        let content = match &entry.kind {
            Kind::File(content) => content,
            Kind::Directory => return Err(HostError::read(EISDIR)),
            _ => {
                return Err(HostError {
                    stage: dinit_load::Stage::Open,
                    code: dinit_load::ErrorCode::NotRegular,
                });
            }
        };
        let text = content.bytes().map_err(|_| HostError::read(EIO))?;
        let directory = found.parent().unwrap_or_else(TreePath::root).absolute();
        Ok(Opened { text, directory, modified: (entry.mtime, 0) })
    }

    fn entries(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, HostError> {
        let (found, _) = self.find(path)?;
        let found = found.clone();
        Ok(self.tree.children(&found).filter_map(|(path, _)| path.name().map(<[u8]>::to_vec)).collect())
    }

    fn metadata(&self, path: &[u8]) -> Result<Metadata, HostError> {
        let (_, entry) = self.find(path)?;
        let kind = match entry.kind {
            Kind::File(_) => FileKind::Regular,
            Kind::Directory => FileKind::Directory,
            _ => FileKind::Other,
        };
        Ok(Metadata { kind, mode: entry.mode })
    }

    fn user(&self, name: &[u8]) -> Result<Option<User>, HostError> {
        Ok(self.accounts.user(name).cloned())
    }

    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError> {
        Ok(self.accounts.user_by_id(uid).cloned())
    }

    fn group(&self, name: &[u8]) -> Result<Option<u32>, HostError> {
        Ok(self.accounts.group(name))
    }

    fn groups_of(&self, user: &[u8]) -> Result<Vec<u32>, HostError> {
        Ok(self.accounts.groups_of(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers;
    use mkimage_tree::{Layer, MergePolicy, Provenance};
    use std::path::Path;

    #[test]
    fn an_error_of_a_service_is_shown_at_the_file_that_its_author_wrote() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("files")).expect("made");
        std::fs::write(folder.path().join("mine"), "type = process\ndepend-on = x\n").expect("written");
        let mut layers = layers::service_folder(Path::new("/none"), folder.path(), 0).expect("layers");
        let mut links = Layer::new(Provenance::Skeleton);
        links.symlink(TreePath::new("lib").expect("a path"), "usr/lib");
        layers.push(links);
        let tree = Tree::standalone(&layers, &MergePolicy::new()).expect("a tree");
        let error = services(&tree).expect_err("an error").to_string();
        let place = folder.path().join("mine");
        assert!(error.contains(&format!("{}:2:1: error: unknown setting", place.display())), "{error}");
    }
}
