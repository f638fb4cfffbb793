//! shutdown, halt, poweroff, reboot for dinit.

fn main() {}
