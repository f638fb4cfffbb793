//! Signed package archives: mirror, signatures, indices, downloads, cache.
//!
//! The way from a mirror to packages that can be laid into an image:
//!
//! ```text
//! Mirror::choose ─► Archive::release ─► Verified<Release> ─► Archive::index ─► Index ─(resolve)─► Lock
//!                                                                                                  │
//!                   Vec<Package>, each with its control members and a plain tar  ◄─ Archive::packages
//! ```
//!
//! ```text
//! Archive { mirror: Mirror, keyring: Keyring, cache: Cache, now: Timestamp, progress: Arc<dyn Progress>, cancel: Cancel }
//! Keyring::shipped() -> Keyring;  Keyring::read(&Path) -> Result<Keyring, ArchiveError>
//! archive.release(suite: &str) -> Result<Verified<Release>, ArchiveError>
//! archive.index(&Verified<Release>, components: &[&str], architecture: &str) -> Result<Index, ArchiveError>
//! index.packages() -> &PackageIndex                                  (what `mkimage_resolve::resolve` takes)
//! archive.packages(&[Chosen]) -> Result<Vec<Unpacked>, ArchiveError> (fetches and unpacks what is not there yet)
//! archive.fetch(&[Chosen]) -> Result<Fetched, ArchiveError>          (downloads only; counts)
//! Unpacked { name, version, architecture, role, sha256, control: BTreeMap<String, Vec<u8>>, data: PathBuf, data_size: u64 }
//! ```
//!
//! This crate touches the network and its cache and nothing else. No byte of the network is looked at before
//! its signature or its digest was checked, and nothing gets its final name in the cache before that.

mod cache;
mod error;
mod mirror;
mod progress;

pub use cache::{Cache, CacheLock};
pub use error::{ArchiveError, NetworkError};
pub use mirror::{Mirror, MirrorSource};
pub use progress::{Amount, Cancel, Progress, Silent, Stage};
