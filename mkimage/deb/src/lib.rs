//! Debian formats: control stanzas, versions, relations, deb members, indices.
//!
//! Everything here is a function from bytes to values; nothing opens a file or asks a network.
//!
//! - [`control`] — stanzas and fields, zero-copy, with positions for errors
//! - [`version`] — versions and their order, as Debian policy defines it
//! - [`relation`] — `Depends` and its kin: alternatives, version bounds, qualifiers
//! - [`index`] — a `Packages` index as a value that can be searched
//! - [`release`] — the fields of a `Release` file
//! - [`date`] — the one date format that `Release` files use
//! - [`container`] — the members of a `.deb`, and reading them decompressed
//! - [`digest`] — SHA-256 digests

pub mod container;
pub mod control;
pub mod date;
pub mod digest;
pub mod index;
pub mod relation;
pub mod release;
pub mod version;

pub use container::{Deb, DebError};
pub use control::{ControlError, Stanza};
pub use date::Timestamp;
pub use digest::{Sha256, Sha256Builder};
pub use index::{Package, PackageIndex};
pub use relation::{Relation, Relations};
pub use release::Release;
pub use version::Version;
