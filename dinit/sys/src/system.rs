//! What concerns the whole machine: kernel messages on the console, the ctrl-alt-del key, rebooting, clocks.

use crate::{Errno, last};
use std::ffi::CString;

/// Stops the kernel from writing its messages to the console.
pub fn silence_kernel_messages() -> Result<(), Errno> {
    const CONSOLE_OFF: i32 = 6;
    // SAFETY: this action uses no buffer.
    let status = unsafe { libc::klogctl(CONSOLE_OFF, std::ptr::null_mut(), 0) };
    if status < 0 { Err(last()) } else { Ok(()) }
}

/// Makes ctrl-alt-del send `SIGINT` to process 1 instead of rebooting at once.
pub fn catch_ctrl_alt_del() -> Result<(), Errno> {
    Ok(nix::sys::reboot::set_cad_enabled(false)?)
}

/// The ways in which the kernel can be told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelEnd {
    /// Halts; the machine stays on.
    Halt,
    /// Halts and switches the power off.
    PowerOff,
    /// Restarts the machine.
    Restart,
    /// Starts the kernel that was loaded for it.
    Kexec,
}

/// Tells the kernel to end; comes back only if it refused.
pub fn end_kernel(how: KernelEnd) -> Errno {
    let command = match how {
        KernelEnd::Halt => libc::LINUX_REBOOT_CMD_HALT,
        KernelEnd::PowerOff => libc::LINUX_REBOOT_CMD_POWER_OFF,
        KernelEnd::Restart => libc::LINUX_REBOOT_CMD_RESTART,
        KernelEnd::Kexec => libc::LINUX_REBOOT_CMD_KEXEC,
    };
    // SAFETY: none of these commands takes a pointer.
    if unsafe { libc::reboot(command) } == 0 { Errno(0) } else { last() }
}

/// Writes all cached changes of all file systems to their devices.
pub fn sync() {
    nix::unistd::sync();
}

/// Gives memory that was freed back to the kernel, where the C library can do that.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of the pages of this program's code and constants, most of which only starting needs.
///
/// Nothing is lost: the kernel has the file, and maps again what is used. It maps generously, so that otherwise most of
/// a program counts as its memory for ever.
pub fn unmap_code() {
    // SAFETY: the function is called before this returns, and keeps the contract of the call.
    unsafe { libc::dl_iterate_phdr(Some(unmap_read_only_segments), std::ptr::null_mut()) };
}

/// Unmaps what is never written of the first object, which is the program itself.
unsafe extern "C" fn unmap_read_only_segments(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut libc::c_void,
) -> libc::c_int {
    const PAGE: u64 = 4096;
    // SAFETY: the C library passes a valid description of an object.
    let info = unsafe { &*info };
    // SAFETY: it describes so many headers at this place, which stay there as long as the object is mapped.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let is_fixed = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 && header.p_memsz > 0
    };
    for header in headers.iter().filter(is_fixed) {
        let begin = (info.dlpi_addr + header.p_vaddr) / PAGE * PAGE;
        let end = info.dlpi_addr + header.p_vaddr + header.p_memsz;
        // SAFETY: these pages are mapped from the program's file and were never written, so that reading them again
        // gives the same bytes.
        unsafe { libc::madvise(begin as *mut libc::c_void, (end - begin) as usize, libc::MADV_DONTNEED) };
    }
    1
}

/// Gives the time of the monotonic clock in nanoseconds; it never goes back.
pub fn monotonic_nanoseconds() -> u64 {
    clock(nix::time::ClockId::CLOCK_MONOTONIC).map_or(0, |(seconds, rest)| {
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(rest)
    })
}

/// Gives the time of day: seconds since 1970 and nanoseconds.
pub fn time_of_day() -> (i64, u64) {
    clock(nix::time::ClockId::CLOCK_REALTIME).unwrap_or((0, 0))
}

/// Sets an environment entry's bytes up as a C string; `EINVAL` if there is a NUL byte in it.
pub fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno(libc::EINVAL))
}

fn clock(which: nix::time::ClockId) -> Option<(i64, u64)> {
    let time = which.now().ok()?;
    Some((time.tv_sec(), u64::try_from(time.tv_nsec()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_constants_that_were_let_go_of_are_there_when_they_are_used() {
        const WORDS: [&str; 3] = ["one", "two", "three"];
        let before: Vec<String> = WORDS.iter().map(|word| word.repeat(3)).collect();
        unmap_code();
        let after: Vec<String> = WORDS.iter().map(|word| word.repeat(3)).collect();
        assert_eq!(before, after);
        assert!(monotonic_nanoseconds() > 0);
    }
}
