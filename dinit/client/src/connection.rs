//! One connection: requests out; answers and events in, kept apart.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use dinit_protocol::{
    Compatibility, Decoded, Handle, Info, ListLayout, Reply, ReplyPacket, Request, ServiceName, ServiceState,
    Status, StatusLayout, TargetState, Version, decode_packet,
};

use crate::ClientError;

/// How many bytes are asked for at once.
const CHUNK: usize = 16 * 1024;

/// A connection to a daemon.
///
/// Requests are answered in order; [`request`](Self::request) sends one and waits for its answer. Events that
/// arrive meanwhile are kept until [`event`](Self::event) or [`take_events`](Self::take_events) takes them, so a
/// client that holds handles for long should do that now and then.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    incoming: Vec<u8>,
    /// How many bytes of `incoming` have been dealt with.
    used: usize,
    /// What is read into before it is appended to `incoming`.
    chunk: Box<[u8]>,
    /// The limit that the stream has for reading.
    limit: Option<Duration>,
    events: VecDeque<Info>,
    patience: Option<Duration>,
    daemon: Version,
    common: Version,
}

/// A service as its handle was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// What the service is called on this connection.
    pub handle: Handle,
    /// The state it was in.
    pub state: ServiceState,
    /// The state it was heading for.
    pub target: TargetState,
}

/// One service of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedService {
    /// Its name, cut to 255 bytes by the daemon.
    pub name: Vec<u8>,
    /// Its status.
    pub status: Status,
}

/// Why a daemon gave no handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadFailure {
    /// The service is not loaded, or has no description.
    NoService,
    /// Its description is wrong.
    Description,
    /// It could not be loaded for another reason, such as a dependency.
    Other,
}

impl Connection {
    /// Connects to the socket at a path, and finds out what the daemon talks.
    ///
    /// # Errors
    /// Nobody answers there, or not a daemon that this client can talk to.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        Self::over(Self::connect(path)?)
    }

    /// Connects to the socket at a path, without a word.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn connect(path: &Path) -> Result<UnixStream, ClientError> {
        UnixStream::connect(path).map_err(|cause| ClientError::Connect { path: path.to_owned(), cause })
    }

    /// Talks over a stream that is connected already, such as one that was passed to this process.
    ///
    /// # Errors
    /// As [`with_versions`](Self::with_versions).
    pub fn over(stream: UnixStream) -> Result<Self, ClientError> {
        Self::with_versions(stream, Version::OLDEST, Version::CURRENT)
    }

    /// As [`over`](Self::over), for a client that knows only some versions.
    ///
    /// # Errors
    /// The daemon is too new or too old, or does not answer as a daemon does.
    pub fn with_versions(stream: UnixStream, oldest: Version, newest: Version) -> Result<Self, ClientError> {
        stream.set_nonblocking(false).map_err(ClientError::Socket)?;
        stream.set_read_timeout(None).map_err(ClientError::Socket)?;
        let mut connection = Self {
            stream,
            incoming: Vec::new(),
            used: 0,
            chunk: vec![0; CHUNK].into(),
            limit: None,
            events: VecDeque::new(),
            patience: None,
            daemon: oldest,
            common: oldest,
        };
        let (minimum, current) = match connection.request(&Request::QueryVersion)? {
            Reply::Version { minimum, current } => (minimum, current),
            other => return Err(ClientError::Unexpected(other)),
        };
        connection.daemon = current;
        match Version::negotiate(oldest, newest, minimum, current) {
            Compatibility::Common(common) => connection.common = common,
            Compatibility::ClientTooOld => return Err(ClientError::ClientTooOld { minimum }),
            Compatibility::DaemonTooOld => return Err(ClientError::DaemonTooOld { current }),
        }
        // What a stream that was passed on had left over from its last user is no news.
        connection.events.clear();
        Ok(connection)
    }

    /// Gives the newest version that both sides know.
    pub fn version(&self) -> Version {
        self.common
    }

    /// Gives the version that the daemon reported.
    pub fn daemon_version(&self) -> Version {
        self.daemon
    }

    /// Sets how long to wait for each answer; none, as in the beginning, for ever. Events have their own limit.
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Sends a request and waits for its answer.
    ///
    /// To a request with the pre-ack flag the first answer is [`Reply::PreAck`]; to a list it is the first of
    /// many: get the others with [`reply`](Self::reply).
    ///
    /// # Errors
    /// The connection has failed; use it no more.
    pub fn request(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.send(request)?;
        self.reply(request.status_layout())
    }

    /// Sends a request without waiting.
    ///
    /// # Errors
    /// The connection has failed; use it no more.
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        self.send_all([request])
    }

    /// Sends several requests in one go, without waiting; each has its own [`reply`](Self::reply), in this order.
    ///
    /// The daemon stops reading while too many of its answers are not fetched, so do not send thousands at once.
    ///
    /// # Errors
    /// The connection has failed; use it no more.
    pub fn send_all<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a Request>,
    ) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        for request in requests {
            request.encode(&mut bytes);
        }
        self.stream.write_all(&bytes).map_err(ClientError::Write)
    }

    /// Waits for the next answer; `layout` is the [`Request::status_layout`] of the request it belongs to.
    ///
    /// # Errors
    /// The connection has failed; use it no more.
    pub fn reply(&mut self, layout: StatusLayout) -> Result<Reply, ClientError> {
        let deadline = self.patience.and_then(|patience| Instant::now().checked_add(patience));
        loop {
            match self.packet(layout, deadline)? {
                Some(ReplyPacket::Reply(reply)) => return Ok(reply),
                Some(ReplyPacket::Info(info)) => self.events.push_back(info),
                None => return Err(ClientError::TimedOut),
            }
        }
    }

    /// Takes the oldest event that has not been taken, or waits for one, until `deadline` if there is one.
    ///
    /// None is returned if there was none in time; the connection stays good. Each service event comes twice for
    /// each handle, see [`Info`].
    ///
    /// # Errors
    /// The connection has failed or the daemon closed it, or an answer came that nobody asked for.
    pub fn event(&mut self, deadline: Option<Instant>) -> Result<Option<Info>, ClientError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        match self.packet(StatusLayout::V6, deadline)? {
            Some(ReplyPacket::Info(info)) => Ok(Some(info)),
            Some(ReplyPacket::Reply(reply)) => Err(ClientError::Unexpected(reply)),
            None => Ok(None),
        }
    }

    /// Looks at the events that have arrived with answers so far, oldest first.
    pub fn pending_events(&self) -> impl Iterator<Item = &Info> {
        self.events.iter()
    }

    /// Takes the events that have arrived with answers so far.
    pub fn take_events(&mut self) -> Vec<Info> {
        self.events.drain(..).collect()
    }

    /// Asks for a handle of a service, if it is loaded.
    ///
    /// # Errors
    /// The connection has failed, or the daemon does not take that for a name.
    pub fn find(&mut self, name: &ServiceName) -> Result<Result<ServiceRecord, LoadFailure>, ClientError> {
        self.record(&Request::FindService { name: name.clone() })
    }

    /// Asks for a handle of a service, having it loaded if need be.
    ///
    /// # Errors
    /// The connection has failed, or the daemon does not take that for a name.
    pub fn load(&mut self, name: &ServiceName) -> Result<Result<ServiceRecord, LoadFailure>, ClientError> {
        self.record(&Request::LoadService { name: name.clone() })
    }

    fn record(&mut self, request: &Request) -> Result<Result<ServiceRecord, LoadFailure>, ClientError> {
        match self.request(request)? {
            Reply::ServiceRecord { state, handle, target } => Ok(Ok(ServiceRecord { handle, state, target })),
            Reply::NoService => Ok(Err(LoadFailure::NoService)),
            Reply::DescriptionError => Ok(Err(LoadFailure::Description)),
            Reply::LoadError => Ok(Err(LoadFailure::Other)),
            other => Err(ClientError::Unexpected(other)),
        }
    }

    /// Lists all loaded services, in the order in which the daemon began to load them.
    ///
    /// # Errors
    /// The connection has failed.
    pub fn list(&mut self) -> Result<Vec<ListedService>, ClientError> {
        let mut services = Vec::new();
        let request = self.list_request();
        let mut reply = self.request(&request)?;
        loop {
            match reply {
                Reply::ServiceInfo { status, name, .. } => services.push(ListedService { name, status }),
                Reply::ListDone => return Ok(services),
                other => return Err(ClientError::Unexpected(other)),
            }
            reply = self.reply(request.status_layout())?;
        }
    }

    /// Gives the request for a list that tells most of what this daemon can tell.
    pub fn list_request(&self) -> Request {
        let new = self.common >= Version::WITH_STATUS_5;
        Request::List { layout: if new { ListLayout::V5 } else { ListLayout::V1 } }
    }

    /// Gives the richest layout of a status that this daemon knows.
    pub fn status_layout(&self) -> StatusLayout {
        if self.common >= Version::WITH_STATUS_6 {
            StatusLayout::V6
        } else if self.common >= Version::WITH_STATUS_5 {
            StatusLayout::V5
        } else {
            StatusLayout::V1
        }
    }

    /// Asks for the status of a service.
    ///
    /// # Errors
    /// The connection has failed, or the handle is not one of this connection.
    pub fn status(&mut self, service: Handle) -> Result<Status, ClientError> {
        match self.request(&Request::QueryStatus { service, layout: self.status_layout() })? {
            Reply::Status { status, .. } => Ok(status),
            other => Err(ClientError::Unexpected(other)),
        }
    }

    /// Gives the next packet, or none if the deadline passes before it is complete.
    fn packet(
        &mut self,
        layout: StatusLayout,
        deadline: Option<Instant>,
    ) -> Result<Option<ReplyPacket>, ClientError> {
        loop {
            let arrived = self.incoming.get(self.used..).unwrap_or_default();
            match decode_packet(arrived, layout).map_err(ClientError::Packet)? {
                Decoded::Packet { packet, used } => {
                    self.used += used;
                    return Ok(Some(packet));
                }
                Decoded::Incomplete { .. } => {
                    self.incoming.drain(..self.used);
                    self.used = 0;
                    if !self.receive(deadline)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reads once; says whether anything came before the deadline.
    fn receive(&mut self, deadline: Option<Instant>) -> Result<bool, ClientError> {
        loop {
            let time_left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if time_left == Some(Duration::ZERO) {
                return Ok(false);
            }
            if self.limit != time_left {
                self.stream.set_read_timeout(time_left).map_err(ClientError::Socket)?;
                self.limit = time_left;
            }
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => {
                    self.incoming.extend_from_slice(&self.chunk[..count]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && time_left.is_some() => {}
                Err(error) => return Err(ClientError::Read(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
