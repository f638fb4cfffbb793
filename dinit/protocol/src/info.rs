//! What a daemon says unasked.

use alloc::vec::Vec;

use crate::cursor::{Cursor, Stop, put_u16, put_u32};
use crate::reply::PacketError;
use crate::{Decoded, EnvironmentChange, Handle, ServiceEvent, Status, StatusLayout};

/// The first number of an information packet; what is below is a reply.
pub(crate) const FIRST_INFO: u8 = 100;

const SERVICE_EVENT: u8 = 100;
const SERVICE_EVENT_5: u8 = 101;
const ENVIRONMENT_EVENT: u8 = 102;

/// What stands before the status of a service event; once that was all there was.
const EVENT_HEADER: u8 = 7;
/// What stands before the text of an environment event. The length byte counts only this.
const ENVIRONMENT_HEADER: u8 = 5;

/// News from a daemon.
///
/// Each service event comes twice for each handle: as `ServiceEvent5`, then as `ServiceEvent`. Whoever acts on
/// one must leave the other alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// Something happened to a service.
    ServiceEvent {
        /// The service.
        service: Handle,
        /// What happened.
        event: ServiceEvent,
        /// Its status just then, in [`StatusLayout::V1`]; the oldest daemons sent none.
        status: Option<Status>,
    },
    /// Something happened to a service; from daemons of version 5 on.
    ServiceEvent5 {
        /// The service.
        service: Handle,
        /// What happened.
        event: ServiceEvent,
        /// Its status just then, in [`StatusLayout::V5`].
        status: Status,
    },
    /// The environment that services are started with has changed.
    Environment {
        /// Whether there was a value before.
        overridden: bool,
        /// The change.
        change: EnvironmentChange,
    },
    /// A packet that this version does not know, to be left alone.
    Other {
        /// Its number.
        code: u8,
        /// What it holds after number and length.
        body: Vec<u8>,
    },
}

impl Info {
    /// Appends the bytes of this packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::ServiceEvent { service, event, status } => {
                let length = if status.is_some() { event_length(StatusLayout::V1) } else { EVENT_HEADER };
                put_event(out, [SERVICE_EVENT, length], *service, *event);
                if let Some(status) = status {
                    status.encode(StatusLayout::V1, out);
                }
            }
            Self::ServiceEvent5 { service, event, status } => {
                put_event(out, [SERVICE_EVENT_5, event_length(StatusLayout::V5)], *service, *event);
                status.encode(StatusLayout::V5, out);
            }
            Self::Environment { overridden, change } => {
                out.extend_from_slice(&[ENVIRONMENT_EVENT, ENVIRONMENT_HEADER, u8::from(*overridden)]);
                let text = change.as_bytes();
                put_u16(out, u16::try_from(text.len().saturating_add(1)).unwrap_or(u16::MAX));
                out.extend_from_slice(text);
                out.push(0);
            }
            Self::Other { code, body } => {
                let body = body.get(..usize::from(u8::MAX - 2)).unwrap_or(body);
                out.extend_from_slice(&[*code, u8::try_from(body.len() + 2).unwrap_or(u8::MAX)]);
                out.extend_from_slice(body);
            }
        }
    }
}

/// Appends what a daemon sends for one event and one handle: the newer packet and, right behind it, the older.
pub fn encode_service_event(service: Handle, event: ServiceEvent, status: &Status, out: &mut Vec<u8>) {
    Info::ServiceEvent5 { service, event, status: *status }.encode(out);
    Info::ServiceEvent { service, event, status: Some(*status) }.encode(out);
}

const fn event_length(layout: StatusLayout) -> u8 {
    EVENT_HEADER + layout.size() as u8
}

fn put_event(out: &mut Vec<u8>, head: [u8; 2], service: Handle, event: ServiceEvent) {
    out.extend_from_slice(&head);
    put_u32(out, service.0);
    out.push(event.number());
}

/// Reads the information packet at the beginning of some bytes.
///
/// A packet with an unknown number, or with an unknown value in it, is [`Info::Other`]: its length is known all
/// the same.
///
/// # Errors
/// The bytes are no information packet, whatever may follow.
pub fn decode_info(buffer: &[u8]) -> Result<Decoded<Info>, PacketError> {
    let mut cursor = Cursor::new(buffer);
    let info = match buffer.first() {
        Some(code) if *code < FIRST_INFO => Err(Stop::Wrong(PacketError::UnknownCode(*code))),
        _ => take_info(&mut cursor),
    };
    cursor.finish(info)
}

pub(crate) fn take_info(cursor: &mut Cursor<'_>) -> Result<Info, Stop<PacketError>> {
    let code = cursor.u8()?;
    let length = cursor.u8()?;
    if code == ENVIRONMENT_EVENT {
        return take_environment(cursor, length);
    }
    let body = usize::from(length).checked_sub(2).ok_or(Stop::Wrong(PacketError::Inconsistent))?;
    let body = cursor.take(body)?;
    // A body that cannot be understood is no reason to give up: the packet's end is known.
    Ok(understand(code, body).unwrap_or_else(|| Info::Other { code, body: body.to_vec() }))
}

fn understand(code: u8, body: &[u8]) -> Option<Info> {
    let mut cursor = Cursor::new(body);
    let mut take = || -> Result<Option<Info>, Stop<PacketError>> {
        let service = Handle(cursor.u32()?);
        let Some(event) = ServiceEvent::from_number(cursor.u8()?) else { return Ok(None) };
        let length = body.len().saturating_add(2);
        Ok(match code {
            SERVICE_EVENT if length == usize::from(EVENT_HEADER) => {
                Some(Info::ServiceEvent { service, event, status: None })
            }
            SERVICE_EVENT if length == usize::from(event_length(StatusLayout::V1)) => {
                let status = Some(Status::decode(&mut cursor, StatusLayout::V1)?);
                Some(Info::ServiceEvent { service, event, status })
            }
            SERVICE_EVENT_5 if length == usize::from(event_length(StatusLayout::V5)) => {
                let status = Status::decode(&mut cursor, StatusLayout::V5)?;
                Some(Info::ServiceEvent5 { service, event, status })
            }
            _ => None,
        })
    };
    take().ok().flatten()
}

fn take_environment(cursor: &mut Cursor<'_>, length: u8) -> Result<Info, Stop<PacketError>> {
    if length != ENVIRONMENT_HEADER {
        return Err(Stop::Wrong(PacketError::Inconsistent));
    }
    cursor.require(usize::from(ENVIRONMENT_HEADER))?;
    let overridden = cursor.u8()? & 1 != 0;
    let size = cursor.u16()?;
    let data = cursor.take(usize::from(size))?;
    let change = data.strip_suffix(&[0]).and_then(|text| EnvironmentChange::new(text).ok());
    Ok(Info::Environment { overridden, change: change.ok_or(Stop::Wrong(PacketError::Inconsistent))? })
}
