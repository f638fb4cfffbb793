//! The status block: what a daemon says about one service, in three layouts.

use alloc::vec::Vec;

use crate::cursor::{Cursor, Stop, put_i32, put_u16};
use crate::reply::PacketError;
use crate::{ExecStage, ServiceState, StopReason, TargetState};

const WAITING_FOR_CONSOLE: u8 = 1;
const HAS_CONSOLE: u8 = 2;
const SKIPPED: u8 = 4;
const ACTIVATED: u8 = 8;
const HAS_PROCESS: u8 = 16;

/// How much of a status a packet has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusLayout {
    /// 10 bytes: an exit is only told from no exit.
    V1,
    /// 14 bytes: how a process ended, in full.
    V5,
    /// 30 bytes: also when the service description was last modified.
    V6,
}

impl StatusLayout {
    /// Gives the bytes of a block in this layout.
    pub const fn size(self) -> usize {
        match self {
            Self::V1 => 10,
            Self::V5 => 14,
            Self::V6 => 30,
        }
    }
}

/// The layouts that a list of services comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListLayout {
    /// As [`StatusLayout::V1`].
    V1,
    /// As [`StatusLayout::V5`].
    V5,
}

impl From<ListLayout> for StatusLayout {
    fn from(layout: ListLayout) -> Self {
        match layout {
            ListLayout::V1 => Self::V1,
            ListLayout::V5 => Self::V5,
        }
    }
}

/// What a daemon says about one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state it is in.
    pub state: ServiceState,
    /// The state it is heading for.
    pub target: TargetState,
    /// Whether it waits to be given the console.
    pub waiting_for_console: bool,
    /// Whether it has the console.
    pub has_console: bool,
    /// Whether its start was skipped by the user.
    pub skipped: bool,
    /// Whether it was activated itself, rather than for its dependents.
    pub activated: bool,
    /// Why it stopped last.
    pub reason: StopReason,
    /// Its process, or what became of it.
    pub detail: Detail,
    /// When its description was last modified, as of the time it was loaded; sent in [`StatusLayout::V6`] only,
    /// where a missing time is sent as zero.
    pub modified: Option<Timestamp>,
}

/// The process of a service, or what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// It has a process with this id.
    Process(i32),
    /// Its process could not be launched. Goes with [`StopReason::ExecFailed`] and no other.
    ExecFailed {
        /// At which step.
        stage: ExecStage,
        /// The operating system's error number.
        errno: i32,
    },
    /// How its last process ended; all zero if it has not had one.
    Ended(ExitInfo),
    /// How its last process ended, as [`StatusLayout::V1`] puts it: from daemons before version 5 what `wait`
    /// gave, from later ones 0 for success and -1 for anything else.
    EndedWord(i32),
}

impl Detail {
    /// Chooses what is sent, of all that a daemon may know: a process goes before a failed launch, and that
    /// before the end of the last process.
    pub fn choose(
        process: Option<i32>,
        reason: StopReason,
        failed_launch: (ExecStage, i32),
        ended: ExitInfo,
    ) -> Self {
        match process {
            Some(pid) => Self::Process(pid),
            None if reason == StopReason::ExecFailed => {
                let (stage, errno) = failed_launch;
                Self::ExecFailed { stage, errno }
            }
            None => Self::Ended(ended),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExitInfo {
    /// The `si_code` of the host: 0 nothing recorded, else one of the constants here.
    pub code: i32,
    /// The exit status, or the number of the signal.
    pub status: i32,
}

impl ExitInfo {
    /// The code of a process that exited; the status is its exit status.
    pub const EXITED: i32 = 1;
    /// The code of a process that a signal ended; the status is the signal.
    pub const KILLED: i32 = 2;
    /// The code of a process that a signal ended and that dumped core; the status is the signal.
    pub const DUMPED: i32 = 3;

    /// Reads what `wait` gives, which is what daemons before version 5 sent.
    pub fn from_wait_status(word: i32) -> Self {
        let signal = word & 0x7f;
        match signal {
            0 if word == 0 => Self::default(),
            0 => Self { code: Self::EXITED, status: (word >> 8) & 0xff },
            _ => Self { code: Self::KILLED, status: signal },
        }
    }
}

/// A point in time, since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds on top.
    pub nanoseconds: i64,
}

impl Status {
    /// The status of a service that was loaded and never started.
    pub const NEVER_STARTED: Self = Self {
        state: ServiceState::Stopped,
        target: TargetState::Stopped,
        waiting_for_console: false,
        has_console: false,
        skipped: false,
        activated: false,
        reason: StopReason::Normal,
        detail: Detail::Ended(ExitInfo { code: 0, status: 0 }),
        modified: None,
    };

    /// Gives what is left of this status when it has been sent in some layout.
    #[must_use]
    pub fn in_layout(mut self, layout: StatusLayout) -> Self {
        self.detail = match (self.detail, layout) {
            (Detail::Ended(end), StatusLayout::V1) => Detail::EndedWord(if end.status == 0 { 0 } else { -1 }),
            (Detail::EndedWord(word), StatusLayout::V5 | StatusLayout::V6) => {
                Detail::Ended(ExitInfo::from_wait_status(word))
            }
            (detail, _) => detail,
        };
        self.modified = match layout {
            StatusLayout::V1 | StatusLayout::V5 => None,
            StatusLayout::V6 => Some(self.modified.unwrap_or_default()),
        };
        self
    }

    pub(crate) fn encode(&self, layout: StatusLayout, out: &mut Vec<u8>) {
        let sent = self.in_layout(layout);
        let (process_flag, stage, first, second) = match sent.detail {
            Detail::Process(pid) => (HAS_PROCESS, 0, pid, 0),
            Detail::ExecFailed { stage, errno } => (0, stage.0, errno, 0),
            Detail::Ended(end) => (0, 0, end.code, end.status),
            Detail::EndedWord(word) => (0, 0, word, 0),
        };
        let flags = [
            (sent.waiting_for_console, WAITING_FOR_CONSOLE),
            (sent.has_console, HAS_CONSOLE),
            (sent.skipped, SKIPPED),
            (sent.activated, ACTIVATED),
        ]
        .into_iter()
        .fold(process_flag, |flags, (set, bit)| if set { flags | bit } else { flags });
        out.extend_from_slice(&[sent.state.number(), sent.target.number(), flags, sent.reason.number()]);
        put_u16(out, stage);
        put_i32(out, first);
        if layout != StatusLayout::V1 {
            put_i32(out, second);
        }
        if let Some(modified) = sent.modified {
            out.extend_from_slice(&modified.seconds.to_ne_bytes());
            out.extend_from_slice(&modified.nanoseconds.to_ne_bytes());
        }
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>, layout: StatusLayout) -> Result<Self, Stop<PacketError>> {
        let state = decode_state(cursor.u8()?)?;
        let target = decode_target(cursor.u8()?)?;
        let flags = cursor.u8()?;
        let reason = cursor.u8()?;
        let reason = StopReason::from_number(reason)
            .ok_or(Stop::Wrong(PacketError::UnknownValue { field: "stop reason", value: reason }))?;
        let stage = ExecStage(cursor.u16()?);
        let first = cursor.i32()?;
        let second = if layout == StatusLayout::V1 { 0 } else { cursor.i32()? };
        let detail = if flags & HAS_PROCESS != 0 {
            Detail::Process(first)
        } else if reason == StopReason::ExecFailed {
            Detail::ExecFailed { stage, errno: first }
        } else if layout == StatusLayout::V1 {
            Detail::EndedWord(first)
        } else {
            Detail::Ended(ExitInfo { code: first, status: second })
        };
        let modified = match layout {
            StatusLayout::V1 | StatusLayout::V5 => None,
            StatusLayout::V6 => Some(Timestamp { seconds: cursor.i64()?, nanoseconds: cursor.i64()? }),
        };
        Ok(Self {
            state,
            target,
            waiting_for_console: flags & WAITING_FOR_CONSOLE != 0,
            has_console: flags & HAS_CONSOLE != 0,
            skipped: flags & SKIPPED != 0,
            activated: flags & ACTIVATED != 0,
            reason,
            detail,
            modified,
        })
    }
}

pub(crate) fn decode_state(number: u8) -> Result<ServiceState, Stop<PacketError>> {
    ServiceState::from_number(number)
        .ok_or(Stop::Wrong(PacketError::UnknownValue { field: "service state", value: number }))
}

pub(crate) fn decode_target(number: u8) -> Result<TargetState, Stop<PacketError>> {
    TargetState::from_number(number)
        .ok_or(Stop::Wrong(PacketError::UnknownValue { field: "target state", value: number }))
}
