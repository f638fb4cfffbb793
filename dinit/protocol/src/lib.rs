//! The dinit control protocol: packets to bytes and back, every version.
//!
//! This crate knows the layout of each packet that a dinit daemon and its clients exchange, in protocol
//! versions 1 to 7, and nothing else: no socket, no service, no meaning. Give it the bytes that have arrived;
//! it says which packet they begin with and how many bytes it took, or how many bytes there must at least be.
//!
//! ```
//! use dinit_protocol::{Decoded, Handle, Reply, Request, ServiceName, Version};
//!
//! // A client asks for a service …
//! let name = ServiceName::new(b"sshd").unwrap();
//! let mut bytes = Vec::new();
//! Request::LoadService { name: name.clone() }.encode(&mut bytes);
//!
//! // … and the daemon reads what has arrived so far.
//! match dinit_protocol::decode_request(&bytes, Version::CURRENT) {
//!     Ok(Decoded::Packet { packet: Request::LoadService { name: asked }, used }) => {
//!         assert_eq!((asked, used), (name, bytes.len()));
//!     }
//!     other => unreachable!("{other:?}"),
//! }
//! assert_eq!(
//!     dinit_protocol::decode_request(&bytes[..3], Version::CURRENT),
//!     Ok(Decoded::Incomplete { need: 4 })
//! );
//! # let _ = (Reply::Ack, Handle(0));
//! ```
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
//! Deliberately absent: handles' meaning, which reply follows which request, flow control.
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
