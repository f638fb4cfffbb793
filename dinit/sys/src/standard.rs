//! Descriptors 0 to 2 are open before anything else runs.
//!
//! The runtime of Rust opens `/dev/null` where one of them is closed, and ends the program if that cannot be done.
//! Process 1 is started like that by a kernel that finds no console, before anybody has mounted `/dev`.

use std::ffi::CStr;

/// What can be opened on any system; reading and writing it fail at once.
const PLACEHOLDER: &CStr = c"/";

/// Is called with the other constructors of the program, which is before the runtime looks at the descriptors.
#[used]
// SAFETY: the section holds addresses of functions that take no arguments they must look at, as this one does not.
#[unsafe(link_section = ".init_array")]
static BEFORE_THE_RUNTIME: extern "C" fn() = occupy;

/// Opens the null device for each standard descriptor that is closed, and the placeholder where there is none.
extern "C" fn occupy() {
    for descriptor in 0..=2 {
        // SAFETY: asking for the flags of a number takes no memory and changes nothing.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } != -1 {
            continue;
        }
        // All lower numbers are open, so what is opened gets this one.
        // SAFETY: the path is a string with a NUL at its end.
        if unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } == -1 {
            // SAFETY: as above.
            unsafe { libc::open(PLACEHOLDER.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
        }
    }
}
