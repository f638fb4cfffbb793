//! Restart policy, restart limit and restart delay (LC 8.4), and smooth recovery (LC 8.5).

use crate::effect::{Notice, TimerKind};
use crate::graph::Graph;
use crate::record::{Main, RestartCause, Slot, Starting, State};
use crate::spec::{Kind, Restart};
use crate::status::{ExitStatus, StopReason, Target};

impl Graph {
    /// Applies the restart policy to a service that goes down with its target still STARTED. Only a process or
    /// bgprocess is limited; one that restarts too quickly loses its target.
    pub(crate) fn decide_automatic_restart(&mut self, slot: Slot) {
        let record = self.record(slot);
        let is_wanted = match record.spec.restart {
            Restart::Never => false,
            Restart::Always => true,
            Restart::OnFailure => {
                record.is_process_kind() && record.exit_status.is_some_and(ExitStatus::is_failure)
            }
        };
        if !is_wanted {
            return;
        }
        if !record.is_process_kind() || self.may_restart_once_more(slot) {
            self.record_mut(slot).restart = Some(RestartCause::Automatic);
        } else {
            self.aim_for_stopped(slot);
        }
    }

    /// Counts one more automatic restart, or says in the log that there were too many.
    fn may_restart_once_more(&mut self, slot: Slot) -> bool {
        let now = self.now;
        let record = self.record_mut(slot);
        let limit = record.spec.restart_limit_count;
        if limit == 0 {
            return true;
        }
        if now.since(record.window_start) >= record.spec.restart_limit_interval {
            record.window_start = now;
            record.restarts_in_window = 0;
        }
        if record.restarts_in_window >= limit {
            self.note(slot, Notice::RestartingTooQuickly);
            return false;
        }
        record.restarts_in_window = record.restarts_in_window.saturating_add(1);
        true
    }

    /// Launches, at once or, when the restart is automatic, not before the restart delay is over.
    pub(crate) fn launch_or_delay(&mut self, slot: Slot, cause: Option<RestartCause>) {
        if cause != Some(RestartCause::Automatic) {
            let now = self.now;
            let record = self.record_mut(slot);
            record.window_start = now;
            record.restarts_in_window = 0;
            self.launch_main(slot);
        } else if self.is_delay_over(slot) {
            self.launch_main(slot);
        } else {
            self.set_state(slot, State::Starting(Starting::AwaitingDelay));
            self.arm_delay(slot);
        }
    }

    fn is_delay_over(&self, slot: Slot) -> bool {
        let record = self.record(slot);
        record.last_launch.is_none_or(|launch| launch.after(record.spec.restart_delay) <= self.now)
    }

    fn arm_delay(&mut self, slot: Slot) {
        let record = self.record(slot);
        if let Some(launch) = record.last_launch {
            self.arm_timer(slot, TimerKind::RestartDelay, launch.after(record.spec.restart_delay));
        }
    }

    /// The process of a service that is up is gone without having been told to go.
    pub(crate) fn lost_process(&mut self, slot: Slot) {
        let record = self.record(slot);
        let may_try = match record.spec.kind {
            Kind::Process => true,
            Kind::BgProcess => record.target == Target::Started,
            Kind::Scripted | Kind::Internal | Kind::Triggered => false,
            #[cfg(test)]
            Kind::Timed(_) => false,
        };
        if record.spec.smooth_recovery && may_try {
            if self.may_restart_once_more(slot) {
                self.recover(slot);
                return;
            }
            self.aim_for_stopped(slot);
        }
        let record = self.record_mut(slot);
        record.recovering = false;
        record.reason = StopReason::Terminated;
        self.force_stop(slot);
    }

    /// Replaces the process while the service stays up.
    fn recover(&mut self, slot: Slot) {
        self.record_mut(slot).recovering = true;
        if self.is_delay_over(slot) {
            self.launch_main(slot);
        } else {
            self.arm_delay(slot);
        }
    }

    /// The process could not be replaced: the service goes down and takes its dependents along, without restart.
    pub(crate) fn unrecoverable(&mut self, slot: Slot) {
        self.cancel_timer(slot);
        let record = self.record_mut(slot);
        record.recovering = false;
        record.reason = StopReason::Terminated;
        self.aim_for_stopped(slot);
        self.force_stop(slot);
    }

    /// The process was replaced.
    pub(crate) fn recovered(&mut self, slot: Slot) {
        self.cancel_timer(slot);
        self.record_mut(slot).recovering = false;
    }

    /// A service that is told to stop does not wait for the delay of its recovery any more.
    pub(crate) fn abandon_pending_recovery(&mut self, slot: Slot) {
        let record = self.record_mut(slot);
        if record.recovering && record.main == Main::Absent {
            record.recovering = false;
            self.cancel_timer(slot);
        }
    }
}
