//! Bgprocess: the launcher leaves a daemon behind, and a pid file says which process that is (LC 8.11, 9.4).

use crate::effect::{Effect, Role};
use crate::event::Daemon;
use crate::graph::Graph;
use crate::id::RunId;
use crate::record::{Main, Slot, Starting, State, Stopping};
use crate::status::StopReason;

impl Graph {
    /// The launcher succeeded, in whatever state of the service: its daemon is looked for (D7, D8).
    pub(crate) fn read_pid_file(&mut self, slot: Slot, run: RunId) {
        let daemon = self.new_run(slot);
        self.record_mut(slot).main = Main::ReadingPidFile { run, daemon, ended: None };
        self.emit(Effect::ReadPidFile { service: self.id_of(slot), run, daemon });
    }

    /// The pid file was read.
    pub(crate) fn pid_file_read(&mut self, run: RunId, found: Daemon) {
        let Some(slot) = self.runs.get(&run).copied() else { return };
        let Main::ReadingPidFile { run: launcher, daemon, ended } = self.record(slot).main else { return };
        if launcher != run {
            return;
        }
        self.runs.remove(&run);
        self.cancel_timer(slot);
        match ended.map_or(found, Daemon::Ended) {
            Daemon::Supervised => {
                self.record_mut(slot).main = Main::Alive { run: daemon, role: Role::Main };
                self.daemon_found(slot);
            }
            Daemon::Unsupervised => {
                self.record_mut(slot).main = Main::Unsupervised { run: daemon };
                self.daemon_found(slot);
            }
            Daemon::Ended(status) => {
                self.runs.remove(&daemon);
                let record = self.record_mut(slot);
                record.main = Main::Absent;
                record.exit_status = Some(status);
                if record.state == State::Starting(Starting::Acting) {
                    self.started(slot);
                }
                self.process_ended(slot, Role::Main);
            }
            Daemon::Unusable => {
                self.runs.remove(&daemon);
                self.record_mut(slot).main = Main::Absent;
                self.no_daemon(slot);
            }
        }
    }

    /// A daemon is there: the start or the recovery is complete, or the stop has found what it has to stop.
    fn daemon_found(&mut self, slot: Slot) {
        self.record_mut(slot).stop_issued = false;
        match self.record(slot).state {
            State::Starting(Starting::Acting) => self.started(slot),
            State::Starting(_) | State::Started => self.recovered(slot),
            State::Stopping(Stopping::Acting) => {
                self.recovered(slot);
                self.stop_process(slot);
            }
            State::Stopping(_) => self.recovered(slot),
            State::Stopped => {}
        }
    }

    /// The pid file names nothing that could be the daemon.
    fn no_daemon(&mut self, slot: Slot) {
        match self.record(slot).state {
            State::Starting(Starting::Acting) => {
                self.fail_start(slot, Some(StopReason::Failed));
                self.stopped(slot);
            }
            State::Starting(_) | State::Started => self.unrecoverable(slot),
            State::Stopping(_) => self.process_is_gone(slot),
            State::Stopped => {}
        }
    }
}
