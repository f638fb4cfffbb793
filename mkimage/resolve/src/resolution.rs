//! From a request to a selection: checks what is asked for, lets the solver choose, and gives the reasons.

use crate::explain::Unsatisfiable;
use crate::provider::{Leave, Provider, is_for, satisfies};
use crate::reasons::{Chain, reasons};
use crate::request::{Request, Wanted};
use crate::selection::{Because, Chosen, Role, Selection};
use crate::similar::similar;
use mkimage_deb::relation::{Bound, Operator};
use mkimage_deb::{Package, PackageIndex, Relation, Relations};
use resolvo::{Problem, Solver, UnsolvableOrCancelled};
use std::collections::{BTreeMap, BTreeSet};

/// Chooses packages that meet `request` with all that they depend on, and nothing else.
///
/// The same request and index always give the same selection.
pub fn resolve(request: &Request, index: &PackageIndex) -> Result<Selection, Unsatisfiable> {
    let roots = roots(request, index)?;
    for forbidden in &request.forbidden {
        if request.packages.iter().any(|wanted| wanted.name == forbidden.name) {
            let chain = vec![forbidden.name.clone()];
            return Err(Unsatisfiable::forbidden(forbidden, chain));
        }
    }
    let chosen = match solve(request, index, &roots, forbidden(request)) {
        Ok(chosen) => chosen,
        Err(conflict) => return Err(why_not(request, index, &roots, conflict)),
    };
    let (reasons, _) = reasons(&roots, &chosen, &request.architecture);
    let mut packages = BTreeMap::new();
    for (name, because) in reasons {
        let Some(package) = chosen.get(name) else { continue };
        packages.insert(name.to_owned(), choose(*package, because, Role::Normal)?);
    }
    for wanted in &request.files_only {
        let (package, because) = files_only(request, index, wanted)?;
        if !packages.contains_key(package.name()) {
            packages.insert(package.name().to_owned(), choose(package, because, Role::FilesOnly)?);
        }
    }
    Ok(Selection { packages: packages.into_values().collect() })
}

/// One thing that must be met, with the reason that its package gets.
#[derive(Clone)]
pub(crate) struct Root<'a> {
    pub(crate) relation: Relation<'a>,
    pub(crate) essential: bool,
}

fn choose(package: Package<'_>, because: Because, role: Role) -> Result<Chosen, Unsatisfiable> {
    Chosen::new(package, because, role).map_err(|error| Unsatisfiable::BadVersion {
        package: package.name().to_owned(),
        problem: error.to_string(),
    })
}

fn roots<'a>(request: &'a Request, index: &'a PackageIndex) -> Result<Vec<Root<'a>>, Unsatisfiable> {
    let mut roots = Vec::new();
    let mut wanted: Vec<&Wanted> = request.packages.iter().collect();
    wanted.sort();
    wanted.dedup();
    for wanted in wanted {
        let relation = relation(wanted);
        must_exist(request, index, wanted, &relation)?;
        roots.push(Root { relation, essential: false });
    }
    if request.essential {
        let names: BTreeSet<&str> = index
            .packages()
            .filter(|package| package.is_essential() && is_for(package, &request.architecture))
            .map(|package| package.name())
            .collect();
        roots.extend(names.into_iter().map(|name| Root { relation: plain(name), essential: true }));
    }
    Ok(roots)
}

fn plain(name: &str) -> Relation<'_> {
    Relation { name, qualifier: None, bound: None, architectures: Vec::new() }
}

fn relation(wanted: &Wanted) -> Relation<'_> {
    let bound = wanted.version.as_deref().map(|version| Bound { operator: Operator::Equal, version });
    Relation { bound, ..plain(&wanted.name) }
}

/// Makes sure that something answers to a name that a person wrote.
fn must_exist(
    request: &Request,
    index: &PackageIndex,
    wanted: &Wanted,
    relation: &Relation<'_>,
) -> Result<(), Unsatisfiable> {
    let answering = || index.named(&wanted.name).chain(index.providers(&wanted.name));
    if answering().any(|package| satisfies(&package, relation, &request.architecture)) {
        return Ok(());
    }
    let available: BTreeSet<&str> = index
        .named(&wanted.name)
        .filter(|package| is_for(package, &request.architecture))
        .map(|package| package.version())
        .collect();
    if let (Some(version), false) = (&wanted.version, available.is_empty()) {
        return Err(Unsatisfiable::NoSuchVersion {
            name: wanted.name.clone(),
            version: version.clone(),
            available: available.into_iter().map(str::to_owned).collect(),
        });
    }
    Err(Unsatisfiable::NoSuchPackage {
        name: wanted.name.clone(),
        suite: request.suite.clone(),
        similar: similar(&wanted.name, index.packages().map(|package| package.name())),
    })
}

/// Lets the solver choose: the packages by name, or its explanation of why it cannot.
fn solve<'a>(
    request: &'a Request,
    index: &'a PackageIndex,
    roots: &[Root<'a>],
    leave: Leave<'a>,
) -> Result<BTreeMap<&'a str, Package<'a>>, String> {
    let provider = Provider::new(index, request, leave);
    let requirement = |root: &Root<'a>| provider.requirement(std::slice::from_ref(&root.relation)).into();
    let problem = Problem::new().requirements(roots.iter().map(requirement).collect());
    let mut solver = Solver::new(provider);
    match solver.solve(problem) {
        Ok(solvables) => {
            let packages = solvables.into_iter().map(|solvable| index.at(solvable.into_raw()));
            Ok(packages.map(|package| (package.name(), package)).collect())
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            Err(conflict.display_user_friendly(&solver).to_string())
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => Err("the solver was cancelled".to_owned()),
    }
}

/// Leaves out what must not be chosen.
fn forbidden(request: &Request) -> Leave<'_> {
    let names = request.forbidden.iter().map(|forbidden| forbidden.name.as_str()).collect();
    Leave { names, conflicts: false }
}

/// Explains why nothing could be chosen: a forbidden package that nothing gets around, or names in the request that
/// cannot be met, alone or together.
fn why_not(request: &Request, index: &PackageIndex, roots: &[Root<'_>], conflict: String) -> Unsatisfiable {
    // What is forbidden often excludes what stands in for it, so that is left out of account here; and each name is
    // looked at alone, as others would come to need what is forbidden only because it is there.
    let beside_conflicts = |leave| Leave { conflicts: true, ..leave };
    for root in roots {
        let root = std::slice::from_ref(root);
        if solve(request, index, root, beside_conflicts(forbidden(request))).is_ok() {
            continue;
        }
        let Ok(chosen) = solve(request, index, root, beside_conflicts(Leave::default())) else { continue };
        let (_, chains) = reasons(root, &chosen, &request.architecture);
        for forbidden in &request.forbidden {
            if let Some(chain) = Chain::to(&forbidden.name, &chains) {
                return Unsatisfiable::forbidden(forbidden, chain);
            }
        }
    }
    let (culprits, explanation) = culprits(request, index, roots).unwrap_or((Vec::new(), conflict));
    Unsatisfiable::Conflict { culprits, explanation }
}

/// Finds the name in the request that cannot be met, or two that cannot be met together, with the solver's reasons.
fn culprits(request: &Request, index: &PackageIndex, roots: &[Root<'_>]) -> Option<(Vec<String>, String)> {
    let (essential, wanted): (Vec<Root<'_>>, Vec<Root<'_>>) =
        roots.iter().cloned().partition(|root| root.essential);
    let with = |more: &[&Root<'_>]| -> Result<(), String> {
        let roots: Vec<Root<'_>> = essential.iter().chain(more.iter().copied()).cloned().collect();
        solve(request, index, &roots, forbidden(request)).map(drop)
    };
    let name = |root: &Root<'_>| root.relation.name.to_owned();
    for one in &wanted {
        if let Err(explanation) = with(&[one]) {
            return Some((vec![name(one)], explanation));
        }
    }
    let all: Vec<&Root<'_>> = wanted.iter().collect();
    let last = (1..all.len()).find(|last| with(&all[..=*last]).is_err())?;
    let pairs = all[..last].iter().map(|one| (one, with(&[*one, all[last]])));
    let (one, explanation) = pairs.filter_map(|(one, outcome)| Some((one, outcome.err()?))).next()?;
    Some((vec![name(all[last]), name(one)], explanation))
}

/// Finds the package whose files are wanted, following one that has none and stands for another.
fn files_only<'a>(
    request: &Request,
    index: &'a PackageIndex,
    wanted: &Wanted,
) -> Result<(Package<'a>, Because), Unsatisfiable> {
    let relation = relation(wanted);
    must_exist(request, index, wanted, &relation)?;
    let best = |relation: &Relation<'_>| {
        let mut fitting: Vec<Package<'a>> =
            index.named(relation.name).filter(|p| satisfies(p, relation, &request.architecture)).collect();
        let preferred = request.preferred.get(relation.name);
        fitting.sort_by_key(|package| preferred.is_none_or(|version| version != package.version()));
        fitting.first().copied()
    };
    let Some(package) = best(&relation) else {
        return Err(Unsatisfiable::OnlyProvided { name: wanted.name.clone() });
    };
    let meant = stands_for(package).and_then(|meant| best(&meant));
    Ok(match meant {
        Some(meant) => (meant, Because::RequestedAs(wanted.name.clone())),
        None => (package, Because::Requested),
    })
}

/// Says whether a package only stands for another: it has next to no contents and needs that very version.
fn stands_for(package: Package<'_>) -> Option<Relation<'_>> {
    const NEXT_TO_NOTHING: u64 = 64 << 10;
    let mut groups = Relations::parse(package.depends()).ok()?.groups;
    let mut group = groups.pop().filter(|_| groups.is_empty())?;
    let relation = group.pop().filter(|_| group.is_empty())?;
    let exact = relation.bound.is_some_and(|bound| bound.operator == Operator::Equal);
    (exact && package.installed_size() <= NEXT_TO_NOTHING).then_some(relation)
}
