//! A virtual machine as a value, then as a running thing one can expect() on.
