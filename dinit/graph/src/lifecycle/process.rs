//! Process and bgprocess: what they have in common, which is all but the pid file.

use crate::effect::{Effect, Role, TimerKind};
use crate::graph::Graph;
use crate::id::RunId;
use crate::record::{Main, Slot, Starting, State, Stopping};
use crate::spec::Readiness;
use crate::status::{Signal, StopReason};

impl Graph {
    /// The program of a process was executed. Readiness is only asked for while the process is there to give it.
    pub(crate) fn process_executed(&mut self, slot: Slot, run: RunId, has_ended: bool) {
        let record = self.record(slot);
        let is_up = record.spec.readiness == Readiness::Execution;
        match record.state {
            State::Stopping(Stopping::Acting) => {
                if !has_ended {
                    self.issue_late_stop(slot);
                }
            }
            State::Stopping(Stopping::AwaitingKillAll) | State::Stopped => {}
            State::Starting(_) | State::Started | State::Stopping(_) if !is_up => {
                if !has_ended {
                    self.emit(Effect::EnableReadiness { run });
                }
            }
            State::Starting(Starting::Acting) => self.started(slot),
            State::Starting(_) | State::Started | State::Stopping(_) => self.recovered(slot),
        }
    }

    /// The process of a service is gone, launcher or daemon or process, and its exec status is known.
    pub(crate) fn process_ended(&mut self, slot: Slot, role: Role) {
        match self.record(slot).state {
            State::Starting(_) => {
                self.fail_start(slot, Some(StopReason::Failed));
                self.stopped(slot);
            }
            State::Started if role == Role::Launcher && self.record(slot).recovering => {
                self.unrecoverable(slot)
            }
            State::Started => self.lost_process(slot),
            State::Stopping(_) => self.process_is_gone(slot),
            State::Stopped => {}
        }
    }

    /// The process of a service on its way down is gone.
    pub(crate) fn process_is_gone(&mut self, slot: Slot) {
        self.record_mut(slot).recovering = false;
        match self.record(slot).state {
            State::Stopping(Stopping::AwaitingDependents { .. }) => self.queue_transition(slot),
            State::Stopping(Stopping::Acting) => self.finish_stop(slot),
            State::Stopping(Stopping::AwaitingKillAll)
            | State::Stopped
            | State::Starting(_)
            | State::Started => {}
        }
    }

    /// The stop action of a process or bgprocess (LC 8.6). Does nothing a second time for the same process, and
    /// nothing as long as the child has not executed its program.
    pub(crate) fn stop_process(&mut self, slot: Slot) {
        let record = self.record(slot);
        let run = match record.main {
            Main::Absent => return self.finish_stop(slot),
            Main::Launched { .. } | Main::ReadingPidFile { .. } => return,
            Main::Alive { run, .. } | Main::Unsupervised { run } => run,
        };
        if record.stop_issued {
            return;
        }
        let (has_command, runs_command) = (record.spec.has_stop_command, record.stop_command.is_some());
        let (signal, limit) = (record.spec.term_signal, record.spec.stop_timeout);
        self.record_mut(slot).stop_issued = true;
        if has_command && !runs_command {
            self.launch_stop_command(slot);
        } else if !has_command {
            self.send_stop_signal(slot, run, signal);
        }
        self.limit_time(slot, TimerKind::Stop, limit);
        self.finish_stop(slot);
    }

    fn send_stop_signal(&mut self, slot: Slot, run: RunId, signal: Option<Signal>) {
        if let Some(signal) = signal {
            self.signal_service(slot, run, signal);
        }
    }

    /// A stop that was put off until the program was executed is carried out now.
    pub(crate) fn issue_late_stop(&mut self, slot: Slot) {
        if self.record(slot).state == State::Stopping(Stopping::Acting) {
            self.stop_process(slot);
        }
    }

    /// The stop command cannot be run: the process is signalled instead.
    pub(crate) fn stop_command_failed(&mut self, slot: Slot, signal: Option<Signal>) {
        if let Some(command) = self.record_mut(slot).stop_command.take() {
            self.runs.remove(&command.run);
        }
        if let Main::Alive { run, .. } | Main::Unsupervised { run } = self.record(slot).main {
            self.send_stop_signal(slot, run, signal);
        }
        self.finish_stop(slot);
    }

    /// The stop is complete when the process is gone, or was never supervised, and no stop command runs.
    pub(crate) fn finish_stop(&mut self, slot: Slot) {
        let record = self.record(slot);
        let is_gone = matches!(record.main, Main::Absent | Main::Unsupervised { .. });
        if record.state == State::Stopping(Stopping::Acting) && is_gone && record.stop_command.is_none() {
            self.stopped(slot);
        }
    }
}
