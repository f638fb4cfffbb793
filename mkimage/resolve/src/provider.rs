//! What the solver asks of us: the index, told in its words.
//!
//! A relation becomes a union of version sets: first the packages of that name, then each package that provides
//! it. `Conflicts` and `Breaks` become constraints: of each name that they concern, what is still allowed. A
//! version set is the list of the very packages it admits, so every rule of Debian's is decided here and the
//! solver needs to know none.

use crate::request::Request;
use mkimage_deb::{Package, PackageIndex, Relation, Relations};
use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, HintDependenciesAvailable,
    Interner, KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId, VersionSetId,
    VersionSetUnionId,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

pub(crate) struct Provider<'a> {
    index: &'a PackageIndex,
    architecture: &'a str,
    preferred: &'a BTreeMap<String, String>,
    /// What does not count as it otherwise would.
    leave: Leave<'a>,
    known: RefCell<Known<'a>>,
}

/// What is left out of account, to find out why nothing can be chosen.
#[derive(Clone, Default)]
pub(crate) struct Leave<'a> {
    /// Names that have no candidates.
    pub(crate) names: BTreeSet<&'a str>,
    /// Whether packages may be chosen that exclude each other.
    pub(crate) conflicts: bool,
}

/// What was named so far; the solver knows everything by its place in here.
#[derive(Default)]
struct Known<'a> {
    names: Vec<&'a str>,
    by_name: BTreeMap<&'a str, NameId>,
    sets: Vec<Set>,
    unions: Vec<Vec<VersionSetId>>,
    texts: Vec<String>,
}

/// The packages of one name that will do.
struct Set {
    name: NameId,
    /// The numbers of the packages, as [`Package::number`] gives them.
    admitted: Vec<u32>,
    text: String,
}

impl<'a> Provider<'a> {
    pub(crate) fn new(index: &'a PackageIndex, request: &'a Request, leave: Leave<'a>) -> Self {
        let (architecture, preferred) = (request.architecture.as_str(), &request.preferred);
        Self { index, architecture, preferred, leave, known: RefCell::default() }
    }

    /// Turns one group of alternatives into what the solver must fulfil.
    pub(crate) fn requirement(&self, group: &[Relation<'a>]) -> Requirement {
        let mut sets = Vec::new();
        for relation in group.iter().filter(|relation| relation.applies_to(self.architecture)) {
            let mut names = vec![relation.name];
            names.extend(self.provider_names(relation));
            for name in names {
                let admitted = self.index.named(name).filter(|p| satisfies(p, relation, self.architecture));
                let admitted = admitted.map(|package| package.number()).collect();
                sets.push(self.set(name, admitted, set_text(name, relation)));
            }
        }
        match sets[..] {
            [only] => only.into(),
            _ => self.union(sets),
        }
    }

    /// Gives the names of the packages that provide what `relation` names, the best choice first.
    fn provider_names(&self, relation: &Relation<'a>) -> Vec<&'a str> {
        let providers = self.index.providers(relation.name);
        let mut providers: Vec<Package<'a>> = providers
            .filter(|p| p.name() != relation.name && satisfies(p, relation, self.architecture))
            .collect();
        providers.sort_by_key(|p| (!self.preferred.contains_key(p.name()), p.priority_rank(), p.name()));
        let mut names: Vec<&str> = providers.iter().map(Package::name).collect();
        names.dedup();
        names
    }

    /// Gives what `package` forbids: for each name concerned, what is still allowed.
    fn constraints(&self, package: Package<'a>, relation: &Relation<'a>) -> Vec<VersionSetId> {
        let mut names = vec![relation.name];
        names.extend(self.index.providers(relation.name).map(|provider| provider.name()));
        names.sort_unstable();
        names.dedup();
        names.retain(|name| *name != package.name());
        let mut constraints = Vec::new();
        for name in names {
            let all = || self.index.named(name).filter(|p| self.is_candidate(p));
            let allowed: Vec<u32> =
                all().filter(|p| !is_meant(p, relation)).map(|allowed| allowed.number()).collect();
            if allowed.len() < all().count() {
                constraints.push(self.set(name, allowed, constraint_text(name, relation)));
            }
        }
        constraints
    }

    fn is_candidate(&self, package: &Package<'_>) -> bool {
        is_for(package, self.architecture) && !self.leave.names.contains(package.name())
    }

    fn dependencies(&self, package: Package<'a>) -> Result<KnownDependencies, String> {
        let mut known = KnownDependencies::default();
        let parse = |field| Relations::parse(field).map_err(|error| error.to_string());
        for group in parse(package.pre_depends())?.groups.iter().chain(&parse(package.depends())?.groups) {
            if group.iter().any(|relation| relation.applies_to(self.architecture)) {
                known.requirements.push(self.requirement(group).into());
            }
        }
        if self.leave.conflicts {
            return Ok(known);
        }
        for group in parse(package.conflicts())?.groups.iter().chain(&parse(package.breaks())?.groups) {
            for relation in group.iter().filter(|relation| relation.applies_to(self.architecture)) {
                known.constrains.extend(self.constraints(package, relation));
            }
        }
        Ok(known)
    }

    fn name(&self, name: &'a str) -> NameId {
        let mut known = self.known.borrow_mut();
        if let Some(&id) = known.by_name.get(name) {
            return id;
        }
        let id = NameId::from_raw(known.names.len() as u32);
        known.names.push(name);
        known.by_name.insert(name, id);
        id
    }

    fn set(&self, name: &'a str, admitted: Vec<u32>, text: String) -> VersionSetId {
        let name = self.name(name);
        let mut known = self.known.borrow_mut();
        known.sets.push(Set { name, admitted, text });
        VersionSetId(known.sets.len() as u32 - 1)
    }

    fn union(&self, sets: Vec<VersionSetId>) -> Requirement {
        let mut known = self.known.borrow_mut();
        known.unions.push(sets);
        VersionSetUnionId(known.unions.len() as u32 - 1).into()
    }

    fn package(&self, solvable: SolvableId) -> Package<'a> {
        self.index.at(solvable.into_raw())
    }
}

/// Says whether a package can be installed on `architecture` at all.
pub(crate) fn is_for(package: &Package<'_>, architecture: &str) -> bool {
    package.architecture() == architecture || package.architecture() == "all"
}

/// Says whether `package` meets the dependency `relation`, by its own name or by what it provides.
pub(crate) fn satisfies(package: &Package<'_>, relation: &Relation<'_>, architecture: &str) -> bool {
    let qualified = match relation.qualifier {
        None | Some("native") => true,
        Some("any") => package.multi_arch() == "allowed",
        Some(other) => other == architecture,
    };
    qualified && is_for(package, architecture) && is_meant(package, relation)
}

/// Says whether `relation` means `package`, whatever the architecture (policy section 7.5 for provided names).
fn is_meant(package: &Package<'_>, relation: &Relation<'_>) -> bool {
    if package.name() == relation.name {
        return relation.admits(package.version());
    }
    let Ok(provides) = Relations::parse(package.provides()) else { return false };
    provides.groups.iter().flatten().any(|provided| {
        provided.name == relation.name
            && match (relation.bound, provided.bound) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(_), Some(version)) => relation.admits(version.version),
            }
    })
}

fn set_text(name: &str, relation: &Relation<'_>) -> String {
    if name != relation.name {
        return format!("providing {relation}");
    }
    match relation.bound {
        Some(bound) => format!("({} {})", bound.operator.as_str(), bound.version),
        None => "in any version".to_owned(),
    }
}

fn constraint_text(name: &str, relation: &Relation<'_>) -> String {
    if name != relation.name {
        return format!("not providing {relation}");
    }
    match relation.bound {
        Some(bound) => format!("outside ({} {})", bound.operator.as_str(), bound.version),
        None => "in no version".to_owned(),
    }
}

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let package = self.package(solvable);
        format!("{} {}", package.name(), package.version())
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        let name = solvables.first().map_or("", |first| self.package(*first).name());
        let versions: Vec<&str> =
            solvables.iter().map(|solvable| self.package(*solvable).version()).collect();
        format!("{name} {}", versions.join(" or "))
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.known.borrow().names[name.into_raw() as usize]
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        self.known.borrow().sets[version_set.0 as usize].text.clone()
    }

    fn display_string(&self, string_id: StringId) -> impl Display + '_ {
        self.known.borrow().texts[string_id.0 as usize].clone()
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        self.known.borrow().sets[version_set.0 as usize].name
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.name(self.package(solvable).name())
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.known.borrow().unions[union.0 as usize].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement of ours has a condition")
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let known = self.known.borrow();
        let admitted = &known.sets[version_set.0 as usize].admitted;
        candidates.iter().copied().filter(|c| admitted.contains(&c.into_raw()) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let name = self.known.borrow().names[name.into_raw() as usize];
        let candidates = self.index.named(name).filter(|package| self.is_candidate(package));
        let candidates: Vec<_> = candidates.map(|package| SolvableId::from_raw(package.number())).collect();
        let hint_dependencies_available = HintDependenciesAvailable::None;
        (!candidates.is_empty()).then(|| Candidates {
            candidates,
            hint_dependencies_available,
            ..Candidates::default()
        })
    }

    /// The preferred version comes first, then the newest.
    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let is_preferred = |package: &Package<'_>| {
            self.preferred.get(package.name()).is_some_and(|version| version == package.version())
        };
        solvables.sort_by_key(|solvable| (!is_preferred(&self.package(*solvable)), solvable.into_raw()));
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.dependencies(self.package(solvable)) {
            Ok(known) => Dependencies::Known(known),
            Err(problem) => {
                let mut known = self.known.borrow_mut();
                known.texts.push(problem);
                Dependencies::Unknown(StringId(known.texts.len() as u32 - 1))
            }
        }
    }
}
