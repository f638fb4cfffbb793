//! The whole build: from a manifest to kernel, initramfs, root file system and the list of what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufWriter;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mkimage_deb::Sha256;
use mkimage_resolve::{Chosen, Lock};
use mkimage_tree::{
    Complete, CpioCompression, CpioWriter, Ext4Options, Ext4Size, Tree, TreePath, write_ext4,
};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::layers::{RootIdentity, uuid_text};
use crate::manifest::Manifest;
use crate::packages::{self, Locking};
use crate::programs::{self, Programs};
use crate::world::{self, World};
use crate::{check, configured, files, initramfs, layers, ui};

/// Changes whenever the same inputs give other bytes.
const VERSION: u32 = 3;

const KERNEL: &str = "vmlinuz";
const INITRAMFS: &str = "initramfs.img";
const ROOT: &str = "root.ext4";
/// The name of the list of what is in an image; the file comes last, so an image that has it is whole.
pub(crate) const CONTENTS: &str = "contents.json";
/// What the name of a folder with an image in the making begins with.
const UNFINISHED: &str = ".unfinished-";

/// Whether results of earlier runs may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Those that were made from the same inputs.
    WhatFits,
    /// Those, and an image to which a guest has written; it is never replaced.
    WhatGuestsKept,
    /// None, downloads apart.
    Nothing,
}

/// A built image: a folder with four files.
#[derive(Debug, Clone)]
pub struct Image {
    folder: PathBuf,
    /// What is in it.
    pub contents: Contents,
}

/// The list of what is in an image, and how it is booted: `contents.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Contents {
    /// The version of this format.
    pub format: u32,
    /// The image's name.
    pub name: String,
    /// The digest of all that went into the image.
    pub inputs: String,
    /// The kernel's release; empty for an image without a kernel.
    pub kernel_release: String,
    /// The digest of the kernel.
    pub kernel_sha256: String,
    /// The words for the kernel command line, `root=` included.
    pub command_line: String,
    /// The UUID of the root file system.
    pub root_uuid: String,
    /// The size of each file in bytes.
    #[serde(default)]
    pub sizes: BTreeMap<String, u64>,
    /// Whether a guest may have written to the root file system since.
    #[serde(default)]
    pub kept: bool,
    /// The packages, sorted by name.
    pub packages: Vec<PackageLine>,
}

/// One package of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageLine {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// The digest of the .deb, SHA-256.
    pub sha256: String,
}

impl Image {
    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join(KERNEL)
    }

    /// The initramfs.
    pub fn initramfs(&self) -> PathBuf {
        self.folder.join(INITRAMFS)
    }

    /// The root file system.
    pub fn root(&self) -> PathBuf {
        self.folder.join(ROOT)
    }

    /// Notes that a guest is about to write to the root file system.
    pub fn keep(&mut self) -> Result<()> {
        self.contents.kept = true;
        write_contents(&self.folder, &self.contents)
    }

    /// All files with their sizes in bytes.
    pub fn files(&self) -> Result<Vec<(PathBuf, u64)>> {
        [KERNEL, INITRAMFS, ROOT, CONTENTS]
            .iter()
            .map(|name| {
                let path = self.folder.join(name);
                let data =
                    fs::metadata(&path).with_context(|| format!("cannot look at `{}`", path.display()))?;
                Ok((path, data.len()))
            })
            .collect()
    }

    /// The image in a folder, if it is whole.
    pub fn open(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(CONTENTS)).ok()?;
        let contents: Contents = serde_json::from_str(&text).ok()?;
        let size = |name: &str| Some(fs::metadata(folder.join(name)).ok()?.len());
        let whole =
            [KERNEL, INITRAMFS, ROOT].iter().all(|name| size(name) == contents.sizes.get(*name).copied());
        whole.then(|| Self { folder: folder.to_owned(), contents })
    }
}

/// Builds an image into `output`, or finds that it is there already.
pub fn run(
    world: &World,
    manifest: &Manifest,
    locking: Locking,
    output: &Path,
    reuse: Reuse,
) -> Result<Image> {
    if manifest.kernel.is_none() {
        bail!("`{}` has no [kernel], so there is nothing to boot", manifest.source.path.display());
    }
    world::must_not_be_file(output, "--output")?;
    let (lock, _) = packages::lock(world, manifest, locking)?;
    let programs = programs::run(world)?;
    let inputs = inputs(world, manifest, &lock, &programs)?;
    if reuse != Reuse::Nothing
        && let Some(image) = Image::open(output)
    {
        let fits = image.contents.inputs == inputs.to_string();
        let may_be_used = !image.contents.kept || reuse == Reuse::WhatGuestsKept;
        if fits && may_be_used {
            world.ui.say(format_args!("{} is up to date", output.display()));
            return Ok(image);
        }
        if image.contents.kept && reuse == Reuse::WhatGuestsKept {
            bail!(
                "`{}` keeps what a guest has written, but what it was made of has changed since\nhelp: `mkimage build` makes it anew, without what the guest wrote; `--output` keeps a second image elsewhere",
                output.display()
            );
        }
    }
    let (tree, built) = assemble(world, manifest, lock, locking, &programs, reuse)?;
    // The lock may have changed on the way, if the mirror dropped what it named.
    let inputs = self::inputs(world, manifest, &built.lock, &programs)?;
    world.go_on()?;
    write(world, manifest, &programs, &tree, &built, output, &inputs)
}

/// Where a path of an image comes from, as one line.
pub fn why(world: &World, manifest: &Manifest, locking: Locking, asked: &Path) -> Result<String> {
    let (lock, _) = packages::lock(world, manifest, locking)?;
    let programs = programs::run(world)?;
    let (tree, _) = assemble(world, manifest, lock, locking, &programs, Reuse::WhatFits)?;
    let path = TreePath::in_root(asked.as_os_str().as_encoded_bytes())?;
    let provenance = tree.why(&path)?;
    Ok(format!("{}: {provenance}", asked.display()))
}

/// The complete tree of an image, checked, with what else is needed to write it.
pub fn assemble(
    world: &World,
    manifest: &Manifest,
    lock: Lock,
    locking: Locking,
    programs: &Programs,
    reuse: Reuse,
) -> Result<(Tree<Complete>, Built)> {
    let (lock, packages) = packages::packages(world, manifest, lock, locking)?;
    world.go_on()?;
    let scripts = Sha256::of(format!("{} {}", lock.digest(), skeleton_state(world)?).as_bytes());
    let outcome = configured::run(world, manifest, &packages, &scripts, reuse)?;
    world.go_on()?;
    let stage = world.ui.stage("layers", "Laying over");
    let root = RootIdentity {
        uuid: derived_uuid(&format!("{} {}", manifest.image.name.get_ref(), lock.digest())),
        label: manifest.image.name.get_ref().clone(),
    };
    let names: Vec<String> = lock.packages.iter().map(|package| package.name.clone()).collect();
    let tree = layers::run(world, manifest, &names, programs, &root, outcome.epoch, outcome.tree)?;
    stage.silently_done();
    let stage = world.ui.stage("check", "Checking");
    let services = check::services(&tree)?;
    stage.done(format_args!("Checked {services} services"));
    Ok((tree, Built { lock, root, kernel: outcome.kernel, epoch: outcome.epoch }))
}

impl Built {
    /// The kernel's release, if the image has a kernel.
    pub fn kernel_release(&self) -> Option<&str> {
        self.kernel.as_ref().map(|kernel| kernel.release.as_str())
    }
}

/// What a build knows beside its tree.
#[derive(Debug)]
pub struct Built {
    lock: Lock,
    root: RootIdentity,
    kernel: Option<configured::KernelFiles>,
    epoch: i64,
}

fn write(
    world: &World,
    manifest: &Manifest,
    programs: &Programs,
    tree: &Tree<Complete>,
    built: &Built,
    output: &Path,
    inputs: &Sha256,
) -> Result<Image> {
    let kernel = built.kernel.as_ref().context("the image has no kernel")?;
    world::make_folder(output, "--output")?;
    // An image that is there already stays whole until the new one is.
    for left in fs::read_dir(output).into_iter().flatten().flatten() {
        if left.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // Of a run that was killed; only room is at stake.
            let _ = fs::remove_dir_all(left.path());
        }
    }
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(output)
        .with_context(|| format!("cannot write into `{}`", output.display()))?;
    let new = unfinished.path();
    let stage = world.ui.stage("initramfs", "Writing");
    let small = initramfs::run(manifest, programs, tree, &kernel.release)?;
    let size = write_initramfs(&small, &new.join(INITRAMFS), built.epoch)?;
    stage.done(format_args!("Wrote the initramfs ({})", ui::bytes(size)));

    let image = kernel.image.bytes()?;
    files::replace(&new.join(KERNEL), &image)?;
    world.go_on()?;

    must_fit(manifest, tree)?;
    let stage = world.ui.stage("root", "Writing");
    let mut options = Ext4Options::new(Ext4Size::Exactly(manifest.root_size()), built.root.uuid, built.epoch);
    options.label.clone_from(&built.root.label);
    let summary = write_ext4(tree, &new.join(ROOT), &options)
        .with_context(|| format!("cannot write the root file system into `{}`", output.display()))?;
    if !manifest.users.is_empty() {
        // It has hashes of passwords that others on this host need not see.
        fs::set_permissions(new.join(ROOT), fs::Permissions::from_mode(0o600))
            .context("cannot protect the root file system")?;
    }
    stage.done(format_args!(
        "Wrote the root file system ({} in {} files)",
        ui::bytes(summary.contents),
        tree.len()
    ));

    let command_line = manifest.kernel.as_ref().map_or("", |kernel| kernel.command_line.get_ref().trim());
    let uuid = uuid_text(&built.root.uuid);
    let contents = Contents {
        format: VERSION,
        name: manifest.image.name.get_ref().clone(),
        inputs: inputs.to_string(),
        kernel_release: kernel.release.clone(),
        kernel_sha256: Sha256::of(&image).to_string(),
        command_line: format!("root=UUID={uuid} ro {command_line}").trim_end().to_owned(),
        root_uuid: uuid,
        sizes: sizes(new)?,
        kept: false,
        packages: built.lock.packages.iter().map(line).collect(),
    };
    write_contents(new, &contents)?;
    put_in_place(new, output)
        .with_context(|| format!("cannot replace the image in `{}`", output.display()))?;
    Ok(Image { folder: output.to_owned(), contents })
}

/// Moves the four files of an image; the list of contents goes first and comes last, since without it the others
/// are not an image.
fn put_in_place(new: &Path, output: &Path) -> std::io::Result<()> {
    match fs::remove_file(output.join(CONTENTS)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    [KERNEL, INITRAMFS, ROOT, CONTENTS]
        .iter()
        .try_for_each(|name| fs::rename(new.join(name), output.join(name)))
}

fn sizes(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let size = |name: &str| -> Result<(String, u64)> {
        let data =
            fs::metadata(folder.join(name)).with_context(|| format!("cannot look at the new {name}"))?;
        Ok((name.to_owned(), data.len()))
    };
    [KERNEL, INITRAMFS, ROOT].iter().map(|name| size(name)).collect()
}

fn write_contents(folder: &Path, contents: &Contents) -> Result<()> {
    let mut text = serde_json::to_string_pretty(contents).context("cannot write the list of contents")?;
    text.push('\n');
    files::replace(&folder.join(CONTENTS), text.as_bytes())
}

/// Writes a cpio archive that the kernel unpacks, under a temporary name first; gives its size in bytes.
pub fn write_initramfs(tree: &Tree<Complete>, path: &Path, epoch: i64) -> Result<u64> {
    let mut bytes = Vec::new();
    let mut writer = CpioWriter::new(BufWriter::new(&mut bytes));
    writer.append(tree, CpioCompression::Gzip(6), epoch)?;
    writer.finish()?;
    files::replace(path, &bytes)?;
    Ok(bytes.len() as u64)
}

fn line(package: &Chosen) -> PackageLine {
    PackageLine {
        name: package.name.clone(),
        version: package.version.to_string(),
        architecture: package.architecture.clone(),
        sha256: package.sha256.to_string(),
    }
}

/// Makes sure that the root file system has room for the tree.
pub fn must_fit(manifest: &Manifest, tree: &Tree<Complete>) -> Result<()> {
    let (needed, size) = (tree.size_on_disk(), manifest.root_size());
    if needed <= size {
        return Ok(());
    }
    let place = manifest.image.size.as_ref().unwrap_or(&manifest.image.name).span();
    let (needed, size) = (ui::bytes(needed), ui::bytes(size));
    let problem = manifest
        .source
        .problem(place, format!("{size} are too small for this image: its files take {needed}"));
    bail!("{}", problem.with_help("choose a larger `size`, with room for what the system will write"));
}

/// Where `mkimage boot` keeps the image of a manifest.
pub fn cached_output(world: &World, manifest: &Manifest) -> PathBuf {
    let path = fs::canonicalize(&manifest.source.path).unwrap_or_else(|_| manifest.source.path.clone());
    let place = Sha256::of(path.as_os_str().as_encoded_bytes()).to_string();
    world.cache.join("images").join(format!("{}-{}", manifest.image.name.get_ref(), &place[..12]))
}

/// The digest of all that decides what an image is. Folders of the project count by name, size and time of
/// their files, so that an unchanged build need not read them.
fn inputs(world: &World, manifest: &Manifest, lock: &Lock, programs: &Programs) -> Result<Sha256> {
    let data = world.data.folder();
    let mut state = format!(
        "image {VERSION} {}\n{}\n{}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        lock.digest(),
        programs.identity,
        Sha256::of(manifest.source.text.as_bytes())
    );
    state.push_str(&own_program_state()?);
    for folder in ["services", "rootfs/skeleton", "rootfs/overlay", "rootfs/overlay.toml"] {
        state.push_str(&folder_state(&data.join(folder))?);
    }
    let given = manifest.services.directories.iter().map(|directory| directory.get_ref());
    for folder in manifest.overlays.iter().chain(given) {
        state.push_str(&folder_state(folder)?);
    }
    Ok(Sha256::of(state.as_bytes()))
}

/// A builder that was changed may build something else.
fn own_program_state() -> Result<String> {
    let program = std::env::current_exe().context("cannot find out where this program is")?;
    let data = fs::metadata(&program).context("cannot look at this program")?;
    Ok(format!("{} {}.{}\n", data.len(), data.mtime(), data.mtime_nsec()))
}

fn skeleton_state(world: &World) -> Result<String> {
    folder_state(&world.data.folder().join("rootfs/skeleton"))
}

fn folder_state(folder: &Path) -> Result<String> {
    let mut state = String::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read `{}`", folder.display()))?;
        let data =
            entry.metadata().with_context(|| format!("cannot look at `{}`", entry.path().display()))?;
        if data.is_dir() {
            state.push_str(&format!("{}/\n", entry.path().display()));
        } else {
            let mode = data.mode();
            let (time, fraction) = (data.mtime(), data.mtime_nsec());
            state.push_str(&format!(
                "{} {} {mode:o} {time}.{fraction}\n",
                entry.path().display(),
                data.len()
            ));
        }
    }
    Ok(state)
}

/// A UUID of version 8 (RFC 9562) out of a text, so that the same image has the same one.
fn derived_uuid(text: &str) -> [u8; 16] {
    let digest = Sha256::of(format!("mkimage root file system {text}").as_bytes());
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest.0[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Lays an image into a new folder, out of empty files.
    pub(crate) fn lay_image(folder: &Path, kept: bool) -> Image {
        fs::create_dir(folder).unwrap();
        for name in [KERNEL, INITRAMFS, ROOT] {
            fs::write(folder.join(name), []).unwrap();
        }
        let contents = Contents {
            format: VERSION,
            name: "test".to_owned(),
            inputs: String::new(),
            kernel_release: String::new(),
            kernel_sha256: String::new(),
            command_line: String::new(),
            root_uuid: String::new(),
            sizes: sizes(folder).unwrap(),
            kept,
            packages: Vec::new(),
        };
        write_contents(folder, &contents).unwrap();
        Image::open(folder).unwrap()
    }
}
