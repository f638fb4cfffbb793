//! Phase two: actions begin and complete, one service at a time, once all propagation is done.
//!
//! A precondition is looked at when the action would begin, not when the service was queued; once an action has
//! begun its phase says so, and no further wake-up begins it again (D22).

use crate::effect::Effect;
use crate::graph::Graph;
#[cfg(any(test, debug_assertions))]
use crate::invariants;
use crate::links::Loss;
use crate::propagate::Entry;
use crate::record::{Main, Slot, Starting, State, Stopping};
use crate::spec::{ChainRule, ConsoleNeed, DependencyKind, Kind};
use crate::status::{ExitStatus, Milestone, ServiceState, StopReason, Target};

impl Graph {
    /// Lets a service do what is now permitted.
    pub(crate) fn transition(&mut self, slot: Slot) {
        match self.record(slot).state {
            State::Starting(Starting::AwaitingDependencies { resuming }) => {
                if self.has_what_it_needs(slot) {
                    self.go_on_starting(slot, resuming);
                }
            }
            State::Starting(Starting::AwaitingConsole) => {
                if !self.console.is_holder(slot) {
                    return;
                }
                if self.has_what_it_needs(slot) {
                    self.begin_start_action(slot);
                } else {
                    self.give_up_console(slot);
                    self.wait_again(slot);
                }
            }
            State::Stopping(Stopping::AwaitingDependents { .. }) => {
                if !self.is_dependent_in_the_way(slot) {
                    self.begin_stop(slot);
                } else if self.may_relaunch_early(slot) {
                    self.relaunch.push_back(slot);
                }
            }
            State::Starting(Starting::AwaitingDelay | Starting::Acting)
            | State::Stopping(Stopping::AwaitingKillAll | Stopping::Acting)
            | State::Stopped
            | State::Started => {}
        }
    }

    /// Whether no link is waiting and every hard dependency is up; one that is not is waited for.
    pub(crate) fn has_what_it_needs(&mut self, slot: Slot) -> bool {
        if self.record(slot).waiting > 0 {
            return false;
        }
        for id in self.dependencies_of(slot) {
            if let Some(edge) = self.edge(id)
                && edge.kind.is_always_hard()
                && self.record(edge.to).state != State::Started
            {
                self.begin_waiting(id);
            }
        }
        self.record(slot).waiting == 0
    }

    fn wait_again(&mut self, slot: Slot) {
        self.set_state(slot, State::Starting(Starting::AwaitingDependencies { resuming: false }));
    }

    fn go_on_starting(&mut self, slot: Slot, resuming: bool) {
        let record = self.record(slot);
        if resuming {
            self.up(slot);
        } else if record.needs_console_to_itself() && !self.console.is_holder(slot) {
            self.set_state(slot, State::Starting(Starting::AwaitingConsole));
            self.queue_for_console(slot);
        } else {
            self.begin_start_action(slot);
        }
    }

    fn begin_start_action(&mut self, slot: Slot) {
        #[cfg(any(test, debug_assertions))]
        self.demand(invariants::start_forbidden(self, slot));
        self.set_state(slot, State::Starting(Starting::Acting));
        let record = self.record_mut(slot);
        let cause = record.restart.take();
        match record.spec.kind {
            Kind::Internal => self.started(slot),
            Kind::Triggered if record.trigger => self.started(slot),
            Kind::Triggered => {}
            Kind::Process | Kind::BgProcess | Kind::Scripted => self.launch_or_delay(slot, cause),
            #[cfg(test)]
            Kind::Timed(double) => self.begin_timed_start(slot, double),
        }
    }

    /// The rest of the restart delay is over: launches, if all is still as it was.
    pub(crate) fn delay_over(&mut self, slot: Slot) {
        if self.has_what_it_needs(slot) {
            self.set_state(slot, State::Starting(Starting::Acting));
            self.launch_main(slot);
        } else {
            self.wait_again(slot);
        }
    }

    /// The start action is complete (LC 6.2).
    pub(crate) fn started(&mut self, slot: Slot) {
        self.cancel_timer(slot);
        let spec = &self.record(slot).spec;
        // A bgprocess cannot run on the console: its daemon has none.
        if spec.console == ConsoleNeed::Start || spec.kind == Kind::BgProcess {
            self.give_up_console(slot);
        }
        self.up(slot);
        let spec = &self.record(slot).spec;
        let (is_root_writable, is_log_available) = (spec.starts_rwfs, spec.starts_log);
        if is_root_writable {
            self.emit(Effect::RootWritable);
        }
        if is_log_available {
            self.emit(Effect::LogAvailable);
        }
    }

    /// Enters STARTED, by a start action or without one, and stops again at once if that is what is wanted.
    fn up(&mut self, slot: Slot) {
        self.set_state(slot, State::Started);
        self.announce(slot, Milestone::Started);
        let record = self.record(slot);
        if !record.is_pinned_started() && (record.forced || record.target == Target::Stopped) {
            self.mark_stop(slot);
            self.wake_ordered(slot);
            return;
        }
        for id in self.dependents_of(slot) {
            self.stop_waiting(id);
        }
    }

    /// Whether some hard dependent is not down, nor on the way up with nothing begun (D4). The search goes on where
    /// it ended last time, so that all dependents together cost one pass.
    fn is_dependent_in_the_way(&mut self, slot: Slot) -> bool {
        let record = self.record(slot);
        let (first, count) = (record.blocker, record.dependents.len());
        let found = (first..count).chain(0..first.min(count)).find(|index| {
            let edge = record.dependents.get(*index).and_then(|id| self.edges.get(*id));
            edge.is_some_and(|edge| edge.is_hard() && !self.record(edge.from).is_fundamentally_stopped())
        });
        self.record_mut(slot).blocker = found.unwrap_or(0);
        found.is_some()
    }

    /// Whether the process of a service that shall come up again is gone while dependents are still going down.
    fn may_relaunch_early(&self, slot: Slot) -> bool {
        let record = self.record(slot);
        matches!(record.state, State::Stopping(Stopping::AwaitingDependents { .. }))
            && record.is_process_kind()
            && record.main == Main::Absent
            && record.target == Target::Started
            && !record.pin_stop
            && !record.start_failed
    }

    /// Begins the restart without waiting for the dependents, and without a STOPPED (LC 9.3, D10).
    pub(crate) fn relaunch_early(&mut self, slot: Slot) {
        if !self.may_relaunch_early(slot) {
            return;
        }
        self.cancel_timer(slot);
        self.give_up_console(slot);
        self.record_mut(slot).forced = false;
        self.restart_preparation(slot);
        self.enter_starting(slot, Entry::Restart);
    }

    /// Every dependent is out of the way: the stop begins.
    fn begin_stop(&mut self, slot: Slot) {
        #[cfg(any(test, debug_assertions))]
        self.demand(invariants::stop_forbidden(self, slot));
        let spec = &self.record(slot).spec;
        if spec.kill_all_on_stop && matches!(spec.kind, Kind::Internal | Kind::Scripted) {
            self.set_state(slot, State::Stopping(Stopping::AwaitingKillAll));
            self.killing = self.killing.saturating_add(1);
            self.emit(Effect::KillAll { service: self.id_of(slot) });
        } else {
            self.begin_stop_action(slot);
        }
    }

    /// Every process was killed, as `kill-all-on-stop` asks: launches may go out again, and the stop goes on.
    pub(crate) fn all_killed(&mut self, slot: Slot) {
        if self.record(slot).state != State::Stopping(Stopping::AwaitingKillAll) {
            return;
        }
        self.killing = self.killing.saturating_sub(1);
        if self.killing == 0 {
            self.release_held_launches();
        }
        self.begin_stop_action(slot);
    }

    fn begin_stop_action(&mut self, slot: Slot) {
        self.set_state(slot, State::Stopping(Stopping::Acting));
        match self.record(slot).spec.kind {
            Kind::Internal | Kind::Triggered => self.stopped(slot),
            Kind::Process | Kind::BgProcess => self.stop_process(slot),
            Kind::Scripted => self.run_scripted_stop(slot),
            #[cfg(test)]
            Kind::Timed(double) => self.begin_timed_stop(slot, double),
        }
    }

    /// The service is down: it restarts, or becomes inactive (LC 6.6).
    pub(crate) fn stopped(&mut self, slot: Slot) {
        self.give_up_console(slot);
        self.forget_processes(slot);
        let record = self.record_mut(slot);
        record.forced = false;
        let is_restarting = record.target == Target::Started && !record.pin_stop;
        for id in self.dependencies_of(slot) {
            self.stop_waiting(id);
        }
        if !is_restarting {
            self.break_soft_links(slot);
        }
        self.look_at_dependencies(slot);
        self.set_state(slot, State::Stopped);
        if is_restarting {
            self.restart_preparation(slot);
            self.enter_starting(slot, Entry::Restart);
        } else {
            self.become_inactive(slot);
        }
        if self.chains(slot, is_restarting) {
            self.emit(Effect::Chain { service: self.id_of(slot) });
        }
        self.announce(slot, Milestone::Stopped);
    }

    /// Breaks the links of those that can be without the service, and wakes who waits for its start.
    fn break_soft_links(&mut self, slot: Slot) {
        for id in self.dependents_of(slot) {
            let Some(edge) = self.edge(id) else { continue };
            if !edge.is_hard() {
                self.stop_waiting(id);
                self.let_go(id, Loss::WhileStopping);
            }
        }
    }

    /// Has the dependencies find out whether they may stop now.
    pub(crate) fn look_at_dependencies(&mut self, slot: Slot) {
        for id in self.dependencies_of(slot) {
            if let Some(edge) = self.edge(id)
                && !edge.kind.is_ordering()
            {
                self.queue_transition(edge.to);
            }
        }
    }

    /// Restarts what prepares a service that restarts. It stops here and now, so that the service finds it down.
    fn restart_preparation(&mut self, slot: Slot) {
        for id in self.dependencies_of(slot) {
            let Some(edge) = self.edge(id) else { continue };
            let preparation = self.record(edge.to);
            if edge.kind == DependencyKind::PreparedBy
                && preparation.state == State::Started
                && !preparation.is_pinned_started()
            {
                let preparation = self.record_mut(edge.to);
                preparation.reason = StopReason::Normal;
                preparation.forced = true;
                self.told_to_stop(edge.to, true);
            }
        }
    }

    fn become_inactive(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        record.restart = None;
        record.launched_before = false;
        if matches!(record.spec.kind, Kind::Process | Kind::BgProcess | Kind::Scripted) {
            self.emit(Effect::CloseSocket { service: self.id_of(slot) });
        }
        self.deactivate(slot, Loss::WhileStopping);
        self.mark_links(slot);
        // Whoever came to require it while it was going down with a stop pin learns that it will not start.
        if self.record(slot).target == Target::Started {
            self.record_mut(slot).marks.start = true;
        }
    }

    /// Whether the service that `chain-to` names shall start now (LC 10.6).
    fn chains(&self, slot: Slot, is_restarting: bool) -> bool {
        let record = self.record(slot);
        let ended_cleanly =
            record.reason == StopReason::Terminated && record.exit_status.is_some_and(ExitStatus::is_clean);
        let is_called_for = match record.spec.chain {
            ChainRule::Never => false,
            ChainRule::AfterCleanEnd => ended_cleanly && !is_restarting,
            ChainRule::Always => true,
        };
        is_called_for && self.shutdown.is_none() && !record.start_failed
    }

    /// Whether the service is up, for the answer to a request.
    pub(crate) fn is_started(&self, slot: Slot) -> bool {
        self.record(slot).visible_state() == ServiceState::Started
    }
}
