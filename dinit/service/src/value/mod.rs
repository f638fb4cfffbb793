//! The kinds of values that settings take, one file per kind: from the text, and back to it.

pub mod capabilities;
pub mod limits;
pub mod number;
pub mod priority;
pub mod secure_bits;
pub mod signal;
pub mod time;
pub mod user;

pub use capabilities::Capabilities;
pub use limits::{Bound, Limits, ResourceLimits};
pub use priority::IoPriority;
pub use secure_bits::SecureBits;
pub use signal::TermSignal;
pub use user::{Group, User};
