//! Deadlines: which comes next, and which have passed.

use std::collections::BTreeMap;

/// Armed timers, by deadline in nanoseconds of the monotonic clock, and by key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_deadline: BTreeMap<(u64, u64), K>,
    by_key: BTreeMap<K, (u64, u64)>,
    /// Makes equal deadlines distinct, in the order of arming.
    next: u64,
}

impl<K: Ord + Clone> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { by_deadline: BTreeMap::new(), by_key: BTreeMap::new(), next: 0 }
    }

    /// Arms a timer; one that is armed with the same key is replaced.
    pub(crate) fn arm(&mut self, key: K, deadline: u64) {
        self.cancel(&key);
        let slot = (deadline, self.next);
        self.next += 1;
        self.by_key.insert(key.clone(), slot);
        self.by_deadline.insert(slot, key);
    }

    /// Cancels a timer, if it is armed.
    pub(crate) fn cancel(&mut self, key: &K) {
        if let Some(slot) = self.by_key.remove(key) {
            self.by_deadline.remove(&slot);
        }
    }

    /// Gives the next deadline.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.by_deadline.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Takes one timer whose deadline has passed.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<K> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, key) = self.by_deadline.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_due_in_order_and_not_after_they_were_cancelled() {
        let mut timers = Timers::new();
        timers.arm('a', 30);
        timers.arm('b', 10);
        timers.arm('c', 10);
        timers.arm('d', 5);
        timers.cancel(&'d');
        timers.arm('a', 20);
        assert_eq!(timers.take_due(9), None);
        assert_eq!(timers.next_deadline(), Some(10));
        assert_eq!(
            (timers.take_due(10), timers.take_due(10), timers.take_due(10)),
            (Some('b'), Some('c'), None)
        );
        assert_eq!(timers.take_due(u64::MAX), Some('a'));
        assert_eq!(timers.next_deadline(), None);
    }
}
