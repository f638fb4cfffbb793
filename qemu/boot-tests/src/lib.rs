//! The few tests that boot a real image.
