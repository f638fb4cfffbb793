//! A status in words and signs.

pub(crate) mod document;

use dinit_protocol::{Detail, ExecStage, ExitInfo, ServiceState, Status, StopReason, TargetState};
use dinit_sys::Errno;

/// Gives how the last process ended, if its end is what the status tells.
fn exit_of(status: &Status) -> ExitInfo {
    match status.detail {
        Detail::Ended(exit) => exit,
        Detail::EndedWord(word) => ExitInfo::from_wait_status(word),
        Detail::Process(_) | Detail::ExecFailed { .. } => ExitInfo::default(),
    }
}

fn process_of(status: &Status) -> Option<i32> {
    match status.detail {
        Detail::Process(pid) => Some(pid),
        Detail::ExecFailed { .. } | Detail::Ended(_) | Detail::EndedWord(_) => None,
    }
}

/// Says how a process ended, in the words that follow a reason.
pub(crate) fn termination(status: &Status) -> String {
    let unknown = || "unknown reason".to_owned();
    match status.detail {
        Detail::Process(_) | Detail::ExecFailed { .. } => unknown(),
        Detail::Ended(_) | Detail::EndedWord(_) => match exit_of(status) {
            ExitInfo { code: ExitInfo::KILLED, status } => format!("signalled - signal {status}"),
            ExitInfo { code: ExitInfo::EXITED, status } => format!("exited - status {status}"),
            ExitInfo { code: 0, status: 0 } => "exited - status 0".to_owned(),
            _ => unknown(),
        },
    }
}

/// Says at which step, and why, a process could not be launched, in two lines.
pub(crate) fn launch_failure(status: &Status) -> String {
    let (stage, errno) = match status.detail {
        Detail::ExecFailed { stage, errno } => (stage, errno),
        Detail::Process(_) | Detail::Ended(_) | Detail::EndedWord(_) => (ExecStage::ARRANGE_FDS, 0),
    };
    let stage = stage.description().map_or_else(|| format!("unknown stage {}", stage.0), str::to_owned);
    format!("        Stage: {stage}\n        Error: {}", Errno(errno).text())
}

/// Gives the name of a state as it is printed.
pub(crate) fn state_name(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Stopped => "STOPPED",
        ServiceState::Starting => "STARTING",
        ServiceState::Started => "STARTED",
        ServiceState::Stopping => "STOPPING",
    }
}

/// Gives the state with all that is known about it, as `status` prints it.
pub(crate) fn state_text(status: &Status) -> String {
    let exit = exit_of(status);
    let mut text = match status.state {
        ServiceState::Stopped => stopped_text(status, exit),
        ServiceState::Starting if status.target == TargetState::Stopped => {
            "STARTING (target state: STOPPED)".to_owned()
        }
        ServiceState::Starting => "STARTING".to_owned(),
        ServiceState::Started if status.skipped => "STARTED (startup skipped)".to_owned(),
        ServiceState::Started => "STARTED".to_owned(),
        ServiceState::Stopping => {
            let target = if status.target == TargetState::Started { " (target state: STARTED)" } else { "" };
            let ended = process_of(status).is_none() && exit.status != 0;
            let ended = if ended { format!("(terminated ;{})", termination(status)) } else { String::new() };
            format!("STOPPING{target}{ended}")
        }
    };
    if status.has_console {
        text += " (holding console)";
    }
    if status.waiting_for_console {
        text += " (waiting for console)";
    }
    text
}

fn stopped_text(status: &Status, exit: ExitInfo) -> String {
    let with_termination = |what: &str| match exit.status {
        0 => format!("STOPPED ({what})"),
        _ => format!("STOPPED ({what}; {})", termination(status)),
    };
    match status.reason {
        StopReason::Normal => "STOPPED".to_owned(),
        StopReason::DependencyRestarted => "STOPPED (dependency restarted)".to_owned(),
        StopReason::DependencyFailed => "STOPPED (dependency failed/terminated)".to_owned(),
        StopReason::Failed => with_termination("failed to start"),
        StopReason::ExecFailed => format!("STOPPED (could not be launched)\n{}", launch_failure(status)),
        StopReason::TimedOut => "STOPPED (start timed out)".to_owned(),
        StopReason::Terminated => with_termination("terminated"),
    }
}

/// Gives all lines of a status behind the name and the file.
pub(crate) fn describe(status: &Status) -> String {
    let mut text = format!("    State: {}\n", state_text(status));
    if status.target == TargetState::Started {
        let why = if status.activated { "explicitly started" } else { "start due to dependent(s)" };
        text += &format!("    Activation: {why}\n");
    }
    if let Some(pid) = process_of(status) {
        text += &format!("    Process ID: {pid}\n");
    }
    text
}

/// Says why a service has failed to start, in the lines that follow `failed to start.`
pub(crate) fn failure_reason(status: &Status) -> String {
    match status.reason {
        StopReason::DependencyFailed => {
            "Reason: a dependency of the service failed to start. Check dinit log.".to_owned()
        }
        StopReason::TimedOut => "Reason: start timed out.".to_owned(),
        StopReason::ExecFailed => {
            format!("Reason: execution of service process failed:\n{}", launch_failure(status))
        }
        StopReason::Failed => {
            format!("Reason: service process terminated before ready: {}", termination(status))
        }
        StopReason::Normal | StopReason::DependencyRestarted | StopReason::Terminated => {
            "Reason unknown/unrecognised. Check dinit log.".to_owned()
        }
    }
}

/// Draws the box in front of a service in a list.
///
/// `[ABCTTDEF]`: left, activation and started; in the middle, the way it is going; right, stopped.
pub(crate) fn state_box(status: &Status) -> String {
    let wanted = status.target == TargetState::Started;
    let (a, c) = match (status.activated, wanted) {
        (true, _) => ('[', ']'),
        (false, true) => ('{', '}'),
        (false, false) => (' ', ' '),
    };
    let b = match status.state {
        ServiceState::Started if status.skipped => 's',
        ServiceState::Started => '+',
        ServiceState::Stopped | ServiceState::Starting | ServiceState::Stopping => ' ',
    };
    let way = match status.state {
        ServiceState::Starting => "<<",
        ServiceState::Stopping => ">>",
        ServiceState::Stopped | ServiceState::Started => "  ",
    };
    let (d, f) = if wanted { (' ', ' ') } else { ('{', '}') };
    let e = match status.state {
        ServiceState::Stopped if is_failed(status) => 'X',
        ServiceState::Stopped => '-',
        ServiceState::Starting | ServiceState::Started | ServiceState::Stopping => ' ',
    };
    format!("[{a}{b}{c}{way}{d}{e}{f}]")
}

/// Says whether a list marks a stopped service as failed.
fn is_failed(status: &Status) -> bool {
    match status.reason {
        StopReason::Normal => false,
        StopReason::Terminated => {
            let clean = ExitInfo { code: ExitInfo::EXITED, status: 0 };
            status.detail != Detail::EndedWord(0) && exit_of(status) != clean
        }
        StopReason::DependencyRestarted
        | StopReason::DependencyFailed
        | StopReason::Failed
        | StopReason::ExecFailed
        | StopReason::TimedOut => true,
    }
}

/// Gives what follows the name of a service in a list.
pub(crate) fn suffixes(status: &Status) -> String {
    let mut text = String::new();
    match (status.state, process_of(status)) {
        (ServiceState::Stopped, _) if status.reason == StopReason::Terminated => match exit_of(status) {
            ExitInfo { code: ExitInfo::EXITED, status } => text += &format!(" (exit status: {status})"),
            ExitInfo { code: ExitInfo::KILLED, status } => text += &format!(" (signal: {status})"),
            _ => {}
        },
        (ServiceState::Stopped, _) | (_, None) => {}
        (_, Some(pid)) => text += &format!(" (pid: {pid})"),
    }
    if status.has_console {
        text += " (has console)";
    } else if status.waiting_for_console {
        text += " (waiting for console)";
    }
    text
}

#[cfg(test)]
mod tests;
