//! The timed double of LC 13: a service whose actions complete when the test says so.

use crate::graph::Graph;
use crate::id::RunId;
use crate::record::{Main, Slot, Starting, State, Stopping};
use crate::status::{ExecFailure, ExecStage};
use crate::tests::Trace;

/// What the double does by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timed {
    pub instant_stop: bool,
    pub launch_refused: bool,
}

/// Stands for a start action that has begun.
const BEGUN: Main = Main::Unsupervised { run: RunId(0) };

impl Graph {
    pub(crate) fn begin_timed_start(&mut self, slot: Slot, double: Timed) {
        self.trace.push(Trace::BeginStart(slot));
        if double.launch_refused {
            self.set_state(slot, State::Stopping(Stopping::Acting));
            self.launch_failed(slot, ExecFailure { stage: ExecStage(0), errno: 11 });
        } else {
            self.record_mut(slot).main = BEGUN;
        }
    }

    pub(crate) fn begin_timed_stop(&mut self, slot: Slot, double: Timed) {
        if double.instant_stop || self.record(slot).main != BEGUN {
            self.stopped(slot);
        } else {
            self.trace.push(Trace::BeginStop(slot));
        }
    }

    pub(crate) fn timed_up(&mut self, slot: Slot) {
        if self.record(slot).state == State::Starting(Starting::Acting) {
            self.started(slot);
        }
        self.settle();
    }

    pub(crate) fn timed_fail(&mut self, slot: Slot) {
        if self.record(slot).state == State::Starting(Starting::Acting) {
            self.fail_start(slot, None);
            self.stopped(slot);
        }
        self.settle();
    }

    pub(crate) fn timed_down(&mut self, slot: Slot) {
        if self.record(slot).state == State::Stopping(Stopping::Acting) {
            self.stopped(slot);
        }
        self.settle();
    }
}
