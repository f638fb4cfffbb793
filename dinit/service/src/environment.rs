//! Environment files, and what a service's own environment adds to that of the daemon.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Variables;
use crate::value::number::is_space;

/// Changes to an environment that is given elsewhere: the parent.
///
/// It is kept as changes because the parent may change after the service was loaded, and what the service's
/// processes see is put together at each launch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Whether nothing is taken from the parent but what is imported.
    is_cleared: bool,
    changes: BTreeMap<Vec<u8>, Change>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Set(Vec<u8>),
    Unset,
    Import,
}

/// What is wrong with a line of an environment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentFault {
    /// It is not of the form `NAME=VALUE`.
    Setting,
    /// It is a command that does not exist.
    Command,
}

impl Environment {
    /// Changes nothing.
    pub fn new() -> Environment {
        Environment::default()
    }

    /// Tells whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        !self.is_cleared && self.changes.is_empty()
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.changes.insert(name.to_vec(), Change::Set(value.to_vec()));
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &[u8]) {
        self.changes.insert(name.to_vec(), Change::Unset);
    }

    /// Returns the value of a variable.
    pub fn get<'a>(&'a self, name: &[u8], parent: &'a dyn Variables) -> Option<Cow<'a, [u8]>> {
        match self.changes.get(name) {
            Some(Change::Set(value)) => Some(Cow::Borrowed(value)),
            Some(Change::Unset) => None,
            Some(Change::Import) => parent.variable(name),
            None if self.is_cleared => None,
            None => parent.variable(name),
        }
    }

    /// Returns all variables: those of the parent with the changes made, sorted by name.
    pub fn compose<'a>(
        &'a self,
        parent: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> BTreeMap<&'a [u8], &'a [u8]> {
        let mut all = BTreeMap::new();
        for (name, value) in parent {
            let is_taken = match self.changes.get(name) {
                Some(Change::Import) => true,
                Some(Change::Set(_) | Change::Unset) => false,
                None => !self.is_cleared,
            };
            if is_taken {
                all.insert(name, value);
            }
        }
        for (name, change) in &self.changes {
            if let Change::Set(value) = change {
                all.insert(name.as_slice(), value.as_slice());
            }
        }
        all
    }

    /// Applies the text of an environment file, and returns the lines (from 1) that were skipped as faulty.
    pub fn apply_file(&mut self, text: &[u8]) -> Vec<(u32, EnvironmentFault)> {
        let mut faults = Vec::new();
        for (number, line) in (1u32..).zip(text.split(|&byte| byte == b'\n')) {
            if let Err(fault) = self.apply_line(line) {
                faults.push((number, fault));
            }
        }
        faults
    }

    fn apply_line(&mut self, line: &[u8]) -> Result<(), EnvironmentFault> {
        let line = skip_space(line);
        match line.first() {
            None | Some(b'#') => Ok(()),
            Some(b'!') => self.apply_command(line.get(1..).unwrap_or_default()),
            Some(_) => self.apply_setting(line),
        }
    }

    fn apply_setting(&mut self, line: &[u8]) -> Result<(), EnvironmentFault> {
        let (name, rest) = split_at(line, |byte| byte == b'=' || is_space(byte));
        match skip_space(rest).strip_prefix(b"=") {
            Some(value) if !name.is_empty() => {
                self.set(name, value);
                Ok(())
            }
            _ => Err(EnvironmentFault::Setting),
        }
    }

    fn apply_command(&mut self, line: &[u8]) -> Result<(), EnvironmentFault> {
        let (command, rest) = split_at(line, is_space);
        let names = rest.split(|&byte| is_space(byte)).filter(|name| !name.is_empty());
        match command {
            b"clear" => {
                self.changes.clear();
                self.is_cleared = true;
            }
            b"unset" => names.for_each(|name| self.unset(name)),
            b"import" => names.for_each(|name| {
                self.changes.insert(name.to_vec(), Change::Import);
            }),
            _ => return Err(EnvironmentFault::Command),
        }
        Ok(())
    }
}

/// An environment on top of its parent.
pub struct Layered<'a> {
    /// The changes.
    pub environment: &'a Environment,
    /// What they are changes to.
    pub parent: &'a dyn Variables,
}

impl Variables for Layered<'_> {
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.environment.get(name, self.parent)
    }
}

fn skip_space(text: &[u8]) -> &[u8] {
    split_at(text, |byte| !is_space(byte)).1
}

fn split_at(text: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let length = text.iter().position(|&byte| ends(byte)).unwrap_or(text.len());
    text.split_at_checked(length).unwrap_or_default()
}
