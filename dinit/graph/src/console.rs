//! The queue for the one console (LC 8.9).
//!
//! One service at a time owns the console; the manager's own log owns it when none does. The first service to queue
//! has the log asked to let go; from then on the console goes from service to service, and back to the log when the
//! queue is empty.

use alloc::collections::VecDeque;

use crate::effect::Effect;
use crate::graph::Graph;
use crate::record::{Slot, Starting, State};

/// Who has the console, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Console {
    lent: Lent,
    holder: Option<Slot>,
    queue: VecDeque<Slot>,
}

/// What the manager's own log does with the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lent {
    /// The log writes to it.
    #[default]
    Kept,
    /// The log was asked to let go and has not answered yet.
    Claimed,
    /// The log has let go.
    Yielded,
}

impl Console {
    pub(crate) fn is_holder(&self, slot: Slot) -> bool {
        self.holder == Some(slot)
    }

    /// Whether a service is in the queue, found by looking.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn is_queued(&self, slot: Slot) -> bool {
        self.queue.contains(&slot)
    }
}

impl Graph {
    /// Whether a service stands in the queue; its state says so as well, and sooner than a search.
    pub(crate) fn awaits_console(&self, slot: Slot) -> bool {
        self.record(slot).state == State::Starting(Starting::AwaitingConsole) && !self.console.is_holder(slot)
    }

    /// Puts a service into the queue; it gets the console now or later, in a transition of its own.
    pub(crate) fn queue_for_console(&mut self, slot: Slot) {
        self.console.queue.push_back(slot);
        match self.console.lent {
            Lent::Kept => {
                self.console.lent = Lent::Claimed;
                self.emit(Effect::ClaimConsole);
            }
            Lent::Claimed => {}
            Lent::Yielded => self.pass_console_on(),
        }
    }

    /// The log has let go.
    pub(crate) fn console_yielded(&mut self) {
        if self.console.lent == Lent::Claimed {
            self.console.lent = Lent::Yielded;
            self.pass_console_on();
        }
    }

    /// Takes a service out of the queue, or the console from it.
    pub(crate) fn give_up_console(&mut self, slot: Slot) {
        if self.console.is_holder(slot) {
            self.console.holder = None;
            self.emit(Effect::RetakeTerminal);
            self.pass_console_on();
        } else if matches!(self.record(slot).state, State::Starting(Starting::AwaitingConsole)) {
            self.console.queue.retain(|waiting| *waiting != slot);
        }
    }

    /// Gives a console that nobody holds to the next in the queue, or back to the log.
    fn pass_console_on(&mut self) {
        if self.console.holder.is_some() || self.console.lent != Lent::Yielded {
            return;
        }
        match self.console.queue.pop_front() {
            Some(next) => {
                self.console.holder = Some(next);
                self.queue_transition(next);
            }
            None => {
                self.console.lent = Lent::Kept;
                self.emit(Effect::ReturnConsole);
            }
        }
    }
}
