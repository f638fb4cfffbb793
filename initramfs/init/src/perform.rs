//! Doing the steps of the plan, one arm each.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use initramfs_config::{Module, RUN_SEED};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::blocks;
use crate::cmdline::{Root, Tag};
use crate::enter;
use crate::failure::{Evidence, Failure, log, say};
use crate::plan::{EARLY_MOUNTS, EarlyMount, RootMount, Step};
use crate::uevent::Events;

/// Where the root is mounted before it becomes the root.
pub(crate) const NEW_ROOT: &str = "/new-root";

/// What earlier steps found out for later ones.
#[derive(Debug, Default)]
pub(crate) struct Found {
    root_device: Option<PathBuf>,
}

/// Does one step.
pub(crate) fn perform(step: &Step, found: &mut Found) -> Result<(), Failure> {
    match step {
        Step::Mount(early) => mount_early(early),
        Step::MountIfPossible(inner) => {
            // The new root's services find it missing, and say so if they cannot mount it either.
            let _ = try_mount(inner);
            Ok(())
        }
        Step::Load(module) => {
            load(module);
            Ok(())
        }
        Step::SeedRun => enter::copy_tree(Path::new(RUN_SEED), Path::new("/run")).map_err(|cause| Failure {
            step: format!("lay `{RUN_SEED}` into `/run`"),
            cause: error_text(&cause),
            evidence: Evidence::Nothing,
            help: "give the machine more memory, or the additional archive less to bring",
        }),
        Step::Sleep { seconds } => {
            thread::sleep(Duration::from_secs(u64::from(*seconds)));
            Ok(())
        }
        Step::FindRoot { root, seconds } => {
            found.root_device = Some(find_root(root, *seconds)?);
            Ok(())
        }
        Step::MountRoot(how) => mount_root(how, found.root_device.as_deref().unwrap_or(Path::new(""))),
        Step::MoveMounts => move_mounts(),
        Step::EnterRoot => enter::enter(Path::new(NEW_ROOT)),
        Step::Execute { programs } => Err(enter::execute(programs)),
    }
}

/// Mounts a file system of the kernel, making the folder for it.
fn try_mount(early: &EarlyMount) -> nix::Result<()> {
    let made =
        fs::create_dir_all(early.place).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    made.and_then(|()| mount(Some(early.kind), early.place, Some(early.kind), early.flags, Some(early.data)))
}

/// Mounts what may be mounted already: the kernel can be built to mount `/dev` itself.
fn mount_early(early: &EarlyMount) -> Result<(), Failure> {
    match try_mount(early) {
        Ok(()) | Err(Errno::EBUSY) => {}
        Err(errno) => {
            return Err(Failure {
                step: format!("mount `{}` on `{}`", early.kind, early.place),
                cause: errno_text(errno),
                evidence: Evidence::Nothing,
                help: "use a kernel that is built with this file system",
            });
        }
    }
    if early.kind == "devtmpfs" {
        open_console();
    }
    Ok(())
}

/// Takes the console for what we and the programs after us say, whatever the kernel opened for us.
fn open_console() {
    // Without a console there is nobody to tell.
    if let Ok(console) = File::options().read(true).write(true).open("/dev/console") {
        let _ = dup2_stdin(&console).and(dup2_stdout(&console)).and(dup2_stderr(&console));
    }
}

/// Loads a module; one that cannot be loaded is mentioned, and missed only if the root does not appear.
fn load(module: &Module) {
    if let Err(cause) = try_load(module) {
        say(&["initramfs: warning: the module `", &module.path, "` is not loaded: ", &cause, "\n"].concat());
    }
}

fn try_load(module: &Module) -> Result<(), String> {
    // The kernel unpacks it itself; the flag is not among the constants of nix.
    const COMPRESSED: ModuleInitFlags = ModuleInitFlags::from_bits_retain(4);
    let file = File::open(&module.path).map_err(|error| error_text(&error))?;
    let parameters = CString::new(module.parameters.as_str()).map_err(|error| error.to_string())?;
    let is_compressed = [".xz", ".zst", ".gz"].iter().any(|suffix| module.path.ends_with(suffix));
    let flags = if is_compressed { COMPRESSED } else { ModuleInitFlags::empty() };
    match finit_module(&file, &parameters, flags) {
        // There already, or for a device that is not there.
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(errno) => Err(errno_text(errno)),
    }
}

/// Waits for the root device, woken by the kernel whenever it adds one.
fn find_root(root: &Root, seconds: Option<u32>) -> Result<PathBuf, Failure> {
    // Listen first and look then, so that nothing slips through between.
    let mut events = Events::listen(seconds.map(|seconds| Duration::from_secs(u64::from(seconds))));
    let mut told = false;
    loop {
        if let Some(device) = blocks::find(root) {
            return Ok(device);
        }
        if !events.wait() {
            let limit = seconds.unwrap_or_default();
            return Err(Failure {
                step: format!("find the root device `{}`", shown(root)),
                cause: format!("it did not appear within {limit} s"),
                evidence: Evidence::Devices,
                help: "correct `root=` on the kernel command line, add the module of the disk to the initramfs, or \
                       wait longer with `rootwait=SECONDS`",
            });
        }
        if !told && events.waited() > Duration::from_secs(3) {
            say(&["initramfs: waiting for the root device `", &shown(root), "`\n"].concat());
            told = true;
        }
    }
}

/// Writes a root as on the command line.
fn shown(root: &Root) -> String {
    let (prefix, name) = match root {
        Root::Device(name) => ("/dev/", name),
        Root::Numbers(numbers) => ("", numbers),
        Root::Tag(Tag::Uuid, name) => ("UUID=", name),
        Root::Tag(Tag::Label, name) => ("LABEL=", name),
        Root::Tag(Tag::PartUuid, name) => ("PARTUUID=", name),
        Root::Tag(Tag::PartLabel, name) => ("PARTLABEL=", name),
    };
    [prefix, &String::from_utf8_lossy(name)].concat()
}

fn mount_root(how: &RootMount, device: &Path) -> Result<(), Failure> {
    let recognised = blocks::file_system(device).map(|found| found.kind.to_owned());
    let types = match (&how.types[..], &recognised, &how.default_type) {
        ([], Some(kind), _) | ([], None, Some(kind)) => vec![kind.clone()],
        ([], None, None) => mountable_types(),
        (named, _, _) => named.to_vec(),
    };
    let mut last = Errno::EINVAL;
    let _ = fs::create_dir(NEW_ROOT);
    for kind in &types {
        match mount(Some(device), NEW_ROOT, Some(kind.as_str()), how.flags, Some(how.data.as_str())) {
            Ok(()) => {
                log(&[&*device.to_string_lossy(), " is the root, of type ", kind].concat());
                return Ok(());
            }
            Err(errno) => last = errno,
        }
    }
    let mut cause = errno_text(last);
    if last == Errno::ENODEV {
        cause.push_str(" (the kernel does not know the file system)");
    }
    let holds = recognised.as_deref().unwrap_or("no file system that is known here");
    Err(Failure {
        step: format!("mount `{}` as {}", device.display(), types.join(" or ")),
        cause: format!("{cause}; it holds {holds}"),
        evidence: Evidence::Devices,
        help: "correct `root=`, `rootfstype=` or `rootflags=`, add the module of the file system to the initramfs, \
               or check the file system from another system",
    })
}

/// The types that the kernel has for block devices, in its order.
fn mountable_types() -> Vec<String> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().filter_map(|line| line.strip_prefix('\t')).map(str::to_owned).collect()
}

fn move_mounts() -> Result<(), Failure> {
    for early in EARLY_MOUNTS {
        let target = [NEW_ROOT, early.place].concat();
        let none = None::<&str>;
        mount(Some(early.place), target.as_str(), none, MsFlags::MS_MOVE, none).map_err(|errno| {
            let step = format!("move `{}` into the root file system", early.place);
            let missing = errno == Errno::ENOENT;
            Failure {
                step,
                cause: if missing { "it has no such folder".to_owned() } else { errno_text(errno) },
                evidence: Evidence::Folder(NEW_ROOT),
                help: "make the folders `/dev`, `/proc`, `/run` and `/sys` in the image, or correct `root=`",
            }
        })?;
    }
    Ok(())
}

/// The text of an error without the number that its `Display` adds.
pub(crate) fn error_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => errno_text(Errno::from_raw(number)),
        None => error.to_string(),
    }
}

/// The text of an error number, beginning in lower case as all our messages do.
pub(crate) fn errno_text(errno: Errno) -> String {
    let mut text = errno.desc().to_owned();
    // `I/O error` stays what it is.
    if text.chars().nth(1).is_some_and(|second| second.is_ascii_lowercase())
        && let Some(first) = text.get_mut(..1)
    {
        first.make_ascii_lowercase();
    }
    text
}

/// Bytes as a path.
pub(crate) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
