//! Round trips, prefixes and recorded bytes.
