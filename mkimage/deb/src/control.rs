//! Control data (Debian policy, section 5.1; deb822(5)): stanzas of `Name: value` fields.
//!
//! The scanner borrows from the text and keeps byte positions, so that whatever is wrong with a value can be
//! shown where it stands. Continuation lines stay part of the value as they are written.

use std::fmt;

/// One field of a stanza, borrowed from the text it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written; names compare without regard to case.
    pub name: &'a str,
    /// The value without the blanks around it; continuation lines are inside, with their line ends.
    pub value: &'a str,
    /// Where the name begins, in bytes from the start of the text.
    pub offset: usize,
}

/// What a [`Scanner`] comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A field of the present stanza.
    Field(Field<'a>),
    /// The present stanza, which has at least one field, is over.
    End,
}

/// Walks over control data field by field, without allocating.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    inside: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, inside: false }
    }

    fn line_end(&self, from: usize) -> usize {
        self.text[from..].find('\n').map_or(self.text.len(), |length| from + length)
    }

    fn field(&mut self, start: usize, end: usize) -> Result<Field<'a>, ControlError> {
        let line = &self.text[start..end];
        let error = |problem| Err(ControlError { problem, offset: start });
        if line.starts_with([' ', '\t']) {
            return error(Problem::StrayContinuation);
        }
        let Some(colon) = line.find(':') else {
            return error(Problem::NoColon(line.trim_end().to_owned()));
        };
        let name = &line[..colon];
        if name.is_empty() || name.bytes().any(is_blank) {
            return error(Problem::BadName(name.to_owned()));
        }
        let mut value_end = end;
        while matches!(self.text.as_bytes().get(self.at), Some(b' ' | b'\t')) {
            let next = self.line_end(self.at);
            if is_blank_line(&self.text[self.at..next]) {
                break;
            }
            value_end = next;
            self.at = (next + 1).min(self.text.len());
        }
        Ok(Field { name, value: self.text[start + colon + 1..value_end].trim(), offset: start })
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Result<Item<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            let (start, end) = (self.at, self.line_end(self.at));
            self.at = (end + 1).min(self.text.len());
            if self.text.as_bytes()[start] == b'#' {
                continue;
            }
            if is_blank_line(&self.text[start..end]) {
                if self.inside {
                    self.inside = false;
                    return Some(Ok(Item::End));
                }
                continue;
            }
            self.inside = true;
            return Some(self.field(start, end).map(Item::Field));
        }
        if self.inside {
            self.inside = false;
            return Some(Ok(Item::End));
        }
        None
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn is_blank_line(line: &str) -> bool {
    line.bytes().all(is_blank)
}

/// A stanza: fields in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Stanza<'a> {
    /// Reads text that has exactly one stanza, as the `control` file of a package has.
    pub fn only(text: &'a str) -> Result<Self, ControlError> {
        let mut stanzas = Self::all(text)?.into_iter();
        match (stanzas.next(), stanzas.next()) {
            (Some(stanza), None) => Ok(stanza),
            (None, _) => Err(ControlError { problem: Problem::NoStanza, offset: 0 }),
            (Some(_), Some(second)) => {
                Err(ControlError { problem: Problem::SecondStanza, offset: second.fields[0].offset })
            }
        }
    }

    /// Reads all stanzas of `text`; a field that stands twice in one stanza is an error.
    pub fn all(text: &'a str) -> Result<Vec<Self>, ControlError> {
        let mut stanzas = Vec::new();
        let mut stanza = Stanza::default();
        for item in Scanner::new(text) {
            match item? {
                Item::Field(field) => {
                    if stanza.field(field.name).is_some() {
                        let problem = Problem::TwiceGiven(field.name.to_owned());
                        return Err(ControlError { problem, offset: field.offset });
                    }
                    stanza.fields.push(field);
                }
                Item::End => stanzas.push(std::mem::take(&mut stanza)),
            }
        }
        Ok(stanzas)
    }

    /// Gives the value of the field called `name`, whatever its case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|field| field.value)
    }

    /// Gives the field called `name`, whatever its case.
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// Gives all fields in the order in which they were written.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }
}

/// Control data that breaks the syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlError {
    /// What is wrong.
    pub problem: Problem,
    /// Where it stands, in bytes from the start of the text.
    pub offset: usize,
}

/// What may be wrong with control data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A line that is neither a field nor continues one.
    NoColon(String),
    /// A line that continues a field where there is none.
    StrayContinuation,
    /// Something before a colon that cannot be a field name.
    BadName(String),
    /// A field that the stanza already has.
    TwiceGiven(String),
    /// A field that the stanza must have.
    Missing(&'static str),
    /// A field whose value is not what it must be; says what that is.
    BadValue(&'static str, &'static str),
    /// Text without any stanza.
    NoStanza,
    /// A stanza too many.
    SecondStanza,
    /// More text than positions can count.
    TooLong,
}

impl ControlError {
    /// Finds the line and the column, both counted from 1, of the error within the `text` it was found in.
    pub fn position(&self, text: &str) -> (usize, usize) {
        position(text, self.offset)
    }
}

/// Finds the line and the column (in characters), both counted from 1, of a byte within `text`.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::NoColon(line) => write!(f, "`{line}` is neither a field nor continues one"),
            Problem::StrayContinuation => f.write_str("a continuation line with no field before it"),
            Problem::BadName(name) => write!(f, "`{name}` cannot be the name of a field"),
            Problem::TwiceGiven(name) => write!(f, "the field `{name}` is given twice"),
            Problem::Missing(name) => write!(f, "the field `{name}` is missing"),
            Problem::BadValue(name, what) => write!(f, "the field `{name}` is not {what}"),
            Problem::NoStanza => f.write_str("there is no stanza"),
            Problem::SecondStanza => f.write_str("there is a second stanza"),
            Problem::TooLong => f.write_str("the text is longer than 4 GiB"),
        }
    }
}

impl std::error::Error for ControlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_read_with_continuations_comments_and_blank_lines() {
        let text = "\n# hello\nPackage: a\nDescription: short\n long\n .\n more\n\n \nPackage:b\n#x\nTag:\n one,\n two\n";
        let stanzas = Stanza::all(text).unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].get("package"), Some("a"));
        assert_eq!(stanzas[0].get("Description"), Some("short\n long\n .\n more"));
        assert_eq!(stanzas[1].get("Package"), Some("b"));
        assert_eq!(stanzas[1].get("Tag"), Some("one,\n two"));
        assert_eq!(stanzas[1].get("Version"), None);
    }

    #[test]
    fn a_text_without_a_last_line_end_loses_nothing() {
        assert_eq!(Stanza::only("A: 1\nB: 2").unwrap().get("B"), Some("2"));
    }

    #[test]
    fn broken_syntax_is_told_with_its_place() {
        let place = |text: &str| {
            let error = Stanza::all(text).unwrap_err();
            (error.to_string(), error.position(text))
        };
        assert_eq!(
            place("A: 1\n\nnonsense\n"),
            ("`nonsense` is neither a field nor continues one".into(), (3, 1))
        );
        assert_eq!(place(" x\n"), ("a continuation line with no field before it".into(), (1, 1)));
        assert_eq!(place("A B: 1\n"), ("`A B` cannot be the name of a field".into(), (1, 1)));
        assert_eq!(place("A: 1\na: 2\n"), ("the field `a` is given twice".into(), (2, 1)));
    }

    #[test]
    fn exactly_one_stanza_is_demanded_where_there_can_be_one() {
        assert_eq!(Stanza::only("\n").unwrap_err().problem, Problem::NoStanza);
        let error = Stanza::only("A: 1\n\nA: 2\n").unwrap_err();
        assert_eq!((error.problem, error.offset), (Problem::SecondStanza, 6));
    }
}
