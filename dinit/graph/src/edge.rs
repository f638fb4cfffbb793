//! One link between two services, and the store that all links live in.

use alloc::vec::Vec;

use crate::record::Slot;
use crate::spec::DependencyKind;

/// Where a link lives in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EdgeId(u32);

/// A link from a dependent to its dependency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// The dependent.
    pub(crate) from: Slot,
    /// The dependency.
    pub(crate) to: Slot,
    pub(crate) kind: DependencyKind,
    /// The dependent contributes to the dependency's `required` count.
    pub(crate) held: bool,
    /// The dependent's start is blocked until the dependency has finished starting.
    pub(crate) waiting: bool,
}

impl Edge {
    pub(crate) fn new(from: Slot, to: Slot, kind: DependencyKind) -> Self {
        Self { from, to, kind, held: false, waiting: false }
    }

    /// Whether the dependent cannot be up, or cannot come up, without the dependency (LC 3).
    pub(crate) fn is_hard(&self) -> bool {
        self.kind.is_always_hard() || (self.kind == DependencyKind::Milestone && self.waiting)
    }
}

/// All links of a graph.
#[derive(Debug)]
pub(crate) struct Edges {
    entries: Vec<Option<Edge>>,
    free: Vec<EdgeId>,
    /// How many links were looked at.
    #[cfg(test)]
    pub(crate) looked_at: core::cell::Cell<u64>,
}

impl Edges {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            #[cfg(test)]
            looked_at: core::cell::Cell::new(0),
        }
    }

    pub(crate) fn add(&mut self, edge: Edge) -> EdgeId {
        if let Some(id) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(id.0 as usize)
        {
            *entry = Some(edge);
            return id;
        }
        let id = EdgeId(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.entries.push(Some(edge));
        id
    }

    pub(crate) fn remove(&mut self, id: EdgeId) {
        if let Some(entry) = self.entries.get_mut(id.0 as usize)
            && entry.take().is_some()
        {
            self.free.push(id);
        }
    }

    pub(crate) fn get(&self, id: EdgeId) -> Option<&Edge> {
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + 1);
        self.entries.get(id.0 as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: EdgeId) -> Option<&mut Edge> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }
}
