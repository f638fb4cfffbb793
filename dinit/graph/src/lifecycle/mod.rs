//! What the start and stop actions of each type are, and what the end of a process means to it.
