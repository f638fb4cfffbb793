//! Makes the walls: from a process like any other to the first process of its own namespaces, inside the tree.
//!
//! Two executions of this program. The first leaves for new namespaces, maps the one user that it has to root, and
//! may put memory in the place of the tree's folder; only itself and who looks through it see that. A process
//! namespace takes in only children, so it starts the second, which becomes the first process there, builds the
//! sandbox's view of the file system, and enters it. When the builder dies, both are killed, and with the first
//! process of a namespace the kernel ends all others in it.
//!
//! A further sandbox over the same tree joins the first one's namespaces, the process namespace apart: what is left
//! running by a command of one is no business of the other.

use super::View;
use crate::error::{Error, Step};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, getegid, geteuid, pivot_root, sethostname, setsid};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Programs that a build has no use for, or that would act on the machine that builds; each succeeds and does
/// nothing. Where a tree lacks one, nothing is put there.
const SILENCED: &[(&str, &str)] = &[
    ("usr/bin/deb-systemd-helper", "links of systemd units, which dinit does not read"),
    ("usr/bin/deb-systemd-invoke", "starts systemd units"),
    ("usr/bin/systemctl", "talks to systemd"),
    ("usr/sbin/update-rc.d", "links of SysV runlevels, which dinit does not read"),
    ("usr/sbin/invoke-rc.d", "starts services"),
    ("usr/sbin/service", "starts services"),
    ("usr/sbin/start-stop-daemon", "starts daemons"),
    ("usr/bin/start-stop-daemon", "starts daemons"),
    ("usr/sbin/update-initramfs", "the initramfs is made by the builder"),
    ("usr/bin/dracut", "the initramfs is made by the builder"),
    ("usr/bin/ischroot", "says yes: this is not the machine that will run"),
    ("usr/sbin/policy-rc.d", "asked before a service starts; none does"),
];

/// Programs that the builder runs itself, for which scripts need not wait; silenced for them alone.
const LEFT_TO_THE_BUILDER: &[(&str, &str)] = &[
    ("usr/bin/systemd-hwdb", "the index of udev's hardware database is made beside the scripts"),
    ("usr/bin/udevadm", "speaks to the udevd of a running machine; eudev's makes that index too"),
    ("usr/sbin/udevadm", "the same, where it is installed there"),
];

/// What takes the place of a silenced program.
const DOES_NOTHING: &str = "usr/bin/true";

/// The nodes that scripts find in /dev.
const NODES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Parts of /proc through which root reaches the machine rather than the sandbox.
const READ_ONLY: &[&str] = &["sys", "sysrq-trigger", "irq", "bus", "fs"];

/// Leaves for new namespaces. The process must have one thread.
pub(super) fn leave_for_new_namespaces() -> Result<(), Error> {
    let (uid, gid) = (geteuid(), getegid());
    let namespaces = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET;
    unshare(namespaces).map_err(|error| Error::NoNamespaces { cause: error.into() })?;
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ];
    for (path, text) in maps {
        fs::write(path, text).map_err(|cause| Error::NoNamespaces { cause })?;
    }
    die_with_the_builder()
}

/// Joins the namespaces of a process that has left for its own, and leaves for a process namespace beside it.
pub(super) fn join(process: &str) -> Result<(), Error> {
    let kinds = [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("mnt", CloneFlags::CLONE_NEWNS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("net", CloneFlags::CLONE_NEWNET),
    ];
    let mut namespaces = Vec::new();
    // All are opened first: with the mounts, `/proc` may change.
    for (name, kind) in kinds {
        let path = PathBuf::from(format!("/proc/{process}/ns/{name}"));
        let file = File::open(&path).map_err(|cause| Error::File { action: "open", path, cause })?;
        namespaces.push((file, kind));
    }
    for (file, kind) in namespaces {
        step("join the first sandbox", || setns(file, kind))?;
    }
    step("leave for its own processes", || unshare(CloneFlags::CLONE_NEWPID))?;
    die_with_the_builder()
}

/// Puts memory in the place of a folder, for this process and those that it starts; at most so many bytes.
pub(super) fn put_memory_in_place_of(folder: &Path, most: u64) -> Result<(), Error> {
    let options = format!("mode=0700,size={most},nr_inodes=0");
    step("use memory", || {
        mount_flags("/", MsFlags::MS_PRIVATE | MsFlags::MS_REC)?;
        mount(
            Some("none"),
            folder,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some(options.as_str()),
        )
    })
}

/// Asks to be killed when whoever started this process ends.
pub(super) fn die_with_the_builder() -> Result<(), Error> {
    step("tie its life to the builder's", || prctl::set_pdeathsig(Signal::SIGKILL))
}

/// Enters the tree: its own mounts, devices and name, and nothing else to be seen.
pub(super) fn enter(root: &Path, view: View) -> Result<(), Error> {
    step("start a session", setsid)?;
    step("have mounts of its own", || unshare(CloneFlags::CLONE_NEWNS))?;
    step("keep mounts to itself", || mount_flags("/", MsFlags::MS_PRIVATE | MsFlags::MS_REC))?;
    step("make the tree a mount", || bind(root, root))?;
    mount_proc(root)?;
    mount_devices(root)?;
    mount_scratch(root, "run", "mode=0755")?;
    mount_scratch(root, "tmp", "mode=1777")?;
    silence_programs(root, SILENCED)?;
    if view == View::Scripts {
        silence_programs(root, LEFT_TO_THE_BUILDER)?;
    }
    step("enter the tree", || {
        chdir(root)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        chdir("/")
    })?;
    step("take a name", || sethostname("localhost"))?;
    step("allow many open files", || {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    })?;
    umask(Mode::from_bits_truncate(0o022));
    Ok(())
}

fn mount_proc(root: &Path) -> Result<(), Error> {
    let proc = directory(root, "proc")?;
    let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step("mount `/proc`", || mount(Some("proc"), &proc, Some("proc"), hardened, None::<&str>))?;
    for name in READ_ONLY {
        let path = proc.join(name);
        if path.exists() {
            step(&format!("make `/proc/{name}` read-only"), || {
                bind(&path, &path)?;
                let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | hardened;
                mount(None::<&str>, &path, None::<&str>, read_only, None::<&str>)
            })?;
        }
    }
    Ok(())
}

fn mount_devices(root: &Path) -> Result<(), Error> {
    mount_scratch(root, "dev", "mode=0755")?;
    let dev = root.join("dev");
    for name in NODES {
        let (outside, inside) = (Path::new("/dev").join(name), dev.join(name));
        make(&inside, || File::create(&inside).map(drop))?;
        step(&format!("bring in `/dev/{name}`"), || bind(&outside, &inside))?;
    }
    let links = [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
    for (name, target) in links {
        make(&dev.join(name), || symlink(target, dev.join(name)))?;
    }
    make(&dev.join("shm"), || fs::create_dir(dev.join("shm")))
}

/// Covers a directory of the tree with an empty one in memory.
fn mount_scratch(root: &Path, name: &str, mode: &str) -> Result<(), Error> {
    let path = directory(root, name)?;
    let flags = MsFlags::MS_NOSUID | if name == "dev" { MsFlags::empty() } else { MsFlags::MS_NODEV };
    step(&format!("cover `/{name}`"), || mount(Some("none"), &path, Some("tmpfs"), flags, Some(mode)))
}

fn silence_programs(root: &Path, programs: &[(&str, &str)]) -> Result<(), Error> {
    let nothing = root.join(DOES_NOTHING);
    for (program, _reason) in programs {
        let path = root.join(program);
        if path.is_file() && nothing.is_file() {
            step(&format!("silence `/{program}`"), || bind(&nothing, &path))?;
        }
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), to, None::<&str>, flags, None::<&str>)
}

fn mount_flags(path: &str, flags: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
}

/// Gives a directory of the tree, which must be a real one: a link could lead out of it.
fn directory(root: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = root.join(name);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(Error::Sandbox {
            step: Step(format!("use `/{name}` of the tree")),
            cause: io::Error::from(io::ErrorKind::NotADirectory),
        }),
        Err(cause) => Err(Error::Sandbox { step: Step(format!("use `/{name}` of the tree")), cause }),
    }
}

fn make(path: &Path, action: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    action().map_err(|cause| Error::Sandbox { step: Step(format!("make `{}`", path.display())), cause })
}

fn step<T>(what: &str, action: impl FnOnce() -> nix::Result<T>) -> Result<T, Error> {
    action().map_err(|error| Error::Sandbox { step: Step(what.to_owned()), cause: error.into() })
}
