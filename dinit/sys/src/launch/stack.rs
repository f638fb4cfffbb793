//! Stacks for children that run in our memory.
//!
//! Each is a mapping of its own, so that the memory of many launches at once goes back to the kernel; the first few
//! are kept for the next launches.

use crate::{Errno, last};
use std::ptr::NonNull;
use std::sync::Mutex;

const SIZE: usize = 16 * 1024;

/// Below each stack lies so much that cannot be touched: going too deep ends the child, and nothing else.
const GUARD: usize = 4096;

/// How many stacks are kept.
const KEPT: usize = 8;

static FREE: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// A stack; its memory is used by nobody else while this lives.
#[derive(Debug)]
pub(super) struct Stack(NonNull<libc::c_void>);

// SAFETY: the mapping belongs to the value alone, and is not bound to a thread.
unsafe impl Send for Stack {}

impl Stack {
    /// Takes one that is free, or makes one.
    pub(super) fn take() -> Result<Self, Errno> {
        let mut free = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(stack) = free.pop() {
            return Ok(stack);
        }
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new private mapping touches nothing that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), GUARD + SIZE, protection, flags, -1, 0) };
        let Some(start) = NonNull::new(start).filter(|start| start.as_ptr() != libc::MAP_FAILED) else {
            return Err(last());
        };
        // SAFETY: the range is the lower end of the mapping just made.
        unsafe { libc::mprotect(start.as_ptr(), GUARD, libc::PROT_NONE) };
        Ok(Self(start))
    }

    /// Gives the upper end, from which the stack grows down; aligned as every calling convention wants it.
    pub(super) fn top(&self) -> *mut libc::c_void {
        self.0.as_ptr().wrapping_byte_add(GUARD + SIZE)
    }

    /// Gives the stack back.
    pub(super) fn give_back(self) {
        let mut free = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if free.len() < KEPT {
            free.push(self);
            return;
        }
        // SAFETY: the mapping was made by `take` with this size, and nobody uses it any more.
        unsafe { libc::munmap(self.0.as_ptr(), GUARD + SIZE) };
    }
}
