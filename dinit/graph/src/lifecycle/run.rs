//! Runs and timers: launching, signalling, and bringing what is reported about a run to its service.

use crate::effect::{ConsoleUse, Effect, EndedProcess, Notice, Recipient, Role, TimerKind};
use crate::graph::Graph;
use crate::id::{Instant, RunId, TimerId};
use crate::record::{Main, Record, Slot, Starting, State, StopCommand, Stopping, Timer};
use crate::spec::{ConsoleNeed, Kind, Readiness};
use crate::status::{ExecFailure, ExitStatus, Signal, StopReason, Target};

impl Record {
    /// Which of the commands of the service this run is.
    pub(crate) fn role_of(&self, run: RunId) -> Option<Role> {
        if self.stop_command.is_some_and(|command| command.run == run) {
            return Some(Role::ServiceStopCommand);
        }
        match self.main {
            Main::Launched { run: main, role, .. } | Main::Alive { run: main, role } if main == run => {
                Some(role)
            }
            Main::ReadingPidFile { run: main, .. } if main == run => Some(Role::Launcher),
            Main::Unsupervised { run: main } if main == run => Some(Role::Main),
            Main::Absent
            | Main::Launched { .. }
            | Main::Alive { .. }
            | Main::ReadingPidFile { .. }
            | Main::Unsupervised { .. } => None,
        }
    }
}

/// Launching and signalling.
impl Graph {
    pub(crate) fn new_run(&mut self, slot: Slot) -> RunId {
        let run = RunId(self.next_run);
        self.next_run = self.next_run.saturating_add(1);
        self.runs.insert(run, slot);
        run
    }

    /// Launches the process, launcher or start command of a service and limits the time it has to start.
    pub(crate) fn launch_main(&mut self, slot: Slot) {
        let role = match self.record(slot).spec.kind {
            Kind::BgProcess => Role::Launcher,
            Kind::Scripted => Role::StartCommand,
            Kind::Process | Kind::Internal | Kind::Triggered => Role::Main,
            #[cfg(test)]
            Kind::Timed(_) => Role::Main,
        };
        let now = self.now;
        let record = self.record_mut(slot);
        record.last_launch = Some(now);
        let relaunch = core::mem::replace(&mut record.launched_before, true);
        let limit = record.spec.start_timeout;
        self.launch(slot, role, relaunch);
        self.limit_time(slot, TimerKind::Start, limit);
    }

    /// Launches a command as the main process of its service.
    pub(crate) fn launch(&mut self, slot: Slot, role: Role, relaunch: bool) {
        let run = self.new_run(slot);
        let record = self.record_mut(slot);
        debug_assert_eq!(record.main, Main::Absent);
        record.main = Main::Launched { run, role, ended: None };
        record.stop_issued = false;
        let console = if self.console.is_holder(slot) {
            ConsoleUse::Exclusive
        } else if self.record(slot).spec.console == ConsoleNeed::Shared {
            ConsoleUse::Shared
        } else {
            ConsoleUse::None
        };
        self.emit_launch(slot, Effect::Launch { service: self.id_of(slot), role, run, console, relaunch });
    }

    pub(crate) fn launch_stop_command(&mut self, slot: Slot) {
        let run = self.new_run(slot);
        self.record_mut(slot).stop_command = Some(StopCommand { run, executed: false, ended: None });
        self.emit_launch(
            slot,
            Effect::Launch {
                service: self.id_of(slot),
                role: Role::ServiceStopCommand,
                run,
                console: ConsoleUse::None,
                relaunch: false,
            },
        );
    }

    /// Nothing is launched while every process is being killed.
    fn emit_launch(&mut self, slot: Slot, launch: Effect) {
        if self.killing > 0 {
            self.held_launches.push((slot, launch));
        } else {
            self.emit(launch);
        }
    }

    /// Every process is killed: what was held back is launched, and its time begins now.
    pub(crate) fn release_held_launches(&mut self) {
        for (slot, launch) in core::mem::take(&mut self.held_launches) {
            let spec = &self.record(slot).spec;
            let (kind, limit) = match launch {
                Effect::Launch { role: Role::ScriptedStopCommand | Role::ServiceStopCommand, .. } => {
                    (TimerKind::Stop, spec.stop_timeout)
                }
                _ => (TimerKind::Start, spec.start_timeout),
            };
            self.emit(launch);
            self.limit_time(slot, kind, limit);
        }
    }

    /// Signals a process of the service, the way `signal-process-only` says.
    pub(crate) fn signal_service(&mut self, slot: Slot, run: RunId, signal: Signal) {
        let to = match self.record(slot).spec.signal_process_only {
            true => Recipient::Process,
            false => Recipient::Group,
        };
        self.emit(Effect::Signal { run, signal, to });
    }

    /// Forgets all processes and the timer of a service that is down (D11).
    pub(crate) fn forget_processes(&mut self, slot: Slot) {
        self.cancel_timer(slot);
        if let Main::Unsupervised { run } = self.record(slot).main {
            self.runs.remove(&run);
            self.emit(Effect::ForgetRun { run });
        }
        let record = self.record_mut(slot);
        record.main = Main::Absent;
        record.stop_issued = false;
        record.recovering = false;
    }
}

/// Timers: each service has one at most.
impl Graph {
    pub(crate) fn arm_timer(&mut self, slot: Slot, kind: TimerKind, deadline: Instant) {
        self.cancel_timer(slot);
        let timer = TimerId(self.next_timer);
        self.next_timer = self.next_timer.saturating_add(1);
        self.record_mut(slot).timer = Some(Timer { id: timer, kind });
        self.emit(Effect::ArmTimer { service: self.id_of(slot), timer, kind, deadline });
    }

    pub(crate) fn cancel_timer(&mut self, slot: Slot) {
        if let Some(timer) = self.record_mut(slot).timer.take() {
            self.emit(Effect::CancelTimer { service: self.id_of(slot), timer: timer.id });
        }
    }

    /// Arms a timer for a limit from now on, or none where there is no limit or nothing has been launched yet.
    pub(crate) fn limit_time(&mut self, slot: Slot, kind: TimerKind, limit: Option<core::time::Duration>) {
        let is_held = self.held_launches.iter().any(|(held, _)| *held == slot);
        match limit {
            Some(limit) if !is_held => self.arm_timer(slot, kind, self.now.after(limit)),
            Some(_) | None => self.cancel_timer(slot),
        }
    }

    pub(crate) fn timer_expired(&mut self, slot: Slot, timer: TimerId) {
        let Some(armed) = self.record(slot).timer else { return };
        if armed.id != timer {
            return;
        }
        self.record_mut(slot).timer = None;
        match armed.kind {
            TimerKind::Start => self.start_timed_out(slot),
            TimerKind::Stop => self.stop_timed_out(slot),
            TimerKind::RestartDelay => match self.record(slot).state {
                State::Starting(Starting::AwaitingDelay) => self.delay_over(slot),
                State::Started if self.record(slot).recovering => self.launch_main(slot),
                State::Stopped | State::Starting(_) | State::Started | State::Stopping(_) => {}
            },
        }
    }

    /// The start, or the recovery, takes too long (LC 8.12).
    fn start_timed_out(&mut self, slot: Slot) {
        let record = self.record(slot);
        let Some(run) = record.visible_run() else { return };
        match record.state {
            State::Starting(Starting::Acting) => {
                let is_executed = matches!(record.main, Main::Alive { .. });
                self.note(slot, Notice::StartTimedOut { run });
                self.interrupt_run(slot, run);
                // A child that has yet to execute its program is told again, properly, when it has (S100).
                self.record_mut(slot).stop_issued = is_executed;
                self.set_state(slot, State::Stopping(Stopping::Acting));
                self.fail_start(slot, Some(StopReason::TimedOut));
            }
            State::Started | State::Starting(_) if record.recovering => {
                self.note(slot, Notice::StartTimedOut { run });
                self.unrecoverable(slot);
            }
            State::Stopping(Stopping::Acting) if !record.stop_issued => {
                self.note(slot, Notice::StartTimedOut { run });
                self.interrupt_run(slot, run);
                self.record_mut(slot).stop_issued = false;
            }
            State::Stopped | State::Starting(_) | State::Started | State::Stopping(_) => {}
        }
    }

    /// The stop takes too long: whatever is still there is killed (LC 8.6).
    fn stop_timed_out(&mut self, slot: Slot) {
        if let Some(run) = self.record(slot).visible_run() {
            self.note(slot, Notice::StopTimedOut { run });
            self.signal_service(slot, run, Signal::KILL);
        }
        if let Some(StopCommand { run, ended: None, .. }) = self.record(slot).stop_command {
            self.note(slot, Notice::StopCommandTimedOut { run });
            self.emit(Effect::Signal { run, signal: Signal::KILL, to: Recipient::Group });
        }
    }
}

/// What is reported about a run.
impl Graph {
    pub(crate) fn executed(&mut self, run: RunId) {
        let Some(slot) = self.runs.get(&run).copied() else { return };
        let record = self.record_mut(slot);
        if let Some(command) = record.stop_command.as_mut().filter(|command| command.run == run) {
            command.executed = true;
            if let Some(status) = command.ended {
                self.stop_command_ended(slot, status);
            }
            return;
        }
        let Main::Launched { run: main, role, ended } = record.main else { return };
        if main != run {
            return;
        }
        record.main = Main::Alive { run, role };
        match role {
            Role::Main => self.process_executed(slot, run, ended.is_some()),
            Role::Launcher if ended.is_none() => self.issue_late_stop(slot),
            Role::Launcher => {}
            Role::StartCommand | Role::ScriptedStopCommand | Role::ServiceStopCommand => {}
        }
        match ended {
            Some(status) => self.main_ended(slot, run, role, status),
            None => self.interrupt_late(slot),
        }
    }

    /// A stop that came before the program was executed, and so had to leave the start alone, interrupts it now.
    fn interrupt_late(&mut self, slot: Slot) {
        let record = self.record(slot);
        let is_due = record.forced || record.target == Target::Stopped;
        if record.state == State::Starting(Starting::Acting) && record.spec.start_interruptible && is_due {
            self.mark_stop(slot);
        }
    }

    pub(crate) fn exec_failed(&mut self, run: RunId, failure: ExecFailure) {
        let Some(slot) = self.runs.get(&run).copied() else { return };
        let record = self.record(slot);
        if record.stop_command.is_some_and(|command| command.run == run && !command.executed) {
            let fallback = record.spec.term_signal;
            self.stop_command_failed(slot, fallback);
            return;
        }
        match record.main {
            Main::Launched { run: main, role, .. } if main == run => {
                self.runs.remove(&run);
                self.main_not_launched(slot, role, failure);
            }
            Main::Absent
            | Main::Launched { .. }
            | Main::Alive { .. }
            | Main::ReadingPidFile { .. }
            | Main::Unsupervised { .. } => {}
        }
    }

    pub(crate) fn launch_refused(&mut self, run: RunId, failure: ExecFailure) {
        let Some(slot) = self.runs.get(&run).copied() else { return };
        let record = self.record(slot);
        if record.stop_command.is_some_and(|command| command.run == run && !command.executed) {
            let fallback = record.spec.term_signal.unwrap_or(Signal::KILL);
            self.stop_command_failed(slot, Some(fallback));
            return;
        }
        let is_first = matches!(record.main, Main::Launched { run: main, .. } if main == run)
            && record.state == State::Starting(Starting::Acting);
        if is_first {
            self.set_state(slot, State::Stopping(Stopping::Acting));
            self.runs.remove(&run);
            self.cancel_timer(slot);
            self.record_mut(slot).main = Main::Absent;
            self.launch_failed(slot, failure);
        } else {
            self.exec_failed(run, failure);
        }
    }

    /// The main process could not be launched.
    fn main_not_launched(&mut self, slot: Slot, role: Role, failure: ExecFailure) {
        self.cancel_timer(slot);
        self.record_mut(slot).main = Main::Absent;
        match self.record(slot).state {
            State::Starting(Starting::Acting) => {
                if role != Role::StartCommand {
                    self.set_state(slot, State::Stopping(Stopping::Acting));
                }
                self.launch_failed(slot, failure);
            }
            State::Starting(_) | State::Started => self.unrecoverable(slot),
            State::Stopping(_) => self.process_is_gone(slot),
            State::Stopped => {}
        }
    }

    pub(crate) fn launch_failed(&mut self, slot: Slot, failure: ExecFailure) {
        self.record_mut(slot).exec_failure = Some(failure);
        self.fail_start(slot, Some(StopReason::ExecFailed));
        self.stopped(slot);
    }

    pub(crate) fn exited(&mut self, run: RunId, status: ExitStatus) {
        let Some(slot) = self.runs.get(&run).copied() else { return };
        let record = self.record_mut(slot);
        if let Some(command) = record.stop_command.as_mut().filter(|command| command.run == run) {
            command.ended = Some(status);
            if command.executed {
                self.stop_command_ended(slot, status);
            }
            return;
        }
        match record.main {
            Main::Launched { run: main, role, ended: None } if main == run => {
                record.main = Main::Launched { run, role, ended: Some(status) };
                self.cancel_timer(slot);
            }
            Main::Alive { run: main, role } if main == run => self.main_ended(slot, run, role, status),
            Main::ReadingPidFile { run: launcher, daemon, ended: None } if daemon == run => {
                record.main = Main::ReadingPidFile { run: launcher, daemon, ended: Some(status) };
            }
            Main::Absent
            | Main::Launched { .. }
            | Main::Alive { .. }
            | Main::ReadingPidFile { .. }
            | Main::Unsupervised { .. } => {}
        }
    }

    /// The main process, known to have executed its program, is gone.
    fn main_ended(&mut self, slot: Slot, run: RunId, role: Role, status: ExitStatus) {
        let record = self.record_mut(slot);
        record.exit_status = Some(status);
        if role == Role::Launcher && status.is_clean() {
            self.read_pid_file(slot, run);
            return;
        }
        record.main = Main::Absent;
        self.runs.remove(&run);
        self.cancel_timer(slot);
        self.note_end(slot, run, role, status);
        match role {
            Role::Main | Role::Launcher => self.process_ended(slot, role),
            Role::StartCommand => self.start_command_ended(slot, status),
            Role::ScriptedStopCommand | Role::ServiceStopCommand => self.process_is_gone(slot),
        }
    }

    /// Says in the log how a process ended, where that is worth a line.
    fn note_end(&mut self, slot: Slot, run: RunId, role: Role, status: ExitStatus) {
        let is_stopping = matches!(self.record(slot).state, State::Stopping(_));
        let what = match role {
            Role::Main | Role::Launcher if is_stopping => return,
            Role::Main | Role::Launcher => EndedProcess::Process,
            Role::StartCommand if is_stopping => EndedProcess::InterruptedStartCommand,
            Role::StartCommand => EndedProcess::StartCommand,
            Role::ScriptedStopCommand => EndedProcess::ScriptedStopCommand,
            Role::ServiceStopCommand => EndedProcess::ServiceStopCommand,
        };
        if !status.is_clean() {
            self.note(slot, Notice::Ended { run, what, status });
        }
    }

    /// The stop command of a process or bgprocess has ended; how does not matter.
    fn stop_command_ended(&mut self, slot: Slot, status: ExitStatus) {
        if let Some(command) = self.record_mut(slot).stop_command.take() {
            self.runs.remove(&command.run);
            self.note_end(slot, command.run, Role::ServiceStopCommand, status);
        }
        self.finish_stop(slot);
    }

    /// The readiness pipe brought data.
    pub(crate) fn ready(&mut self, run: RunId) {
        let Some(slot) = self.awaits_readiness(run) else { return };
        match self.record(slot).state {
            State::Starting(Starting::Acting) => self.started(slot),
            State::Starting(_) | State::Started | State::Stopping(_) if self.record(slot).recovering => {
                self.recovered(slot);
            }
            State::Stopped | State::Starting(_) | State::Started | State::Stopping(_) => {}
        }
    }

    /// The readiness pipe ended without data.
    pub(crate) fn readiness_closed(&mut self, run: RunId) {
        let Some(slot) = self.awaits_readiness(run) else { return };
        match self.record(slot).state {
            State::Starting(Starting::Acting) => {
                self.cancel_timer(slot);
                self.await_dependents(slot, false);
                self.fail_start(slot, Some(StopReason::Failed));
            }
            State::Starting(_) | State::Started if self.record(slot).recovering => self.unrecoverable(slot),
            State::Stopped | State::Starting(_) | State::Started | State::Stopping(_) => {}
        }
    }

    fn awaits_readiness(&self, run: RunId) -> Option<Slot> {
        let slot = *self.runs.get(&run)?;
        let record = self.record(slot);
        let is_main = record.main == Main::Alive { run, role: Role::Main };
        (is_main && record.spec.kind == Kind::Process && record.spec.readiness == Readiness::Notification)
            .then_some(slot)
    }
}
