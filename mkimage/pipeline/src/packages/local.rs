//! The packages that a manifest takes from files.

use anyhow::{Result, anyhow};
use mkimage_archive::LocalPackage;

use crate::manifest::Manifest;

/// Reads the packages that the manifest's patterns match, sorted by name.
pub(super) fn read(manifest: &Manifest) -> Result<Vec<LocalPackage>> {
    let architecture = manifest.archive.architecture.get_ref();
    let mut packages: Vec<LocalPackage> = Vec::new();
    for pattern in &manifest.packages.local {
        let problem = |message: String, help: &str| {
            anyhow!("{}", manifest.source.problem(pattern.span(), message).with_help(help))
        };
        let found = glob::glob(pattern.get_ref())
            .map_err(|error| problem(format!("this is not a pattern: {}", error.msg), "see glob(7)"))?;
        let mut matched = false;
        for path in found {
            let path =
                path.map_err(|error| problem(error.to_string(), "check the permissions of the folder"))?;
            matched = true;
            let package = LocalPackage::read(&path).map_err(|error| {
                let message = format!("`{}` is of no use here: {error}", path.display());
                problem(message, "name a file made by dpkg-deb(1), or leave it out")
            })?;
            if package.architecture != "all" && package.architecture != *architecture {
                let message = format!("`{}` is for {}", path.display(), package.architecture);
                return Err(problem(message, "name a package for the manifest's architecture, or for all"));
            }
            match packages.iter().find(|other| other.name == package.name) {
                // Two patterns may match the same file.
                Some(other) if other.sha256 == package.sha256 => {}
                Some(other) => {
                    let (one, two) = (other.path.display(), package.path.display());
                    let message = format!("`{one}` and `{two}` both are the package `{}`", package.name);
                    return Err(problem(message, "keep one of them"));
                }
                None => packages.push(package),
            }
        }
        if !matched {
            let message = format!("no file matches `{}`", pattern.get_ref());
            return Err(problem(message, "the pattern is relative to the folder of this manifest"));
        }
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}
