//! One archive in use: a mirror, the keys it is believed by, the cache, and whoever watches.

use crate::cache::{Cache, CacheLock};
use crate::error::ArchiveError;
use crate::mirror::Mirror;
use crate::openpgp::Keyring;
use crate::progress::{Cancel, Progress};
use crate::release::{self, Verified};
use crate::transport::Transport;
use mkimage_deb::{Release, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// What an `InRelease` may be long; those of large suites take up 200 kB.
const RELEASE_LIMIT: u64 = 16 << 20;

/// A mirror in use.
///
/// Nothing is asked of the mirror before it is needed.
pub struct Archive {
    /// Where the archive is.
    pub mirror: Mirror,
    /// The keys whose signatures are believed.
    pub keyring: Keyring,
    /// Where what was got is kept.
    pub cache: Cache,
    /// The moment at which dates are judged.
    pub now: Timestamp,
    /// Who is told how far the work is; [`crate::Silent`] if nobody cares.
    pub progress: Arc<dyn Progress>,
    /// Ends all work once it is requested.
    pub cancel: Cancel,
}

impl Archive {
    /// Fetches the description of a suite and checks its signature, its name and its dates.
    pub fn release(&self, suite: &str) -> Result<Verified<Release>, ArchiveError> {
        let path = format!("dists/{suite}/InRelease");
        let address = self.mirror.address(&path);
        let Some(bytes) = self.transport(self.cancel.clone()).read(&path, RELEASE_LIMIT)? else {
            return Err(ArchiveError::NoSuchSuite { suite: suite.to_owned(), address });
        };
        release::verify(&bytes, suite, &address, &self.keyring, self.now)
    }

    /// Waits until no other run uses the cache, and keeps it so.
    pub(crate) fn occupy_cache(&self) -> Result<CacheLock, ArchiveError> {
        let mut told = false;
        loop {
            if let Some(lock) = self.cache.try_occupy()? {
                return Ok(lock);
            }
            if self.cancel.is_requested() {
                return Err(ArchiveError::Cancelled);
            }
            if !told {
                self.progress.note("waiting for another run of mkimage that uses the cache");
                told = true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Opens a line to the mirror, which `cancel` ends.
    pub(crate) fn transport(&self, cancel: Cancel) -> Transport {
        Transport::new(self.mirror.clone(), self.progress.clone(), cancel)
    }
}
