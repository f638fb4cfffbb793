//! Rules that no scenario of LC 13 shows: decisions that differ from the reference, and ids that are void.

use std::boxed::Box;
use std::time::Duration;
use std::vec::Vec;

use crate::effect::{Effect, Role};
use crate::event::Event;
use crate::graph::Graph;
use crate::id::RunId;
use crate::insert::InsertError;
use crate::request::{Answer, Refusal, Request};
use crate::spec::{Dependency, DependencyKind, Description, Kind, Readiness, Restart, Spec};
use crate::status::{ExitStatus, ServiceState, Signal};
use crate::tests::Trace;
use crate::tests::world::{Pace, Which, World};

const SECOND: u64 = 1_000_000_000;

fn service(name: &str, spec: Spec, needs: &[&str]) -> Description {
    let dependency =
        |name: &&str| Dependency { kind: DependencyKind::Regular, name: name.as_bytes().to_vec() };
    Description {
        name: name.as_bytes().to_vec(),
        spec,
        dependencies: needs.iter().map(dependency).collect(),
        consumer_of: None,
    }
}

fn state(world: &World, name: &str) -> ServiceState {
    world.graph.status(world.id(name)).unwrap().state
}

fn main_run(world: &World, name: &str) -> RunId {
    world.current[&(world.id(name), Which::Main)]
}

fn start(world: &mut World, name: &str) -> Answer {
    let service = world.id(name);
    world.request(Request::Start { service, pin: false })
}

fn stop(world: &mut World, name: &str, pin: bool) -> Answer {
    let service = world.id(name);
    world.request(Request::Stop { service, pin, gentle: false })
}

/// The services launched since the last look, in order.
fn launched(world: &mut World) -> Vec<(crate::id::ServiceId, Role)> {
    let history = core::mem::take(&mut world.history);
    let launch = |trace| match trace {
        Trace::Effect(Effect::Launch { service, role, .. }) => Some((service, role)),
        _ => None,
    };
    history.into_iter().filter_map(launch).collect()
}

/// CP 7.2: kept from the reference.
#[test]
fn a_wake_that_finds_no_dependent_pins_all_the_same() {
    let mut world = World::new([service("net", Spec::new(Kind::Internal), &[])].into());
    let net = world.id("net");
    let refused = Answer::Refused(Refusal::NoActiveDependents);
    assert_eq!(world.request(Request::Wake { service: net, pin: true }), refused);
    assert_eq!(start(&mut world, "net"), Answer::AlreadyThere);
    assert_eq!(stop(&mut world, "net", false), Answer::PinnedStarted);
}

/// D15: the reference forgets to set the delay of scripted services.
#[test]
fn a_scripted_service_restarts_no_sooner_than_its_restart_delay() {
    let base = Spec { restart: Restart::Always, ..Spec::new(Kind::Process) };
    let above =
        Spec { restart: Restart::Always, restart_delay: Duration::from_secs(5), ..Spec::new(Kind::Scripted) };
    let mut world = World::new([service("base", base, &[]), service("above", above, &["base"])].into());
    start(&mut world, "above");
    for name in ["base", "above"] {
        let run = main_run(&world, name);
        world.event(Event::Executed { run });
    }
    let run = main_run(&world, "above");
    world.event(Event::Exited { run, status: ExitStatus::Exited(0) });
    assert_eq!(state(&world, "above"), ServiceState::Started);

    let run = main_run(&world, "base");
    world.event(Event::Exited { run, status: ExitStatus::Exited(1) });
    world.advance(SECOND);
    let run = main_run(&world, "base");
    world.event(Event::Executed { run });
    assert_eq!(state(&world, "base"), ServiceState::Started);

    launched(&mut world);
    world.advance(4 * SECOND - 1);
    assert_eq!((launched(&mut world), state(&world, "above")), (Vec::new(), ServiceState::Starting));
    world.advance(1);
    let above = world.id("above");
    assert_eq!(launched(&mut world), [(above, Role::StartCommand)]);
}

/// D18: the active count of the reference would be wrong after a pin during a restart.
#[test]
fn a_stop_with_a_pin_while_a_restart_is_due_ends_the_restart_and_counts_once() {
    let spec =
        Spec { restart: Restart::Always, restart_delay: Duration::from_secs(5), ..Spec::new(Kind::Process) };
    let mut world = World::new([service("one", spec, &[])].into());
    start(&mut world, "one");
    let run = main_run(&world, "one");
    world.event(Event::Executed { run });
    world.event(Event::Exited { run, status: ExitStatus::Exited(1) });
    assert_eq!((state(&world, "one"), world.graph.active_count()), (ServiceState::Starting, 1));
    stop(&mut world, "one", true);
    assert_eq!((state(&world, "one"), world.graph.active_count()), (ServiceState::Stopped, 0));
    launched(&mut world);
    world.advance(60 * SECOND);
    assert_eq!((launched(&mut world), start(&mut world, "one")), (Vec::new(), Answer::PinnedStopped));
    assert_eq!(world.graph.active_count(), 0);
}

/// LC 9.6: the reference sleeps between the two signals so that nothing starts in between.
#[test]
fn nothing_is_launched_while_every_process_is_being_killed() {
    let killer = Spec { kill_all_on_stop: true, ..Spec::new(Kind::Internal) };
    let limited = Spec { start_timeout: Some(Duration::from_secs(60)), ..Spec::new(Kind::Process) };
    let mut world = World::new([service("killer", killer, &[]), service("other", limited, &[])].into());
    start(&mut world, "killer");
    world.pace = Pace::WhenTold;
    stop(&mut world, "killer", false);
    start(&mut world, "other");
    assert_eq!((launched(&mut world), state(&world, "killer")), (Vec::new(), ServiceState::Stopping));
    assert_eq!((state(&world, "other"), world.timers.len()), (ServiceState::Starting, 0));

    let killer = world.id("killer");
    assert_eq!(world.due.pop_front(), Some(Event::AllKilled { service: killer }));
    world.now = world.now.after(Duration::from_secs(1));
    world.report(Event::AllKilled { service: killer });
    let other = world.id("other");
    assert_eq!(
        (launched(&mut world), state(&world, "killer")),
        ([(other, Role::Main)].into(), ServiceState::Stopped)
    );
    // Its time began when it was launched, not when it wanted to be.
    assert_eq!(world.timers.values().map(|deadline| deadline.0).collect::<Vec<_>>(), [61 * SECOND]);
}

/// The signals sent since the last look, in order.
fn signalled(world: &mut World) -> Vec<(RunId, Signal)> {
    let history = core::mem::take(&mut world.history);
    let signal = |trace| match trace {
        Trace::Effect(Effect::Signal { run, signal, .. }) => Some((run, signal)),
        _ => None,
    };
    history.into_iter().filter_map(signal).collect()
}

/// LC 8.2: a child that has not executed its program is not signalled. The reference lets such a start come to its
/// end, however long that takes, though the user said that it may be interrupted.
#[test]
fn a_stop_before_the_program_is_executed_interrupts_an_interruptible_start_as_soon_as_it_is() {
    let kinds = [
        Spec { readiness: Readiness::Notification, ..Spec::new(Kind::Process) },
        Spec::new(Kind::BgProcess),
        Spec::new(Kind::Scripted),
    ];
    for spec in kinds {
        let kind = spec.kind;
        let may = Spec { start_interruptible: true, ..spec.clone() };
        let mut world = World::new([service("may", may, &[]), service("not", spec, &[])].into());
        for name in ["may", "not"] {
            start(&mut world, name);
            stop(&mut world, name, false);
        }
        assert_eq!((signalled(&mut world), state(&world, "may")), (Vec::new(), ServiceState::Starting));
        for name in ["may", "not"] {
            let run = main_run(&world, name);
            world.event(Event::Executed { run });
        }
        let run = main_run(&world, "may");
        assert_eq!(signalled(&mut world), [(run, Signal::INT)], "{kind:?}");
        assert_eq!(
            (state(&world, "may"), state(&world, "not")),
            (ServiceState::Stopping, ServiceState::Starting)
        );
        world.event(Event::Exited { run, status: ExitStatus::Killed(Signal::INT) });
        assert_eq!(state(&world, "may"), ServiceState::Stopped, "{kind:?}");
    }
}

/// A release is taken back by a start that comes in time; a pin keeps what has begun.
#[test]
fn a_stop_that_is_taken_back_before_the_program_is_executed_interrupts_nothing() {
    let spec = Spec { start_interruptible: true, ..Spec::new(Kind::Scripted) };
    let mut world = World::new([service("one", spec, &[])].into());
    start(&mut world, "one");
    let service = world.id("one");
    world.request(Request::Release { service, pin: false });
    start(&mut world, "one");
    let run = main_run(&world, "one");
    world.event(Event::Executed { run });
    assert_eq!((signalled(&mut world), state(&world, "one")), (Vec::new(), ServiceState::Starting));
    world.event(Event::Exited { run, status: ExitStatus::Exited(0) });
    assert_eq!(state(&world, "one"), ServiceState::Started);
}

#[test]
fn an_id_of_an_unloaded_service_names_nothing_even_after_the_name_is_loaded_again() {
    let mut world = World::new([service("one", Spec::new(Kind::Internal), &[])].into());
    let old = world.id("one");
    assert_eq!(world.request(Request::Unload { service: old }), Answer::Done);
    let description = service("one", Spec::new(Kind::Internal), &[]);
    let new = world.graph.insert(&[&description]).unwrap()[0];
    let refused = Answer::Refused(Refusal::NoSuchService);
    assert_eq!(world.request(Request::Start { service: old, pin: false }), refused);
    assert_eq!(world.request(Request::Unload { service: old }), refused);
    assert_eq!(world.request(Request::Reload { service: old, description: Box::new(description) }), refused);
    assert_eq!((world.graph.status(old), world.graph.name(old)), (None, None));
    assert_eq!(world.graph.status(new).unwrap().state, ServiceState::Stopped);
}

/// What a batch of services that declare these links comes to.
fn insert(graph: &mut Graph, batch: &[(&str, DependencyKind, &str)]) -> Result<(), InsertError> {
    let describe = |(name, kind, other): &(&str, DependencyKind, &str)| Description {
        dependencies: [Dependency { kind: *kind, name: other.as_bytes().to_vec() }].into(),
        ..service(name, Spec::new(Kind::Internal), &[])
    };
    let descriptions: Vec<Description> = batch.iter().map(describe).collect();
    graph.insert(&descriptions.iter().collect::<Vec<_>>()).map(|_| ())
}

#[test]
fn a_batch_that_would_close_a_cycle_or_misses_a_service_changes_nothing() {
    use DependencyKind::{After, Before, Regular, WaitsFor};
    let mut graph = Graph::new();
    // `early` shall come before `late` and after `free`, neither of which is loaded.
    assert_eq!(insert(&mut graph, &[("early", Before, "late"), ("other", After, "free")]), Ok(()));
    let cycle = |name: &str| Err(InsertError::Cycle(name.as_bytes().to_vec()));
    let cases = [
        (&[("a", Regular, "a")][..], cycle("a")),
        (&[("a", Regular, "b"), ("b", WaitsFor, "a")], cycle("a")),
        (&[("a", Before, "b"), ("b", Before, "a")], cycle("a")),
        (&[("a", Regular, "b"), ("b", After, "c"), ("c", Regular, "a")], cycle("a")),
        // Over a placeholder, and over what was loaded before.
        (&[("late", Before, "early")], cycle("late")),
        (&[("free", Regular, "other")], cycle("free")),
        (&[("a", Regular, "other"), ("free", Regular, "a")], cycle("a")),
        (&[("a", After, "b"), ("a", After, "c")], Err(InsertError::AlreadyLoaded(b"a".to_vec()))),
        (&[("early", After, "b")], Err(InsertError::AlreadyLoaded(b"early".to_vec()))),
        (
            &[("a", After, "b"), ("c", Regular, "late")],
            Err(InsertError::UnknownDependency { service: b"c".to_vec(), dependency: b"late".to_vec() }),
        ),
    ];
    for (batch, expected) in cases {
        assert_eq!(insert(&mut graph, batch), expected, "{batch:?}");
        assert_eq!(graph.services().len(), 2, "{batch:?}");
        assert_eq!(crate::invariants::violated(&graph), None);
    }
    assert_eq!(insert(&mut graph, &[("late", Regular, "early"), ("free", Before, "late")]), Ok(()));
}
