//! The lock: a selection written down for people, and read back with errors that name line and column.
//!
//! The text is control data (deb822(5)): a first stanza about the lock, then one for each package, sorted by
//! name. The same selection always gives the same bytes. A digest in the first stanza covers all the others say, so
//! that a lock that was edited, or put together of two by a merge, is not mistaken for one that was resolved.

use crate::request::Request;
use crate::selection::{Because, Chosen, Role, Selection};
use diagnostics::{Diagnostic, Severity, Span};
use mkimage_deb::control::{Field, Stanza};
use mkimage_deb::{Sha256, Timestamp, Version};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The version of the text format.
const FORMAT: &str = "1";

/// What to do about a lock that cannot be used.
const WRITE_ANEW: &str = "let `mkimage lock --update` write the lock anew";

/// What exactly an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The suite the packages were chosen from.
    pub suite: String,
    /// The architecture they were chosen for.
    pub architecture: String,
    /// The digest of the request that the lock answers.
    pub request: Sha256,
    /// When the archive's description of the suite was made that the packages were chosen by, if that is known.
    pub date: Option<Timestamp>,
    /// The packages, sorted by name.
    pub packages: Vec<Chosen>,
}

/// Why a lock cannot be used for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitLock {
    /// It was made for another request; that is what making it anew is for.
    Stale,
    /// It has a package that the request forbids, though it says it was made for it: it is not as it was resolved.
    Forbidden {
        /// The package.
        name: String,
    },
}

/// An archive that is older than the one a lock was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderArchive {
    /// When the archive's description of the suite was made.
    pub offered: Timestamp,
    /// When the one was made that the lock knows.
    pub locked: Timestamp,
}

/// A lock that cannot be read, with all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLock(pub Vec<Diagnostic>);

/// A difference between two locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A package came along.
    Added {
        /// Its name.
        name: String,
        /// Its version.
        version: Version,
    },
    /// A package is gone.
    Removed {
        /// Its name.
        name: String,
        /// The version it had.
        version: Version,
    },
    /// A package is there in another version, or with other bytes.
    Replaced {
        /// Its name.
        name: String,
        /// The version it had.
        from: Version,
        /// The version it has now.
        to: Version,
    },
}

impl Lock {
    /// Writes down what was chosen for `request` from an archive whose description was made on `date`.
    pub fn new(request: &Request, date: Option<Timestamp>, selection: Selection) -> Self {
        let mut packages = selection.packages;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            suite: request.suite.clone(),
            architecture: request.architecture.clone(),
            request: request.digest(),
            date,
            packages,
        }
    }

    /// Makes sure that the lock was made for `request` and has nothing that it forbids.
    pub fn must_answer(&self, request: &Request) -> Result<(), UnfitLock> {
        if self.request != request.digest() {
            return Err(UnfitLock::Stale);
        }
        match request.forbidden.iter().find(|forbidden| self.package(&forbidden.name).is_some()) {
            Some(forbidden) => Err(UnfitLock::Forbidden { name: forbidden.name.clone() }),
            None => Ok(()),
        }
    }

    /// Makes sure that an archive whose description was made on `offered` is not older than the one the lock was
    /// made from: whoever can hold back what is new could bring back what was mended since.
    pub fn must_not_go_back(&self, offered: Timestamp) -> Result<(), OlderArchive> {
        match self.date {
            Some(locked) if offered < locked => Err(OlderArchive { offered, locked }),
            _ => Ok(()),
        }
    }

    /// Whether both answer the same request with the same packages, from whatever day's archive.
    pub fn says_the_same(&self, other: &Self) -> bool {
        Self { date: other.date, ..self.clone() } == *other
    }

    /// Gives the versions by name, for [`Request::preferred`] when the lock is made anew.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.packages.iter().map(|p| (p.name.clone(), p.version.to_string())).collect()
    }

    /// Gives the package called `name`.
    pub fn package(&self, name: &str) -> Option<&Chosen> {
        let at = self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        self.packages.get(at)
    }

    /// Gives the sizes of all `.deb` files together, in bytes.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }

    /// Gives the digest of all that decides what an image is made of: the packages, not who asked for them.
    pub fn digest(&self) -> Sha256 {
        let line = |p: &Chosen| {
            format!("{} {} {} {} {}\n", p.name, p.version, p.architecture, p.sha256, p.role.as_str())
        };
        Sha256::of(self.packages.iter().map(line).collect::<String>().as_bytes())
    }

    /// Tells what is different in `newer`, sorted by name.
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let added = |p: &Chosen| Change::Added { name: p.name.clone(), version: p.version.clone() };
        let mut changes: Vec<Change> =
            newer.packages.iter().filter(|p| self.package(&p.name).is_none()).map(added).collect();
        for old in &self.packages {
            let name = old.name.clone();
            match newer.package(&name) {
                None => changes.push(Change::Removed { name, version: old.version.clone() }),
                Some(new) if new.sha256 != old.sha256 || new.version.as_str() != old.version.as_str() => {
                    changes.push(Change::Replaced {
                        name,
                        from: old.version.clone(),
                        to: new.version.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        changes.sort_by(|a, b| a.name().cmp(b.name()));
        changes
    }

    /// Gives the first block but for the digest over all.
    fn head(&self) -> String {
        let Self { suite, architecture, request, .. } = self;
        let date = self.date.map(|date| format!("Date: {date}\n")).unwrap_or_default();
        format!(
            "Lock-Format: {FORMAT}\nSuite: {suite}\nArchitecture: {architecture}\nRequest: {request}\n{date}"
        )
    }

    /// Gives the blocks of the packages.
    fn blocks(&self) -> String {
        let mut text = String::new();
        for package in &self.packages {
            let Chosen { name, version, architecture, size, sha256, filename, because, role } = package;
            text.push_str(&format!(
                "\nPackage: {name}\nVersion: {version}\nArchitecture: {architecture}\nSize: {size}\n\
                 SHA256: {sha256}\nFilename: {filename}\nBecause: {because}\n"
            ));
            if *role != Role::Normal {
                text.push_str(&format!("Role: {}\n", role.as_str()));
            }
        }
        text
    }

    /// Gives the digest that a lock carries over all else it says.
    fn seal(head: &str, blocks: &str) -> Sha256 {
        Sha256::of(format!("{head}{blocks}").as_bytes())
    }

    /// Reads a lock; `file` is what problems call the text.
    pub fn parse(file: &str, text: &str) -> Result<Self, BadLock> {
        let mut reader = Reader { file, text, problems: Vec::new() };
        let lock = reader.lock();
        match lock {
            Some(lock) if reader.problems.is_empty() => Ok(lock),
            _ => Err(BadLock(reader.problems)),
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# What the image is made of. Written by `mkimage lock`; not meant to be edited by hand."
        )?;
        let (head, packages) = (self.head(), self.blocks());
        write!(f, "{head}Body-SHA256: {}\n{packages}", Self::seal(&head, &packages))
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Diagnostic>,
}

const HEADER_FIELDS: &[&str] = &["Lock-Format", "Suite", "Architecture", "Request", "Date", "Body-SHA256"];
const PACKAGE_FIELDS: &[&str] =
    &["Package", "Version", "Architecture", "Size", "SHA256", "Filename", "Because", "Role"];

impl<'a> Reader<'a> {
    fn lock(&mut self) -> Option<Lock> {
        let stanzas = match Stanza::all(self.text) {
            Ok(stanzas) => stanzas,
            Err(error) => {
                self.problem(error.offset, error.offset, error.to_string());
                return None;
            }
        };
        let Some((header, packages)) = stanzas.split_first() else {
            self.problem(0, 0, "the lock is empty".to_owned());
            return None;
        };
        let format: String = self.value(header, "Lock-Format", "the version of the format")?;
        if format != FORMAT {
            let field = header.field("Lock-Format")?;
            self.bad_value(field, format!("the lock has format `{format}`, but only `{FORMAT}` is known"));
            return None;
        }
        self.known_fields(header, HEADER_FIELDS);
        let suite = self.value(header, "Suite", "the name of a suite");
        let architecture = self.value(header, "Architecture", "the name of an architecture");
        let request = self.value(header, "Request", "a SHA-256 digest");
        let date = match header.field("Date") {
            Some(_) => Some(self.value(header, "Date", "a date")?),
            None => None,
        };
        let seal: Option<Sha256> = self.value(header, "Body-SHA256", "a SHA-256 digest");
        let packages: Vec<Option<Chosen>> = packages.iter().map(|stanza| self.package(stanza)).collect();
        let packages: Vec<Chosen> = packages.into_iter().collect::<Option<_>>()?;
        self.sorted(&stanzas[1..]);
        let lock = Lock { suite: suite?, architecture: architecture?, request: request?, date, packages };
        if Lock::seal(&lock.head(), &lock.blocks()) != seal? && self.problems.is_empty() {
            let message = "the lock was edited: this is not the digest of what it says".to_owned();
            self.bad_value(header.field("Body-SHA256")?, message);
        }
        Some(lock)
    }

    fn package(&mut self, stanza: &Stanza<'a>) -> Option<Chosen> {
        self.known_fields(stanza, PACKAGE_FIELDS);
        let name = self.value(stanza, "Package", "the name of a package");
        let version = self.value(stanza, "Version", "a version");
        let architecture = self.value(stanza, "Architecture", "the name of an architecture");
        let size = self.value(stanza, "Size", "a number of bytes");
        let sha256 = self.value(stanza, "SHA256", "a SHA-256 digest");
        let filename = self.value(stanza, "Filename", "a path below the archive");
        let because: Option<String> = self.value(stanza, "Because", "the reason the package is there");
        let because = because.and_then(|text| self.because(stanza, &text));
        let role = self.role(stanza);
        let filename = filename.and_then(|path| self.filename(stanza, path));
        Some(Chosen {
            name: name?,
            version: version?,
            architecture: architecture?,
            size: size?,
            sha256: sha256?,
            filename: filename?,
            because: because?,
            role: role?,
        })
    }

    fn because(&mut self, stanza: &Stanza<'a>, text: &str) -> Option<Because> {
        let because = Because::parse(text);
        if because.is_none() {
            let message = format!(
                "`{text}` is none of `requested`, `requested as NAME`, `essential` and `needed by NAME`"
            );
            self.bad_value(stanza.field("Because")?, message);
        }
        because
    }

    fn role(&mut self, stanza: &Stanza<'a>) -> Option<Role> {
        let Some(field) = stanza.field("Role") else { return Some(Role::Normal) };
        let role = [Role::Normal, Role::FilesOnly].into_iter().find(|role| role.as_str() == field.value);
        if role.is_none() {
            self.bad_value(field, format!("`{}` is neither `normal` nor `files-only`", field.value));
        }
        role
    }

    fn filename(&mut self, stanza: &Stanza<'a>, path: String) -> Option<String> {
        if path.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            return Some(path);
        }
        self.bad_value(stanza.field("Filename")?, format!("`{path}` is not a path below the archive"));
        None
    }

    fn value<T: FromStr>(&mut self, stanza: &Stanza<'a>, name: &str, what: &str) -> Option<T> {
        let Some(field) = stanza.field(name) else {
            let start = stanza.fields().first().map_or(0, |field| field.offset);
            self.problem(start, start, format!("the field `{name}` is missing from this block"));
            return None;
        };
        let value =
            Some(field.value).filter(|v| !v.is_empty() && !v.contains('\n')).and_then(|v| v.parse().ok());
        if value.is_none() {
            self.bad_value(field, format!("`{}` is not {what}", field.value));
        }
        value
    }

    fn known_fields(&mut self, stanza: &Stanza<'a>, known: &[&str]) {
        for field in stanza.fields() {
            if !known.iter().any(|name| name.eq_ignore_ascii_case(field.name)) {
                let (start, end) = (field.offset, field.offset + field.name.len());
                self.problem(start, end, format!("a lock has no field `{}` here", field.name));
            }
        }
    }

    fn sorted(&mut self, stanzas: &[Stanza<'a>]) {
        for pair in stanzas.windows(2) {
            if let (Some(before), Some(field)) = (pair[0].get("Package"), pair[1].field("Package"))
                && before >= field.value
            {
                self.bad_value(field, format!("the package `{}` stands behind `{before}`", field.value));
            }
        }
    }

    fn bad_value(&mut self, field: &Field<'a>, message: String) {
        let start = field.value.as_ptr() as usize - self.text.as_ptr() as usize;
        self.problem(start, start + field.value.len(), message);
    }

    fn problem(&mut self, start: usize, end: usize, message: String) {
        let span = Span::new(start, end);
        let problem = Diagnostic::at(self.file, self.text.as_bytes(), span, Severity::Error, message);
        self.problems.push(problem.with_help(WRITE_ANEW));
    }
}

impl Change {
    /// Gives the name of the package that is different.
    pub fn name(&self) -> &str {
        match self {
            Self::Added { name, .. } | Self::Removed { name, .. } | Self::Replaced { name, .. } => name,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { name, version } => write!(f, "{name} {version} added"),
            Self::Removed { name, version } => write!(f, "{name} {version} removed"),
            Self::Replaced { name, from, to } => write!(f, "{name} {from} -> {to}"),
        }
    }
}

impl fmt::Display for BadLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "\n" }, problem.render().trim_end())?;
        }
        Ok(())
    }
}

impl std::error::Error for BadLock {}

impl UnfitLock {
    /// Says what the reader can do about it.
    pub fn help(&self) -> &'static str {
        WRITE_ANEW
    }
}

impl fmt::Display for UnfitLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the lock was made for another set of wanted packages"),
            Self::Forbidden { name } => write!(f, "the lock has the forbidden package `{name}`"),
        }
    }
}

impl std::error::Error for UnfitLock {}

impl OlderArchive {
    /// Says what the reader can do about it.
    pub fn help(&self) -> &'static str {
        "name another mirror with `MKIMAGE_MIRROR` or in the manifest: this one is behind, or somebody holds back what \
         is new; to go back on purpose, remove the lock first"
    }
}

impl fmt::Display for OlderArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offered, locked } = self;
        write!(
            f,
            "the archive's description of {offered} is older than the one of {locked} that the lock was made from"
        )
    }
}

impl std::error::Error for OlderArchive {}
