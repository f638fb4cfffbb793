//! Loading, reloading and unloading: what the loader found enters the graph, and how it is launched is kept here.

use crate::daemon::{Daemon, Settings, now};
use crate::environment::MainEnvironment;
use crate::options::Level;
use dinit_graph::{Answer, Request, ServiceId};
use dinit_load::{
    Context, ExecSpec, Failure, Identity, LoadError, Loader, LogTarget, Message, NewService, SystemHost,
};
use dinit_sys::process;
use std::rc::Rc;

/// Why a service could not be loaded, as far as a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadFailure {
    /// There is no description of it.
    NotFound,
    /// Its own description is wrong.
    Description,
    /// Anything else, such as a dependency that cannot be loaded.
    Other,
}

impl Daemon {
    /// Loads a service unless it is loaded, and logs what is wrong.
    pub(crate) fn load(&mut self, name: &[u8], context: Context<'_>) -> Result<ServiceId, LoadFailure> {
        if self.is_short_of_memory() && self.graph.find(name).is_none() {
            self.log.message(Level::Error, out_of_memory(name, context));
            return Err(LoadFailure::Other);
        }
        self.load_silently(name).map_err(|error| {
            self.log.message(Level::Error, error.message(context));
            let is_own = error.name == name || name.starts_with(&[error.name.as_slice(), b"@"].concat());
            match error.failure {
                Failure::NotFound if is_own => LoadFailure::NotFound,
                Failure::Description { .. } if is_own => LoadFailure::Description,
                Failure::NotFound | Failure::Description { .. } | Failure::Other(_) => LoadFailure::Other,
            }
        })
    }

    /// Loads a service unless it is loaded; what is wrong with itself is given, not logged.
    ///
    /// # Errors
    /// The text that says what is wrong.
    pub(crate) fn load_quietly(&mut self, name: &[u8]) -> Result<ServiceId, Vec<u8>> {
        self.load_silently(name).map_err(|error| error.text().to_vec())
    }

    /// Reads the description of a service again; says whether it is in force now.
    pub(crate) fn reload(&mut self, service: ServiceId) -> bool {
        let host = SystemHost::new();
        let loader = loader(&host, &self.settings, &self.environment);
        let name = self.name_of(service);
        let current = self.execs.spec(service, &name);
        let mut effects = Vec::new();
        let reloading = loader.reload(&mut self.graph, service, &current, now(), &mut effects);
        self.keep(reloading.services);
        self.log_messages(reloading.messages);
        let is_in_force = match reloading.outcome {
            Ok(exec) => {
                if !matches!(exec.log, LogTarget::Buffer(_)) {
                    self.forget_buffer(&exec.name);
                }
                self.keep_exec(service, exec);
                true
            }
            Err(error) => {
                self.log.message(Level::Error, error.message(Context::Reload));
                false
            }
        };
        self.order(effects);
        self.settle();
        is_in_force
    }

    /// Forgets a stopped service that nothing needs; says whether that was possible.
    pub(crate) fn unload(&mut self, service: ServiceId) -> bool {
        let name = self.name_of(service);
        if self.ask(Request::Unload { service }) != Answer::Done {
            return false;
        }
        let exec = self.execs.forget(service);
        self.control.forget_service(service);
        self.sockets.remove(&service);
        self.failed_starts.remove(&service);
        self.forget_buffer(&name);
        for producer in [Some(name), exec.and_then(|exec| exec.consumer_of.clone())].into_iter().flatten() {
            if self.graph.find(&producer).is_none() && self.graph.consumer(&producer).is_none() {
                self.outputs.forget_pipe(&producer);
            }
        }
        true
    }

    /// Gives the directory in which the description of a service was found.
    pub(crate) fn description_directory(&self, service: ServiceId) -> Option<Vec<u8>> {
        self.execs.directory(service)
    }

    fn forget_buffer(&mut self, name: &[u8]) {
        if let Some(reader) = self.outputs.buffer_reader(name) {
            self.reactor.remove(reader);
        }
        self.outputs.forget_buffer(name);
    }

    fn load_silently(&mut self, name: &[u8]) -> Result<ServiceId, LoadError> {
        let host = SystemHost::new();
        let loader = loader(&host, &self.settings, &self.environment);
        let loading = loader.load(&mut self.graph, name);
        self.keep(loading.services);
        self.log_messages(loading.messages);
        loading.outcome
    }

    fn keep(&mut self, services: Vec<NewService>) {
        for NewService { id, exec } in services {
            self.keep_exec(id, exec);
            self.untrimmed += 1;
        }
    }

    fn keep_exec(&mut self, service: ServiceId, exec: Rc<ExecSpec>) {
        let Some(kind) = self.graph.spec(service).map(|spec| spec.kind) else { return };
        self.execs.keep(service, kind, exec);
    }

    fn log_messages(&mut self, messages: Vec<Message>) {
        for message in messages {
            let level = match message.level {
                dinit_load::Level::Warning => Level::Warn,
                dinit_load::Level::Error => Level::Error,
            };
            self.log.message(level, message.text);
        }
    }
}

/// Gives the line for a service that is not loaded for lack of memory.
fn out_of_memory(name: &[u8], context: Context<'_>) -> Vec<u8> {
    match context {
        Context::StartUp => [b"Out of memory when trying to start service: ".as_slice(), name, b"."].concat(),
        Context::Chain(target) => {
            [b"Couldn't chain to service ".as_slice(), target, b": Out of memory"].concat()
        }
        Context::Load | Context::Reload => {
            [b"Could not load service ".as_slice(), name, b": Out of memory"].concat()
        }
    }
}

fn loader<'a>(host: &'a SystemHost, settings: &'a Settings, environment: &'a MainEnvironment) -> Loader<'a> {
    let identity = Identity {
        effective_uid: process::effective_uid(),
        real_uid: process::real_uid(),
        real_gid: process::real_gid(),
    };
    Loader { host, directories: &settings.directories, variables: environment, identity }
}
