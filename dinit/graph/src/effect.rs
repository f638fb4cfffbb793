//! Orders: what the graph tells the outside to do, in the imperative.
//!
//! Effects are carried out in the order in which they were appended. Whatever goes wrong with one comes back as an
//! [`Event`](crate::Event).

use crate::id::{Instant, RunId, ServiceId, TimerId};
use crate::status::{ExitStatus, Milestone, Signal, Status};

/// Something that must now be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Launch a process. Answered by `Executed`, `ExecFailed` or `LaunchRefused`.
    Launch {
        /// Whose.
        service: ServiceId,
        /// Which of its commands.
        role: Role,
        /// The name of this launch from now on.
        run: RunId,
        /// How it gets at the console.
        console: ConsoleUse,
        /// Whether the service had a run of this role before since it was last inactive (it restarts or recovers).
        relaunch: bool,
    },
    /// Send a signal. A run that has ended in the meantime is quietly skipped.
    Signal {
        /// The run to signal.
        run: RunId,
        /// The signal.
        signal: Signal,
        /// The whole group or the process alone.
        to: Recipient,
    },
    /// Read the pid file of a bgprocess whose launcher succeeded. Answered by `PidFileRead`.
    ReadPidFile {
        /// Whose.
        service: ServiceId,
        /// The launcher's run, which the answer names.
        run: RunId,
        /// The run that the daemon will be, if the file names a living process.
        daemon: RunId,
    },
    /// Begin to read the readiness pipe of this run.
    EnableReadiness {
        /// The run.
        run: RunId,
    },
    /// Forget the pid of this run: it was an unsupervised process and its service is done with it.
    ForgetRun {
        /// The run.
        run: RunId,
    },
    /// Arm a timer; it replaces none, the graph cancels before it arms anew.
    ArmTimer {
        /// Whose.
        service: ServiceId,
        /// The name of this arming, which `TimerExpired` repeats.
        timer: TimerId,
        /// What for.
        kind: TimerKind,
        /// When it runs out.
        deadline: Instant,
    },
    /// Disarm a timer.
    CancelTimer {
        /// Whose.
        service: ServiceId,
        /// The arming.
        timer: TimerId,
    },
    /// Take the console from the manager's own log, which finishes its line first. Answered by `ConsoleYielded`.
    ClaimConsole,
    /// Give the console back to the manager's own log.
    ReturnConsole,
    /// Make the manager's process group the terminal's foreground group again: a service let go of the console.
    RetakeTerminal,
    /// Send TERM to every process, and KILL a second later, without blocking. Answered by `AllKilled`; the graph
    /// launches nothing until then.
    KillAll {
        /// The service whose `kill-all-on-stop` this is.
        service: ServiceId,
    },
    /// Close the activation socket, if one is open: the service became inactive.
    CloseSocket {
        /// Whose.
        service: ServiceId,
    },
    /// The root file system is writable (`starts-rwfs`): open the control socket again, log the boot time.
    RootWritable,
    /// The system log is there (`starts-log`): open it.
    LogAvailable,
    /// Load the service that this one chains to. Answered by `ChainResolved`, or by nothing if it cannot be loaded.
    Chain {
        /// The service that chains.
        service: ServiceId,
    },
    /// Tell the listeners of a service, and log it.
    Announce {
        /// Which service.
        service: ServiceId,
        /// What happened to it.
        milestone: Milestone,
        /// Its status as of that moment, which the record may have left by the time the effect is performed.
        status: Status,
    },
    /// Log something that listeners are not told.
    Note {
        /// Which service.
        service: ServiceId,
        /// What.
        notice: Notice,
    },
}

/// Which command of a service is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The process of a `process` service.
    Main,
    /// The launcher of a `bgprocess` service, which leaves a daemon behind.
    Launcher,
    /// The start command of a `scripted` service.
    StartCommand,
    /// The `stop-command` of a `scripted` service.
    ScriptedStopCommand,
    /// The `stop-command` of a `process` or `bgprocess` service, which runs beside its main process.
    ServiceStopCommand,
}

/// How a launched process gets at the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsoleUse {
    /// Not at all: a session of its own.
    None,
    /// Beside others (`shares-console`).
    Shared,
    /// As its only owner, in the foreground.
    Exclusive,
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// The process alone (`signal-process-only`).
    Process,
    /// Its whole process group.
    Group,
}

/// What a timer limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// `start-timeout`.
    Start,
    /// `stop-timeout`.
    Stop,
    /// The rest of `restart-delay`.
    RestartDelay,
}

/// Something for the log that is not an event for listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The service restarts too quickly and is stopped.
    RestartingTooQuickly,
    /// The start of this run took too long; it is interrupted.
    StartTimedOut {
        /// The run.
        run: RunId,
    },
    /// The start of this run is interrupted because the service shall stop.
    StartInterrupted {
        /// The run.
        run: RunId,
    },
    /// This main process (or command of a scripted service) did not end in time; it is killed.
    StopTimedOut {
        /// The run.
        run: RunId,
    },
    /// This stop command of a process or bgprocess service did not end in time; it is killed.
    StopCommandTimedOut {
        /// The run.
        run: RunId,
    },
    /// A process ended other than with code 0, and that is worth a line.
    Ended {
        /// The run.
        run: RunId,
        /// What it was.
        what: EndedProcess,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Which process ended, and in which part of its service's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndedProcess {
    /// The process, launcher or daemon of a service that was not being stopped.
    Process,
    /// The start command of a scripted service.
    StartCommand,
    /// The start command of a scripted service, after it was interrupted.
    InterruptedStartCommand,
    /// The stop command of a scripted service.
    ScriptedStopCommand,
    /// The stop command of a process or bgprocess service.
    ServiceStopCommand,
}
