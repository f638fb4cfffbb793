//! The dinit init system and service manager.

fn main() {}
