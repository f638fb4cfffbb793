//! Chooses packages: requests and an index to a lock, or an explanation of why none exists.
//!
//! [`resolve`] is a function from values to values: a [`Request`] and a [`PackageIndex`] give a [`Selection`] or
//! say why none is possible. A [`Lock`] is a selection written down for people, together with the digest of the
//! request it answers.
//!
//! Recommended packages are never chosen, and what an essential package offers is not assumed: a dependency
//! is met only by what is in the selection.

mod explain;
mod lock;
mod provider;
mod reasons;
mod request;
mod resolution;
mod selection;
mod similar;

pub use explain::Unsatisfiable;
pub use lock::{BadLock, Change, Lock, OlderArchive, UnfitLock};
pub use mkimage_deb::PackageIndex;
pub use request::{Forbidden, Request, Wanted};
pub use resolution::resolve;
pub use selection::{Because, Chosen, Role, Selection};
