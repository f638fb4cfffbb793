//! The lines of the log about runs, and how the graph's words become those of the protocol.

use crate::options::Level;
use dinit_graph::{EndedProcess, ExitStatus, Notice};
use dinit_protocol as wire;

/// Gives the line for a notice: its weight and its text.
pub(crate) fn notice(name: &[u8], notice: Notice, pid: i32) -> (Level, Vec<u8>) {
    let line = |level: Level, before: &str, after: String| {
        (level, [before.as_bytes(), name, after.as_bytes()].concat())
    };
    match notice {
        Notice::RestartingTooQuickly => {
            line(Level::Error, "Service ", " restarting too quickly; stopping.".to_owned())
        }
        Notice::StartTimedOut { .. } => {
            line(Level::Warn, "Service ", format!(" with pid {pid} exceeded allowed start time; cancelling."))
        }
        Notice::StartInterrupted { .. } => {
            line(Level::Warn, "Interrupting start of service ", format!(" with pid {pid} (with SIGINT)."))
        }
        Notice::StopTimedOut { .. } => {
            line(Level::Warn, "Service ", format!(" with pid {pid} exceeded allowed stop time; killing."))
        }
        Notice::StopCommandTimedOut { .. } => line(
            Level::Warn,
            "Service ",
            format!(" stop command, with pid {pid}, exceeded allowed stop time; killing."),
        ),
        Notice::Ended { what, status, .. } => {
            let (level, text) = ended(what, status);
            line(level, "Service ", text)
        }
    }
}

fn ended(what: EndedProcess, status: ExitStatus) -> (Level, String) {
    let (code, number) = match status {
        ExitStatus::Exited(code) => (true, code),
        ExitStatus::Killed(signal) | ExitStatus::Dumped(signal) => (false, signal.0),
    };
    match (what, code) {
        (EndedProcess::Process, true) => {
            (Level::Error, format!(" process terminated with exit code {number}"))
        }
        (EndedProcess::Process, false) => (Level::Error, format!(" terminated due to signal {number}")),
        (EndedProcess::StartCommand, true) => {
            (Level::Error, format!(" command failed with exit code {number}"))
        }
        (EndedProcess::StartCommand, false) => {
            (Level::Error, format!(" command terminated due to signal {number}"))
        }
        (EndedProcess::InterruptedStartCommand, true) => {
            (Level::Notice, format!(" start cancelled; exit code {number}"))
        }
        (EndedProcess::InterruptedStartCommand, false) => {
            (Level::Notice, format!(" start cancelled from signal {number}"))
        }
        (EndedProcess::ScriptedStopCommand, true) => {
            (Level::Warn, format!(" stop command failed with exit code {number}"))
        }
        (EndedProcess::ServiceStopCommand, true) => {
            (Level::Error, format!(" stop command terminated with exit code {number}"))
        }
        (EndedProcess::ScriptedStopCommand, false) => {
            (Level::Warn, format!(" stop command terminated due to signal {number}"))
        }
        (EndedProcess::ServiceStopCommand, false) => {
            (Level::Error, format!(" stop command terminated due to signal {number}"))
        }
    }
}

/// Gives the status block of a service. `pid` is that of the status's main run, if it has one.
pub(crate) fn status_block(
    status: &dinit_graph::Status,
    pid: Option<i32>,
    described_at: (i64, u32),
) -> wire::Status {
    let reason = reason(status.stop_reason);
    let failure = status
        .exec_failure
        .map_or((wire::ExecStage(0), 0), |failure| (wire::ExecStage(failure.stage.0), failure.errno));
    let (seconds, nanoseconds) = described_at;
    wire::Status {
        state: state(status.state),
        target: match status.target {
            dinit_graph::Target::Stopped => wire::TargetState::Stopped,
            dinit_graph::Target::Started => wire::TargetState::Started,
        },
        waiting_for_console: status.waiting_for_console,
        has_console: status.has_console,
        skipped: status.start_skipped,
        activated: status.explicitly_active,
        reason,
        detail: wire::Detail::choose(
            pid,
            reason,
            failure,
            status.exit_status.map_or_else(Default::default, end),
        ),
        modified: Some(wire::Timestamp { seconds, nanoseconds: i64::from(nanoseconds) }),
    }
}

/// Gives the protocol's word for a state.
pub(crate) fn state(state: dinit_graph::ServiceState) -> wire::ServiceState {
    match state {
        dinit_graph::ServiceState::Stopped => wire::ServiceState::Stopped,
        dinit_graph::ServiceState::Starting => wire::ServiceState::Starting,
        dinit_graph::ServiceState::Started => wire::ServiceState::Started,
        dinit_graph::ServiceState::Stopping => wire::ServiceState::Stopping,
    }
}

/// Gives the protocol's word for a milestone.
pub(crate) fn event(milestone: dinit_graph::Milestone) -> wire::ServiceEvent {
    match milestone {
        dinit_graph::Milestone::Started => wire::ServiceEvent::Started,
        dinit_graph::Milestone::Stopped => wire::ServiceEvent::Stopped,
        dinit_graph::Milestone::FailedStart => wire::ServiceEvent::FailedStart,
        dinit_graph::Milestone::StartCancelled => wire::ServiceEvent::StartCancelled,
        dinit_graph::Milestone::StopCancelled => wire::ServiceEvent::StopCancelled,
    }
}

/// Gives the graph's word for a kind of dependency that a client may name.
pub(crate) fn dependency_kind(kind: wire::DependencyKind) -> dinit_graph::DependencyKind {
    match kind {
        wire::DependencyKind::Regular => dinit_graph::DependencyKind::Regular,
        wire::DependencyKind::WaitsFor => dinit_graph::DependencyKind::WaitsFor,
        wire::DependencyKind::Milestone => dinit_graph::DependencyKind::Milestone,
    }
}

/// Gives the graph's word for a kind of shutdown.
pub(crate) fn shutdown_kind(kind: wire::ShutdownKind) -> dinit_graph::ShutdownKind {
    match kind {
        wire::ShutdownKind::Remain => dinit_graph::ShutdownKind::Remain,
        wire::ShutdownKind::Halt => dinit_graph::ShutdownKind::Halt,
        wire::ShutdownKind::PowerOff => dinit_graph::ShutdownKind::PowerOff,
        wire::ShutdownKind::Reboot => dinit_graph::ShutdownKind::Reboot,
        wire::ShutdownKind::SoftReboot => dinit_graph::ShutdownKind::SoftReboot,
        wire::ShutdownKind::Kexec => dinit_graph::ShutdownKind::Kexec,
    }
}

/// Gives the description of a stage of launching.
pub(crate) fn stage(stage: dinit_graph::ExecStage) -> &'static str {
    wire::ExecStage(stage.0).description().unwrap_or("launching")
}

fn reason(reason: dinit_graph::StopReason) -> wire::StopReason {
    match reason {
        dinit_graph::StopReason::Normal => wire::StopReason::Normal,
        dinit_graph::StopReason::DependencyRestarted => wire::StopReason::DependencyRestarted,
        dinit_graph::StopReason::DependencyFailed => wire::StopReason::DependencyFailed,
        dinit_graph::StopReason::Failed => wire::StopReason::Failed,
        dinit_graph::StopReason::ExecFailed => wire::StopReason::ExecFailed,
        dinit_graph::StopReason::TimedOut => wire::StopReason::TimedOut,
        dinit_graph::StopReason::Terminated => wire::StopReason::Terminated,
    }
}

fn end(status: ExitStatus) -> wire::ExitInfo {
    let (code, status) = match status {
        ExitStatus::Exited(code) => (wire::ExitInfo::EXITED, code),
        ExitStatus::Killed(signal) => (wire::ExitInfo::KILLED, signal.0),
        ExitStatus::Dumped(signal) => (wire::ExitInfo::DUMPED, signal.0),
    };
    wire::ExitInfo { code, status }
}
