//! The dinit service state machine: events in, effects out.
