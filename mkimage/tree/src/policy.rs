//! What the caller knows about clashes, and how a clash is told.
//!
//! The tree knows no package manager; who may replace whose files comes in as a [`MergePolicy`] value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::{Entry, Provenance, ResolveError, TreePath};

/// Which clashes are not conflicts, and which paths are diverted.
///
/// Without further rules the overlay and what configuring changed replace anything, and everything else
/// that differs at the same path is a conflict.
#[derive(Debug, Clone, Default)]
pub struct MergePolicy {
    replaces: BTreeSet<(Arc<str>, Arc<str>)>,
    replaceable: BTreeSet<TreePath>,
    diversions: BTreeMap<TreePath, Diversion>,
}

#[derive(Debug, Clone)]
struct Diversion {
    to: TreePath,
    by: Option<Arc<str>>,
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

    /// Lays down at `to` what layers other than package `by` have at `from`; without `by`, what any layer has.
    pub fn diversion(&mut self, from: TreePath, to: TreePath, by: Option<&str>) -> &mut MergePolicy {
        self.diversions.insert(from, Diversion { to, by: by.map(Arc::from) });
        self
    }

    /// Returns where an entry of `provenance` for `path` is laid down.
    pub(crate) fn divert<'a>(&'a self, path: &'a TreePath, provenance: &Provenance) -> &'a TreePath {
        // What configuring leaves behind has been seen on disk, where diversions are carried out already.
        if matches!(provenance, Provenance::Configure(_)) {
            return path;
        }
        match self.diversions.get(path) {
            Some(diversion)
                if diversion.by.is_none() || diversion.by.as_deref() != provenance.package_name() =>
            {
                &diversion.to
            }
            _ => path,
        }
    }

    pub(crate) fn verdict(&self, at: &TreePath, standing: &Provenance, coming: &Provenance) -> Verdict {
        if matches!(coming, Provenance::Overlay(_) | Provenance::Configure(_)) || self.may_be_replaced(at) {
            return Verdict::Replace;
        }
        let (Some(standing), Some(coming)) = (standing.package_name(), coming.package_name()) else {
            return Verdict::Refuse;
        };
        let replaces = |winner: &str, loser: &str| self.replaces.contains(&(winner.into(), loser.into()));
        if replaces(coming, standing) {
            Verdict::Replace
        } else if replaces(standing, coming) {
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
