//! Texts that a request carries: what may stand in them is checked when the value is made, so that encoding
//! cannot fail.

use alloc::vec::Vec;
use core::fmt;

/// The most bytes that the name or the environment text of a request may have.
pub const MAX_TEXT: usize = 1021;

/// The name of a service, fit to be sent: 1 to [`MAX_TEXT`] bytes, the first neither `.` nor `@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Vec<u8>);

impl ServiceName {
    /// Makes a name of some bytes, which may include an `@argument`.
    ///
    /// # Errors
    /// The name cannot be asked for: see [`InvalidName`].
    pub fn new(name: &[u8]) -> Result<Self, InvalidName> {
        match name.first() {
            None => Err(InvalidName::Empty),
            Some(b'.' | b'@') => Err(InvalidName::FirstByte),
            Some(_) if name.len() > MAX_TEXT => Err(InvalidName::TooLong),
            Some(_) => Ok(Self(name.to_vec())),
        }
    }

    /// Gives the name as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why bytes cannot be the name of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidName {
    /// There are none.
    Empty,
    /// There are more than [`MAX_TEXT`].
    TooLong,
    /// The first is `.` or `@`.
    FirstByte,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(out, "the service name is empty"),
            Self::TooLong => write!(out, "the service name is longer than {MAX_TEXT} bytes"),
            Self::FirstByte => write!(out, "a service name cannot begin with `.` or `@`"),
        }
    }
}

impl core::error::Error for InvalidName {}

/// A change to the environment that services are started with: `NAME=VALUE` sets, `NAME` alone removes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentChange {
    text: Vec<u8>,
    name_length: usize,
}

impl EnvironmentChange {
    /// Makes a change of its text.
    ///
    /// # Errors
    /// The text cannot be sent: see [`InvalidEnvironment`].
    pub fn new(text: &[u8]) -> Result<Self, InvalidEnvironment> {
        if text.is_empty() {
            return Err(InvalidEnvironment::Empty);
        }
        if text.len() > MAX_TEXT {
            return Err(InvalidEnvironment::TooLong);
        }
        match text.iter().position(|byte| *byte == b'=') {
            Some(0) => Err(InvalidEnvironment::NoName),
            equals => Ok(Self { text: text.to_vec(), name_length: equals.unwrap_or(text.len()) }),
        }
    }

    /// Gives the text as it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Gives the name of the variable.
    pub fn name(&self) -> &[u8] {
        self.text.get(..self.name_length).unwrap_or(&self.text)
    }

    /// Gives the new value, which may be empty; none if the variable is to be removed.
    pub fn value(&self) -> Option<&[u8]> {
        self.text.get(self.name_length..)?.split_first().map(|(_equals, value)| value)
    }
}

/// Why bytes cannot be a change to the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidEnvironment {
    /// There are none.
    Empty,
    /// There are more than [`MAX_TEXT`].
    TooLong,
    /// There is no name before the `=`.
    NoName,
}

impl fmt::Display for InvalidEnvironment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(out, "the environment variable is empty"),
            Self::TooLong => write!(out, "name and value together are longer than {MAX_TEXT} bytes"),
            Self::NoName => write!(out, "there is no name before the `=`"),
        }
    }
}

impl core::error::Error for InvalidEnvironment {}
