//! Safe functions over Linux system calls; the only crate with unsafe code.
