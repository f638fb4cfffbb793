//! The client: asks the daemon, and then waits to be ended like everything else.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use dinit_client::{ClientError, Connection, address};
use dinit_protocol::{Reply, Request, ShutdownKind, Version};
use dinit_sys::error_text;

use crate::executor::Ending;

/// The newest version of the protocol that is needed here; any daemon since then will do.
const NEWEST: Version = Version(5);

/// What the client asks of the machine it runs on.
pub(crate) struct Host {
    /// Where the daemon of the system listens.
    pub(crate) socket: PathBuf,
    /// The value of `DINIT_CS_FD`, if it is to be looked at.
    pub(crate) passed_descriptor: Option<OsString>,
    /// Takes over a descriptor that the program was started with.
    pub(crate) take_descriptor: fn(RawFd) -> Option<OwnedFd>,
}

impl Host {
    /// Gives the machine as it is.
    pub(crate) fn real(use_passed_descriptor: bool) -> Self {
        Self {
            socket: address::SYSTEM_SOCKET.into(),
            passed_descriptor: std::env::var_os("DINIT_CS_FD").filter(|_| use_passed_descriptor),
            take_descriptor: |number| dinit_sys::descriptor::take_inherited(number).ok(),
        }
    }
}

/// Asks the daemon to shut down.
pub(crate) fn run(
    kind: ShutdownKind,
    host: &Host,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Ending> {
    match ask(kind, host, out) {
        Ok(Reply::Ack) => Ok(Ending::Sleep),
        Ok(_) => print(err, "shutdown: control socket protocol error\n").map(|()| Ending::Exit(1)),
        Err(error) => print(err, &explain(&error)).map(|()| Ending::Exit(1)),
    }
}

/// Writes a text and sees to it that it arrives.
pub(crate) fn print(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn ask(kind: ShutdownKind, host: &Host, out: &mut dyn Write) -> Result<Reply, ClientError> {
    let stream = match host.passed_descriptor.as_deref().and_then(address::passed_descriptor) {
        Some(number) => UnixStream::from((host.take_descriptor)(number).ok_or(ClientError::Closed)?),
        None => Connection::connect(&host.socket)?,
    };
    let mut connection = Connection::with_versions(stream, Version::OLDEST, NEWEST)?;
    // Whether anybody reads this makes no difference to what was asked for.
    let _ = print(out, "Issuing shutdown command...\n");
    connection.request(&Request::Shutdown { kind })
}

fn explain(error: &ClientError) -> String {
    match error {
        ClientError::Connect { cause, .. } => {
            let hint = match cause.kind() {
                io::ErrorKind::PermissionDenied => "shutdown: perhaps you need the rights of root?\n",
                io::ErrorKind::ConnectionRefused => "shutdown: perhaps the daemon has ended?\n",
                _ => "",
            };
            format!("connect: {}\n{hint}", error_text(cause))
        }
        ClientError::Socket(cause) => format!("socket: {}\n", error_text(cause)),
        ClientError::Write(cause) => format!("shutdown: control socket write error: {}\n", error_text(cause)),
        ClientError::ClientTooOld { .. } => {
            "shutdown: too old (server reports newer protocol version)\n".to_owned()
        }
        ClientError::DaemonTooOld { .. } => "shutdown: server too old or protocol error\n".to_owned(),
        ClientError::Read(_)
        | ClientError::Closed
        | ClientError::TimedOut
        | ClientError::Packet(_)
        | ClientError::Unexpected(_) => {
            "shutdown: control socket read failure or protocol error\n".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
