//! Takes out of the tree what would differ between two builds of the same packages, or belongs to one machine only.

use crate::error::Error;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is done about a path.
#[derive(Clone, Copy)]
enum Treatment {
    /// It goes, directories with all they hold.
    Remove,
    /// It stays, empty; an absent one stays absent.
    Empty,
    /// What is in the directory goes, and the directory stays.
    Clear,
    /// The directory's entries that end so go: dpkg, debconf and shadow keep the state before the last change.
    RemoveEndingIn(&'static str),
    /// The directory's entries that start so go.
    RemoveStartingWith(&'static str),
}

use Treatment::{Clear, Empty, Remove, RemoveEndingIn, RemoveStartingWith};

/// Every path that is treated, and why it has to be.
const TREATMENTS: &[(&str, Treatment, &str)] = &[
    ("var/log/dpkg.log", Remove, "a log of this build"),
    ("var/log/alternatives.log", Remove, "a log of this build"),
    ("var/log/bootstrap.log", Remove, "a log of this build"),
    ("var/log/apt", Clear, "logs of this build"),
    ("var/log/fontconfig.log", Remove, "a log of this build"),
    ("var/cache/ldconfig/aux-cache", Remove, "has inode numbers and times; made again by the next ldconfig"),
    ("var/cache/man", Clear, "has the times of links that scripts made; `mandb` makes it again"),
    ("var/cache/debconf", RemoveEndingIn("-old"), "the state before the last change"),
    ("var/lib/dpkg", RemoveEndingIn("-old"), "the state before the last change"),
    ("var/lib/dpkg/lock", Remove, "made again when dpkg next runs"),
    ("var/lib/dpkg/lock-frontend", Remove, "made again when apt next runs"),
    ("var/lib/dpkg/triggers/Lock", Remove, "made again when dpkg next runs"),
    ("etc/passwd-", Remove, "the state before the last change"),
    ("etc/group-", Remove, "the state before the last change"),
    ("etc/shadow-", Remove, "the state before the last change"),
    ("etc/gshadow-", Remove, "the state before the last change"),
    ("etc/subuid-", Remove, "the state before the last change"),
    ("etc/subgid-", Remove, "the state before the last change"),
    ("etc/.pwd.lock", Remove, "made again when accounts next change"),
    ("etc/machine-id", Empty, "names one machine; an image is for many"),
    ("var/lib/dbus/machine-id", Remove, "names one machine; dbus falls back to the other"),
    ("var/lib/systemd/random-seed", Remove, "a seed that many machines share is none"),
    ("var/lib/urandom/random-seed", Remove, "a seed that many machines share is none"),
    (
        "etc/ssh",
        RemoveStartingWith("ssh_host_"),
        "a key that many machines share is none; `ssh-keygen -A` makes it",
    ),
    ("etc/ssl/private/ssl-cert-snakeoil.key", Remove, "a key that many machines share is none"),
    ("etc/ssl/certs/ssl-cert-snakeoil.pem", Remove, "the certificate of that key"),
    ("var/tmp", Clear, "left over by scripts"),
    ("root/.bash_history", Remove, "left over by scripts"),
];

/// Treats all paths; gives those at which there was something to do.
pub(crate) fn tidy(root: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let mut tidied = Vec::new();
    for (path, treatment, _reason) in TREATMENTS {
        let place = root.join(path);
        let Ok(metadata) = fs::symlink_metadata(&place) else { continue };
        match treatment {
            Remove => remove(root, &place, &mut tidied)?,
            Empty if metadata.is_file() && metadata.len() > 0 => {
                fs::write(&place, b"").map_err(|cause| failed("empty", &place, cause))?;
                note(root, &place, &mut tidied);
            }
            Clear if metadata.is_dir() => remove_entries(root, &place, ("", ""), &mut tidied)?,
            RemoveEndingIn(end) if metadata.is_dir() => remove_entries(root, &place, ("", end), &mut tidied)?,
            RemoveStartingWith(start) if metadata.is_dir() => {
                remove_entries(root, &place, (start, ""), &mut tidied)?;
            }
            Empty | Clear | RemoveEndingIn(_) | RemoveStartingWith(_) => {}
        }
    }
    Ok(tidied)
}

/// Removes the entries of a directory whose names start and end so.
fn remove_entries(
    root: &Path,
    directory: &Path,
    (start, end): (&str, &str),
    tidied: &mut Vec<Vec<u8>>,
) -> Result<(), Error> {
    let entries = fs::read_dir(directory).map_err(|cause| failed("read", directory, cause))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(|cause| failed("read", directory, cause))?.file_name());
    }
    names.sort();
    let is_meant = |name: &[u8]| name.starts_with(start.as_bytes()) && name.ends_with(end.as_bytes());
    for name in names.iter().filter(|name| is_meant(name.as_bytes())) {
        remove(root, &directory.join(name), tidied)?;
    }
    Ok(())
}

fn remove(root: &Path, place: &Path, tidied: &mut Vec<Vec<u8>>) -> Result<(), Error> {
    let metadata = fs::symlink_metadata(place).map_err(|cause| failed("read", place, cause))?;
    let removed = if metadata.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
    removed.map_err(|cause| failed("remove", place, cause))?;
    note(root, place, tidied);
    Ok(())
}

/// Writes down a path as it is in the image.
fn note(root: &Path, place: &Path, tidied: &mut Vec<Vec<u8>>) {
    if let Ok(path) = place.strip_prefix(root) {
        tidied.push([b"/", path.as_os_str().as_bytes()].concat());
    }
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_and_backups_go_and_an_identity_is_emptied_but_never_made() {
        let root = tempfile::tempdir().expect("directory");
        let write = |path: &str| {
            let place = root.path().join(path);
            fs::create_dir_all(place.parent().expect("parent")).expect("directory");
            fs::write(place, "text").expect("write");
        };
        for path in ["var/log/dpkg.log", "var/log/wtmp", "var/lib/dpkg/status", "var/lib/dpkg/status-old"] {
            write(path);
        }
        let tidied = tidy(root.path()).expect("tidy");
        assert_eq!(tidied, [b"/var/log/dpkg.log".to_vec(), b"/var/lib/dpkg/status-old".to_vec()]);
        assert!(root.path().join("var/log/wtmp").exists());
        assert!(!root.path().join("etc/machine-id").exists());

        write("etc/machine-id");
        write("etc/ssh/ssh_host_rsa_key");
        write("etc/ssh/sshd_config");
        write("var/tmp/left/over");
        let expected = ["/etc/machine-id", "/etc/ssh/ssh_host_rsa_key", "/var/tmp/left"];
        assert_eq!(tidy(root.path()).expect("tidy"), expected.map(|path| path.as_bytes().to_vec()));
        assert_eq!(fs::read(root.path().join("etc/machine-id")).expect("read"), b"");
    }
}
