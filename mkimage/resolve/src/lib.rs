//! Chooses packages: requests and an index to a lock, or an explanation of why none exists.
