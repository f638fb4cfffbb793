//! What a run works with: the project's data, the user's cache, the mirror, and the wish to stop.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::ui::{Ui, Verbosity};

/// Everything outside of a manifest that a stage may ask for.
#[derive(Debug)]
pub struct World {
    /// services/, rootfs/ and the programs that go into images.
    pub data: Data,
    /// The user's cache; it may be deleted at any time between runs.
    pub cache: PathBuf,
    /// Where the user watches.
    pub ui: Arc<Ui>,
    /// Set once the user has asked to stop (Ctrl-C, SIGTERM, or a closed terminal).
    pub cancelled: Arc<AtomicBool>,
    /// The locked file that keeps other runs away from the cache.
    alone: Mutex<Option<File>>,
}

/// Where the project's own files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A checkout: programs are built by cargo when they are needed.
    Checkout(PathBuf),
    /// An installation: `services/`, `rootfs/` and `programs/` stand side by side.
    Installed(PathBuf),
}

/// The error of a run that the user has stopped.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; nothing is left behind, and the next run continues from here")
    }
}

impl std::error::Error for Interrupted {}

impl World {
    /// Looks around: finds data and cache, and begins to listen for Ctrl-C. A second Ctrl-C ends the
    /// program at once.
    pub fn new(verbosity: Verbosity, cache: Option<PathBuf>) -> Result<Self> {
        let cancelled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancelled))
                .context("cannot listen for signals")?;
            signal_hook::flag::register(signal, Arc::clone(&cancelled))
                .context("cannot listen for signals")?;
        }
        // A closed terminal sends it besides SIGTERM, so it never counts as the second one. nohup(1) has it ignored.
        if !ignores(SIGHUP) {
            signal_hook::flag::register(SIGHUP, Arc::clone(&cancelled))
                .context("cannot listen for signals")?;
        }
        let cache = match cache {
            Some(cache) => cache,
            None => default_cache()?,
        };
        make_folder(&cache, "--cache")?;
        Ok(Self { data: Data::find()?, cache, ui: Ui::new(verbosity), cancelled, alone: Mutex::default() })
    }

    /// Keeps other runs from working in the same cache, and waits for one that does so now. Lasts until
    /// [`World::let_others_in`] or the end of the program.
    pub fn keep_others_out(&self) -> Result<()> {
        let path = self.cache.join("run.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open `{}`", path.display()))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        self.ui.say("Waiting for another mkimage that uses the same cache");
                    }
                    self.go_on()?;
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock `{}`", path.display()));
                }
            }
        }
        *self.alone.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    /// Ends what [`World::keep_others_out`] began; tells whether it was in force.
    pub fn let_others_in(&self) -> bool {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// An error once the user has asked to stop.
    pub fn go_on(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}

impl Data {
    /// Finds the project's files: `MKIMAGE_DATA`, else the checkout around the program, else the share
    /// folder beside its bin folder.
    pub fn find() -> Result<Self> {
        if let Some(folder) = std::env::var_os("MKIMAGE_DATA") {
            return Self::at(Path::new(&folder)).with_context(|| {
                format!(
                    "MKIMAGE_DATA names `{}`, which has no services/ and rootfs/",
                    Path::new(&folder).display()
                )
            });
        }
        let program = std::env::current_exe().context("cannot find out where this program is")?;
        let around = program
            .ancestors()
            .skip(1)
            .find_map(|folder| Self::at(folder).or_else(|| Self::at(&folder.join("share/mkimage"))));
        // A checkout whose target directory is elsewhere.
        let start = || Self::at(Path::new(&std::env::var_os("CARGO_MANIFEST_DIR")?).parent()?.parent()?);
        match around.or_else(start) {
            Some(data) => Ok(data),
            None => bail!(
                "cannot find mkimage's services/ and rootfs/ around `{}`; name the folder that holds them with MKIMAGE_DATA",
                program.display()
            ),
        }
    }

    fn at(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).is_dir();
        if !has("services/base") || !has("rootfs/images") {
            return None;
        }
        if folder.join("Cargo.toml").is_file() && has("dinit/daemon") {
            Some(Self::Checkout(folder.to_owned()))
        } else if has("programs") {
            Some(Self::Installed(folder.to_owned()))
        } else {
            None
        }
    }

    /// The folder that holds services/ and rootfs/.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Checkout(folder) | Self::Installed(folder) => folder,
        }
    }

    /// The manifest that is used when none is named.
    pub fn default_manifest(&self) -> PathBuf {
        self.folder().join("rootfs/images/base.toml")
    }
}

/// Whether whoever started this program had it ignore a signal; `SigIgn` of proc(5) is a mask in base 16.
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// `MKIMAGE_CACHE`, else what the XDG base directory specification says.
fn default_cache() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(cache) = std::env::var_os("MKIMAGE_CACHE") {
        return std::path::absolute(PathBuf::from(cache)).context("cannot resolve MKIMAGE_CACHE");
    }
    if let Some(cache) = absolute("XDG_CACHE_HOME") {
        return Ok(cache.join("mkimage"));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".cache/mkimage")),
        None => bail!("no place for the cache: HOME is not set; name one with MKIMAGE_CACHE"),
    }
}

/// Refuses what is there and is no folder, where the user has named one, or could have.
pub fn must_not_be_file(path: &Path, option: &str) -> Result<()> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        bail!("`{}` is not a folder; name another one with `{option}`", path.display());
    }
    Ok(())
}

/// Makes such a folder, unless it is there.
pub fn make_folder(path: &Path, option: &str) -> Result<()> {
    must_not_be_file(path, option)?;
    std::fs::create_dir_all(path)
        .with_context(|| format!("cannot make the folder `{}`; `{option}` names another one", path.display()))
}
