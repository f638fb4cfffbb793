//! Loading: descriptions become records and links, all of a batch or none of it; placeholders come and go.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;

use crate::edge::Edge;
use crate::graph::Graph;
use crate::id::ServiceId;
use crate::record::{Record, Slot};
use crate::spec::{Dependency, DependencyKind, Description, Kind, Output, Spec};

/// Why a batch of descriptions was not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// A service of this name is loaded already, or is in the batch twice.
    AlreadyLoaded(Vec<u8>),
    /// A dependency that is not ordering names a service that is neither loaded nor in the batch.
    UnknownDependency {
        /// The service that declares it.
        service: Vec<u8>,
        /// What it names.
        dependency: Vec<u8>,
    },
    /// This service of the batch would depend on itself.
    Cycle(Vec<u8>),
    /// `consumer-of` of this service names one that already has a consumer.
    SecondConsumer(Vec<u8>),
    /// `consumer-of` joins this service with one whose type or `log-type` does not produce output into a pipe.
    NoOutput(Vec<u8>),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyLoaded(name) => write!(f, "service `{}` is already loaded", name.escape_ascii()),
            Self::UnknownDependency { service, dependency } => write!(
                f,
                "service `{}` needs `{}`, which is not loaded",
                service.escape_ascii(),
                dependency.escape_ascii()
            ),
            Self::Cycle(name) => write!(f, "service `{}` would depend on itself", name.escape_ascii()),
            Self::SecondConsumer(name) => {
                write!(f, "service `{}` consumes output that already has a consumer", name.escape_ascii())
            }
            Self::NoOutput(name) => {
                write!(f, "service `{}` has no output in a pipe to be consumed", name.escape_ascii())
            }
        }
    }
}

impl core::error::Error for InsertError {}

impl Graph {
    /// Takes in a batch of descriptions, all of them or none, and returns their ids in the same order.
    ///
    /// The order of the batch is the order in which their loading began, and becomes the order of
    /// [`Graph::services`]. Every dependency that is not ordering must be loaded already or be in the batch; names
    /// in `after`, `before` and `consumer-of` need not be. After a failed load the caller inserts what did load.
    /// Nothing is started: the new services are stopped.
    ///
    /// # Errors
    ///
    /// When a name is taken, a dependency is missing, a cycle would arise, or a consumer cannot be attached.
    pub fn insert(&mut self, batch: &[&Description]) -> Result<Vec<ServiceId>, InsertError> {
        let numbers = self.check_names(batch)?;
        self.check_consumers(batch, &numbers)?;
        self.check_cycles(batch, numbers)?;
        let slots: Vec<Slot> = batch.iter().map(|entry| self.place(&entry.name, &entry.spec)).collect();
        for (description, slot) in batch.iter().zip(&slots) {
            self.attach_links(*slot, &description.dependencies);
            self.attach_consumer(*slot, description.consumer_of.as_deref());
        }
        Ok(slots.into_iter().map(|slot| self.id_of(slot)).collect())
    }

    /// Numbers the services of a batch by name, and makes sure that each of its names and dependencies may be there.
    fn check_names<'a>(&self, batch: &[&'a Description]) -> Result<HashMap<&'a [u8], usize>, InsertError> {
        let mut numbers = HashMap::with_capacity(batch.len());
        for (number, description) in batch.iter().enumerate() {
            let name = description.name.as_slice();
            if self.find(name).is_some() || numbers.insert(name, number).is_some() {
                return Err(InsertError::AlreadyLoaded(name.to_vec()));
            }
        }
        for description in batch {
            for dependency in &description.dependencies {
                let name = dependency.name.as_slice();
                if !dependency.kind.is_ordering() && !numbers.contains_key(name) && self.find(name).is_none()
                {
                    return Err(InsertError::UnknownDependency {
                        service: description.name.clone(),
                        dependency: name.to_vec(),
                    });
                }
            }
        }
        Ok(numbers)
    }

    fn check_consumers(
        &self,
        batch: &[&Description],
        numbers: &HashMap<&[u8], usize>,
    ) -> Result<(), InsertError> {
        let mut consumed = BTreeSet::new();
        for description in batch {
            if self.consumer(&description.name).is_some() && !has_piped_output(&description.spec) {
                return Err(InsertError::NoOutput(description.name.clone()));
            }
            let Some(producer) = description.consumer_of.as_deref() else { continue };
            if self.consumer(producer).is_some() || !consumed.insert(producer) {
                return Err(InsertError::SecondConsumer(description.name.clone()));
            }
            let in_batch = numbers.get(producer).and_then(|number| batch.get(*number));
            let loaded = self.find(producer).and_then(|id| self.spec(id));
            if let Some(spec) = in_batch.map(|description| &description.spec).or(loaded)
                && !has_piped_output(spec)
            {
                return Err(InsertError::NoOutput(producer.to_vec()));
            }
        }
        Ok(())
    }

    /// Walks everything the batch can reach. What was loaded before is free of cycles, and is only walked where it
    /// can lead back into the batch.
    fn check_cycles<'a>(
        &'a self,
        batch: &[&'a Description],
        numbers: HashMap<&'a [u8], usize>,
    ) -> Result<(), InsertError> {
        let mut links = Links::new(batch, numbers);
        let mut leads_back = false;
        for (number, description) in batch.iter().enumerate() {
            leads_back |= self.names.contains_key(description.name.as_slice());
            for dependency in &description.dependencies {
                let name = dependency.name.as_slice();
                let other = links.number(name);
                if dependency.kind == DependencyKind::Before {
                    links.add(other, number);
                    leads_back |= self.names.contains_key(name);
                } else {
                    links.add(number, other);
                }
            }
        }
        if leads_back {
            for (slot, record) in (0..).map(Slot).zip(&self.records) {
                let Some(record) = record else { continue };
                let from = links.number(&record.name);
                for to in self.targets(slot) {
                    let to = links.number(&self.record(to).name);
                    links.add(from, to);
                }
            }
        }
        match links.cyclic_name() {
            Some(name) => Err(InsertError::Cycle(name.to_vec())),
            None => Ok(()),
        }
    }

    /// Makes a record for a new service, or makes the placeholder of its name one.
    fn place(&mut self, name: &[u8], spec: &Spec) -> Slot {
        let order = self.next_order;
        self.next_order = order.saturating_add(1);
        if let Some(slot) = self.names.get(name).copied() {
            let record = self.record_mut(slot);
            record.is_placeholder = false;
            record.spec = spec.clone();
            record.order = order;
            return slot;
        }
        self.add_record(name, |name, generation| Record::new(name, spec.clone(), generation, order))
    }

    /// The record of this name, made a placeholder if there is none.
    pub(crate) fn place_or_stand_in(&mut self, name: &[u8]) -> Slot {
        match self.names.get(name) {
            Some(slot) => *slot,
            None => self.add_record(name, |name, generation| Record::placeholder(name, generation, 0)),
        }
    }

    fn add_record(&mut self, name: &[u8], make: impl FnOnce(Arc<[u8]>, u32) -> Record) -> Slot {
        let name: Arc<[u8]> = Arc::from(name);
        let slot = match self.free.pop() {
            Some((slot, generation)) => {
                if let Some(entry) = self.records.get_mut(slot.0 as usize) {
                    *entry = Some(make(Arc::clone(&name), generation));
                }
                slot
            }
            None => {
                let slot = Slot(u32::try_from(self.records.len()).unwrap_or(u32::MAX));
                self.records.push(Some(make(Arc::clone(&name), 0)));
                slot
            }
        };
        self.names.insert(name, slot);
        slot
    }

    /// Adds the links a description declares. The services they name exist, or get a placeholder.
    fn attach_links(&mut self, slot: Slot, dependencies: &[Dependency]) {
        let mut seen = BTreeSet::new();
        for dependency in dependencies {
            let other = self.place_or_stand_in(&dependency.name);
            if !seen.insert((dependency.kind, other)) {
                continue;
            }
            let (from, to) = link_ends(dependency.kind, slot, other);
            self.add_edge(Edge::new(from, to, dependency.kind));
        }
    }

    pub(crate) fn attach_consumer(&mut self, slot: Slot, producer: Option<&[u8]>) {
        let Some(producer) = producer else { return };
        let producer = self.place_or_stand_in(producer);
        self.record_mut(slot).consumer_of = Some(producer);
        self.record_mut(producer).consumer = Some(slot);
    }

    /// Detaches a service from the one whose output it reads.
    pub(crate) fn detach_consumer(&mut self, slot: Slot) {
        if let Some(producer) = self.record_mut(slot).consumer_of.take() {
            self.record_mut(producer).consumer = None;
            self.drop_idle_placeholder(producer);
        }
    }

    /// Removes a placeholder that nothing refers to any more (LC 10.3).
    pub(crate) fn drop_idle_placeholder(&mut self, slot: Slot) {
        let record = self.record(slot);
        if !record.is_placeholder
            || !record.dependencies.is_empty()
            || !record.dependents.is_empty()
            || record.consumer.is_some()
        {
            return;
        }
        let Some(record) = self.records.get_mut(slot.0 as usize).and_then(Option::take) else { return };
        self.names.remove(&record.name);
        if let Some(generation) = record.generation.checked_add(1) {
            self.free.push((slot, generation));
        }
    }
}

/// Which way a declared dependency points: a `before` points from the service it names to the one that declares it.
pub(crate) fn link_ends(kind: DependencyKind, declaring: Slot, named: Slot) -> (Slot, Slot) {
    if kind == DependencyKind::Before { (named, declaring) } else { (declaring, named) }
}

pub(crate) fn has_output(kind: Kind) -> bool {
    matches!(kind, Kind::Process | Kind::BgProcess | Kind::Scripted)
}

fn has_piped_output(spec: &Spec) -> bool {
    has_output(spec.kind) && spec.output == Output::Pipe
}

/// Services by number, and what each leads to.
struct Links<'a> {
    numbers: HashMap<&'a [u8], usize>,
    names: Vec<&'a [u8]>,
    targets: Vec<Vec<usize>>,
}

/// How far the search for a cycle has come with a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Outstanding,
    OnPath,
    Done,
}

impl<'a> Links<'a> {
    /// The services of a batch, numbered already, with no links yet.
    fn new(batch: &[&'a Description], numbers: HashMap<&'a [u8], usize>) -> Self {
        let names: Vec<&[u8]> = batch.iter().map(|description| description.name.as_slice()).collect();
        let targets = names.iter().map(|_| Vec::new()).collect();
        Self { numbers, names, targets }
    }

    fn number(&mut self, name: &'a [u8]) -> usize {
        *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.targets.push(Vec::new());
            self.names.len().saturating_sub(1)
        })
    }

    fn add(&mut self, from: usize, to: usize) {
        if let Some(targets) = self.targets.get_mut(from) {
            targets.push(to);
        }
    }

    /// A name that can be reached from itself, if there is one; depth first, with an explicit stack.
    fn cyclic_name(&self) -> Option<&'a [u8]> {
        let mut visits: Vec<Visit> = self.names.iter().map(|_| Visit::Outstanding).collect();
        let mut path: Vec<(usize, usize)> = Vec::new();
        for root in 0..self.names.len() {
            if visits.get(root) == Some(&Visit::Outstanding) {
                mark(&mut visits, root, Visit::OnPath);
                path.push((root, 0));
            }
            while let Some((number, next)) = path.last_mut() {
                let Some(other) = self.targets.get(*number).and_then(|targets| targets.get(*next)).copied()
                else {
                    mark(&mut visits, *number, Visit::Done);
                    path.pop();
                    continue;
                };
                *next = next.saturating_add(1);
                match visits.get(other) {
                    Some(Visit::OnPath) => return self.names.get(other).copied(),
                    Some(Visit::Outstanding) => {
                        mark(&mut visits, other, Visit::OnPath);
                        path.push((other, 0));
                    }
                    Some(Visit::Done) | None => {}
                }
            }
        }
        None
    }
}

fn mark(visits: &mut [Visit], number: usize, visit: Visit) {
    if let Some(entry) = visits.get_mut(number) {
        *entry = visit;
    }
}
