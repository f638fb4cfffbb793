//! Byte ranges, and the lines and columns that people count in.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::Excerpt;

/// A range of bytes of a source text; `end` is the first byte that is no longer meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte behind the last one.
    pub end: usize,
}

impl Span {
    /// Makes the span from `start` up to but not including `end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Span {
        Span { start: range.start, end: range.end }
    }
}

/// A line and a column, both counted from 1; columns are characters, as an editor shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// Finds the position of the byte at `offset`; an offset behind the end is the end.
    pub fn of(source: &[u8], offset: usize) -> Position {
        let before = source.get(..offset).unwrap_or(source);
        let (line_start, line) = last_line_of(before);
        let in_line = before.get(line_start..).unwrap_or_default();
        Position { line, column: count(characters(in_line)).saturating_add(1) }
    }
}

impl Excerpt {
    /// Cuts out of `source` what is needed to show `span`.
    pub fn new(source: &[u8], span: Span) -> Excerpt {
        let start = span.start.min(source.len());
        let end = span.end.clamp(start, source.len());
        let before = source.get(..start).unwrap_or_default();
        let (line_start, _) = last_line_of(before);
        let rest = source.get(line_start..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line_end = line_start.saturating_add(line.len());
        let meant = source.get(start..end.min(line_end).max(start)).unwrap_or_default();
        Excerpt {
            span: Span { start, end },
            position: Position::of(source, start),
            line: String::from_utf8_lossy(line).to_string(),
            width: characters(meant).max(1),
        }
    }
}

/// Finds where the last line of `text` starts, and its number.
fn last_line_of(text: &[u8]) -> (usize, u32) {
    let newlines = text.iter().filter(|&&byte| byte == b'\n').count();
    let start = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
    (start, count(newlines).saturating_add(1))
}

/// Counts characters the way `String::from_utf8_lossy` shows them.
fn characters(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).chars().count()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
