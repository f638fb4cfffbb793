//! The commands: one file for each, or for several that differ in a word.

mod change;
mod dependency;
mod enable;
mod environment;
mod graph;
mod list;
mod load;
mod log;
mod pin;
mod shutdown;
mod signal;
mod status;
mod trigger;

use dinit_json::Value;
use dinit_protocol::{Reply, Request};

use crate::command_line::{Command, Invocation};
use crate::host::Host;
use crate::output::{Failure, Outcome, Output};
use crate::session::Session;

/// Carries out a command and gives the exit status.
pub(crate) fn run(invocation: &Invocation, host: &Host, output: &mut Output<'_>) -> Outcome<u8> {
    let general = &invocation.general;
    let open = || Session::open(general, host);
    match &invocation.command {
        Command::ListSignals => signal::names(output),
        Command::Change { verb, service, pin, force, ignore_unstarted } => {
            let wait = !general.no_wait;
            let order = change::Order { verb: *verb, service, pin: *pin, force: *force, wait };
            change::run(&mut open()?, &order, *ignore_unstarted, output)
        }
        Command::Unpin { service } => pin::unpin(&mut open()?, service, output),
        Command::Unload { service } => load::unload(&mut open()?, service, output),
        Command::Reload { service } => load::reload(&mut open()?, service, output),
        Command::List(listed) => list::run(*listed, general, host, output),
        Command::Graph { services, dot } => graph::run(services, *dot, general, host, output),
        Command::Status { service } => status::show(&mut open()?, service, output),
        Command::IsStarted { service } => status::is_started(&mut open()?, service, output),
        Command::IsFailed { service } => status::is_failed(&mut open()?, service, output),
        Command::Shutdown => shutdown::run(&mut open()?, output),
        Command::AddDependency { kind, from, to } => dependency::add(&mut open()?, *kind, from, to, output),
        Command::RemoveDependency { kind, from, to } => {
            dependency::remove(&mut open()?, *kind, from, to, output)
        }
        Command::Enable { from, to } => {
            let edit = enable::Edit { action: enable::Action::Enable, from: from.as_deref(), to };
            enable::run(&edit, general, host, output)
        }
        Command::Disable { from, to } => {
            let edit = enable::Edit { action: enable::Action::Disable, from: from.as_deref(), to };
            enable::run(&edit, general, host, output)
        }
        Command::SetTrigger { service, set } => trigger::set(&mut open()?, service, *set),
        Command::SetEnvironment { variables } => environment::set(&mut open()?, variables, host),
        Command::UnsetEnvironment { variables } => environment::unset(&mut open()?, variables),
        Command::ShowLog { service, clear } => log::show(&mut open()?, service, *clear, output),
        Command::Signal { signal, service } => signal::send(&mut open()?, *signal, service),
    }
}

/// Gives the fields of a document that tells what was done to a service.
fn done(command: &'static str, service: &[u8], result: &'static str) -> [(&'static str, Value); 3] {
    [("command", command.into()), ("service", Value::bytes(service)), ("result", result.into())]
}

/// Sends a request that is answered yes or no, and says what was said to no and to anything else.
fn ask(session: &mut Session, request: &Request, no: &str, otherwise: fn() -> Failure) -> Outcome<()> {
    match session.request(request)? {
        Reply::Ack => Ok(()),
        Reply::Nak => Err(Failure::new(no)),
        _ => Err(otherwise()),
    }
}
