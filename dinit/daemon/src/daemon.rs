//! The daemon as a value: all that one process holds, and how events and effects go round.

use crate::control::Control;
use crate::environment::MainEnvironment;
use crate::exec::Execs;
use crate::log::Log;
use crate::options::Options;
use crate::output::Outputs;
use crate::prompt::Prompt;
use crate::reactor::Reactor;
use crate::runs::Runs;
use crate::texts;
use crate::timers::Timers;
use dinit_graph::{Answer, Effect, Event, Graph, Instant, Request, RunId, ServiceId, TimerId};
use dinit_sys::process::Ended;
use dinit_sys::signal::{Mask, SignalDescriptor};
use dinit_sys::system;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::OwnedFd;

/// What was decided at start and does not change.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) directories: Vec<Vec<u8>>,
    /// The base of relative control groups below the hierarchy's root; nothing if it is not known.
    pub(crate) cgroup_base: Option<Vec<u8>>,
    /// The mask of blocked signals that the daemon was started with.
    pub(crate) original_mask: Mask,
    /// The command line, for starting anew.
    pub(crate) arguments: Vec<Vec<u8>>,
    /// The limit of open descriptors before the daemon raised its own.
    pub(crate) original_open_files: Option<u64>,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// One arming of the graph.
    Graph(ServiceId, TimerId),
    /// The second between TERM and KILL to all processes.
    KillAll(ServiceId),
    /// The pause after a connection could not be taken.
    Listen,
}

/// To whom readiness is reported.
#[derive(Debug)]
pub(crate) enum ReadyReport {
    /// To a descriptor that is closed afterwards.
    Owned(OwnedFd),
    /// To standard output or error.
    Standard(i32),
}

/// All that the daemon holds.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) settings: Settings,
    pub(crate) graph: Graph,
    /// How each service is launched.
    pub(crate) execs: Execs,
    pub(crate) runs: Runs,
    pub(crate) timers: Timers<TimerKey>,
    pub(crate) outputs: Outputs,
    /// Open activation sockets.
    pub(crate) sockets: BTreeMap<ServiceId, OwnedFd>,
    pub(crate) environment: MainEnvironment,
    pub(crate) log: Log,
    pub(crate) reactor: Reactor,
    pub(crate) signals: SignalDescriptor,
    pub(crate) control: Control,
    /// Orders of the graph that are still to be carried out.
    pub(crate) effects: VecDeque<Effect>,
    /// Facts that the graph is still to be told.
    pub(crate) events: VecDeque<Event>,
    /// Services whose start failed, so that their stop is not shown as well.
    pub(crate) failed_starts: BTreeSet<ServiceId>,
    /// Ends of our own processes that were collected and not told yet.
    pub(crate) ended: VecDeque<(RunId, Ended)>,
    /// Adopted children that were collected in this turn.
    pub(crate) adopted: Vec<Ended>,
    pub(crate) ready_report: Option<ReadyReport>,
    pub(crate) boot_is_logged: bool,
    pub(crate) prompt: Option<Prompt>,
    /// Whether `recovery` was started by itself since `boot` was.
    pub(crate) has_recovered: bool,
    /// Set when the final action failed: nothing is left but to go on.
    pub(crate) is_stranded: bool,
    /// Set after a defect was caught: no request but shutdown is served any more.
    pub(crate) is_wounded: bool,
    /// The client whose request is being carried out; it is let go of if that brings a defect to light.
    pub(crate) serving: Option<u64>,
    /// Launches that have not told yet how they went.
    pub(crate) launches_under_way: usize,
    /// How much was loaded and launched since freed memory was last given back.
    pub(crate) untrimmed: usize,
    /// Whether something has happened since memory was last given back.
    pub(crate) is_stirred: bool,
    /// When it may be said again that there is no memory left.
    pub(crate) next_word_of_shortage: Instant,
    /// Whether the listener waits for a client to leave, for lack of descriptors.
    pub(crate) is_full: bool,
    /// What the streams of the log wait for: console, main.
    pub(crate) log_waits: [bool; 2],
}

impl Daemon {
    /// Tells the graph a fact, and carries out all that follows.
    pub(crate) fn feed(&mut self, event: Event) {
        self.events.push_back(event);
        self.settle();
    }

    /// Asks something of the graph, and carries out all that follows.
    pub(crate) fn ask(&mut self, request: Request) -> Answer {
        let mut effects = Vec::new();
        let answer = self.graph.request(now(), request, &mut effects);
        self.order(effects);
        self.settle();
        answer
    }

    /// Carries out orders and tells facts until there are none left.
    pub(crate) fn settle(&mut self) {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                self.perform(effect);
            } else if let Some(event) = self.events.pop_front() {
                let mut effects = Vec::new();
                self.graph.step(now(), event, &mut effects);
                self.order(effects);
            } else {
                return;
            }
        }
    }

    /// Takes in orders, to be carried out after those that are there already.
    pub(crate) fn order(&mut self, effects: Vec<Effect>) {
        if self.effects.is_empty() {
            self.effects = effects.into();
        } else {
            self.effects.extend(effects);
        }
    }

    /// Says whether memory is taken from the reserve: nothing new is taken on until it is whole again.
    pub(crate) fn is_short_of_memory(&self) -> bool {
        crate::MEMORY.is_low()
    }

    /// Gives the full name of a service.
    pub(crate) fn name_of(&self, service: ServiceId) -> Vec<u8> {
        self.graph.name(service).unwrap_or_default().to_vec()
    }

    /// Gives the status block of a service as of now.
    pub(crate) fn status_of(&self, service: ServiceId) -> Option<dinit_protocol::Status> {
        Some(self.status_block(service, &self.graph.status(service)?))
    }

    /// Gives the status block for a status of the graph.
    pub(crate) fn status_block(
        &self,
        service: ServiceId,
        status: &dinit_graph::Status,
    ) -> dinit_protocol::Status {
        let pid = status.main_run.and_then(|run| self.runs.get(run)).map(|run| run.pid);
        let described_at = self.graph.spec(service).map_or((0, 0), |spec| spec.described_at);
        texts::status_block(status, pid, described_at)
    }
}

/// Gives the present moment as the graph counts it.
pub(crate) fn now() -> Instant {
    Instant(system::monotonic_nanoseconds())
}
