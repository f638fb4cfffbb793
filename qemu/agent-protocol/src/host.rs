//! The host's side: an [`Agent`] as a value one can call.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown as Close;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::TrySendError::Disconnected;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::frame::{Decoder, Frame};
use crate::message::{BootReport, Shutdown, Status, Stream, ToGuest, ToHost, VERSION, WORDS_LIMIT, Wait};

/// How many bytes of a file go into one frame.
const FILE_PIECE: usize = 16 << 10;
/// How many frames may wait for whoever asked; behind that the guest waits.
const QUEUE: usize = 16;
/// How long the agent may take for what needs no waiting in the guest, stretched for a slow emulated one.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A connection to the agent of one guest, through a restart of it as well.
pub struct Agent {
    stream: UnixStream,
    answers: Receiver<Frame>,
    /// The agent's present session, once it was heard.
    session: Option<u32>,
    last_request: u32,
}

/// Why the agent did not do what was asked.
#[derive(Debug)]
pub enum AgentError {
    /// The connection has ended: the guest failed or ended. The machine knows why.
    Closed,
    /// The agent did not answer in time.
    TimedOut {
        /// What was waited for.
        waiting_for: &'static str,
        /// The time given.
        limit: Duration,
    },
    /// The guest started again while it was asked.
    Restarted,
    /// The agent speaks another version.
    WrongVersion {
        /// Its version.
        version: u32,
    },
    /// The agent says that it cannot.
    Refused {
        /// Its reason.
        reason: String,
    },
    /// What is asked does not fit a message.
    TooLong,
    /// What came back cannot be handed on, or a file of the host cannot be used.
    Host(io::Error),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentError::Closed => write!(f, "the connection to the guest agent has ended"),
            AgentError::TimedOut { waiting_for, limit } => {
                write!(f, "the guest agent gave no {waiting_for} within {} s", limit.as_secs())
            }
            AgentError::Restarted => write!(f, "the guest started again meanwhile"),
            AgentError::WrongVersion { version } => {
                write!(f, "the guest agent speaks version {version}, not {VERSION}")
            }
            AgentError::Refused { reason } => write!(f, "the guest agent refuses: {reason}"),
            AgentError::TooLong => write!(f, "the command is too long for the guest agent"),
            AgentError::Host(_) => write!(f, "cannot hand on what the guest agent sent"),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AgentError::Host(cause) => Some(cause),
            _ => None,
        }
    }
}

/// What a program in the guest wrote, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub error: Vec<u8>,
}

impl Agent {
    /// Takes the host's end of the port. `heard` is called for every sign of life, from another thread.
    ///
    /// # Errors
    /// The stream cannot be shared with that thread.
    pub fn new(stream: UnixStream, heard: impl FnMut() + Send + 'static) -> io::Result<Agent> {
        let reading = stream.try_clone()?;
        let (sender, answers) = sync_channel(QUEUE);
        thread::Builder::new()
            .name("agent reader".to_owned())
            .spawn(move || read_frames(reading, &sender, heard))?;
        Ok(Agent { stream, answers, session: None, last_request: 0 })
    }

    /// Waits until the agent is there, which is soon after the guest's init has started.
    ///
    /// # Errors
    /// The guest ended, the agent speaks another version, or `limit` passed.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), AgentError> {
        let deadline = Instant::now() + limit;
        while self.session.is_none() {
            self.next_message(0, deadline, "sign of life", limit)?;
        }
        Ok(())
    }

    /// Waits until the guest has started again and a new agent is there.
    ///
    /// # Errors
    /// The guest ended, or `limit` passed.
    pub fn wait_restarted(&mut self, limit: Duration) -> Result<(), AgentError> {
        let deadline = Instant::now() + limit;
        let before = self.session;
        while self.session == before {
            match self.next_message(0, deadline, "sign of a new start", limit) {
                Ok(_) | Err(AgentError::Restarted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Runs a program as root, with nothing on its standard input, handing its output on as it comes.
    ///
    /// When `limit` passes, the program is killed and the error says so.
    ///
    /// # Errors
    /// The program cannot be run, the guest ended, `limit` passed, or the output cannot be handed on.
    pub fn exec(
        &mut self,
        words: &[&[u8]],
        out: &mut dyn Write,
        error: &mut dyn Write,
        limit: Duration,
    ) -> Result<Status, AgentError> {
        if words.iter().map(|word| word.len() + 4).sum::<usize>() > WORDS_LIMIT {
            return Err(AgentError::TooLong);
        }
        let words = words.iter().map(|word| word.to_vec()).collect();
        let request = self.ask(&ToGuest::Exec { words })?;
        let answered = self.pass_output(request, out, error, limit);
        if !matches!(answered, Ok(_) | Err(AgentError::Closed | AgentError::Refused { .. })) {
            // The program must not run on unseen; if this fails too, the guest is gone and so is the program.
            let _ = self.say(&ToGuest::Kill, request);
        }
        answered
    }

    /// Runs a shell command as [`exec`](Agent::exec) does, and keeps its output.
    ///
    /// # Errors
    /// As for [`exec`](Agent::exec).
    pub fn shell(&mut self, command: &str, limit: Duration) -> Result<Output, AgentError> {
        let (mut out, mut error) = (Vec::new(), Vec::new());
        let status = self.exec(&[b"/bin/sh", b"-c", command.as_bytes()], &mut out, &mut error, limit)?;
        Ok(Output { status, out, error })
    }

    /// Writes a file in the guest, replacing what is there.
    ///
    /// # Errors
    /// The agent cannot write it, or the guest ended.
    pub fn put(&mut self, path: &[u8], mode: u32, mut content: impl Read) -> Result<(), AgentError> {
        if path.len() > WORDS_LIMIT {
            return Err(AgentError::TooLong);
        }
        let request = self.ask(&ToGuest::Put { path: path.to_vec(), mode })?;
        let mut piece = vec![0; FILE_PIECE];
        loop {
            match content.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => self.say(&ToGuest::PutData(piece[..count].to_vec()), request)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(AgentError::Host(error)),
            }
        }
        self.say(&ToGuest::PutEnd, request)?;
        self.wait_done(request)
    }

    /// Reads a file of the guest.
    ///
    /// # Errors
    /// The agent cannot read it, the guest ended, or `out` does not take it.
    pub fn get(&mut self, path: &[u8], out: &mut dyn Write) -> Result<(), AgentError> {
        if path.len() > WORDS_LIMIT {
            return Err(AgentError::TooLong);
        }
        let request = self.ask(&ToGuest::Get { path: path.to_vec() })?;
        loop {
            let deadline = Instant::now() + ANSWER_LIMIT;
            match self.next_message(request, deadline, "more of the file", ANSWER_LIMIT)? {
                ToHost::Data(bytes) => out.write_all(&bytes).map_err(AgentError::Host)?,
                ToHost::Done => return Ok(()),
                _ => {}
            }
        }
    }

    /// Waits until the service is started or has failed, and says how it stands and which others are not started.
    ///
    /// When `limit` passes, the report says how things stand then, with
    /// [`Outcome::Underway`](crate::message::Outcome::Underway).
    ///
    /// # Errors
    /// The agent cannot ask dinit, or the guest ended.
    pub fn wait_boot(&mut self, service: &str, limit: Duration) -> Result<BootReport, AgentError> {
        match self.boot_report(service, Wait::UntilDecided, limit) {
            Err(AgentError::TimedOut { .. }) => self.boot_report(service, Wait::No, ANSWER_LIMIT),
            other => other,
        }
    }

    /// Ends the guest through dinit; returns when dinit is being asked, so wait for the machine's end after.
    ///
    /// # Errors
    /// dinit cannot be asked, or the guest ended before that.
    pub fn shut_down(&mut self, how: Shutdown) -> Result<(), AgentError> {
        let request = self.ask(&ToGuest::Shutdown(how))?;
        self.wait_done(request)
    }

    fn boot_report(&mut self, service: &str, wait: Wait, limit: Duration) -> Result<BootReport, AgentError> {
        let request = self.ask(&ToGuest::Boot { service: service.as_bytes().to_vec(), wait })?;
        let deadline = Instant::now() + limit;
        loop {
            if let ToHost::Boot(report) = self.next_message(request, deadline, "report of the boot", limit)? {
                return Ok(report);
            }
        }
    }

    fn pass_output(
        &mut self,
        request: u32,
        out: &mut dyn Write,
        error: &mut dyn Write,
        limit: Duration,
    ) -> Result<Status, AgentError> {
        let deadline = Instant::now() + limit;
        loop {
            match self.next_message(request, deadline, "end of the command", limit)? {
                ToHost::Output { stream, bytes } => {
                    let passed = match stream {
                        Stream::Out => out.write_all(&bytes).and_then(|()| out.flush()),
                        Stream::Error => error.write_all(&bytes).and_then(|()| error.flush()),
                    };
                    passed.map_err(AgentError::Host)?;
                }
                ToHost::Exited(status) => return Ok(status),
                _ => {}
            }
        }
    }

    fn wait_done(&mut self, request: u32) -> Result<(), AgentError> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        while self.next_message(request, deadline, "answer", ANSWER_LIMIT)? != ToHost::Done {}
        Ok(())
    }

    /// Sends a new request, once the agent is there.
    fn ask(&mut self, message: &ToGuest) -> Result<u32, AgentError> {
        self.wait_ready(ANSWER_LIMIT)?;
        self.last_request += 1;
        self.say(message, self.last_request)?;
        Ok(self.last_request)
    }

    fn say(&mut self, message: &ToGuest, request: u32) -> Result<(), AgentError> {
        let session = self.session.unwrap_or_default();
        let bytes = message.frame(session, request).encode();
        self.stream.write_all(&bytes).map_err(|_| AgentError::Closed)
    }

    /// Gives the next message that belongs to a request (0: to none), keeping track of sessions on the way.
    fn next_message(
        &mut self,
        request: u32,
        deadline: Instant,
        waiting_for: &'static str,
        limit: Duration,
    ) -> Result<ToHost, AgentError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = self.answers.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => AgentError::TimedOut { waiting_for, limit },
                RecvTimeoutError::Disconnected => AgentError::Closed,
            })?;
            let Some(message) = ToHost::read(&frame) else { continue };
            if let ToHost::Beat { version } = message {
                self.begin_session(frame.session, version)?;
            }
            if self.session == Some(frame.session) && frame.request == request {
                return match message {
                    ToHost::Failed { reason } => Err(AgentError::Refused { reason }),
                    other => Ok(other),
                };
            }
        }
    }

    /// Takes note of the agent's session; a new one means that the guest, or the agent, started again.
    fn begin_session(&mut self, session: u32, version: u32) -> Result<(), AgentError> {
        if version != VERSION {
            return Err(AgentError::WrongVersion { version });
        }
        match self.session.replace(session) {
            Some(before) if before != session => Err(AgentError::Restarted),
            _ => Ok(()),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Ends the reader; a stream that is closed already has ended it.
        let _ = self.stream.shutdown(Close::Both);
    }
}

/// Reads until the end of the stream, or until nobody takes the frames any more.
fn read_frames(mut stream: UnixStream, frames: &SyncSender<Frame>, mut heard: impl FnMut()) {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => decoder.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        heard();
        while let Some(frame) = decoder.next_frame() {
            // A beat is only worth something fresh: while nobody asks, they must not fill the queue.
            let is_beat = matches!(ToHost::read(&frame), Some(ToHost::Beat { .. }));
            let taken = if is_beat {
                !matches!(frames.try_send(frame), Err(Disconnected(_)))
            } else {
                frames.send(frame).is_ok()
            };
            if !taken {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest that says these frames and then listens until the end.
    fn agent(said: &[Frame]) -> (Agent, thread::JoinHandle<Vec<ToGuest>>) {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        let bytes: Vec<u8> = said.iter().flat_map(Frame::encode).collect();
        theirs.write_all(&bytes).expect("fits the socket");
        let guest = thread::spawn(move || {
            let mut heard = Vec::new();
            // Our side closing while something is unread ends the reading with an error: as good as the end.
            let _ = theirs.read_to_end(&mut heard);
            let mut decoder = Decoder::default();
            decoder.push(&heard);
            std::iter::from_fn(|| decoder.next_frame()).filter_map(|frame| ToGuest::read(&frame)).collect()
        });
        (Agent::new(ours, || ()).expect("agent"), guest)
    }

    fn beat(session: u32) -> Frame {
        ToHost::Beat { version: VERSION }.frame(session, 0)
    }

    fn output(stream: Stream, text: &str) -> Frame {
        ToHost::Output { stream, bytes: text.as_bytes().to_vec() }.frame(7, 1)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_command_gives_its_output_and_its_status() {
        let said = [
            beat(7),
            output(Stream::Out, "a"),
            output(Stream::Error, "b"),
            output(Stream::Out, "c"),
            ToHost::Exited(Status::Exited(3)).frame(7, 1),
        ];
        let (mut agent, guest) = agent(&said);
        let output = agent.shell("x", LONG).expect("answered");
        assert_eq!(output, Output { status: Status::Exited(3), out: b"ac".to_vec(), error: b"b".to_vec() });
        drop(agent);
        let words = [&b"/bin/sh"[..], b"-c", b"x"].map(<[u8]>::to_vec).to_vec();
        assert_eq!(guest.join().expect("no panic"), [ToGuest::Exec { words }]);
    }

    #[test]
    fn what_belongs_to_another_session_or_request_is_passed_over() {
        let said = [
            ToHost::Exited(Status::Exited(1)).frame(6, 1),
            beat(7),
            ToHost::Exited(Status::Exited(2)).frame(6, 1),
            ToHost::Exited(Status::Exited(3)).frame(7, 9),
            ToHost::Exited(Status::Exited(4)).frame(7, 1),
        ];
        let (mut agent, _guest) = agent(&said);
        assert_eq!(agent.shell("x", LONG).expect("answered").status, Status::Exited(4));
    }

    #[test]
    fn a_guest_that_starts_again_meanwhile_is_told_apart_from_an_answer() {
        let (mut agent, _guest) = agent(&[beat(7), beat(8)]);
        assert!(matches!(agent.shell("x", LONG), Err(AgentError::Restarted)));
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed() {
        let (mut agent, guest) = agent(&[beat(7)]);
        let error = agent.shell("x", Duration::ZERO).expect_err("no answer");
        assert!(matches!(error, AgentError::TimedOut { .. }), "{error}");
        drop(agent);
        assert_eq!(guest.join().expect("no panic").last(), Some(&ToGuest::Kill));
    }

    #[test]
    fn a_refusal_carries_its_reason() {
        let refusal = ToHost::Failed { reason: "there is no `x`".to_owned() };
        let (mut agent, _guest) = agent(&[beat(7), refusal.frame(7, 1)]);
        let error = agent.shell("x", LONG).expect_err("refused");
        assert_eq!(error.to_string(), "the guest agent refuses: there is no `x`");
    }

    #[test]
    fn an_agent_of_another_version_is_refused() {
        let (mut agent, _guest) = agent(&[ToHost::Beat { version: VERSION + 1 }.frame(7, 0)]);
        assert!(matches!(agent.wait_ready(LONG), Err(AgentError::WrongVersion { .. })));
    }

    #[test]
    fn beats_that_nobody_takes_do_not_stop_the_reader() {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        let (heard, hearing) = sync_channel(1000);
        let mut agent = Agent::new(ours, move || heard.send(()).expect("test waits")).expect("agent");
        for _ in 0..QUEUE * 3 {
            theirs.write_all(&beat(7).encode()).expect("written");
            hearing.recv_timeout(LONG).expect("heard at once");
        }
        agent.wait_ready(LONG).expect("it is there");
    }
}
