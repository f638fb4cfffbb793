//! Adding, removing, holding, giving up and waiting for links: the only code that changes an edge or a count.

use alloc::vec;
use alloc::vec::Vec;

use crate::edge::{Edge, EdgeId};
use crate::graph::Graph;
use crate::record::{Slot, State};
use crate::spec::DependencyKind;
use crate::status::{Milestone, ServiceState, StopReason, Target};

/// Whether a service that loses its last requirement is told to stop by that, or is being stopped anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It is told to stop, for reason NORMAL.
    TellsToStop,
    /// Its stop is under way and keeps the reason it has.
    WhileStopping,
}

impl Graph {
    pub(crate) fn find_edge(&self, kind: DependencyKind, from: Slot, to: Slot) -> Option<EdgeId> {
        let (from_links, to_links) = (&self.record(from).dependencies, &self.record(to).dependents);
        let shorter = if from_links.len() <= to_links.len() { from_links } else { to_links };
        let is_it = |id: &&EdgeId| {
            self.edges.get(**id).is_some_and(|edge| edge.kind == kind && edge.from == from && edge.to == to)
        };
        shorter.iter().find(is_it).copied()
    }

    pub(crate) fn add_edge(&mut self, edge: Edge) -> EdgeId {
        let id = self.edges.add(edge);
        self.record_mut(edge.from).dependencies.push(id);
        self.record_mut(edge.to).dependents.push(id);
        id
    }

    /// Takes a link out, giving it up if it is held and waking the dependent if it waited for it (D9).
    pub(crate) fn remove_edge(&mut self, id: EdgeId) {
        let Some(edge) = self.edge(id) else { return };
        self.stop_waiting(id);
        self.let_go(id, Loss::TellsToStop);
        self.queue_transition(edge.to);
        if self.record(edge.from).is_pinned_started() {
            self.mark_pins(edge.to);
        }
        self.edges.remove(id);
        self.record_mut(edge.from).dependencies.retain(|other| *other != id);
        self.record_mut(edge.to).dependents.retain(|other| *other != id);
    }

    /// Whether `to` is `from`, or can be reached from it over links of any kind.
    pub(crate) fn is_reachable(&self, from: Slot, to: Slot) -> bool {
        let mut seen = vec![false; self.records.len()];
        let mut open = vec![from];
        while let Some(slot) = open.pop() {
            if slot == to {
                return true;
            }
            match seen.get_mut(slot.0 as usize) {
                Some(seen) if !*seen => *seen = true,
                Some(_) | None => continue,
            }
            open.extend(self.targets(slot));
        }
        false
    }

    /// The dependencies of a service, over links of any kind.
    pub(crate) fn targets(&self, slot: Slot) -> impl Iterator<Item = Slot> + '_ {
        self.record(slot).dependencies.iter().filter_map(|id| self.edges.get(*id)).map(|edge| edge.to)
    }

    /// Whether some link that matches leads to the service.
    pub(crate) fn any_dependent(&self, slot: Slot, matches: impl Fn(&Edge) -> bool) -> bool {
        self.record(slot).dependents.iter().filter_map(|id| self.edges.get(*id)).any(matches)
    }

    /// Holds a link: the dependency is required once more. One that is held already still has a dependency come up
    /// that was told to stop for good, which happens when a pin kept the dependent from letting go.
    pub(crate) fn hold(&mut self, id: EdgeId) {
        let Some(edge) = self.edges.get_mut(id) else { return };
        if edge.kind.is_ordering() {
            return;
        }
        let to = edge.to;
        if !core::mem::replace(&mut edge.held, true) {
            self.require(to);
        } else if self.record(to).target == Target::Stopped {
            self.want(to);
        }
    }

    /// Gives up a link that is held: the dependency is required once less.
    pub(crate) fn let_go(&mut self, id: EdgeId, loss: Loss) {
        let Some(edge) = self.edges.get_mut(id) else { return };
        if !edge.held {
            return;
        }
        edge.held = false;
        let to = edge.to;
        self.unrequire(to, loss);
    }

    /// Counts one more reason to be up. The first one sets the target in every state (D21); so does a later one that
    /// finds it cleared, which is how a stop leaves it that waits for a pinned dependent.
    pub(crate) fn require(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        record.required = record.required.saturating_add(1);
        if record.required == 1 || record.target == Target::Stopped {
            self.want(slot);
        }
    }

    /// Has a service come up, now or after it is down.
    pub(crate) fn want(&mut self, slot: Slot) {
        self.aim_for_started(slot);
        self.record_mut(slot).marks.start = true;
        self.queue_propagation(slot);
    }

    /// Counts one reason to be up less; without any the service is not wanted (LC 4.3).
    pub(crate) fn unrequire(&mut self, slot: Slot, loss: Loss) {
        let record = self.record_mut(slot);
        debug_assert!(record.required > 0);
        record.required = record.required.saturating_sub(1);
        if record.required > 0 {
            return;
        }
        let gives_restart_up = matches!(record.state, State::Stopping(_))
            && record.target == Target::Started
            && !record.is_pinned_started();
        self.aim_for_stopped(slot);
        if gives_restart_up {
            self.announce(slot, Milestone::StartCancelled);
        }
        let record = self.record_mut(slot);
        if loss == Loss::TellsToStop && record.is_up_or_coming() && !record.is_pinned_started() {
            record.reason = StopReason::Normal;
            self.mark_stop(slot);
        }
    }

    /// Drops the explicit activation.
    pub(crate) fn deactivate(&mut self, slot: Slot, loss: Loss) {
        let record = self.record_mut(slot);
        if record.active {
            record.active = false;
            self.unrequire(slot, loss);
        }
    }

    /// Sets the target; links that were given up are held again as soon as propagation gets there (D1).
    pub(crate) fn aim_for_started(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        if record.target == Target::Stopped {
            record.target = Target::Started;
            self.mark_links(slot);
        }
    }

    /// Clears the target and with it the restart that was due.
    pub(crate) fn aim_for_stopped(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        if record.target == Target::Started {
            record.target = Target::Stopped;
            record.restart = None;
            self.mark_links(slot);
        }
    }

    pub(crate) fn mark_links(&mut self, slot: Slot) {
        self.record_mut(slot).marks.links = true;
        self.queue_propagation(slot);
    }

    pub(crate) fn mark_stop(&mut self, slot: Slot) {
        self.record_mut(slot).marks.stop = true;
        self.queue_propagation(slot);
    }

    pub(crate) fn mark_pins(&mut self, slot: Slot) {
        self.record_mut(slot).marks.pins = true;
        self.queue_propagation(slot);
    }

    /// Has the dependent wait for this link before its start action.
    pub(crate) fn begin_waiting(&mut self, id: EdgeId) {
        let Some(edge) = self.edges.get_mut(id) else { return };
        if edge.waiting {
            return;
        }
        edge.waiting = true;
        let Edge { from, to, kind, .. } = *edge;
        let record = self.record_mut(from);
        record.waiting = record.waiting.saturating_add(1);
        if kind == DependencyKind::Milestone && record.is_pinned_started() {
            self.mark_pins(to);
        }
    }

    /// Has the dependent wait for this link no longer, and looks at it again.
    pub(crate) fn stop_waiting(&mut self, id: EdgeId) {
        let Some(edge) = self.edges.get_mut(id) else { return };
        if !edge.waiting {
            return;
        }
        edge.waiting = false;
        let Edge { from, to, kind, .. } = *edge;
        let record = self.record_mut(from);
        debug_assert!(record.waiting > 0);
        record.waiting = record.waiting.saturating_sub(1);
        let is_pinned = record.is_pinned_started();
        self.queue_transition(from);
        if kind == DependencyKind::Milestone {
            if is_pinned {
                self.mark_pins(to);
            }
            self.queue_transition(to);
        }
    }

    /// Whether a service that enters STARTING waits for this link (LC 5.2, D20).
    pub(crate) fn must_wait_for(&self, edge: &Edge) -> bool {
        let state = self.record(edge.to).visible_state();
        match edge.kind {
            DependencyKind::Before | DependencyKind::After => state == ServiceState::Starting,
            DependencyKind::Regular | DependencyKind::PreparedBy | DependencyKind::Milestone => {
                state != ServiceState::Started
            }
            DependencyKind::WaitsFor => {
                state == ServiceState::Starting || (edge.held && state != ServiceState::Started)
            }
        }
    }

    /// All links of a service that are not ordering.
    pub(crate) fn requirements_of(&self, slot: Slot) -> Vec<EdgeId> {
        let is_requirement = |id: &EdgeId| self.edges.get(*id).is_some_and(|edge| !edge.kind.is_ordering());
        self.record(slot).dependencies.iter().copied().filter(is_requirement).collect()
    }
}
