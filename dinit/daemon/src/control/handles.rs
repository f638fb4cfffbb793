//! The handles of one connection: numbers for services, the smallest free one first.

use dinit_graph::ServiceId;
use dinit_protocol::Handle;
use std::collections::{BTreeMap, BTreeSet};

/// The most handles that one connection can have.
const LIMIT: usize = 1 << 16;

/// The handles of one connection.
#[derive(Debug, Default)]
pub(super) struct Handles {
    services: BTreeMap<Handle, ServiceId>,
    of_service: BTreeMap<ServiceId, BTreeSet<Handle>>,
    /// Numbers below `next` that are free.
    free: BTreeSet<Handle>,
    next: u32,
}

impl Handles {
    /// Gives a service a new handle; nothing if the connection has too many.
    pub(super) fn open(&mut self, service: ServiceId) -> Option<Handle> {
        if self.services.len() >= LIMIT {
            return None;
        }
        let handle = self.free.pop_first().unwrap_or_else(|| {
            let handle = Handle(self.next);
            self.next += 1;
            handle
        });
        self.services.insert(handle, service);
        self.of_service.entry(service).or_default().insert(handle);
        Some(handle)
    }

    /// Gives the service of a handle.
    pub(super) fn get(&self, handle: Handle) -> Option<ServiceId> {
        self.services.get(&handle).copied()
    }

    /// Gives a handle back; says whether there was one.
    pub(super) fn close(&mut self, handle: Handle) -> bool {
        let Some(service) = self.services.remove(&handle) else { return false };
        self.free.insert(handle);
        if let Some(handles) = self.of_service.get_mut(&service) {
            handles.remove(&handle);
            if handles.is_empty() {
                self.of_service.remove(&service);
            }
        }
        true
    }

    /// Gives all handles of a service back.
    pub(super) fn close_all(&mut self, service: ServiceId) {
        for handle in self.of_service.remove(&service).unwrap_or_default() {
            self.services.remove(&handle);
            self.free.insert(handle);
        }
    }

    /// Says whether there is a handle of the service.
    pub(super) fn holds(&self, service: ServiceId) -> bool {
        self.of_service.contains_key(&service)
    }

    /// Gives the handles of a service.
    pub(super) fn of(&self, service: ServiceId) -> impl Iterator<Item = Handle> {
        self.of_service.get(&service).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dinit_graph::{Description, Graph, Kind, Spec};

    fn services(count: u8) -> Vec<ServiceId> {
        let description = |name: u8| Description {
            name: vec![b'a' + name],
            spec: Spec::new(Kind::Internal),
            dependencies: Vec::new(),
            consumer_of: None,
        };
        let descriptions: Vec<Description> = (0..count).map(description).collect();
        Graph::new().insert(&descriptions.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_smallest_free_number_is_used_again() {
        let services = services(2);
        let mut handles = Handles::default();
        let opened: Vec<u32> = (0..4).map(|_| handles.open(services[0]).unwrap().0).collect();
        assert_eq!(opened, [0, 1, 2, 3]);
        assert!(handles.close(Handle(2)) && handles.close(Handle(0)) && !handles.close(Handle(0)));
        assert_eq!(handles.open(services[1]), Some(Handle(0)));
        assert_eq!(handles.open(services[1]), Some(Handle(2)));
        assert_eq!(handles.open(services[1]), Some(Handle(4)));
        handles.close_all(services[0]);
        assert!(!handles.holds(services[0]));
        assert_eq!(handles.get(Handle(1)), None);
        assert_eq!(handles.of(services[1]).map(|handle| handle.0).collect::<Vec<_>>(), [0, 2, 4]);
    }

    #[test]
    fn a_connection_cannot_have_handles_without_end() {
        let services = services(1);
        let mut handles = Handles::default();
        assert_eq!((0..LIMIT + 5).filter(|_| handles.open(services[0]).is_some()).count(), LIMIT);
    }
}
