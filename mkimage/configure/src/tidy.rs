//! Takes out of the tree what would differ between two builds of the same packages, or belongs to one machine only.

use crate::error::Error;
use crate::root::Root;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

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
pub(crate) fn tidy(root: &Root) -> Result<Vec<Vec<u8>>, Error> {
    let mut tidied = Vec::new();
    for (path, treatment, _reason) in TREATMENTS {
        let path = [b"/", path.as_bytes()].concat();
        let Some(metadata) = root.find(&path)?.and_then(|place| place.metadata()) else { continue };
        match treatment {
            Remove => remove(root, path, &mut tidied)?,
            Empty if metadata.is_file() && metadata.len() > 0 => {
                root.write(&path, b"", metadata.permissions().mode())?;
                tidied.push(path);
            }
            Clear if metadata.is_dir() => remove_entries(root, &path, ("", ""), &mut tidied)?,
            RemoveEndingIn(end) if metadata.is_dir() => remove_entries(root, &path, ("", end), &mut tidied)?,
            RemoveStartingWith(start) if metadata.is_dir() => {
                remove_entries(root, &path, (start, ""), &mut tidied)?;
            }
            Empty | Clear | RemoveEndingIn(_) | RemoveStartingWith(_) => {}
        }
    }
    Ok(tidied)
}

/// Removes the entries of a directory whose names start and end so.
fn remove_entries(
    root: &Root,
    directory: &[u8],
    (start, end): (&str, &str),
    tidied: &mut Vec<Vec<u8>>,
) -> Result<(), Error> {
    let is_meant = |name: &[u8]| name.starts_with(start.as_bytes()) && name.ends_with(end.as_bytes());
    for name in root.list(directory)?.iter().filter(|name| is_meant(name.as_bytes())) {
        remove(root, [directory, b"/", name.as_bytes()].concat(), tidied)?;
    }
    Ok(())
}

/// Removes a path and writes it down as it is in the image.
fn remove(root: &Root, path: Vec<u8>, tidied: &mut Vec<Vec<u8>>) -> Result<(), Error> {
    if let Some(place) = root.find(&path)? {
        place.remove()?;
        tidied.push(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
        let tree = Root::open(root.path()).expect("open");
        let tidied = tidy(&tree).expect("tidy");
        assert_eq!(tidied, [b"/var/log/dpkg.log".to_vec(), b"/var/lib/dpkg/status-old".to_vec()]);
        assert!(root.path().join("var/log/wtmp").exists());
        assert!(!root.path().join("etc/machine-id").exists());

        write("etc/machine-id");
        write("etc/ssh/ssh_host_rsa_key");
        write("etc/ssh/sshd_config");
        write("var/tmp/left/over");
        let expected = ["/etc/machine-id", "/etc/ssh/ssh_host_rsa_key", "/var/tmp/left"];
        assert_eq!(tidy(&tree).expect("tidy"), expected.map(|path| path.as_bytes().to_vec()));
        assert_eq!(fs::read(root.path().join("etc/machine-id")).expect("read"), b"");
    }
}
