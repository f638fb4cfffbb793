//! The dinit service description language.
