//! Which process belongs to which run.
//!
//! A run is named by the graph and never reused; a process id is reused as soon as the process has been collected.
//! So the id leaves [`Runs`] the moment the end is collected, and only what is alive can be signalled.

use crate::utmp::Login;
use dinit_graph::{Role, RunId, ServiceId};
use dinit_sys::launch::StatusPipe;
use dinit_sys::process::Pid;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::OwnedFd;

/// One launch of one process.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) service: ServiceId,
    pub(crate) role: Role,
    pub(crate) pid: Pid,
    /// Whether the process has not been collected yet (or, unsupervised, was not given up).
    pub(crate) is_alive: bool,
    /// The status pipe, until it says how the launch went.
    pub(crate) status: Option<StatusPipe>,
    /// The read end of the readiness pipe, until it ends.
    pub(crate) readiness: Option<OwnedFd>,
    /// Whether readiness was reported, so that what comes now is dropped.
    pub(crate) is_ready: bool,
    /// The number in the tokens of its pipes.
    pub(crate) number: u64,
    /// The entry to be closed when the process ends.
    pub(crate) login: Option<Login>,
}

/// All runs that the daemon knows something of.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    by_run: BTreeMap<RunId, Run>,
    by_pid: BTreeMap<Pid, RunId>,
    /// Further runs of processes in `by_pid`: the pid files of several services may name the same process.
    shared: Vec<(Pid, RunId)>,
    by_number: BTreeMap<u64, RunId>,
}

impl Runs {
    /// Enters a run whose process is our child.
    pub(crate) fn insert(&mut self, id: RunId, run: Run) {
        match self.by_pid.entry(run.pid) {
            Entry::Vacant(entry) => drop(entry.insert(id)),
            Entry::Occupied(_) => self.shared.push((run.pid, id)),
        }
        self.insert_unsupervised(id, run);
    }

    /// Enters a run whose process is not our child, so that its end will not be seen.
    pub(crate) fn insert_unsupervised(&mut self, id: RunId, run: Run) {
        self.by_number.insert(run.number, id);
        self.by_run.insert(id, run);
    }

    pub(crate) fn get(&self, id: RunId) -> Option<&Run> {
        self.by_run.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.by_run.get_mut(&id)
    }

    /// Gives the run whose pipes have this number.
    pub(crate) fn of_number(&self, number: u64) -> Option<RunId> {
        self.by_number.get(&number).copied()
    }

    /// Gives the process of a run if it can be signalled.
    pub(crate) fn living(&self, id: RunId) -> Option<Pid> {
        self.by_run.get(&id).filter(|run| run.is_alive).map(|run| run.pid)
    }

    /// Takes note that a child was collected, and gives its runs; none if it was only adopted.
    pub(crate) fn collected(&mut self, pid: Pid) -> impl Iterator<Item = RunId> {
        let first = self.by_pid.remove(&pid);
        let others: Vec<(Pid, RunId)> = self.shared.extract_if(.., |(shared, _)| *shared == pid).collect();
        for id in first.iter().chain(others.iter().map(|(_, id)| id)) {
            if let Some(run) = self.by_run.get_mut(id) {
                run.is_alive = false;
            }
        }
        first.into_iter().chain(others.into_iter().map(|(_, id)| id))
    }

    /// Forgets a run altogether.
    pub(crate) fn forget(&mut self, id: RunId) {
        let Some(run) = self.by_run.remove(&id) else { return };
        self.by_number.remove(&run.number);
        self.shared.retain(|(_, other)| *other != id);
        if self.by_pid.get(&run.pid) == Some(&id) {
            self.by_pid.remove(&run.pid);
            if let Some(place) = self.shared.iter().position(|(shared, _)| *shared == run.pid) {
                let (pid, other) = self.shared.swap_remove(place);
                self.by_pid.insert(pid, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dinit_graph::{Description, Effect, Graph, Instant, Kind, Request, Spec};

    /// Lets a graph name as many runs as wanted, each of another service.
    fn named(count: u8) -> Vec<(ServiceId, RunId)> {
        let mut graph = Graph::new();
        let description = |name: u8| Description {
            name: vec![b'a' + name],
            spec: Spec::new(Kind::Process),
            dependencies: Vec::new(),
            consumer_of: None,
        };
        let descriptions: Vec<Description> = (0..count).map(description).collect();
        let ids = graph.insert(&descriptions.iter().collect::<Vec<_>>()).unwrap();
        let mut effects = Vec::new();
        for service in ids {
            graph.request(Instant(0), Request::Start { service, pin: false }, &mut effects);
        }
        let launch = |effect| match effect {
            Effect::Launch { service, run, .. } => Some((service, run)),
            _ => None,
        };
        effects.into_iter().filter_map(launch).collect()
    }

    fn run(service: ServiceId, pid: Pid, number: u64) -> Run {
        Run {
            service,
            role: Role::Main,
            pid,
            is_alive: true,
            status: None,
            readiness: None,
            is_ready: false,
            number,
            login: None,
        }
    }

    fn collected(runs: &mut Runs) -> Vec<RunId> {
        runs.collected(100).collect()
    }

    #[test]
    fn a_process_id_that_is_used_again_belongs_to_the_new_run_alone() {
        let [(one, first), (two, second)] = named(2).try_into().unwrap();
        let mut runs = Runs::default();
        runs.insert(first, run(one, 100, 1));
        assert_eq!(collected(&mut runs), [first]);
        // The first run is still known, as its launch may have something to tell; its process is nobody's any more.
        runs.insert(second, run(two, 100, 2));
        assert_eq!((runs.living(first), runs.living(second)), (None, Some(100)));
        runs.forget(first);
        assert_eq!(runs.of_number(1), None);
        assert_eq!(collected(&mut runs), [second]);
        assert_eq!(collected(&mut runs), []);
    }

    #[test]
    fn a_process_that_several_runs_name_ends_for_all_of_them() {
        let [(one, first), (two, second), (three, third)] = named(3).try_into().unwrap();
        let mut runs = Runs::default();
        for (number, (service, id)) in [(one, first), (two, second), (three, third)].into_iter().enumerate() {
            runs.insert(id, run(service, 100, number as u64));
        }
        // One of them is given up before.
        runs.forget(first);
        assert_eq!(collected(&mut runs), [second, third]);
        assert_eq!((runs.living(second), runs.living(third)), (None, None));
        assert_eq!(collected(&mut runs), []);
    }

    #[test]
    fn a_process_that_is_not_our_child_can_be_signalled_until_it_is_given_up() {
        let [(service, id)] = named(1).try_into().unwrap();
        let mut runs = Runs::default();
        runs.insert_unsupervised(id, run(service, 100, 1));
        assert_eq!((collected(&mut runs).len(), runs.living(id)), (0, Some(100)));
        runs.forget(id);
        assert_eq!(runs.living(id), None);
    }
}
