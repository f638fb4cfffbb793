//! Configures unpacked packages without root rights.
