//! What each request does, and what it is answered.
//!
//! The effects of a request are performed before its answer is queued, so the news that it causes comes first.

use super::client::Queued;
use super::{Standing, send};
use crate::daemon::Daemon;
use crate::loading::LoadFailure;
use crate::options::Level;
use crate::texts;
use dinit_graph::{Answer, Kind, Output, Refusal, Request as Asked, ServiceId};
use dinit_load::Context;
use dinit_protocol::{
    CommandFlags, DIRECTORY_LOADER, Decoded, DependencyRequest, EnvironmentChange, Handle, LoaderInfo, Reply,
    Request, ServiceName, StatusLayout, Version, decode_request,
};
use dinit_sys::Errno;
use std::os::unix::ffi::OsStrExt;

/// The oldest version that a client may want.
const OLDEST: Version = Version(1);

/// The bytes that clients can put into the environment; a process cannot be given more.
const ENVIRONMENT_LIMIT: usize = 1 << 20;

/// What comes of a request.
enum Outcome {
    /// It was answered.
    Replies(Reply),
    /// It cannot be a request of this connection, which ends.
    Bad,
    /// There is no room for it; the connection ends.
    NoMemory,
    /// All of the answer is queued already.
    Queued,
}

impl Daemon {
    /// Serves the requests of a connection that have arrived, as far as its output may grow.
    pub(crate) fn serve_client(&mut self, number: u64) {
        while let Some(client) = self.control.client(number) {
            if !client.takes_requests() {
                return;
            }
            let (request, used) = match decode_request(client.input(), Version::CURRENT) {
                Ok(Decoded::Incomplete { .. }) => return,
                Ok(Decoded::Packet { packet, used }) => (Ok(packet), used),
                Err(error) => (Err(error), 0),
            };
            let outcome = match request {
                Ok(ref asked) if self.is_refusing() && !is_served_to_the_last(asked) => Outcome::NoMemory,
                Ok(request) => {
                    if let Some(client) = self.control.client_mut(number) {
                        client.take_input(used);
                    }
                    self.carry_out(number, request)
                }
                Err(_) => Outcome::Bad,
            };
            let Some(client) = self.control.client_mut(number) else { return };
            match outcome {
                Outcome::Replies(reply) => client.answer(&reply),
                Outcome::Queued => {}
                Outcome::Bad => {
                    client.answer(&Reply::BadRequest);
                    client.finish();
                }
                Outcome::NoMemory => {
                    client.answer(&Reply::OutOfMemory);
                    client.finish();
                }
            }
            if client.standing() == Standing::Overflows {
                return;
            }
        }
    }

    /// Says whether requests are refused because of a defect, or for lack of memory, which is said.
    fn is_refusing(&mut self) -> bool {
        let is_short = self.is_short_of_memory();
        if is_short {
            self.tell_of_shortage();
        }
        is_short || self.is_wounded
    }

    fn carry_out(&mut self, client: u64, request: Request) -> Outcome {
        let reply = match request {
            Request::QueryVersion => Reply::Version { minimum: OLDEST, current: Version::CURRENT },
            Request::FindService { name } => match self.graph.find(name.as_bytes()) {
                Some(service) => return self.record(client, service),
                None => Reply::NoService,
            },
            Request::LoadService { name } => return self.load_for(client, &name),
            Request::Start { service, flags } => {
                let pin = flags.has(CommandFlags::PIN);
                return self.command(client, service, flags, |service| Asked::Start { service, pin });
            }
            Request::Stop { service, flags } => {
                let gentle = flags.has(CommandFlags::GENTLE);
                let pin = flags.has(CommandFlags::PIN);
                return self.command(client, service, flags, |service| {
                    if flags.has(CommandFlags::RESTART) {
                        Asked::Restart { service, gentle }
                    } else {
                        Asked::Stop { service, pin, gentle }
                    }
                });
            }
            Request::Wake { service, flags } => {
                let pin = flags.has(CommandFlags::PIN);
                return self.command(client, service, flags, |service| Asked::Wake { service, pin });
            }
            Request::Release { service, flags } => {
                let pin = flags.has(CommandFlags::PIN);
                return self.command(client, service, flags, |service| Asked::Release { service, pin });
            }
            Request::Unpin { service } => {
                let Some(service) = self.service_of(client, service) else { return Outcome::Bad };
                self.ask(Asked::Unpin { service });
                Reply::Ack
            }
            Request::List { layout } => return self.list(client, layout.into()),
            Request::Unload { service } => return self.unload_for(client, service),
            Request::Shutdown { kind } => {
                self.ask(Asked::Shutdown { kind: texts::shutdown_kind(kind) });
                Reply::Ack
            }
            Request::AddDependency(dependency) => {
                let Some((kind, from, to)) = self.link(client, dependency) else { return Outcome::Bad };
                accepted(&self.ask(Asked::AddDep { kind, from, to }))
            }
            Request::RemoveDependency(dependency) => {
                let Some((kind, from, to)) = self.link(client, dependency) else { return Outcome::Bad };
                accepted(&self.ask(Asked::RemoveDep { kind, from, to }))
            }
            Request::Enable(dependency) => {
                let Some((kind, from, to)) = self.link(client, dependency) else { return Outcome::Bad };
                accepted(&self.ask(Asked::Enable { kind, from, to }))
            }
            Request::EnableReportingStatus(dependency) => {
                let Some((kind, from, to)) = self.link(client, dependency) else { return Outcome::Bad };
                match self.ask(Asked::Enable { kind, from, to }) {
                    Answer::Enabled { existed } => self.status_reply(to, StatusLayout::V6, existed),
                    _ => Reply::Nak,
                }
            }
            Request::QueryLoader => Reply::Loader(LoaderInfo {
                mechanism: DIRECTORY_LOADER,
                working_directory: std::env::current_dir()
                    .map(|path| path.as_os_str().as_bytes().to_vec())
                    .unwrap_or_default(),
                directories: self.settings.directories.clone(),
            }),
            Request::QueryName { service } => self
                .service_of(client, service)
                .and_then(|service| self.graph.name(service))
                .map_or(Reply::Nak, |name| Reply::ServiceName(name.to_vec())),
            Request::QueryStatus { service, layout } => match self.service_of(client, service) {
                Some(service) => self.status_reply(service, layout, false),
                None => Reply::Nak,
            },
            Request::SetTrigger { service, set } => match self.service_of(client, service) {
                Some(service) => accepted(&self.ask(Asked::SetTrigger { service, value: set })),
                None => Reply::Nak,
            },
            Request::QueryLog { service, clear } => self.log_reply(client, service, clear),
            Request::Signal { service, signal } => self.signal(client, service, signal),
            Request::QueryDirectory { reserved: 0, service } => self
                .service_of(client, service)
                .and_then(|service| self.description_directory(service))
                .map_or(Reply::Nak, Reply::Directory),
            Request::QueryDirectory { .. } => Reply::Nak,
            Request::CloseHandle { service } => {
                let closed =
                    self.control.client_mut(client).is_some_and(|client| client.handles.close(service));
                if !closed {
                    return Outcome::Bad;
                }
                Reply::Ack
            }
            Request::Reload { service } => return self.reload_for(client, service),
            Request::SetEnvironment(change) => return self.set_environment(&change),
            Request::QueryEnvironment => Reply::Environment(self.environment.to_bytes()),
            Request::ListenEnvironment => {
                if let Some(client) = self.control.client_mut(client) {
                    client.listens_environment = true;
                }
                Reply::Ack
            }
        };
        Outcome::Replies(reply)
    }

    /// Carries out one of the requests that start and stop.
    fn command(
        &mut self,
        client: u64,
        handle: Handle,
        flags: CommandFlags,
        request: impl FnOnce(ServiceId) -> Asked,
    ) -> Outcome {
        let Some(service) = self.service_of(client, handle) else { return Outcome::Bad };
        if flags.has(CommandFlags::PRE_ACK)
            && let Some(client) = self.control.client_mut(client)
        {
            client.answer(&Reply::PreAck);
        }
        Outcome::Replies(match self.ask(request(service)) {
            Answer::Done | Answer::Enabled { .. } => Reply::Ack,
            Answer::AlreadyThere => Reply::AlreadyThere,
            Answer::PinnedStarted => Reply::PinnedStarted,
            Answer::PinnedStopped => Reply::PinnedStopped,
            Answer::ShuttingDown => Reply::ShuttingDown,
            Answer::Refused(_) => Reply::Nak,
            Answer::Dependents(dependents) => {
                let Some(client) = self.control.client_mut(client) else { return Outcome::Queued };
                let handles: Option<Vec<Handle>> =
                    dependents.into_iter().map(|dependent| client.handles.open(dependent)).collect();
                match handles {
                    Some(handles) => Reply::Dependents(handles),
                    None => return Outcome::NoMemory,
                }
            }
        })
    }

    fn load_for(&mut self, client: u64, name: &ServiceName) -> Outcome {
        Outcome::Replies(match self.load(name.as_bytes(), Context::Load) {
            Ok(service) => return self.record(client, service),
            Err(LoadFailure::NotFound) => Reply::NoService,
            Err(LoadFailure::Description) => Reply::DescriptionError,
            Err(LoadFailure::Other) => Reply::LoadError,
        })
    }

    /// Gives the service a new handle, and tells of it.
    fn record(&mut self, client: u64, service: ServiceId) -> Outcome {
        let Some(status) = self.graph.status(service) else { return Outcome::Replies(Reply::NoService) };
        let Some(client) = self.control.client_mut(client) else { return Outcome::Queued };
        let Some(handle) = client.handles.open(service) else { return Outcome::NoMemory };
        let block = texts::status_block(&status, None, (0, 0));
        Outcome::Replies(Reply::ServiceRecord { state: block.state, handle, target: block.target })
    }

    fn list(&mut self, client: u64, layout: StatusLayout) -> Outcome {
        let listed = if layout == StatusLayout::V1 {
            dinit_protocol::ListLayout::V1
        } else {
            dinit_protocol::ListLayout::V5
        };
        let mut bytes = Vec::new();
        for service in self.graph.services() {
            let (Some(status), Some(name)) = (self.status_of(service), self.graph.name(service)) else {
                continue;
            };
            Reply::ServiceInfo { layout: listed, status, name: name.to_vec() }.encode(&mut bytes);
        }
        Reply::ListDone.encode(&mut bytes);
        if let Some(client) = self.control.client_mut(client) {
            client.queue(&bytes, Queued::Answer);
        }
        Outcome::Queued
    }

    fn unload_for(&mut self, client: u64, handle: Handle) -> Outcome {
        let Some(service) = self.service_of(client, handle) else { return Outcome::Bad };
        if self.control.is_held_by_other(service, client) {
            return Outcome::Replies(Reply::Nak);
        }
        Outcome::Replies(if self.unload(service) { Reply::Ack } else { Reply::Nak })
    }

    fn reload_for(&mut self, client: u64, handle: Handle) -> Outcome {
        let Some(service) = self.service_of(client, handle) else { return Outcome::Bad };
        if self.control.is_held_by_other(service, client) {
            return Outcome::Replies(Reply::Nak);
        }
        if let Some(client) = self.control.client_mut(client) {
            client.handles.close_all(service);
        }
        Outcome::Replies(if self.reload(service) { Reply::Ack } else { Reply::Nak })
    }

    fn set_environment(&mut self, change: &EnvironmentChange) -> Outcome {
        let (name, value) = (change.name(), change.value());
        let size: usize = self.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        if value.is_some() && size > ENVIRONMENT_LIMIT {
            return Outcome::NoMemory;
        }
        let overridden = match value {
            Some(value) => self.environment.set(name, value),
            None => self.environment.unset(name),
        };
        self.control.announce_environment(change, overridden);
        Outcome::Replies(Reply::Ack)
    }

    fn log_reply(&mut self, client: u64, handle: Handle, clear: bool) -> Reply {
        let Some(service) = self.service_of(client, handle) else { return Reply::Nak };
        let Some(spec) = self.graph.spec(service) else { return Reply::Nak };
        let has_output = matches!(spec.kind, Kind::Process | Kind::BgProcess | Kind::Scripted);
        if !has_output || spec.output != Output::Buffer {
            return Reply::Nak;
        }
        let Some(name) = self.graph.name(service).map(<[u8]>::to_vec) else { return Reply::Nak };
        let Some(buffer) = self.outputs.existing_buffer(&name) else { return Reply::Log(Vec::new()) };
        let text = buffer.text().to_vec();
        if clear {
            buffer.clear();
        }
        Reply::Log(text)
    }

    fn signal(&mut self, client: u64, handle: Handle, signal: i32) -> Reply {
        let Some(service) = self.service_of(client, handle) else { return Reply::Nak };
        let run = self.graph.status(service).and_then(|status| status.main_run);
        let Some(pid) = run.and_then(|run| self.runs.living(run)) else { return Reply::NoProcess };
        match send(pid, signal) {
            Ok(()) => Reply::Ack,
            Err(Errno(libc::EINVAL)) => Reply::BadSignal,
            Err(_) => Reply::KillFailed,
        }
    }

    fn status_reply(&self, service: ServiceId, layout: StatusLayout, existed: bool) -> Reply {
        self.status_of(service).map_or(Reply::Nak, |status| Reply::Status { layout, existed, status })
    }

    fn service_of(&self, client: u64, handle: Handle) -> Option<ServiceId> {
        self.control.client(client)?.handles.get(handle)
    }

    /// Finds the two services of a dependency; nothing if a handle is bad or both are the same.
    fn link(
        &self,
        client: u64,
        dependency: DependencyRequest,
    ) -> Option<(dinit_graph::DependencyKind, ServiceId, ServiceId)> {
        let from = self.service_of(client, dependency.from)?;
        let to = self.service_of(client, dependency.to)?;
        (from != to).then_some((texts::dependency_kind(dependency.kind), from, to))
    }
}

/// Says whether a request is served even after a defect was caught, or without memory: what it takes to end in good order.
fn is_served_to_the_last(request: &Request) -> bool {
    matches!(request, Request::QueryVersion | Request::Shutdown { .. })
}

/// Gives `Ack` for what was done, `Nak` for what was refused.
fn accepted(answer: &Answer) -> Reply {
    match answer {
        Answer::Done | Answer::AlreadyThere | Answer::Enabled { .. } => Reply::Ack,
        Answer::PinnedStarted
        | Answer::PinnedStopped
        | Answer::ShuttingDown
        | Answer::Dependents(_)
        | Answer::Refused(
            Refusal::NoSuchService
            | Refusal::NotStarted
            | Refusal::NoActiveDependents
            | Refusal::NotTriggered
            | Refusal::Cycle
            | Refusal::WrongKind
            | Refusal::WrongState
            | Refusal::NoSuchDependency
            | Refusal::InUse
            | Refusal::NotStopped
            | Refusal::UnknownDependency(_)
            | Refusal::Incompatible(_),
        ) => Reply::Nak,
    }
}

/// Says that a connection was dropped, and why.
pub(crate) fn dropped(daemon: &mut Daemon, reason: &str) {
    daemon.log.message(Level::Warn, format!("Dropping control connection: {reason}"));
}
