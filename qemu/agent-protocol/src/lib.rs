//! What the host and the guest agent say to each other.
//!
//! The two talk in [`frame`]s over a byte stream (a virtio-serial port), each holding a [`message`]. [`host`] has the
//! host's side as a value one can call; the guest's side is the `guest-agent` program. [`seed`] says where the
//! agent and its service go inside a guest.
//!
//! The stream outlives both sides: the guest may restart while QEMU and the socket stay. So a frame begins with a
//! mark by which a reader finds its place again, and carries the *session*, a number that each start of the agent
//! chooses anew; what belongs to another session is passed over.

pub mod frame;
pub mod host;
pub mod message;
pub mod seed;
mod wire;
