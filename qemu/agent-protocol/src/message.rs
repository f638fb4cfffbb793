//! What a frame says, in both directions.

use crate::frame::{Frame, PAYLOAD_LIMIT};
use crate::wire::{Reader, Writer};

/// The version of what is said; agent and host must agree.
pub const VERSION: u32 = 1;

/// The most arguments, bytes of them, and bytes of a path fit one frame with room to spare.
pub const WORDS_LIMIT: usize = PAYLOAD_LIMIT / 2;

/// What the host asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToGuest {
    /// Run a program as root with nothing on its standard input. Answered by [`ToHost::Output`]s and
    /// [`ToHost::Exited`].
    Exec {
        /// The program, found on the `PATH`, and its arguments.
        words: Vec<Vec<u8>>,
    },
    /// Kill the program that this request started.
    Kill,
    /// Begin to write a file, replacing what is there. Answered, like the next two, by nothing, or by
    /// [`ToHost::Failed`].
    Put {
        /// The absolute path.
        path: Vec<u8>,
        /// The permissions, such as `0o644`.
        mode: u32,
    },
    /// More bytes of the file.
    PutData(Vec<u8>),
    /// The file is complete; answered by [`ToHost::Done`].
    PutEnd,
    /// Send a file. Answered by [`ToHost::Data`]s and [`ToHost::Done`].
    Get {
        /// The absolute path.
        path: Vec<u8>,
    },
    /// Say how a service stands. Answered by one [`ToHost::Boot`].
    Boot {
        /// The service, mostly `boot`.
        service: Vec<u8>,
        /// Whether to answer only once it is started or has failed.
        wait: Wait,
    },
    /// End the guest through dinit. Answered by [`ToHost::Done`] once dinit can be asked, right before it
    /// is: from then on the agent may be stopped at any moment.
    Shutdown(Shutdown),
}

/// When to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Once it is decided.
    UntilDecided,
    /// At once.
    No,
}

/// How the guest is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Switched off.
    PowerOff,
    /// Started again.
    Reboot,
    /// Stopped, with the power on.
    Halt,
    /// dinit started again, by the same kernel.
    SoftReboot,
    /// Another kernel started, which has been loaded before.
    Kexec,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToHost {
    /// The agent is there and alive; sent once a second, with request 0.
    Beat {
        /// The agent's [`VERSION`].
        version: u32,
    },
    /// A program wrote something.
    Output {
        /// Where.
        stream: Stream,
        /// What.
        bytes: Vec<u8>,
    },
    /// A program ended, and all its output was sent.
    Exited(Status),
    /// A part of a file.
    Data(Vec<u8>),
    /// What was asked is done.
    Done,
    /// How a service stands.
    Boot(BootReport),
    /// What was asked cannot be done, and why.
    Failed {
        /// The reason, in lower case and without a full stop.
        reason: String,
    },
}

/// Which output of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Status {
    /// The one number that a shell would show: 128 and the signal for a killed program.
    pub fn code(self) -> i32 {
        match self {
            Status::Exited(code) => code,
            Status::Killed(signal) => 128 + signal,
        }
    }
}

/// How a service stands, and which others are not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootReport {
    /// How the service that was asked about stands.
    pub outcome: Outcome,
    /// Every service that is loaded and not started, with what is known of it.
    pub not_started: Vec<NotStarted>,
}

/// How a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is started.
    Started,
    /// It is stopped and nothing is under way: it failed, or one it needs did.
    Failed,
    /// It is on its way.
    Underway,
}

/// A service that is not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStarted {
    /// The name.
    pub name: String,
    /// The state, as `dinitctl` calls it: `STOPPED`, `STARTING` or `STOPPING`.
    pub state: String,
    /// Why, as far as dinit says: `dependency failed`, `exited with status 3`, or nothing.
    pub reason: String,
}

const EXEC: u8 = 1;
const KILL: u8 = 2;
const PUT: u8 = 3;
const PUT_DATA: u8 = 4;
const PUT_END: u8 = 5;
const GET: u8 = 6;
const BOOT: u8 = 7;
const SHUTDOWN: u8 = 8;
const BEAT: u8 = 129;
const OUTPUT: u8 = 130;
const EXITED: u8 = 131;
const DATA: u8 = 132;
const DONE: u8 = 133;
const BOOT_REPORT: u8 = 134;
const FAILED: u8 = 135;

impl ToGuest {
    /// Puts the message into a frame.
    pub fn frame(&self, session: u32, request: u32) -> Frame {
        let writer = Writer::default();
        let (kind, writer) = match self {
            ToGuest::Exec { words } => (EXEC, words.iter().fold(writer, |w, word| w.string(word))),
            ToGuest::Kill => (KILL, writer),
            ToGuest::Put { path, mode } => (PUT, writer.number(*mode).rest(path)),
            ToGuest::PutData(bytes) => (PUT_DATA, writer.rest(bytes)),
            ToGuest::PutEnd => (PUT_END, writer),
            ToGuest::Get { path } => (GET, writer.rest(path)),
            ToGuest::Boot { service, wait } => {
                (BOOT, writer.number(u32::from(*wait == Wait::UntilDecided)).rest(service))
            }
            ToGuest::Shutdown(how) => (SHUTDOWN, writer.number(*how as u32)),
        };
        Frame { session, request, kind, payload: writer.bytes }
    }

    /// Reads a frame; `None` for one that no host of this version sends.
    pub fn read(frame: &Frame) -> Option<ToGuest> {
        let mut reader = Reader { bytes: &frame.payload };
        let message = match frame.kind {
            EXEC => {
                let mut words = Vec::new();
                while !reader.is_empty() {
                    words.push(reader.string()?);
                }
                ToGuest::Exec { words }
            }
            KILL => ToGuest::Kill,
            PUT => ToGuest::Put { mode: reader.number()?, path: reader.rest() },
            PUT_DATA => ToGuest::PutData(reader.rest()),
            PUT_END => ToGuest::PutEnd,
            GET => ToGuest::Get { path: reader.rest() },
            BOOT => {
                let wait = if reader.number()? == 0 { Wait::No } else { Wait::UntilDecided };
                ToGuest::Boot { wait, service: reader.rest() }
            }
            SHUTDOWN => ToGuest::Shutdown(match reader.number()? {
                0 => Shutdown::PowerOff,
                1 => Shutdown::Reboot,
                2 => Shutdown::Halt,
                3 => Shutdown::SoftReboot,
                4 => Shutdown::Kexec,
                _ => return None,
            }),
            _ => return None,
        };
        reader.is_empty().then_some(message)
    }
}

impl ToHost {
    /// Puts the message into a frame.
    pub fn frame(&self, session: u32, request: u32) -> Frame {
        let writer = Writer::default();
        let (kind, writer) = match self {
            ToHost::Beat { version } => (BEAT, writer.number(*version)),
            ToHost::Output { stream, bytes } => (OUTPUT, writer.number(*stream as u32).rest(bytes)),
            ToHost::Exited(Status::Exited(code)) => (EXITED, writer.number(0).number(code.cast_unsigned())),
            ToHost::Exited(Status::Killed(signal)) => {
                (EXITED, writer.number(1).number(signal.cast_unsigned()))
            }
            ToHost::Data(bytes) => (DATA, writer.rest(bytes)),
            ToHost::Done => (DONE, writer),
            ToHost::Boot(report) => (BOOT_REPORT, write_report(writer, report)),
            ToHost::Failed { reason } => (FAILED, writer.rest(reason.as_bytes())),
        };
        Frame { session, request, kind, payload: writer.bytes }
    }

    /// Reads a frame; `None` for one that no agent of this version sends.
    pub fn read(frame: &Frame) -> Option<ToHost> {
        let mut reader = Reader { bytes: &frame.payload };
        let message = match frame.kind {
            BEAT => ToHost::Beat { version: reader.number()? },
            OUTPUT => {
                let stream = if reader.number()? == 0 { Stream::Out } else { Stream::Error };
                ToHost::Output { stream, bytes: reader.rest() }
            }
            EXITED => {
                let by_signal = reader.number()? != 0;
                let number = reader.number()?.cast_signed();
                ToHost::Exited(if by_signal { Status::Killed(number) } else { Status::Exited(number) })
            }
            DATA => ToHost::Data(reader.rest()),
            DONE => ToHost::Done,
            BOOT_REPORT => ToHost::Boot(read_report(&mut reader)?),
            FAILED => ToHost::Failed { reason: String::from_utf8(reader.rest()).ok()? },
            _ => return None,
        };
        reader.is_empty().then_some(message)
    }
}

/// Writes as many services as fit a frame; a guest with more in trouble has made its point.
fn write_report(writer: Writer, report: &BootReport) -> Writer {
    let mut writer = writer.number(report.outcome as u32);
    for service in &report.not_started {
        let next = Writer::default()
            .string(service.name.as_bytes())
            .string(service.state.as_bytes())
            .string(service.reason.as_bytes());
        if writer.bytes.len() + next.bytes.len() > PAYLOAD_LIMIT {
            break;
        }
        writer = writer.rest(&next.bytes);
    }
    writer
}

fn read_report(reader: &mut Reader<'_>) -> Option<BootReport> {
    let outcome = match reader.number()? {
        0 => Outcome::Started,
        1 => Outcome::Failed,
        2 => Outcome::Underway,
        _ => return None,
    };
    let mut not_started = Vec::new();
    while !reader.is_empty() {
        not_started.push(NotStarted { name: reader.text()?, state: reader.text()?, reason: reader.text()? });
    }
    Some(BootReport { outcome, not_started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_asks_reads_back_the_same() {
        let messages = [
            ToGuest::Exec { words: vec![b"sh".to_vec(), b"-c".to_vec(), b"".to_vec(), b"\xff".to_vec()] },
            ToGuest::Kill,
            ToGuest::Put { path: b"/a".to_vec(), mode: 0o755 },
            ToGuest::PutData(vec![0; 100]),
            ToGuest::PutEnd,
            ToGuest::Get { path: b"/etc/passwd".to_vec() },
            ToGuest::Boot { service: b"boot".to_vec(), wait: Wait::UntilDecided },
            ToGuest::Boot { service: b"boot".to_vec(), wait: Wait::No },
            ToGuest::Shutdown(Shutdown::PowerOff),
            ToGuest::Shutdown(Shutdown::Reboot),
            ToGuest::Shutdown(Shutdown::Halt),
            ToGuest::Shutdown(Shutdown::SoftReboot),
            ToGuest::Shutdown(Shutdown::Kexec),
        ];
        for message in messages {
            let frame = message.frame(3, 4);
            assert_eq!((frame.session, frame.request), (3, 4));
            assert_eq!(ToGuest::read(&frame), Some(message));
        }
    }

    #[test]
    fn what_the_agent_answers_reads_back_the_same() {
        let trouble =
            NotStarted { name: "x".into(), state: "STOPPED".into(), reason: "dependency failed".into() };
        let report = |outcome| BootReport { outcome, not_started: vec![trouble.clone(), trouble.clone()] };
        let messages = [
            ToHost::Beat { version: VERSION },
            ToHost::Output { stream: Stream::Out, bytes: b"o".to_vec() },
            ToHost::Output { stream: Stream::Error, bytes: b"".to_vec() },
            ToHost::Exited(Status::Exited(-1)),
            ToHost::Exited(Status::Killed(9)),
            ToHost::Data(b"d".to_vec()),
            ToHost::Done,
            ToHost::Boot(report(Outcome::Started)),
            ToHost::Boot(report(Outcome::Failed)),
            ToHost::Boot(report(Outcome::Underway)),
            ToHost::Failed { reason: "no".into() },
        ];
        for message in messages {
            assert_eq!(ToHost::read(&message.frame(0, 1)), Some(message));
        }
    }

    #[test]
    fn a_payload_that_is_too_short_or_too_long_is_no_message() {
        let frame = |kind, payload: &[u8]| Frame { session: 0, request: 0, kind, payload: payload.to_vec() };
        assert_eq!(ToGuest::read(&frame(EXEC, b"\x09\0\0\0x")), None);
        assert_eq!(ToGuest::read(&frame(KILL, b"x")), None);
        assert_eq!(ToGuest::read(&frame(SHUTDOWN, b"\x07\0\0\0")), None);
        assert_eq!(ToHost::read(&frame(BEAT, b"\0")), None);
        assert_eq!(ToHost::read(&frame(200, b"")), None);
    }

    #[test]
    fn a_report_of_very_many_services_still_fits_a_frame() {
        let service = NotStarted { name: "n".repeat(200), state: "STOPPED".into(), reason: String::new() };
        let report = BootReport { outcome: Outcome::Failed, not_started: vec![service; 1000] };
        let frame = ToHost::Boot(report).frame(0, 1);
        assert!(frame.payload.len() <= PAYLOAD_LIMIT);
        assert!(ToHost::read(&frame).is_some());
    }
}
