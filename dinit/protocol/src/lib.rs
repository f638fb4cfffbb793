//! The dinit control protocol: packets to bytes and back, every version.
