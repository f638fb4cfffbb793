//! What one walk has loaded, and how it enters the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use dinit_graph::{DependencyKind, Description, Graph, InsertError, ServiceId};
use hashbrown::HashMap;

use crate::error::LoadError;
use crate::exec::ExecSpec;
use crate::load::{CYCLE, NO_DEPENDENCY, NO_PIPE, NewService, SECOND_CONSUMER, base_of};

/// A service that is loaded and not yet in the graph.
pub(crate) struct Loaded {
    /// When its loading began, as a place in the sequence of all.
    pub(crate) began: usize,
    pub(crate) description: Description,
    pub(crate) exec: Rc<ExecSpec>,
}

/// What came of inserting a batch.
pub(crate) struct Committed {
    pub(crate) services: Vec<NewService>,
    /// What the graph did not take, by full name.
    pub(crate) refused: Vec<(Arc<[u8]>, LoadError)>,
}

/// Inserts what loaded. What the graph refuses does not load, and neither does what needs it.
pub(crate) fn commit(graph: &mut Graph, batch: Batch) -> Committed {
    let services = batch.services;
    let mut order: Vec<&Loaded> = services.iter().collect();
    order.sort_unstable_by_key(|service| service.began);
    let descriptions: Vec<&Description> = order.iter().map(|service| &service.description).collect();
    let mut committed = Committed { services: Vec::new(), refused: Vec::new() };
    if let Ok(ids) = graph.insert(&descriptions) {
        let new = |(id, service): (ServiceId, &Loaded)| NewService { id, exec: Rc::clone(&service.exec) };
        committed.services.extend(ids.into_iter().zip(order).map(new));
        return committed;
    }
    // Only links through placeholders that other loads left behind lead here: the walk does not see them. One by
    // one, in the order in which they were finished, each finds its dependencies in the graph or fails.
    for Loaded { description, exec, .. } in services {
        match graph.insert(&[&description]).map(|ids| ids.into_iter().next()) {
            Ok(id) => committed.services.extend(id.map(|id| NewService { id, exec })),
            Err(error) => {
                let error = LoadError::other(base_of(&exec.name), insert_text(&error));
                committed.refused.push((Arc::clone(&exec.name), error));
            }
        }
    }
    committed
}

/// Returns the reference's words for what the graph refuses.
fn insert_text(error: &InsertError) -> &'static str {
    match error {
        InsertError::AlreadyLoaded(_) | InsertError::Cycle(_) => CYCLE,
        InsertError::UnknownDependency { .. } => NO_DEPENDENCY,
        InsertError::SecondConsumer(_) => SECOND_CONSUMER,
        InsertError::NoOutput(_) => NO_PIPE,
    }
}

/// What has been loaded since the walk began.
#[derive(Default)]
pub(crate) struct Batch {
    /// In the order in which they were finished.
    services: Vec<Loaded>,
    /// Where each is in `services`.
    by_name: HashMap<Vec<u8>, usize>,
    /// Who reads whose output: producer to consumer.
    pub(crate) consumers: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The links that a `before` makes: from the later service to the earlier ones.
    pub(crate) later: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// The services that some link of the batch leads to although they were not loaded at that time.
    pub(crate) awaited: BTreeSet<Vec<u8>>,
}

impl Batch {
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Loaded> {
        self.services.get(*self.by_name.get(name)?)
    }

    pub(crate) fn add(&mut self, loaded: Loaded) {
        let name = loaded.description.name.clone();
        for dependency in &loaded.description.dependencies {
            match dependency.kind {
                DependencyKind::Before => {
                    self.later.entry(dependency.name.clone()).or_default().push(name.clone());
                    self.awaited.insert(dependency.name.clone());
                }
                DependencyKind::After => {
                    self.awaited.insert(dependency.name.clone());
                }
                _ => {}
            }
        }
        if let Some(producer) = &loaded.description.consumer_of {
            self.consumers.insert(producer.clone(), name.clone());
        }
        self.by_name.insert(name, self.services.len());
        self.services.push(loaded);
    }
}
