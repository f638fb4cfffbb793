//! A blocking connection to a dinit daemon.
