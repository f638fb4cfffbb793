//! What the caller is told while work goes on, and how the caller ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A kind of work that takes long enough to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The signed description of the suite and the index are fetched and read.
    Index,
    /// Packages are downloaded.
    Download,
    /// Packages are unpacked into the cache.
    Unpack,
}

/// How much there is to do in a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many things: packages, or files of the archive.
    pub items: usize,
    /// How many bytes; those of the `.deb` files, in [`Stage::Unpack`] too.
    pub bytes: u64,
}

/// Takes in how far the work is; called from several threads.
///
/// For each stage that has anything to do, `began` is called once, `advanced` and `finished_item` any number
/// of times, and `ended` once unless the stage failed. Stages may overlap.
pub trait Progress: Send + Sync {
    /// A stage has begun, and this much is to be done.
    fn began(&self, stage: Stage, total: Amount);
    /// So many more bytes are done; bytes that had to be fetched again count once.
    fn advanced(&self, stage: Stage, bytes: u64);
    /// One thing is done.
    fn finished_item(&self, stage: Stage, name: &str);
    /// All of the stage is done.
    fn ended(&self, stage: Stage);
    /// Something worth a line happened, such as a download that is tried again.
    fn note(&self, message: &str);
}

/// Progress that nobody looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn began(&self, _: Stage, _: Amount) {}
    fn advanced(&self, _: Stage, _: u64) {}
    fn finished_item(&self, _: Stage, _: &str) {}
    fn ended(&self, _: Stage) {}
    fn note(&self, _: &str) {}
}

/// The caller's wish to end; all work looks at it every few kilobytes.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    /// The wish for the end of the whole, of which this is a part.
    whole: Option<Arc<AtomicBool>>,
}

impl Cancel {
    /// Makes a wish that is not expressed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all work that has a clone of this; may be called from any thread.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Says whether the end was wished for.
    pub fn is_requested(&self) -> bool {
        let is_set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        is_set(&self.flag) || self.whole.as_ref().is_some_and(is_set)
    }

    /// Gives a wish of its own for a part of the work, which the end of the whole ends too.
    pub(crate) fn part(&self) -> Self {
        Self { flag: Arc::default(), whole: Some(self.flag.clone()) }
    }
}

impl From<Arc<AtomicBool>> for Cancel {
    /// Takes a flag that something else sets, such as a signal handler.
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self { flag, whole: None }
    }
}
