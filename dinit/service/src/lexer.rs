//! From bytes to logical lines, and from the right-hand side of a line to its value.
//!
//! A physical line that ends in an odd number of backslashes goes on in the next one: the last backslash
//! becomes a newline byte, which is white space (and ends a comment) except inside quotes. This is decided
//! before anything else, so that a comment can swallow the line below it.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use diagnostics::Span;

use crate::value::number::is_space;

/// One or more physical lines, joined.
#[derive(Debug)]
pub(crate) struct LogicalLine<'s> {
    /// The text; every newline byte in it stands for a backslash and a newline of the source.
    pub(crate) text: Cow<'s, [u8]>,
    /// Where it starts in the source.
    start: usize,
    /// The number of its first physical line.
    pub(crate) first: u32,
    /// The number of its last physical line.
    pub(crate) last: u32,
}

/// A continuation that is not one. Nothing behind it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContinuationFault {
    pub(crate) kind: ContinuationFaultKind,
    pub(crate) line: u32,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContinuationFaultKind {
    EndOfFile,
    NotIndented,
}

/// The logical lines of a source, without the empty ones.
pub(crate) struct Lines<'s> {
    source: &'s [u8],
    /// Where the next physical line starts, or `None` when there is none.
    at: Option<usize>,
    /// The number of the last physical line that was taken.
    number: u32,
}

impl<'s> Lines<'s> {
    pub(crate) fn new(source: &'s [u8]) -> Lines<'s> {
        Lines { source, at: Some(0), number: 0 }
    }

    /// Takes one physical line and returns where it starts, its text, and whether a newline ended it.
    fn physical(&mut self) -> Option<(usize, &'s [u8], bool)> {
        let start = self.at?;
        let rest = self.source.get(start..)?;
        self.number = self.number.saturating_add(1);
        match rest.iter().position(|&byte| byte == b'\n') {
            Some(length) => {
                self.at = Some(start.saturating_add(length).saturating_add(1));
                Some((start, rest.get(..length)?, true))
            }
            None => {
                self.at = None;
                Some((start, rest, false))
            }
        }
    }

    /// Joins the lines that continue the one given.
    fn join(
        &mut self,
        start: usize,
        line: &'s [u8],
        mut is_ended: bool,
    ) -> Result<LogicalLine<'s>, ContinuationFault> {
        let first = self.number;
        let mut text = line.to_vec();
        let mut physical_end = start.saturating_add(line.len());
        while continues(&text) {
            if !is_ended {
                let backslash = physical_end.saturating_sub(1);
                let span = Span::new(backslash, backslash.saturating_add(1));
                return Err(self.fault(ContinuationFaultKind::EndOfFile, span));
            }
            let (next_start, next, next_is_ended) =
                self.physical().unwrap_or((physical_end.saturating_add(1), b"", false));
            if !next.first().is_some_and(|byte| is_space(*byte)) {
                let span = Span::new(next_start, next_start.saturating_add(next.len()));
                return Err(self.fault(ContinuationFaultKind::NotIndented, span));
            }
            text.pop();
            text.push(b'\n');
            text.extend_from_slice(next);
            physical_end = next_start.saturating_add(next.len());
            is_ended = next_is_ended;
        }
        Ok(LogicalLine { text: Cow::Owned(text), start, first, last: self.number })
    }

    fn fault(&mut self, kind: ContinuationFaultKind, span: Span) -> ContinuationFault {
        self.at = None;
        ContinuationFault { kind, line: self.number, span }
    }
}

impl<'s> Iterator for Lines<'s> {
    type Item = Result<LogicalLine<'s>, ContinuationFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (start, line, is_ended) = self.physical()?;
            if line.is_empty() {
                continue;
            }
            if continues(line) {
                return Some(self.join(start, line, is_ended));
            }
            let (first, last) = (self.number, self.number);
            return Some(Ok(LogicalLine { text: Cow::Borrowed(line), start, first, last }));
        }
    }
}

/// Tells whether a line ends in an odd number of backslashes.
fn continues(line: &[u8]) -> bool {
    line.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// Returns how many bytes of source joined text stands for.
fn source_length(text: &[u8]) -> usize {
    text.len().saturating_add(newlines(text))
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

impl LogicalLine<'_> {
    /// Returns the bytes of the source that a range of the text stands for.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let offset = |at: usize| {
            let before = self.text.get(..at).unwrap_or(&self.text);
            self.start.saturating_add(source_length(before))
        };
        Span::new(offset(start), offset(end.max(start)))
    }

    /// Returns the bytes of the source that the text stands for, without white space around it.
    pub(crate) fn whole(&self) -> Span {
        let start = self.skip_space(0);
        let end =
            self.text.iter().rposition(|byte| !is_space(*byte)).map_or(start, |at| at.saturating_add(1));
        self.span(start, end)
    }

    pub(crate) fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// Returns the first index from `at` that is not white space.
    pub(crate) fn skip_space(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at.saturating_add(rest.iter().take_while(|byte| is_space(**byte)).count())
    }

    /// Returns the end of the setting name at `at`, or `None` if there is none.
    pub(crate) fn name_end(&self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..).unwrap_or_default();
        if rest.first().is_none_or(|byte| matches!(byte, b'-' | b'.') || byte.is_ascii_digit()) {
            return None;
        }
        let is_name =
            |byte: u8| matches!(byte, b'-' | b'.' | b'_') || byte.is_ascii_alphanumeric() || byte >= 0x80;
        match rest.iter().take_while(|byte| is_name(**byte)).count() {
            0 => None,
            length => Some(at.saturating_add(length)),
        }
    }

    /// Returns the number of the physical line that holds `at`.
    pub(crate) fn line_at(&self, at: usize) -> u32 {
        let before = self.text.get(..at).unwrap_or(&self.text);
        self.first.saturating_add(u32::try_from(newlines(before)).unwrap_or(u32::MAX))
    }
}

/// The right-hand side of a setting: its words, and where they are.
#[derive(Debug, Default)]
pub(crate) struct Value {
    /// The words joined by single spaces.
    pub(crate) text: Vec<u8>,
    /// The words.
    pub(crate) parts: Vec<Part>,
    /// The line on which the value begins.
    pub(crate) line: u32,
    /// The value in the source.
    pub(crate) span: Span,
}

/// A word of a value.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) text: Vec<u8>,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueFault {
    pub(crate) kind: ValueFaultKind,
    pub(crate) line: u32,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueFaultKind {
    Unterminated,
    Hashmark,
}

/// Reads the value that starts at `from`, behind the operator.
pub(crate) fn value(line: &LogicalLine<'_>, from: usize) -> Result<Value, ValueFault> {
    let start = line.skip_space(from);
    let mut scanner = Scanner {
        line,
        at: start,
        number: line.line_at(start),
        value: Value { line: line.line_at(start), ..Value::default() },
        open: None,
        known: (0, line.start),
    };
    scanner.scan()?;
    let mut value = scanner.value;
    value.span = match (value.parts.first(), value.parts.last()) {
        (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
        _ => line.span(start, start),
    };
    Ok(value)
}

struct Scanner<'l, 's> {
    line: &'l LogicalLine<'s>,
    at: usize,
    /// The line that errors are reported for: newlines inside quotes do not count.
    number: u32,
    value: Value,
    /// The word being read, and where it starts.
    open: Option<(Vec<u8>, usize)>,
    /// An index of the text and the offset in the source that it stands for.
    known: (usize, usize),
}

impl Scanner<'_, '_> {
    fn scan(&mut self) -> Result<(), ValueFault> {
        while let Some(byte) = self.line.byte(self.at) {
            match byte {
                b'"' => self.quoted()?,
                b'\\' => self.escaped(),
                b'#' => return Err(self.fault(ValueFaultKind::Hashmark, self.at)),
                _ if is_space(byte) => self.space(),
                _ => self.push(byte),
            }
        }
        self.close();
        Ok(())
    }

    /// Reads from a quotation mark to the one that closes it.
    fn quoted(&mut self) -> Result<(), ValueFault> {
        let opening = self.at;
        self.word();
        self.at = self.at.saturating_add(1);
        while let Some(byte) = self.line.byte(self.at) {
            match byte {
                b'"' => {
                    self.at = self.at.saturating_add(1);
                    return Ok(());
                }
                b'\\' => self.escaped(),
                _ => self.push(byte),
            }
        }
        Err(self.fault(ValueFaultKind::Unterminated, opening))
    }

    /// Takes the byte behind a backslash as it is.
    fn escaped(&mut self) {
        self.word();
        self.at = self.at.saturating_add(1);
        if let Some(byte) = self.line.byte(self.at) {
            self.push(byte);
        }
    }

    /// Passes white space and the comments in it.
    fn space(&mut self) {
        self.close();
        while let Some(byte) = self.line.byte(self.at) {
            match byte {
                b'\n' => self.number = self.number.saturating_add(1),
                b'#' => {
                    self.skip_comment();
                    continue;
                }
                _ if is_space(byte) => {}
                _ => return,
            }
            self.at = self.at.saturating_add(1);
        }
    }

    /// Goes to the newline or the end that ends a comment.
    fn skip_comment(&mut self) {
        let rest = self.line.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
    }

    fn word(&mut self) -> &mut Vec<u8> {
        let at = self.at;
        &mut self.open.get_or_insert_with(|| (Vec::new(), at)).0
    }

    fn push(&mut self, byte: u8) {
        self.word().push(byte);
        self.at = self.at.saturating_add(1);
    }

    fn close(&mut self) {
        let Some((text, start)) = self.open.take() else { return };
        if !self.value.parts.is_empty() {
            self.value.text.push(b' ');
        }
        self.value.text.extend_from_slice(&text);
        let span = Span::new(self.offset(start), self.offset(self.at));
        self.value.parts.push(Part { text, span });
    }

    /// Returns the offset in the source of an index that is not before the last one asked for.
    ///
    /// Going on from there keeps a line of many words from being counted through for each of them.
    fn offset(&mut self, at: usize) -> usize {
        let (known_at, known_offset) = self.known;
        let between = self.line.text.get(known_at..at).unwrap_or_default();
        self.known = (at, known_offset.saturating_add(source_length(between)));
        self.known.1
    }

    fn fault(&self, kind: ValueFaultKind, at: usize) -> ValueFault {
        let end = match kind {
            ValueFaultKind::Unterminated => self.at,
            ValueFaultKind::Hashmark => at.saturating_add(1),
        };
        ValueFault { kind, line: self.number, span: self.line.span(at, end) }
    }
}
