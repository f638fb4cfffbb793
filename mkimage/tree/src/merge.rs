//! Merging a layer into a tree: one function over one table of cases.
//!
//! An entry is first brought to the directory it really belongs in (symbolic links in its parents are
//! followed, which is all that a merged `/usr` needs). Then [`CASES`] says what happens, by what stands at
//! that path and what is to be laid there. Only what the table calls a contest asks the [`MergePolicy`].

use std::collections::BTreeSet;

use crate::policy::Verdict;
use crate::tree::{LastLink, State};
use crate::{Conflict, Entry, Error, Kind, Layer, MergePolicy, Reason, ResolveError, Tree, TreePath, Weight};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Nothing,
    Directory,
    /// A symbolic link that leads to a directory.
    LinkToDirectory,
    /// A symbolic link that leads to something else.
    LinkToOther,
    /// A symbolic link that leads to nothing yet.
    LinkToNothing,
    /// A file, a hard link, a device or a pipe.
    Other,
}

/// What is to be laid at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coming {
    Directory,
    Symlink,
    Other,
}

/// What a case asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The entry is laid down.
    Place,
    /// The directory stays, with its owner and mode unless the layer imposes its own.
    Join,
    /// The directory is laid down where the link leads.
    Follow,
    /// What is in the directory moves to where the link leads, and the link takes its place.
    Rehome,
    /// Equal entries agree; otherwise the policy decides.
    Contest,
    /// No policy can help.
    Clash,
}

/// Every case: what stands, what comes, what is done.
const CASES: [(Standing, Coming, Action); 18] = {
    use Action as A;
    use Coming as C;
    use Standing as S;
    [
        (S::Nothing, C::Directory, A::Place),
        (S::Nothing, C::Symlink, A::Place),
        (S::Nothing, C::Other, A::Place),
        (S::Directory, C::Directory, A::Join),
        (S::Directory, C::Symlink, A::Rehome),
        (S::Directory, C::Other, A::Clash),
        (S::LinkToDirectory, C::Directory, A::Follow),
        (S::LinkToDirectory, C::Symlink, A::Contest),
        (S::LinkToDirectory, C::Other, A::Contest),
        (S::LinkToOther, C::Directory, A::Clash),
        (S::LinkToOther, C::Symlink, A::Contest),
        (S::LinkToOther, C::Other, A::Contest),
        (S::LinkToNothing, C::Directory, A::Follow),
        (S::LinkToNothing, C::Symlink, A::Contest),
        (S::LinkToNothing, C::Other, A::Contest),
        (S::Other, C::Directory, A::Clash),
        (S::Other, C::Symlink, A::Contest),
        (S::Other, C::Other, A::Contest),
    ]
};

impl<S: State> Tree<S> {
    /// Lays `layer` over the tree: its removals first, then its entries in order.
    ///
    /// All conflicts of the layer are collected into [`Error::Conflicts`]; the tree is used up then, since a
    /// half-merged one is good for nothing.
    pub fn merge(mut self, layer: &Layer, policy: &MergePolicy) -> Result<Tree<S>, Error> {
        let mut conflicts = Vec::new();
        for path in layer.removals() {
            if let Err(reason) = self.take_away(path) {
                conflicts.push(Conflict::about_removal(path, layer.provenance(), reason));
            }
        }
        for (path, entry) in layer.entries() {
            let weight = layer.weight(path);
            let path = policy.place_for(path, &entry.provenance);
            match self.lay(path, entry.clone(), weight, policy) {
                Ok(()) => {}
                Err(Failure::Conflict(conflict)) => conflicts.push(*conflict),
                Err(Failure::Error(error)) => return Err(error),
            }
        }
        if conflicts.is_empty() { Ok(self) } else { Err(Error::Conflicts(conflicts)) }
    }

    fn take_away(&mut self, path: &TreePath) -> Result<(), Reason> {
        let located = self.locate(path, LastLink::Kept).map_err(Reason::Parent)?;
        if located.is_root() || !self.entries.contains_key(&located) {
            return Err(Reason::NothingToRemove);
        }
        let doomed: Vec<TreePath> = self.subtree(&located).map(|(path, _)| path.clone()).collect();
        // Backwards, so that names inside the subtree go before a directory that they are in.
        for path in doomed.iter().rev() {
            self.detach(path);
        }
        Ok(())
    }

    /// Lays one entry down by the table.
    fn lay(
        &mut self,
        path: &TreePath,
        mut entry: Entry,
        weight: Weight,
        policy: &MergePolicy,
    ) -> Result<(), Failure> {
        let at = match self.locate(path, LastLink::Kept) {
            Ok(at) => at,
            Err(error) => return Err(Conflict::new(path, None, &entry, Reason::Parent(error)).into()),
        };
        if let Kind::Hardlink(target) = &entry.kind {
            let target = policy.place_for(target, &entry.provenance);
            match self.link_target(&at, target) {
                Ok(Some(target)) => entry.kind = Kind::Hardlink(target),
                Ok(None) => return Ok(()),
                Err(reason) => return Err(Conflict::new(&at, self.get(&at), &entry, reason).into()),
            }
        }
        match action(self.standing(&at), coming(&entry.kind)) {
            Action::Place => {
                self.make_parents(&at, &entry);
                if entry.is_directory() && weight == Weight::Implied {
                    self.implied.insert(at.clone());
                }
                self.attach(at, entry);
            }
            Action::Join => self.join_directory(&at, entry, weight),
            Action::Follow => return self.follow(&at, entry, weight, policy),
            Action::Rehome => return self.rehome(&at, entry, policy),
            Action::Contest => return self.contest(at, entry, policy),
            Action::Clash => {
                return Err(Conflict::new(&at, self.get(&at), &entry, Reason::DifferentKinds).into());
            }
        }
        Ok(())
    }

    fn standing(&self, at: &TreePath) -> Standing {
        match self.entries.get(at).map(|entry| &entry.kind) {
            None => Standing::Nothing,
            Some(Kind::Directory) => Standing::Directory,
            Some(Kind::Symlink(_)) => match self.resolve(at) {
                Ok((_, end)) if end.is_directory() => Standing::LinkToDirectory,
                Ok(_)
                | Err(ResolveError::Loop(_) | ResolveError::NotADirectory(_) | ResolveError::Path(_)) => {
                    Standing::LinkToOther
                }
                Err(ResolveError::Missing(_)) => Standing::LinkToNothing,
            },
            Some(
                Kind::File(_)
                | Kind::Hardlink(_)
                | Kind::CharDevice { .. }
                | Kind::BlockDevice { .. }
                | Kind::Fifo,
            ) => Standing::Other,
        }
    }

    /// Finds the entry that a hard link at `at` to `target` ends in; none if that is the link itself.
    fn link_target(&self, at: &TreePath, target: &TreePath) -> Result<Option<TreePath>, Reason> {
        let located = self.locate(target, LastLink::Kept).map_err(Reason::Parent)?;
        let Some(entry) = self.entries.get(&located) else {
            return Err(Reason::LinkTarget(located));
        };
        match &entry.kind {
            Kind::Directory => Err(Reason::LinkTarget(located)),
            _ if located == *at => Ok(None),
            Kind::Hardlink(inner) if inner == at => Ok(None),
            Kind::Hardlink(inner) => Ok(Some(inner.clone())),
            Kind::File(_)
            | Kind::Symlink(_)
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Fifo => Ok(Some(located)),
        }
    }

    fn join_directory(&mut self, at: &TreePath, entry: Entry, weight: Weight) {
        let standing_implied = self.implied.contains(at);
        let heard = match weight {
            Weight::Implied => false,
            Weight::Asked => standing_implied,
            Weight::Imposed => true,
        };
        if heard {
            self.implied.remove(at);
            self.entries.insert(at.clone(), entry);
        }
    }

    fn follow(
        &mut self,
        at: &TreePath,
        entry: Entry,
        weight: Weight,
        policy: &MergePolicy,
    ) -> Result<(), Failure> {
        match self.locate(at, LastLink::Followed) {
            Ok(end) => self.lay(&end, entry, weight, policy),
            Err(error) => Err(Conflict::new(at, self.get(at), &entry, Reason::Parent(error)).into()),
        }
    }

    /// Puts a symbolic link where a directory is, moving what is in the directory to the link's target.
    fn rehome(&mut self, at: &TreePath, link: Entry, policy: &MergePolicy) -> Result<(), Failure> {
        let inside: Vec<(TreePath, Entry)> =
            self.subtree(at).skip(1).map(|(path, entry)| (path.clone(), entry.clone())).collect();
        let Some(directory) = self.entries.remove(at) else {
            return Ok(());
        };
        let mut weights = Vec::with_capacity(inside.len());
        for (path, _) in &inside {
            self.entries.remove(path);
            weights.push(if self.implied.remove(path) { Weight::Implied } else { Weight::Asked });
        }
        let weight = if self.implied.remove(at) { Weight::Implied } else { Weight::Asked };
        self.entries.insert(at.clone(), link.clone());
        if inside.is_empty() {
            return Ok(());
        }
        let end = match self.locate(at, LastLink::Followed) {
            Ok(end) if !end.is_within(at) => end,
            Ok(_) | Err(_) => {
                return Err(Conflict::new(at, Some(&directory), &link, Reason::DifferentKinds).into());
            }
        };
        self.lay(&end, directory, weight, policy)?;
        let moved = |path: &TreePath| match path.relative_to(at) {
            Some(rest) => end.join_path(&rest),
            None => Ok(path.clone()),
        };
        let path_error =
            |error| Failure::from(Conflict::new(at, None, &link, Reason::Parent(ResolveError::Path(error))));
        // Whoever names a moved entry must name its new place before links are laid down there.
        let old_links = std::mem::take(&mut self.links);
        for (target, names) in old_links {
            let target = moved(&target).map_err(path_error)?;
            for name in names {
                let name = moved(&name).map_err(path_error)?;
                if let Some(Entry { kind: Kind::Hardlink(named), .. }) = self.entries.get_mut(&name) {
                    *named = target.clone();
                }
                self.links.entry(target.clone()).or_default().insert(name);
            }
        }
        let (hard_links, others): (Vec<_>, Vec<_>) = inside
            .into_iter()
            .zip(weights)
            .partition(|((_, entry), _)| matches!(entry.kind, Kind::Hardlink(_)));
        for ((path, mut entry), weight) in others.into_iter().chain(hard_links) {
            if let Kind::Hardlink(target) = &mut entry.kind {
                *target = moved(target).map_err(path_error)?;
            }
            let path = moved(&path).map_err(path_error)?;
            self.lay(&path, entry, weight, policy)?;
        }
        Ok(())
    }

    fn contest(&mut self, at: TreePath, entry: Entry, policy: &MergePolicy) -> Result<(), Failure> {
        let Some(standing) = self.entries.get(&at) else {
            self.attach(at, entry);
            return Ok(());
        };
        let agreement = self.agreement(&at, standing, &entry)?;
        if agreement == Agreement::Same {
            return Ok(());
        }
        // Within one archive the later of two entries counts, as with any unpacker.
        let verdict = if standing.provenance == entry.provenance {
            Verdict::Replace
        } else {
            policy.verdict(&at, &standing.provenance, &entry.provenance)
        };
        match verdict {
            Verdict::Replace => {
                self.detach(&at);
                self.attach(at, entry);
                Ok(())
            }
            Verdict::Keep => Ok(()),
            Verdict::Refuse if agreement == Agreement::Alike => Ok(()),
            Verdict::Refuse => Err(Conflict::new(&at, Some(standing), &entry, Reason::BothWantIt).into()),
        }
    }

    /// Compares two entries in all but time and provenance.
    fn agreement(&self, at: &TreePath, standing: &Entry, coming: &Entry) -> Result<Agreement, Error> {
        let linked = match (&standing.kind, &coming.kind) {
            (Kind::Hardlink(a), Kind::Hardlink(b)) if a == b => return Ok(Agreement::Same),
            (Kind::Hardlink(_), _) | (_, Kind::Hardlink(_)) => true,
            _ => false,
        };
        let (_, standing) = self.inode(at, standing);
        let (_, coming) = self.inode(at, coming);
        let same_kind = match (&standing.kind, &coming.kind) {
            (Kind::File(a), Kind::File(b)) => a.is_same_as(b)?,
            (standing, coming) => standing.is_same_without_content(coming),
        };
        // The mode of a symbolic link says nothing, so two archives may differ in it.
        let same_metadata = matches!(standing.kind, Kind::Symlink(_))
            || ((standing.mode, standing.uid, standing.gid) == (coming.mode, coming.uid, coming.gid)
                && standing.xattrs == coming.xattrs);
        Ok(match (same_kind && same_metadata, linked) {
            (false, _) => Agreement::Different,
            (true, true) => Agreement::Alike,
            (true, false) => Agreement::Same,
        })
    }

    /// Makes the directories above `at` that no layer has named; they belong to root, mode 0755.
    fn make_parents(&mut self, at: &TreePath, entry: &Entry) {
        let mut missing = Vec::new();
        let mut above = at.parent();
        while let Some(directory) = above.filter(|directory| !self.entries.contains_key(directory)) {
            above = directory.parent();
            missing.push(directory);
        }
        for directory in missing {
            let made = Entry::directory(0o755, entry.provenance.clone()).changed_at(entry.mtime);
            self.implied.insert(directory.clone());
            self.entries.insert(directory, made);
        }
    }

    /// Puts an entry where nothing stands.
    fn attach(&mut self, at: TreePath, entry: Entry) {
        if let Kind::Hardlink(target) = &entry.kind {
            self.links.entry(target.clone()).or_default().insert(at.clone());
        }
        self.entries.insert(at, entry);
    }

    /// Takes an entry away; if hard links name it, the first of them inherits what it was.
    fn detach(&mut self, at: &TreePath) {
        let Some(entry) = self.entries.remove(at) else {
            return;
        };
        self.implied.remove(at);
        if let Kind::Hardlink(target) = &entry.kind
            && let Some(names) = self.links.get_mut(target)
        {
            names.remove(at);
            if names.is_empty() {
                self.links.remove(target);
            }
        }
        let mut names: BTreeSet<TreePath> = self.links.remove(at).unwrap_or_default();
        let Some(heir) = names.pop_first() else {
            return;
        };
        self.entries.insert(heir.clone(), entry);
        for name in &names {
            if let Some(link) = self.entries.get_mut(name) {
                link.kind = Kind::Hardlink(heir.clone());
            }
        }
        if !names.is_empty() {
            self.links.insert(heir, names);
        }
    }
}

/// How two entries for the same path compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    Same,
    /// They read the same, but share their content with other names.
    Alike,
    Different,
}

/// Why an entry could not be laid down.
enum Failure {
    Conflict(Box<Conflict>),
    /// Contents could not be read to compare them.
    Error(Error),
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Failure {
        Failure::Conflict(Box::new(conflict))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

fn coming(kind: &Kind) -> Coming {
    match kind {
        Kind::Directory => Coming::Directory,
        Kind::Symlink(_) => Coming::Symlink,
        Kind::File(_)
        | Kind::Hardlink(_)
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Fifo => Coming::Other,
    }
}

fn action(standing: Standing, coming: Coming) -> Action {
    CASES
        .iter()
        .find(|(stands, comes, _)| (*stands, *comes) == (standing, coming))
        .map_or(Action::Clash, |(_, _, action)| *action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_case_exactly_once() {
        use Standing as S;
        for standing in
            [S::Nothing, S::Directory, S::LinkToDirectory, S::LinkToOther, S::LinkToNothing, S::Other]
        {
            for coming in [Coming::Directory, Coming::Symlink, Coming::Other] {
                let rows = CASES.iter().filter(|(stands, comes, _)| (*stands, *comes) == (standing, coming));
                assert_eq!(rows.count(), 1, "{standing:?} under {coming:?}");
            }
        }
    }
}
