//! From what a daemon sends to the commands that are run.

use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use dinit_client::{ClientError, Connection, LoadFailure};
use dinit_protocol::{Handle, Info, Reply, Request, ServiceEvent, ServiceName, ServiceState, Version};

use crate::command::Report;
use crate::command_line::{Options, Watched};
use crate::failure::Failure;

/// How much news is kept while a command runs; then it piles up in the daemon, which puts up with little of that.
const MOST_NEWS: usize = 65_536;

/// Runs a command, given by its words, to its end.
type Run<'a> = dyn FnMut(&[Vec<u8>]) + 'a;

/// Watches what the options say, over a connected stream; comes back only after the one command that was asked for.
pub(crate) fn watch(options: &Options, stream: UnixStream, run: &mut Run<'_>) -> Result<(), Failure> {
    let connection = Connection::over(stream).map_err(|error| match error {
        ClientError::Unexpected(_) => Failure::DaemonTooOld,
        other => other.into(),
    })?;
    let reporter = Reporter { options, run };
    match &options.watched {
        Watched::Services(names) => watch_services(names, connection, reporter),
        Watched::Environment(names) => watch_environment(names, connection, reporter),
    }
}

fn watch_services(
    names: &[Vec<u8>],
    mut connection: Connection,
    mut reporter: Reporter<'_, '_>,
) -> Result<(), Failure> {
    let texts = &reporter.options.texts;
    let records = names.iter().map(|name| load(&mut connection, name)).collect::<Result<Vec<_>, _>>()?;
    if reporter.options.initial {
        for (name, (_, state)) in names.iter().zip(&records) {
            let status = match state {
                ServiceState::Started => &texts.started,
                ServiceState::Stopped => &texts.stopped,
                ServiceState::Starting | ServiceState::Stopping => continue,
            };
            if reporter.report(name, status, b"").is_break() {
                return Ok(());
            }
        }
    }
    let news = listen(connection);
    loop {
        // Each event comes in this packet and, for newer clients, in another.
        let Info::ServiceEvent { service, event, .. } = next(&news)? else { continue };
        let status = match event {
            ServiceEvent::Started => &texts.started,
            ServiceEvent::Stopped => &texts.stopped,
            ServiceEvent::FailedStart => &texts.failed,
            ServiceEvent::StartCancelled | ServiceEvent::StopCancelled => continue,
        };
        let position = records.iter().position(|(handle, _)| *handle == service);
        let Some(name) = position.and_then(|position| names.get(position)) else { continue };
        if reporter.report(name, status, b"").is_break() {
            return Ok(());
        }
    }
}

/// Has a service loaded, from which moment on there is news of it.
fn load(connection: &mut Connection, name: &[u8]) -> Result<(Handle, ServiceState), Failure> {
    let protocol_error = || Failure::Asking(ClientError::Unexpected(Reply::BadRequest));
    // The daemon would refuse such a name and close the connection.
    let asked = ServiceName::new(name).map_err(|_| protocol_error())?;
    match connection.load(&asked)? {
        Ok(record) => Ok((record.handle, record.state)),
        Err(LoadFailure::NoService) => Err(Failure::CannotLoad(name.to_vec())),
        Err(LoadFailure::Description | LoadFailure::Other) => Err(protocol_error()),
    }
}

fn watch_environment(
    names: &[Vec<u8>],
    mut connection: Connection,
    mut reporter: Reporter<'_, '_>,
) -> Result<(), Failure> {
    let texts = &reporter.options.texts;
    let is_selected = |name: &[u8]| names.is_empty() || names.iter().any(|selected| selected == name);
    if connection.version() < Version::WITH_STATUS_5 {
        return Err(Failure::DaemonTooOld);
    }
    match connection.request(&Request::ListenEnvironment)? {
        Reply::Ack => {}
        other => return Err(ClientError::Unexpected(other).into()),
    }
    if reporter.options.initial {
        for variable in variables(&mut connection)?.split(|byte| *byte == 0) {
            let mut parts = variable.splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
            if is_selected(name) && reporter.report(name, &texts.set, value).is_break() {
                return Ok(());
            }
        }
    }
    let news = listen(connection);
    loop {
        let Info::Environment { change, .. } = next(&news)? else { continue };
        if !is_selected(change.name()) {
            continue;
        }
        let done = match change.value() {
            Some(value) => reporter.report(change.name(), &texts.set, value),
            None => reporter.report(change.name(), &texts.unset, b""),
        };
        if done.is_break() {
            return Ok(());
        }
    }
}

fn variables(connection: &mut Connection) -> Result<Vec<u8>, Failure> {
    match connection.request(&Request::QueryEnvironment)? {
        Reply::Environment(variables) => Ok(variables),
        other => Err(ClientError::Unexpected(other).into()),
    }
}

/// Receives news while commands run: a daemon drops clients that do not.
fn listen(mut connection: Connection) -> Receiver<Result<Info, ClientError>> {
    let (sender, news) = sync_channel(MOST_NEWS);
    thread::spawn(move || {
        loop {
            // Without a deadline there is always an event or an error.
            let info = connection.event(None).and_then(|info| info.ok_or(ClientError::TimedOut));
            let is_last = info.is_err();
            if sender.send(info).is_err() || is_last {
                return;
            }
        }
    });
    news
}

fn next(news: &Receiver<Result<Info, ClientError>>) -> Result<Info, Failure> {
    news.recv().unwrap_or(Err(ClientError::Closed)).map_err(Failure::Listening)
}

struct Reporter<'a, 'b> {
    options: &'a Options,
    run: &'a mut Run<'b>,
}

impl Reporter<'_, '_> {
    /// Runs the command for one thing that happened; breaks off if that was the only one to be told.
    fn report(&mut self, name: &[u8], status: &[u8], value: &[u8]) -> ControlFlow<()> {
        (self.run)(&self.options.command.fill_in(Report { name, status, value }));
        if self.options.once { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests;
