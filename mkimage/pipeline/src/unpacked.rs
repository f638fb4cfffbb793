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

/// Merges the packages into one tree.
pub fn tree(layers: &[PackageLayer<'_>]) -> Result<Tree<Unpacked>> {
    let policy = policy(layers);
    let mut tree = Tree::new().merge(&merged_usr()?, &policy)?;
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

/// What `Replaces` allows (Debian policy 7.6).
fn policy(layers: &[PackageLayer<'_>]) -> MergePolicy {
    let mut policy = MergePolicy::new();
    for layer in layers {
        let Some(text) = layer.package.control.get("control") else { continue };
        let text = String::from_utf8_lossy(text);
        let Ok(stanza) = Stanza::only(&text) else { continue };
        let Some(replaces) = stanza.get("Replaces") else { continue };
        let Ok(replaces) = Relations::parse(replaces) else { continue };
        for relation in replaces.iter().flatten() {
            policy.replaces(&layer.package.name, relation.name);
        }
    }
    policy
}
