//! Why a service cannot be loaded, and the lines that the log gets about it.

use std::fmt;

/// A line for the daemon's log, without the `dinit: ` prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How important it is.
    pub level: Level,
    /// The text; names in it need not be UTF-8.
    pub text: Vec<u8>,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something was left out.
    Warning,
    /// Something failed.
    Error,
}

/// Why a service cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The service, by the name under which the reference reports it: the base name nearly always.
    pub name: Vec<u8>,
    /// What is wrong.
    pub failure: Failure,
}

/// What is wrong with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no description in any directory.
    NotFound,
    /// The description has an error.
    Description {
        /// The text of the error alone.
        text: Vec<u8>,
        /// The whole line for the log, with the place.
        line: Vec<u8>,
    },
    /// Something else.
    Other(Vec<u8>),
}

/// Who wanted the service, which decides how the log says that it cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context<'a> {
    /// The command line, at start-up.
    StartUp,
    /// Another service or a client.
    Load,
    /// A client that wanted it reloaded.
    Reload,
    /// A service that chains to this one, whose full name is given.
    Chain(&'a [u8]),
}

impl LoadError {
    /// Makes the error with a text that is not about a line of the description.
    pub(crate) fn other(name: &[u8], text: impl Into<Vec<u8>>) -> LoadError {
        LoadError { name: name.to_vec(), failure: Failure::Other(text.into()) }
    }

    /// Returns what is wrong, without saying with what.
    pub fn text(&self) -> &[u8] {
        match &self.failure {
            Failure::NotFound => b"service description not found.",
            Failure::Description { text, .. } | Failure::Other(text) => text,
        }
    }

    /// Returns the line for the log.
    pub fn message(&self, context: Context<'_>) -> Vec<u8> {
        let (name, text) = (self.name.as_slice(), self.text());
        match (context, &self.failure) {
            (Context::Chain(target), _) => {
                [b"Couldn't chain to service ".as_slice(), target, b": couldn't load ", name, b": ", text]
                    .concat()
            }
            (Context::Reload, _) => [b"Could not reload service ".as_slice(), name, b": ", text].concat(),
            (_, Failure::Description { line, .. }) => line.clone(),
            (Context::StartUp, Failure::NotFound) => {
                [name, b": could not find service description."].concat()
            }
            (Context::StartUp, Failure::Other(_)) => [name, b": error loading: ", text].concat(),
            (Context::Load, _) => [b"Could not load service ".as_slice(), name, b": ", text].concat(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message(Context::Load)))
    }
}

impl std::error::Error for LoadError {}
