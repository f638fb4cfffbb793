//! Leaving the initramfs: its files are deleted, the new root becomes the only one, and init takes our place.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::unistd::{chdir, chroot};

use crate::failure::{Evidence, Failure, log};
use crate::perform::{errno_text, error_text, path_of};

/// `RAMFS_MAGIC` of the kernel's `linux/magic.h`.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Frees the memory of the initramfs and makes `new_root` the root.
///
/// The root of an initramfs cannot be unmounted or pivoted away from, so the new one is moved on top of it.
pub(crate) fn enter(new_root: &Path) -> Result<(), Failure> {
    delete_initramfs();
    let none = None::<&str>;
    chdir(new_root)
        .and_then(|()| mount(Some("."), "/", none, MsFlags::MS_MOVE, none))
        .and_then(|()| chroot("."))
        .and_then(|()| chdir("/"))
        .map_err(|errno| Failure {
            step: "switch to the new root".to_owned(),
            cause: errno_text(errno),
            evidence: Evidence::Nothing,
            help: "the root file system was mounted, so this is a fault of the initramfs: please report it",
        })
}

/// Deletes everything on the root of the initramfs, but only where it is one: memory, and nobody's disk.
fn delete_initramfs() {
    let is_memory =
        statfs("/").is_ok_and(|found| [RAMFS_MAGIC, TMPFS_MAGIC].contains(&found.filesystem_type()));
    if let (true, Ok(root)) = (is_memory, fs::symlink_metadata("/")) {
        delete_below(Path::new("/"), root.dev());
    }
}

/// Deletes what is below a folder without leaving the device; what cannot be deleted stays and costs some memory.
fn delete_below(folder: &Path, device: u64) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.dev() != device {
            continue;
        }
        let _ = if metadata.is_dir() {
            delete_below(&path, device);
            fs::remove_dir(&path)
        } else {
            fs::remove_file(&path)
        };
    }
}

/// Copies what is below `from` into `to`, which is there already; nothing to copy is fine.
///
/// Modes and links are kept; everything belongs to root, as in the initramfs. Special files are passed over.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let source = entry?.path();
        let target = to.join(source.file_name().unwrap_or_default());
        let metadata = fs::symlink_metadata(&source)?;
        if metadata.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if metadata.is_dir() {
            match fs::create_dir(&target) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            fs::set_permissions(&target, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
            copy_tree(&source, &target)?;
        } else if metadata.is_file() {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Becomes the first program that can be run, with our own arguments and environment; returns only if none can.
///
/// The kernel has given us what it did not understand of its command line, so `single` and the like pass through.
pub(crate) fn execute(programs: &[Vec<u8>]) -> Failure {
    let mut causes = Vec::new();
    for program in programs {
        let path = path_of(program);
        log(&["running ", &*path.to_string_lossy()].concat());
        let cause = match is_program(path) {
            Ok(true) => cause_of(path, &Command::new(path).args(env::args_os().skip(1)).exec()),
            // The C library would give it to a shell, which would make no sense of it either.
            Ok(false) => "it is not a program".to_owned(),
            Err(error) => cause_of(path, &error),
        };
        causes.push((path, cause));
    }
    let (step, cause) = match &causes[..] {
        [(path, cause)] => (format!("run `{}`", path.display()), cause.clone()),
        several => {
            let told = several.iter().map(|(path, cause)| format!("`{}`: {cause}", path.display()));
            ("run an init".to_owned(), told.collect::<Vec<_>>().join("; "))
        }
    };
    Failure {
        step,
        cause,
        evidence: Evidence::Folder("/"),
        help: "name a program of the root file system with `init=`, such as `init=/bin/sh`, or correct `root=`",
    }
}

/// Whether a file begins as an executable or as a script does.
fn is_program(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(start.starts_with(b"#!") || start == b"\x7fELF")
}

/// The kernel says that there is no such file also for a program whose interpreter or loader is missing.
fn cause_of(path: &Path, error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) if fs::metadata(path).is_ok() => {
            "it is there, but the interpreter or loader that it names is not".to_owned()
        }
        _ => error_text(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_with_its_modes_and_links_into_a_folder_that_is_there() {
        let place = tempfile::tempdir().expect("temporary folder");
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::create_dir_all(from.join("dinit.d")).expect("made");
        fs::create_dir_all(to.join("dinit.d")).expect("made");
        fs::write(from.join("agent"), "program").expect("written");
        fs::write(from.join("dinit.d/agent"), "service").expect("written");
        fs::write(to.join("dinit.d/kept"), "kept").expect("written");
        symlink("agent", from.join("link")).expect("linked");
        fs::set_permissions(from.join("agent"), fs::Permissions::from_mode(0o751)).expect("mode");
        fs::set_permissions(from.join("dinit.d"), fs::Permissions::from_mode(0o700)).expect("mode");
        copy_tree(&from, &to).expect("copied");
        let mode = |name: &str| fs::metadata(to.join(name)).expect("there").permissions().mode() & 0o7777;
        assert_eq!((mode("agent"), mode("dinit.d")), (0o751, 0o700));
        assert_eq!(fs::read_to_string(to.join("dinit.d/agent")).expect("there"), "service");
        assert_eq!(fs::read_to_string(to.join("dinit.d/kept")).expect("there"), "kept");
        assert_eq!(fs::read_link(to.join("link")).expect("link"), Path::new("agent"));
    }

    #[test]
    fn nothing_to_copy_is_fine() {
        let place = tempfile::tempdir().expect("temporary folder");
        copy_tree(&place.path().join("none"), place.path()).expect("fine");
    }

    #[test]
    fn a_program_that_cannot_be_run_is_told_with_its_cause() {
        let place = tempfile::tempdir().expect("temporary folder");
        let script = place.path().join("init");
        fs::write(&script, "#!/no/such/shell\n").expect("written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("mode");
        let missing = place.path().join("none");
        let error = |path: &Path| Command::new(path).exec();
        assert_eq!(cause_of(&missing, &error(&missing)), "no such file or directory");
        assert!(cause_of(&script, &error(&script)).contains("interpreter"));
        let empty = place.path().join("empty");
        fs::write(&empty, "\u{1}\u{2}").expect("written");
        assert!(!is_program(&empty).expect("readable"));
        assert!(is_program(&script).expect("readable"));
        assert!(is_program(&env::current_exe().expect("known")).expect("readable"));
        assert!(is_program(&missing).is_err());
    }
}
