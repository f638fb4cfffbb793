//! Restart limits.
