//! The dinit control protocol: packets to bytes and back, every version.
//!
//! A dinit daemon listens on a Unix stream socket. Clients send [`Request`]s; to each comes a [`Reply`], in the same
//! order. In between the daemon sends [`Info`] packets: news of services that the client has a [`Handle`] of, and of
//! the environment if it asked for that. This crate knows the layout of each of these packets in protocol versions 1
//! to 7, and nothing else: no socket, no service, no meaning. Give it the bytes that have arrived; it says which
//! packet they begin with and how many bytes that took, or how many bytes there must at least be. It needs neither the
//! standard library nor any other crate. Who wants a connection finds one in `dinit-client`.
//!
//! # A client
//!
//! ```
//! use dinit_protocol::{Decoded, Info, Reply, ReplyPacket, Request, ServiceName, decode_packet};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Ask for a service to be loaded. What cannot be sent cannot be made: `.web` would be no name.
//! let request = Request::LoadService { name: ServiceName::new(b"web")? };
//! let mut to_be_sent = Vec::new();
//! request.encode(&mut to_be_sent);
//! assert_eq!(to_be_sent, b"\x02\x03\x00web");
//!
//! // Whatever arrives is appended to a buffer; the pieces need not be packets.
//! let mut arrived: Vec<u8> = Vec::new();
//! let mut answer = None;
//! for piece in [&b"\x67\x04??\x3b\x02\x00"[..], &b"\x00\x00\x00\x02"[..]] {
//!     arrived.extend_from_slice(piece);
//!     // Of some answers the length depends on what was asked.
//!     while let Decoded::Packet { packet, used } = decode_packet(&arrived, request.status_layout())? {
//!         arrived.drain(..used);
//!         match packet {
//!             ReplyPacket::Reply(reply) => answer = Some(reply),
//!             // News may come at any time; unknown kinds are passed over.
//!             ReplyPacket::Info(news) => assert!(matches!(news, Info::Other { code: 103, .. })),
//!         }
//!     }
//! }
//! assert!(matches!(answer, Some(Reply::ServiceRecord { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! The first request of a client is [`Request::QueryVersion`], and [`Version::negotiate`] says what comes of the
//! answer. Each kind of request says in its description how it may be answered, and since which version it exists.
//!
//! # A daemon
//!
//! ```
//! use dinit_protocol::{Decoded, Reply, Request, Version, decode_request};
//!
//! let (mut input, mut output) = (vec![0, 1, 3, 0, b'w'], Vec::new());
//! loop {
//!     match decode_request(&input, Version::CURRENT) {
//!         Ok(Decoded::Packet { packet: Request::QueryVersion, used }) => {
//!             input.drain(..used);
//!             Reply::Version { minimum: Version::OLDEST, current: Version::CURRENT }.encode(&mut output);
//!         }
//!         Ok(Decoded::Packet { .. }) => unreachable!("the other request is not complete"),
//!         Ok(Decoded::Incomplete { need }) => {
//!             assert_eq!(need, 6, "wait for this many bytes");
//!             break;
//!         }
//!         Err(_) => {
//!             // No more can be made of this connection.
//!             Reply::BadRequest.encode(&mut output);
//!             break;
//!         }
//!     }
//! }
//! assert_eq!(output, [58, 1, 0, 7, 0]);
//! ```
//!
//! # What goes where
//!
//! | direction | daemon | client |
//! |---|---|---|
//! | requests | [`decode_request`] | [`Request::encode`] |
//! | replies | [`Reply::encode`] | [`decode_reply`], or [`decode_packet`] for both kinds |
//! | events | [`encode_service_event`], [`Info::encode`] | [`decode_info`] |
//!
//! Numbers are in host byte order, as the protocol wants: it never leaves the machine. A machine word is
//! `usize`; a time is two `i64`, seconds and nanoseconds. Names, paths and environment data stay bytes.
//!
//! # What can be relied on
//!
//! - No bytes make a decoder panic. A length that cannot be is an error before anything is allocated for it: requests
//!   have at most [`REQUEST_BUFFER`] bytes, and of a reply a client believes at most [`MAX_REPLY`].
//! - A beginning of a packet is never taken for another packet or for an error, and [`Decoded::Incomplete`] never asks
//!   for more than the packet has. What was an error stays one, whatever follows.
//! - What was encoded is decoded to the same value. Texts that do not fit are cut where the description says so.
//!
//! Deliberately absent: what handles mean, which reply follows which request, flow control.
#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

extern crate alloc;

mod cursor;
mod enumeration;
mod info;
mod name;
mod reply;
mod request;
mod status;
mod version;

pub use enumeration::{
    DependencyKind, ExecStage, ServiceEvent, ServiceState, ShutdownKind, StopReason, TargetState,
};
pub use info::{Info, decode_info, encode_service_event};
pub use name::{EnvironmentChange, InvalidEnvironment, InvalidName, MAX_TEXT, ServiceName};
pub use reply::{
    DIRECTORY_LOADER, LoaderInfo, MAX_REPLY, PacketError, Reply, ReplyPacket, decode_packet, decode_reply,
};
pub use request::{CommandFlags, DependencyRequest, Request, RequestError, decode_request};
pub use status::{Detail, ExitInfo, ListLayout, Status, StatusLayout, Timestamp};
pub use version::{Compatibility, Version};

/// The bytes that a daemon must be ready to hold for one request of one connection.
pub const REQUEST_BUFFER: usize = 1024;

/// A number that names a loaded service on one connection, and on that connection alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u32);

/// What a decoder found at the beginning of the bytes it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// The packet is not complete.
    Incomplete {
        /// How many bytes, counted from the beginning of the packet, there must be before it is worth asking
        /// again. Always more than there were; never more than the packet has.
        need: usize,
    },
    /// There is a whole packet.
    Packet {
        /// The packet.
        packet: T,
        /// How many bytes it took.
        used: usize,
    },
}

#[cfg(test)]
mod tests;
