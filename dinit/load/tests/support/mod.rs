//! What a test loads with: an environment of its own, and the identity of root.

use std::borrow::Cow;
use std::collections::BTreeMap;

use dinit_load::{Host, Identity, Loader};
use dinit_service::Variables;

/// A main environment.
#[derive(Default)]
pub(crate) struct Variable(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

impl Variables for Variable {
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.get(name).map(|value| Cow::Borrowed(value.as_slice()))
    }
}

/// Makes a loader for root that looks for descriptions in `directories`.
pub(crate) fn loader<'a>(
    host: &'a dyn Host,
    variables: &'a Variable,
    directories: &'a [Vec<u8>],
) -> Loader<'a> {
    Loader { host, directories, variables, identity: Identity::default() }
}
