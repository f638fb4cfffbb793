//! Scripted: a command to start, a command to stop, nothing in between (LC 9.5).

use crate::effect::{Role, TimerKind};
use crate::graph::Graph;
use crate::record::{Slot, Starting, State, Stopping};
use crate::status::{ExitStatus, Signal, StopReason};

impl Graph {
    /// The start command has ended: the service is up, or its start failed, or an interrupted start is over.
    pub(crate) fn start_command_ended(&mut self, slot: Slot, status: ExitStatus) {
        match self.record(slot).state {
            State::Starting(Starting::Acting) => {
                let is_skipped = self.record(slot).spec.skippable && status.is_death_by(Signal::INT);
                if status.is_clean() || is_skipped {
                    self.record_mut(slot).start_skipped = is_skipped;
                    self.started(slot);
                } else {
                    self.fail_start(slot, Some(StopReason::Failed));
                    self.stopped(slot);
                }
            }
            // A command that heeded the interrupt by failing has cleaned up by itself.
            State::Stopping(Stopping::Acting) => match status {
                ExitStatus::Exited(0) | ExitStatus::Killed(_) | ExitStatus::Dumped(_) => {
                    self.run_scripted_stop(slot);
                }
                ExitStatus::Exited(_) => self.stopped(slot),
            },
            State::Stopped | State::Starting(_) | State::Started | State::Stopping(_) => {}
        }
    }

    /// The stop action: the stop command, if there is one.
    pub(crate) fn run_scripted_stop(&mut self, slot: Slot) {
        let spec = &self.record(slot).spec;
        let (has_command, limit) = (spec.has_stop_command, spec.stop_timeout);
        if has_command {
            self.launch(slot, Role::ScriptedStopCommand, false);
            self.limit_time(slot, TimerKind::Stop, limit);
        } else {
            self.stopped(slot);
        }
    }
}
