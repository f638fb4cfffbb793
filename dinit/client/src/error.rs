//! What can go wrong between a client and a daemon.

use std::fmt;
use std::io;
use std::path::PathBuf;

use dinit_protocol::{PacketError, Reply, Version};

/// Why a daemon could not be asked, or did not answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nothing answers at the socket.
    Connect {
        /// Where the socket was expected.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The socket could not be set up.
    Socket(io::Error),
    /// The request could not be sent.
    Write(io::Error),
    /// The answer could not be read.
    Read(io::Error),
    /// The daemon closed the connection.
    Closed,
    /// There was no answer in time. What the daemon answers later would be taken for the answer to something else:
    /// the connection is of no more use.
    TimedOut,
    /// The daemon sent what is no packet.
    Packet(PacketError),
    /// The daemon sent an answer that does not fit the request.
    Unexpected(Reply),
    /// The daemon does not serve clients as old as this one.
    ClientTooOld {
        /// The oldest version that it serves.
        minimum: Version,
    },
    /// The daemon is older than this client can do with.
    DaemonTooOld {
        /// The version of the daemon.
        current: Version,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { path, .. } => write!(out, "cannot connect to `{}`", path.display()),
            Self::Socket(_) => write!(out, "cannot set up the control socket"),
            Self::Write(_) => write!(out, "cannot write to the control socket"),
            Self::Read(_) => write!(out, "cannot read from the control socket"),
            Self::Closed => write!(out, "the daemon closed the connection"),
            Self::TimedOut => write!(out, "the daemon did not answer in time"),
            Self::Packet(_) => write!(out, "the daemon does not keep to the protocol"),
            Self::Unexpected(reply) => write!(out, "the daemon's answer does not fit the request: {reply:?}"),
            Self::ClientTooOld { minimum } => {
                write!(out, "the daemon wants clients of protocol version {} at least", minimum.0)
            }
            Self::DaemonTooOld { current } => {
                write!(out, "the daemon's protocol version {} is too old", current.0)
            }
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { cause, .. } | Self::Socket(cause) | Self::Write(cause) | Self::Read(cause) => {
                Some(cause)
            }
            Self::Packet(cause) => Some(cause),
            Self::Closed
            | Self::TimedOut
            | Self::Unexpected(_)
            | Self::ClientTooOld { .. }
            | Self::DaemonTooOld { .. } => None,
        }
    }
}
