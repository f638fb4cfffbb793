//! Requests and events, brought to the code that carries them out.

use alloc::vec::Vec;

use crate::event::Event;
use crate::graph::Graph;
use crate::id::ServiceId;
use crate::links::Loss;
use crate::record::{Slot, Starting, State};
use crate::request::{Answer, Refusal, Request, ShutdownKind};
use crate::spec::Kind;
use crate::status::{ServiceState, StopReason};

/// Where a request begins: at the service it names, or at the refusal because there is none.
type Named = Result<Slot, Answer>;

/// Whether hard dependents that hold a service are spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Gentle,
    Forceful,
}

impl From<bool> for Manner {
    fn from(gentle: bool) -> Self {
        if gentle { Self::Gentle } else { Self::Forceful }
    }
}

impl Graph {
    /// Takes an event to the run, timer or service it is about; one that is not known is dropped.
    pub(crate) fn take_in(&mut self, event: Event) {
        match event {
            Event::Executed { run } => self.executed(run),
            Event::ExecFailed { run, failure } => self.exec_failed(run, failure),
            Event::LaunchRefused { run, failure } => self.launch_refused(run, failure),
            Event::Exited { run, status } => self.exited(run, status),
            Event::Ready { run } => self.ready(run),
            Event::ReadinessClosed { run } => self.readiness_closed(run),
            Event::PidFileRead { run, daemon } => self.pid_file_read(run, daemon),
            Event::TimerExpired { service, timer } => {
                if let Some(slot) = self.resolve(service) {
                    self.timer_expired(slot, timer);
                }
            }
            Event::ConsoleYielded => self.console_yielded(),
            Event::ChainResolved { service } => {
                if let Some(slot) = self.resolve(service)
                    && self.shutdown.is_none()
                    && !self.is_pinned_down(slot)
                {
                    self.activate(slot);
                }
            }
            Event::AllKilled { service } => {
                if let Some(slot) = self.resolve(service) {
                    self.all_killed(slot);
                }
            }
        }
    }

    /// Carries out a request and settles the graph before the answer is formed.
    pub(crate) fn answer(&mut self, request: Request) -> Answer {
        match self.carry_out(request) {
            Ok(answer) | Err(answer) => answer,
        }
    }

    fn carry_out(&mut self, request: Request) -> Result<Answer, Answer> {
        match request {
            Request::Start { service, pin } => self.start(self.named(service)?, pin),
            Request::Activate { service } => self.start_for_the_manager(self.named(service)?),
            Request::Wake { service, pin } => self.wake(self.named(service)?, pin),
            Request::Stop { service, pin, gentle } => self.stop(self.named(service)?, pin, gentle.into()),
            Request::Restart { service, gentle } => self.restart(self.named(service)?, gentle.into()),
            Request::Release { service, pin } => Ok(self.release(self.named(service)?, pin)),
            Request::Unpin { service } => Ok(self.unpin(self.named(service)?)),
            Request::SetTrigger { service, value } => self.set_trigger(self.named(service)?, value),
            Request::AddDep { kind, from, to } => self.add_dep(kind, self.named(from)?, self.named(to)?),
            Request::RemoveDep { kind, from, to } => {
                self.remove_dep(kind, self.named(from)?, self.named(to)?)
            }
            Request::Enable { kind, from, to } => self.enable(kind, self.named(from)?, self.named(to)?),
            Request::Reload { service, description } => self.reload(self.named(service)?, &description),
            Request::Unload { service } => self.unload(self.named(service)?),
            Request::Shutdown { kind } => Ok(self.shut_down(kind)),
        }
    }

    fn named(&self, service: ServiceId) -> Named {
        self.resolve(service).ok_or(Answer::Refused(Refusal::NoSuchService))
    }

    /// Whether a start would run into a stop pin (LC 7.1).
    fn is_pinned_down(&self, slot: Slot) -> bool {
        let record = self.record(slot);
        record.pin_stop && !record.is_up_or_coming()
    }

    fn may_start(&self, slot: Slot) -> Result<(), Answer> {
        if self.shutdown.is_some() {
            return Err(Answer::ShuttingDown);
        }
        self.is_not_pinned_down(slot)
    }

    fn is_not_pinned_down(&self, slot: Slot) -> Result<(), Answer> {
        if self.is_pinned_down(slot) { Err(Answer::PinnedStopped) } else { Ok(()) }
    }

    fn start(&mut self, slot: Slot, pin: bool) -> Result<Answer, Answer> {
        self.may_start(slot)?;
        if pin {
            self.pin_started(slot);
        }
        self.activate(slot);
        self.settle();
        Ok(self.done_or(slot, ServiceState::Started))
    }

    fn start_for_the_manager(&mut self, slot: Slot) -> Result<Answer, Answer> {
        self.is_not_pinned_down(slot)?;
        self.activate(slot);
        self.settle();
        Ok(self.done_or(slot, ServiceState::Started))
    }

    /// Activates a service explicitly and tells it to start.
    fn activate(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        if !record.active {
            record.active = true;
            self.require(slot);
        }
        self.want(slot);
    }

    fn wake(&mut self, slot: Slot, pin: bool) -> Result<Answer, Answer> {
        self.may_start(slot)?;
        let mut is_wanted = false;
        for id in self.dependents_of(slot) {
            let Some(edge) = self.edge(id) else { continue };
            if !edge.kind.is_ordering() && self.record(edge.from).wants_dependencies() {
                is_wanted = true;
                self.hold(id);
            }
        }
        if pin {
            self.pin_started(slot);
        }
        self.settle();
        match self.done_or(slot, ServiceState::Started) {
            Answer::Done if !is_wanted => Err(Answer::Refused(Refusal::NoActiveDependents)),
            answer => Ok(answer),
        }
    }

    fn may_stop(&self, slot: Slot, manner: Manner) -> Result<(), Answer> {
        let record = self.record(slot);
        if record.is_up_or_coming() && record.is_pinned_started() {
            return Err(Answer::PinnedStarted);
        }
        let holders: Vec<ServiceId> = match manner {
            Manner::Gentle => self.hard_holders(slot),
            Manner::Forceful => Vec::new(),
        };
        if holders.is_empty() { Ok(()) } else { Err(Answer::Dependents(holders)) }
    }

    fn hard_holders(&self, slot: Slot) -> Vec<ServiceId> {
        let edges = self.record(slot).dependents.iter().filter_map(|id| self.edges.get(*id));
        edges
            .filter(|edge| edge.held && edge.kind.is_always_hard())
            .map(|edge| self.id_of(edge.from))
            .collect()
    }

    fn stop(&mut self, slot: Slot, pin: bool, manner: Manner) -> Result<Answer, Answer> {
        self.may_stop(slot, manner)?;
        if pin {
            self.record_mut(slot).pin_stop = true;
        }
        self.tell_to_stop(slot);
        self.force_stop(slot);
        self.settle();
        Ok(self.done_or(slot, ServiceState::Stopped))
    }

    /// Tells a service to stop and not to come back, without forcing it.
    pub(crate) fn tell_to_stop(&mut self, slot: Slot) {
        self.aim_for_stopped(slot);
        self.deactivate(slot, Loss::WhileStopping);
        let record = self.record_mut(slot);
        if record.state == State::Stopped {
            return;
        }
        // Why a start failed stays known while its process is still going down.
        if !record.start_failed {
            record.reason = StopReason::Normal;
        }
        self.mark_stop(slot);
    }

    fn restart(&mut self, slot: Slot, manner: Manner) -> Result<Answer, Answer> {
        if self.shutdown.is_some() {
            return Err(Answer::ShuttingDown);
        }
        self.may_stop(slot, manner)?;
        if !self.is_started(slot) {
            return Err(Answer::Refused(Refusal::NotStarted));
        }
        let record = self.record_mut(slot);
        record.reason = StopReason::Normal;
        record.marks.restart = true;
        self.force_stop(slot);
        self.settle();
        Ok(self.done_or(slot, ServiceState::Started))
    }

    fn release(&mut self, slot: Slot, pin: bool) -> Answer {
        if pin {
            self.record_mut(slot).pin_stop = true;
        }
        self.deactivate(slot, Loss::TellsToStop);
        self.settle();
        self.done_or(slot, ServiceState::Stopped)
    }

    /// Pins a service started, and with it everything it cannot be without.
    pub(crate) fn pin_started(&mut self, slot: Slot) {
        self.record_mut(slot).pin_start = true;
        self.repin_dependencies(slot);
    }

    fn unpin(&mut self, slot: Slot) -> Answer {
        let record = self.record_mut(slot);
        record.pin_stop = false;
        if core::mem::take(&mut record.pin_start) {
            self.repin_dependencies(slot);
            self.pins_changed(slot);
        }
        self.settle();
        Answer::Done
    }

    fn set_trigger(&mut self, slot: Slot, value: bool) -> Result<Answer, Answer> {
        let record = self.record_mut(slot);
        if record.spec.kind != Kind::Triggered {
            return Err(Answer::Refused(Refusal::NotTriggered));
        }
        record.trigger = value;
        if value && record.state == State::Starting(Starting::Acting) {
            self.started(slot);
        }
        self.settle();
        Ok(Answer::Done)
    }

    /// Stops everything: no pin and no explicit activation is left (LC 10.7).
    fn shut_down(&mut self, kind: ShutdownKind) -> Answer {
        if self.shutdown.replace(kind).is_some() {
            return Answer::Done;
        }
        // By name, so that the same graph always stops in the same order.
        let mut loaded: Vec<Slot> = self.names.values().copied().collect();
        loaded.sort_unstable_by(|a, b| self.record(*a).name.cmp(&self.record(*b).name));
        for slot in &loaded {
            let record = self.record_mut(*slot);
            record.pin_start = false;
            record.pin_stop = false;
            record.pin_dependent = false;
        }
        for slot in loaded {
            self.deactivate(slot, Loss::TellsToStop);
            self.pins_changed(slot);
        }
        self.settle();
        Answer::Done
    }

    /// The answer to a request that was accepted: whether the service is already where it shall be.
    pub(crate) fn done_or(&self, slot: Slot, goal: ServiceState) -> Answer {
        if self.record(slot).visible_state() == goal { Answer::AlreadyThere } else { Answer::Done }
    }
}
