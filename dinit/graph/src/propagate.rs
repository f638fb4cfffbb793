//! Phase one: who is required, what each is told, whose links are held, who is pinned.
//!
//! Nothing here begins an action or looks at a queue of its own: a service that concerns another marks it and has
//! it looked at later. STARTING and STOPPING may be entered here, STARTED and STOPPED only by an action that
//! completes or fails (LC 5.1).

use crate::edge::EdgeId;
use crate::effect::{Notice, TimerKind};
use crate::graph::Graph;
use crate::links::Loss;
use crate::record::{Main, RestartCause, Slot, Starting, State, Stopping};
use crate::spec::{DependencyKind, Kind};
use crate::status::{Milestone, Signal, StopReason, Target};

/// From where a service enters STARTING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It was down: all its links are taken up.
    Fresh,
    /// It restarts: it has its links; soft ones that were broken stay so (D20), hard ones that were lost come back.
    Restart,
    /// Its stop was cancelled.
    StopCancelled {
        /// It is still what it was when it was up, so there is nothing to start (D3).
        resuming: bool,
    },
}

impl Graph {
    /// Looks at everything a service was marked with.
    pub(crate) fn propagate(&mut self, slot: Slot) {
        let marks = core::mem::take(&mut self.record_mut(slot).marks);
        if marks.links {
            self.settle_links(slot);
        }
        if marks.dependency_failed {
            self.dependency_failed(slot);
        }
        if marks.start {
            self.told_to_start(slot);
        }
        if marks.stop {
            self.told_to_stop(slot, marks.restart);
        }
        if marks.pins {
            self.recompute_pins(slot);
        }
    }

    /// Holds all requirements of a service, or gives them up, as its state and target ask. What only a pin keeps up
    /// keeps what it has and takes nothing new.
    fn settle_links(&mut self, slot: Slot) {
        let record = self.record(slot);
        let (shall_hold, is_wanted) = (record.shall_hold_links(), record.target == Target::Started);
        for id in self.requirements_of(slot) {
            if !shall_hold {
                self.let_go(id, Loss::TellsToStop);
            } else if is_wanted {
                self.hold(id);
            }
        }
    }

    /// Starts a service if it is still wanted (LC 6.1).
    fn told_to_start(&mut self, slot: Slot) {
        let record = self.record(slot);
        if record.target == Target::Stopped {
            return;
        }
        match record.state {
            State::Stopped if record.pin_stop => self.fail_start(slot, None),
            State::Stopped => self.enter_starting(slot, Entry::Fresh),
            State::Starting(_) | State::Started => {}
            State::Stopping(Stopping::AwaitingDependents { was_up })
                if !record.forced && !record.start_failed =>
            {
                if self.may_cancel_stop(slot) {
                    self.announce(slot, Milestone::StopCancelled);
                    self.enter_starting(slot, Entry::StopCancelled { resuming: was_up });
                } else {
                    self.force_stop(slot);
                }
            }
            State::Stopping(_) => {}
        }
    }

    /// Whether a stop that waits for dependents can be taken back. It cannot when the process has ended meanwhile or
    /// the service is pinned stopped; then it has to go all the way down, and its dependents with it.
    fn may_cancel_stop(&self, slot: Slot) -> bool {
        let record = self.record(slot);
        !record.pin_stop && (!record.is_process_kind() || record.main != Main::Absent)
    }

    /// Enters STARTING: takes up links, and finds out what has to be waited for.
    pub(crate) fn enter_starting(&mut self, slot: Slot, entry: Entry) {
        let resuming = entry == Entry::StopCancelled { resuming: true };
        let record = self.record_mut(slot);
        record.start_failed = false;
        record.start_skipped = false;
        self.set_state(slot, State::Starting(Starting::AwaitingDependencies { resuming }));
        for id in self.dependents_of(slot) {
            self.attach_dependent(id);
        }
        for id in self.dependencies_of(slot) {
            let Some(edge) = self.edge(id) else { continue };
            let is_lost_for_good = entry == Entry::Restart && edge.kind == DependencyKind::WaitsFor;
            if !is_lost_for_good {
                self.hold(id);
            }
            match self.edge(id) {
                Some(edge) if self.must_wait_for(&edge) && (!resuming || edge.kind.is_always_hard()) => {
                    self.begin_waiting(id);
                }
                Some(_) | None => self.stop_waiting(id),
            }
        }
        // Coming from STOPPING, it may have been in the way of their stop, and is not any more.
        self.look_at_dependencies(slot);
        self.queue_transition(slot);
    }

    /// Ties a dependent to a service that begins to start: broken links are held again, and ordering is heeded by
    /// those whose start action has not begun.
    fn attach_dependent(&mut self, id: EdgeId) {
        let Some(edge) = self.edge(id) else { return };
        let dependent = self.record(edge.from);
        if !edge.kind.is_ordering() {
            if dependent.wants_dependencies() {
                self.hold(id);
            }
        } else if dependent.state != State::Stopped && dependent.is_fundamentally_stopped() {
            self.begin_waiting(id);
        }
    }

    /// Stops a service, or takes note that it shall stop later (LC 6.3, 6.5).
    pub(crate) fn told_to_stop(&mut self, slot: Slot, restart: bool) {
        let record = self.record(slot);
        // A pin holds what has begun. What waits for a dependency that is taken away cannot come up, pinned or not.
        let has_begun = matches!(record.state, State::Started | State::Starting(Starting::Acting));
        let is_held_up = has_begun && record.is_pinned_started();
        let is_due = record.forced || restart || record.target == Target::Stopped;
        if record.state == State::Stopped || is_held_up || !is_due {
            return;
        }
        self.decide_restart(slot, restart);
        let record = self.record(slot);
        let is_restarting = record.restart.is_some()
            || (record.target == Target::Started && matches!(record.state, State::Stopping(_)));
        if !is_restarting {
            self.deactivate(slot, Loss::WhileStopping);
        }
        for id in self.dependents_of(slot) {
            self.take_dependent_along(id, is_restarting);
        }
        self.leave_for_stopping(slot);
    }

    /// Decides whether a service that is told to stop will come up again by itself.
    fn decide_restart(&mut self, slot: Slot, requested: bool) {
        let record = self.record_mut(slot);
        if record.target == Target::Stopped {
            record.restart = None;
        } else if requested {
            record.restart = Some(RestartCause::Requested);
        } else if record.restart.is_none() && !matches!(record.state, State::Stopping(_)) {
            self.decide_automatic_restart(slot);
        }
    }

    /// Does to one dependent what the stop of its dependency means to it.
    fn take_dependent_along(&mut self, id: EdgeId, is_restarting: bool) {
        let Some(edge) = self.edge(id) else { return };
        if edge.kind.is_ordering() {
            return;
        }
        if !edge.is_hard() {
            if !is_restarting || !edge.held {
                self.stop_waiting(id);
                self.let_go(id, Loss::WhileStopping);
            }
            return;
        }
        let dependent = edge.from;
        if self.record(dependent).state == State::Stopped {
            return;
        }
        let record = self.record(edge.to);
        let (is_forced, target) = (record.forced, record.target);
        let is_requested = record.restart == Some(RestartCause::Requested);
        let is_concerned =
            self.record(dependent).target == Target::Started || self.record(dependent).is_up_or_coming();
        let falls = target == Target::Stopped && (is_forced || is_concerned);
        if falls {
            self.aim_for_stopped(dependent);
            self.deactivate(dependent, Loss::WhileStopping);
        }
        let record = self.record_mut(dependent);
        if is_forced {
            record.forced = true;
            if target == Target::Stopped && !record.start_failed {
                record.reason = StopReason::DependencyFailed;
            }
        }
        if is_requested && !falls && record.is_up_or_coming() {
            record.reason = StopReason::DependencyRestarted;
            record.marks.restart = true;
            self.mark_stop(dependent);
        } else if is_forced || falls {
            self.mark_stop(dependent);
        }
    }

    /// Leaves STARTING or STARTED for STOPPING, unless a start that cannot be interrupted has to come to its end.
    fn leave_for_stopping(&mut self, slot: Slot) {
        match self.record(slot).state {
            State::Started => {
                self.abandon_pending_recovery(slot);
                self.await_dependents(slot, true);
            }
            State::Starting(Starting::AwaitingDependencies { resuming }) => self.cancel_start(slot, resuming),
            State::Starting(Starting::AwaitingConsole) => {
                self.give_up_console(slot);
                self.cancel_start(slot, false);
            }
            State::Starting(Starting::AwaitingDelay) => {
                self.cancel_timer(slot);
                self.cancel_start(slot, false);
            }
            State::Starting(Starting::Acting) => self.interrupt_start(slot),
            State::Stopping(_) => self.queue_transition(slot),
            State::Stopped => {}
        }
        if self.record(slot).target == Target::Stopped {
            self.mark_links(slot);
        }
    }

    fn cancel_start(&mut self, slot: Slot, was_up: bool) {
        self.announce(slot, Milestone::StartCancelled);
        self.await_dependents(slot, was_up);
        self.wake_ordered(slot);
    }

    pub(crate) fn await_dependents(&mut self, slot: Slot, was_up: bool) {
        self.set_state(slot, State::Stopping(Stopping::AwaitingDependents { was_up }));
        self.queue_transition(slot);
    }

    /// Gives a start action that runs up, if that is possible now. A child that has not executed its program yet
    /// still has our signal handling, and is left alone until it has (LC 8.2).
    fn interrupt_start(&mut self, slot: Slot) {
        let record = self.record(slot);
        match (record.spec.kind, record.main) {
            (Kind::Triggered, _) => self.cancel_start(slot, false),
            (Kind::Process | Kind::BgProcess | Kind::Scripted, Main::Alive { run, .. })
                if record.spec.start_interruptible =>
            {
                self.note(slot, Notice::StartInterrupted { run });
                self.interrupt_run(slot, run);
                self.set_state(slot, State::Stopping(Stopping::Acting));
                self.announce(slot, Milestone::StartCancelled);
                self.wake_ordered(slot);
            }
            #[cfg(test)]
            (Kind::Timed(_), _) if record.spec.start_interruptible => self.cancel_start(slot, false),
            (_, _) => {}
        }
    }

    /// Sends the interrupt that a start is given up with, and limits how long it may take to heed it.
    pub(crate) fn interrupt_run(&mut self, slot: Slot, run: crate::id::RunId) {
        self.signal_service(slot, run, Signal::INT);
        self.record_mut(slot).stop_issued = true;
        let limit = self.record(slot).spec.stop_timeout;
        self.limit_time(slot, TimerKind::Stop, limit);
    }

    /// Fails a start: dependents are told, nothing requires the service any more, listeners learn of it (LC 6.4).
    ///
    /// The caller has set the state that listeners shall see, and lets the service become STOPPED when its process
    /// is gone. `None` leaves the stop reason alone.
    pub(crate) fn fail_start(&mut self, slot: Slot, reason: Option<StopReason>) {
        let record = self.record_mut(slot);
        record.start_failed = true;
        record.reason = reason.unwrap_or(record.reason);
        self.aim_for_stopped(slot);
        self.mark_links(slot);
        self.give_up_console(slot);
        self.deactivate(slot, Loss::WhileStopping);
        for id in self.dependents_of(slot) {
            self.fail_dependent(id);
        }
        self.announce(slot, Milestone::FailedStart);
        let record = self.record_mut(slot);
        if core::mem::take(&mut record.pin_start) {
            self.repin_dependencies(slot);
        }
    }

    fn fail_dependent(&mut self, id: EdgeId) {
        let Some(edge) = self.edge(id) else { return };
        let state = self.record(edge.from).state;
        let fails = match edge.kind {
            DependencyKind::Regular | DependencyKind::PreparedBy => {
                matches!(state, State::Starting(_) | State::Started)
            }
            DependencyKind::Milestone => matches!(state, State::Starting(phase) if phase != Starting::Acting),
            DependencyKind::WaitsFor | DependencyKind::Before | DependencyKind::After => false,
        };
        if fails {
            self.record_mut(edge.from).marks.dependency_failed = true;
            self.queue_propagation(edge.from);
        }
        self.stop_waiting(id);
        self.let_go(id, Loss::WhileStopping);
    }

    /// A hard dependency failed to start: so does this service, or it is taken down if it has got further.
    fn dependency_failed(&mut self, slot: Slot) {
        let record = self.record(slot);
        match record.state {
            State::Starting(phase) if record.is_fundamentally_stopped() => {
                if phase == Starting::AwaitingDelay {
                    self.cancel_timer(slot);
                }
                self.give_up_console(slot);
                self.set_state(slot, State::Stopped);
                self.fail_start(slot, Some(StopReason::DependencyFailed));
                self.stopped(slot);
            }
            State::Starting(_) | State::Started => {
                let record = self.record_mut(slot);
                record.reason = StopReason::DependencyFailed;
                record.forced = true;
                self.aim_for_stopped(slot);
                self.deactivate(slot, Loss::WhileStopping);
                self.mark_stop(slot);
            }
            State::Stopped | State::Stopping(_) => {}
        }
    }

    /// Wakes those that only wait for a service to be through with its start, and have no claim on it.
    pub(crate) fn wake_ordered(&mut self, slot: Slot) {
        for id in self.dependents_of(slot) {
            if self.edge(id).is_some_and(|edge| !edge.is_hard() && !edge.held) {
                self.stop_waiting(id);
            }
        }
    }

    /// Takes a service down whatever requires it; its target, and so its restart, is left alone (LC 6.7).
    pub(crate) fn force_stop(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        if record.state != State::Stopped {
            record.forced = true;
            self.mark_stop(slot);
        }
    }

    /// Finds out whether a pinned hard dependent remains (LC 7.9).
    fn recompute_pins(&mut self, slot: Slot) {
        let is_pinned =
            self.any_dependent(slot, |edge| edge.is_hard() && self.record(edge.from).is_pinned_started());
        let record = self.record_mut(slot);
        if record.pin_dependent == is_pinned {
            return;
        }
        record.pin_dependent = is_pinned;
        self.repin_dependencies(slot);
        self.pins_changed(slot);
    }

    /// Has the hard dependencies of a service find out whether they are pinned.
    pub(crate) fn repin_dependencies(&mut self, slot: Slot) {
        for id in self.dependencies_of(slot) {
            if let Some(edge) = self.edge(id)
                && edge.is_hard()
            {
                self.mark_pins(edge.to);
            }
        }
    }

    /// Does what a pin had held back, if none is left.
    pub(crate) fn pins_changed(&mut self, slot: Slot) {
        let record = self.record(slot);
        if record.is_pinned_started() {
            return;
        }
        let is_due = record.forced || record.target == Target::Stopped;
        if record.is_up_or_coming() && is_due {
            self.mark_links(slot);
            self.mark_stop(slot);
        }
    }
}
