//! What a description wants done, line by line, in the order of its lines.
//!
//! The daemon stops at the first step that fails; a checker takes them all.

use dinit_graph::DependencyKind;
use dinit_service::{At, Layout, Lookup, LookupKind, Parsed, Place, Problem, SourceFile, Target};

use crate::read::join;
use crate::{Host, lower};

/// What is due at one line of a description.
pub(crate) enum Step {
    /// A dependency.
    Depend(DependencyKind, Target, Place),
    /// The name of a user or a group.
    LookUp(Lookup),
    /// A problem.
    Fail(Problem),
    /// Something that is accepted although it is probably not meant.
    Warn(Problem),
    /// A named variable is substituted, for the first time.
    FirstVariable,
}

/// Lists the steps of a description.
pub(crate) fn steps(parsed: &Parsed) -> Vec<Step> {
    let mut steps: Vec<(u32, Step)> = Vec::with_capacity(parsed.description.dependencies.len());
    let order_of = |problem: &Problem| problem.place.map_or(u32::MAX, |place| place.order);
    // The sort is stable: of one line, this is the order.
    steps.extend(parsed.first_variable.map(|place| (place.order, Step::FirstVariable)));
    for At { value, place } in &parsed.description.dependencies {
        let kind = lower::dependency_kind(value.kind);
        steps.push((place.order, Step::Depend(kind, value.target.clone(), *place)));
    }
    steps.extend(parsed.lookups.iter().map(|lookup| (lookup.place.order, Step::LookUp(lookup.clone()))));
    steps.extend(parsed.warnings.iter().map(|problem| (order_of(problem), Step::Warn(problem.clone()))));
    steps.extend(parsed.problems.iter().map(|problem| (order_of(problem), Step::Fail(problem.clone()))));
    steps.sort_by_key(|(order, _)| *order);
    steps.into_iter().map(|(_, step)| step).collect()
}

/// Looks up a name, and returns what is wrong if it is not there.
pub(crate) fn missing_account(host: &dyn Host, lookup: &Lookup) -> Option<Problem> {
    let name = lookup.name.as_slice();
    let (what, found) = match lookup.kind {
        LookupKind::User => ("user", host.user(name).map(|user| user.is_some())),
        LookupKind::Group => ("group", host.group(name).map(|group| group.is_some())),
    };
    let text = match found {
        Ok(true) => return None,
        Ok(false) => {
            let head = format!("{}: specified {what} \"", lookup.setting);
            [head.as_bytes(), name, b"\" does not exist in system database."].concat()
        }
        Err(error) => format!("error accessing {what} database: {error}").into_bytes(),
    };
    let help = "users and groups are read from /etc/passwd and /etc/group alone";
    let problem = Problem { layout: Layout::Line, ..Problem::plain(text) };
    Some(problem.with_help(help).with_place(Some(lookup.place)))
}

/// Returns the path of a dependency directory, which is relative to the textual directory of its file.
pub(crate) fn dependency_directory(files: &[SourceFile], place: Place, path: &[u8]) -> Vec<u8> {
    let file = files.get(place.file.index());
    let full = join(file.map(SourceFile::textual_directory).unwrap_or_default(), path);
    if full.is_empty() { b".".to_vec() } else { full }
}
