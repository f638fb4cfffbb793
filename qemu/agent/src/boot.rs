//! What dinit says about the boot, and asking it for the end.

use std::error::Error;
use std::io;
use std::path::Path;

use agent_protocol::message::{BootReport, NotStarted, Outcome, Shutdown, ToHost, Wait};
use dinit_client::{ClientError, Connection, ListedService, address};
use dinit_protocol::{
    Detail, ExitInfo, Reply, Request, ServiceName, ServiceState, ShutdownKind, Status, StopReason,
    TargetState,
};

use crate::link::Link;

/// Tells the host how a service stands, once it is decided if the host wants to wait.
pub(crate) fn answer(link: &Link, request: u32, service: &[u8], wait: Wait) -> io::Result<()> {
    let report = Connection::open(Path::new(address::SYSTEM_SOCKET))
        .and_then(|mut dinit| report(&mut dinit, service, wait));
    match report {
        Ok(report) => link.send(request, &ToHost::Boot(report)),
        Err(error) => link.refuse(request, &told(&error)),
    }
}

/// Asks dinit to end the machine.
pub(crate) fn shut_down(link: &Link, request: u32, how: Shutdown) -> io::Result<()> {
    let kind = match how {
        Shutdown::PowerOff => ShutdownKind::PowerOff,
        Shutdown::Reboot => ShutdownKind::Reboot,
        Shutdown::Halt => ShutdownKind::Halt,
        Shutdown::SoftReboot => ShutdownKind::SoftReboot,
        Shutdown::Kexec => ShutdownKind::Kexec,
    };
    // The answer goes out first: dinit begins to stop services, and this one among them, as soon as it is asked.
    let mut dinit = match Connection::open(Path::new(address::SYSTEM_SOCKET)) {
        Ok(dinit) => dinit,
        Err(error) => return link.refuse(request, &told(&error)),
    };
    link.send(request, &ToHost::Done)?;
    match dinit.request(&Request::Shutdown { kind }) {
        Ok(Reply::Ack) | Err(ClientError::Closed | ClientError::Read(_)) => Ok(()),
        Ok(other) => Err(io::Error::other(ClientError::Unexpected(other).to_string())),
        Err(error) => Err(io::Error::other(told(&error))),
    }
}

fn report(dinit: &mut Connection, service: &[u8], wait: Wait) -> Result<BootReport, ClientError> {
    let outcome = match ServiceName::new(service) {
        Ok(name) => outcome(dinit, &name, wait)?,
        Err(_) => None,
    };
    let mut not_started: Vec<NotStarted> = dinit.list()?.iter().filter_map(trouble).collect();
    if outcome.is_none() {
        let name = String::from_utf8_lossy(service).into_owned();
        let reason = "dinit has not loaded it".to_owned();
        not_started
            .insert(0, NotStarted { name, state: state_name(ServiceState::Stopped).to_owned(), reason });
    }
    Ok(BootReport { outcome: outcome.unwrap_or(Outcome::Failed), not_started })
}

/// How a service stands; `None` if dinit does not have it.
fn outcome(dinit: &mut Connection, name: &ServiceName, wait: Wait) -> Result<Option<Outcome>, ClientError> {
    let Ok(record) = dinit.find(name)? else { return Ok(None) };
    loop {
        let status = dinit.status(record.handle)?;
        let outcome = judge(status.state, status.target);
        if outcome != Outcome::Underway || wait == Wait::No {
            return Ok(Some(outcome));
        }
        // Whatever happened to whichever service, looking again tells; ours is the only one with a handle.
        dinit.event(None)?;
    }
}

fn judge(state: ServiceState, target: TargetState) -> Outcome {
    match (state, target) {
        (ServiceState::Started, _) => Outcome::Started,
        (ServiceState::Stopped, TargetState::Stopped) => Outcome::Failed,
        (ServiceState::Stopped, TargetState::Started)
        | (ServiceState::Starting | ServiceState::Stopping, _) => Outcome::Underway,
    }
}

fn trouble(service: &ListedService) -> Option<NotStarted> {
    (service.status.state != ServiceState::Started).then(|| NotStarted {
        name: String::from_utf8_lossy(&service.name).into_owned(),
        state: state_name(service.status.state).to_owned(),
        reason: reason(&service.status),
    })
}

/// The names of states as `dinitctl status` prints them.
fn state_name(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Stopped => "STOPPED",
        ServiceState::Starting => "STARTING",
        ServiceState::Started => "STARTED",
        ServiceState::Stopping => "STOPPING",
    }
}

fn reason(status: &Status) -> String {
    let why = match status.reason {
        StopReason::Normal => return String::new(),
        StopReason::DependencyRestarted => "a dependency was restarted",
        StopReason::DependencyFailed => "a dependency failed",
        StopReason::Failed => "it failed to start",
        StopReason::ExecFailed => "its program could not be run",
        StopReason::TimedOut => "it took too long to start",
        StopReason::Terminated => "its process ended",
    };
    match status.detail {
        Detail::Ended(ExitInfo { code: ExitInfo::EXITED, status }) => {
            format!("{why}: exited with status {status}")
        }
        Detail::Ended(ExitInfo { code: 1.., status }) => format!("{why}: killed by signal {status}"),
        Detail::ExecFailed { errno, .. } => format!("{why}: {}", io::Error::from_raw_os_error(errno)),
        Detail::Ended(_) | Detail::Process(_) | Detail::EndedWord(_) => why.to_owned(),
    }
}

/// An error with its causes.
fn told(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(reason: StopReason, detail: Detail) -> Status {
        Status {
            state: ServiceState::Stopped,
            target: TargetState::Stopped,
            waiting_for_console: false,
            has_console: false,
            skipped: false,
            activated: false,
            reason,
            detail,
            modified: None,
        }
    }

    #[test]
    fn a_service_is_decided_once_it_is_started_or_stopped_for_good() {
        use ServiceState::{Started, Starting, Stopped, Stopping};
        assert_eq!(judge(Started, TargetState::Started), Outcome::Started);
        assert_eq!(judge(Stopped, TargetState::Stopped), Outcome::Failed);
        assert_eq!(judge(Stopped, TargetState::Started), Outcome::Underway);
        assert_eq!(judge(Starting, TargetState::Started), Outcome::Underway);
        assert_eq!(judge(Stopping, TargetState::Stopped), Outcome::Underway);
    }

    #[test]
    fn a_service_that_is_not_started_is_told_with_the_reason() {
        let ended = |code, number| Detail::Ended(ExitInfo { code, status: number });
        let is = |reason_code, detail, text: &str| assert_eq!(reason(&status(reason_code, detail)), text);
        is(StopReason::Failed, ended(ExitInfo::EXITED, 3), "it failed to start: exited with status 3");
        is(StopReason::Terminated, ended(ExitInfo::KILLED, 11), "its process ended: killed by signal 11");
        is(StopReason::DependencyFailed, ended(0, 0), "a dependency failed");
        is(StopReason::Normal, ended(0, 0), "");
        let service =
            ListedService { name: b"web".to_vec(), status: status(StopReason::TimedOut, ended(0, 0)) };
        let expected = NotStarted {
            name: "web".into(),
            state: "STOPPED".into(),
            reason: "it took too long to start".into(),
        };
        assert_eq!(trouble(&service), Some(expected));
    }

    #[test]
    fn a_dinit_that_is_not_there_is_refused_with_the_cause() {
        let Err(error) = Connection::open(Path::new("/no/such/socket")) else { panic!("nothing is there") };
        assert!(told(&error).starts_with("cannot connect to `/no/such/socket`: "), "{}", told(&error));
    }
}
