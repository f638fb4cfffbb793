//! What a lock names, fetched and unpacked: what is in the cache is used, the rest comes over several lines at once.

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::progress::{Amount, Cancel, Stage};
use crate::transport::{Expected, Transport};
use crate::unpack::Unpacked;
use mkimage_resolve::Chosen;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

/// How many packages are downloaded at the same time.
const LINES: usize = 6;

/// What had to be done for some packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// How many packages were downloaded.
    pub downloaded: usize,
    /// How many bytes that was.
    pub downloaded_bytes: u64,
    /// How many packages were in the cache already, in whatever form.
    pub cached: usize,
}

/// What is missing in the cache; the largest come first, so that the end is not waiting for one of them.
#[derive(Default)]
struct Missing<'a> {
    to_download: Vec<&'a Chosen>,
    to_unpack: Vec<&'a Chosen>,
}

impl Archive {
    /// Fetches and unpacks what is not in the cache yet, and gives all packages in the order of `chosen`.
    ///
    /// With everything in the cache, this asks nothing of the mirror. A package that the mirror no longer carries is
    /// [`ArchiveError::Gone`]; what else was under way is ended then, and what was finished stays in the cache.
    pub fn packages(&self, chosen: &[Chosen]) -> Result<Vec<Unpacked>, ArchiveError> {
        self.bring(chosen, true)?;
        self.cache.mark_used(chosen.iter().map(|chosen| &chosen.sha256), SystemTime::now());
        chosen.iter().map(|chosen| self.cache.read_unpacked(chosen)).collect()
    }

    /// Fetches what is not in the cache yet, and unpacks nothing.
    pub fn fetch(&self, chosen: &[Chosen]) -> Result<Fetched, ArchiveError> {
        self.bring(chosen, false)
    }

    fn bring(&self, chosen: &[Chosen], unpack: bool) -> Result<Fetched, ArchiveError> {
        if self.missing(chosen, unpack).is_empty() {
            return Ok(Fetched { cached: chosen.len(), ..Fetched::default() });
        }
        let _alone = self.occupy_cache()?;
        // Another run may have brought some of it in the meantime.
        let missing = self.missing(chosen, unpack);
        let stop = self.cancel.part();
        let work =
            Work { archive: self, transport: self.transport(stop.clone()), stop, error: Mutex::default() };
        if let Err(error) = work.run(&missing, unpack) {
            // A full disk is no fuller for it; what cannot be removed now goes with the next run.
            let _ = self.cache.remove_partial();
            return Err(error);
        }
        Ok(Fetched {
            downloaded: missing.to_download.len(),
            downloaded_bytes: amount(&missing.to_download).bytes,
            cached: chosen.len() - missing.to_download.len(),
        })
    }

    fn missing<'a>(&self, chosen: &'a [Chosen], unpack: bool) -> Missing<'a> {
        let mut missing = Missing::default();
        for chosen in chosen.iter().filter(|chosen| !self.cache.is_unpacked(&chosen.sha256)) {
            if !self.cache.has_package(chosen) {
                missing.to_download.push(chosen);
            } else if unpack {
                missing.to_unpack.push(chosen);
            }
        }
        let largest_first = |chosen: &&Chosen| Reverse(chosen.size);
        missing.to_download.sort_by_key(largest_first);
        missing.to_unpack.sort_by_key(largest_first);
        missing
    }
}

impl Missing<'_> {
    fn is_empty(&self) -> bool {
        self.to_download.is_empty() && self.to_unpack.is_empty()
    }
}

/// The work of one call: downloading threads that hand packages on to unpacking threads.
struct Work<'a> {
    archive: &'a Archive,
    transport: Transport,
    /// Requested as soon as anything fails, so that the rest ends too.
    stop: Cancel,
    /// What failed first.
    error: Mutex<Option<ArchiveError>>,
}

impl Work<'_> {
    fn run(&self, missing: &Missing<'_>, unpack: bool) -> Result<(), ArchiveError> {
        let progress = &self.archive.progress;
        let mut for_unpacking = missing.to_unpack.clone();
        if unpack {
            for_unpacking.extend(&missing.to_download);
        }
        let begin = |stage, chosen: &[&Chosen]| {
            if !chosen.is_empty() {
                progress.began(stage, amount(chosen));
            }
        };
        begin(Stage::Download, &missing.to_download);
        begin(Stage::Unpack, &for_unpacking);
        let next = AtomicUsize::new(0);
        let lines = LINES.min(missing.to_download.len());
        let still_downloading = AtomicUsize::new(lines);
        let unpackers = thread::available_parallelism().map_or(1, |n| n.get()).min(for_unpacking.len());
        let (sender, receiver) = mpsc::channel();
        for chosen in &missing.to_unpack {
            // The receiver is right here.
            let _ = sender.send(*chosen);
        }
        let receiver = Mutex::new(receiver);
        thread::scope(|scope| {
            for _ in 0..lines {
                let (sender, next, still_downloading) = (sender.clone(), &next, &still_downloading);
                scope.spawn(move || {
                    self.keep(self.download(&missing.to_download, next, &sender, unpack));
                    if still_downloading.fetch_sub(1, Ordering::AcqRel) == 1 && !self.stop.is_requested() {
                        progress.ended(Stage::Download);
                    }
                });
            }
            // The unpacking threads end when the last downloading one, and this one, have let go of the sender.
            drop(sender);
            for _ in 0..unpackers {
                scope.spawn(|| self.keep(self.unpack(&receiver)));
            }
        });
        if let Some(error) = self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        if !for_unpacking.is_empty() {
            progress.ended(Stage::Unpack);
        }
        Ok(())
    }

    /// Downloads one package after the other until none is left.
    fn download<'c>(
        &self,
        chosen: &[&'c Chosen],
        next: &AtomicUsize,
        done: &Sender<&'c Chosen>,
        unpack: bool,
    ) -> Result<(), ArchiveError> {
        while let Some(chosen) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cache = &self.archive.cache;
            let partial = cache.partial(&format!("{}.deb", chosen.sha256));
            let expected = Expected { size: chosen.size, sha256: chosen.sha256 };
            let local = self.archive.local.iter().find(|local| local.sha256 == chosen.sha256);
            let there = match local {
                Some(local) => local.copy_to(&partial).map(|()| true)?,
                None => self.transport.download(Stage::Download, &chosen.filename, expected, &partial)?,
            };
            if !there {
                return Err(ArchiveError::Gone {
                    package: format!("{} {}", chosen.name, chosen.version),
                    address: self.archive.mirror.address(&chosen.filename),
                });
            }
            cache.finish(&partial, &cache.package(&chosen.sha256))?;
            self.archive.progress.finished_item(Stage::Download, &chosen.name);
            if unpack {
                // Nobody takes it any more if unpacking failed, which that side reports.
                let _ = done.send(chosen);
            }
        }
        Ok(())
    }

    /// Unpacks what is handed on until nobody hands on anything any more.
    fn unpack(&self, packages: &Mutex<Receiver<&Chosen>>) -> Result<(), ArchiveError> {
        loop {
            let next = packages.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(chosen) = next else { return Ok(()) };
            if self.stop.is_requested() {
                return Err(ArchiveError::Cancelled);
            }
            self.archive.cache.unpack(chosen)?;
            self.archive.progress.advanced(Stage::Unpack, chosen.size);
            self.archive.progress.finished_item(Stage::Unpack, &chosen.name);
        }
    }

    /// Keeps the error of a thread if it is the first, and ends the others.
    fn keep(&self, result: Result<(), ArchiveError>) {
        if let Err(error) = result {
            let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
            self.stop.request();
        }
    }
}

fn amount(chosen: &[&Chosen]) -> Amount {
    Amount { items: chosen.len(), bytes: chosen.iter().map(|chosen| chosen.size).sum() }
}

#[cfg(test)]
mod tests;
