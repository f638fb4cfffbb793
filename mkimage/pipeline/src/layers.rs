//! What is laid over a configured tree: services, our own programs, the overlay, and the few files that
//! depend on the manifest (host name, fstab, passwords).

mod nodes;
mod services;
mod static_nodes;
mod users;

use std::path::Path;

use anyhow::{Context, Result};
use mkimage_tree::{Complete, Configured, Layer, MergePolicy, Provenance, Tree, TreePath};

use crate::manifest::Manifest;
use crate::programs::Programs;
use crate::world::World;

pub use services::package_folders;

/// Where each of our programs goes, and the other names it answers to.
const PROGRAMS: [(&str, &str, &[&str]); 7] = [
    ("dinit", "usr/sbin", &["init"]),
    ("dinitctl", "usr/bin", &[]),
    ("dinit-check", "usr/bin", &[]),
    ("dinit-monitor", "usr/bin", &[]),
    ("shutdown", "usr/sbin", &["halt", "poweroff", "reboot", "soft-reboot"]),
    ("dinit-ready", "usr/lib/dinit", &[]),
    ("dinit-when", "usr/lib/dinit", &[]),
];

/// What the root file system is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootIdentity {
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Its label.
    pub label: String,
}

/// Lays everything over the configured tree. `packages` are the names in the lock.
pub fn run(
    world: &World,
    manifest: &Manifest,
    packages: &[String],
    programs: &Programs,
    root: &RootIdentity,
    epoch: i64,
    tree: Tree<Configured>,
) -> Result<Tree<Complete>> {
    let data = world.data.folder();
    let policy = MergePolicy::new();
    let mut tree = tree;
    let lay = |tree: Tree<Configured>, layer: Layer| lay_over(tree, layer, epoch, &policy);
    for layer in services::layers(data, packages, epoch)? {
        tree = lay(tree, layer)?;
    }
    for directory in &manifest.services.directories {
        let layers = service_folder(world.data.folder(), directory.get_ref(), epoch);
        let layers = layers
            .map_err(|error| manifest.source.problem(directory.span(), format!("{error:#}")))
            .map_err(|problem| anyhow::anyhow!("{problem}"))?;
        for layer in layers {
            tree = lay(tree, layer)?;
        }
    }
    tree = lay(tree, programs_layer(programs)?)?;
    let own = data.join("rootfs/overlay");
    tree = lay(tree, folder(&own, overlay(data, &own), epoch)?)?;
    let nodes = nodes::layer(&data.join("rootfs/overlay.toml"), &tree)?;
    tree = lay(tree, nodes)?;
    tree = lay(tree, generated(manifest, root)?)?;
    if let Some(nodes) = static_nodes::layer(&tree)? {
        tree = lay(tree, nodes)?;
    }
    if let Some(passwords) = users::layer(manifest, &tree)? {
        tree = lay(tree, passwords)?;
    }
    if let Some(enabled) = services::enabled(manifest, &tree)? {
        tree = lay(tree, enabled)?;
    }
    for source in &manifest.overlays {
        tree = lay(tree, folder(source, overlay(data, source), epoch)?)?;
    }
    Ok(tree.complete())
}

/// The origin of what lies in a folder or file of the host; one of the project's own by its short name.
fn overlay(data: &Path, source: &Path) -> Provenance {
    let shown = source.strip_prefix(data).unwrap_or(source);
    Provenance::Overlay(shown.to_string_lossy().into())
}

/// A folder of services that a manifest names.
pub(crate) fn service_folder(data: &Path, folder: &Path, epoch: i64) -> Result<Vec<Layer>> {
    services::directory(folder, &overlay(data, folder), epoch)
}

/// Merges a layer of ours; what has no time of its own is as old as the newest package.
fn lay_over(
    tree: Tree<Configured>,
    mut layer: Layer,
    epoch: i64,
    policy: &MergePolicy,
) -> Result<Tree<Configured>> {
    layer.for_each_mut(|_, entry| {
        if entry.mtime == 0 {
            entry.mtime = epoch;
        }
    });
    Ok(tree.merge(&layer, policy)?)
}

/// Files laid down before packages are configured.
pub fn skeleton(world: &World, epoch: i64) -> Result<Layer> {
    folder(&world.data.folder().join("rootfs/skeleton"), Provenance::Skeleton, epoch)
}

/// A folder of the host as a layer of root's files; execute bits are kept, other modes are the usual ones.
fn folder(folder: &Path, provenance: Provenance, epoch: i64) -> Result<Layer> {
    Layer::from_dir(folder, &provenance, epoch)
        .with_context(|| format!("cannot read the folder `{}`", folder.display()))
}

fn programs_layer(programs: &Programs) -> Result<Layer> {
    let mut layer = Layer::new(Provenance::Binary("dinit".into()));
    layer.directory(path("usr/lib/dinit")?, 0o755);
    for (name, folder, others) in PROGRAMS {
        layer.file(path(&format!("{folder}/{name}"))?, 0o755, programs.read(name)?);
        for other in others {
            layer.symlink(path(&format!("{folder}/{other}"))?, name);
        }
    }
    Ok(layer)
}

/// What the manifest decides. /etc/fstab names the root by its UUID, as the kernel command line does.
fn generated(manifest: &Manifest, root: &RootIdentity) -> Result<Layer> {
    let mut layer = Layer::new(manifest.provenance());
    layer.file(path("etc/hostname")?, 0o644, format!("{}\n", manifest.hostname()).into_bytes());
    let fstab = format!(
        "# <file system>\t<mount point>\t<type>\t<options>\t<dump>\t<pass>\nUUID={}\t/\text4\terrors=remount-ro\t0\t1\n",
        uuid_text(&root.uuid)
    );
    layer.file(path("etc/fstab")?, 0o644, fstab.into_bytes());
    Ok(layer)
}

/// A UUID in its usual spelling (RFC 9562).
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (position, byte) in uuid.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

pub(crate) fn path(text: &str) -> Result<TreePath> {
    TreePath::new(text).with_context(|| format!("`{text}` is not a path"))
}
