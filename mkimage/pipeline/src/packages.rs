//! From a manifest to a lock, and from a lock to packages in the cache.
//!
//! A lock that answers its manifest is used as it is. Archives drop old versions; when one that the lock names is
//! gone, the least that must change is chosen anew and said, unless the caller wants exactly what is locked.

mod local;
mod progress;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use mkimage_archive::{Archive, ArchiveError, Cache, Cancel, Keyring, LocalPackage, Mirror, Unpacked};
use mkimage_deb::Timestamp;
use mkimage_resolve::{Change, Forbidden, Lock, Request, Role, UnfitLock, Unsatisfiable, Wanted};
use toml::Spanned;

use crate::manifest::{Kernel, Manifest};
use crate::world::World;

/// What may happen to a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// It is made, or changed as little as possible, when it does not answer its manifest.
    AsNeeded,
    /// It is taken as it is, or the run ends.
    Exactly,
    /// Everything is chosen anew from what the archive has now.
    Update,
}

/// What a manifest asks of the resolver, with the packages that it has in files.
pub fn request(manifest: &Manifest, local: &[LocalPackage]) -> Request {
    let archive = &manifest.archive;
    let (suite, architecture) = (archive.suite.get_ref(), archive.architecture.get_ref());
    let essential = manifest.packages.essential;
    let mut request = Request { essential, ..Request::image(suite, architecture) };
    request.components = archive.components.iter().map(|name| name.get_ref().clone()).collect();
    request.packages = manifest.packages.include.iter().map(|name| Wanted::any(name.get_ref())).collect();
    let kernel = manifest.kernel.iter().map(|kernel| &kernel.package);
    let files_only = kernel.chain(&manifest.packages.files_only);
    request.files_only = files_only.map(|name| Wanted::any(name.get_ref())).collect();
    request.local = local.iter().map(|package| package.sha256).collect();
    let is_files_only = |name: &str| request.files_only.iter().any(|wanted| wanted.name == name);
    let wanted = local.iter().filter(|package| !is_files_only(&package.name));
    request
        .packages
        .extend(wanted.map(|package| Wanted::parse(&format!("{}={}", package.name, package.version))));
    for name in &manifest.packages.exclude {
        let help = "take it off the manifest's `exclude`, or leave out what needs it".to_owned();
        request.forbidden.push(Forbidden { name: name.get_ref().clone(), help });
    }
    request
}

/// Where the lock of a manifest is kept: beside it.
pub fn lock_path(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

/// The lock for a manifest, and whether it had to be made or changed.
pub fn lock(world: &World, manifest: &Manifest, locking: Locking) -> Result<(Lock, Outcome)> {
    let path = lock_path(&manifest.source.path);
    let old = read(world, &path, locking)?;
    let local = local::read(manifest)?;
    let request = request(manifest, &local);
    if locking != Locking::Update
        && let Some(lock) = &old
    {
        match lock.must_answer(&request) {
            Ok(()) => return Ok((lock.clone(), Outcome::Unchanged)),
            Err(UnfitLock::Stale) => {}
            Err(unfit @ UnfitLock::Forbidden { .. }) => {
                bail!("`{}`: {unfit}\nhelp: {}", path.display(), unfit.help());
            }
        }
    }
    if locking == Locking::Exactly {
        let shown = path.display();
        return match old {
            None => Err(anyhow!(
                "there is no lock `{shown}`, and --locked forbids making one; run `mkimage lock`"
            )),
            Some(_) => Err(anyhow!(
                "`{shown}` was made for another manifest, and --locked forbids changing it; run `mkimage lock`"
            )),
        };
    }
    let lock = resolve(world, manifest, local, old.as_ref(), locking)?;
    if let Some(old) = old.as_ref().filter(|old| old.says_the_same(&lock)) {
        return Ok((old.clone(), Outcome::Unchanged));
    }
    write(world, &path, old.as_ref(), &lock)?;
    Ok((lock, Outcome::Changed))
}

/// Whether a lock file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The file on the disk is what was wanted.
    Unchanged,
    /// It was made or changed.
    Changed,
}

/// All packages of a lock, unpacked in the cache. Gives back the lock too: it may have had to change.
pub fn packages(
    world: &World,
    manifest: &Manifest,
    lock: Lock,
    locking: Locking,
) -> Result<(Lock, Vec<Unpacked>)> {
    let mut lock = lock;
    let local = local::read(manifest)?;
    // Each round replaces what the mirror no longer has; an archive that changes under us more often is broken.
    for _ in 0..3 {
        let archive = archive(world, manifest, local.clone())?;
        let gone = match archive.packages(&lock.packages) {
            Ok(packages) => return Ok((lock, packages)),
            Err(ArchiveError::Gone { package, .. }) => package,
            Err(error) => return Err(told(error)),
        };
        if locking == Locking::Exactly {
            bail!(
                "the mirror no longer has `{gone}`, which the lock names, and --locked forbids choosing another; run `mkimage lock`"
            );
        }
        world.ui.say(format_args!("The mirror no longer has {gone}; choosing anew what must change"));
        let new = resolve(world, manifest, local.clone(), Some(&lock), Locking::AsNeeded)?;
        if new.says_the_same(&lock) {
            bail!(
                "the mirror's index names `{gone}`, but the mirror does not have it; try again later, or another mirror (MKIMAGE_MIRROR)"
            );
        }
        write(world, &lock_path(&manifest.source.path), Some(&lock), &new)?;
        lock = new;
    }
    bail!(
        "the mirror keeps losing packages that its index names; try again later, or another mirror (MKIMAGE_MIRROR)"
    )
}

/// The archive that a manifest takes its packages from.
fn archive(world: &World, manifest: &Manifest, local: Vec<LocalPackage>) -> Result<Archive> {
    let settings = &manifest.archive;
    // The environment wins over the manifest: whoever runs a build knows what is near.
    let environment = std::env::var("MKIMAGE_MIRROR").ok().filter(|mirror| !mirror.is_empty());
    let given = settings.mirror.as_ref().map(|mirror| mirror.get_ref().as_str());
    let mirror = Mirror::choose(if environment.is_some() { None } else { given }).map_err(told)?;
    let keyring = match &settings.keyring {
        Some(path) => Keyring::read(path.get_ref()).map_err(told)?,
        None => Keyring::shipped(),
    };
    Ok(Archive {
        mirror,
        keyring,
        cache: Cache::open(&world.cache).map_err(told)?,
        now: Timestamp::now(),
        local,
        progress: Arc::new(progress::View::new(Arc::clone(&world.ui))),
        cancel: Cancel::from(Arc::clone(&world.cancelled)),
    })
}

fn resolve(
    world: &World,
    manifest: &Manifest,
    local: Vec<LocalPackage>,
    old: Option<&Lock>,
    locking: Locking,
) -> Result<Lock> {
    let mut request = request(manifest, &local);
    let archive = archive(world, manifest, local)?;
    world.ui.say(format_args!("Mirror: {} ({})", archive.mirror, archive.mirror.source()));
    let release =
        archive.release(manifest.archive.suite.get_ref()).map_err(|error| told_at(manifest, error))?;
    if let Some(old) = old {
        old.must_not_go_back(release.date).map_err(|error| anyhow!("{error}\nhelp: {}", error.help()))?;
    }
    let components: Vec<&str> = request.components.iter().map(String::as_str).collect();
    let index = archive
        .index(&release, &components, &request.architecture)
        .map_err(|error| told_at(manifest, error))?;
    world.go_on()?;
    if let Some(lock) = old.filter(|_| locking != Locking::Update) {
        request.preferred = lock.versions();
    }
    let stage = world.ui.stage("resolve", "Resolving");
    let with_local = match archive.local.as_slice() {
        [] => None,
        local => Some(index.with_local(local)?),
    };
    let selection = mkimage_resolve::resolve(&request, with_local.as_ref().unwrap_or(index.packages()))
        .map_err(|error| unsatisfiable(manifest, &error))?;
    if let Some(kernel) = &manifest.kernel
        && !selection.packages.iter().any(|package| package.role == Role::FilesOnly)
    {
        return Err(not_a_kernel(manifest, kernel));
    }
    let lock = Lock::new(&request, Some(release.date), selection);
    stage.done(format_args!("Resolved {} packages", lock.packages.len()));
    Ok(lock)
}

/// Says where in the manifest the impossible was asked for, if one name is to blame.
fn unsatisfiable(manifest: &Manifest, error: &Unsatisfiable) -> anyhow::Error {
    let help = error.help();
    let told = match error.subject().and_then(|name| manifest.package_position(name)) {
        None => {
            let help = help.map(|help| format!("\nhelp: {help}")).unwrap_or_default();
            format!("{}: {error}{help}", manifest.source.path.display())
        }
        Some(range) => {
            let problem = manifest.source.problem(range, error.to_string());
            help.map_or(problem.clone(), |help| problem.with_help(help)).to_string()
        }
    };
    match error.reasons() {
        Some(reasons) => anyhow!("{told}\nbecause:\n{reasons}"),
        None => anyhow!("{told}"),
    }
}

/// Says where in the manifest something is named as the kernel that has none.
pub fn not_a_kernel(manifest: &Manifest, kernel: &Kernel) -> anyhow::Error {
    let message = format!("`{}` brings no kernel", kernel.package.get_ref());
    let problem = manifest.source.problem(kernel.package.span(), message);
    anyhow!(
        "{}",
        problem.with_help("name a package with a /boot/vmlinuz-*, such as `linux-image-cloud-amd64`")
    )
}

/// Says where in the manifest something is named that the archive does not have.
fn told_at(manifest: &Manifest, error: ArchiveError) -> anyhow::Error {
    let range = match &error {
        ArchiveError::NoSuchSuite { .. } => Some(manifest.archive.suite.span()),
        ArchiveError::NoSuchIndex { path, .. } => {
            let named = |component: &&Spanned<String>| path.starts_with(&format!("{}/", component.get_ref()));
            manifest.archive.components.iter().find(named).map(Spanned::span)
        }
        _ => None,
    };
    let Some(range) = range else { return told(error) };
    let problem = manifest.source.problem(range, chain(&error));
    match error.help() {
        Some(help) => anyhow!("{}", problem.with_help(help)),
        None => anyhow!("{problem}"),
    }
}

fn told(error: ArchiveError) -> anyhow::Error {
    if matches!(error, ArchiveError::Cancelled) {
        return crate::world::Interrupted.into();
    }
    match error.help() {
        Some(help) => anyhow!("{}\nhelp: {help}", chain(&error)),
        None => error.into(),
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Reads a lock; one that cannot be used is as good as none to who makes all anew.
fn read(world: &World, path: &Path, locking: Locking) -> Result<Option<Lock>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read the lock `{}`", path.display()));
        }
    };
    match Lock::parse(&path.display().to_string(), &text) {
        Ok(lock) => Ok(Some(lock)),
        Err(problem) if locking == Locking::Update => {
            world.ui.say(format_args!("{problem}"));
            Ok(None)
        }
        Err(problem) => bail!("{problem}"),
    }
}

fn write(world: &World, path: &Path, old: Option<&Lock>, lock: &Lock) -> Result<()> {
    let written = crate::files::replace(path, lock.to_string().as_bytes());
    if let Err(error) = written {
        // An installation's own manifests are not the user's to change, and a build can go on without.
        if !is_read_only(&error) {
            return Err(error);
        }
        world.ui.say(format_args!("{error:#}; going on with a lock that lasts for this run"));
        return Ok(());
    }
    match old {
        None => world.ui.say(format_args!("Wrote {}", path.display())),
        Some(old) => {
            let changes = old.changes(lock);
            let what = if changes.is_empty() { ", with the same packages" } else { ":" };
            world.ui.say(format_args!("Changed {}{what}", path.display()));
            for change in changes {
                world.ui.say(format_args!("  {}", sentence(&change)));
            }
        }
    }
    Ok(())
}

fn is_read_only(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let kind = error.root_cause().downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(PermissionDenied | ReadOnlyFilesystem))
}

fn sentence(change: &Change) -> String {
    match change {
        Change::Added { name, version } => format!("+ {name} {version}"),
        Change::Removed { name, version } => format!("- {name} {version}"),
        Change::Replaced { name, from, to } => format!("  {name} {from} -> {to}"),
    }
}
