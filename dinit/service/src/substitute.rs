//! Substitution of variables and of the service argument.
//!
//! It works on text whose quotes and escapes are gone, and what it puts in is not looked at again.
//!
//! ```text
//! $$                          a dollar sign
//! $NAME ${NAME}               the value, or nothing
//! ${NAME-word} ${NAME:-word}  the word if NAME is unset, or (`:`) empty
//! ${NAME+word} ${NAME:+word}  the word if NAME is set, or (`:`) not empty
//! $/NAME $/{NAME...}          any of these, split into words
//! $1 ${1} ${1-word} ...       the service argument
//! ```

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::value::number::is_space;

/// Where the values of variables come from.
pub trait Variables {
    /// Returns the value of a variable, or `None` if it is not set.
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>>;
}

/// An environment in which nothing is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn variable(&self, _name: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }
}

/// Why a value cannot be substituted into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubstitutionError {
    /// A `$` that no name follows.
    Name,
    /// `$2` and the like.
    ArgumentNumber,
    /// A `:` that neither `-` nor `+` follows.
    Syntax,
    /// A `{` without its `}`.
    Brace,
    /// `$1` in a service without an argument.
    NoArgument,
    /// A result that is too long.
    TooLong,
}

impl SubstitutionError {
    /// Returns the text of the reference.
    pub fn text(self) -> &'static str {
        match self {
            SubstitutionError::Name => "invalid/missing variable name after '$'",
            SubstitutionError::ArgumentNumber => "only one service argument may be present",
            SubstitutionError::Syntax => "invalid syntax in variable substitution",
            SubstitutionError::Brace => "unmatched '{' in variable substitution",
            SubstitutionError::NoArgument => "missing value in argument substitution",
            SubstitutionError::TooLong => "value too long (after substitution)",
        }
    }

    /// Returns what to do about it.
    pub fn help(self) -> &'static str {
        match self {
            SubstitutionError::Name => "write `$$` for a dollar sign",
            SubstitutionError::ArgumentNumber => "a service has one argument, `$1`; use `${1}` before digits",
            SubstitutionError::Syntax => "write `${NAME:-word}` or `${NAME:+word}`",
            SubstitutionError::Brace => {
                "close it with `}`, and quote the whole word if what is inside has white space"
            }
            SubstitutionError::NoArgument => "use `${1:-word}`, or name the service as `NAME@ARGUMENT`",
            SubstitutionError::TooLong => "use shorter values, or fewer of them",
        }
    }
}

impl fmt::Display for SubstitutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for SubstitutionError {}

/// Substitutes into the values of one description, and bounds how much comes of all of them together.
pub(crate) struct Substituter<'a> {
    variables: &'a dyn Variables,
    argument: Option<&'a [u8]>,
    /// How many bytes may still be made.
    budget: usize,
    /// Whether any named variable was asked for.
    pub(crate) used_variables: bool,
}

impl<'a> Substituter<'a> {
    /// How many bytes the values of one description may have in all after substitution.
    ///
    /// The reference allows 2 GiB for each, which a small file could turn into any amount of memory.
    pub(crate) const BUDGET: usize = 16 << 20;

    pub(crate) fn new(variables: &'a dyn Variables, argument: Option<&'a [u8]>) -> Substituter<'a> {
        Substituter { variables, argument, budget: Self::BUDGET, used_variables: false }
    }

    /// Substitutes into a value that is one text: pieces that `$/` makes are joined by single spaces.
    pub(crate) fn text(&mut self, text: &[u8]) -> Result<Vec<u8>, SubstitutionError> {
        if !text.contains(&b'$') {
            return Ok(text.to_vec());
        }
        let mut pieces = Vec::new();
        self.part(text, &mut pieces)?;
        Ok(pieces.join(&b' '))
    }

    /// Substitutes into a list of words.
    pub(crate) fn words(&mut self, words: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, SubstitutionError> {
        let mut result = Vec::with_capacity(words.len());
        for word in words {
            if word.contains(&b'$') {
                self.part(word, &mut result)?;
            } else {
                result.push(word.clone());
            }
        }
        Ok(result)
    }

    /// Substitutes into one word and appends what comes of it.
    fn part(&mut self, mut text: &[u8], result: &mut Vec<Vec<u8>>) -> Result<(), SubstitutionError> {
        let mut word = Word { pieces: result, current: Vec::new(), is_kept: false };
        while let Some(dollar) = text.iter().position(|&byte| byte == b'$') {
            let (literal, rest) = text.split_at_checked(dollar).unwrap_or_default();
            self.spend(literal.len().saturating_add(1))?;
            word.current.extend_from_slice(literal);
            let (expression, rest) = Expression::parse(rest.get(1..).unwrap_or_default())?;
            text = rest;
            match expression {
                Expression::Dollar => word.current.push(b'$'),
                Expression::Value { reference, splits } => {
                    let value = self.value(&reference)?;
                    self.spend(value.len())?;
                    if splits {
                        word.add_split(&value);
                    } else {
                        word.add_whole(&value);
                    }
                }
            }
        }
        self.spend(text.len())?;
        word.current.extend_from_slice(text);
        word.finish();
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), SubstitutionError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(SubstitutionError::TooLong)?;
        Ok(())
    }

    fn value<'v>(&mut self, reference: &Reference<'v>) -> Result<Cow<'v, [u8]>, SubstitutionError>
    where
        'a: 'v,
    {
        let value = match reference.name {
            Name::Argument => self.argument.map(Cow::Borrowed),
            Name::Variable(name) => {
                self.used_variables = true;
                self.variables.variable(name)
            }
        };
        let counts = |ignores_empty: bool| value.as_ref().is_some_and(|v| !ignores_empty || !v.is_empty());
        Ok(match reference.alternative {
            None if value.is_none() && matches!(reference.name, Name::Argument) => {
                return Err(SubstitutionError::NoArgument);
            }
            None => value.unwrap_or_default(),
            Some(Alternative { when: When::Missing, ignores_empty, word }) => {
                if counts(ignores_empty) {
                    value.unwrap_or_default()
                } else {
                    Cow::Borrowed(word)
                }
            }
            Some(Alternative { when: When::Present, ignores_empty, word }) => {
                if counts(ignores_empty) {
                    Cow::Borrowed(word)
                } else {
                    Cow::default()
                }
            }
        })
    }
}

/// The word that is being put together, and the finished ones before it.
struct Word<'r> {
    pieces: &'r mut Vec<Vec<u8>>,
    current: Vec<u8>,
    /// Whether something other than `$/` contributed to the current word, so that it stays even if empty.
    is_kept: bool,
}

impl Word<'_> {
    fn add_whole(&mut self, value: &[u8]) {
        self.current.extend_from_slice(value);
        self.is_kept = true;
    }

    fn add_split(&mut self, value: &[u8]) {
        for piece in value.split_inclusive(|&byte| is_space(byte)) {
            match piece.split_last() {
                Some((last, before)) if is_space(*last) => {
                    self.current.extend_from_slice(before);
                    self.end_if_any();
                }
                _ => self.current.extend_from_slice(piece),
            }
        }
    }

    fn end_if_any(&mut self) {
        if !self.current.is_empty() || self.is_kept {
            self.pieces.push(core::mem::take(&mut self.current));
            self.is_kept = false;
        }
    }

    fn finish(mut self) {
        self.end_if_any();
    }
}

/// What may follow a `$`.
enum Expression<'t> {
    Dollar,
    Value { reference: Reference<'t>, splits: bool },
}

struct Reference<'t> {
    name: Name<'t>,
    alternative: Option<Alternative<'t>>,
}

enum Name<'t> {
    Argument,
    Variable(&'t [u8]),
}

struct Alternative<'t> {
    when: When,
    ignores_empty: bool,
    word: &'t [u8],
}

/// When the word of an alternative is used.
enum When {
    Missing,
    Present,
}

impl<'t> Expression<'t> {
    /// Reads what stands behind a `$` and returns it with what stands behind it.
    fn parse(text: &'t [u8]) -> Result<(Expression<'t>, &'t [u8]), SubstitutionError> {
        if let Some(rest) = text.strip_prefix(b"$") {
            return Ok((Expression::Dollar, rest));
        }
        let (text, splits) = match text.strip_prefix(b"/") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (reference, rest) = match text.strip_prefix(b"{") {
            Some(rest) => braced(rest)?,
            None => {
                let (name, rest) = name(text)?;
                (Reference { name, alternative: None }, rest)
            }
        };
        Ok((Expression::Value { reference, splits }, rest))
    }
}

fn braced(text: &[u8]) -> Result<(Reference<'_>, &[u8]), SubstitutionError> {
    let (name, rest) = name(text)?;
    let (ignores_empty, rest) = match rest {
        [b':', rest @ ..] if matches!(rest.first(), Some(b'-' | b'+')) => (true, rest),
        [b':', ..] => return Err(SubstitutionError::Syntax),
        _ => (false, rest),
    };
    let (when, rest) = match rest {
        [b'}', rest @ ..] => return Ok((Reference { name, alternative: None }, rest)),
        [b'-', rest @ ..] => (When::Missing, rest),
        [b'+', rest @ ..] => (When::Present, rest),
        _ => return Err(SubstitutionError::Brace),
    };
    let end = rest.iter().position(|&byte| byte == b'}').ok_or(SubstitutionError::Brace)?;
    let (word, rest) = rest.split_at_checked(end).unwrap_or_default();
    let alternative = Some(Alternative { when, ignores_empty, word });
    Ok((Reference { name, alternative }, rest.get(1..).unwrap_or_default()))
}

fn name(text: &[u8]) -> Result<(Name<'_>, &[u8]), SubstitutionError> {
    if text.first().is_some_and(u8::is_ascii_digit) {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = text.split_at_checked(digits).unwrap_or_default();
        return if number == b"1" {
            Ok((Name::Argument, rest))
        } else {
            Err(SubstitutionError::ArgumentNumber)
        };
    }
    let is_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80;
    let length = text.iter().take_while(|byte| is_name(**byte)).count();
    match text.split_at_checked(length) {
        Some((name, rest)) if !name.is_empty() => Ok((Name::Variable(name), rest)),
        _ => Err(SubstitutionError::Name),
    }
}
