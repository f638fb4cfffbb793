//! The control socket: its listener, its connections, and who is told of what.
//!
//! Bytes become requests in `dinit-protocol`; what a request does is in [`request`].

mod client;
mod handles;
mod request;

pub(crate) use request::dropped;

use client::{Client, Queued};
use dinit_graph::ServiceId;
use dinit_protocol::{EnvironmentChange, Info, ServiceEvent, Status};
use dinit_sys::{Errno, process, socket};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

const BACKLOG: i32 = 10;

/// The bytes that may wait for all clients together; when there are more, who has most is dropped.
const TOTAL_QUEUE: usize = 64 << 20;

/// The listener and all connections.
#[derive(Debug)]
pub(crate) struct Control {
    path: Vec<u8>,
    listener: Option<UnixListener>,
    clients: BTreeMap<u64, Client>,
}

/// Why the control socket could not be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// Another instance answers at the path.
    Active,
    /// The socket could not be made.
    Create(Errno),
    /// It could not get its path.
    Bind(Errno),
    /// Its mode could not be set.
    Permissions(Errno),
    /// It could not be listened on.
    Listen(Errno),
}

impl OpenError {
    /// Gives the line for the log.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Active => "Control socket is already active (another instance already running?)".to_owned(),
            Self::Create(error) => format!("Error creating control socket: {error}"),
            Self::Bind(error) => format!("Error binding control socket: {error}"),
            Self::Permissions(error) => format!("Error setting control socket permissions: {error}"),
            Self::Listen(error) => format!("Error listening on control socket: {error}"),
        }
    }
}

/// What is to be done for a client after it was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing; it stays.
    Stays,
    /// It goes, without a word.
    Leaves,
    /// It goes because it does not read what it is sent.
    Overflows,
}

impl Control {
    pub(crate) fn new(path: Vec<u8>) -> Self {
        Self { path, listener: None, clients: BTreeMap::new() }
    }

    /// Gives the path of the socket.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Gives the listener, if it is open.
    pub(crate) fn listener(&self) -> Option<&UnixListener> {
        self.listener.as_ref()
    }

    /// Says whether the listener is open and its file still there.
    pub(crate) fn is_reachable(&self) -> bool {
        self.listener.is_some()
            && !matches!(std::fs::metadata(self.file()), Err(error) if Errno::of(&error).0 == libc::ENOENT)
    }

    /// Opens the listener, in place of one whose file is gone.
    pub(crate) fn open(&mut self) -> Result<(), OpenError> {
        self.listener = None;
        let path = self.file().to_owned();
        let path = path.as_path();
        let descriptor = socket::stream().map_err(OpenError::Create)?;
        if socket::is_listened_at(path) {
            return Err(OpenError::Active);
        }
        let _ = std::fs::remove_file(path);
        socket::bind_to(&descriptor, path).map_err(OpenError::Bind)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))
            .map_err(|error| OpenError::Permissions(error.into()))?;
        socket::listen_on(&descriptor, BACKLOG).map_err(OpenError::Listen)?;
        self.listener = Some(descriptor.into());
        Ok(())
    }

    /// Closes the listener and removes its file; connections stay.
    pub(crate) fn close(&mut self) {
        if self.listener.take().is_some() {
            let _ = std::fs::remove_file(self.file());
        }
    }

    /// Takes in a connection under a number that no other has had.
    pub(crate) fn admit(&mut self, number: u64, stream: UnixStream) {
        self.clients.insert(number, Client::new(stream));
    }

    pub(crate) fn client(&self, number: u64) -> Option<&Client> {
        self.clients.get(&number)
    }

    pub(crate) fn client_mut(&mut self, number: u64) -> Option<&mut Client> {
        self.clients.get_mut(&number)
    }

    /// Ends a connection.
    pub(crate) fn dismiss(&mut self, number: u64) {
        self.clients.remove(&number);
    }

    /// Gives the numbers of all connections to which something can be sent, or that are to end.
    pub(crate) fn to_be_looked_after(&self) -> Vec<u64> {
        let concerned = self.clients.iter().filter(|(_, client)| client.wants_attention());
        concerned.map(|(number, _)| *number).collect()
    }

    /// Says whether a connection other than this one has a handle of the service.
    pub(crate) fn is_held_by_other(&self, service: ServiceId, than: u64) -> bool {
        self.clients.iter().any(|(number, client)| *number != than && client.handles.holds(service))
    }

    /// Drops all handles of a service that no longer exists.
    pub(crate) fn forget_service(&mut self, service: ServiceId) {
        for client in self.clients.values_mut() {
            client.handles.close_all(service);
        }
    }

    /// Tells everyone who has a handle of the service, once a handle.
    pub(crate) fn announce(&mut self, service: ServiceId, event: ServiceEvent, status: &Status) {
        let mut bytes = Vec::new();
        for client in self.clients.values_mut() {
            bytes.clear();
            for handle in client.handles.of(service) {
                dinit_protocol::encode_service_event(handle, event, status, &mut bytes);
            }
            client.queue(&bytes, Queued::News);
        }
    }

    /// Tells everyone who listens to the environment.
    pub(crate) fn announce_environment(&mut self, change: &EnvironmentChange, overridden: bool) {
        let mut bytes = Vec::new();
        Info::Environment { overridden, change: change.clone() }.encode(&mut bytes);
        for client in self.clients.values_mut().filter(|client| client.listens_environment) {
            client.queue(&bytes, Queued::News);
        }
    }

    /// Finds who must go so that what waits for all clients stays bounded.
    pub(crate) fn greediest_beyond_limit(&self) -> Option<u64> {
        let total: usize = self.clients.values().map(Client::queued).sum();
        if total <= TOTAL_QUEUE {
            return None;
        }
        self.clients.iter().max_by_key(|(_, client)| client.queued()).map(|(number, _)| *number)
    }

    fn file(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// Says whether a signal request can be carried out, and does so.
fn send(pid: process::Pid, signal: i32) -> Result<(), Errno> {
    process::send_signal(pid, signal)
}
