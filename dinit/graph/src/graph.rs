//! The graph itself: what it holds, how it settles, and what can be asked without changing anything.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::console::Console;
use crate::edge::{Edge, EdgeId, Edges};
use crate::effect::{Effect, Notice, Role};
use crate::event::Event;
use crate::id::{Instant, RunId, ServiceId};
#[cfg(any(test, debug_assertions))]
use crate::invariants;
use crate::record::{Record, Slot, State};
use crate::request::{Answer, Request, ShutdownKind};
use crate::spec::{DependencyKind, Kind, Spec};
use crate::status::{Milestone, ServiceState, Status};

/// All services, how they depend on each other, and what each is doing.
///
/// ```
/// use dinit_graph::{Answer, Description, Effect, Graph, Instant, Kind, Request, Spec};
///
/// let mut graph = Graph::new();
/// let boot = Description {
///     name: b"boot".to_vec(),
///     spec: Spec::new(Kind::Internal),
///     dependencies: Vec::new(),
///     consumer_of: None,
/// };
/// let ids = graph.insert(&[&boot]).expect("nothing is missing");
/// let mut effects = Vec::new();
/// let answer = graph.request(Instant(0), Request::Start { service: ids[0], pin: false }, &mut effects);
/// assert_eq!(answer, Answer::AlreadyThere);
/// assert!(matches!(effects.as_slice(), [Effect::Announce { .. }]));
/// ```
#[derive(Debug)]
pub struct Graph {
    pub(crate) records: Vec<Option<Record>>,
    /// Answers for what is not there, so that a lookup is never a way to fail.
    pub(crate) nobody: Record,
    pub(crate) free: Vec<(Slot, u32)>,
    pub(crate) names: HashMap<Arc<[u8]>, Slot>,
    pub(crate) edges: Edges,
    pub(crate) runs: BTreeMap<RunId, Slot>,
    pub(crate) next_run: u64,
    pub(crate) next_timer: u64,
    pub(crate) next_order: u64,

    pub(crate) propagation: VecDeque<Slot>,
    pub(crate) transition: VecDeque<Slot>,
    /// Services whose process is gone and that may come up again before their dependents are down.
    pub(crate) relaunch: VecDeque<Slot>,
    pub(crate) console: Console,
    pub(crate) active_count: usize,
    pub(crate) shutdown: Option<ShutdownKind>,
    /// Services whose `kill-all-on-stop` is being carried out, and the launches held back meanwhile.
    pub(crate) killing: u32,
    pub(crate) held_launches: Vec<(Slot, Effect)>,

    pub(crate) now: Instant,
    pub(crate) out: Vec<Effect>,
    #[cfg(test)]
    pub(crate) trace: Vec<crate::tests::Trace>,
    #[cfg(test)]
    pub(crate) violation: Option<alloc::string::String>,
}

/// One link as seen from one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kind.
    pub kind: DependencyKind,
    /// The service at the other end.
    pub service: ServiceId,
    /// Whether the dependent currently requires the dependency.
    pub held: bool,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// A graph without services.
    #[must_use]
    pub fn new() -> Self {
        Self {
            records: Vec::new(),
            nobody: Record::placeholder(Arc::from(&b""[..]), 0, 0),
            free: Vec::new(),
            names: HashMap::new(),
            edges: Edges::new(),
            runs: BTreeMap::new(),
            next_run: 1,
            next_timer: 1,
            next_order: 0,
            propagation: VecDeque::new(),
            transition: VecDeque::new(),
            relaunch: VecDeque::new(),
            console: Console::default(),
            active_count: 0,
            shutdown: None,
            killing: 0,
            held_launches: Vec::new(),
            now: Instant(0),
            out: Vec::new(),
            #[cfg(test)]
            trace: Vec::new(),
            #[cfg(test)]
            violation: None,
        }
    }

    /// Takes in one event, settles the graph, and appends what must now be done.
    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        self.take_in(event);
        self.settle();
        self.hand_over(effects);
    }

    /// Carries out one request, settles the graph, appends what must now be done, and answers.
    ///
    /// The answer counts from the moment the effects have been performed: announcements come before it.
    pub fn request(&mut self, now: Instant, request: Request, effects: &mut Vec<Effect>) -> Answer {
        self.now = self.now.max(now);
        let answer = self.answer(request);
        self.hand_over(effects);
        answer
    }

    /// Appends what must be done, and keeps no room for it: a large step need not be followed by another.
    fn hand_over(&mut self, effects: &mut Vec<Effect>) {
        if effects.is_empty() {
            core::mem::swap(effects, &mut self.out);
        } else {
            effects.append(&mut self.out);
        }
    }

    /// Empties the queues: all propagation before any transition, one transition at a time (LC 5). What still
    /// waits for its dependents when nothing else can move may be launched again at once (LC 9.3).
    pub(crate) fn settle(&mut self) {
        #[cfg(any(test, debug_assertions))]
        let mut touched = alloc::collections::BTreeSet::new();
        loop {
            #[cfg(any(test, debug_assertions))]
            {
                touched.extend(self.propagation.front().or(self.transition.front()));
            }
            if let Some(slot) = self.propagation.pop_front() {
                self.record_mut(slot).in_propagation = false;
                self.propagate(slot);
            } else if let Some(slot) = self.transition.pop_front() {
                self.record_mut(slot).in_transition = false;
                self.transition(slot);
            } else if let Some(slot) = self.relaunch.pop_front() {
                self.relaunch_early(slot);
            } else {
                break;
            }
        }
        #[cfg(test)]
        let looked_at = self.edges.looked_at.get();
        #[cfg(any(test, debug_assertions))]
        self.demand(invariants::violated_by(self, &touched));
        #[cfg(test)]
        self.edges.looked_at.set(looked_at);
    }

    /// Stops a debug build where an invariant is violated; in tests it is remembered, to be told with what led there.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn demand(&mut self, violation: Option<alloc::string::String>) {
        #[cfg(test)]
        if self.violation.is_none() {
            self.violation = violation;
        }
        #[cfg(not(test))]
        assert_eq!(violation, None, "the service graph is not what it must be");
    }

    /// Has a service looked at in the propagation phase.
    pub(crate) fn queue_propagation(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        if !record.in_propagation {
            record.in_propagation = true;
            self.propagation.push_back(slot);
        }
    }

    /// Has a service looked at in the transition phase.
    pub(crate) fn queue_transition(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        if !record.in_transition {
            record.in_transition = true;
            self.transition.push_back(slot);
        }
    }

    pub(crate) fn record(&self, slot: Slot) -> &Record {
        self.records.get(slot.0 as usize).and_then(Option::as_ref).unwrap_or(&self.nobody)
    }

    pub(crate) fn record_mut(&mut self, slot: Slot) -> &mut Record {
        match self.records.get_mut(slot.0 as usize) {
            Some(Some(record)) => record,
            Some(None) | None => &mut self.nobody,
        }
    }

    pub(crate) fn edge(&self, id: EdgeId) -> Option<Edge> {
        self.edges.get(id).copied()
    }

    /// The slots and ids of a service's links, copied so that they can be walked while the graph changes.
    pub(crate) fn dependents_of(&self, slot: Slot) -> Vec<EdgeId> {
        self.record(slot).dependents.clone()
    }

    pub(crate) fn dependencies_of(&self, slot: Slot) -> Vec<EdgeId> {
        self.record(slot).dependencies.clone()
    }

    /// Where a service lives, if it is loaded.
    pub(crate) fn resolve(&self, id: ServiceId) -> Option<Slot> {
        let slot = Slot(id.slot);
        let record = self.records.get(slot.0 as usize)?.as_ref()?;
        (record.generation == id.generation && !record.is_placeholder).then_some(slot)
    }

    pub(crate) fn id_of(&self, slot: Slot) -> ServiceId {
        ServiceId { slot: slot.0, generation: self.record(slot).generation }
    }

    /// Changes the state and counts the services that are not stopped.
    pub(crate) fn set_state(&mut self, slot: Slot, state: State) {
        let record = self.record_mut(slot);
        let before = record.visible_state();
        record.state = state;
        let after = record.visible_state();
        if before == after {
            return;
        }
        #[cfg(test)]
        self.trace.push(crate::tests::Trace::State(slot, after));
        if before == ServiceState::Stopped {
            self.active_count = self.active_count.saturating_add(1);
        } else if after == ServiceState::Stopped {
            self.active_count = self.active_count.saturating_sub(1);
        }
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        #[cfg(test)]
        self.trace.push(crate::tests::Trace::Effect(effect.clone()));
        self.out.push(effect);
    }

    pub(crate) fn announce(&mut self, slot: Slot, milestone: Milestone) {
        let status = self.status_of(slot);
        self.emit(Effect::Announce { service: self.id_of(slot), milestone, status });
    }

    pub(crate) fn note(&mut self, slot: Slot, notice: Notice) {
        self.emit(Effect::Note { service: self.id_of(slot), notice });
    }

    pub(crate) fn status_of(&self, slot: Slot) -> Status {
        let record = self.record(slot);
        Status {
            state: record.visible_state(),
            target: record.target,
            explicitly_active: record.active,
            waiting_for_console: self.awaits_console(slot),
            has_console: self.console.is_holder(slot),
            start_skipped: record.start_skipped,
            start_failed: record.start_failed,
            stop_reason: record.reason,
            exec_failure: record.exec_failure,
            exit_status: record.exit_status,
            main_run: record.visible_run(),
        }
    }
}

/// Queries.
impl Graph {
    /// The loaded service of this full name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<ServiceId> {
        let slot = *self.names.get(name)?;
        (!self.record(slot).is_placeholder).then(|| self.id_of(slot))
    }

    /// The full name of a service.
    #[must_use]
    pub fn name(&self, service: ServiceId) -> Option<&[u8]> {
        Some(&self.record(self.resolve(service)?).name)
    }

    /// The settings of a service, as last loaded.
    #[must_use]
    pub fn spec(&self, service: ServiceId) -> Option<&Spec> {
        Some(&self.record(self.resolve(service)?).spec)
    }

    /// Everything a status block shows, as of now.
    #[must_use]
    pub fn status(&self, service: ServiceId) -> Option<Status> {
        Some(self.status_of(self.resolve(service)?))
    }

    /// All loaded services in the order in which their loading began.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceId> {
        let mut listed: Vec<(u64, ServiceId)> = self
            .names
            .values()
            .map(|slot| (self.record(*slot), *slot))
            .filter(|(record, _)| !record.is_placeholder)
            .map(|(record, slot)| (record.order, self.id_of(slot)))
            .collect();
        listed.sort_unstable();
        listed.into_iter().map(|(_, id)| id).collect()
    }

    /// How many services are not stopped. When it is 0 and no `Chain` or load is under way, all is over.
    #[must_use]
    pub fn active_count(&self) -> usize {
        self.active_count
    }

    /// What was asked to come after everything is stopped; `None` while no shutdown is in progress.
    #[must_use]
    pub fn shutdown(&self) -> Option<ShutdownKind> {
        self.shutdown
    }

    /// The links of a service to what it needs, in the order of its description.
    #[must_use]
    pub fn dependencies(&self, service: ServiceId) -> Vec<Link> {
        let Some(slot) = self.resolve(service) else { return Vec::new() };
        self.links(&self.record(slot).dependencies, |edge| edge.to)
    }

    /// The links to a service from what needs it.
    #[must_use]
    pub fn dependents(&self, service: ServiceId) -> Vec<Link> {
        let Some(slot) = self.resolve(service) else { return Vec::new() };
        self.links(&self.record(slot).dependents, |edge| edge.from)
    }

    fn links(&self, ids: &[EdgeId], other: fn(&Edge) -> Slot) -> Vec<Link> {
        ids.iter()
            .filter_map(|id| self.edges.get(*id))
            .filter(|edge| !self.record(other(edge)).is_placeholder)
            .map(|edge| Link { kind: edge.kind, service: self.id_of(other(edge)), held: edge.held })
            .collect()
    }

    /// The services that require this one right now, one entry a link.
    #[must_use]
    pub fn holders(&self, service: ServiceId) -> Vec<ServiceId> {
        self.dependents(service).into_iter().filter(|link| link.held).map(|link| link.service).collect()
    }

    /// The service that reads the output of the service of this name, whether or not that one is loaded.
    #[must_use]
    pub fn consumer(&self, producer: &[u8]) -> Option<ServiceId> {
        let slot = *self.names.get(producer)?;
        self.record(slot).consumer.map(|consumer| self.id_of(consumer))
    }

    /// Whether `to` is `from`, or can be reached from it over links of any kind.
    #[must_use]
    pub fn reaches(&self, from: ServiceId, to: ServiceId) -> bool {
        match (self.resolve(from), self.resolve(to)) {
            (Some(from), Some(to)) => self.is_reachable(from, to),
            (Some(_) | None, _) => false,
        }
    }

    /// Whose run this is, and which of its commands it runs; `None` once the graph is done with it.
    #[must_use]
    pub fn run(&self, run: RunId) -> Option<(ServiceId, Role)> {
        let slot = *self.runs.get(&run)?;
        Some((self.id_of(slot), self.record(slot).role_of(run)?))
    }

    /// Whether a service is of a type that a trigger means something to.
    #[must_use]
    pub fn is_triggered(&self, service: ServiceId) -> bool {
        self.spec(service).is_some_and(|spec| spec.kind == Kind::Triggered)
    }
}
