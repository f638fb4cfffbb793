//! Changing a graph that runs: dependencies come and go, services are reloaded and unloaded (LC 10.2 to 10.4).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::edge::{Edge, EdgeId};
use crate::graph::Graph;
use crate::insert::{has_output, link_ends};
use crate::record::{Record, Slot, State};
use crate::request::{Answer, Incompatible, Refusal};
use crate::spec::{ConsoleNeed, DependencyKind, Description, Output};
use crate::status::{ServiceState, StopReason};

/// Whether a link was there before it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Existing(EdgeId),
    New(EdgeId),
}

/// Dependencies.
impl Graph {
    pub(crate) fn add_dep(&mut self, kind: DependencyKind, from: Slot, to: Slot) -> Result<Answer, Answer> {
        self.add_or_find(kind, from, to)?;
        self.settle();
        Ok(Answer::Done)
    }

    pub(crate) fn enable(&mut self, kind: DependencyKind, from: Slot, to: Slot) -> Result<Answer, Answer> {
        let found = self.add_or_find(kind, from, to)?;
        let (Found::Existing(id) | Found::New(id)) = found;
        if self.shutdown.is_none() && self.record(from).wants_dependencies() {
            self.hold(id);
        }
        self.settle();
        Ok(Answer::Enabled { existed: matches!(found, Found::Existing(_)) })
    }

    fn add_or_find(&mut self, kind: DependencyKind, from: Slot, to: Slot) -> Result<Found, Answer> {
        let refuse = |refusal| Err(Answer::Refused(refusal));
        if matches!(kind, DependencyKind::PreparedBy | DependencyKind::Before | DependencyKind::After) {
            return refuse(Refusal::WrongKind);
        }
        if kind == DependencyKind::Regular
            && self.record(from).state != State::Stopped
            && !self.is_started(to)
        {
            return refuse(Refusal::WrongState);
        }
        if self.is_reachable(to, from) {
            return refuse(Refusal::Cycle);
        }
        if let Some(id) = self.find_edge(kind, from, to) {
            return Ok(Found::Existing(id));
        }
        let id = self.add_edge(Edge::new(from, to, kind));
        self.hold_new_link(id);
        Ok(Found::New(id))
    }

    /// Holds a link that was added while the dependent runs, if the dependency runs too or has to.
    fn hold_new_link(&mut self, id: EdgeId) {
        let Some(edge) = self.edge(id) else { return };
        let is_hard = edge.kind.is_always_hard();
        if self.record(edge.from).wants_dependencies() && (is_hard || self.record(edge.to).is_up_or_coming())
        {
            self.hold(id);
        }
        if is_hard && self.record(edge.from).is_pinned_started() {
            self.mark_pins(edge.to);
        }
    }

    pub(crate) fn remove_dep(
        &mut self,
        kind: DependencyKind,
        from: Slot,
        to: Slot,
    ) -> Result<Answer, Answer> {
        if matches!(kind, DependencyKind::PreparedBy | DependencyKind::Before | DependencyKind::After) {
            return Err(Answer::Refused(Refusal::WrongKind));
        }
        let Some(id) = self.find_edge(kind, from, to) else {
            return Err(Answer::Refused(Refusal::NoSuchDependency));
        };
        self.remove_edge(id);
        self.settle();
        Ok(Answer::Done)
    }
}

/// Reload.
impl Graph {
    /// Gives a service a new description, or changes nothing. New links are added before old ones are dropped, so
    /// that a dependency in both is not disturbed.
    pub(crate) fn reload(&mut self, slot: Slot, new: &Description) -> Result<Answer, Answer> {
        self.check_reload(slot, new).map_err(Answer::Refused)?;
        self.check_reload_cycles(slot, new).map_err(Answer::Refused)?;
        let record = self.record_mut(slot);
        if record.spec.kind != new.spec.kind {
            record.pin_stop = false;
            record.trigger = false;
            record.reason = StopReason::Normal;
            record.exec_failure = None;
            record.exit_status = None;
            record.start_failed = false;
            record.start_skipped = false;
            record.last_launch = None;
            if core::mem::take(&mut record.pin_start) {
                self.repin_dependencies(slot);
            }
        }
        self.record_mut(slot).spec = new.spec.clone();
        let old = self.declared_links(slot);
        let kept = self.add_missing_links(slot, new);
        for id in old {
            if !kept.contains(&id) {
                self.remove_declared_link(slot, id);
            }
        }
        self.detach_consumer(slot);
        self.attach_consumer(slot, new.consumer_of.as_deref());
        self.settle();
        Ok(Answer::Done)
    }

    fn check_reload(&self, slot: Slot, new: &Description) -> Result<(), Refusal> {
        let missing = new
            .dependencies
            .iter()
            .find(|dependency| !dependency.kind.is_ordering() && self.find(&dependency.name).is_none());
        if let Some(dependency) = missing {
            return Err(Refusal::UnknownDependency(dependency.name.clone()));
        }
        let record = self.record(slot);
        if record.consumer.is_some() && !has_output(new.spec.kind) {
            return Err(Refusal::Incompatible(Incompatible::ConsumedKind));
        }
        if record.consumer.is_some() && new.spec.output != Output::Pipe {
            return Err(Refusal::Incompatible(Incompatible::ConsumedOutput));
        }
        if let Some(producer) = new.consumer_of.as_deref()
            && self
                .names
                .get(producer)
                .and_then(|slot| self.record(*slot).consumer)
                .is_some_and(|it| it != slot)
        {
            return Err(Refusal::Incompatible(Incompatible::SecondConsumer));
        }
        match record.visible_state() {
            ServiceState::Stopped => Ok(()),
            ServiceState::Starting | ServiceState::Stopping if record.spec.kind == new.spec.kind => {
                Err(Refusal::WrongState)
            }
            ServiceState::Starting | ServiceState::Started | ServiceState::Stopping => {
                self.check_running_reload(record, new).map_err(Refusal::Incompatible)
            }
        }
    }

    /// What a service that is not stopped cannot change (SD 12).
    fn check_running_reload(&self, record: &Record, new: &Description) -> Result<(), Incompatible> {
        if record.spec.kind != new.spec.kind {
            return Err(Incompatible::Kind);
        }
        let hard = new.dependencies.iter().filter(|dependency| dependency.kind.is_always_hard());
        for dependency in hard {
            if let Some(id) = self.find(&dependency.name)
                && self.status(id).is_none_or(|status| status.state != ServiceState::Started)
            {
                return Err(Incompatible::DependencyNotStarted(id));
            }
        }
        let shares = |need: ConsoleNeed| need == ConsoleNeed::Shared;
        let owns = |need: ConsoleNeed| matches!(need, ConsoleNeed::Start | ConsoleNeed::Run);
        let (before, after) = (record.spec.console, new.spec.console);
        if owns(before) != owns(after) || shares(before) != shares(after) {
            return Err(Incompatible::Console);
        }
        if has_output(new.spec.kind) && record.spec.output != new.spec.output {
            return Err(Incompatible::Output);
        }
        let consumed = record.consumer_of.map(|producer| &*self.record(producer).name);
        if consumed != new.consumer_of.as_deref() {
            return Err(Incompatible::ConsumerOf);
        }
        Ok(())
    }

    /// Whether the links of the new description, in place of those of the old one, would close a cycle.
    fn check_reload_cycles(&mut self, slot: Slot, new: &Description) -> Result<(), Refusal> {
        let old: BTreeSet<EdgeId> = self.declared_links(slot).into_iter().collect();
        let named: Vec<(DependencyKind, Option<Slot>)> = new
            .dependencies
            .iter()
            .map(|dependency| (dependency.kind, self.names.get(dependency.name.as_slice()).copied()))
            .collect();
        let mut extra: Vec<(Slot, Slot)> = Vec::new();
        for (kind, other) in named {
            if let Some(other) = other {
                extra.push(link_ends(kind, slot, other));
            }
        }
        let mut seen = BTreeSet::new();
        let mut open: Vec<Slot> = self.next_slots(slot, &old, &extra);
        while let Some(next) = open.pop() {
            if next == slot {
                return Err(Refusal::Cycle);
            }
            if seen.insert(next) {
                open.extend(self.next_slots(next, &old, &extra));
            }
        }
        Ok(())
    }

    fn next_slots(&self, slot: Slot, without: &BTreeSet<EdgeId>, extra: &[(Slot, Slot)]) -> Vec<Slot> {
        let kept = self.record(slot).dependencies.iter().filter(|id| !without.contains(id));
        let kept = kept.filter_map(|id| self.edges.get(*id)).map(|edge| edge.to);
        kept.chain(extra.iter().filter(|(from, _)| *from == slot).map(|(_, to)| *to)).collect()
    }

    /// The links that the description of a service declares: all to its dependencies except those that another
    /// service's `before` made, and those its own `before` made.
    fn declared_links(&self, slot: Slot) -> Vec<EdgeId> {
        let record = self.record(slot);
        let kind_of = |id: &EdgeId| self.edges.get(*id).map(|edge| edge.kind);
        let own = record.dependencies.iter().filter(|id| kind_of(id) != Some(DependencyKind::Before));
        let before = record.dependents.iter().filter(|id| kind_of(id) == Some(DependencyKind::Before));
        own.chain(before).copied().collect()
    }

    fn add_missing_links(&mut self, slot: Slot, new: &Description) -> BTreeSet<EdgeId> {
        let mut kept = BTreeSet::new();
        for dependency in &new.dependencies {
            let other = self.place_or_stand_in(&dependency.name);
            let (from, to) = link_ends(dependency.kind, slot, other);
            let id = match self.find_edge(dependency.kind, from, to) {
                Some(id) => id,
                None => {
                    let id = self.add_edge(Edge::new(from, to, dependency.kind));
                    self.hold_new_link(id);
                    id
                }
            };
            kept.insert(id);
        }
        kept
    }

    fn remove_declared_link(&mut self, slot: Slot, id: EdgeId) {
        let Some(edge) = self.edge(id) else { return };
        self.remove_edge(id);
        self.drop_idle_placeholder(if edge.from == slot { edge.to } else { edge.from });
    }
}

/// Unload.
impl Graph {
    /// Forgets a stopped service that no loaded service needs. Where ordering or output still names it, a
    /// placeholder stays.
    pub(crate) fn unload(&mut self, slot: Slot) -> Result<Answer, Answer> {
        if self.record(slot).state != State::Stopped {
            return Err(Answer::Refused(Refusal::NotStopped));
        }
        if self.any_dependent(slot, |edge| !edge.kind.is_ordering()) {
            return Err(Answer::Refused(Refusal::InUse));
        }
        for id in self.declared_links(slot) {
            self.remove_declared_link(slot, id);
        }
        self.detach_consumer(slot);
        self.settle();
        self.become_placeholder(slot);
        self.drop_idle_placeholder(slot);
        Ok(Answer::Done)
    }

    /// Leaves of a record only what others say of it. Ids given out for it are void from now on.
    fn become_placeholder(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        let name = alloc::sync::Arc::clone(&record.name);
        let generation = record.generation.saturating_add(1);
        let mut placeholder = Record::placeholder(name, generation, 0);
        placeholder.dependencies = core::mem::take(&mut record.dependencies);
        placeholder.dependents = core::mem::take(&mut record.dependents);
        placeholder.consumer = record.consumer;
        *record = placeholder;
    }
}
