//! Controls a dinit daemon.

fn main() {}
