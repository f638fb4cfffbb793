//! Bytes from a mirror: over HTTP or from a folder, counted, digested, tried again where that may help.

mod courier;

use self::courier::Message;
use crate::error::{ArchiveError, NetworkError};
use crate::mirror::{Mirror, Place};
use crate::progress::{Cancel, Progress, Stage};
use mkimage_deb::{Sha256, Sha256Builder};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use ureq::tls::{RootCerts, TlsConfig};

/// How often something is asked for until it is given up.
const ATTEMPTS: u32 = 4;
/// How long nothing may come before the line counts as broken.
const STALLED: Duration = Duration::from_secs(30);

/// How often a thread that waits looks whether it still should.
const GLANCE: Duration = Duration::from_millis(50);

/// What a file must be, as something signed says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

/// The line to one mirror; used by several threads at once.
pub(crate) struct Transport {
    mirror: Mirror,
    agent: ureq::Agent,
    progress: Arc<dyn Progress>,
    cancel: Cancel,
    /// How long to wait before the second attempt; twice as long before each further one.
    patience: Duration,
}

/// A file of the mirror that is being read.
enum Stream {
    File(File),
    Web(Receiver<Result<Message, Fault>>),
}

/// Why one attempt did not succeed.
enum Fault {
    /// The mirror has no such file.
    Absent,
    Network(NetworkError),
    /// Something on this side; trying again would not help.
    Final(ArchiveError),
}

/// What has come so far of a file, kept from one attempt to the next.
struct Download<'a> {
    path: &'a Path,
    file: File,
    digest: Sha256Builder,
    received: u64,
    /// How much of it was told to whoever watches.
    reported: u64,
}

impl Transport {
    pub(crate) fn new(mirror: Mirror, progress: Arc<dyn Progress>, cancel: Cancel) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("mkimage/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(20)))
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_recv_response(Some(STALLED))
            .timeout_per_read(Some(STALLED))
            .max_idle_connections_per_host(8)
            .max_idle_connections(8)
            .build();
        let patience = Duration::from_millis(500);
        Self { mirror, agent: config.new_agent(), progress, cancel, patience }
    }

    /// Reads a small file of unknown size; none if the mirror, those behind it apart, does not have it.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.persist(&self.mirror, path, || {
            let (mut body, _) = self.open(&self.mirror, path, 0)?;
            let mut bytes = Vec::new();
            self.pump(&mut body, limit, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            Ok(bytes)
        })
    }

    /// Fetches a file that must be as `expected` into `path`, which is written anew; false if neither the mirror nor
    /// any behind it has it. Only when this gives true may the file be looked at.
    pub(crate) fn download(
        &self,
        stage: Stage,
        path: &str,
        expected: Expected,
        to: &Path,
    ) -> Result<bool, ArchiveError> {
        for mirror in self.mirror.each() {
            let file = File::options().create(true).truncate(true).read(true).write(true).open(to);
            let file =
                file.map_err(|source| ArchiveError::Cache { doing: "create", path: to.to_owned(), source })?;
            let mut download =
                Download { path: to, file, digest: Sha256Builder::new(), received: 0, reported: 0 };
            let attempt = || self.continue_download(stage, &mirror, path, expected, &mut download);
            if self.persist(&mirror, path, attempt)?.is_none() {
                continue;
            }
            let found = download.digest.finish();
            if found != expected.sha256 {
                let address = mirror.address(path);
                return Err(ArchiveError::Mismatch { address, expected: expected.sha256, found });
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn continue_download(
        &self,
        stage: Stage,
        mirror: &Mirror,
        path: &str,
        expected: Expected,
        download: &mut Download<'_>,
    ) -> Result<(), Fault> {
        let (mut body, offset) = self.open(mirror, path, download.received)?;
        if offset != download.received {
            download.start_over().map_err(|source| download.cannot_write(source))?;
        }
        let left = expected.size - download.received;
        let came = self.pump(&mut body, left, |piece| {
            download.file.write_all(piece).map_err(|source| download.cannot_write(source))?;
            download.digest.update(piece);
            download.received += piece.len() as u64;
            if download.received > download.reported {
                self.progress.advanced(stage, download.received - download.reported);
                download.reported = download.received;
            }
            Ok(())
        });
        came?;
        if download.received < expected.size {
            let (received, expected) = (download.received, expected.size);
            return Err(Fault::Network(NetworkError::CutShort { received, expected }));
        }
        Ok(())
    }

    /// Makes attempts until one succeeds, fails for good, or all were made.
    fn persist<T>(
        &self,
        mirror: &Mirror,
        path: &str,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<Option<T>, ArchiveError> {
        let mut wait = self.patience;
        for number in 1.. {
            if self.cancel.is_requested() {
                return Err(ArchiveError::Cancelled);
            }
            match attempt() {
                Ok(result) => return Ok(Some(result)),
                Err(Fault::Absent) => return Ok(None),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Network(error)) if number < ATTEMPTS && may_pass(&error) => {
                    self.progress.note(&format!("trying `{path}` again: {error}"));
                    self.rest(wait);
                    wait *= 2;
                }
                Err(Fault::Network(source)) => {
                    return Err(ArchiveError::Network { address: mirror.address(path), source });
                }
            }
        }
        Ok(None)
    }

    /// Waits before the next attempt, but no longer than the caller wants to go on.
    fn rest(&self, wait: Duration) {
        let mut waited = Duration::ZERO;
        while waited < wait && !self.cancel.is_requested() {
            std::thread::sleep(GLANCE);
            waited += GLANCE;
        }
    }

    /// Opens a file of the mirror from byte `from` on; gives also the byte that it really begins with.
    fn open(&self, mirror: &Mirror, path: &str, from: u64) -> Result<(Stream, u64), Fault> {
        match mirror.place() {
            Place::Folder(root) => match File::open(root.join(path)) {
                Ok(file) => Ok((Stream::File(file), 0)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if root.is_dir() {
                        return Err(Fault::Absent);
                    }
                    let problem = "there is no such folder";
                    let location = mirror.to_string();
                    Err(Fault::Final(ArchiveError::BadMirror { location, problem }))
                }
                Err(source) => {
                    let path = root.join(path);
                    Err(Fault::Final(ArchiveError::Cache { doing: "read", path, source }))
                }
            },
            Place::Web(root) => {
                let messages = courier::send(self.agent.clone(), format!("{root}/{}", escaped(path)), from);
                match self.receive(&messages)? {
                    Message::Opened(offset) => Ok((Stream::Web(messages), offset)),
                    Message::Piece(_) | Message::End => Err(courier::lost()),
                }
            }
        }
    }

    /// Hands on what comes, piece by piece, until the end; more than `limit` bytes are an error.
    fn pump(
        &self,
        stream: &mut Stream,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut came = 0;
        while let Some(piece) = self.next_piece(stream)? {
            came += piece.len() as u64;
            if came > limit {
                return Err(Fault::Network(NetworkError::TooLong { expected: limit }));
            }
            take(&piece)?;
        }
        Ok(())
    }

    fn next_piece(&self, stream: &mut Stream) -> Result<Option<Vec<u8>>, Fault> {
        match stream {
            Stream::File(file) => {
                if self.cancel.is_requested() {
                    return Err(Fault::Final(ArchiveError::Cancelled));
                }
                let mut piece = Vec::with_capacity(courier::PIECE);
                let read = file.take(courier::PIECE as u64).read_to_end(&mut piece);
                read.map_err(|error| Fault::Network(NetworkError::Unreachable(error)))?;
                Ok((!piece.is_empty()).then_some(piece))
            }
            Stream::Web(messages) => match self.receive(messages)? {
                Message::Piece(piece) => Ok(Some(piece)),
                Message::End => Ok(None),
                Message::Opened(_) => Err(courier::lost()),
            },
        }
    }

    /// Waits for the next message, but no longer than the caller wants to go on.
    fn receive(&self, messages: &Receiver<Result<Message, Fault>>) -> Result<Message, Fault> {
        loop {
            if self.cancel.is_requested() {
                return Err(Fault::Final(ArchiveError::Cancelled));
            }
            match messages.recv_timeout(GLANCE) {
                Ok(message) => return message,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(courier::lost()),
            }
        }
    }
}

impl Download<'_> {
    /// Forgets what came, because the server begins at the beginning again.
    fn start_over(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        (self.digest, self.received) = (Sha256Builder::new(), 0);
        Ok(())
    }

    fn cannot_write(&self, source: io::Error) -> Fault {
        Fault::Final(ArchiveError::Cache { doing: "write", path: self.path.to_owned(), source })
    }
}

/// Says whether the same attempt may succeed a moment later.
fn may_pass(error: &NetworkError) -> bool {
    match error {
        NetworkError::Unreachable(cause) => !matches!(
            cause.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::PermissionDenied
        ),
        NetworkError::Status(status) => matches!(status, 408 | 425 | 429 | 500..=599),
        NetworkError::TimedOut | NetworkError::CutShort { .. } | NetworkError::Protocol(_) => true,
        NetworkError::HostNotFound | NetworkError::Tls(_) | NetworkError::TooLong { .. } => false,
    }
}

/// Escapes what may not stand in an address as it is; names of packages and versions may have `+`, `~` and `:`.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' | b'+' | b':' => {
                escaped.push(char::from(byte));
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
