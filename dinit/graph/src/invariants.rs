//! What must hold after every step (LC 11). Used by the tests, and by debug builds after every step for the
//! services that the step looked at.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::edge::Edge;
use crate::graph::Graph;
use crate::record::{Main, Marks, Record, Slot, Starting, State, Stopping};
use crate::status::Target;

/// The first invariant that one of these services violates now that the graph is settled.
pub(crate) fn violated_by(graph: &Graph, slots: &BTreeSet<Slot>) -> Option<String> {
    slots.iter().find_map(|slot| {
        let record = graph.record(*slot);
        let broken = counts(graph, *slot, record)
            .or_else(|| wishes(record))
            .or_else(|| rest(graph, *slot, record))
            .or_else(|| links(graph, record))
            .or_else(|| processes(graph, *slot, record))
            .or_else(|| dependencies_are_there(graph, record))
            .or_else(|| is_not_idle(graph, *slot, record))?;
        Some(format!("`{}`: {broken}", record.name.escape_ascii()))
    })
}

/// The first invariant that is violated anywhere.
#[cfg(test)]
pub(crate) fn violated(graph: &Graph) -> Option<String> {
    let slots: BTreeSet<Slot> = graph.names.values().copied().collect();
    let active = slots.iter().filter(|slot| graph.record(**slot).state != State::Stopped).count();
    if active != graph.active_count {
        return Some(format!("INV-S6: the active count is {} instead of {active}", graph.active_count));
    }
    let runs: usize = slots.iter().map(|slot| runs_of(graph.record(*slot)).len()).sum();
    if runs != graph.runs.len() {
        return Some(format!("{} runs are known, services have {runs}", graph.runs.len()));
    }
    violated_by(graph, &slots).or_else(|| cycle(graph, &slots))
}

/// Why a start action must not begin, if it must not (INV-O1).
pub(crate) fn start_forbidden(graph: &Graph, slot: Slot) -> Option<String> {
    let mut edges = graph.record(slot).dependencies.iter().filter_map(|id| graph.edges.get(*id));
    let is_missing = |edge: &&Edge| {
        edge.waiting || (edge.kind.is_always_hard() && graph.record(edge.to).state != State::Started)
    };
    edges
        .find(is_missing)
        .map(|edge| format!("INV-O1: starts without `{}`", graph.record(edge.to).name.escape_ascii()))
}

/// Why a stop action must not begin, if it must not (INV-O2).
pub(crate) fn stop_forbidden(graph: &Graph, slot: Slot) -> Option<String> {
    let mut edges = graph.record(slot).dependents.iter().filter_map(|id| graph.edges.get(*id));
    edges
        .find(|edge| edge.is_hard() && !graph.record(edge.from).is_fundamentally_stopped())
        .map(|edge| format!("INV-O2: stops before `{}`", graph.record(edge.from).name.escape_ascii()))
}

/// INV-S2: counts equal a fresh count.
fn counts(graph: &Graph, slot: Slot, record: &Record) -> Option<String> {
    let held =
        record.dependents.iter().filter(|id| graph.edges.get(**id).is_some_and(|edge| edge.held)).count();
    let required = held.saturating_add(usize::from(record.active));
    if usize::try_from(record.required) != Ok(required) {
        return Some(format!("INV-S2: required {} times instead of {required}", record.required));
    }
    let own = record.dependencies.iter().filter_map(|id| graph.edges.get(*id));
    let waiting = own.clone().filter(|edge| edge.waiting).count();
    if usize::try_from(record.waiting) != Ok(waiting) {
        return Some(format!("waits for {} links instead of {waiting}", record.waiting));
    }
    let is_pinned = record.dependents.iter().any(|id| {
        graph.edges.get(*id).is_some_and(|edge| edge.is_hard() && graph.record(edge.from).is_pinned_started())
    });
    if record.pin_dependent != is_pinned {
        return Some(format!("the pin of dependents is {} instead of {is_pinned}", record.pin_dependent));
    }
    let is_consistent = own.clone().all(|edge| edge.from == slot);
    (!is_consistent).then(|| String::from("has a link of another service"))
}

/// INV-S3, INV-S4: the target follows the count.
fn wishes(record: &Record) -> Option<String> {
    // What is pinned stays as it is, and what it depends on may wait for that to change.
    let is_pinned = record.is_pinned_started() && record.state != State::Stopped;
    if is_pinned {
        return None;
    }
    if record.required > 0 && record.target == Target::Stopped {
        return Some(String::from("INV-S3: is required but heads for STOPPED"));
    }
    if record.required == 0 && record.target == Target::Started {
        return Some(String::from("INV-S3: heads for STARTED without being required"));
    }
    let is_up = match record.state {
        State::Started => true,
        State::Starting(phase) => phase != Starting::Acting,
        State::Stopped | State::Stopping(_) => false,
    };
    (record.required == 0 && is_up).then(|| format!("INV-S3: is {:?} without being required", record.state))
}

/// INV-S5: a stopped service has nothing.
fn rest(graph: &Graph, slot: Slot, record: &Record) -> Option<String> {
    let is_at_rest = record.main == Main::Absent
        && record.stop_command.is_none()
        && record.timer.is_none()
        && record.restart.is_none()
        && record.required == 0
        && record.waiting == 0
        && !record.forced
        && !record.recovering
        && !record.stop_issued
        && !graph.console.is_holder(slot)
        && !graph.console.is_queued(slot);
    (record.state == State::Stopped && !is_at_rest).then(|| format!("INV-S5: is stopped but has {record:?}"))
}

/// INV-S7, INV-S8: links are held when they shall be.
fn links(graph: &Graph, record: &Record) -> Option<String> {
    for edge in record.dependencies.iter().filter_map(|id| graph.edges.get(*id)) {
        let other = graph.record(edge.to).name.escape_ascii();
        if edge.held && edge.kind.is_ordering() {
            return Some(format!("INV-S7: holds `{other}` for the order alone"));
        }
        if edge.held && !record.shall_hold_links() {
            return Some(format!("INV-S8: holds `{other}` in state {:?}", record.state));
        }
        let must_hold = record.is_up_or_coming() && record.target == Target::Started;
        if !edge.held && must_hold && edge.kind.is_always_hard() {
            return Some(format!("INV-S8: does not hold `{other}` in state {:?}", record.state));
        }
        if edge.waiting && !matches!(record.state, State::Starting(_) | State::Stopping(_)) {
            return Some(format!("waits for `{other}` in state {:?}", record.state));
        }
    }
    None
}

/// INV-S9: processes are where they belong.
fn processes(graph: &Graph, slot: Slot, record: &Record) -> Option<String> {
    if runs_of(record).iter().any(|run| graph.runs.get(run) != Some(&slot)) {
        return Some(String::from("INV-S9: has a run that is not known"));
    }
    if graph.console.is_queued(slot) != graph.awaits_console(slot) {
        return Some(format!("is in the wrong place for the console in state {:?}", record.state));
    }
    let is_delayed = record.state == State::Starting(Starting::AwaitingDelay);
    (is_delayed && record.timer.is_none()).then(|| String::from("waits for a delay that is not timed"))
}

fn runs_of(record: &Record) -> Vec<crate::id::RunId> {
    let mut runs = Vec::new();
    match record.main {
        Main::Absent => {}
        Main::Launched { run, .. } | Main::Alive { run, .. } => runs.push(run),
        Main::ReadingPidFile { run, daemon, .. } => runs.extend([run, daemon]),
        Main::Unsupervised { run } if run.0 > 0 => runs.push(run),
        Main::Unsupervised { .. } => {}
    }
    runs.extend(record.stop_command.map(|command| command.run));
    runs
}

/// INV-O3: what a started service cannot be without is started.
fn dependencies_are_there(graph: &Graph, record: &Record) -> Option<String> {
    if record.state != State::Started || record.is_pinned_started() {
        return None;
    }
    let mut edges = record.dependencies.iter().filter_map(|id| graph.edges.get(*id));
    edges
        .find(|edge| edge.kind.is_always_hard() && graph.record(edge.to).state != State::Started)
        .map(|edge| format!("INV-O3: is started without `{}`", graph.record(edge.to).name.escape_ascii()))
}

/// Nothing that could move was left behind: no wake-up was lost.
fn is_not_idle(graph: &Graph, slot: Slot, record: &Record) -> Option<String> {
    if record.marks != Marks::default() || record.in_propagation || record.in_transition {
        return Some(String::from("is still queued"));
    }
    match record.state {
        State::Starting(Starting::AwaitingDependencies { resuming: true }) => {
            Some(String::from("has taken its stop back and is not up again"))
        }
        State::Starting(Starting::AwaitingDependencies { .. }) if record.waiting == 0 => {
            Some(String::from("waits for no link and does not start"))
        }
        State::Stopping(Stopping::AwaitingDependents { .. }) if stop_forbidden(graph, slot).is_none() => {
            Some(String::from("waits for no dependent and does not stop"))
        }
        State::Starting(_) => {
            let mut edges = record.dependencies.iter().filter_map(|id| graph.edges.get(*id));
            let is_over = |edge: &&Edge| {
                let dependency = graph.record(edge.to);
                let is_coming = matches!(dependency.state, State::Starting(_))
                    || ((edge.held || edge.is_hard()) && dependency.target == Target::Started);
                edge.waiting && (!is_coming || dependency.state == State::Started)
            };
            edges.find(is_over).map(|edge| {
                format!("waits for `{}`, which is not coming", graph.record(edge.to).name.escape_ascii())
            })
        }
        State::Stopped | State::Started | State::Stopping(_) => None,
    }
}

/// INV-S10: no service can be reached from itself.
#[cfg(test)]
fn cycle(graph: &Graph, slots: &BTreeSet<Slot>) -> Option<String> {
    let is_cyclic = |slot: &&Slot| graph.targets(**slot).any(|next| graph.is_reachable(next, **slot));
    slots.iter().find(is_cyclic).map(|slot| format!("INV-S10: {slot:?} depends on itself"))
}
