//! The names by which the graph and its caller speak of services, runs, timers and moments.
//!
//! All of them are plain values. None is ever reused for something else, so a late message about a thing that is
//! gone is recognised and dropped instead of being taken for a message about its successor.

use core::fmt;
use core::time::Duration;

/// Names one loaded service for as long as it stays loaded.
///
/// A reload keeps the id. After an unload the id stays invalid for ever: queries answer `None`, requests answer
/// [`Refusal::NoSuchService`](crate::Refusal::NoSuchService).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service#{}.{}", self.slot, self.generation)
    }
}

/// Names one launch of one process: a main process, a launcher, a daemon or a stop command.
///
/// The graph hands run ids out in [`Effect::Launch`](crate::Effect::Launch) and
/// [`Effect::ReadPidFile`](crate::Effect::ReadPidFile); the caller keeps the pid that belongs to each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub(crate) u64);

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run#{}", self.0)
    }
}

/// Names one arming of one timer; a second arming for the same service has another id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub(crate) u64);

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timer#{}", self.0)
    }
}

/// A moment on the monotonic clock, in nanoseconds since an arbitrary origin.
///
/// The graph reads no clock: the caller passes the current moment to every call, and it must never go backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `span` later, or the last one that can be expressed.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
