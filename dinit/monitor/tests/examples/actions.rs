//! What is done to a daemon while it is watched, in the words of dinitctl.

use dinit_client::{ClientError, Connection};
use dinit_protocol::{
    CommandFlags, EnvironmentChange, Info, Reply, Request, ServiceEvent, ServiceName, ShutdownKind,
};

/// Does something and waits until it is done.
#[track_caller]
pub(crate) fn act(daemon: &mut Connection, action: &str) {
    let (verb, object) = action.split_once(' ').unwrap_or((action, ""));
    match verb {
        "start" | "stop" | "restart" => change(daemon, verb, object),
        "setenv" | "unsetenv" => {
            let change = EnvironmentChange::new(object.as_bytes()).unwrap();
            assert_eq!(daemon.request(&Request::SetEnvironment(change)).unwrap(), Reply::Ack, "{action}");
        }
        "shutdown" => {
            let shutdown = Request::Shutdown { kind: ShutdownKind::Halt };
            assert_eq!(daemon.request(&shutdown).unwrap(), Reply::Ack);
            assert!(matches!(daemon.event(None), Err(ClientError::Closed)));
        }
        _ => panic!("unknown action {action}"),
    }
}

#[track_caller]
fn change(daemon: &mut Connection, verb: &str, name: &str) {
    let service = daemon.load(&ServiceName::new(name.as_bytes()).unwrap()).unwrap().unwrap().handle;
    let (request, outcome) = match verb {
        // A start that failed ends with the service stopped.
        "start" => {
            let request = Request::Start { service, flags: CommandFlags::NONE };
            (request, &[ServiceEvent::Started, ServiceEvent::Stopped][..])
        }
        "stop" => (Request::Stop { service, flags: CommandFlags::GENTLE }, &[ServiceEvent::Stopped][..]),
        _ => {
            let flags = CommandFlags::GENTLE.with(CommandFlags::RESTART);
            (Request::Stop { service, flags }, &[ServiceEvent::Started][..])
        }
    };
    match daemon.request(&request).unwrap() {
        Reply::AlreadyThere => {}
        Reply::Ack => wait_for_any(daemon, outcome),
        other => panic!("{verb} {name}: {other:?}"),
    }
}

/// Waits until the one service that a connection has a handle of does something.
pub(crate) fn wait_for(daemon: &mut Connection, event: ServiceEvent) {
    wait_for_any(daemon, &[event]);
}

fn wait_for_any(daemon: &mut Connection, outcome: &[ServiceEvent]) {
    loop {
        match daemon.event(None).unwrap() {
            Some(Info::ServiceEvent { event, .. }) if outcome.contains(&event) => return,
            _ => {}
        }
    }
}
