//! An allocator with a reserve: when the C library has no memory, small requests are met from memory set aside.
//!
//! A process that must not end, such as process 1, takes it as its global allocator. While [`is_low`] says so, it takes
//! on nothing new and lets go of what it can; meanwhile the reserve keeps what cannot fail from failing. Large requests
//! are not met, so that growth that is tried beforehand (`try_reserve`) is refused in good order. With the reserve used
//! up too, a small request waits for memory instead of ending the process. All that holds from [`Reserve::hold_out`] on; what is
//! missing before is said, and ends the process: it has nothing to lose yet.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The smallest piece that is handed out, and the greatest alignment.
const BLOCK: usize = 512;
const BLOCKS: usize = 512;

/// The largest request that is met from the reserve.
const LARGEST: usize = 16 * 1024;

/// How long a request waits before it asks again when there is nothing left.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// The allocator.
pub struct Reserve {
    area: Area,
    /// Which blocks are in use.
    used: UnsafeCell<[bool; BLOCKS]>,
    is_locked: AtomicBool,
    is_low: AtomicBool,
    holds_out: AtomicBool,
    /// What is printed when there is no memory before the process holds out.
    last_words: &'static [u8],
}

#[repr(align(4096))]
struct Area(UnsafeCell<[u8; BLOCK * BLOCKS]>);

// SAFETY: `area` is only handed out in pieces that do not overlap, and `used` is only touched under the lock.
unsafe impl Sync for Reserve {}

impl Reserve {
    /// Makes the allocator; its memory costs nothing before it is used. The words go to the standard output, and the
    /// process ends with status 1, when there is no memory before it [holds out](Self::hold_out).
    #[must_use]
    pub const fn new(last_words: &'static [u8]) -> Self {
        Self {
            area: Area(UnsafeCell::new([0; BLOCK * BLOCKS])),
            used: UnsafeCell::new([false; BLOCKS]),
            is_locked: AtomicBool::new(false),
            is_low: AtomicBool::new(false),
            holds_out: AtomicBool::new(false),
            last_words,
        }
    }

    /// Has requests that cannot be met refused, or wait, from now on.
    pub fn hold_out(&self) {
        self.holds_out.store(true, Ordering::Relaxed);
    }

    /// Says whether a part of the reserve is in use.
    pub fn is_low(&self) -> bool {
        self.is_low.load(Ordering::Relaxed)
    }

    /// Takes pieces for a request; null if there are not enough side by side.
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST || layout.align() > BLOCK {
            return ptr::null_mut();
        }
        let wanted = layout.size().div_ceil(BLOCK).max(1);
        let found = self.with_used(|used| {
            let start = (0..=BLOCKS - wanted).find(|start| !used[*start..start + wanted].contains(&true))?;
            used[start..start + wanted].fill(true);
            Some(start)
        });
        found.map_or(ptr::null_mut(), |start| self.base().wrapping_add(start * BLOCK))
    }

    /// Gives pieces back.
    fn give_back(&self, piece: *mut u8, size: usize) {
        let start = (piece.addr() - self.base().addr()) / BLOCK;
        let whole = self.with_used(|used| {
            used[start..start + size.div_ceil(BLOCK).max(1)].fill(false);
            !used.contains(&true)
        });
        if whole {
            self.is_low.store(false, Ordering::Relaxed);
        }
    }

    /// Meets a request that the C library could not.
    fn meet(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            self.may_lack();
            return ptr::null_mut();
        }
        loop {
            let piece = self.take(layout);
            if !piece.is_null() {
                self.is_low.store(true, Ordering::Relaxed);
                return piece;
            }
            self.may_lack();
            std::thread::sleep(PAUSE);
            // SAFETY: the layout is that of the request, which the caller vouches for.
            let memory = unsafe { System.alloc(layout) };
            if !memory.is_null() {
                return memory;
            }
        }
    }

    /// Ends the process unless it holds out without the memory that is missing.
    fn may_lack(&self) {
        if !self.holds_out.load(Ordering::Relaxed) {
            let (words, length) = (self.last_words.as_ptr().cast(), self.last_words.len());
            // SAFETY: the words are readable for their whole length.
            unsafe { libc::write(libc::STDOUT_FILENO, words, length) };
            // SAFETY: `_exit` has no requirements, and runs nothing that could ask for memory.
            unsafe { libc::_exit(1) };
        }
    }

    fn owns(&self, piece: *mut u8) -> bool {
        let base = self.base().addr();
        (base..base + BLOCK * BLOCKS).contains(&piece.addr())
    }

    fn base(&self) -> *mut u8 {
        self.area.0.get().cast()
    }

    fn with_used<T>(&self, act: impl FnOnce(&mut [bool; BLOCKS]) -> T) -> T {
        while self.is_locked.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: the lock is held, so nobody else refers to the table.
        let result = act(unsafe { &mut *self.used.get() });
        self.is_locked.store(false, Ordering::Release);
        result
    }
}

// SAFETY: memory comes either from the system's allocator, whose contract is passed on, or from pieces of the area that
// are marked as used until they are given back; the address tells which.
unsafe impl GlobalAlloc for Reserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        let memory = unsafe { System.alloc(layout) };
        if memory.is_null() { self.meet(layout) } else { memory }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if self.owns(memory) {
            return self.give_back(memory, layout.size());
        }
        // SAFETY: it is not from the area, so it came from the system's allocator with this layout.
        unsafe { System.dealloc(memory, layout) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.owns(memory) {
            // SAFETY: it came from the system's allocator with this layout.
            let grown = unsafe { System.realloc(memory, layout, size) };
            if !grown.is_null() {
                return grown;
            }
        }
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return ptr::null_mut() };
        // SAFETY: the new layout is valid and, as the contract demands, not of size 0.
        let moved = unsafe { self.alloc(wanted) };
        if moved.is_null() {
            return moved;
        }
        // SAFETY: both are valid for the smaller of the two sizes, and a new allocation overlaps nothing.
        unsafe { ptr::copy_nonoverlapping(memory, moved, layout.size().min(size)) };
        // SAFETY: it was allocated with this layout and is not used any more.
        unsafe { self.dealloc(memory, layout) };
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_overlap_and_the_reserve_is_whole_again_once_all_are_back() {
        let reserve = Box::leak(Box::new(Reserve::new(b"")));
        reserve.is_low.store(true, Ordering::Relaxed);
        let layouts = [1, 512, 513, 5000, LARGEST].map(|size| Layout::from_size_align(size, 8).unwrap());
        let pieces: Vec<(*mut u8, Layout)> =
            (0..12).flat_map(|_| layouts).map(|layout| (reserve.take(layout), layout)).collect();
        let mut ranges: Vec<(usize, usize)> = pieces
            .iter()
            .filter(|(piece, _)| !piece.is_null())
            .map(|(piece, layout)| (piece.addr(), piece.addr() + layout.size()))
            .collect();
        ranges.sort_unstable();
        assert!(ranges.len() > 30 && ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        // It is used up before the end, and too much at once is never met.
        assert!(pieces.iter().any(|(piece, _)| piece.is_null()));
        assert!(reserve.take(Layout::from_size_align(LARGEST + 1, 8).unwrap()).is_null());
        for (piece, layout) in pieces.into_iter().filter(|(piece, _)| !piece.is_null()) {
            assert!(reserve.owns(piece) && reserve.is_low());
            reserve.give_back(piece, layout.size());
        }
        assert!(!reserve.is_low());
    }
}
