//! `start`, `stop`, `restart`, `wake` and `release`.

mod ending;

use dinit_client::ServiceRecord;
use dinit_protocol::{
    CommandFlags, Handle, Reply, Request, ServiceEvent, ServiceState, TargetState, Version,
};

use crate::command_line::Change;
use crate::output::{Failure, Outcome, Output, text};
use crate::session::{NotLoaded, Session, is_changed, protocol_error_in_command};

pub(super) use ending::Ending;

/// What is wanted of which service.
pub(super) struct Order<'a> {
    pub(super) verb: Change,
    pub(super) service: &'a [u8],
    pub(super) pin: bool,
    pub(super) force: bool,
    pub(super) wait: bool,
}

/// Carries out the order, and waits for what comes of it if that is wanted.
pub(super) fn run(
    session: &mut Session,
    order: &Order<'_>,
    ignore_unstarted: bool,
    output: &mut Output<'_>,
) -> Outcome<u8> {
    let stops = matches!(order.verb, Change::Stop | Change::Restart | Change::Release);
    let ignore_unstarted = ignore_unstarted && stops;
    let record = match session.load(order.service) {
        Ok(record) => record,
        Err(NotLoaded::Refused(_)) if ignore_unstarted => return Ending::NotLoaded.tell(order, output),
        Err(reason) => return Err(reason.into()),
    };
    if matches!(order.verb, Change::Start | Change::Wake | Change::Restart) {
        warn_of_changes(session, record.handle, order.service, output)?;
    }
    match issue(session, record.handle, order)? {
        Reply::AlreadyThere => already_there(order.verb, record).tell(order, output),
        Reply::Ack if !order.wait => Ending::Issued.tell(order, output),
        Reply::Ack => wait(session, record.handle, order, output)?.tell(order, output),
        Reply::Nak if order.verb == Change::Restart && ignore_unstarted => {
            Ending::NotStarted.tell(order, output)
        }
        other => Err(refusal(session, order, other)?),
    }
}

/// Sends the request and gives the answer proper. Events that came before the daemon took it up are dropped.
fn issue(session: &mut Session, service: Handle, order: &Order<'_>) -> Outcome<Reply> {
    let pin = CommandFlags::NONE.with_if(order.pin, CommandFlags::PIN);
    let gentle = CommandFlags::NONE.with_if(!order.force, CommandFlags::GENTLE);
    let request = match order.verb {
        Change::Start => Request::Start { service, flags: pin },
        Change::Wake => Request::Wake { service, flags: pin },
        Change::Release => Request::Release { service, flags: pin },
        Change::Stop => Request::Stop { service, flags: pin.with(gentle) },
        Change::Restart => {
            Request::Stop { service, flags: gentle.with(CommandFlags::RESTART).with(CommandFlags::PRE_ACK) }
        }
    };
    session.connection().take_events();
    match session.request(&request)? {
        Reply::PreAck => {
            session.connection().take_events();
            Ok(session.connection().reply(request.status_layout())?)
        }
        reply => Ok(reply),
    }
}

fn warn_of_changes(
    session: &mut Session,
    service: Handle,
    name: &[u8],
    output: &mut Output<'_>,
) -> Outcome<()> {
    if session.version() < Version::WITH_STATUS_6 {
        return Ok(());
    }
    let path = session.description_path(service, name)?;
    if is_changed(&path, || Ok(session.status(service, protocol_error_in_command)?.modified))? {
        let reload = "warning: service description may have changed; use 'dinitctl reload ";
        output.warn(text![reload, name, "' to apply changes."])?;
    }
    Ok(())
}

fn already_there(verb: Change, before: ServiceRecord) -> Ending {
    match verb {
        Change::Restart => Ending::RestartedAtOnce,
        Change::Start | Change::Wake if before.state == ServiceState::Started => Ending::AlreadyStarted,
        Change::Start | Change::Wake => Ending::StartedAtOnce,
        Change::Stop | Change::Release if before.state == ServiceState::Stopped => Ending::AlreadyStopped,
        Change::Stop | Change::Release => Ending::StoppedAtOnce,
    }
}

/// Says why the daemon did not do it.
fn refusal(session: &mut Session, order: &Order<'_>, reply: Reply) -> Outcome<Failure> {
    let service = order.service;
    Ok(match reply {
        Reply::PinnedStarted => {
            Failure::new(text!["cannot stop service '", service, "' as it is pinned started"])
        }
        Reply::PinnedStopped => {
            Failure::new(text!["cannot start service '", service, "' as it is pinned stopped"])
        }
        Reply::Dependents(dependents) => {
            let mut names = b" ".to_vec();
            for dependent in dependents {
                match session.request(&Request::QueryName { service: dependent })? {
                    Reply::ServiceName(name) => names.extend_from_slice(&text![" ", name]),
                    _ => return Err(Failure::new("control socket read failure or protocol error")),
                }
            }
            let failure =
                Failure::new(text!["cannot stop service '", service, "' due to the following dependents:"]);
            let failure = match order.verb {
                Change::Restart => failure,
                Change::Start | Change::Stop | Change::Wake | Change::Release => failure.and_plain(
                    "(only direct dependents are listed. Exercise caution before using '--force' !!)",
                ),
            };
            failure.and_plain(names)
        }
        Reply::Nak if order.verb == Change::Restart => {
            Failure::new("cannot restart service; service not started.")
        }
        Reply::Nak if order.verb == Change::Wake => {
            Failure::new("service has no active dependents, cannot wake.")
        }
        Reply::ShuttingDown => Failure::new("cannot start/restart/wake service, shutdown is in progress."),
        _ => protocol_error_in_command(),
    })
}

/// Waits until the order is carried out or has failed.
fn wait(
    session: &mut Session,
    service: Handle,
    order: &Order<'_>,
    output: &mut Output<'_>,
) -> Outcome<Ending> {
    output.flush()?;
    match order.verb {
        Change::Start | Change::Wake => wait_for_start(session, service),
        Change::Stop => wait_for_stop(session, service),
        Change::Restart => match wait_for_stop(session, service)? {
            Ending::Stopped => {
                output.say(Ending::Stopped.line(order.service))?;
                output.flush()?;
                wait_for_start(session, service)
            }
            other => Ok(other),
        },
        Change::Release => {
            // Whoever is still needed does not stop, and there will be no event to wait for.
            let status = session.status(service, protocol_error_in_command)?;
            match (status.target, status.state) {
                (TargetState::Started, _) => Ok(Ending::StillRequired),
                (TargetState::Stopped, ServiceState::Started) => Ok(Ending::StillPinned),
                (TargetState::Stopped, ServiceState::Stopped) => Ok(Ending::Stopped),
                (TargetState::Stopped, _) => wait_for_stop(session, service),
            }
        }
    }
}

/// Waits until a service has started or failed to.
pub(super) fn wait_for_start(session: &mut Session, service: Handle) -> Outcome<Ending> {
    loop {
        let (event, status) = session.event(service)?;
        match event {
            ServiceEvent::Started => return Ok(Ending::Started),
            ServiceEvent::StartCancelled => return Ok(Ending::StartCancelled),
            ServiceEvent::FailedStart => return Ok(Ending::Failed(status)),
            ServiceEvent::Stopped | ServiceEvent::StopCancelled => {}
        }
    }
}

fn wait_for_stop(session: &mut Session, service: Handle) -> Outcome<Ending> {
    loop {
        match session.event(service)?.0 {
            ServiceEvent::Stopped => return Ok(Ending::Stopped),
            ServiceEvent::StopCancelled => return Ok(Ending::StopCancelled),
            ServiceEvent::Started | ServiceEvent::FailedStart | ServiceEvent::StartCancelled => {}
        }
    }
}
