//! Packages as layers, and the tree they make: nothing is written, file contents stay in the cache.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use mkimage_archive::Unpacked as Package;
use mkimage_deb::{Relations, Stanza};
use mkimage_resolve::Role;
use mkimage_tree::{Blob, Digest, Layer, MergePolicy, Provenance, Tree, TreePath, Unpacked};

use crate::layers::path;

/// A package with its files.
#[derive(Debug)]
pub struct PackageLayer<'a> {
    /// What the cache has of it.
    pub package: &'a Package,
    /// Its files as its archive lists them.
    pub layer: Layer,
    /// Those that another package ships too and that may be diverted, with where they lie until that is done.
    pub waiting: BTreeMap<TreePath, TreePath>,
}

/// What dpkg, too, adds to the name of a file that is not in its place yet.
const WAITING: &[u8] = b".dpkg-new";

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
        layers.push(PackageLayer { package, layer, waiting: BTreeMap::new() });
    }
    layers.sort_by_key(|layer| layer.package.role == Role::FilesOnly);
    find_waiting(&mut layers)?;
    Ok(layers)
}

/// Finds the files that have to wait for a `preinst` to divert another package's.
///
/// Which paths a script diverts shows when it has run. But only who speaks of `dpkg-divert` may, and what is
/// essential is there before anybody else comes.
fn find_waiting(layers: &mut [PackageLayer<'_>]) -> Result<()> {
    let policy = policy(layers);
    let mut rivals: BTreeMap<TreePath, Vec<(usize, TreePath)>> = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate().filter(|(_, layer)| may_divert(layer.package)) {
        for (path, _) in layer.layer.entries().iter().filter(|(_, entry)| !entry.is_directory()) {
            rivals.entry(in_merged_usr(path)?.into_owned()).or_default().push((index, path.clone()));
        }
    }
    let is_late: Vec<_> =
        layers.iter().map(|layer| (may_divert(layer.package), !is_essential(layer.package))).collect();
    let mut waiting = Vec::new();
    for (early, other) in layers.iter().enumerate().filter(|(_, other)| other.package.role == Role::Normal) {
        for (path, _) in other.layer.entries().iter().filter(|(_, entry)| !entry.is_directory()) {
            for (late, path) in rivals.get(&*in_merged_usr(path)?).into_iter().flatten() {
                let names = [early, *late].map(|index| layers[index].package.name.as_str());
                if (is_late[early], early) < (is_late[*late], *late)
                    && !policy.decides_between(names[0], names[1])
                {
                    waiting.push((*late, path.clone()));
                }
            }
        }
    }
    for (late, path) in waiting {
        let name = TreePath::in_root([path.as_bytes(), WAITING].concat())?;
        layers[late].waiting.insert(path, name);
    }
    Ok(())
}

fn may_divert(package: &Package) -> bool {
    let word = b"dpkg-divert";
    let preinst = package.control.get("preinst").filter(|_| package.role == Role::Normal);
    preinst.is_some_and(|text| text.windows(word.len()).any(|part| part == word))
}

fn is_essential(package: &Package) -> bool {
    let text = package.control.get("control").map(|text| String::from_utf8_lossy(text));
    let stanza = text.as_deref().and_then(|text| Stanza::only(text).ok());
    stanza.is_some_and(|stanza| stanza.get("Essential") == Some("yes"))
}

/// Gives the path to which a merged /usr brings a path.
fn in_merged_usr(path: &TreePath) -> Result<Cow<'_, TreePath>> {
    let first = path.components().next().unwrap_or_default();
    Ok(match MERGED.iter().any(|(link, _)| link.as_bytes() == first) {
        true => Cow::Owned(TreePath::in_root([b"usr/", path.as_bytes()].concat())?),
        false => Cow::Borrowed(path),
    })
}

/// Merges the packages into one tree. What no package brings is as old as `epoch`, in seconds since 1970.
pub fn tree(layers: &[PackageLayer<'_>], epoch: i64) -> Result<Tree<Unpacked>> {
    let mut policy = policy(layers);
    for layer in layers {
        for (path, waits_at) in &layer.waiting {
            policy.delay(path.clone(), waits_at.clone(), &layer.package.name);
        }
    }
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
            Ok(PackageLayer { package, layer, waiting: BTreeMap::new() })
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
    fn a_link_does_not_wait_for_the_directory_that_it_stands_for() {
        let mut base = package("base-files", "1", "");
        base.control.insert("preinst".to_owned(), b"dpkg-divert --list".to_vec());
        let other = package("other", "1", "");
        let layer = |package: &Package| Layer::new(Provenance::package(package.name.as_str(), "1"));
        let (mut link, mut directory) = (layer(&base), layer(&other));
        link.symlink(path("bin").unwrap(), b"usr/bin".to_vec());
        directory.directory(path("bin").unwrap(), 0o755);
        let mut layers = [(&other, directory), (&base, link)].map(|(package, layer)| PackageLayer {
            package,
            layer,
            waiting: BTreeMap::new(),
        });
        find_waiting(&mut layers).unwrap();
        assert!(layers.iter().all(|layer| layer.waiting.is_empty()));
    }

    #[test]
    fn a_file_waits_where_a_preinst_may_divert_another_package_s() {
        let with = |name: &str, fields: &str, preinst: &str, role| {
            let mut package = Package { role, ..package(name, "1", fields) };
            package.control.insert("preinst".to_owned(), preinst.as_bytes().to_vec());
            package
        };
        let diverts = "dpkg-divert --package x --add /usr/bin/tool";
        let waiting = |packages: [Package; 2]| {
            let mut layers = Vec::new();
            for (package, file) in packages.iter().zip(["bin/tool", "usr/bin/tool"]) {
                let mut layer = Layer::new(Provenance::package(package.name.as_str(), "1"));
                layer.directory(path("etc").unwrap(), 0o755);
                layer.file(path(file).unwrap(), 0o755, package.name.clone().into_bytes());
                layer.file(path(&format!("etc/{}", package.name)).unwrap(), 0o644, Vec::new());
                layers.push(PackageLayer { package, layer, waiting: BTreeMap::new() });
            }
            find_waiting(&mut layers).unwrap();
            let tree = tree(&layers, 0).map(|tree| tree.read(&path("usr/bin/tool").unwrap()).unwrap());
            let waiting: Vec<String> =
                layers.iter().flat_map(|layer| layer.waiting.values()).map(ToString::to_string).collect();
            (waiting.join(" "), tree.ok().map(|text| String::from_utf8(text).unwrap()))
        };
        let (normal, essential) = (Role::Normal, "Essential: yes\n");
        for (packages, expected) in [
            (
                [with("a", "", "", normal), with("b", "", diverts, normal)],
                ("/usr/bin/tool.dpkg-new", Some("a")),
            ),
            ([with("a", "", diverts, normal), with("b", "", "", normal)], ("/bin/tool.dpkg-new", Some("b"))),
            (
                [with("a", "", diverts, normal), with("b", essential, diverts, normal)],
                ("/bin/tool.dpkg-new", Some("b")),
            ),
            ([with("a", "", diverts, normal), with("b", "Replaces: a\n", "", normal)], ("", Some("b"))),
            ([with("a", "", diverts, Role::FilesOnly), with("b", "", "", normal)], ("", None)),
            ([with("a", "", "", normal), with("b", "", "true", normal)], ("", None)),
        ] {
            assert_eq!(waiting(packages), (expected.0.to_owned(), expected.1.map(str::to_owned)));
        }
    }

    #[test]
    fn the_links_of_a_merged_usr_are_as_old_as_the_newest_package() {
        let tree = merged("1", "Replaces: old\n").expect("a tree");
        assert_eq!(tree.get(&path("bin").expect("a path")).expect("there").mtime, 86_400);
    }
}
