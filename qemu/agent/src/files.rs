//! Files from the host and to it.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use agent_protocol::message::ToHost;

use crate::link::Link;

/// How much of a file goes into one message.
const PIECE: usize = 16 << 10;

/// A file that the host is sending.
pub(crate) struct Writing {
    /// The request that it belongs to.
    pub(crate) request: u32,
    file: File,
    path: PathBuf,
}

impl Writing {
    /// Opens the file, empty and with its permissions.
    pub(crate) fn begin(request: u32, path: &[u8], mode: u32) -> Result<Writing, String> {
        let path = PathBuf::from(OsStr::from_bytes(path));
        let opened = File::options().write(true).create(true).truncate(true).mode(mode).open(&path);
        let file = opened.map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
        // A file that was there keeps its old ones otherwise, and a new one loses what the umask takes.
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .map_err(|error| format!("cannot set the mode of `{}`: {error}", path.display()))?;
        Ok(Writing { request, file, path })
    }

    /// Adds bytes to the file.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.file.write_all(bytes).map_err(|error| format!("cannot write `{}`: {error}", self.path.display()))
    }
}

/// Sends a file to the host, in pieces.
pub(crate) fn send(link: &Link, request: u32, path: &[u8]) -> io::Result<()> {
    let path = Path::new(OsStr::from_bytes(path));
    let refuse =
        |error: io::Error| link.refuse(request, &format!("cannot read `{}`: {error}", path.display()));
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return refuse(error),
    };
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return link.send(request, &ToHost::Done),
            Ok(count) => link.send(request, &ToHost::Data(buffer[..count].to_vec()))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return refuse(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::heard_by;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_comes_back_the_same() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("file");
        fs::write(&path, "something longer that was there").expect("written");
        let name = path.as_os_str().as_bytes();
        let mut writing = Writing::begin(1, name, 0o640).expect("writable");
        writing.add(b"new ").and_then(|()| writing.add(b"text")).expect("room");
        drop(writing);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o640);
        let heard = heard_by(|link| send(link, 1, name).expect("host there"));
        assert_eq!(heard, [ToHost::Data(b"new text".to_vec()), ToHost::Done]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_its_name() {
        let heard = heard_by(|link| send(link, 1, b"/no/such/file").expect("host there"));
        let [ToHost::Failed { reason }] = &heard[..] else { panic!("{heard:?}") };
        assert!(reason.starts_with("cannot read `/no/such/file`: "), "{reason}");
        let Err(reason) = Writing::begin(1, b"/no/such/file", 0o644) else { panic!("it cannot be made") };
        assert!(reason.starts_with("cannot write `/no/such/file`: "), "{reason}");
    }
}
