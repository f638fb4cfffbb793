//! Reads a description: lines, includes and meta-commands.
//!
//! Reading never gives up: a line that is wrong is one problem, and the next line is read all the same. (The
//! reference reports the first problem only.)

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use diagnostics::Span;

use crate::lexer::{
    self, ContinuationFault, ContinuationFaultKind, Lines, LogicalLine, Value, ValueFault, ValueFaultKind,
};
use crate::settings::{self, Assignment, Fault, Operators, Reading, SETTINGS};
use crate::substitute::Substituter;
use crate::{
    At, FileId, Layout, Level, Place, Problem, ServiceDescription, ServiceName, SubstitutionError, Variables,
};

/// How many files may be included within one another.
pub const MAX_INCLUDE_DEPTH: u32 = 64;
/// How many files one description may include in all; without this, a few files could include each other
/// more often than there is time for.
pub const MAX_INCLUDES: usize = 1000;
/// How many bytes all files of one description may have together.
pub const MAX_TEXT: usize = 16 << 20;

/// Where included files come from.
pub trait Sources {
    /// Returns the text of the file `path` as written in the file `includer`.
    ///
    /// `included` is the id that the file will have. Ids are given in ascending order, and none is left out
    /// unless its file could not be had.
    fn include(&mut self, includer: FileId, included: FileId, path: &[u8]) -> Result<Vec<u8>, IncludeFault>;
}

/// Why a file cannot be included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludeFault {
    /// Whether it does not exist, which `@include-opt` does not mind.
    pub is_missing: bool,
    /// Whether it could not even be opened.
    pub is_unopened: bool,
    /// The error in the words of the system, such as `No such file or directory`.
    pub message: String,
}

/// Sources without any file to include.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn include(&mut self, _: FileId, _: FileId, _: &[u8]) -> Result<Vec<u8>, IncludeFault> {
        Err(IncludeFault {
            is_missing: true,
            is_unopened: true,
            message: String::from("No such file or directory"),
        })
    }
}

/// The description file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, as it is reported.
    pub name: Vec<u8>,
    /// Its content.
    pub text: Vec<u8>,
}

impl Source {
    /// Joins a path and a content.
    pub fn new(name: impl Into<Vec<u8>>, text: impl Into<Vec<u8>>) -> Source {
        Source { name: name.into(), text: text.into() }
    }
}

/// One of the files that a description was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as it is reported: for an included file, what was written.
    pub name: Vec<u8>,
    /// The path joined to that of the including file. Dependency directories are relative to its directory.
    pub path: Vec<u8>,
    /// The content.
    pub text: Vec<u8>,
}

impl SourceFile {
    /// Returns the path without its last component, ending in `/` unless it is empty.
    pub fn textual_directory(&self) -> &[u8] {
        directory_of(&self.path)
    }
}

/// A name of a user or a group that somebody who knows users and groups must look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Which of them.
    pub kind: LookupKind,
    /// The setting that it was written for.
    pub setting: &'static str,
    /// The name.
    pub name: Vec<u8>,
    /// Where it was written.
    pub place: Place,
}

/// What a name is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupKind {
    /// The users.
    User,
    /// The groups.
    Group,
}

/// What came of reading a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says, as far as it could be read.
    pub description: ServiceDescription,
    /// All that is wrong with its lines, in the order of reading.
    pub problems: Vec<Problem>,
    /// What is accepted although it is probably not meant.
    pub warnings: Vec<Problem>,
    /// The user and group names in it, in the order of reading.
    pub lookups: Vec<Lookup>,
    /// The files it was read from.
    pub files: Vec<SourceFile>,
    /// Where each setting was given last.
    pub places: BTreeMap<&'static str, Place>,
    /// The place of the first named variable that was substituted.
    pub first_variable: Option<Place>,
    /// The last `@meta enable-via`, which only the programs that edit dependencies obey.
    pub enable_via: Option<At<Vec<u8>>>,
    /// What is wrong with `@meta` lines; they do not keep a service from loading.
    pub meta_problems: Vec<Problem>,
}

/// Reads the description of the service `name`.
///
/// `variables` is the environment of the daemon, for what is substituted while reading.
pub fn parse(
    name: &ServiceName,
    source: Source,
    variables: &dyn Variables,
    sources: &mut dyn Sources,
) -> Parsed {
    let mut parser = Parser {
        reading: Reading {
            name,
            description: ServiceDescription::default(),
            substituter: Substituter::new(variables, name.argument()),
            lookups: Vec::new(),
            warnings: Vec::new(),
        },
        sources,
        problems: Vec::new(),
        files: Vec::new(),
        places: BTreeMap::new(),
        first_variable: None,
        enable_via: None,
        meta_problems: Vec::new(),
        order: 0,
        text_left: MAX_TEXT,
        depth: 0,
        is_over: false,
    };
    let path = source.name.clone();
    parser.file(source, path);
    Parsed {
        description: parser.reading.description,
        problems: parser.problems,
        warnings: parser.reading.warnings,
        lookups: parser.reading.lookups,
        files: parser.files,
        places: parser.places,
        first_variable: parser.first_variable,
        enable_via: parser.enable_via,
        meta_problems: parser.meta_problems,
    }
}

struct Parser<'a> {
    reading: Reading<'a>,
    sources: &'a mut dyn Sources,
    problems: Vec<Problem>,
    files: Vec<SourceFile>,
    places: BTreeMap<&'static str, Place>,
    first_variable: Option<Place>,
    enable_via: Option<At<Vec<u8>>>,
    meta_problems: Vec<Problem>,
    /// How many logical lines were read.
    order: u32,
    /// How many bytes of text may still be read.
    text_left: usize,
    /// How many includes are open.
    depth: u32,
    /// Whether a bound was exceeded, so that nothing more is to be read.
    is_over: bool,
}

/// The line being read.
struct Here<'l, 's> {
    file: FileId,
    line: &'l LogicalLine<'s>,
    order: u32,
}

impl Here<'_, '_> {
    fn place(&self, line: u32, span: Span) -> Place {
        Place { file: self.file, line, span, order: self.order }
    }

    fn first_line(&self) -> Place {
        self.place(self.line.first, self.line.whole())
    }

    fn problem(&self, place: Place, text: impl Into<Vec<u8>>) -> Problem {
        Problem { layout: Layout::Line, ..Problem::plain(text) }.with_place(Some(place))
    }
}

impl Parser<'_> {
    /// Reads one file to its end.
    fn file(&mut self, source: Source, path: Vec<u8>) {
        let file = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile { name: source.name, path, text: Vec::new() });
        self.text_left = self.text_left.saturating_sub(source.text.len());
        for line in Lines::new(&source.text) {
            if self.is_over {
                break;
            }
            self.order = self.order.saturating_add(1);
            match line {
                Ok(line) => self.line(&Here { file, line: &line, order: self.order }),
                Err(fault) => self.bad_continuation(file, fault),
            }
        }
        if let Some(entry) = self.files.get_mut(file.index()) {
            entry.text = source.text;
        }
    }

    fn bad_continuation(&mut self, file: FileId, fault: ContinuationFault) {
        let (text, help) = match fault.kind {
            ContinuationFaultKind::EndOfFile => (
                r"end-of-file follows backslash escape character (`\')",
                r"remove the backslash, or write `\\` for one",
            ),
            ContinuationFaultKind::NotIndented => (
                r"line following line-continuation backslash (`\') does not begin with whitespace character",
                "indent the line, or remove the backslash above it",
            ),
        };
        let place = Place { file, line: fault.line, span: fault.span, order: self.order };
        self.problems.push(Problem {
            layout: Layout::Line,
            ends_reading: true,
            ..Problem::plain(text).with_help(help).with_place(Some(place))
        });
    }

    fn line(&mut self, here: &Here<'_, '_>) {
        let start = here.line.skip_space(0);
        let result = match here.line.byte(start) {
            None | Some(b'#') => Ok(()),
            Some(b'@') => self.meta(here, start),
            Some(_) => self.setting(here, start),
        };
        if let Err(problem) = result {
            self.problems.push(problem);
        }
        if self.reading.substituter.used_variables && self.first_variable.is_none() {
            self.first_variable = Some(here.first_line());
        }
    }

    fn setting(&mut self, here: &Here<'_, '_>, start: usize) -> Result<(), Problem> {
        let line = here.line;
        let badly_formed = || Problem {
            ends_reading: true,
            help: Some(Cow::Borrowed("a line is `SETTING = VALUE`, `SETTING: VALUE`, a comment or empty")),
            ..here.problem(here.place(line.last, line.whole()), "badly formed line.")
        };
        let name_end = line.name_end(start).ok_or_else(badly_formed)?;
        let operator = line.skip_space(name_end);
        let (appends, behind) = match (line.byte(operator), line.byte(operator.saturating_add(1))) {
            (Some(b'=' | b':'), _) => (false, operator.saturating_add(1)),
            (Some(b'+'), Some(b'=')) => (true, operator.saturating_add(2)),
            _ => return Err(badly_formed()),
        };
        let name = line.text.get(start..name_end).unwrap_or_default();
        let name_place = here.place(line.line_at(line.skip_space(behind)), line.span(start, name_end));
        let setting = settings::find(name).ok_or_else(|| Problem {
            level: Level::Assignment,
            help: settings::similar(name, SETTINGS.iter().map(|setting| setting.name)),
            ..here.problem(name_place, [b"unknown setting: '", name, b"'."].concat())
        })?;
        if appends && setting.operators == Operators::Assign {
            let operator = here.place(name_place.line, line.span(operator, behind));
            let text = [b"cannot use '+=' with setting '", name, b"'"].concat();
            return Err(Problem { level: Level::Assignment, ..here.problem(operator, text) }
                .with_help("write `=` or `:`"));
        }
        let value =
            self.value(here, behind).map_err(|problem| Problem { level: Level::Assignment, ..problem })?;
        let place = here.place(value.line, value.span);
        self.places.insert(setting.name, place);
        let assignment = Assignment { setting, appends, value: &value, place };
        (setting.apply)(&mut self.reading, &assignment).map_err(|fault| fault_of(&assignment, fault))
    }

    fn value(&mut self, here: &Here<'_, '_>, from: usize) -> Result<Value, Problem> {
        lexer::value(here.line, from).map_err(|ValueFault { kind, line, span }| {
            let (text, help) = match kind {
                ValueFaultKind::Unterminated => {
                    ("unterminated quoted string", "close it with `\"`; to mean the character, write `\\\"`")
                }
                ValueFaultKind::Hashmark => (
                    "hashmark (`#') comment must be separated from setting value by whitespace",
                    "put white space before a comment; to mean the character, write `\\#`",
                ),
            };
            here.problem(here.place(line, span), text).with_help(help)
        })
    }

    fn meta(&mut self, here: &Here<'_, '_>, start: usize) -> Result<(), Problem> {
        let name_start = start.saturating_add(1);
        let name_end = here.line.name_end(name_start).unwrap_or(name_start);
        match here.line.text.get(name_start..name_end).unwrap_or_default() {
            b"include" => self.include(here, "include", name_end),
            b"include-opt" => self.include(here, "include-opt", name_end),
            b"meta" => {
                self.remark(here, name_end);
                Ok(())
            }
            name => Err(Problem {
                ends_reading: true,
                help: settings::similar(name, ["include", "include-opt", "meta"].into_iter()),
                ..here.problem(here.first_line(), "bad meta command")
            }),
        }
    }

    fn include(&mut self, here: &Here<'_, '_>, command: &'static str, from: usize) -> Result<(), Problem> {
        let mut value = self.value(here, from)?;
        let place = here.place(value.line, value.span);
        let [part] = value.parts.as_mut_slice() else {
            return Err(Problem {
                ends_reading: true,
                ..here.problem(here.first_line(), alloc::format!("'@{command}' requires a single argument"))
            }
            .with_help("quote a path that has white space in it"));
        };
        let path =
            self.reading.substituter.text(&core::mem::take(&mut part.text)).map_err(|error| Problem {
                layout: Layout::Setting,
                setting: Some(command),
                ends_reading: true,
                ..here.problem(place, error.text()).with_help(error.help())
            })?;
        match self.included(here.file, &path) {
            Ok(text) => {
                let includer = self.files.get(here.file.index()).map(SourceFile::textual_directory);
                let joined = join(includer.unwrap_or_default(), &path);
                self.depth = self.depth.saturating_add(1);
                self.file(Source { name: path, text }, joined);
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Err(fault) if fault.is_missing && command == "include-opt" => Ok(()),
            Err(fault) => {
                let what: &[u8] = if fault.is_unopened { b": cannot open: " } else { b": " };
                let text = [&path, what, fault.message.as_bytes()].concat();
                Err(Problem { ends_reading: true, ..Problem::plain(text).with_place(Some(place)) })
            }
        }
    }

    /// Gets the text of an included file, within the bounds.
    fn included(&mut self, includer: FileId, path: &[u8]) -> Result<Vec<u8>, IncludeFault> {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        if self.depth >= MAX_INCLUDE_DEPTH {
            return Err(self.refusal("includes nested too deeply"));
        }
        if id.index() > MAX_INCLUDES {
            return Err(self.refusal("too many included files"));
        }
        let text = self.sources.include(includer, id, path)?;
        if text.len() > self.text_left {
            return Err(self.refusal("included files are too large"));
        }
        Ok(text)
    }

    fn refusal(&mut self, message: &str) -> IncludeFault {
        self.is_over = true;
        IncludeFault { is_missing: false, is_unopened: true, message: String::from(message) }
    }

    /// Takes in a `@meta` line. Only `enable-via NAME` means anything, and that only to some programs.
    fn remark(&mut self, here: &Here<'_, '_>, from: usize) {
        let line = here.line;
        let start = line.skip_space(from);
        let Some(end) = line.name_end(start) else { return };
        if line.text.get(start..end) != Some(b"enable-via".as_slice()) {
            return;
        }
        let name = line.skip_space(end);
        let name_end = line.name_end(name).unwrap_or(name);
        let text = line.text.get(name..name_end).unwrap_or_default();
        if text.is_empty() || line.byte(line.skip_space(name_end)).is_some() {
            self.meta_problems.push(
                here.problem(here.first_line(), "'@meta enable-via' argument missing or malformed")
                    .with_help("write `@meta enable-via NAME`, without quotes or a comment"),
            );
            return;
        }
        let place = here.place(line.line_at(name), line.span(name, name_end));
        self.enable_via = Some(At::new(text.to_vec(), place));
    }
}

impl ServiceDescription {
    /// Substitutes variables in the commands and paths that are not substituted while reading.
    ///
    /// Returns what cannot be substituted, in the order of the reference; those values stay as they are.
    /// `variables` is the environment of the service, and `argument` that of its name. Do this once.
    pub fn substitute(
        &mut self,
        variables: &dyn Variables,
        argument: Option<&[u8]>,
    ) -> Vec<(&'static str, SubstitutionError)> {
        let mut substituter = Substituter::new(variables, argument);
        let mut faults = Vec::new();
        let texts = [
            ("socket-listen", &mut self.socket_listen),
            ("logfile", &mut self.logfile),
            ("working-dir", &mut self.working_dir),
            ("pid-file", &mut self.pid_file),
        ];
        for (setting, text) in texts {
            let Some(text) = text else { continue };
            match substituter.text(text) {
                Ok(substituted) => *text = substituted,
                Err(error) => faults.push((setting, error)),
            }
        }
        let commands = [("command", &mut self.command), ("stop-command", &mut self.stop_command)];
        for (setting, words) in commands {
            match substituter.words(words) {
                Ok(substituted) => *words = substituted,
                Err(error) => faults.push((setting, error)),
            }
        }
        faults
    }
}

fn fault_of(a: &Assignment<'_>, fault: Fault) -> Problem {
    let part = fault.part.and_then(|part| a.value.parts.get(part));
    let span = part.map_or(a.place.span, |part| part.span);
    Problem {
        text: fault.text,
        layout: fault.layout,
        setting: Some(a.setting.name),
        place: Some(Place { span, ..a.place }),
        ends_reading: false,
        level: Level::Value,
        help: Some(fault.help.unwrap_or(Cow::Borrowed(a.setting.help))),
    }
}

/// Returns what stands before the last component of a path, with the slash.
fn directory_of(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash.saturating_add(1));
    path.get(..end).unwrap_or_default()
}

/// Joins a path to a directory that ends in a slash or is empty.
fn join(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.first() == Some(&b'/') { path.to_vec() } else { [directory, path].concat() }
}
