//! `start`, `stop`, `restart`, `wake` and `release`.

use dinit_client::ServiceRecord;
use dinit_protocol::{
    CommandFlags, Handle, Reply, Request, ServiceEvent, ServiceState, Status, TargetState, Version,
};

use crate::command_line::Change;
use crate::output::{Failure, Outcome, Output, text};
use crate::session::{NotLoaded, Session, is_changed, protocol_error_in_command};
use crate::status;

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
        Err(NotLoaded::Refused(_)) if ignore_unstarted => return Ok(0),
        Err(reason) => return Err(reason.into()),
    };
    if matches!(order.verb, Change::Start | Change::Wake | Change::Restart) {
        warn_of_changes(session, record.handle, order.service, output)?;
    }
    match issue(session, record.handle, order)? {
        Reply::AlreadyThere => {
            output.say(already_there(order.verb, record))?;
            Ok(0)
        }
        Reply::Ack if !order.wait => {
            let verb = match order.verb {
                Change::Stop | Change::Release => "stop",
                Change::Start | Change::Wake | Change::Restart => "start",
            };
            let (service, quote) = (order.service, "'.");
            output.say(text!["Issued ", verb, " command successfully for service '", service, quote])?;
            Ok(0)
        }
        Reply::Ack => wait(session, record.handle, order, output),
        Reply::Nak if order.verb == Change::Restart && ignore_unstarted => {
            output.say(text!["Service '", order.service, "' is not currently started."])?;
            Ok(0)
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

fn already_there(verb: Change, before: ServiceRecord) -> &'static str {
    match verb {
        Change::Restart => "Service restarted.",
        Change::Start | Change::Wake if before.state == ServiceState::Started => "Service (already) started.",
        Change::Start | Change::Wake => "Service started.",
        Change::Stop | Change::Release if before.state == ServiceState::Stopped => {
            "Service (already) stopped."
        }
        Change::Stop | Change::Release => "Service stopped.",
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
fn wait(session: &mut Session, service: Handle, order: &Order<'_>, output: &mut Output<'_>) -> Outcome<u8> {
    output.flush()?;
    match order.verb {
        Change::Start | Change::Wake => wait_for_start(session, service, order.service, output),
        Change::Stop => wait_for_stop(session, service, order.service, output),
        Change::Restart => match wait_for_stop(session, service, order.service, output)? {
            0 => wait_for_start(session, service, order.service, output),
            failed => Ok(failed),
        },
        Change::Release => {
            // Whoever is still needed does not stop, and there will be no event to wait for.
            let name = order.service;
            let status = session.status(service, protocol_error_in_command)?;
            if status.target == TargetState::Started {
                output.say(text!["Service '", name, "' released; still required by dependents."])?;
                Ok(0)
            } else if status.state == ServiceState::Started {
                output.say(text!["Service '", name, "' released; pinned started."])?;
                Ok(0)
            } else if status.state == ServiceState::Stopped {
                output.say(text!["Service '", name, "' stopped."])?;
                Ok(0)
            } else {
                wait_for_stop(session, service, name, output)
            }
        }
    }
}

/// Waits until a service has started or failed to, and says so.
pub(super) fn wait_for_start(
    session: &mut Session,
    service: Handle,
    name: &[u8],
    output: &mut Output<'_>,
) -> Outcome<u8> {
    output.flush()?;
    loop {
        let (event, status) = session.event(service)?;
        match event {
            ServiceEvent::Started => {
                output.say(text!["Service '", name, "' started."])?;
                return Ok(0);
            }
            ServiceEvent::StartCancelled => {
                output.say(text!["Service '", name, "' start cancelled."])?;
                return Ok(1);
            }
            ServiceEvent::FailedStart => {
                say_failed(name, status.as_ref(), output)?;
                return Ok(1);
            }
            ServiceEvent::Stopped | ServiceEvent::StopCancelled => {}
        }
    }
}

fn wait_for_stop(
    session: &mut Session,
    service: Handle,
    name: &[u8],
    output: &mut Output<'_>,
) -> Outcome<u8> {
    loop {
        match session.event(service)?.0 {
            ServiceEvent::Stopped => {
                output.say(text!["Service '", name, "' stopped."])?;
                output.flush()?;
                return Ok(0);
            }
            ServiceEvent::StopCancelled => {
                output.say(text!["Service '", name, "' stop cancelled."])?;
                return Ok(1);
            }
            ServiceEvent::Started | ServiceEvent::FailedStart | ServiceEvent::StartCancelled => {}
        }
    }
}

fn say_failed(name: &[u8], status: Option<&Status>, output: &mut Output<'_>) -> Outcome<()> {
    output.say(text!["Service '", name, "' failed to start."])?;
    match status {
        Some(status) => output.say(status::failure_reason(status)),
        None => Ok(()),
    }
}
