//! What clients ask.

use alloc::vec::Vec;
use core::fmt;

use crate::cursor::{Cursor, Stop, put_i32, put_text_u16, put_u32};
use crate::{
    Decoded, DependencyKind, EnvironmentChange, Handle, InvalidEnvironment, InvalidName, ListLayout,
    MAX_TEXT, ServiceName, ShutdownKind, StatusLayout, Version,
};

/// A request, from a client to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks for the versions the daemon talks. Answer: `Version`.
    QueryVersion,
    /// Asks for a handle of a service that is loaded. Answer: `ServiceRecord`, `NoService`.
    FindService {
        /// The service.
        name: ServiceName,
    },
    /// Asks for a handle of a service, loading it if need be. Answer: `ServiceRecord`, `NoService`,
    /// `DescriptionError`, `LoadError`.
    LoadService {
        /// The service.
        name: ServiceName,
    },
    /// Activates a service. Answer: perhaps `PreAck`, then `Ack`, `AlreadyThere`, `PinnedStopped`,
    /// `ShuttingDown`.
    Start {
        /// The service.
        service: Handle,
        /// `pin`, `pre_ack`.
        flags: CommandFlags,
    },
    /// Stops a service, its dependents too unless `gentle`. Answer: perhaps `PreAck`, then `Ack`,
    /// `AlreadyThere`, `PinnedStarted`, `Dependents`, `Nak`, `ShuttingDown`.
    Stop {
        /// The service.
        service: Handle,
        /// Any.
        flags: CommandFlags,
    },
    /// Starts a service for dependents that run already. Answer: as `Start`, and `Nak`.
    Wake {
        /// The service.
        service: Handle,
        /// `pin`, `pre_ack`.
        flags: CommandFlags,
    },
    /// Takes back an activation. Answer: perhaps `PreAck`, then `Ack`, `AlreadyThere`.
    Release {
        /// The service.
        service: Handle,
        /// `pin`, `pre_ack`.
        flags: CommandFlags,
    },
    /// Removes both pins. Answer: `Ack`.
    Unpin {
        /// The service.
        service: Handle,
    },
    /// Asks for all loaded services. Answer: any number of `ServiceInfo`, then `ListDone`.
    List {
        /// How much is said of each; `V5` since version 5.
        layout: ListLayout,
    },
    /// Unloads a stopped service. Answer: `Ack`, `Nak`.
    Unload {
        /// The service.
        service: Handle,
    },
    /// Stops everything, and then does as told. Answer: `Ack`.
    Shutdown {
        /// What to do once all is stopped.
        kind: ShutdownKind,
    },
    /// Adds a dependency. Answer: `Ack`, `Nak`.
    AddDependency(DependencyRequest),
    /// Removes a dependency. Answer: `Ack`, `Nak`.
    RemoveDependency(DependencyRequest),
    /// Asks where descriptions are searched for. Answer: `Loader`, `Nak`.
    QueryLoader,
    /// Adds a dependency and starts it if the dependent runs. Answer: `Ack`, `Nak`.
    Enable(DependencyRequest),
    /// Asks for the name of a service. Answer: `ServiceName`, `Nak`.
    QueryName {
        /// The service.
        service: Handle,
    },
    /// Reads the description again. Answer: `Ack`, `Nak`.
    Reload {
        /// The service.
        service: Handle,
    },
    /// Changes the environment that services are started with. Answer: `Ack`.
    SetEnvironment(EnvironmentChange),
    /// Asks for the status of a service. Answer: `Status`, `Nak`.
    QueryStatus {
        /// The service.
        service: Handle,
        /// How much is asked for: `V5` since version 5, `V6` since version 6.
        layout: StatusLayout,
    },
    /// Sets or clears the trigger of a triggered service. Answer: `Ack`, `Nak`. Since version 2.
    SetTrigger {
        /// The service.
        service: Handle,
        /// Whether it is set.
        set: bool,
    },
    /// Asks for the buffered output of a service. Answer: `Log`, `Nak`. Since version 2.
    QueryLog {
        /// The service.
        service: Handle,
        /// Whether the buffer is emptied afterwards.
        clear: bool,
    },
    /// Sends a signal to the process of a service. Answer: `Ack`, `Nak`, `NoProcess`, `BadSignal`,
    /// `KillFailed`. Since version 2.
    Signal {
        /// The service.
        service: Handle,
        /// The signal; 0 only tests whether there is a process.
        signal: i32,
    },
    /// Asks for the directory in which the description was found. Answer: `Directory`, `Nak`. Since version 3.
    QueryDirectory {
        /// The service.
        service: Handle,
        /// A byte that must be 0; any other is answered `Nak`.
        reserved: u8,
    },
    /// Gives a handle back. Answer: `Ack`. Since version 4.
    CloseHandle {
        /// The service.
        service: Handle,
    },
    /// Asks for the environment that services are started with. Answer: `Environment`. Since version 4.
    QueryEnvironment,
    /// Asks to be told of every change to that environment. Answer: `Ack`. Since version 5.
    ListenEnvironment,
    /// As `Enable`, but tells what came of it. Answer: `Status` with the V6 layout, `Nak`. Since version 7.
    EnableReportingStatus(DependencyRequest),
}

/// The dependency that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyRequest {
    /// Its kind.
    pub kind: DependencyKind,
    /// The dependent.
    pub from: Handle,
    /// What it depends on.
    pub to: Handle,
}

/// The flags of a request that starts or stops; those that a request has no use for are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CommandFlags(pub u8);

impl CommandFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Also pin the service in its new state.
    pub const PIN: Self = Self(0x01);
    /// Stop only if no running service needs this one.
    pub const GENTLE: Self = Self(0x02);
    /// Start again after the stop.
    pub const RESTART: Self = Self(0x04);
    /// Send `PreAck` before anything is done.
    pub const PRE_ACK: Self = Self(0x80);

    /// Gives these flags and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Gives these flags, and those if the condition holds.
    #[must_use]
    pub const fn with_if(self, condition: bool, other: Self) -> Self {
        if condition { self.with(other) } else { self }
    }

    /// Says whether all of those flags are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why bytes are no request. A daemon answers `BadRequest` and closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// No request of the daemon's version has this number.
    UnknownCode(u8),
    /// The name has no bytes or too many, or cannot be a name.
    Name(InvalidName),
    /// The environment text has no bytes or too many, or no name.
    Environment(InvalidEnvironment),
    /// There is no such kind of shutdown, or a client may not ask for it.
    ShutdownKind(u8),
    /// There is no such kind of dependency, or a client may not ask for it.
    DependencyKind(u8),
    /// A byte that must be 0 was not.
    Reserved(u8),
}

impl fmt::Display for RequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCode(code) => write!(out, "there is no request with the number {code}"),
            Self::Name(_) => write!(out, "the request names no service"),
            Self::Environment(_) => write!(out, "the request names no environment variable"),
            Self::ShutdownKind(kind) => write!(out, "a shutdown of kind {kind} cannot be asked for"),
            Self::DependencyKind(kind) => write!(out, "a dependency of kind {kind} cannot be asked for"),
            Self::Reserved(value) => write!(out, "a byte that must be 0 is {value}"),
        }
    }
}

impl core::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Name(cause) => Some(cause),
            Self::Environment(cause) => Some(cause),
            _ => None,
        }
    }
}

/// The numbers of the requests.
mod code {
    pub(super) const QUERY_VERSION: u8 = 0;
    pub(super) const FIND_SERVICE: u8 = 1;
    pub(super) const LOAD_SERVICE: u8 = 2;
    pub(super) const START: u8 = 3;
    pub(super) const STOP: u8 = 4;
    pub(super) const WAKE: u8 = 5;
    pub(super) const RELEASE: u8 = 6;
    pub(super) const UNPIN: u8 = 7;
    pub(super) const LIST: u8 = 8;
    pub(super) const UNLOAD: u8 = 9;
    pub(super) const SHUTDOWN: u8 = 10;
    pub(super) const ADD_DEPENDENCY: u8 = 11;
    pub(super) const REMOVE_DEPENDENCY: u8 = 12;
    pub(super) const QUERY_LOADER: u8 = 13;
    pub(super) const ENABLE: u8 = 14;
    pub(super) const QUERY_NAME: u8 = 15;
    pub(super) const RELOAD: u8 = 16;
    pub(super) const SET_ENVIRONMENT: u8 = 17;
    pub(super) const STATUS: u8 = 18;
    pub(super) const SET_TRIGGER: u8 = 19;
    pub(super) const QUERY_LOG: u8 = 20;
    pub(super) const SIGNAL: u8 = 21;
    pub(super) const QUERY_DIRECTORY: u8 = 22;
    pub(super) const CLOSE_HANDLE: u8 = 23;
    pub(super) const QUERY_ENVIRONMENT: u8 = 24;
    pub(super) const LIST_5: u8 = 25;
    pub(super) const STATUS_5: u8 = 26;
    pub(super) const LISTEN_ENVIRONMENT: u8 = 27;
    pub(super) const STATUS_6: u8 = 28;
    pub(super) const ENABLE_7: u8 = 29;

    /// The newest request of each version, from version 1 on.
    pub(super) const NEWEST: [u8; 7] = [18, 21, 22, 24, 27, 28, 29];
}

impl Request {
    /// Gives the layout that a status in the answer to this request comes in; [`decode_packet`](crate::decode_packet)
    /// wants to know it.
    pub fn status_layout(&self) -> StatusLayout {
        match self {
            Self::List { layout } => (*layout).into(),
            Self::QueryStatus { layout, .. } => *layout,
            _ => StatusLayout::V6,
        }
    }

    /// Appends the bytes of this request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::QueryVersion => out.push(code::QUERY_VERSION),
            Self::FindService { name } => put_name(out, code::FIND_SERVICE, name),
            Self::LoadService { name } => put_name(out, code::LOAD_SERVICE, name),
            Self::Start { service, flags } => put_command(out, code::START, *flags, *service),
            Self::Stop { service, flags } => put_command(out, code::STOP, *flags, *service),
            Self::Wake { service, flags } => put_command(out, code::WAKE, *flags, *service),
            Self::Release { service, flags } => put_command(out, code::RELEASE, *flags, *service),
            Self::Unpin { service } => put_handle(out, code::UNPIN, *service),
            Self::List { layout: ListLayout::V1 } => out.push(code::LIST),
            Self::List { layout: ListLayout::V5 } => out.push(code::LIST_5),
            Self::Unload { service } => put_handle(out, code::UNLOAD, *service),
            Self::Shutdown { kind } => out.extend_from_slice(&[code::SHUTDOWN, kind.number()]),
            Self::AddDependency(dependency) => put_dependency(out, code::ADD_DEPENDENCY, dependency),
            Self::RemoveDependency(dependency) => put_dependency(out, code::REMOVE_DEPENDENCY, dependency),
            Self::QueryLoader => out.push(code::QUERY_LOADER),
            Self::Enable(dependency) => put_dependency(out, code::ENABLE, dependency),
            Self::QueryName { service } => put_command(out, code::QUERY_NAME, CommandFlags::NONE, *service),
            Self::Reload { service } => put_handle(out, code::RELOAD, *service),
            Self::SetEnvironment(change) => {
                out.push(code::SET_ENVIRONMENT);
                put_text_u16(out, change.as_bytes());
            }
            Self::QueryStatus { service, layout } => {
                let code = match layout {
                    StatusLayout::V1 => code::STATUS,
                    StatusLayout::V5 => code::STATUS_5,
                    StatusLayout::V6 => code::STATUS_6,
                };
                put_handle(out, code, *service);
            }
            Self::SetTrigger { service, set } => {
                put_handle(out, code::SET_TRIGGER, *service);
                out.push(u8::from(*set));
            }
            Self::QueryLog { service, clear } => {
                put_command(out, code::QUERY_LOG, CommandFlags(u8::from(*clear)), *service);
            }
            Self::Signal { service, signal } => {
                out.push(code::SIGNAL);
                put_i32(out, *signal);
                put_u32(out, service.0);
            }
            Self::QueryDirectory { service, reserved } => {
                put_command(out, code::QUERY_DIRECTORY, CommandFlags(*reserved), *service);
            }
            Self::CloseHandle { service } => put_handle(out, code::CLOSE_HANDLE, *service),
            Self::QueryEnvironment => out.extend_from_slice(&[code::QUERY_ENVIRONMENT, 0]),
            Self::ListenEnvironment => out.push(code::LISTEN_ENVIRONMENT),
            Self::EnableReportingStatus(dependency) => put_dependency(out, code::ENABLE_7, dependency),
        }
    }
}

fn put_name(out: &mut Vec<u8>, code: u8, name: &ServiceName) {
    out.push(code);
    put_text_u16(out, name.as_bytes());
}

fn put_handle(out: &mut Vec<u8>, code: u8, service: Handle) {
    out.push(code);
    put_u32(out, service.0);
}

fn put_command(out: &mut Vec<u8>, code: u8, flags: CommandFlags, service: Handle) {
    out.extend_from_slice(&[code, flags.0]);
    put_u32(out, service.0);
}

fn put_dependency(out: &mut Vec<u8>, code: u8, dependency: &DependencyRequest) {
    out.extend_from_slice(&[code, dependency.kind.number()]);
    put_u32(out, dependency.from.0);
    put_u32(out, dependency.to.0);
}

type Taken<T> = Result<T, Stop<RequestError>>;

/// Reads the request at the beginning of some bytes, as a daemon of the given version does.
///
/// No request has more than [`REQUEST_BUFFER`](crate::REQUEST_BUFFER) bytes. The length of a name is looked at
/// once four bytes have arrived.
///
/// # Errors
/// The bytes are no request, whatever may follow.
pub fn decode_request(buffer: &[u8], version: Version) -> Result<Decoded<Request>, RequestError> {
    let mut cursor = Cursor::new(buffer);
    let request = take_request(&mut cursor, version);
    cursor.finish(request)
}

fn take_request(cursor: &mut Cursor<'_>, version: Version) -> Taken<Request> {
    let number = cursor.u8()?;
    let row = usize::from(version.0).saturating_sub(1).min(code::NEWEST.len() - 1);
    if code::NEWEST.get(row).is_none_or(|newest| number > *newest) {
        return Err(Stop::Wrong(RequestError::UnknownCode(number)));
    }
    Ok(match number {
        code::QUERY_VERSION => Request::QueryVersion,
        code::FIND_SERVICE => Request::FindService { name: take_name(cursor)? },
        code::LOAD_SERVICE => Request::LoadService { name: take_name(cursor)? },
        code::START => {
            let (flags, service) = take_command(cursor)?;
            Request::Start { service, flags }
        }
        code::STOP => {
            let (flags, service) = take_command(cursor)?;
            Request::Stop { service, flags }
        }
        code::WAKE => {
            let (flags, service) = take_command(cursor)?;
            Request::Wake { service, flags }
        }
        code::RELEASE => {
            let (flags, service) = take_command(cursor)?;
            Request::Release { service, flags }
        }
        code::UNPIN => Request::Unpin { service: take_handle(cursor)? },
        code::LIST => Request::List { layout: ListLayout::V1 },
        code::UNLOAD => Request::Unload { service: take_handle(cursor)? },
        code::SHUTDOWN => {
            let kind = cursor.u8()?;
            let known = ShutdownKind::from_number(kind);
            Request::Shutdown { kind: known.ok_or(Stop::Wrong(RequestError::ShutdownKind(kind)))? }
        }
        code::ADD_DEPENDENCY => Request::AddDependency(take_dependency(cursor)?),
        code::REMOVE_DEPENDENCY => Request::RemoveDependency(take_dependency(cursor)?),
        code::QUERY_LOADER => Request::QueryLoader,
        code::ENABLE => Request::Enable(take_dependency(cursor)?),
        code::QUERY_NAME => Request::QueryName { service: take_command(cursor)?.1 },
        code::RELOAD => Request::Reload { service: take_handle(cursor)? },
        code::SET_ENVIRONMENT => {
            let text = take_text(cursor, RequestError::Environment(InvalidEnvironment::Empty), {
                RequestError::Environment(InvalidEnvironment::TooLong)
            })?;
            let change = EnvironmentChange::new(text);
            Request::SetEnvironment(change.map_err(|wrong| Stop::Wrong(RequestError::Environment(wrong)))?)
        }
        code::STATUS => Request::QueryStatus { service: take_handle(cursor)?, layout: StatusLayout::V1 },
        code::SET_TRIGGER => {
            cursor.require(6)?;
            Request::SetTrigger { service: take_handle(cursor)?, set: cursor.u8()? != 0 }
        }
        code::QUERY_LOG => {
            let (flags, service) = take_command(cursor)?;
            Request::QueryLog { service, clear: flags.0 & 1 != 0 }
        }
        code::SIGNAL => {
            cursor.require(9)?;
            let signal = cursor.i32()?;
            Request::Signal { service: Handle(cursor.u32()?), signal }
        }
        code::QUERY_DIRECTORY => {
            let (flags, service) = take_command(cursor)?;
            Request::QueryDirectory { service, reserved: flags.0 }
        }
        code::CLOSE_HANDLE => Request::CloseHandle { service: take_handle(cursor)? },
        code::QUERY_ENVIRONMENT => match cursor.u8()? {
            0 => Request::QueryEnvironment,
            other => return Err(Stop::Wrong(RequestError::Reserved(other))),
        },
        code::LIST_5 => Request::List { layout: ListLayout::V5 },
        code::STATUS_5 => Request::QueryStatus { service: take_handle(cursor)?, layout: StatusLayout::V5 },
        code::LISTEN_ENVIRONMENT => Request::ListenEnvironment,
        code::STATUS_6 => Request::QueryStatus { service: take_handle(cursor)?, layout: StatusLayout::V6 },
        code::ENABLE_7 => Request::EnableReportingStatus(take_dependency(cursor)?),
        other => return Err(Stop::Wrong(RequestError::UnknownCode(other))),
    })
}

fn take_name(cursor: &mut Cursor<'_>) -> Taken<ServiceName> {
    let empty = RequestError::Name(InvalidName::Empty);
    let text = take_text(cursor, empty, RequestError::Name(InvalidName::TooLong))?;
    ServiceName::new(text).map_err(|wrong| Stop::Wrong(RequestError::Name(wrong)))
}

/// Takes a length of 16 bits and that many bytes; a length that cannot be is refused with the fourth byte.
fn take_text<'a>(cursor: &mut Cursor<'a>, empty: RequestError, long: RequestError) -> Taken<&'a [u8]> {
    cursor.require(4)?;
    match usize::from(cursor.u16()?) {
        0 => Err(Stop::Wrong(empty)),
        length if length > MAX_TEXT => Err(Stop::Wrong(long)),
        length => cursor.take(length),
    }
}

fn take_handle(cursor: &mut Cursor<'_>) -> Taken<Handle> {
    Ok(Handle(cursor.u32()?))
}

fn take_command(cursor: &mut Cursor<'_>) -> Taken<(CommandFlags, Handle)> {
    cursor.require(6)?;
    Ok((CommandFlags(cursor.u8()?), take_handle(cursor)?))
}

fn take_dependency(cursor: &mut Cursor<'_>) -> Taken<DependencyRequest> {
    cursor.require(10)?;
    let kind = cursor.u8()?;
    let known = DependencyKind::from_number(kind);
    Ok(DependencyRequest {
        kind: known.ok_or(Stop::Wrong(RequestError::DependencyKind(kind)))?,
        from: take_handle(cursor)?,
        to: take_handle(cursor)?,
    })
}
