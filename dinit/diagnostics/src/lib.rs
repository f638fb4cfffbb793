//! Problems in what a person wrote: spans, severities, help, and the one rendering of them.
//!
//! A [`Diagnostic`] is a value that has everything its rendering needs, the quoted line included, so that
//! the source text can be dropped while the diagnostic travels on. [`Diagnostic::summary`] is the one line
//! that a log gets; [`Diagnostic::render`] adds the quoted line, a marker under what is meant, and the help.
//!
//! The crate knows nothing about any language. It does no input or output and needs only an allocator.

#![no_std]

extern crate alloc;

mod position;
mod render;

use alloc::string::String;
use core::fmt;

pub use position::{Position, Span};

/// How serious a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is wrong, but the reader should know.
    Note,
    /// What was written is accepted, and is probably not what was meant.
    Warning,
    /// What was written cannot be used.
    Error,
}

impl Severity {
    /// Returns the word that stands in a rendered diagnostic.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One problem, with its place if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The name of the file as the reader knows it. Bytes that are not UTF-8 have been replaced.
    pub file: String,
    /// Where in the file, or `None` for a problem of the file as a whole.
    pub excerpt: Option<Excerpt>,
    /// How serious it is.
    pub severity: Severity,
    /// What is wrong: lower-case start, no full stop, literals in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The stable kebab-case name of the lint that found it, for problems that are not outright errors.
    pub lint: Option<&'static str>,
}

/// A place in a source text together with the line to quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Which bytes of the source are meant.
    pub span: Span,
    /// Line and column of the first of them.
    pub position: Position,
    /// The line that holds the first of them, without its line end.
    pub line: String,
    /// How many characters of that line are meant; at least one, so that there is something to see.
    pub width: usize,
}

impl Diagnostic {
    /// Makes a diagnostic about the bytes `span` of `source`, which is the content of `file`.
    ///
    /// A span that goes beyond the source, or that is empty, is accepted: it is cut, or marks one column.
    pub fn at(
        file: impl Into<String>,
        source: &[u8],
        span: impl Into<Span>,
        severity: Severity,
        message: impl Into<String>,
    ) -> Diagnostic {
        let excerpt = Some(Excerpt::new(source, span.into()));
        Diagnostic { file: file.into(), excerpt, severity, message: message.into(), help: None, lint: None }
    }

    /// Makes a diagnostic about `file` as a whole.
    pub fn whole(file: impl Into<String>, severity: Severity, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            file: file.into(),
            excerpt: None,
            severity,
            message: message.into(),
            help: None,
            lint: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds the stable name of the lint.
    #[must_use]
    pub fn with_lint(mut self, lint: &'static str) -> Diagnostic {
        self.lint = Some(lint);
        self
    }

    /// Returns the line (from 1), if the problem has a place.
    pub fn line(&self) -> Option<u32> {
        self.excerpt.as_ref().map(|excerpt| excerpt.position.line)
    }

    /// Returns the column (from 1, in characters), if the problem has a place.
    pub fn column(&self) -> Option<u32> {
        self.excerpt.as_ref().map(|excerpt| excerpt.position.column)
    }
}
