//! The port to the host: finding it, and sending on it from many threads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use agent_protocol::message::ToHost;
use agent_protocol::seed::PORT;

/// Opens the port for both directions. No udev is needed: the kernel lists the ports with their names.
pub(crate) fn open_port() -> io::Result<File> {
    let node = find_port(Path::new("/sys/class/virtio-ports"))?;
    File::options().read(true).write(true).open(node)
}

fn find_port(folder: &Path) -> io::Result<PathBuf> {
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, format!("this machine has no port named `{PORT}`"));
    for entry in fs::read_dir(folder).map_err(|_| missing())? {
        let entry = entry?;
        if fs::read(entry.path().join("name")).is_ok_and(|name| name.trim_ascii() == PORT.as_bytes()) {
            return Ok(Path::new("/dev").join(entry.file_name()));
        }
    }
    Err(missing())
}

/// What sends to the host; each message goes out whole.
pub(crate) struct Link {
    port: Mutex<Box<dyn Write + Send>>,
    session: u32,
}

impl Link {
    /// Begins a session on an open port.
    pub(crate) fn new(port: impl Write + Send + 'static) -> io::Result<Link> {
        let mut session = [0; 4];
        File::open("/dev/urandom")?.read_exact(&mut session)?;
        Ok(Link { port: Mutex::new(Box::new(port)), session: u32::from_le_bytes(session) })
    }

    /// The number of this start of the agent.
    pub(crate) fn session(&self) -> u32 {
        self.session
    }

    /// Sends a message, waiting for a host that does not read.
    pub(crate) fn send(&self, request: u32, message: &ToHost) -> io::Result<()> {
        let bytes = message.frame(self.session, request).encode();
        self.port.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)
    }

    /// Says that a request cannot be carried out, and why.
    pub(crate) fn refuse(&self, request: u32, reason: &str) -> io::Result<()> {
        // Names that were asked for may be long, a frame is not.
        let reason = reason.chars().take(2000).collect();
        self.send(request, &ToHost::Failed { reason })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use agent_protocol::frame::Decoder;
    use std::os::unix::net::UnixStream;

    /// A link, and what reads everything sent on it once the link is gone.
    pub(crate) fn heard_by(deed: impl FnOnce(&Link)) -> Vec<ToHost> {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            theirs.read_to_end(&mut bytes).expect("readable");
            bytes
        });
        let link = Link::new(ours).expect("link");
        deed(&link);
        drop(link);
        let mut decoder = Decoder::default();
        decoder.push(&reader.join().expect("no panic"));
        std::iter::from_fn(|| decoder.next_frame()).filter_map(|frame| ToHost::read(&frame)).collect()
    }

    #[test]
    fn the_port_is_found_by_its_name_among_others() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (port, name) in [("vport0p1", "other\n"), ("vport1p2", &*format!("{PORT}\n"))] {
            fs::create_dir(folder.path().join(port)).expect("made");
            fs::write(folder.path().join(port).join("name"), name).expect("written");
        }
        assert_eq!(find_port(folder.path()).expect("there"), Path::new("/dev/vport1p2"));
        let error = find_port(&folder.path().join("none")).expect_err("no ports");
        assert_eq!(error.to_string(), format!("this machine has no port named `{PORT}`"));
    }
}
