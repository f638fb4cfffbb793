//! Reads a loaded service again: all of the new description takes effect, or nothing of it.

use std::rc::Rc;

use dinit_graph::{
    Answer, Effect, Graph, Incompatible, Instant, Kind, Refusal, Request, ServiceId, ServiceState,
};

use crate::batch::{Committed, Loaded, commit};
use crate::error::{LoadError, Message};
use crate::exec::ExecSpec;
use crate::load::{
    CONSUMED_LOG, CONSUMED_TYPE, CYCLE, Loader, NO_DEPENDENCY, NewService, SECOND_CONSUMER, Walk, base_of,
    error_message,
};

/// What came of reading a service again.
#[derive(Debug)]
pub struct Reloading {
    /// The services that are new in the graph because the new description needs them. They stay even if the
    /// reload is refused.
    pub services: Vec<NewService>,
    /// What the log gets, in this order, before the error itself.
    pub messages: Vec<Message>,
    /// How the service is launched from now on, or why everything is as it was.
    pub outcome: Result<Rc<ExecSpec>, LoadError>,
}

impl Loader<'_> {
    /// Reads a loaded service again and gives the graph its new description.
    ///
    /// `current` is how the service is launched now. The graph is asked at `now`; what it wants done is
    /// appended to `effects`.
    pub fn reload(
        &self,
        graph: &mut Graph,
        service: ServiceId,
        current: &ExecSpec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Reloading {
        let name = current.name.clone();
        let mut walk = Walk::new(self.reader(), graph, Some(&name));
        let outcome = walk.again(&name);
        let Walk { batch, mut messages, .. } = walk;
        let Committed { services, refused } = commit(graph, batch);
        messages.extend(refused.iter().map(|(_, error)| error_message(error)));
        let outcome = outcome.and_then(|loaded| {
            replace(graph, service, current, loaded, now, effects)
                .map_err(|text| LoadError::other(base_of(&name), text))
        });
        Reloading { services, messages, outcome }
    }
}

/// Puts a new description in the place of the old one.
fn replace(
    graph: &mut Graph,
    service: ServiceId,
    current: &ExecSpec,
    loaded: Loaded,
    now: Instant,
    effects: &mut Vec<Effect>,
) -> Result<Rc<ExecSpec>, Vec<u8>> {
    let Loaded { description, exec, .. } = loaded;
    let is_started = graph.status(service).is_some_and(|status| status.state == ServiceState::Started);
    let kind = graph.spec(service).map(|spec| spec.kind);
    if is_started && kind == Some(description.spec.kind) {
        check_launch(description.spec.kind, current, &exec).map_err(Vec::from)?;
    }
    let request = Request::Reload { service, description: Box::new(description) };
    match graph.request(now, request, effects) {
        Answer::Refused(refusal) => Err(refusal_text(graph, &refusal)),
        _ => Ok(exec),
    }
}

/// Finds what may not change while the service runs, of what the graph does not know.
fn check_launch(kind: Kind, current: &ExecSpec, new: &ExecSpec) -> Result<(), &'static str> {
    if kind == Kind::BgProcess && current.pid_file != new.pid_file {
        return Err("cannot change pid_file for running service.");
    }
    if kind == Kind::Process && current.inittab != new.inittab {
        return Err("cannot change inittab-id or inittab-line settings for running service.");
    }
    Ok(())
}

/// Returns the reference's words for a refusal of the graph.
fn refusal_text(graph: &Graph, refusal: &Refusal) -> Vec<u8> {
    let text = match refusal {
        Refusal::Incompatible(incompatible) => match incompatible {
            Incompatible::Kind => "cannot change type of non-stopped service.",
            Incompatible::DependencyNotStarted(dependency) => {
                let name = graph.name(*dependency).unwrap_or_default();
                return [b"cannot add non-started dependency '".as_slice(), name, b"'."].concat();
            }
            Incompatible::Console => {
                "cannot change starts_on_console/shares_console flags for a running service."
            }
            Incompatible::Output => "cannot change log-type for running service.",
            Incompatible::ConsumerOf => "cannot change consumed service ('consumer-of') when not stopped",
            Incompatible::SecondConsumer => SECOND_CONSUMER,
            Incompatible::ConsumedKind => CONSUMED_TYPE,
            Incompatible::ConsumedOutput => CONSUMED_LOG,
        },
        Refusal::WrongState => "cannot alter settings for service which is currently starting/stopping.",
        Refusal::Cycle => CYCLE,
        Refusal::UnknownDependency(_) => NO_DEPENDENCY,
        Refusal::NoSuchService
        | Refusal::NotStarted
        | Refusal::NoActiveDependents
        | Refusal::NotTriggered
        | Refusal::WrongKind
        | Refusal::NoSuchDependency
        | Refusal::InUse
        | Refusal::NotStopped => "the service is not loaded any more.",
    };
    text.into()
}
