//! Tests of the whole graph: the scenarios of LC 13, random graphs against the invariants, and what neither says.

mod double;
mod large;
mod properties;
mod rules;
mod scenarios;
mod world;

pub(crate) use double::Timed;

use crate::effect::Effect;
use crate::record::Slot;
use crate::status::ServiceState;

/// One thing that became visible, in the order in which it did.
#[derive(Clone, Debug)]
pub(crate) enum Trace {
    State(Slot, ServiceState),
    Effect(Effect),
    BeginStart(Slot),
    BeginStop(Slot),
}
