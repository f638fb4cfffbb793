//! A configured tree: packages and skeleton merged, maintainer scripts run on them once, the result cached.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use mkimage_archive::Unpacked as Package;
use mkimage_configure::{
    Device, DeviceKind, Options, Owner, PackageControl, PackageFile, SandboxProgram, Workspace,
    room_in_memory,
};
use mkimage_deb::Sha256;
use mkimage_resolve::Role;
use mkimage_tree::{
    Configured, Entry, Kind, Layer, Materialise, MergePolicy, Provenance, Scan, Tree, TreePath, Unpacked,
    materialise, scan,
};

use crate::build::Reuse;
use crate::manifest::Manifest;
use crate::unpacked::{self, PackageLayer};
use crate::world::World;
use crate::{layers, packages, ui};

/// Changes whenever the same input gives another result.
const VERSION: u32 = 4;

/// How many results are kept for builds to come.
const KEPT: usize = 4;

/// A configured tree and what is known of it.
#[derive(Debug)]
pub struct Outcome {
    /// The tree.
    pub tree: Tree<Configured>,
    /// The kernel, if the image has one.
    pub kernel: Option<KernelFiles>,
    /// The time that nothing in the image is younger than, in seconds since 1970: that of its newest package.
    pub epoch: i64,
}

/// The kernel package's own part of an image.
#[derive(Debug, Clone)]
pub struct KernelFiles {
    /// The release, as in /usr/lib/modules.
    pub release: String,
    /// The kernel itself.
    pub image: mkimage_tree::Content,
}

/// Merges packages and skeleton, and configures them unless that was done before.
pub fn run(
    world: &World,
    manifest: &Manifest,
    packages: &[Package],
    inputs: &Sha256,
    reuse: Reuse,
) -> Result<Outcome> {
    let stage = world.ui.stage("merge", "Merging");
    let mut package_layers = unpacked::layers(packages)?;
    let kernel = match &manifest.kernel {
        Some(wanted) => {
            let kernel = take_kernel(&mut package_layers)?;
            Some(kernel.ok_or_else(|| packages::not_a_kernel(manifest, wanted))?)
        }
        None => None,
    };
    let times = package_layers.iter().flat_map(|layer| layer.layer.entries()).map(|(_, entry)| entry.mtime);
    let epoch = times.max().unwrap_or_default();
    let tree = unpacked::tree(&package_layers, epoch)?
        .merge(&layers::skeleton(world, epoch)?, &MergePolicy::new())?;
    stage.done(format_args!(
        "Merged {} packages ({} files, {})",
        packages.len(),
        tree.len(),
        ui::bytes(tree.total_size())
    ));

    let cache = world.cache.join("configured").join(key(inputs, kernel.as_ref()));
    if reuse != Reuse::Nothing
        && let Ok(changes) = Layer::load(&cache)
    {
        let tree = tree.merge(&changes, &MergePolicy::new())?;
        return Ok(Outcome { tree: tree.configured(), kernel, epoch });
    }
    let stage = world.ui.stage("configure", "Configuring");
    let work = tempfile::Builder::new()
        .prefix("configure-")
        .tempdir_in(work_folder(world)?)
        .context("cannot make a folder to configure packages in")?;
    let program = SandboxProgram::current().context("cannot find out where this program is")?;
    let memory = room_in_memory(tree.size_on_disk());
    let prepared = Workspace::prepare(work.path(), memory, &program);
    // Whoever interrupts a run from the keyboard interrupts the sandbox too.
    world.go_on()?;
    let (workspace, sandbox) = prepared?;
    let laid_out = materialise(&tree, workspace.root(), &Materialise { epoch, ..Materialise::default() })?;
    world.go_on()?;
    let normal = package_layers.iter().filter(|layer| layer.package.role == Role::Normal);
    let controls = normal.map(control).collect::<Result<Vec<PackageControl>>>()?;
    let options = Options {
        architecture: manifest.archive.architecture.get_ref().clone(),
        source_date_epoch: u64::try_from(epoch).unwrap_or_default(),
        kernel_release: kernel.as_ref().map(|kernel| kernel.release.clone()),
    };
    let configured =
        mkimage_configure::configure(&workspace, sandbox, &controls, &options, &mut |progress| {
            stage.length_in_items(progress.total as u64);
            stage.position(progress.done as u64);
            !world.cancelled.load(std::sync::atomic::Ordering::Relaxed)
        });
    world.go_on()?;
    let configured = configured?;
    let mut how = Scan::new(Provenance::Configure("maintainer scripts".into()), epoch);
    how.owners = owners(&tree, &configured.ownership)?;
    let mut changes = scan(&laid_out, &tree, &how)?;
    add_what_no_disk_shows(&mut changes, &tree, &configured)?;
    std::fs::create_dir_all(world.cache.join("configured")).context("cannot make a folder in the cache")?;
    changes.save(&cache)?;
    prune(&world.cache.join("configured"));
    let scripts = configured.report.scripts.len();
    let tree = tree.merge(&changes, &MergePolicy::new())?;
    stage.done(format_args!("Configured {} packages ({scripts} scripts)", controls.len()));
    Ok(Outcome { tree: tree.configured(), kernel, epoch })
}

/// What the result depends on.
fn key(inputs: &Sha256, kernel: Option<&KernelFiles>) -> String {
    let release = kernel.map_or("", |kernel| kernel.release.as_str());
    Sha256::of(format!("configured {VERSION} {} {inputs} {release}", env!("CARGO_PKG_VERSION")).as_bytes())
        .to_string()
}

/// Splits the kernel itself off its package, if it is there; the image keeps the modules.
fn take_kernel(layers: &mut [PackageLayer<'_>]) -> Result<Option<KernelFiles>> {
    let mut packages = layers.iter_mut().filter(|layer| layer.package.role == Role::FilesOnly).peekable();
    packages.peek().context("the lock has no kernel package; run `mkimage lock --update`")?;
    // There may be others of which only the files are taken; a kernel is known by its image.
    let with_image = |package: &PackageLayer<'_>| {
        package.layer.entries().iter().find_map(|(path, entry)| {
            let release = path.as_bytes().strip_prefix(b"boot/vmlinuz-")?;
            Some((String::from_utf8_lossy(release).into_owned(), entry.content()?.clone()))
        })
    };
    let found = packages.find_map(|package| with_image(package).map(|image| (package, image)));
    let Some((package, (release, image))) = found else { return Ok(None) };
    package.layer.retain(|path, _| path.as_bytes().split(|byte| *byte == b'/').next() != Some(b"boot"));
    Ok(Some(KernelFiles { release, image }))
}

fn control(layer: &PackageLayer<'_>) -> Result<PackageControl> {
    let files = layer.layer.entries().iter().map(|(path, entry)| PackageFile {
        path: path.as_bytes().to_vec(),
        owner: Owner { uid: entry.uid, gid: entry.gid },
        mode: entry.mode,
    });
    let waiting = layer.waiting.iter();
    let mut control = PackageControl {
        members: layer.package.control.clone(),
        files: files.collect(),
        conffiles: BTreeMap::new(),
        waiting: waiting.map(|(path, name)| (path.as_bytes().to_vec(), name.as_bytes().to_vec())).collect(),
    };
    for (path, entry) in layer.layer.entries() {
        if let Some(content) = entry.content()
            && control.is_conffile(path.as_bytes())
        {
            control.conffiles.insert(path.as_bytes().to_vec(), content.bytes()?);
        }
    }
    Ok(control)
}

/// Every owner that is not the one the tree has.
fn owners(
    tree: &Tree<Unpacked>,
    ownership: &BTreeMap<Vec<u8>, Owner>,
) -> Result<BTreeMap<TreePath, (u32, u32)>> {
    let mut owners = BTreeMap::new();
    for (path, owner) in ownership {
        owners.insert(TreePath::in_root(path)?, (owner.uid, owner.gid));
    }
    // What scripts gave back to root does not show in the map above.
    for (path, _) in tree.iter().filter(|(_, entry)| (entry.uid, entry.gid) != (0, 0)) {
        owners.entry(path.clone()).or_insert((0, 0));
    }
    Ok(owners)
}

/// Puts into the changes what scripts did and the builder's disk cannot hold: set-id bits and modes that forbid
/// the owner, devices, privileged attributes.
fn add_what_no_disk_shows(
    changes: &mut Layer,
    tree: &Tree<Unpacked>,
    configured: &mkimage_configure::Configured,
) -> Result<()> {
    let paths = configured.modes.keys().chain(configured.devices.keys()).chain(configured.attributes.keys());
    let paths: BTreeSet<&Vec<u8>> = paths.collect();
    let seen: BTreeSet<TreePath> = changes.entries().iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        let path = TreePath::in_root(path)?;
        let Some(entry) = tree.get(&path).filter(|_| !seen.contains(&path)) else { continue };
        let mut changed = Entry { provenance: changes.provenance().clone(), ..entry.clone() };
        complete(&path, &mut changed, configured);
        let is_device = configured.devices.contains_key(&path.absolute());
        if is_device || changed.mode != entry.mode || changed.xattrs != entry.xattrs {
            if changed.is_directory() {
                changes.impose(path.clone());
            }
            changes.put(path, changed);
        }
    }
    changes.for_each_mut(|path, entry| complete(path, entry, configured));
    Ok(())
}

/// Gives one entry what is recorded of it; a further name of a file takes part in its first name's.
fn complete(path: &TreePath, entry: &mut Entry, configured: &mkimage_configure::Configured) {
    if matches!(entry.kind, Kind::Hardlink(_)) {
        return;
    }
    let path = path.absolute();
    if let Some(mode) = configured.modes.get(&path) {
        entry.mode = *mode;
    }
    if let Some(attributes) = configured.attributes.get(&path) {
        entry.xattrs = attributes.clone();
    }
    if let Some(Device { kind, major, minor }) = configured.devices.get(&path).copied() {
        entry.kind = match kind {
            DeviceKind::Character => Kind::CharDevice { major, minor },
            DeviceKind::Block => Kind::BlockDevice { major, minor },
        };
    }
}

/// Where trees are laid out for a while; left-overs of runs that were killed go away, since no other run is
/// at work in this cache.
fn work_folder(world: &World) -> Result<PathBuf> {
    let folder = world.cache.join("work");
    // What cannot be removed is in nobody's way.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder)
}

/// Removes all but the newest results.
fn prune(folder: &std::path::Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(KEPT);
    for (_, path) in files.into_iter().take(surplus) {
        // Only room in the cache is at stake.
        let _ = std::fs::remove_file(path);
    }
}
