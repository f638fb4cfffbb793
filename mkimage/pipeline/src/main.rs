//! Builds and boots Linux images from signed packages.

fn main() {}
