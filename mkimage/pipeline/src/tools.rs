//! The programs that mkimage runs: an image like any other, unpacked into the cache and never installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mkimage_tree::{Materialise, MergePolicy, Tree, materialise};
use qemu_machine::{Program, Version};

use crate::manifest::Manifest;
use crate::packages::{self, Locking};
use crate::unpacked;
use crate::world::World;

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
pub fn qemu(world: &World, choice: Choice) -> Result<(Program, Version)> {
    match choice {
        Choice::Own => own(world),
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
                _ => own(world),
            }
        }
    }
}

fn own(world: &World) -> Result<(Program, Version)> {
    let folder = tree(world)?;
    let program = Program::from_tree(&folder)?;
    let version = program.version()?;
    Ok((program, version))
}

/// The folder with the unpacked tools; made if it is not there.
pub fn tree(world: &World) -> Result<PathBuf> {
    let path = world.data.folder().join("rootfs/images/tools.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let manifest = Manifest::parse(&path, text).or_else(|problems| match problems.first() {
        Some(problem) => bail!("{problem}"),
        None => bail!("cannot read `{}`", path.display()),
    })?;
    // The tools are not part of any image: a newer one is always welcome.
    let (lock, _) = packages::lock(world, &manifest, Locking::AsNeeded)?;
    let all = world.cache.join("tools");
    let folder = all.join(lock.digest().to_string());
    if folder.is_dir() {
        return Ok(folder);
    }
    let (lock, unpacked) = packages::packages(world, &manifest, lock, Locking::AsNeeded)?;
    let folder = all.join(lock.digest().to_string());
    let stage = world.ui.stage("tools", "Unpacking");
    lay_out(&all, &folder, &unpacked)?;
    stage.done(format_args!("Laid out QEMU and its tools ({} packages)", unpacked.len()));
    Ok(folder)
}

fn lay_out(all: &Path, folder: &Path, packages: &[mkimage_archive::Unpacked]) -> Result<()> {
    let _ = std::fs::remove_dir_all(all);
    std::fs::create_dir_all(all).with_context(|| format!("cannot make `{}`", all.display()))?;
    let mut layers = vec![unpacked::merged_usr()?];
    for mut layer in unpacked::layers(packages)? {
        layer.layer.retain(|path, _| {
            !LEFT_OUT.iter().any(|left_out| path.as_bytes().starts_with(left_out.as_bytes()))
        });
        layers.push(layer.layer);
    }
    let tree = Tree::standalone(&layers, &MergePolicy::new())?;
    let temporary =
        tempfile::Builder::new().prefix("new-").tempdir_in(all).context("cannot make a temporary folder")?;
    let root = temporary.path().join("tree");
    materialise(&tree, &root, &Materialise::default())?;
    std::fs::rename(&root, folder).with_context(|| format!("cannot make `{}`", folder.display()))
}
