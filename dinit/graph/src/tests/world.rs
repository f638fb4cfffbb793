//! A world for a graph under test: it performs effects, remembers runs and timers, and tells what became visible.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::effect::{Effect, Recipient, Role};
use crate::event::{Daemon, Event};
use crate::graph::Graph;
use crate::id::{Instant, RunId, ServiceId, TimerId};
use crate::record::{Slot, Starting, State, Stopping};
use crate::request::{Answer, Request};
use crate::spec::{Description, Kind};
use crate::status::{Milestone, ServiceState, Signal, StopReason, Target};
use crate::tests::Trace;

/// Which process of a service is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Main,
    StopCommand,
}

/// The graph and what is outside of it.
pub(crate) struct World {
    pub(crate) graph: Graph,
    pub(crate) now: Instant,
    pub(crate) ids: Vec<ServiceId>,
    names: BTreeMap<Slot, String>,
    /// The run of each kind that was launched or found last.
    pub(crate) current: BTreeMap<(ServiceId, Which), RunId>,
    labels: BTreeMap<RunId, String>,
    pub(crate) timers: BTreeMap<(ServiceId, TimerId), Instant>,
    pub(crate) pid_files: BTreeMap<ServiceId, Daemon>,
    pub(crate) chains: BTreeMap<ServiceId, String>,
    pub(crate) seen: Vec<(String, String)>,
}

impl World {
    pub(crate) fn new(descriptions: Vec<Description>) -> Self {
        let mut graph = Graph::new();
        let named: Vec<String> =
            descriptions.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect();
        let ids = graph.insert(descriptions).unwrap();
        let names = ids.iter().zip(named).map(|(id, name)| (graph.resolve(*id).unwrap(), name)).collect();
        Self {
            graph,
            now: Instant(0),
            ids,
            names,
            current: BTreeMap::new(),
            labels: BTreeMap::new(),
            timers: BTreeMap::new(),
            pid_files: BTreeMap::new(),
            chains: BTreeMap::new(),
            seen: Vec::new(),
        }
    }

    pub(crate) fn id(&self, name: &str) -> ServiceId {
        self.graph.find(name.as_bytes()).unwrap_or_else(|| panic!("no service `{name}`"))
    }

    pub(crate) fn slot(&self, name: &str) -> Slot {
        self.graph.resolve(self.id(name)).unwrap()
    }

    pub(crate) fn request(&mut self, request: Request) -> Answer {
        let mut effects = Vec::new();
        let answer = self.graph.request(self.now, request, &mut effects);
        self.perform(effects);
        answer
    }

    pub(crate) fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.graph.step(self.now, event, &mut effects);
        self.perform(effects);
    }

    /// Does something to the graph that no request can, and performs what comes of it.
    pub(crate) fn poke(&mut self, poke: impl FnOnce(&mut Graph)) {
        poke(&mut self.graph);
        self.graph.settle();
        let effects = core::mem::take(&mut self.graph.out);
        self.perform(effects);
    }

    /// Moves the clock, firing timers at their own moments.
    pub(crate) fn advance(&mut self, nanoseconds: u64) {
        let goal = Instant(self.now.0 + nanoseconds);
        while let Some((key, deadline)) = self
            .timers
            .iter()
            .map(|(key, at)| (*key, *at))
            .filter(|(_, at)| *at <= goal)
            .min_by_key(|(_, at)| *at)
        {
            self.timers.remove(&key);
            self.now = self.now.max(deadline);
            self.event(Event::TimerExpired { service: key.0, timer: key.1 });
        }
        self.now = goal;
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for trace in core::mem::take(&mut self.graph.trace) {
            self.write_down(trace);
        }
        for effect in effects {
            match effect {
                Effect::Launch { .. }
                | Effect::Signal { .. }
                | Effect::EnableReadiness { .. }
                | Effect::ForgetRun { .. }
                | Effect::ReturnConsole
                | Effect::RetakeTerminal
                | Effect::CloseSocket { .. }
                | Effect::RootWritable
                | Effect::LogAvailable
                | Effect::Announce { .. }
                | Effect::Note { .. } => {}
                Effect::ArmTimer { service, timer, deadline, .. } => {
                    self.timers.insert((service, timer), deadline);
                }
                Effect::CancelTimer { service, timer } => {
                    self.timers.remove(&(service, timer));
                }
                Effect::ReadPidFile { service, run, daemon } => {
                    let found = self.pid_files.get(&service).copied().unwrap_or(Daemon::Unusable);
                    if matches!(found, Daemon::Supervised | Daemon::Unsupervised) {
                        self.current.insert((service, Which::Main), daemon);
                    }
                    self.event(Event::PidFileRead { run, daemon: found });
                }
                Effect::ClaimConsole => self.event(Event::ConsoleYielded),
                Effect::KillAll { service } => self.event(Event::AllKilled { service }),
                Effect::Chain { service } => {
                    if let Some(target) = self.chains.get(&service).cloned() {
                        let service = self.id(&target);
                        self.event(Event::ChainResolved { service });
                    }
                }
            }
        }
    }

    /// Puts one visible thing into the words of LC 13, with the service it belongs to.
    fn write_down(&mut self, trace: Trace) {
        let (owner, text) = match trace {
            Trace::State(slot, state) => (slot, format!("{}:{}", self.name(slot), word(state))),
            Trace::BeginStart(slot) => (slot, format!("begin-start({})", self.name(slot))),
            Trace::BeginStop(slot) => (slot, format!("begin-stop({})", self.name(slot))),
            Trace::Effect(Effect::Announce { service, milestone, status }) => {
                let slot = self.graph.resolve(service).unwrap();
                (slot, format!("{}!{}", self.name(slot), event_word(milestone, status.state)))
            }
            Trace::Effect(Effect::Launch { service, role, run, .. }) => {
                let slot = self.graph.resolve(service).unwrap();
                let (which, label) = match role {
                    Role::ServiceStopCommand => (Which::StopCommand, format!("{}/stop", self.name(slot))),
                    Role::Main | Role::Launcher | Role::StartCommand | Role::ScriptedStopCommand => {
                        (Which::Main, self.name(slot).to_string())
                    }
                };
                self.current.insert((service, which), run);
                self.labels.insert(run, label.clone());
                (slot, format!("fork({label})"))
            }
            Trace::Effect(Effect::ReadPidFile { service, daemon, .. }) => {
                let slot = self.graph.resolve(service).unwrap();
                self.labels.insert(daemon, format!("{}/daemon", self.name(slot)));
                return;
            }
            Trace::Effect(Effect::Signal { run, signal, to }) => {
                let label = self.labels.get(&run).unwrap().clone();
                let to = match to {
                    Recipient::Group => "group",
                    Recipient::Process => "proc",
                };
                let owner = label.split('/').next().unwrap().to_string();
                self.seen.push((owner, format!("kill({label},{to},{})", signal_word(signal))));
                return;
            }
            Trace::Effect(Effect::Chain { service }) => {
                let target = self.chains.get(&service).unwrap().clone();
                self.seen.push((target.clone(), format!("load({target})")));
                return;
            }
            Trace::Effect(_) => return,
        };
        self.seen.push((self.name(owner).to_string(), text));
    }

    fn name(&self, slot: Slot) -> &str {
        self.names.get(&slot).map_or("?", String::as_str)
    }

    /// The bookkeeping of a service in the words of LC 13, in no particular order.
    pub(crate) fn bookkeeping(&self, name: &str) -> Vec<String> {
        let slot = self.slot(name);
        let record = self.graph.record(slot);
        let mut words = std::vec![format!("r{}", record.required)];
        let natural = match record.visible_state() {
            ServiceState::Stopped | ServiceState::Stopping => Target::Stopped,
            ServiceState::Starting | ServiceState::Started => Target::Started,
        };
        let waits = matches!(
            record.state,
            State::Starting(Starting::AwaitingDependencies { .. })
                | State::Stopping(Stopping::AwaitingDependents { .. })
        );
        let is_timed = matches!(record.spec.kind, Kind::Timed(_));
        let marks = [
            (record.active, "active"),
            (record.pin_start, "pin-start"),
            (record.pin_stop, "pin-stop"),
            (record.pin_dependent, "pin-dep"),
            (waits, "wait-deps"),
            (self.graph.console.is_waiting(slot), "wait-console"),
            (self.graph.console.is_holder(slot), "console"),
            (record.forced, "forced"),
            (record.start_failed, "failed"),
            (record.start_skipped, "skipped"),
            (record.visible_run().is_some() && !is_timed, "pid"),
            (record.target != natural && record.target == Target::Started, "want=STARTED"),
            (record.target != natural && record.target == Target::Stopped, "want=STOPPED"),
        ];
        words.extend(marks.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| (*word).to_string()));
        let reason = match record.reason {
            StopReason::Normal => None,
            StopReason::DependencyRestarted => Some("DEPRESTART"),
            StopReason::DependencyFailed => Some("DEPFAILED"),
            StopReason::Failed => Some("FAILED"),
            StopReason::ExecFailed => Some("EXECFAILED"),
            StopReason::TimedOut => Some("TIMEDOUT"),
            StopReason::Terminated => Some("TERMINATED"),
        };
        words.extend(reason.map(|reason| format!("reason={reason}")));
        words.sort();
        words
    }
}

fn word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Stopped => "STOPPED",
        ServiceState::Starting => "STARTING",
        ServiceState::Started => "STARTED",
        ServiceState::Stopping => "STOPPING",
    }
}

fn event_word(milestone: Milestone, state: ServiceState) -> String {
    match milestone {
        Milestone::Started if state == ServiceState::Started => "STARTED".to_string(),
        Milestone::Stopped if state == ServiceState::Stopped => "STOPPED".to_string(),
        Milestone::Started => format!("STARTED({})", word(state)),
        Milestone::Stopped => format!("STOPPED({})", word(state)),
        Milestone::FailedStart => format!("FAILEDSTART({})", word(state)),
        Milestone::StartCancelled => format!("STARTCANCELLED({})", word(state)),
        Milestone::StopCancelled => format!("STOPCANCELLED({})", word(state)),
    }
}

fn signal_word(signal: Signal) -> String {
    match signal {
        Signal::HUP => "HUP".to_string(),
        Signal::INT => "INT".to_string(),
        Signal::KILL => "KILL".to_string(),
        Signal::TERM => "TERM".to_string(),
        Signal(other) => other.to_string(),
    }
}
