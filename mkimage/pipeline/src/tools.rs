//! The programs that mkimage runs: an image like any other, unpacked into the cache and never installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mkimage_tree::{Materialise, MergePolicy, Tree, materialise};
use qemu_machine::{Program, Version};

use crate::manifest::Manifest;
use crate::packages::{self, Locking};
use crate::world::World;
use crate::{layers, unpacked};

/// Whose programs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Those of the archive, in the cache.
    Own,
    /// Those of this host.
    Host,
    /// The host's if they will do, else our own.
    Auto,
}

/// The oldest QEMU that boots current kernels reliably without KVM.
const OLDEST: Version = Version { major: 8, minor: 0 };

const QEMU: &str = "qemu-system-x86_64";

/// What the tools are not needed for: reading and other firmware than that of the machines that are booted.
const LEFT_OUT: [&str; 5] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian"];

/// QEMU, ready to run, and its version.
pub fn qemu(world: &World, choice: Choice, locking: Locking) -> Result<(Program, Version)> {
    match choice {
        Choice::Own => own(world, locking),
        Choice::Host => {
            let program = Program::installed(QEMU);
            match program.version() {
                Ok(version) => Ok((program, version)),
                Err(error) => bail!("{error}\nhelp: `--tools own` brings a QEMU of its own"),
            }
        }
        Choice::Auto => {
            let program = Program::installed(QEMU);
            match program.version() {
                Ok(version) if version >= OLDEST => Ok((program, version)),
                _ => own(world, locking),
            }
        }
    }
}

fn own(world: &World, locking: Locking) -> Result<(Program, Version)> {
    let folder = tree(world, locking)?;
    let program = Program::from_tree(&folder)?;
    let version = program.version()?;
    Ok((program, version))
}

/// The folder with the unpacked tools; made if it is not there.
pub fn tree(world: &World, locking: Locking) -> Result<PathBuf> {
    let path = world.data.folder().join("rootfs/images/tools.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let manifest = Manifest::parse(&path, text).or_else(|problems| match problems.first() {
        Some(problem) => bail!("{problem}"),
        None => bail!("cannot read `{}`", path.display()),
    })?;
    let (lock, _) = packages::lock(world, &manifest, locking)?;
    let all = world.cache.join("tools");
    let folder = all.join(lock.digest().to_string());
    if folder.is_dir() {
        return Ok(folder);
    }
    let (lock, unpacked) = packages::packages(world, &manifest, lock, locking)?;
    let folder = all.join(lock.digest().to_string());
    let stage = world.ui.stage("tools", "Unpacking");
    lay_out(&all, &folder, &unpacked)?;
    stage.done(format_args!("Laid out QEMU and its tools ({} packages)", unpacked.len()));
    Ok(folder)
}

fn lay_out(all: &Path, folder: &Path, packages: &[mkimage_archive::Unpacked]) -> Result<()> {
    std::fs::create_dir_all(all).with_context(|| format!("cannot make `{}`", all.display()))?;
    let left_out = LEFT_OUT.iter().map(|folder| layers::path(folder)).collect::<Result<Vec<_>>>()?;
    let mut layers = vec![unpacked::merged_usr()?];
    for mut layer in unpacked::layers(packages)? {
        layer.layer.retain(|path, _| !left_out.iter().any(|folder| path.is_within(folder)));
        layers.push(layer.layer);
    }
    let tree = Tree::standalone(&layers, &MergePolicy::new())?;
    let temporary =
        tempfile::Builder::new().prefix("new-").tempdir_in(all).context("cannot make a temporary folder")?;
    let root = temporary.path().join("tree");
    materialise(&tree, &root, &Materialise::default())?;
    std::fs::rename(&root, folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    // Older tools, and what killed runs left; a guest that runs has opened all it needs.
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        if entry.path() != folder && entry.path() != temporary.path() {
            // Only room in the cache is at stake.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}
