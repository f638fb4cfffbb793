//! System calls without the C library: no `errno`, no locks, no allocation.
//!
//! What runs in a child between its creation and `exec` uses only this, so that it may run while the parent's
//! memory is in any state.

use crate::Errno;

/// Makes a system call and gives its result, or the error number.
///
/// # Safety
/// The arguments must meet the contract of that system call; pointers among them must be valid for it.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the caller vouches for number and arguments; rcx and r11 are what the kernel overwrites.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    outcome(result)
}

/// Makes a system call and gives its result, or the error number.
///
/// # Safety
/// The arguments must meet the contract of that system call; pointers among them must be valid for it.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the caller vouches for number and arguments; x0 is what the kernel overwrites.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    outcome(result)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("raw::call is written for x86_64 and aarch64 only");

/// Sorts a kernel result into value and error: the last 4095 values of the range are error numbers.
fn outcome(result: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}
