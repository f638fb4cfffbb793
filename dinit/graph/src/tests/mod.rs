//! Tests.
use crate::effect::Effect;
use crate::record::Slot;
use crate::status::ServiceState;

/// What the timed double of LC 13 does by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timed {
    pub instant_stop: bool,
    pub launch_refused: bool,
}

/// One thing that became visible, in the order in which it did.
#[derive(Clone, Debug)]
pub(crate) enum Trace {
    State(Slot, ServiceState),
    Effect(Effect),
}
