//! Chooses packages: requests and an index to a lock, or an explanation of why none exists.
//!
//! `resolve(&Request, &PackageIndex) -> Result<Selection, Unsatisfiable>` is a function from values to values. A [`Lock`] is a selection written down for people, together with the digest of the
//! request it answers.
//!
//! Recommended packages are never chosen, and what an essential package offers is not assumed: a dependency
//! is met only by what is in the selection.

mod lock;
mod request;
mod selection;

pub use lock::{Change, Lock, StaleLock};
pub use mkimage_deb::PackageIndex;
pub use request::{Forbidden, Request, Wanted};
pub use selection::{Because, Chosen, Role, Selection};
