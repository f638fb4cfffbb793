//! The protocol as strangers see it: recorded exchanges, a corpus of strange input, and what becomes of that by
//! chance.
//!
//! The corpus is in `tests/corpus`: `requests` is what a daemon may get, `answers` what a client may get. Its files
//! are raw bytes; those with a name that says something are made by hand, the others were found by fuzzing (see
//! `dinit/protocol/fuzz`). All bytes are those of a 64-bit little-endian machine.

#![cfg(all(target_endian = "little", target_pointer_width = "64"))]

mod corpus;
mod mutations;
mod recorded;
mod recording;
mod streams;
