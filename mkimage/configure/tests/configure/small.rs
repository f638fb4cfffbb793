//! Tests with packages made up for them, in a tree that has the shell of this machine.

use crate::Test;

/// The tests with their names.
pub(crate) const TESTS: &[(&str, Test)] = &[];
