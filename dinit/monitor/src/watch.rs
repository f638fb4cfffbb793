//! From what a daemon sends to the commands that are run.

use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use dinit_client::{ClientError, Connection, LoadFailure};
use dinit_protocol::{Handle, Info, Reply, Request, ServiceEvent, ServiceName, ServiceState, Version};

use crate::command::Report;
use crate::command_line::{Options, Watched};
use crate::failure::Failure;

/// Runs a command, given by its words, to its end.
type Run<'a> = dyn FnMut(&[Vec<u8>]) + 'a;

/// Watches what the options say, over a connected stream; comes back only after the one command that was asked for.
pub(crate) fn watch(options: &Options, stream: UnixStream, run: &mut Run<'_>) -> Result<(), Failure> {
    let connection = Connection::over(stream).map_err(|error| match error {
        ClientError::Unexpected(_) => Failure::DaemonTooOld,
        other => other.into(),
    })?;
    let watch = Watch { options, connection, run };
    match &options.watched {
        Watched::Services(names) => watch.services(names),
        Watched::Environment(names) => watch.environment(names),
    }
}

struct Watch<'a, 'b> {
    options: &'a Options,
    connection: Connection,
    run: &'a mut Run<'b>,
}

impl Watch<'_, '_> {
    fn services(mut self, names: &[Vec<u8>]) -> Result<(), Failure> {
        let texts = &self.options.texts;
        let records = names.iter().map(|name| self.load(name)).collect::<Result<Vec<_>, _>>()?;
        if self.options.initial {
            for (name, (_, state)) in names.iter().zip(&records) {
                let status = match state {
                    ServiceState::Started => &texts.started,
                    ServiceState::Stopped => &texts.stopped,
                    ServiceState::Starting | ServiceState::Stopping => continue,
                };
                if self.report(name, status, b"").is_break() {
                    return Ok(());
                }
            }
        }
        loop {
            // Each event comes in this packet and, for newer clients, in another.
            let Info::ServiceEvent { service, event, .. } = self.next()? else { continue };
            let status = match event {
                ServiceEvent::Started => &texts.started,
                ServiceEvent::Stopped => &texts.stopped,
                ServiceEvent::FailedStart => &texts.failed,
                ServiceEvent::StartCancelled | ServiceEvent::StopCancelled => continue,
            };
            let position = records.iter().position(|(handle, _)| *handle == service);
            let Some(name) = position.and_then(|position| names.get(position)) else { continue };
            if self.report(name, status, b"").is_break() {
                return Ok(());
            }
        }
    }

    /// Has a service loaded, from which moment on there is news of it.
    fn load(&mut self, name: &[u8]) -> Result<(Handle, ServiceState), Failure> {
        let protocol_error = || Failure::Asking(ClientError::Unexpected(Reply::BadRequest));
        // The daemon would refuse such a name and close the connection.
        let asked = ServiceName::new(name).map_err(|_| protocol_error())?;
        match self.connection.load(&asked)? {
            Ok(record) => Ok((record.handle, record.state)),
            Err(LoadFailure::NoService) => Err(Failure::CannotLoad(name.to_vec())),
            Err(LoadFailure::Description | LoadFailure::Other) => Err(protocol_error()),
        }
    }

    fn environment(mut self, names: &[Vec<u8>]) -> Result<(), Failure> {
        let texts = &self.options.texts;
        let is_selected = |name: &[u8]| names.is_empty() || names.iter().any(|selected| selected == name);
        if self.connection.version() < Version::WITH_STATUS_5 {
            return Err(Failure::DaemonTooOld);
        }
        self.listen()?;
        if self.options.initial {
            for variable in self.variables()?.split(|byte| *byte == 0) {
                let mut parts = variable.splitn(2, |byte| *byte == b'=');
                let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
                if is_selected(name) && self.report(name, &texts.set, value).is_break() {
                    return Ok(());
                }
            }
        }
        loop {
            let Info::Environment { change, .. } = self.next()? else { continue };
            if !is_selected(change.name()) {
                continue;
            }
            let done = match change.value() {
                Some(value) => self.report(change.name(), &texts.set, value),
                None => self.report(change.name(), &texts.unset, b""),
            };
            if done.is_break() {
                return Ok(());
            }
        }
    }

    fn listen(&mut self) -> Result<(), Failure> {
        match self.connection.request(&Request::ListenEnvironment)? {
            Reply::Ack => Ok(()),
            other => Err(ClientError::Unexpected(other).into()),
        }
    }

    fn variables(&mut self) -> Result<Vec<u8>, Failure> {
        match self.connection.request(&Request::QueryEnvironment)? {
            Reply::Environment(variables) => Ok(variables),
            other => Err(ClientError::Unexpected(other).into()),
        }
    }

    fn next(&mut self) -> Result<Info, Failure> {
        let info = self.connection.event(None).map_err(Failure::Listening)?;
        // Without a deadline there is always an event.
        info.ok_or(Failure::Listening(ClientError::TimedOut))
    }

    /// Runs the command for one thing that happened; breaks off if that was the only one to be told.
    fn report(&mut self, name: &[u8], status: &[u8], value: &[u8]) -> ControlFlow<()> {
        (self.run)(&self.options.command.fill_in(Report { name, status, value }));
        if self.options.once { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests;
