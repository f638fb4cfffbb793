//! What is done for many services grows with their number and not faster; counted in links looked at, since
//! time would depend on the machine.

use std::format;
use std::string::String;
use std::vec::Vec;

use crate::effect::Effect;
use crate::event::Event;
use crate::graph::Graph;
use crate::id::Instant;
use crate::request::{Request, ShutdownKind};
use crate::spec::{Dependency, DependencyKind, Description, Kind, Spec};
use crate::status::ExitStatus;

/// What a service of a large graph needs.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Nothing; the last one, `boot`, waits for all.
    Flat,
    /// The one before.
    Chain,
    /// The one before, and the first.
    Ladder,
    /// The first; the last one waits for all.
    Star,
}

fn description(shape: Shape, kind: Kind, number: usize, count: usize) -> Description {
    let link = |kind, other: usize| Dependency { kind, name: name(other) };
    let dependencies = match shape {
        Shape::Flat | Shape::Star if number + 1 == count => {
            (0..number).map(|other| link(DependencyKind::WaitsFor, other)).collect()
        }
        Shape::Flat => Vec::new(),
        Shape::Chain if number > 0 => [link(DependencyKind::Regular, number - 1)].into(),
        Shape::Ladder if number > 1 => {
            [link(DependencyKind::Regular, number - 1), link(DependencyKind::Regular, 0)].into()
        }
        Shape::Star if number > 0 => [link(DependencyKind::Regular, 0)].into(),
        Shape::Chain | Shape::Ladder | Shape::Star => Vec::new(),
    };
    let kind = if number + 1 == count { Kind::Internal } else { kind };
    Description { name: name(number), spec: Spec::new(kind), dependencies, consumer_of: None }
}

fn name(number: usize) -> Vec<u8> {
    format!("service-{number}").into_bytes()
}

/// Starts and stops so many services; gives how much was looked at.
fn work(shape: Shape, kind: Kind, count: usize) -> u64 {
    let mut graph = Graph::new();
    let batch: Vec<Description> = (0..count).map(|number| description(shape, kind, number, count)).collect();
    let services = graph.insert(&batch.iter().collect::<Vec<_>>()).unwrap();
    let mut effects = Vec::new();
    graph.request(Instant(0), Request::Start { service: services[count - 1], pin: false }, &mut effects);
    obey(&mut graph, &mut effects);
    assert_eq!(graph.active_count(), count, "{shape:?} {kind:?}");
    graph.request(Instant(0), Request::Shutdown { kind: ShutdownKind::Halt }, &mut effects);
    obey(&mut graph, &mut effects);
    assert_eq!(graph.active_count(), 0, "{shape:?} {kind:?}");
    graph.edges.looked_at.get()
}

/// Lets every process do what it is told at once.
fn obey(graph: &mut Graph, effects: &mut Vec<Effect>) {
    while !effects.is_empty() {
        let mut next = Vec::new();
        for effect in effects.drain(..) {
            let event = match effect {
                Effect::Launch { run, .. } => Event::Executed { run },
                Effect::Signal { run, signal, .. } => {
                    Event::Exited { run, status: ExitStatus::Killed(signal) }
                }
                _ => continue,
            };
            graph.step(Instant(0), event, &mut next);
        }
        *effects = next;
    }
}

#[test]
fn the_work_for_many_services_grows_with_their_number() {
    for shape in [Shape::Flat, Shape::Chain, Shape::Ladder, Shape::Star] {
        for kind in [Kind::Internal, Kind::Process] {
            let [few, many] = [200, 1_600].map(|count| work(shape, kind, count));
            let growth: String = format!("{shape:?} {kind:?}: {few} for 200, {many} for 1600");
            assert!(many <= 9 * few, "{growth}");
        }
    }
}
