//! Packages as layers, and the tree they make: nothing is written, file contents stay in the cache.

use anyhow::{Context, Result};
use mkimage_archive::Unpacked as Package;
use mkimage_deb::{Relations, Stanza};
use mkimage_resolve::Role;
use mkimage_tree::{Blob, Digest, Layer, MergePolicy, Provenance, Tree, Unpacked};

use crate::layers::path;

/// A package with its files.
#[derive(Debug)]
pub struct PackageLayer<'a> {
    /// What the cache has of it.
    pub package: &'a Package,
    /// Its files as its archive lists them.
    pub layer: Layer,
}

/// Where Debian's merged-/usr links lead; `base-files` has them too, but a tree may do without that package.
const MERGED: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "usr/sbin")];

/// Reads the headers of all packages, those with only files behind the others.
pub fn layers(packages: &[Package]) -> Result<Vec<PackageLayer<'_>>> {
    let mut layers = Vec::with_capacity(packages.len());
    for package in packages {
        let identity = Digest(package.sha256.0);
        let blob = Blob::open_identified(&package.data, identity)?;
        let provenance = Provenance::package(package.name.as_str(), package.version.to_string());
        let layer = Layer::from_tar(&blob, &provenance)
            .with_context(|| format!("cannot read the files of the package `{}`", package.name))?;
        layers.push(PackageLayer { package, layer });
    }
    layers.sort_by_key(|layer| layer.package.role == Role::FilesOnly);
    Ok(layers)
}

/// Merges the packages into one tree. What no package brings is as old as `epoch`, in seconds since 1970.
pub fn tree(layers: &[PackageLayer<'_>], epoch: i64) -> Result<Tree<Unpacked>> {
    let policy = policy(layers);
    let mut links = merged_usr()?;
    links.for_each_mut(|_, entry| entry.mtime = epoch);
    let mut tree = Tree::new().merge(&links, &policy)?;
    for layer in layers {
        tree = tree.merge(&layer.layer, &policy)?;
    }
    Ok(tree)
}

/// The links of a merged /usr, and the folders they lead to.
pub fn merged_usr() -> Result<Layer> {
    let mut layer = Layer::new(Provenance::Generated("merged /usr".into()));
    layer.directory(path("usr")?, 0o755);
    for (link, target) in MERGED {
        layer.directory(path(target)?, 0o755);
        layer.symlink(path(link)?, target);
    }
    Ok(layer)
}

/// What `Replaces` allows (Debian policy 7.6): of the packages that are there, those whose versions it means.
fn policy(layers: &[PackageLayer<'_>]) -> MergePolicy {
    let mut policy = MergePolicy::new();
    for layer in layers {
        let Some(text) = layer.package.control.get("control") else { continue };
        let text = String::from_utf8_lossy(text);
        let Ok(stanza) = Stanza::only(&text) else { continue };
        let Some(replaces) = stanza.get("Replaces") else { continue };
        let Ok(replaces) = Relations::parse(replaces) else { continue };
        for relation in replaces.iter().flatten() {
            let is_meant = |other: &Package| other.name == relation.name && relation.admits(&other.version);
            if layers.iter().any(|other| is_meant(other.package)) {
                policy.replaces(&layer.package.name, relation.name);
            }
        }
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn package(name: &str, version: &str, replaces: &str) -> Package {
        let control = format!("Package: {name}\nVersion: {version}\n{replaces}");
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "all".to_owned(),
            role: Role::Normal,
            sha256: mkimage_deb::Sha256([0; 32]),
            control: BTreeMap::from([("control".to_owned(), control.into_bytes())]),
            data: "none".into(),
            data_size: 0,
        }
    }

    /// Merges two packages that bring the same file; the second one says what it replaces.
    fn merged(first_version: &str, replaces: &str) -> Result<Tree<Unpacked>> {
        let packages = [package("old", first_version, ""), package("new", "2", replaces)];
        let layers = packages.iter().map(|package| {
            let mut layer = Layer::new(Provenance::package(package.name.as_str(), package.version.as_str()));
            layer.file(path("usr/share/file")?, 0o644, package.name.clone().into_bytes());
            Ok(PackageLayer { package, layer })
        });
        tree(&layers.collect::<Result<Vec<_>>>()?, 86_400)
    }

    #[test]
    fn a_package_takes_over_files_only_of_the_versions_that_it_replaces() {
        let file = path("usr/share/file").expect("a path");
        for (version, replaces) in [("1", "Replaces: old\n"), ("1", "Replaces: other, old (<< 2)\n")] {
            let tree = merged(version, replaces).expect("a tree");
            assert_eq!(tree.read(&file).expect("there"), b"new");
        }
        for (version, replaces) in [("1", ""), ("2", "Replaces: old (<< 2)\n"), ("1", "Replaces: other\n")] {
            merged(version, replaces).expect_err("both bring it");
        }
    }

    #[test]
    fn the_links_of_a_merged_usr_are_as_old_as_the_newest_package() {
        let tree = merged("1", "Replaces: old\n").expect("a tree");
        assert_eq!(tree.get(&path("bin").expect("a path")).expect("there").mtime, 86_400);
    }
}
