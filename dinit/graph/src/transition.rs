//! Phase two.
use crate::graph::Graph;
use crate::record::Slot;
impl Graph {
    pub(crate) fn transition(&mut self, _slot: Slot) {}
}
