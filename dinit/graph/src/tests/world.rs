//! A world for a graph under test: it performs effects, remembers runs and timers, and tells what became visible.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::format;
use std::io::Write;
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

/// A process outside, as its run has been reported so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) service: ServiceId,
    pub(crate) role: Role,
    pub(crate) is_executed: bool,
    /// Its end was reported before its exec status.
    pub(crate) has_ended: bool,
    pub(crate) is_read: bool,
    pub(crate) is_supervised: bool,
    /// It was sent a signal.
    pub(crate) is_told: bool,
}

/// When the world answers what only takes a moment: the console, a chain, the killing of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    AtOnce,
    WhenTold,
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
    pub(crate) pace: Pace,
    /// Answers that are due, in the order in which they were asked for.
    pub(crate) due: VecDeque<Event>,
    pub(crate) processes: BTreeMap<RunId, Process>,
    /// What happened, unworded, since it was last looked at.
    pub(crate) history: Vec<Trace>,
    is_console_claimed: bool,
    /// The first order that must never have been given.
    pub(crate) complaint: Option<String>,
    /// Whether everything is told as it happens.
    pub(crate) is_loud: bool,
}

impl World {
    pub(crate) fn new(descriptions: Vec<Description>) -> Self {
        let mut graph = Graph::new();
        let named: Vec<String> =
            descriptions.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect();
        let ids = graph.insert(&descriptions.iter().collect::<Vec<_>>()).unwrap();
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
            pace: Pace::AtOnce,
            due: VecDeque::new(),
            processes: BTreeMap::new(),
            history: Vec::new(),
            is_console_claimed: false,
            complaint: None,
            is_loud: false,
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
        self.tell(format_args!("  {:?} {request:?}", self.now));
        let answer = self.graph.request(self.now, request, &mut effects);
        self.perform(effects);
        self.answer_what_is_due();
        answer
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.report(event);
        self.answer_what_is_due();
    }

    /// Tells the graph something, and leaves for later what it asks for.
    pub(crate) fn report(&mut self, event: Event) {
        match event {
            Event::Executed { run } => {
                let has_ended = self.processes.get_mut(&run).is_some_and(|process| {
                    process.is_executed = true;
                    process.has_ended
                });
                if has_ended {
                    self.processes.remove(&run);
                }
            }
            Event::ExecFailed { run, .. } | Event::LaunchRefused { run, .. } => {
                self.processes.remove(&run);
            }
            Event::Exited { run, .. } => match self.processes.get_mut(&run) {
                Some(process) if !process.is_executed => process.has_ended = true,
                Some(_) => {
                    self.processes.remove(&run);
                }
                None => {}
            },
            _ => {}
        }
        let mut effects = Vec::new();
        self.tell(format_args!("  {:?} {event:?}", self.now));
        self.graph.step(self.now, event, &mut effects);
        self.perform(effects);
    }

    fn answer_what_is_due(&mut self) {
        while self.pace == Pace::AtOnce
            && let Some(event) = self.due.pop_front()
        {
            self.report(event);
        }
    }

    /// Does something to the graph that no request can, and performs what comes of it.
    pub(crate) fn poke(&mut self, poke: impl FnOnce(&mut Graph)) {
        poke(&mut self.graph);
        self.graph.settle();
        let effects = core::mem::take(&mut self.graph.out);
        self.perform(effects);
        self.answer_what_is_due();
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

    /// Carries out effects, and complains about those that must never be given.
    fn perform(&mut self, effects: Vec<Effect>) {
        for trace in core::mem::take(&mut self.graph.trace) {
            if self.is_loud {
                self.tell(format_args!("    {trace:?}"));
            }
            self.history.push(trace.clone());
            if self.pace == Pace::AtOnce {
                self.write_down(trace);
            }
        }
        for effect in effects {
            match effect {
                Effect::ForgetRun { run } => {
                    self.processes.remove(&run);
                }
                Effect::RetakeTerminal
                | Effect::CloseSocket { .. }
                | Effect::RootWritable
                | Effect::LogAvailable
                | Effect::Announce { .. }
                | Effect::Note { .. } => {}
                Effect::Launch { service, role, run, .. } => self.launch(service, role, run),
                Effect::Signal { run, .. } => match self.processes.get_mut(&run) {
                    Some(process) if !process.has_ended => process.is_told = true,
                    Some(_) | None => self.complain(format!("{run:?} is signalled and not there")),
                },
                Effect::EnableReadiness { run } => match self.processes.get_mut(&run) {
                    Some(process) => process.is_read = true,
                    None => self.complain(format!("{run:?} is asked for readiness and not there")),
                },
                Effect::ArmTimer { service, timer, deadline, .. } => {
                    if self.timers.keys().any(|(other, _)| *other == service) {
                        self.complain(format!("INV-S9: a second timer for {service:?}"));
                    }
                    self.timers.insert((service, timer), deadline);
                }
                Effect::CancelTimer { service, timer } => {
                    self.timers.remove(&(service, timer));
                }
                Effect::ReadPidFile { service, run, daemon } => {
                    let found = self.pid_files.get(&service).copied().unwrap_or(Daemon::Unusable);
                    let is_supervised = found == Daemon::Supervised;
                    if is_supervised || found == Daemon::Unsupervised {
                        self.current.insert((service, Which::Main), daemon);
                        self.processes.insert(
                            daemon,
                            Process { is_executed: true, is_supervised, ..fresh(service, Role::Main) },
                        );
                    }
                    self.due.push_back(Event::PidFileRead { run, daemon: found });
                }
                Effect::ClaimConsole => {
                    if self.is_console_claimed {
                        self.complain("the console is claimed twice".to_string());
                    }
                    self.is_console_claimed = true;
                    self.due.push_back(Event::ConsoleYielded);
                }
                Effect::ReturnConsole => self.is_console_claimed = false,
                Effect::KillAll { service } => self.due.push_back(Event::AllKilled { service }),
                Effect::Chain { service } => {
                    let target = self.chains.get(&service);
                    if let Some(service) = target.and_then(|name| self.graph.find(name.as_bytes())) {
                        self.due.push_back(Event::ChainResolved { service });
                    }
                }
            }
        }
    }

    fn launch(&mut self, service: ServiceId, role: Role, run: RunId) {
        let is_beside = |role| role == Role::ServiceStopCommand;
        let others = self.processes.values().filter(|other| other.service == service);
        let living: BTreeSet<bool> = others.map(|other| is_beside(other.role)).collect();
        if living.contains(&is_beside(role)) {
            self.complain(format!("INV-O5: {service:?} launches a second {role:?}"));
        }
        self.processes.insert(run, fresh(service, role));
    }

    fn complain(&mut self, complaint: String) {
        self.tell(format_args!("  complaint: {complaint}"));
        self.complaint.get_or_insert(complaint);
    }

    /// Says something in a run that is told as it happens.
    pub(crate) fn tell(&self, what: core::fmt::Arguments<'_>) {
        if self.is_loud {
            let _ = writeln!(std::io::stderr(), "{what}");
        }
    }

    /// Whether the manager's own log is kept from the console.
    pub(crate) fn is_console_claimed(&self) -> bool {
        self.is_console_claimed
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
                let Some(target) = self.chains.get(&service).cloned() else { return };
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
            (self.graph.awaits_console(slot), "wait-console"),
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

fn fresh(service: ServiceId, role: Role) -> Process {
    Process {
        service,
        role,
        is_executed: false,
        has_ended: false,
        is_read: false,
        is_supervised: true,
        is_told: false,
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
