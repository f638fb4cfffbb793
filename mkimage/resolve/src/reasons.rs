//! Why each chosen package is there: the shortest way to it from what was asked for.

use crate::provider::satisfies;
use crate::resolution::Root;
use crate::selection::Because;
use mkimage_deb::{Package, Relation, Relations};
use std::collections::{BTreeMap, VecDeque};

/// For each package the one that asked for it first; none for what the request names.
pub(crate) struct Chain<'a>(BTreeMap<&'a str, Option<&'a str>>);

impl<'a> Chain<'a> {
    /// Gives the names on the way from the request to `name`, which stands last.
    pub(crate) fn to(name: &str, chains: &Self) -> Option<Vec<String>> {
        let mut names = vec![name.to_owned()];
        let mut before = *chains.0.get(name)?;
        while let Some(name) = before {
            names.push(name.to_owned());
            before = *chains.0.get(name)?;
        }
        names.reverse();
        Some(names)
    }
}

/// Walks from the roots over all dependencies, nearest first, names in order, and gives the reasons it met.
///
/// What the walk does not meet is not needed by anything.
pub(crate) fn reasons<'a>(
    roots: &[Root<'_>],
    chosen: &BTreeMap<&'a str, Package<'a>>,
    architecture: &str,
) -> (Vec<(&'a str, Because)>, Chain<'a>) {
    let mut reasons = Vec::new();
    let mut asked_by = BTreeMap::new();
    let mut queue = VecDeque::new();
    for root in roots {
        for name in fulfilling(std::slice::from_ref(&root.relation), chosen, architecture) {
            if asked_by.contains_key(name) {
                continue;
            }
            asked_by.insert(name, None);
            queue.push_back(name);
            let because = match root.essential {
                true => Because::Essential,
                false if name == root.relation.name => Because::Requested,
                false => Because::RequestedAs(root.relation.name.to_owned()),
            };
            reasons.push((name, because));
        }
    }
    while let Some(dependent) = queue.pop_front() {
        let Some(package) = chosen.get(dependent) else { continue };
        for name in dependencies(package, chosen, architecture) {
            if asked_by.contains_key(name) {
                continue;
            }
            asked_by.insert(name, Some(dependent));
            queue.push_back(name);
            reasons.push((name, Because::NeededBy(dependent.to_owned())));
        }
    }
    (reasons, Chain(asked_by))
}

fn dependencies<'a>(
    package: &Package<'a>,
    chosen: &BTreeMap<&'a str, Package<'a>>,
    architecture: &str,
) -> Vec<&'a str> {
    let mut names = Vec::new();
    for field in [package.pre_depends(), package.depends()] {
        for group in Relations::parse(field).unwrap_or_default().groups {
            names.extend(fulfilling(&group, chosen, architecture));
        }
    }
    names
}

/// Gives the chosen packages that meet the first alternative that any of them meets.
fn fulfilling<'a>(
    group: &[Relation<'_>],
    chosen: &BTreeMap<&'a str, Package<'a>>,
    architecture: &str,
) -> Vec<&'a str> {
    for relation in group.iter().filter(|relation| relation.applies_to(architecture)) {
        if let Some((name, _)) = chosen
            .get_key_value(relation.name)
            .filter(|(_, package)| satisfies(package, relation, architecture))
        {
            return vec![*name];
        }
        let providers = chosen.iter().filter(|(_, package)| satisfies(package, relation, architecture));
        let providers: Vec<&str> = providers.map(|(name, _)| *name).collect();
        if !providers.is_empty() {
            return providers;
        }
    }
    Vec::new()
}
