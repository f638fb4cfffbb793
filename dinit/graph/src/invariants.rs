//! What must hold after every step.
use crate::graph::Graph;
use alloc::string::String;
pub(crate) fn violated(_graph: &Graph) -> Option<String> {
    None
}
