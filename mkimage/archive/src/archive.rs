//! One archive in use: a mirror, the keys it is believed by, the cache, and whoever watches.

use crate::cache::{Cache, CacheLock};
use crate::error::ArchiveError;
use crate::local::LocalPackage;
use crate::mirror::Mirror;
use crate::openpgp::Keyring;
use crate::progress::{Cancel, Progress};
use crate::release::{self, Verified};
use crate::transport::Transport;
use mkimage_deb::{Release, Sha256, Timestamp};
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
    /// Packages that are taken from files, and not from the mirror.
    pub local: Vec<LocalPackage>,
    /// Who is told how far the work is; [`crate::Silent`] if nobody cares.
    pub progress: Arc<dyn Progress>,
    /// Ends all work once it is requested.
    pub cancel: Cancel,
}

impl Archive {
    /// Fetches the description of a suite and checks its signature, its name and its dates: it must not be older
    /// than what the same mirror gave before, as far as the cache remembers.
    pub fn release(&self, suite: &str) -> Result<Verified<Release>, ArchiveError> {
        let path = format!("dists/{suite}/InRelease");
        let mut absent_at = None;
        for mirror in self.mirror.each() {
            let address = mirror.address(&path);
            if let Some(absent_at) = absent_at {
                self.progress.note(&format!("there is no `{absent_at}`; asking `{mirror}`"));
            }
            let transport = Transport::new(mirror.clone(), self.progress.clone(), self.cancel.clone());
            if let Some(bytes) = transport.read(&path, RELEASE_LIMIT)? {
                let release = release::verify(&bytes, suite, &address, &self.keyring, self.now)?;
                self.must_not_go_back(&mirror, &release)?;
                return Ok(release);
            }
            absent_at = Some(address);
        }
        let address = absent_at.unwrap_or_else(|| self.mirror.address(&path));
        Err(ArchiveError::NoSuchSuite { suite: suite.to_owned(), address })
    }

    /// Refuses a description older than the newest one seen, and remembers a newer one.
    ///
    /// What stable suites sign never expires, so whoever is between here and the mirror could go on giving out a state
    /// from before packages were mended.
    fn must_not_go_back(&self, mirror: &Mirror, release: &Verified<Release>) -> Result<(), ArchiveError> {
        let seen_at = format!("{}\n{}\n{}\n", release.suite(), mirror, self.keyring.fingerprints().join(" "));
        let seen_at = Sha256::of(seen_at.as_bytes());
        let seen = self.cache.newest_release(&seen_at);
        if seen.is_some_and(|seen| release.date < seen) {
            return Err(ArchiveError::Older {
                suite: release.suite().to_owned(),
                mirror: mirror.to_string(),
                offered: release.date,
                seen: seen.unwrap_or(release.date),
            });
        }
        if seen != Some(release.date) {
            let _alone = self.occupy_cache()?;
            self.cache.remember_release(&seen_at, release.date)?;
        }
        Ok(())
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
