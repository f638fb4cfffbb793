//! Answers inside a guest under test.

fn main() {}
