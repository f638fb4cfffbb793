//! The queued mode of the loader: services breadth first, every problem of each, nothing kept.
//!
//! The rules are those of [`Loader::load`](crate::Loader::load), applied by the same code; what differs is that
//! a service with an error does not end the search, that dependencies are queued instead of loaded where they
//! stand, and that there are lints. Texts and their order are those of the reference's checker.

pub mod lint;
mod lints;
mod secondary;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use diagnostics::{Diagnostic, Severity};
use dinit_graph::DependencyKind;
use dinit_service::{
    Layout, LogType, Place, Problem, ServiceDescription, ServiceName, ServiceType, SourceFile, Target,
    Variables, consistency,
};

use crate::load::Loader;
use crate::read::{Read, ReadError, Reader};
use crate::steps::{Step, dependency_directory, missing_account, steps};
use crate::{Host, HostError, Metadata};

/// A reference is not followed if it is more than this many links below a service that was named.
pub(crate) const MAX_LINKS: u32 = 33;

/// What came of checking services.
#[derive(Debug, Default)]
pub struct Report {
    /// The services, in the order in which they were checked.
    pub services: Vec<Checked>,
    /// What is wrong with how they belong together.
    pub secondary: Vec<Finding>,
}

/// What came of checking one service.
#[derive(Debug)]
pub struct Checked {
    /// The service.
    pub name: ServiceName,
    /// What its description says, with variables substituted; `None` if it cannot be loaded at all.
    pub description: Option<ServiceDescription>,
    /// What is wrong with it, in the order of the reference.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong, or might be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The line that the reference prints, without a line end.
    pub line: Vec<u8>,
    /// Whether it makes the check fail.
    pub counts: bool,
    /// The problem behind it, as the loader has it.
    pub problem: Problem,
    /// The same, with the place and the quoted line where there is one.
    pub diagnostic: Diagnostic,
}

impl Report {
    /// Tells whether nothing was found that counts.
    pub fn is_clean(&self) -> bool {
        !self.findings().any(|finding| finding.counts)
    }

    /// Returns all findings in order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.services.iter().flat_map(|service| &service.findings).chain(&self.secondary)
    }
}

/// How to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether to say that the environment of the daemon may differ when a variable is substituted.
    pub warns_of_variables: bool,
    /// Whether `before` and `after` may name services that do not exist: that is no error for the daemon, but
    /// the reference's checker reports it.
    pub permits_absent_order: bool,
}

/// Checks the services named, and those they refer to, each once.
pub fn check(loader: &Loader<'_>, names: &[Vec<u8>], options: Options) -> Report {
    let mut queue: VecDeque<(Vec<u8>, u32)> = names.iter().map(|name| (name.clone(), 0)).collect();
    // Each name with the service that led to it, none for those that were asked for.
    let mut listed: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
        names.iter().map(|name| (name.clone(), None)).collect();
    let mut records: BTreeMap<Vec<u8>, Record> = BTreeMap::new();
    let mut report = Report::default();
    let seen = Seen { host: loader.host, known: RefCell::default() };
    while let Some((name, depth)) = queue.pop_front() {
        let name = ServiceName::new(name);
        if records.contains_key(name.as_bytes()) {
            report.services.push(Checked { name, description: None, findings: Vec::new() });
            continue;
        }
        let Examined { description, references, mut findings } = examine(loader, &name, options, &seen);
        if let (None, Some(Some(by))) = (&description, listed.get(name.as_bytes())) {
            for finding in &mut findings {
                let help = format!("the service `{}` names it", String::from_utf8_lossy(by));
                finding.diagnostic.help.get_or_insert(help);
            }
        }
        if let Some(description) = &description {
            let followed = |reference: &&Reference| {
                depth < MAX_LINKS && !(options.permits_absent_order && reference.role.is_order())
            };
            for reference in references.iter().filter(followed) {
                if !listed.contains_key(&reference.name) {
                    listed.insert(reference.name.clone(), Some(name.as_bytes().to_vec()));
                    queue.push_back((reference.name.clone(), depth.saturating_add(1)));
                }
            }
            records.insert(name.as_bytes().to_vec(), Record::new(description, references));
        }
        report.services.push(Checked { name, description, findings });
    }
    report.secondary = secondary::check(&records, names);
    report
}

/// What is known of a service once it was checked, for the checks of how services belong together.
#[derive(Debug)]
struct Record {
    service_type: ServiceType,
    log_type: LogType,
    references: Vec<Reference>,
}

impl Record {
    fn new(description: &ServiceDescription, references: Vec<Reference>) -> Record {
        Record { service_type: description.service_type, log_type: description.log_type, references }
    }
}

/// That one service names another.
#[derive(Clone, Debug)]
struct Reference {
    name: Vec<u8>,
    role: Role,
}

/// As what a service is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Link(DependencyKind),
    Producer,
}

impl Role {
    /// Tells whether only the order of starting is meant.
    fn is_order(self) -> bool {
        matches!(self, Role::Link(DependencyKind::Before | DependencyKind::After))
    }
}

struct Examined {
    description: Option<ServiceDescription>,
    references: Vec<Reference>,
    findings: Vec<Finding>,
}

/// The five layouts of the reference's checker, and what is printed outside of them.
#[derive(Clone, Copy)]
enum Form {
    /// With file and line.
    Position,
    /// With the setting.
    Setting,
    /// General.
    General,
    /// A lint.
    Lint,
    /// What ends the check of the service.
    Unloadable,
}

/// Checks one service by itself.
fn examine(loader: &Loader<'_>, name: &ServiceName, options: Options, seen: &Seen<'_>) -> Examined {
    let variables = Noticing { variables: loader.variables, is_used: Cell::new(false) };
    let reader = Reader { variables: &variables, ..loader.reader() };
    let mut examination =
        Examination { name, files: Vec::new(), findings: Vec::new(), references: Vec::new(), seen };
    let description = examination.run(&reader, &variables, options);
    let Examination { findings, references, .. } = examination;
    Examined { description, references, findings }
}

struct Examination<'n> {
    name: &'n ServiceName,
    seen: &'n Seen<'n>,
    files: Vec<SourceFile>,
    findings: Vec<Finding>,
    references: Vec<Reference>,
}

/// The check has to stop here; the finding that says why is there.
struct Stopped;

impl Examination<'_> {
    fn run(
        &mut self,
        reader: &Reader<'_>,
        variables: &Noticing<'_>,
        options: Options,
    ) -> Option<ServiceDescription> {
        self.documented_name();
        let mut read = self.read(reader)?;
        self.files = std::mem::take(&mut read.parsed.files);
        let done = self.lines(reader, &read, options);
        let description = match done {
            Ok(()) => self.whole(reader, variables, read, options).ok(),
            Err(Stopped) => None,
        };
        if description.is_none() {
            self.references.clear();
        }
        description
    }

    fn documented_name(&mut self) {
        if !self.name.has_documented_characters() {
            let problem = Problem::plain("service name contains characters outside the documented set")
                .with_help("names are made of letters, digits, `.`, `_` and `-`");
            self.add(Form::Lint, problem, Some(lint::UNDOCUMENTED_NAME));
            self.uncount();
        }
    }

    fn read(&mut self, reader: &Reader<'_>) -> Option<Read> {
        let result = match self.name.as_bytes().len() > ServiceName::MAX_LENGTH {
            true => Err(Problem::plain("service name is too long")),
            false => reader.read(self.name).map_err(|error| self.read_problem(error)),
        };
        match result {
            Ok(read) => Some(read),
            Err(problem) => {
                self.add(Form::Unloadable, problem, None);
                None
            }
        }
    }

    fn read_problem(&mut self, error: ReadError) -> Problem {
        match error {
            ReadError::NotFound => Problem::plain("service description not found."),
            ReadError::Unopened(path, error) => {
                Problem::plain([path.as_slice(), b": ", error.message().as_bytes()].concat())
            }
            ReadError::Unreadable(path, error) => {
                let base = self.name.base();
                let message = error.message();
                let head = b"Service '".as_slice();
                let middle = b"', error reading service description: ".as_slice();
                let line = [head, base, middle, message.as_bytes()].concat();
                let problem = Problem::plain([path.as_slice(), b": ", message.as_bytes()].concat());
                self.add_line(line, problem, None);
                Problem::plain([path.as_slice(), b": error while reading service description"].concat())
            }
        }
    }

    /// Reports what is wrong with single lines, and collects what they refer to.
    fn lines(&mut self, reader: &Reader<'_>, read: &Read, options: Options) -> Result<(), Stopped> {
        for step in steps(&read.parsed) {
            match step {
                Step::FirstVariable if options.warns_of_variables => self.variable_warning(),
                Step::FirstVariable => {}
                Step::Fail(problem) if problem.ends_reading => {
                    self.add(Form::Unloadable, problem, None);
                    return Err(Stopped);
                }
                Step::Fail(problem) => self.add(form_of(&problem), problem, None),
                Step::Warn(problem) => {
                    self.add(Form::Lint, problem, Some(lint::IGNORED_CHARACTERS));
                    self.uncount();
                }
                Step::LookUp(lookup) => {
                    if let Some(problem) = missing_account(reader.host, &lookup) {
                        self.add(Form::Position, problem, None);
                    }
                }
                Step::Depend(kind, Target::Service(name), _) => self.refer(name, Role::Link(kind)),
                Step::Depend(kind, Target::Directory(path), place) => {
                    self.directory(reader, kind, &path, place);
                }
            }
        }
        let description = &read.parsed.description;
        let ordering =
            [(DependencyKind::Before, &description.before), (DependencyKind::After, &description.after)];
        for (kind, names) in ordering {
            for name in names {
                self.refer(name.value.clone(), Role::Link(kind));
            }
        }
        if let Some(producer) = &description.consumer_of {
            self.refer(producer.value.clone(), Role::Producer);
        }
        Ok(())
    }

    fn refer(&mut self, name: Vec<u8>, role: Role) {
        self.references.push(Reference { name, role });
    }

    /// Refers to every service that a dependency directory names.
    fn directory(&mut self, reader: &Reader<'_>, kind: DependencyKind, path: &[u8], place: Place) {
        match reader.host.entries(&dependency_directory(&self.files, place, path)) {
            Ok(names) => {
                for name in names.into_iter().filter(|name| ServiceName::is_valid(name)) {
                    self.refer(name, Role::Link(kind));
                }
            }
            Err(error) => {
                let message = error.message();
                let what = b"error reading dependencies from directory ".as_slice();
                let text = [what, path, b": ", message.as_bytes()].concat();
                let line = [b"Service '".as_slice(), self.name.base(), b"', ", &text].concat();
                self.add_line(
                    line,
                    Problem::plain(text).with_place(Some(place)),
                    Some(lint::UNREADABLE_DIRECTORY),
                );
            }
        }
    }

    /// Reports what is wrong with the description as a whole.
    fn whole(
        &mut self,
        reader: &Reader<'_>,
        variables: &Noticing<'_>,
        mut read: Read,
        options: Options,
    ) -> Result<ServiceDescription, Stopped> {
        let (environment, problems) = reader.environment(self.name, &read);
        for problem in problems {
            self.environment_problem(problem, &read);
        }
        if let Some(problem) = consistency::missing_command(&read.parsed.description) {
            self.add(Form::General, problem, None);
        }
        for lint in lints::of_settings(&read.parsed.description) {
            self.lint(lint, &read);
        }
        let later = consistency::background(&read.parsed.description);
        for problem in later.into_iter().chain(consistency::kill_all(&read.parsed.description)) {
            self.add(Form::General, problem, None);
        }
        let was_used = variables.is_used.get();
        let problems = reader.substitute(self.name, &mut read, &environment);
        if options.warns_of_variables && variables.is_used.get() && !was_used {
            self.variable_warning();
        }
        for problem in problems {
            let is_command = matches!(problem.setting, Some("command" | "stop-command"));
            if is_command {
                self.add(Form::Unloadable, problem, None);
                return Err(Stopped);
            }
            self.unsubstituted(problem);
        }
        if let Some(problem) = consistency::consumer(&read.parsed.description) {
            self.add(Form::General, problem, None);
        }
        let look = |path: &[u8]| self.seen.metadata(path);
        let file_lints = lints::of_files(&look, &read.parsed.description, &read.origin.directory);
        for lint in file_lints {
            self.lint(lint, &read);
        }
        self.chain_target(reader, &read);
        Ok(read.parsed.description)
    }

    /// Reports a problem of the environment; the checker's words for a file that cannot be read lack its path.
    fn environment_problem(&mut self, problem: Problem, read: &Read) {
        const WHAT: &[u8] = b"could not load environment file: ";
        let path = read.parsed.description.env_file.as_ref().map(|file| file.value.as_slice());
        let with_path = [WHAT, path.unwrap_or_default(), b": "].concat();
        let text = match problem.text.strip_prefix(with_path.as_slice()) {
            Some(cause) => [WHAT, cause].concat(),
            None => problem.text.clone(),
        };
        let line = [b"Service '".as_slice(), self.name.base(), b"': ", &text].concat();
        self.add_line(line, problem, None);
    }

    /// Reports a path that cannot be substituted.
    fn unsubstituted(&mut self, problem: Problem) {
        let setting = problem.setting.unwrap_or_default().as_bytes();
        let line =
            [b"Service '".as_slice(), self.name.base(), b"': ", setting, b": ", &problem.text].concat();
        self.add_line(line, problem, None);
    }

    /// Says that the environment of the daemon may be another.
    fn variable_warning(&mut self) {
        let text = "variable substitution performed by dinit-check for file paths may not match dinit daemon \
                    (environment may differ); use --online to avoid this warning";
        let line = format!("dinit-check: warning: {text}").into_bytes();
        self.add_line(line, Problem::plain(text), Some(lint::UNKNOWN_ENVIRONMENT));
        self.uncount();
    }

    /// Warns if the service to chain to does not exist; it is loaded only when it is due.
    fn chain_target(&mut self, reader: &Reader<'_>, read: &Read) {
        let Some(target) = &read.parsed.description.chain_to else { return };
        let name = ServiceName::new(target.value.as_slice());
        if matches!(reader.find(name.base()), Err(ReadError::NotFound)) {
            let text = [b"chain-to service '".as_slice(), name.as_bytes(), b"' was not found"].concat();
            let problem = Problem::plain(text).with_place(Some(target.place));
            self.add(Form::Lint, problem, Some(lint::MISSING_CHAIN_TARGET));
            self.uncount();
        }
    }

    fn lint(&mut self, lint: lints::Lint, read: &Read) {
        let place = lint.setting.and_then(|setting| read.parsed.places.get(setting).copied());
        let problem = Problem { setting: lint.setting, ..Problem::plain(lint.text) };
        let problem = problem.with_help(lint.help).with_place(place);
        self.add(Form::Lint, problem, Some(lint.name));
    }

    /// Adds a finding in one of the reference's layouts.
    fn add(&mut self, form: Form, problem: Problem, lint: Option<&'static str>) {
        let base = self.name.base();
        let setting = problem.setting.unwrap_or_default().as_bytes();
        let (file, number) = problem.file_and_line(&self.files);
        let text = problem.text.as_slice();
        let head = b"Service '".as_slice();
        let line = match form {
            Form::Position => [head, base, b"' (", file, b":", &number, b"): ", text].concat(),
            Form::Setting => [head, base, b"' setting '", setting, b"': ", text].concat(),
            Form::General => [head, base, b"': ", text].concat(),
            Form::Lint => [head, base, b"': warning: ", text].concat(),
            Form::Unloadable => {
                [b"Unable to load service '".as_slice(), self.name.as_bytes(), b"': ", text].concat()
            }
        };
        self.add_line(line, problem, lint);
    }

    fn add_line(&mut self, line: Vec<u8>, problem: Problem, lint: Option<&'static str>) {
        let mut diagnostic = problem.diagnostic(&self.files);
        if self.files.is_empty() {
            diagnostic.file = self.name.to_string();
        }
        if lint.is_some() {
            diagnostic.severity = Severity::Warning;
            diagnostic.lint = lint;
        }
        self.findings.push(Finding { line, counts: true, problem, diagnostic });
    }

    /// Makes the finding added last one that does not make the check fail.
    fn uncount(&mut self) {
        if let Some(finding) = self.findings.last_mut() {
            finding.counts = false;
        }
    }
}

fn form_of(problem: &Problem) -> Form {
    match problem.layout {
        Layout::Line | Layout::LineAndSetting => Form::Position,
        Layout::Setting => Form::Setting,
        Layout::Plain => Form::General,
    }
}

/// What was found at paths: services have their programs and directories in common.
struct Seen<'a> {
    host: &'a dyn Host,
    known: RefCell<BTreeMap<Vec<u8>, Result<Metadata, HostError>>>,
}

impl Seen<'_> {
    fn metadata(&self, path: &[u8]) -> Result<Metadata, HostError> {
        if let Some(known) = self.known.borrow().get(path) {
            return *known;
        }
        let found = self.host.metadata(path);
        self.known.borrow_mut().insert(path.to_vec(), found);
        found
    }
}

/// An environment that notices whether a variable was asked for.
struct Noticing<'a> {
    variables: &'a dyn Variables,
    is_used: Cell<bool>,
}

impl Variables for Noticing<'_> {
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.is_used.set(true);
        self.variables.variable(name)
    }
}
