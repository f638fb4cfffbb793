//! Why the program ends with exit status 1, and the words for it.

use std::io;
use std::os::unix::ffi::OsStrExt;

use dinit_client::ClientError;
use dinit_sys::error_text;

/// What every message begins with.
pub(crate) const PREFIX: &str = "dinit-monitor: ";

/// Why the program ends with exit status 1.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is nobody to tell.
    Silent,
    /// The arguments make no sense, for this reason.
    CommandLine(&'static str),
    /// It is not known where the socket is.
    NoSocketPath,
    /// It could not be arranged that commands are waited for.
    Children(io::Error),
    /// The daemon has no such service.
    CannotLoad(Vec<u8>),
    /// The daemon is too old for what is wanted, or is none.
    DaemonTooOld,
    /// The daemon could not be asked.
    Asking(ClientError),
    /// No news could be had.
    Listening(ClientError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Asking(error)
    }
}

impl Failure {
    /// Gives the line that is printed, if there is one.
    pub(crate) fn line(&self) -> Vec<u8> {
        let text = match self {
            Self::Silent => return Vec::new(),
            Self::CommandLine(text) => text.as_bytes().to_vec(),
            Self::NoSocketPath => b"cannot locate user home directory (set XDG_RUNTIME_DIR, HOME, check \
                                    /etc/passwd file, or specify socket path via -p)"
                .to_vec(),
            Self::Children(cause) => format!("waiting for commands: {}", error_text(cause)).into_bytes(),
            Self::CannotLoad(name) => [b"cannot load service: ", &name[..]].concat(),
            Self::DaemonTooOld => DAEMON_TOO_OLD.into(),
            Self::Asking(error) => while_asking(error),
            Self::Listening(error) => while_listening(error),
        };
        [PREFIX.as_bytes(), &text, b"\n"].concat()
    }
}

const DAEMON_TOO_OLD: &str = "server too old or protocol error";
const PROTOCOL_ERROR: &str = "protocol error";

fn while_asking(error: &ClientError) -> Vec<u8> {
    match error {
        ClientError::Connect { path, cause } => {
            let path = path.as_os_str().as_bytes();
            [b"connecting to socket ", path, b": ", error_text(cause).as_bytes()].concat()
        }
        ClientError::Socket(cause) => format!("opening socket: {}", error_text(cause)).into(),
        ClientError::Write(cause) => format!("control socket write error: {}", error_text(cause)).into(),
        ClientError::Read(_) | ClientError::Closed | ClientError::TimedOut | ClientError::Packet(_) => {
            "control socket read failure or protocol error".into()
        }
        ClientError::Unexpected(_) => PROTOCOL_ERROR.into(),
        ClientError::ClientTooOld { .. } => "too old (server reports newer protocol version)".into(),
        ClientError::DaemonTooOld { .. } => DAEMON_TOO_OLD.into(),
    }
}

fn while_listening(error: &ClientError) -> Vec<u8> {
    match error {
        ClientError::Closed => "connection closed by server".into(),
        ClientError::Read(cause) => format!("read: {}", error_text(cause)).into(),
        ClientError::Packet(_) | ClientError::Unexpected(_) => PROTOCOL_ERROR.into(),
        other => while_asking(other),
    }
}
