//! Whether a guest has been silent for too long, judged by the time in which it could have spoken.
//!
//! On a busy host QEMU may wait for a processor, or for a disk, longer than it runs. Such time does not count, and
//! neither does time in which we did not run ourselves: stopped from the keyboard, or asleep with the computer.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

/// How long after a look the next one is due.
const SHORTEST_STEP: Duration = Duration::from_millis(250);

/// The most that one look counts for; who looks more seldom was held up.
const LONGEST_STEP: Duration = Duration::from_secs(1);

/// How the threads of a process are held up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Waits {
    /// How long each thread has waited for a processor since it was born, by its id.
    for_processor: HashMap<u32, Duration>,
    /// Whether one of them waits for a disk now.
    for_disk: bool,
}

/// Measures how long a guest has been silent.
#[derive(Debug)]
pub(crate) struct Silence {
    limit: Duration,
    heard: Instant,
    looked: Instant,
    /// The waits as they were when the silence began.
    before: Waits,
    /// The silence so far, without time in which we did not look or a disk was waited for.
    length: Duration,
}

impl Silence {
    pub(crate) fn new(limit: Duration, now: Instant) -> Silence {
        Silence { limit, heard: now, looked: now, before: Waits::default(), length: Duration::ZERO }
    }

    /// Says whether it is time for another look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked) >= SHORTEST_STEP
    }

    /// Says whether the guest, last heard at `heard`, has been silent for too long.
    pub(crate) fn is_too_long(&mut self, heard: Instant, now: Instant, waits: Waits) -> bool {
        let step = now.saturating_duration_since(self.looked).min(LONGEST_STEP);
        self.looked = now;
        if heard != self.heard {
            self.heard = heard;
            self.before = waits;
            self.length = Duration::ZERO;
            return false;
        }
        if !waits.for_disk {
            self.length += step;
        }
        self.length.saturating_sub(self.held_up(&waits)) >= self.limit
    }

    /// For how long the thread that waited most for a processor did so during this silence.
    fn held_up(&self, waits: &Waits) -> Duration {
        let before = |thread| self.before.for_processor.get(thread).copied().unwrap_or_default();
        let waited = waits.for_processor.iter().map(|(thread, wait)| wait.saturating_sub(before(thread)));
        waited.max().unwrap_or_default()
    }
}

/// Looks how a process is held up. A kernel that does not account for waits shows none.
pub(crate) fn waits(pid: Pid) -> Waits {
    let mut waits = Waits::default();
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        // One that has just ended waits for nothing.
        let read = |name: &str| fs::read_to_string(Path::new(&thread.path()).join(name)).unwrap_or_default();
        if let Ok(id) = thread.file_name().to_string_lossy().parse()
            && let Some(wait) = wait_of(&read("schedstat"))
        {
            waits.for_processor.insert(id, wait);
        }
        waits.for_disk |= waits_for_disk(&read("stat"));
    }
    waits
}

/// The second number of `schedstat`: nanoseconds spent ready to run, but not running.
fn wait_of(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// The state in `stat` is the letter behind the name, which may hold blanks and parentheses.
fn waits_for_disk(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('D'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Looks twice a second, for so many seconds, at a process whose waits are given; says when it was too long.
    fn too_long_after(seconds: u64, waits: impl Fn(Duration) -> Waits) -> Option<Duration> {
        let start = Instant::now();
        let mut silence = Silence::new(LIMIT, start);
        (1..=seconds * 2).map(|step| Duration::from_millis(step * 500)).find(|&after| {
            // Heard just before the first look.
            let heard = start + Duration::from_millis(400);
            silence.is_too_long(heard, start + after, waits(after))
        })
    }

    fn waiting(threads: &[(u32, Duration)]) -> Waits {
        Waits { for_processor: threads.iter().copied().collect(), for_disk: false }
    }

    #[test]
    fn a_guest_that_idles_or_runs_without_a_word_is_silent_after_the_limit() {
        let quiet = |_| waiting(&[(1, Duration::from_secs(700)), (2, Duration::ZERO)]);
        assert_eq!(too_long_after(60, quiet), Some(LIMIT + Duration::from_millis(500)));
        assert_eq!(too_long_after(60, |_| Waits::default()), Some(LIMIT + Duration::from_millis(500)));
    }

    #[test]
    fn time_without_a_processor_does_not_count() {
        // One thread idles, the other gets a tenth of a processor.
        let busy = |after: Duration| waiting(&[(1, Duration::ZERO), (2, after * 9 / 10)]);
        assert_eq!(too_long_after(190, busy), None);
        assert!(too_long_after(210, busy).is_some());
        assert_eq!(too_long_after(10_000, |after| waiting(&[(1, after)])), None);
    }

    #[test]
    fn time_in_which_a_disk_is_waited_for_does_not_count() {
        let waits = |after| Waits { for_disk: after < Duration::from_secs(100), ..Waits::default() };
        let found = too_long_after(200, waits).expect("the disk has answered");
        assert!(found >= Duration::from_secs(119), "{found:?}");
    }

    #[test]
    fn time_in_which_we_did_not_run_does_not_count_and_a_word_begins_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(LIMIT, start);
        assert!(!silence.is_too_long(start, at(1000), Waits::default()));
        let mut looks = |heard, seconds: std::ops::Range<u64>| {
            seconds.into_iter().find(|&second| silence.is_too_long(at(heard), at(second), Waits::default()))
        };
        assert_eq!(looks(0, 1001..1015), None);
        assert_eq!(looks(1014, 1015..1030), None);
        assert_eq!(looks(1014, 1030..1100), Some(1035));
    }

    #[test]
    fn the_kernel_s_account_of_a_thread_is_read() {
        assert_eq!(wait_of("861 81280 12\n"), Some(Duration::from_nanos(81280)));
        assert_eq!(wait_of(""), None);
        assert!(waits_for_disk("42 (a) S) D 1 2"));
        assert!(!waits_for_disk("42 (a) D) S 1 2"));
        let kernel_accounts = Path::new("/proc/self/schedstat").exists();
        assert_eq!(!waits(Pid::this()).for_processor.is_empty(), kernel_accounts);
    }
}
