//! What the caller knows about clashes, and how a clash is told.
//!
//! The tree knows no package manager; who may replace whose files comes in as a [`MergePolicy`] value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::{Entry, Provenance, ResolveError, TreePath};

/// Which clashes are not conflicts, and which paths wait elsewhere.
///
/// Without further rules the overlay and what configuring changed replace anything, and everything else
/// that differs at the same path is a conflict.
#[derive(Debug, Clone, Default)]
pub struct MergePolicy {
    replaces: BTreeSet<(Arc<str>, Arc<str>)>,
    replaceable: BTreeSet<TreePath>,
    delays: BTreeMap<TreePath, Vec<Delay>>,
}

#[derive(Debug, Clone)]
struct Delay {
    to: TreePath,
    package: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Replace,
    Keep,
    Refuse,
}

impl MergePolicy {
    /// Makes the policy without further rules.
    pub fn new() -> MergePolicy {
        MergePolicy::default()
    }

    /// Lets files of package `replacing` win over those of package `replaced`, whichever comes first.
    ///
    /// This is what the `Replaces` field of a package means together with `Breaks` or alone.
    pub fn replaces(&mut self, replacing: &str, replaced: &str) -> &mut MergePolicy {
        self.replaces.insert((replacing.into(), replaced.into()));
        self
    }

    /// Lets a later layer replace what stands at `path` or below it.
    pub fn replaceable(&mut self, path: TreePath) -> &mut MergePolicy {
        self.replaceable.insert(path);
        self
    }

    /// Lays down at `to` what `package` has at `from`, which has its place there only once something has happened.
    pub fn delay(&mut self, from: TreePath, to: TreePath, package: &str) -> &mut MergePolicy {
        self.delays.entry(from).or_default().push(Delay { to, package: package.into() });
        self
    }

    /// Says whether files of one of two packages win over those of the other.
    pub fn decides_between(&self, one: &str, other: &str) -> bool {
        self.wins(one, other) || self.wins(other, one)
    }

    /// Returns where an entry of `provenance` for `path` is laid down.
    pub(crate) fn place_for<'a>(&'a self, path: &'a TreePath, provenance: &Provenance) -> &'a TreePath {
        let delays = self.delays.get(path).map(Vec::as_slice).unwrap_or_default();
        let of_package = delays.iter().find(|delay| Some(&*delay.package) == provenance.package_name());
        of_package.map_or(path, |delay| &delay.to)
    }

    fn wins(&self, winner: &str, loser: &str) -> bool {
        self.replaces.contains(&(winner.into(), loser.into()))
    }

    pub(crate) fn verdict(&self, at: &TreePath, standing: &Provenance, coming: &Provenance) -> Verdict {
        if matches!(coming, Provenance::Overlay(_) | Provenance::Configure(_)) || self.may_be_replaced(at) {
            return Verdict::Replace;
        }
        let (Some(standing), Some(coming)) = (standing.package_name(), coming.package_name()) else {
            return Verdict::Refuse;
        };
        if self.wins(coming, standing) {
            Verdict::Replace
        } else if self.wins(standing, coming) {
            Verdict::Keep
        } else {
            Verdict::Refuse
        }
    }

    fn may_be_replaced(&self, at: &TreePath) -> bool {
        !self.replaceable.is_empty()
            && std::iter::successors(Some(at.clone()), TreePath::parent)
                .any(|path| self.replaceable.contains(&path))
    }
}

/// One path that layers do not agree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The path, with symbolic links in its directories followed.
    pub path: TreePath,
    /// What stands there, as a noun, and who brought it; none if nothing does.
    pub standing: Option<(&'static str, Provenance)>,
    /// What comes, as a noun (`removal` for a removal), and who brings it.
    pub coming: (&'static str, Provenance),
    /// Why both cannot be.
    pub reason: Reason,
}

/// Why an entry cannot be laid down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Both differ and no rule says which one wins.
    BothWantIt,
    /// A directory and something else, which no rule can settle.
    DifferentKinds,
    /// A directory above leads nowhere.
    Parent(ResolveError),
    /// A hard link names something that is not there or is a directory.
    LinkTarget(TreePath),
    /// Something is to be removed that is not there.
    NothingToRemove,
}

impl Conflict {
    pub(crate) fn new(path: &TreePath, standing: Option<&Entry>, coming: &Entry, reason: Reason) -> Conflict {
        let side = |entry: &Entry| (entry.kind.noun(), entry.provenance.clone());
        Conflict { path: path.clone(), standing: standing.map(side), coming: side(coming), reason }
    }

    pub(crate) fn about_removal(path: &TreePath, who: &Provenance, reason: Reason) -> Conflict {
        Conflict { path: path.clone(), standing: None, coming: ("removal", who.clone()), reason }
    }

    /// Says what the user can do about it.
    pub fn help(&self) -> &'static str {
        match self.reason {
            Reason::BothWantIt => "put the wanted one into the overlay, or leave one of the two out",
            Reason::DifferentKinds => {
                "a directory cannot be replaced: remove it first, or leave one of the two out"
            }
            Reason::Parent(_) => "see where the directories of this path lead, with `mkimage why`",
            Reason::LinkTarget(_) => "the archive is incomplete, or its files are excluded",
            Reason::NothingToRemove => "drop the removal, or correct its path",
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noun, who) = &self.coming;
        write!(f, "{noun} `{}` of {who} ", self.path)?;
        match &self.reason {
            Reason::BothWantIt | Reason::DifferentKinds => {
                f.write_str("meets a different ")?;
                match &self.standing {
                    Some((noun, who)) => write!(f, "{noun} of {who}"),
                    None => f.write_str("entry"),
                }
            }
            Reason::Parent(error) => write!(f, "has no place: {error}"),
            Reason::LinkTarget(target) => {
                write!(f, "is another name of `{target}`, which is not there or is a directory")
            }
            Reason::NothingToRemove => f.write_str("has nothing to remove"),
        }
    }
}
