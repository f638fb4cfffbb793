//! Priorities of input and output.

use alloc::format;
use alloc::string::String;

use super::number;

/// The priority of a service's input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoPriority {
    /// No class: the kernel goes by `nice`.
    None,
    /// Before all others, at this level from 0 (first) to 7.
    RealTime(u8),
    /// The ordinary class, at this level from 0 (first) to 7.
    BestEffort(u8),
    /// Only when nobody else wants the device.
    Idle,
}

/// Why a text is not a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoPriorityFault {
    /// No class of this name.
    Class,
    /// The level is no number from 0 to 7.
    Level,
}

impl IoPriority {
    /// Reads a priority.
    pub fn parse(text: &[u8]) -> Result<IoPriority, IoPriorityFault> {
        if let Some(level) = text.strip_prefix(b"realtime:") {
            return Ok(IoPriority::RealTime(parse_level(level)?));
        }
        if let Some(level) = text.strip_prefix(b"best-effort:") {
            return Ok(IoPriority::BestEffort(parse_level(level)?));
        }
        match text {
            b"none" => Ok(IoPriority::None),
            b"idle" => Ok(IoPriority::Idle),
            _ => Err(IoPriorityFault::Class),
        }
    }

    /// Writes the priority in the form that [`IoPriority::parse`] reads.
    pub fn print(self) -> String {
        match self {
            IoPriority::None => String::from("none"),
            IoPriority::RealTime(level) => format!("realtime:{level}"),
            IoPriority::BestEffort(level) => format!("best-effort:{level}"),
            IoPriority::Idle => String::from("idle"),
        }
    }

    /// Returns the value that `ioprio_set` takes.
    pub fn kernel_value(self) -> i32 {
        match self {
            IoPriority::None => 0,
            IoPriority::RealTime(level) => 1 << 13 | i32::from(level),
            IoPriority::BestEffort(level) => 2 << 13 | i32::from(level),
            IoPriority::Idle => 3 << 13,
        }
    }
}

fn parse_level(text: &[u8]) -> Result<u8, IoPriorityFault> {
    let level = number::unsigned(text).and_then(|level| u8::try_from(level).ok());
    level.filter(|level| *level <= 7).ok_or(IoPriorityFault::Level)
}
