//! One service as the graph sees it: its state with the phase inside it, its marks, its links, its processes.
//!
//! ```text
//!                 told to start                       start action complete
//!   Stopped ───────────────────────► Starting ─────────────────────────────► Started
//!      ▲                              │  AwaitingDependencies                   │
//!      │                              │  AwaitingConsole                        │ told to stop
//!      │ start failed                 │  AwaitingDelay                          ▼
//!      ├──────────────────────────────┤  Acting ───── told to stop ────────► Stopping
//!      │                                                                        AwaitingDependents
//!      │ stop action complete                                                   AwaitingKillAll
//!      └─────────────────────────────────────────────────────────────────────── Acting
//! ```

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::edge::EdgeId;
use crate::effect::{Role, TimerKind};
use crate::id::{Instant, RunId, TimerId};
use crate::spec::{ConsoleNeed, Kind, Spec};
use crate::status::{ExecFailure, ExitStatus, ServiceState, StopReason, Target};

/// Where a record lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

/// The state of a service; phases live inside the state they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Stopped,
    Starting(Starting),
    Started,
    Stopping(Stopping),
}

/// What a service on the way up is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starting {
    /// Some link is waiting. `resuming`: the service was up and its stop was cancelled before it began, so there is
    /// no start action to run (D3). Its hard dependencies take their stops back too, or drag it down again, so no
    /// service is left like that when the graph is settled.
    AwaitingDependencies { resuming: bool },
    /// In the queue for the console.
    AwaitingConsole,
    /// The restart delay runs.
    AwaitingDelay,
    /// The start action has begun.
    Acting,
}

/// What a service on the way down is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// Some hard dependent is still up. `was_up`: the service was up when it was told to stop, so that
    /// cancelling the stop makes it up again without a start action (D3).
    AwaitingDependents { was_up: bool },
    /// `kill-all-on-stop`: every process is being killed before the stop action.
    AwaitingKillAll,
    /// The stop action has begun, or an interrupted start is coming to its end.
    Acting,
}

/// How the restart that a service is heading for was caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartCause {
    /// By its own restart policy: delayed and limited.
    Automatic,
    /// By a request, on it or on a dependency.
    Requested,
}

/// The main process of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Main {
    Absent,
    /// Launched; whether exec worked is not known yet. `ended` holds an exit that came first.
    Launched {
        run: RunId,
        role: Role,
        ended: Option<ExitStatus>,
    },
    /// Executed and alive.
    Alive {
        run: RunId,
        role: Role,
    },
    /// The launcher succeeded; the answer about the pid file is awaited. `daemon` is the run it may name, and `ended`
    /// holds an end of that one that came first.
    ReadingPidFile {
        run: RunId,
        daemon: RunId,
        ended: Option<ExitStatus>,
    },
    /// A daemon whose end will not be noticed.
    Unsupervised {
        run: RunId,
    },
}

/// The stop command of a process or bgprocess service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StopCommand {
    pub(crate) run: RunId,
    pub(crate) executed: bool,
    pub(crate) ended: Option<ExitStatus>,
}

/// The one timer a service may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) id: TimerId,
    pub(crate) kind: TimerKind,
}

/// What the propagation of a service has to look at; set by others, cleared when it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Whether its links are held as its state and target ask.
    pub(crate) links: bool,
    /// A dependency failed to start.
    pub(crate) dependency_failed: bool,
    pub(crate) start: bool,
    pub(crate) stop: bool,
    /// With `stop`: it is a requested restart.
    pub(crate) restart: bool,
    /// Whether a pinned hard dependent remains.
    pub(crate) pins: bool,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: Arc<[u8]>,
    pub(crate) spec: Spec,
    pub(crate) generation: u32,
    /// When its loading began, compared with others.
    pub(crate) order: u64,
    pub(crate) is_placeholder: bool,

    pub(crate) dependencies: Vec<EdgeId>,
    pub(crate) dependents: Vec<EdgeId>,
    /// How many of `dependencies` are waiting.
    pub(crate) waiting: u32,
    /// Where the search for a dependent in the way of a stop goes on, so that many dependents stopping one after
    /// the other cost one pass and not one each.
    pub(crate) blocker: usize,
    pub(crate) consumer_of: Option<Slot>,
    pub(crate) consumer: Option<Slot>,

    pub(crate) state: State,
    pub(crate) target: Target,
    pub(crate) required: u32,
    pub(crate) active: bool,
    pub(crate) forced: bool,
    pub(crate) restart: Option<RestartCause>,
    pub(crate) start_failed: bool,
    pub(crate) start_skipped: bool,
    pub(crate) pin_start: bool,
    pub(crate) pin_stop: bool,
    pub(crate) pin_dependent: bool,
    pub(crate) trigger: bool,
    pub(crate) reason: StopReason,
    pub(crate) exec_failure: Option<ExecFailure>,
    pub(crate) exit_status: Option<ExitStatus>,

    pub(crate) marks: Marks,
    pub(crate) in_propagation: bool,
    pub(crate) in_transition: bool,

    pub(crate) main: Main,
    pub(crate) stop_command: Option<StopCommand>,
    /// The stop signal was sent, or the stop command launched, for the main process that is there.
    pub(crate) stop_issued: bool,
    /// Smooth recovery: the process is being replaced while the service stays up.
    pub(crate) recovering: bool,
    pub(crate) launched_before: bool,
    pub(crate) timer: Option<Timer>,
    pub(crate) last_launch: Option<Instant>,
    pub(crate) window_start: Instant,
    pub(crate) restarts_in_window: u32,
}

impl Record {
    pub(crate) fn new(name: Arc<[u8]>, spec: Spec, generation: u32, order: u64) -> Self {
        Self {
            name,
            spec,
            generation,
            order,
            is_placeholder: false,
            dependencies: Vec::new(),
            dependents: Vec::new(),
            waiting: 0,
            blocker: 0,
            consumer_of: None,
            consumer: None,
            state: State::Stopped,
            target: Target::Stopped,
            required: 0,
            active: false,
            forced: false,
            restart: None,
            start_failed: false,
            start_skipped: false,
            pin_start: false,
            pin_stop: false,
            pin_dependent: false,
            trigger: false,
            reason: StopReason::Normal,
            exec_failure: None,
            exit_status: None,
            marks: Marks::default(),
            in_propagation: false,
            in_transition: false,
            main: Main::Absent,
            stop_command: None,
            stop_issued: false,
            recovering: false,
            launched_before: false,
            timer: None,
            last_launch: None,
            window_start: Instant(0),
            restarts_in_window: 0,
        }
    }

    /// A record that stands in where ordering or output names a service that is not loaded.
    pub(crate) fn placeholder(name: Arc<[u8]>, generation: u32, order: u64) -> Self {
        Self { is_placeholder: true, ..Self::new(name, Spec::new(Kind::Internal), generation, order) }
    }

    pub(crate) fn visible_state(&self) -> ServiceState {
        match self.state {
            State::Stopped => ServiceState::Stopped,
            State::Starting(_) => ServiceState::Starting,
            State::Started => ServiceState::Started,
            State::Stopping(_) => ServiceState::Stopping,
        }
    }

    pub(crate) fn is_up_or_coming(&self) -> bool {
        matches!(self.state, State::Starting(_) | State::Started)
    }

    /// Whether it may not leave STARTED, by its own pin or that of a dependent.
    pub(crate) fn is_pinned_started(&self) -> bool {
        self.pin_start || self.pin_dependent
    }

    /// Whether it is up, or coming up and meant to stay: what its soft dependencies are re-attached for.
    pub(crate) fn wants_dependencies(&self) -> bool {
        self.is_up_or_coming() && (self.target == Target::Started || self.is_pinned_started())
    }

    /// Whether its links shall be held (LC 5.2, INV-S8).
    pub(crate) fn shall_hold_links(&self) -> bool {
        match self.state {
            State::Stopped => false,
            State::Starting(_) | State::Started => self.wants_dependencies(),
            State::Stopping(_) => self.target == Target::Started,
        }
    }

    /// Whether it is no obstacle to the stop of a hard dependency: down, or its start action not begun (D4).
    pub(crate) fn is_fundamentally_stopped(&self) -> bool {
        match self.state {
            State::Stopped => true,
            State::Starting(phase) => match phase {
                Starting::AwaitingDependencies { resuming } => !resuming,
                Starting::AwaitingConsole | Starting::AwaitingDelay => true,
                Starting::Acting => false,
            },
            State::Started | State::Stopping(_) => false,
        }
    }

    pub(crate) fn is_process_kind(&self) -> bool {
        matches!(self.spec.kind, Kind::Process | Kind::BgProcess)
    }

    pub(crate) fn needs_console_to_itself(&self) -> bool {
        matches!(self.spec.console, ConsoleNeed::Start | ConsoleNeed::Run)
    }

    /// The run whose pid is shown: none once its end is known.
    pub(crate) fn visible_run(&self) -> Option<RunId> {
        match self.main {
            Main::Absent | Main::Launched { ended: Some(_), .. } | Main::ReadingPidFile { .. } => None,
            Main::Launched { run, .. } | Main::Alive { run, .. } | Main::Unsupervised { run } => Some(run),
        }
    }
}
