//! Loads a service with everything below it.
//!
//! A description is walked line by line: a dependency is loaded where it stands, so that its errors come before
//! those of later lines. The walk uses an explicit stack. What loads is kept even if what needed it does not,
//! and all of it enters the graph at the end.

use std::collections::BTreeSet;
use std::rc::Rc;

use dinit_graph::{Dependency, Description, Graph, ServiceId};
use dinit_service::{Place, Problem, ServiceName, ServiceType, SourceFile, Target, Variables, consistency};

use crate::batch::{Batch, Committed, Loaded, commit};
use crate::error::{Context, Failure, Level, LoadError, Message};
use crate::exec::{ExecSpec, Origin};
use crate::lower;
use crate::read::{Read, ReadError, Reader};
use crate::steps::{Step, dependency_directory, missing_account, steps};
use crate::{Host, HostError};

/// How many loads may be nested: a chain of this many services loads, one more does not.
const MAX_DEPTH: u32 = 32;

/// Who the daemon is: defaults for owners come from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The effective user id.
    pub effective_uid: u32,
    /// The real user id.
    pub real_uid: u32,
    /// The real group id.
    pub real_gid: u32,
}

/// Loads services.
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    /// The world.
    pub host: &'a dyn Host,
    /// The service directories, in the order of the search.
    pub directories: &'a [Vec<u8>],
    /// The main environment, as it is now.
    pub variables: &'a dyn Variables,
    /// Who the daemon is.
    pub identity: Identity,
}

/// What came of loading a service.
#[derive(Debug)]
pub struct Loading {
    /// The services that are new in the graph, in the order in which their loading began. There may be some
    /// even if the one asked for did not load.
    pub services: Vec<NewService>,
    /// What the log gets, in this order, before the error itself.
    pub messages: Vec<Message>,
    /// The service asked for.
    pub outcome: Result<ServiceId, LoadError>,
}

/// A service that has just entered the graph.
#[derive(Debug)]
pub struct NewService {
    /// Its id.
    pub id: ServiceId,
    /// How it is launched.
    pub exec: Rc<ExecSpec>,
}

impl<'a> Loader<'a> {
    /// Loads the service `name` into the graph, with what it depends on, unless it is there already.
    ///
    /// Nothing is started. Whether `name` may be the name of a service is for the caller to decide, with
    /// [`ServiceName::is_valid`].
    pub fn load(&self, graph: &mut Graph, name: &[u8]) -> Loading {
        if let Some(id) = graph.find(name) {
            return Loading { services: Vec::new(), messages: Vec::new(), outcome: Ok(id) };
        }
        let mut walk = Walk::new(self.reader(), graph, None);
        let outcome = walk.run(name);
        let Walk { batch, mut messages, .. } = walk;
        let Committed { services, mut refused } = commit(graph, batch);
        // The service asked for is the last of the batch: what is wrong with it is the outcome.
        let own = refused.pop_if(|(refused, _)| refused.as_ref() == name).map(|(_, error)| error);
        messages.extend(refused.iter().map(|(_, error)| error_message(error)));
        let outcome = outcome.and_then(|()| {
            graph.find(name).ok_or_else(|| own.unwrap_or_else(|| LoadError::other(base_of(name), CYCLE)))
        });
        Loading { services, messages, outcome }
    }

    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader {
            host: self.host,
            directories: self.directories,
            variables: self.variables,
            identity: self.identity,
        }
    }
}

pub(crate) const CYCLE: &str = "has cyclic dependency.";
pub(crate) const NO_DEPENDENCY: &str = "could not load dependency.";
const NO_OUTPUT: &str =
    "the 'consumer-of' setting specifies a service of a type that does not produce output";
pub(crate) const NO_PIPE: &str =
    "the 'consumer-of' setting specifies a service that does not log via a pipe ('log-type = pipe')";
pub(crate) const SECOND_CONSUMER: &str =
    "the 'consumer-of' setting specifies a service that already has a consumer";
pub(crate) const CONSUMED_TYPE: &str = "service has output consumer; service type must correspond to output-producing service (process, bgprocess, or scripted)";
pub(crate) const CONSUMED_LOG: &str = "service has output consumer; log type must be set to 'pipe'";

/// A walk through the descriptions that one load needs.
pub(crate) struct Walk<'a, 'g> {
    reader: Reader<'a>,
    graph: &'g Graph,
    /// The service that is being reloaded: it is loaded, and yet a dependency on it is a cycle.
    reloaded: Option<&'g [u8]>,
    pub(crate) batch: Batch,
    pub(crate) messages: Vec<Message>,
    stack: Vec<Frame>,
    began: usize,
}

/// A service whose description is being walked.
struct Frame {
    name: ServiceName,
    depth: u32,
    began: usize,
    read: Read,
    steps: std::vec::IntoIter<Step>,
    dependencies: Vec<Dependency>,
    /// The link for which the frame above this one is loading a service.
    wanted: Option<Wanted>,
    /// What is left of the dependency directory being walked.
    entries: std::vec::IntoIter<Vec<u8>>,
    directory: Option<(dinit_graph::DependencyKind, Vec<u8>)>,
    /// Why the service fails, once a dependency has failed it.
    failed: Option<LoadError>,
}

/// A dependency that is being loaded.
struct Wanted {
    link: Dependency,
    /// The dependency directory that names it, as written, if one does.
    directory: Option<Vec<u8>>,
}

/// Where a name stands.
enum Standing {
    Loaded,
    Loading,
    Unknown,
}

impl<'a, 'g> Walk<'a, 'g> {
    pub(crate) fn new(reader: Reader<'a>, graph: &'g Graph, reloaded: Option<&'g [u8]>) -> Walk<'a, 'g> {
        Walk {
            reader,
            graph,
            reloaded,
            batch: Batch::default(),
            messages: Vec::new(),
            stack: Vec::new(),
            began: 0,
        }
    }

    /// Loads one service that is not loaded yet.
    fn run(&mut self, name: &[u8]) -> Result<(), LoadError> {
        self.begin(name, 0)?;
        let loaded = self.until_done()?;
        self.batch.add(loaded);
        Ok(())
    }

    /// Walks the description of a service that is loaded already; the result is not part of the batch.
    pub(crate) fn again(&mut self, name: &[u8]) -> Result<Loaded, LoadError> {
        self.begin(name, 0)?;
        self.until_done()
    }

    /// Goes on until the service at the bottom of the stack is done, and returns it.
    fn until_done(&mut self) -> Result<Loaded, LoadError> {
        loop {
            let outcome = self.advance();
            let Some(outcome) = outcome else { continue };
            self.stack.pop();
            if self.stack.is_empty() {
                return outcome;
            }
            if let Err(error) = self.deliver(outcome) {
                // The frame that wanted it fails in turn; `advance` reports that at its next call.
                self.fail_top(error);
            }
        }
    }

    /// Puts a service onto the stack: finds, reads and prepares it.
    fn begin(&mut self, name: &[u8], depth: u32) -> Result<(), LoadError> {
        if depth >= MAX_DEPTH {
            return Err(LoadError::other(name, "maximum recursion depth exceeded"));
        }
        if name.len() > ServiceName::MAX_LENGTH {
            return Err(LoadError::other(name, "service name is too long"));
        }
        let name = ServiceName::new(name);
        let read = self.reader.read(&name).map_err(|error| LoadError {
            name: name.base().to_vec(),
            failure: match (error.text(), error) {
                (None, ReadError::NotFound) | (None, _) => Failure::NotFound,
                (Some(text), _) => Failure::Other(text),
            },
        })?;
        let steps = steps(&read.parsed).into_iter();
        let began = self.began;
        self.began = began.saturating_add(1);
        self.stack.push(Frame {
            name,
            depth,
            began,
            read,
            steps,
            dependencies: Vec::new(),
            wanted: None,
            entries: Vec::new().into_iter(),
            directory: None,
            failed: None,
        });
        Ok(())
    }

    /// Takes one step of the service on top of the stack, and returns its outcome once there is one.
    fn advance(&mut self) -> Option<Result<Loaded, LoadError>> {
        let frame = self.stack.last_mut()?;
        if let Some(entry) = frame.entries.next() {
            let (kind, directory) = frame.directory.clone()?;
            let link = Dependency { kind, name: entry };
            return self.want(Wanted { link, directory: Some(directory) }, 0).err().map(Err);
        }
        match frame.steps.next() {
            None => Some(self.finish()),
            Some(Step::Fail(problem)) => Some(Err(self.described(&problem))),
            Some(Step::Warn(_) | Step::FirstVariable) => None,
            Some(Step::LookUp(lookup)) => {
                let problem = missing_account(self.reader.host, &lookup)?;
                Some(Err(self.described(&problem)))
            }
            Some(Step::Depend(kind, Target::Service(name), _)) => {
                let depth = frame.depth.saturating_add(1);
                self.want(Wanted { link: Dependency { kind, name }, directory: None }, depth).err().map(Err)
            }
            Some(Step::Depend(kind, Target::Directory(path), place)) => {
                self.open_directory(kind, path, place);
                None
            }
        }
    }

    /// Makes sure that a dependency is loaded, now or by what is put onto the stack.
    fn want(&mut self, wanted: Wanted, depth: u32) -> Result<(), LoadError> {
        let name = wanted.link.name.clone();
        if let Some(frame) = self.stack.last_mut() {
            frame.wanted = Some(wanted);
        }
        let outcome = match self.standing(&name) {
            Standing::Loaded => Ok(None),
            Standing::Loading => Err(LoadError::other(base_of(&name), CYCLE)),
            Standing::Unknown => self.begin(&name, depth).map(Some),
        };
        match outcome {
            Ok(Some(())) => Ok(()),
            Ok(None) => {
                self.link();
                Ok(())
            }
            Err(error) => self.unavailable(error),
        }
    }

    fn standing(&self, name: &[u8]) -> Standing {
        if self.is_loading(name) {
            Standing::Loading
        } else if self.batch.get(name).is_some() || self.graph.find(name).is_some() {
            Standing::Loaded
        } else {
            Standing::Unknown
        }
    }

    fn is_loading(&self, name: &[u8]) -> bool {
        self.reloaded == Some(name) || self.stack.iter().any(|frame| frame.name.as_bytes() == name)
    }

    /// Takes in what came of the dependency that the service on top was waiting for.
    fn deliver(&mut self, outcome: Result<Loaded, LoadError>) -> Result<(), LoadError> {
        match outcome {
            Ok(loaded) => {
                self.batch.add(loaded);
                self.link();
                Ok(())
            }
            Err(error) => self.unavailable(error),
        }
    }

    /// Adds the link that was waited for.
    fn link(&mut self) {
        if let Some(frame) = self.stack.last_mut()
            && let Some(wanted) = frame.wanted.take()
        {
            frame.dependencies.push(wanted.link);
        }
    }

    /// Decides what it means that a dependency cannot be loaded.
    fn unavailable(&mut self, error: LoadError) -> Result<(), LoadError> {
        let Some(frame) = self.stack.last_mut() else { return Err(error) };
        let dependent = frame.name.base().to_vec();
        match frame.wanted.take() {
            Some(Wanted { link, directory: Some(directory) }) => {
                if error.failure != Failure::NotFound {
                    return Err(error);
                }
                let text = [
                    b"Ignoring unresolved dependency '".as_slice(),
                    &link.name,
                    b"' in dependency directory '",
                    &directory,
                    b"' for ",
                    &dependent,
                    b" service.",
                ];
                self.messages.push(Message { level: Level::Warning, text: text.concat() });
                Ok(())
            }
            _ => {
                self.messages.push(error_message(&error));
                Err(LoadError::other(&dependent, NO_DEPENDENCY))
            }
        }
    }

    /// Leaves nothing to do for the service on top but to fail.
    fn fail_top(&mut self, error: LoadError) {
        let Some(frame) = self.stack.last_mut() else { return };
        frame.entries = Vec::new().into_iter();
        frame.steps = Vec::new().into_iter();
        frame.failed = Some(error);
    }

    fn open_directory(&mut self, kind: dinit_graph::DependencyKind, path: Vec<u8>, place: Place) {
        let Some(frame) = self.stack.last_mut() else { return };
        let full = dependency_directory(&frame.read.parsed.files, place, &path);
        match self.reader.host.entries(&full) {
            Ok(mut names) => {
                names.retain(|name| ServiceName::is_valid(name));
                frame.entries = names.into_iter();
                frame.directory = Some((kind, path));
            }
            Err(error) => {
                let (what, shown) = match error.stage {
                    crate::Stage::Open => (b"Could not open dependency directory '".as_slice(), &full),
                    crate::Stage::Read => (b"Error reading dependency directory '".as_slice(), &path),
                };
                let text = [what, shown, b"' for ", frame.name.base(), b" service."].concat();
                self.messages.push(Message { level: Level::Warning, text });
            }
        }
    }

    /// Returns the error for a problem of the description on top.
    fn described(&self, problem: &Problem) -> LoadError {
        let Some(frame) = self.stack.last() else { return LoadError::other(b"", problem.text.clone()) };
        described(frame.name.base(), problem, &frame.read.parsed.files)
    }

    /// Does what is to be done when all lines are read.
    fn finish(&mut self) -> Result<Loaded, LoadError> {
        let Some(frame) = self.stack.last_mut() else { return Err(LoadError::other(b"", NO_DEPENDENCY)) };
        if let Some(error) = frame.failed.take() {
            return Err(error);
        }
        let began = frame.began;
        let (environment, problems) = self.reader.environment(&frame.name, &frame.read);
        fail_if_any(frame, problems)?;
        fail_if_any(frame, consistency_problems(&frame.read))?;
        let problems = self.reader.substitute(&frame.name, &mut frame.read, &environment);
        fail_if_any(frame, problems)?;
        fail_if_any(frame, consistency::consumer(&frame.read.parsed.description))?;

        let name = frame.name.clone();
        let mut description = std::mem::take(&mut frame.read.parsed.description);
        let origin = std::mem::take(&mut frame.read.origin);
        let dependencies = std::mem::take(&mut frame.dependencies);
        let fail = |text: &str| LoadError::other(name.base(), text);
        let links = ordering(&description, dependencies);
        let consumer_of = description.consumer_of.as_ref().map(|producer| producer.value.clone());
        self.check_producer(consumer_of.as_deref(), name.as_bytes()).map_err(fail)?;
        self.check_ordering(&name, &links).map_err(fail)?;
        self.check_consumed(&name, &description).map_err(fail)?;
        drop_unused_log_file(&mut description);
        let spec = lower::graph_spec(&description, origin.modified);
        let exec = self.exec_spec(&name, description, origin, environment)?;
        let description =
            Description { name: name.as_bytes().to_vec(), spec, dependencies: links, consumer_of };
        Ok(Loaded { began, description, exec: Rc::new(exec) })
    }

    fn exec_spec(
        &self,
        name: &ServiceName,
        description: dinit_service::ServiceDescription,
        origin: Origin,
        environment: dinit_service::Environment,
    ) -> Result<ExecSpec, LoadError> {
        lower::exec_spec(name, description, origin, environment, self.reader.host, self.reader.identity)
            .map_err(|error: HostError| {
                LoadError::other(name.base(), format!("error accessing user database: {error}"))
            })
    }

    /// Checks the service whose output is to be consumed, if it is loaded.
    fn check_producer(&self, producer: Option<&[u8]>, consumer: &[u8]) -> Result<(), &'static str> {
        let Some(producer) = producer else { return Ok(()) };
        let in_batch = self.batch.get(producer).map(|loaded| &loaded.description.spec);
        let in_graph = self.graph.find(producer).and_then(|id| self.graph.spec(id));
        if let Some(spec) = in_batch.or(in_graph) {
            if !produces_output(spec.kind) {
                return Err(NO_OUTPUT);
            }
            if spec.output != dinit_graph::Output::Pipe {
                return Err(NO_PIPE);
            }
        }
        let other = self.consumer_of(producer);
        if other.is_some_and(|other| other != consumer) { Err(SECOND_CONSUMER) } else { Ok(()) }
    }

    fn consumer_of(&self, producer: &[u8]) -> Option<&[u8]> {
        let in_batch = self.batch.consumers.get(producer).map(Vec::as_slice);
        in_batch.or_else(|| self.graph.name(self.graph.consumer(producer)?))
    }

    /// Checks a service whose output has a consumer already.
    fn check_consumed(
        &self,
        name: &ServiceName,
        description: &dinit_service::ServiceDescription,
    ) -> Result<(), &'static str> {
        if self.consumer_of(name.as_bytes()).is_none() {
            return Ok(());
        }
        if !description.service_type.runs_commands() {
            return Err(CONSUMED_TYPE);
        }
        if description.log_type != dinit_service::LogType::Pipe {
            return Err(CONSUMED_LOG);
        }
        Ok(())
    }

    /// Looks for a cycle that the service would close.
    fn check_ordering(&self, name: &ServiceName, links: &[Dependency]) -> Result<(), &'static str> {
        use dinit_graph::DependencyKind::{After, Before};
        let own = name.as_bytes();
        let mut earlier = Vec::new();
        for link in links {
            let is_self = link.name == own;
            let is_open = link.kind == After && self.is_loading(&link.name);
            if matches!(link.kind, After | Before) && (is_self || is_open) {
                return Err(CYCLE);
            }
            if link.kind != Before {
                earlier.push(link.name.as_slice());
            }
        }
        earlier.extend(self.batch.later.get(own).into_iter().flatten().map(Vec::as_slice));
        let later: Vec<&[u8]> =
            links.iter().filter(|link| link.kind == Before).map(|link| link.name.as_slice()).collect();
        // Nothing leads to a service that nobody has named, so that most services need no search.
        let is_awaited = self.batch.awaited.contains(own) || self.graph.find(own).is_some();
        if later.is_empty() && !is_awaited {
            return Ok(());
        }
        if self.reaches(earlier, |found| found == own || later.contains(&found)) {
            Err(CYCLE)
        } else {
            Ok(())
        }
    }

    /// Tells whether links lead from any of `from` to what is sought.
    fn reaches<'n>(&'n self, from: Vec<&'n [u8]>, is_sought: impl Fn(&[u8]) -> bool) -> bool {
        let mut seen: BTreeSet<&[u8]> = from.iter().copied().collect();
        let mut left = from;
        while let Some(name) = left.pop() {
            if is_sought(name) {
                return true;
            }
            for next in self.targets(name) {
                if seen.insert(next) {
                    left.push(next);
                }
            }
        }
        false
    }

    /// Lists what the links of a service lead to.
    fn targets<'n>(&'n self, name: &'n [u8]) -> Vec<&'n [u8]> {
        let mut targets: Vec<&[u8]> = Vec::new();
        if let Some(loaded) = self.batch.get(name) {
            let links = loaded.description.dependencies.iter();
            let links = links.filter(|link| link.kind != dinit_graph::DependencyKind::Before);
            targets.extend(links.map(|link| link.name.as_slice()));
        } else if let Some(id) = self.graph.find(name) {
            let links = self.graph.dependencies(id);
            targets.extend(links.into_iter().filter_map(|link| self.graph.name(link.service)));
        }
        targets.extend(self.batch.later.get(name).into_iter().flatten().map(Vec::as_slice));
        targets
    }
}

fn consistency_problems(read: &Read) -> Vec<Problem> {
    let description = &read.parsed.description;
    let mut problems: Vec<Problem> = consistency::missing_command(description).into_iter().collect();
    problems.extend(consistency::background(description));
    problems.extend(consistency::kill_all(description));
    problems
}

fn fail_if_any(frame: &Frame, problems: impl IntoIterator<Item = Problem>) -> Result<(), LoadError> {
    match problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(described(frame.name.base(), &problem, &frame.read.parsed.files)),
    }
}

fn described(base: &[u8], problem: &Problem, files: &[SourceFile]) -> LoadError {
    let text = problem.text.clone();
    let failure = match problem.log_line(base, files) {
        Some(line) => Failure::Description { text, line },
        None => Failure::Other(text),
    };
    LoadError { name: base.to_vec(), failure }
}

/// Appends the ordering links of a description to its dependencies.
fn ordering(description: &dinit_service::ServiceDescription, mut links: Vec<Dependency>) -> Vec<Dependency> {
    use dinit_graph::DependencyKind::{After, Before};
    for (kind, names) in [(After, &description.after), (Before, &description.before)] {
        links.extend(names.iter().map(|name| Dependency { kind, name: name.value.clone() }));
    }
    links
}

/// Forgets a log file that the log type does not use.
fn drop_unused_log_file(description: &mut dinit_service::ServiceDescription) {
    if description.log_type != dinit_service::LogType::File {
        description.logfile = None;
    }
}

pub(crate) fn produces_output(kind: dinit_graph::Kind) -> bool {
    [ServiceType::Process, ServiceType::BgProcess, ServiceType::Scripted]
        .into_iter()
        .any(|service_type| lower::kind(service_type) == kind)
}

pub(crate) fn error_message(error: &LoadError) -> Message {
    Message { level: Level::Error, text: error.message(Context::Load) }
}

pub(crate) fn base_of(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b'@').next().unwrap_or_default()
}
