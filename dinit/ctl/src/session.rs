//! A connection in the service of one command: how it is made, and the answers that all commands read alike.

use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use dinit_client::address::{self, Instance};
use dinit_client::{ClientError, Connection, ServiceRecord};
use dinit_protocol::{Handle, Info, Reply, Request, ServiceEvent, ServiceName, Status, Timestamp, Version};

use crate::command_line::General;
use crate::host::Host;
use crate::output::{Failure, Outcome, text};

/// The longest name that is worth a message of its own.
const LONGEST_NAME: usize = 65535;

/// A connection to the daemon that the command line means.
pub(crate) struct Session {
    connection: Connection,
}

/// Why a service has no handle.
pub(crate) enum NotLoaded {
    /// The daemon says so: there is no such service, or it cannot be loaded.
    Refused(Failure),
    /// Something else is wrong.
    Broken(Failure),
}

impl From<NotLoaded> for Failure {
    fn from(reason: NotLoaded) -> Self {
        match reason {
            NotLoaded::Refused(failure) | NotLoaded::Broken(failure) => failure,
        }
    }
}

impl Session {
    /// Connects as the options say.
    pub(crate) fn open(general: &General, host: &Host) -> Outcome<Self> {
        let stream = match passed_stream(general, host)? {
            Some(stream) => stream,
            None => connect(general, host)?,
        };
        Ok(Self { connection: Connection::over(stream)? })
    }

    /// Makes sure that the daemon knows what the command needs.
    pub(crate) fn need_version(&self, version: Version) -> Outcome<()> {
        let found = self.connection.version();
        if found < version { Err(daemon_too_old(found, version)) } else { Ok(()) }
    }

    pub(crate) fn version(&self) -> Version {
        self.connection.version()
    }

    pub(crate) fn request(&mut self, request: &Request) -> Outcome<Reply> {
        Ok(self.connection.request(request)?)
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Has a service loaded.
    pub(crate) fn load(&mut self, name: &[u8]) -> Result<ServiceRecord, NotLoaded> {
        self.record(name, |name| Request::LoadService { name })
    }

    /// Looks for a service among those that are loaded.
    pub(crate) fn find(&mut self, name: &[u8]) -> Result<ServiceRecord, NotLoaded> {
        self.record(name, |name| Request::FindService { name })
    }

    fn record(
        &mut self,
        name: &[u8],
        request: fn(ServiceName) -> Request,
    ) -> Result<ServiceRecord, NotLoaded> {
        const SEE_LOG: &str = "try 'dinit-check <service-name>' or check log for more information.";
        if name.len() > LONGEST_NAME {
            return Err(NotLoaded::Broken(Failure::new("service name too long.")));
        }
        // The daemon would refuse such a name and close the connection.
        let name = ServiceName::new(name).map_err(|_| NotLoaded::Broken(protocol_error()))?;
        let reply =
            self.connection.request(&request(name)).map_err(|error| NotLoaded::Broken(error.into()))?;
        Err(match reply {
            Reply::ServiceRecord { state, handle, target } => {
                return Ok(ServiceRecord { handle, state, target });
            }
            Reply::NoService => NotLoaded::Refused(
                Failure::new("failed to find service description.")
                    .and("check service description file exists / service name spelling."),
            ),
            Reply::DescriptionError => {
                NotLoaded::Refused(Failure::new("error in service description.").and(SEE_LOG))
            }
            Reply::LoadError => NotLoaded::Refused(
                Failure::new("error loading service (or dependency of service).").and(SEE_LOG),
            ),
            _ => NotLoaded::Broken(protocol_error()),
        })
    }

    /// Gives a handle back, so that there are not more and more of them.
    pub(crate) fn close(&mut self, service: Handle) -> Outcome<()> {
        match self.request(&Request::CloseHandle { service })? {
            Reply::Ack => Ok(()),
            _ => Err(protocol_error()),
        }
    }

    /// Asks for a status, and fails with `unexpected` if the answer is none.
    pub(crate) fn status(&mut self, service: Handle, unexpected: fn() -> Failure) -> Outcome<Status> {
        let layout = self.connection.status_layout();
        match self.request(&Request::QueryStatus { service, layout })? {
            Reply::Status { status, .. } => Ok(status),
            _ => Err(unexpected()),
        }
    }

    /// Gives the directory in which the description of a service was found, absolute if the daemon's own
    /// directory is known.
    pub(crate) fn description_directory(&mut self, service: Handle) -> Outcome<Vec<u8>> {
        let directory = match self.request(&Request::QueryDirectory { service, reserved: 0 })? {
            Reply::Directory(directory) => directory,
            _ => return Err(protocol_error()),
        };
        if directory.starts_with(b"/") {
            return Ok(directory);
        }
        match self.request(&Request::QueryLoader)? {
            Reply::Loader(loader) if loader.working_directory.is_empty() => Ok(directory),
            Reply::Loader(loader) => Ok(joined(&loader.working_directory, &directory)),
            _ => Err(protocol_error()),
        }
    }

    /// Gives the path of a service's description.
    pub(crate) fn description_path(&mut self, service: Handle, name: &[u8]) -> Outcome<Vec<u8>> {
        Ok(joined(&self.description_directory(service)?, base_name(name)))
    }

    /// Says whether an event that has arrived already tells how the start of a service came out.
    pub(crate) fn has_start_outcome(&self, service: Handle) -> bool {
        self.connection.pending_events().any(|info| match info {
            Info::ServiceEvent { service: of, event, .. }
            | Info::ServiceEvent5 { service: of, event, .. } => {
                *of == service && matches!(event, ServiceEvent::Started | ServiceEvent::FailedStart)
            }
            Info::Environment { .. } | Info::Other { .. } => false,
        })
    }

    /// Waits for the next event of a service. The older of the two packets for each event counts only with
    /// daemons that send no other.
    pub(crate) fn event(&mut self, service: Handle) -> Outcome<(ServiceEvent, Option<Status>)> {
        let newer = self.connection.version() >= Version::WITH_STATUS_5;
        loop {
            let info = match self.connection.event(None) {
                Ok(info) => info,
                Err(ClientError::Read(cause)) => {
                    return Err(Failure::new(text!["read: ", dinit_sys::error_text(&cause)]));
                }
                Err(_) => return Err(protocol_error()),
            };
            match info {
                Some(Info::ServiceEvent5 { service: of, event, status }) if newer && of == service => {
                    return Ok((event, Some(status)));
                }
                Some(Info::ServiceEvent { service: of, event, status }) if !newer && of == service => {
                    return Ok((event, status));
                }
                _ => {}
            }
        }
    }
}

/// Says that the daemon does not know what is asked of it, and what may be behind that.
pub(crate) fn daemon_too_old(found: Version, needed: Version) -> Failure {
    Failure::new("daemon too old or protocol error").and(format!(
        "perhaps dinit was updated and the old one still runs? It speaks version {} of the protocol, and this takes {}.",
        found.0, needed.0
    ))
}

/// Says that an answer made no sense where the kind of answer is fixed.
pub(crate) fn protocol_error() -> Failure {
    Failure::new("protocol error")
}

/// Says that an answer to a command made no sense.
pub(crate) fn protocol_error_in_command() -> Failure {
    Failure::new("protocol error.")
}

/// Says that the daemon answered something that does not fit.
pub(crate) fn socket_protocol_error() -> Failure {
    Failure::new("control socket protocol error")
}

/// Gives the name without its argument, which is the name of the description's file.
pub(crate) fn base_name(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'@').next().unwrap_or(name)
}

/// Joins a directory and a path below it.
pub(crate) fn joined(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let separator = if directory.ends_with(b"/") { "" } else { "/" };
    text![directory, separator, path]
}

/// Makes a path of bytes.
pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Says whether the description at a path was changed after it was loaded, if there is one to be seen.
pub(crate) fn is_changed(path: &[u8], loaded: impl FnOnce() -> Outcome<Option<Timestamp>>) -> Outcome<bool> {
    let Ok(file) = std::fs::metadata(as_path(path)) else { return Ok(false) };
    let now = Timestamp { seconds: file.mtime(), nanoseconds: file.mtime_nsec() };
    Ok(loaded()?.is_some_and(|loaded| loaded != now))
}

fn passed_stream(general: &General, host: &Host) -> Outcome<Option<UnixStream>> {
    if !general.use_passed_descriptor {
        return Ok(None);
    }
    let value = host.variable("DINIT_CS_FD");
    let Some(number) = value.and_then(|value| address::passed_descriptor(&value)) else { return Ok(None) };
    match (host.take_descriptor)(number) {
        Some(descriptor) => Ok(Some(UnixStream::from(descriptor))),
        None => Err(ClientError::Closed.into()),
    }
}

fn connect(general: &General, host: &Host) -> Outcome<UnixStream> {
    let instance = general.instance.unwrap_or_else(|| host.default_instance());
    let given = general.socket_path.clone().map(|path| PathBuf::from(std::ffi::OsString::from_vec(path)));
    let is_given = given.is_some();
    let is_default = !is_given && host.variable("DINIT_SOCKET_PATH").is_none();
    let path =
        given.or_else(|| address::socket_path(instance, |name| host.variable(name), || host.home_of_user()));
    let path = path.ok_or_else(|| {
        Failure::new(
            "cannot determine control socket directory (set XDG_RUNTIME_DIR or HOME, \
             check /etc/passwd file, or specify socket path via -p)",
        )
    })?;
    Connection::connect(&path).map_err(|error| {
        let hint = match &error {
            ClientError::Connect { cause, .. } => hint(cause.kind(), instance, is_given, is_default),
            _ => None,
        };
        let failure = Failure::from(error);
        match hint {
            Some(hint) => failure.and(hint),
            None => failure,
        }
    })
}

/// Says what may be behind a connection that cannot be made. The path may be given by an option, be the default, or
/// come from a variable, which is neither.
fn hint(cause: ErrorKind, instance: Instance, is_given: bool, is_default: bool) -> Option<&'static str> {
    match (cause, instance) {
        (ErrorKind::NotFound, Instance::User) if !is_given => Some("perhaps no user instance is running?"),
        (ErrorKind::NotFound, Instance::System) if is_default => Some(
            "perhaps this system does not run dinit? One that runs makes its socket again when it gets SIGUSR1.",
        ),
        (ErrorKind::ConnectionRefused, _) => Some(
            "perhaps the daemon has ended and left its socket behind? A daemon that is started makes a new one.",
        ),
        (ErrorKind::PermissionDenied, Instance::System) => {
            Some("perhaps you need the rights of root? Without them, --user controls a daemon of your own.")
        }
        (ErrorKind::PermissionDenied, Instance::User) => {
            Some("perhaps the daemon runs as another user? Only that user and root can control it.")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_not_allowed_or_refused_has_a_hint() {
        for instance in [Instance::System, Instance::User] {
            for cause in [ErrorKind::PermissionDenied, ErrorKind::ConnectionRefused] {
                let hint = hint(cause, instance, true, false);
                assert!(hint.is_some_and(|hint| hint.starts_with("perhaps")), "{cause}");
            }
        }
    }

    #[test]
    fn a_socket_that_is_missing_has_a_hint_unless_its_path_may_be_mistyped() {
        let hint = |instance, is_given, is_default| {
            hint(ErrorKind::NotFound, instance, is_given, is_default)
                .map(|hint| hint.split_once('?').unwrap().0)
        };
        assert_eq!(hint(Instance::System, false, true), Some("perhaps this system does not run dinit"));
        assert_eq!(hint(Instance::User, false, true), Some("perhaps no user instance is running"));
        assert_eq!(hint(Instance::User, false, false), Some("perhaps no user instance is running"));
        assert_eq!(hint(Instance::System, false, false), None);
        assert_eq!(hint(Instance::System, true, false), None);
        assert_eq!(hint(Instance::User, true, false), None);
    }
}
