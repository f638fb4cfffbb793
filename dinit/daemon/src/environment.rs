//! The main environment: what the daemon inherited and read at start, and what clients have changed since.
//!
//! Each service process gets it, with the service's own changes on top. The daemon's own process environment is
//! never altered.

use dinit_service::environment::EnvironmentFault;
use dinit_service::{Environment, Variables};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The main environment.
#[derive(Debug, Default)]
pub(crate) struct MainEnvironment {
    variables: BTreeMap<Vec<u8>, Variable>,
    /// The place that the next new variable takes in lists.
    next: u64,
}

#[derive(Debug)]
struct Variable {
    place: u64,
    /// Whether it was there at start.
    is_original: bool,
    value: Value,
}

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Original(Vec<u8>),
    Requested(Vec<u8>),
    Undefined,
}

impl MainEnvironment {
    /// Takes over the process environment; entries without a name are dropped.
    pub(crate) fn new(inherited: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in inherited {
            environment.put(&name, Value::Original(value), true);
        }
        environment
    }

    /// Applies the text of an environment file, and gives the lines that were skipped as faulty.
    pub(crate) fn apply_file(&mut self, text: &[u8]) -> Vec<(u32, EnvironmentFault)> {
        let mut changes = Environment::new();
        let faults = changes.apply_file(text);
        let composed: BTreeMap<Vec<u8>, Vec<u8>> = changes
            .compose(self.iter())
            .into_iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        self.variables.retain(|name, _| composed.contains_key(name));
        for (name, value) in composed {
            self.put(&name, Value::Original(value), true);
        }
        faults
    }

    /// Sets a variable for a client; says whether that replaced a value.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let existed = self.variables.get(name).is_some_and(|variable| variable.value != Value::Undefined);
        self.put(name, Value::Requested(value.to_vec()), false);
        existed
    }

    /// Undefines a variable for a client; says whether a value was there, now or at start.
    pub(crate) fn unset(&mut self, name: &[u8]) -> bool {
        let Some(variable) = self.variables.get_mut(name) else { return false };
        if !variable.is_original {
            self.variables.remove(name);
            return true;
        }
        variable.value = Value::Undefined;
        true
    }

    /// Gives all variables, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.variables.iter().filter_map(|(name, variable)| Some((name.as_slice(), variable.text()?)))
    }

    /// Gives each variable as `NAME=VALUE` followed by a NUL: the original ones in their order, then the others.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut all: Vec<(u64, &[u8], &[u8])> = self
            .variables
            .iter()
            .filter_map(|(name, variable)| Some((variable.place, name.as_slice(), variable.text()?)))
            .collect();
        all.sort_unstable();
        all.iter().flat_map(|(_, name, value)| [name, &b"="[..], value, &b"\0"[..]].concat()).collect()
    }

    fn put(&mut self, name: &[u8], value: Value, is_original: bool) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.value = value;
            return;
        }
        self.variables.insert(name.to_vec(), Variable { place: self.next, is_original, value });
        self.next += 1;
    }
}

impl Variable {
    fn text(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Original(text) | Value::Requested(text) => Some(text),
            Value::Undefined => None,
        }
    }
}

impl Variables for MainEnvironment {
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.variables.get(name)?.text().map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited() -> MainEnvironment {
        MainEnvironment::new([(b"FOO".to_vec(), b"bar".to_vec()), (b"A".to_vec(), b"1".to_vec())])
    }

    #[test]
    fn changes_by_clients_tell_whether_a_value_was_there() {
        // The sequence of exchange 18 of the protocol's specification.
        let mut environment = inherited();
        assert!(!environment.set(b"NEW", b"val"));
        assert!(environment.set(b"NEW", b"val2"));
        assert!(environment.unset(b"NEW"));
        assert!(!environment.unset(b"NEW"));
        assert!(environment.set(b"FOO", b"x"));
        assert!(environment.unset(b"FOO"));
        assert!(environment.unset(b"FOO"));
        assert!(!environment.set(b"FOO", b"y"));
    }

    #[test]
    fn original_variables_keep_their_order_and_new_ones_follow() {
        let mut environment = inherited();
        environment.set(b"0", b"new");
        environment.set(b"FOO", b"x");
        assert_eq!(environment.to_bytes(), b"FOO=x\0A=1\x000=new\0");
        environment.unset(b"FOO");
        assert_eq!(environment.to_bytes(), b"A=1\x000=new\0");
    }

    #[test]
    fn an_environment_file_changes_what_counts_as_original() {
        let mut environment = inherited();
        let faults = environment.apply_file(b"!unset A\nB=2\nbad line\n");
        assert_eq!(faults.len(), 1);
        assert_eq!(environment.to_bytes(), b"FOO=bar\0B=2\0");
        assert!(environment.unset(b"B") && environment.unset(b"B"));
    }
}
