//! What is printed: data and status messages on one side, errors on the other.

use std::io::{self, Write};

use dinit_client::ClientError;
use dinit_json::{Value, object};
use dinit_protocol::Version;
use dinit_sys::error_text;

use crate::session::daemon_too_old;

/// What every error begins with.
const PREFIX: &str = "dinitctl: ";

/// Joins texts that may not be UTF-8, such as names of services.
macro_rules! text {
    ($($part:expr),+ $(,)?) => {{
        let mut text: Vec<u8> = Vec::new();
        $(text.extend_from_slice(AsRef::<[u8]>::as_ref(&$part));)+
        text
    }};
}
pub(crate) use text;

/// The two places that text goes to.
pub(crate) struct Output<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    quiet: bool,
    json: bool,
}

/// Why a command ends with exit status 1, in the words that are printed; there may be none.
#[derive(Debug, Default)]
pub(crate) struct Failure(Vec<u8>);

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Makes a failure that has nothing to say.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// Makes a failure of one line, behind the name of the program.
    pub(crate) fn new(line: impl AsRef<[u8]>) -> Self {
        Self::default().and(line)
    }

    /// Adds a line behind the name of the program.
    pub(crate) fn and(mut self, line: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(PREFIX.as_bytes());
        self.and_plain(line)
    }

    /// Adds a line as it is.
    pub(crate) fn and_plain(mut self, line: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(line.as_ref());
        self.0.push(b'\n');
        self
    }
}

impl From<ClientError> for Failure {
    /// Says what happened on the connection while an answer was due.
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Connect { path, cause } => Self::new(text![
                "connecting to socket: ",
                path.as_os_str().as_encoded_bytes(),
                ": ",
                error_text(&cause)
            ]),
            ClientError::Socket(cause) => Self::new(text!["opening socket: ", error_text(&cause)]),
            ClientError::Write(cause) => Self::new(text!["control socket write error: ", error_text(&cause)]),
            ClientError::Read(_)
            | ClientError::Closed
            | ClientError::TimedOut
            | ClientError::Packet(_)
            | ClientError::Unexpected(_) => Self::new("control socket read failure or protocol error"),
            ClientError::ClientTooOld { .. } => Self::new("too old (daemon reports newer protocol version)"),
            ClientError::DaemonTooOld { current } => daemon_too_old(current, Version::OLDEST),
        }
    }
}

impl From<io::Error> for Failure {
    /// Standard output took no more; there is nobody to tell.
    fn from(_: io::Error) -> Self {
        Self::silent()
    }
}

impl<'a> Output<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err, quiet: false, json: false }
    }

    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    pub(crate) fn set_json(&mut self, json: bool) {
        self.json = json;
    }

    /// Says whether what comes of the command is to be one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a document with data, always.
    pub(crate) fn document(&mut self, document: &Value) -> Outcome<()> {
        Ok(writeln!(self.out, "{document}")?)
    }

    /// Tells what was done: in a line, or in a document made of these fields; unless that is not wanted.
    pub(crate) fn tell(
        &mut self,
        line: impl AsRef<[u8]>,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Outcome<()> {
        self.say(line)?;
        self.tell_document(fields)
    }

    /// Tells in a document what no line is printed for, unless that is not wanted.
    pub(crate) fn tell_document(
        &mut self,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Outcome<()> {
        if self.json && !self.quiet { self.document(&object(fields)) } else { Ok(()) }
    }

    /// Prints data as it is, always.
    pub(crate) fn print(&mut self, data: &[u8]) -> Outcome<()> {
        Ok(self.out.write_all(data)?)
    }

    /// Prints a line that tells how things are going, unless that is not wanted or the end is told in a document.
    pub(crate) fn say(&mut self, line: impl AsRef<[u8]>) -> Outcome<()> {
        if self.quiet || self.json {
            return Ok(());
        }
        self.out.write_all(line.as_ref())?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Prints a line to the errors although the command goes on.
    pub(crate) fn warn(&mut self, line: impl AsRef<[u8]>) -> Outcome<()> {
        self.out.flush()?;
        Ok(self.err.write_all(&text![PREFIX, line.as_ref(), "\n"])?)
    }

    /// Makes what was printed be seen, before something that may take long.
    pub(crate) fn flush(&mut self) -> Outcome<()> {
        Ok(self.out.flush()?)
    }

    /// Prints what went wrong, if anything did, and gives the exit status.
    pub(crate) fn finish(mut self, result: Outcome<u8>) -> u8 {
        let flushed = self.flush();
        match (result, flushed) {
            (Ok(status), Ok(())) => status,
            (Err(failure), _) => {
                // Where the errors cannot be written either, the exit status must do.
                let _ = self.err.write_all(&failure.0);
                1
            }
            (Ok(_), Err(_)) => 1,
        }
    }
}
