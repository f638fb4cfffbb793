//! Swap areas.

use std::ffi::CStr;

use crate::{Errno, last};

/// Takes a swap area out of use; what it holds moves back to memory, which may take long.
///
/// # Errors
/// `EINVAL` if it is no swap area in use, `ENOMEM` if what it holds does not fit the memory.
pub fn turn_off(area: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is a C string that outlives the call.
    if unsafe { libc::swapoff(area.as_ptr()) } == 0 { Ok(()) } else { Err(last()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_swap_area_cannot_be_turned_off() {
        assert!(turn_off(c"/proc/self/no-such-area").is_err());
    }
}
