//! What a daemon answers.

use alloc::vec::Vec;
use core::fmt;

use crate::cursor::{Cursor, Stop, put_text_u16, put_text_u32, put_u16, put_u32, put_word};
use crate::info::{FIRST_INFO, take_info};
use crate::status::{decode_state, decode_target};
use crate::{Decoded, Handle, Info, ListLayout, ServiceState, Status, StatusLayout, TargetState, Version};

/// The most bytes that a client believes one reply to have.
pub const MAX_REPLY: usize = 256 << 20;

/// The mechanism of a daemon that loads descriptions from directories, the only one there is.
pub const DIRECTORY_LOADER: u8 = 1;

/// The most bytes of a name in a list; longer ones are cut.
const MAX_LISTED_NAME: usize = 255;

/// A reply, from a daemon to a client: one to each request, but for lists and `PreAck`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, or under way.
    Ack,
    /// Refused.
    Nak,
    /// That was no request; the connection ends.
    BadRequest,
    /// There was no memory for it; the connection ends.
    OutOfMemory,
    /// Not sent by any daemon that is still about.
    OldLoadError,
    /// Not sent by any daemon that is still about.
    OldOutOfMemory,
    /// The versions the daemon talks.
    Version {
        /// The oldest that a client may want.
        minimum: Version,
        /// The newest.
        current: Version,
    },
    /// A service, by its new handle.
    ServiceRecord {
        /// The state it is in.
        state: ServiceState,
        /// What it is called from now on.
        handle: Handle,
        /// The state it is heading for.
        target: TargetState,
    },
    /// There is no such service.
    NoService,
    /// The service is in the wanted state.
    AlreadyThere,
    /// One service of a list.
    ServiceInfo {
        /// The layout of the status.
        layout: ListLayout,
        /// Its status.
        status: Status,
        /// Its name; sent cut to 255 bytes.
        name: Vec<u8>,
    },
    /// The list is complete.
    ListDone,
    /// Where descriptions are searched for.
    Loader(LoaderInfo),
    /// These services are in the way; the handles are new ones.
    Dependents(Vec<Handle>),
    /// The name of a service.
    ServiceName(Vec<u8>),
    /// The service is pinned stopped.
    PinnedStopped,
    /// The service, or one that needs it, is pinned started.
    PinnedStarted,
    /// The daemon is shutting down.
    ShuttingDown,
    /// The status of a service.
    Status {
        /// The layout of the status.
        layout: StatusLayout,
        /// Whether a dependency that was to be enabled existed before.
        existed: bool,
        /// The status.
        status: Status,
    },
    /// The description of the service itself is wrong.
    DescriptionError,
    /// The service could not be loaded for another reason.
    LoadError,
    /// The buffered output of a service.
    Log(Vec<u8>),
    /// The service has no process.
    NoProcess,
    /// There is no such signal.
    BadSignal,
    /// The signal could not be sent.
    KillFailed,
    /// The directory in which a description was found.
    Directory(Vec<u8>),
    /// The environment: each variable as `NAME=VALUE` followed by a NUL.
    Environment(Vec<u8>),
    /// The command is about to be carried out; the reply proper follows.
    PreAck,
}

/// Where descriptions are searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderInfo {
    /// How they are loaded: [`DIRECTORY_LOADER`].
    pub mechanism: u8,
    /// The directory that the daemon runs in; empty if unknown.
    pub working_directory: Vec<u8>,
    /// The directories, in the order in which they are searched; relative ones start from the working directory.
    pub directories: Vec<Vec<u8>>,
}

/// What comes from a daemon: an answer, or news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyPacket {
    /// The answer to the oldest request that has none.
    Reply(Reply),
    /// News that nobody asked for just now.
    Info(Info),
}

/// Why bytes are nothing that a daemon sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// No reply has this number.
    UnknownCode(u8),
    /// A field has a value without a meaning.
    UnknownValue {
        /// The field.
        field: &'static str,
        /// What stood in it.
        value: u8,
    },
    /// A length is beyond [`MAX_REPLY`].
    TooLarge,
    /// The lengths in the packet contradict each other.
    Inconsistent,
}

impl fmt::Display for PacketError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCode(code) => write!(out, "there is no reply with the number {code}"),
            Self::UnknownValue { field, value } => write!(out, "{value} is no {field}"),
            Self::TooLarge => write!(out, "a reply claims to have more than {MAX_REPLY} bytes"),
            Self::Inconsistent => write!(out, "the lengths in a reply contradict each other"),
        }
    }
}

impl core::error::Error for PacketError {}

/// The numbers of the replies.
mod code {
    pub(super) const ACK: u8 = 50;
    pub(super) const NAK: u8 = 51;
    pub(super) const BAD_REQUEST: u8 = 52;
    pub(super) const OUT_OF_MEMORY: u8 = 53;
    pub(super) const OLD_LOAD_ERROR: u8 = 54;
    pub(super) const OLD_OUT_OF_MEMORY: u8 = 55;
    pub(super) const VERSION: u8 = 58;
    pub(super) const SERVICE_RECORD: u8 = 59;
    pub(super) const NO_SERVICE: u8 = 60;
    pub(super) const ALREADY_THERE: u8 = 61;
    pub(super) const SERVICE_INFO: u8 = 62;
    pub(super) const LIST_DONE: u8 = 63;
    pub(super) const LOADER: u8 = 64;
    pub(super) const DEPENDENTS: u8 = 65;
    pub(super) const SERVICE_NAME: u8 = 66;
    pub(super) const PINNED_STOPPED: u8 = 67;
    pub(super) const PINNED_STARTED: u8 = 68;
    pub(super) const SHUTTING_DOWN: u8 = 69;
    pub(super) const STATUS: u8 = 70;
    pub(super) const DESCRIPTION_ERROR: u8 = 71;
    pub(super) const LOAD_ERROR: u8 = 72;
    pub(super) const LOG: u8 = 73;
    pub(super) const NO_PROCESS: u8 = 74;
    pub(super) const BAD_SIGNAL: u8 = 75;
    pub(super) const KILL_FAILED: u8 = 76;
    pub(super) const DIRECTORY: u8 = 77;
    pub(super) const ENVIRONMENT: u8 = 78;
    pub(super) const PRE_ACK: u8 = 79;
}

impl Reply {
    /// Appends the bytes of this reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ack => out.push(code::ACK),
            Self::Nak => out.push(code::NAK),
            Self::BadRequest => out.push(code::BAD_REQUEST),
            Self::OutOfMemory => out.push(code::OUT_OF_MEMORY),
            Self::OldLoadError => out.push(code::OLD_LOAD_ERROR),
            Self::OldOutOfMemory => out.push(code::OLD_OUT_OF_MEMORY),
            Self::Version { minimum, current } => {
                out.push(code::VERSION);
                put_u16(out, minimum.0);
                put_u16(out, current.0);
            }
            Self::ServiceRecord { state, handle, target } => {
                out.extend_from_slice(&[code::SERVICE_RECORD, state.number()]);
                put_u32(out, handle.0);
                out.push(target.number());
            }
            Self::NoService => out.push(code::NO_SERVICE),
            Self::AlreadyThere => out.push(code::ALREADY_THERE),
            Self::ServiceInfo { layout, status, name } => {
                let name = name.get(..MAX_LISTED_NAME).unwrap_or(name);
                out.extend_from_slice(&[code::SERVICE_INFO, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
                status.encode((*layout).into(), out);
                out.extend_from_slice(name);
            }
            Self::ListDone => out.push(code::LIST_DONE),
            Self::Loader(loader) => put_loader(out, loader),
            Self::Dependents(handles) => {
                out.push(code::DEPENDENTS);
                put_word(out, handles.len());
                for handle in handles {
                    put_u32(out, handle.0);
                }
            }
            Self::ServiceName(name) => {
                out.extend_from_slice(&[code::SERVICE_NAME, 0]);
                put_text_u16(out, name);
            }
            Self::PinnedStopped => out.push(code::PINNED_STOPPED),
            Self::PinnedStarted => out.push(code::PINNED_STARTED),
            Self::ShuttingDown => out.push(code::SHUTTING_DOWN),
            Self::Status { layout, existed, status } => {
                out.extend_from_slice(&[code::STATUS, u8::from(*existed)]);
                status.encode(*layout, out);
            }
            Self::DescriptionError => out.push(code::DESCRIPTION_ERROR),
            Self::LoadError => out.push(code::LOAD_ERROR),
            Self::Log(text) => {
                out.extend_from_slice(&[code::LOG, 0]);
                put_text_u32(out, text);
            }
            Self::NoProcess => out.push(code::NO_PROCESS),
            Self::BadSignal => out.push(code::BAD_SIGNAL),
            Self::KillFailed => out.push(code::KILL_FAILED),
            Self::Directory(path) => {
                out.push(code::DIRECTORY);
                put_text_u32(out, path);
            }
            Self::Environment(variables) => {
                out.push(code::ENVIRONMENT);
                put_word(out, variables.len());
                out.extend_from_slice(variables);
            }
            Self::PreAck => out.push(code::PRE_ACK),
        }
    }
}

/// What a loader packet has before the working directory.
const LOADER_HEADER: usize = 14;

fn put_loader(out: &mut Vec<u8>, loader: &LoaderInfo) {
    let size =
        loader.directories.iter().fold(LOADER_HEADER + loader.working_directory.len(), |size, path| {
            size.saturating_add(4).saturating_add(path.len())
        });
    out.extend_from_slice(&[code::LOADER, loader.mechanism]);
    put_u32(out, u32::try_from(size).unwrap_or(u32::MAX));
    put_u32(out, u32::try_from(loader.directories.len()).unwrap_or(u32::MAX));
    put_text_u32(out, &loader.working_directory);
    for path in &loader.directories {
        put_text_u32(out, path);
    }
}

type Taken<T> = Result<T, Stop<PacketError>>;

/// Reads the packet at the beginning of what a daemon has sent.
///
/// `layout` is what the oldest unanswered request expects, [`Request::status_layout`](crate::Request::status_layout);
/// it matters only for packets with a status in them, whose length does not tell their layout.
///
/// # Errors
/// The bytes are no packet, whatever may follow: the connection is of no more use.
pub fn decode_packet(buffer: &[u8], layout: StatusLayout) -> Result<Decoded<ReplyPacket>, PacketError> {
    let mut cursor = Cursor::new(buffer);
    let packet = match buffer.first() {
        Some(code) if *code >= FIRST_INFO => take_info(&mut cursor).map(ReplyPacket::Info),
        _ => take_reply(&mut cursor, layout).map(ReplyPacket::Reply),
    };
    cursor.finish(packet)
}

/// Reads the reply at the beginning of some bytes; as [`decode_packet`], but an information packet is an error.
///
/// # Errors
/// The bytes are no reply, whatever may follow.
pub fn decode_reply(buffer: &[u8], layout: StatusLayout) -> Result<Decoded<Reply>, PacketError> {
    let mut cursor = Cursor::new(buffer);
    let reply = take_reply(&mut cursor, layout);
    cursor.finish(reply)
}

fn take_reply(cursor: &mut Cursor<'_>, layout: StatusLayout) -> Taken<Reply> {
    Ok(match cursor.u8()? {
        code::ACK => Reply::Ack,
        code::NAK => Reply::Nak,
        code::BAD_REQUEST => Reply::BadRequest,
        code::OUT_OF_MEMORY => Reply::OutOfMemory,
        code::OLD_LOAD_ERROR => Reply::OldLoadError,
        code::OLD_OUT_OF_MEMORY => Reply::OldOutOfMemory,
        code::VERSION => {
            cursor.require(5)?;
            Reply::Version { minimum: Version(cursor.u16()?), current: Version(cursor.u16()?) }
        }
        code::SERVICE_RECORD => {
            cursor.require(7)?;
            let state = decode_state(cursor.u8()?)?;
            let handle = Handle(cursor.u32()?);
            Reply::ServiceRecord { state, handle, target: decode_target(cursor.u8()?)? }
        }
        code::NO_SERVICE => Reply::NoService,
        code::ALREADY_THERE => Reply::AlreadyThere,
        code::SERVICE_INFO => take_service_info(cursor, layout)?,
        code::LIST_DONE => Reply::ListDone,
        code::LOADER => Reply::Loader(take_loader(cursor)?),
        code::DEPENDENTS => Reply::Dependents(take_dependents(cursor)?),
        code::SERVICE_NAME => {
            cursor.require(4)?;
            cursor.u8()?;
            let length = cursor.u16()?;
            Reply::ServiceName(cursor.take(usize::from(length))?.to_vec())
        }
        code::PINNED_STOPPED => Reply::PinnedStopped,
        code::PINNED_STARTED => Reply::PinnedStarted,
        code::SHUTTING_DOWN => Reply::ShuttingDown,
        code::STATUS => {
            cursor.require(2 + layout.size())?;
            let existed = cursor.u8()? != 0;
            Reply::Status { layout, existed, status: Status::decode(cursor, layout)? }
        }
        code::DESCRIPTION_ERROR => Reply::DescriptionError,
        code::LOAD_ERROR => Reply::LoadError,
        code::LOG => {
            cursor.require(6)?;
            cursor.u8()?;
            let length = cursor.u32()?;
            Reply::Log(take_long(cursor, length as usize)?)
        }
        code::NO_PROCESS => Reply::NoProcess,
        code::BAD_SIGNAL => Reply::BadSignal,
        code::KILL_FAILED => Reply::KillFailed,
        code::DIRECTORY => {
            let length = cursor.u32()?;
            Reply::Directory(take_long(cursor, length as usize)?)
        }
        code::ENVIRONMENT => {
            let length = cursor.word()?;
            Reply::Environment(take_long(cursor, length)?)
        }
        code::PRE_ACK => Reply::PreAck,
        other => return Err(Stop::Wrong(PacketError::UnknownCode(other))),
    })
}

fn take_service_info(cursor: &mut Cursor<'_>, layout: StatusLayout) -> Taken<Reply> {
    let layout = match layout {
        StatusLayout::V1 => ListLayout::V1,
        StatusLayout::V5 | StatusLayout::V6 => ListLayout::V5,
    };
    cursor.require(2 + StatusLayout::from(layout).size())?;
    let length = cursor.u8()?;
    let status = Status::decode(cursor, layout.into())?;
    let name = cursor.take(usize::from(length))?.to_vec();
    Ok(Reply::ServiceInfo { layout, status, name })
}

fn take_loader(cursor: &mut Cursor<'_>) -> Taken<LoaderInfo> {
    cursor.require(LOADER_HEADER)?;
    let mechanism = cursor.u8()?;
    let size = cursor.u32()? as usize;
    if size < LOADER_HEADER {
        return Err(Stop::Wrong(PacketError::Inconsistent));
    }
    let body = take_long(cursor, size - 6)?;
    // From here on everything has arrived: what is short is wrong.
    let mut body = Cursor::new(&body);
    let mut take = || -> Result<LoaderInfo, Stop<()>> {
        let count = body.u32()?;
        let length = body.u32()?;
        let working_directory = body.take(length as usize)?.to_vec();
        let mut directories = Vec::new();
        for _ in 0..count {
            let length = body.u32()?;
            directories.push(body.take(length as usize)?.to_vec());
        }
        Ok(LoaderInfo { mechanism, working_directory, directories })
    };
    take().map_err(|_| Stop::Wrong(PacketError::Inconsistent))
}

fn take_dependents(cursor: &mut Cursor<'_>) -> Taken<Vec<Handle>> {
    let count = cursor.word()?;
    let size = count.checked_mul(4).filter(|size| *size <= MAX_REPLY);
    let handles = take_long(cursor, size.ok_or(Stop::Wrong(PacketError::TooLarge))?)?;
    let mut handles = Cursor::new(&handles);
    let mut dependents = Vec::new();
    for _ in 0..count {
        dependents.push(Handle(handles.u32()?));
    }
    Ok(dependents)
}

/// Takes bytes whose number was sent, unless that number is absurd.
fn take_long(cursor: &mut Cursor<'_>, length: usize) -> Taken<Vec<u8>> {
    if length > MAX_REPLY {
        return Err(Stop::Wrong(PacketError::TooLarge));
    }
    Ok(cursor.take(length)?.to_vec())
}
