//! Phase one.
use crate::graph::Graph;
use crate::record::Slot;
impl Graph {
    pub(crate) fn propagate(&mut self, _slot: Slot) {}
}
