//! Checks dinit service descriptions.

fn main() {}
