//! Signed package archives: mirror, signatures, indices, downloads, cache.
//!
//! The way from a mirror to packages that can be laid into an image:
//!
//! ```text
//! Mirror::choose ─► Archive::release ─► Verified<Release> ─► Archive::index ─► Index ─(resolve)─► Lock
//!                                                                                                  │
//!             Vec<Unpacked>, each with its control members and a plain tar  ◄─  Archive::packages ◄┘
//! ```
//!
//! This crate touches the network and its cache and nothing else. No byte of the network is looked at before
//! its signature or its digest was checked, and nothing gets its final name in the cache before that.

mod archive;
mod cache;
mod damage;
mod error;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
mod index;
mod local;
mod mirror;
mod openpgp;
mod packages;
mod progress;
mod release;
mod transport;
mod unpack;

pub use archive::Archive;
pub use cache::Cache;
pub use error::{ArchiveError, NetworkError};
pub use index::Index;
pub use local::{LocalError, LocalPackage};
pub use mirror::{Mirror, MirrorSource};
pub use openpgp::Keyring;
pub use packages::Fetched;
pub use progress::{Amount, Cancel, Progress, Silent, Stage};
pub use release::Verified;
pub use unpack::Unpacked;
