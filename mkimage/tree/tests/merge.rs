//! The rules of merging: first one test for each row of the table, then what runs across rows.

mod notation;

use mkimage_tree::{Conflict, Error, MergePolicy, Provenance, Reason, Tree};
use notation::{any_lines, layer, listing, merged, package, path};
use proptest::prelude::*;

/// Merges `second` over `first` and lists the result.
fn over(first: &[&str], second: &[&str]) -> Vec<String> {
    listing(&merged(&[("one", first), ("two", second)], &MergePolicy::new()).unwrap())
}

fn conflicts(result: Result<impl std::fmt::Debug, Error>) -> Vec<Conflict> {
    match result {
        Err(Error::Conflicts(conflicts)) => conflicts,
        other => panic!("conflicts are expected, not {other:?}"),
    }
}

fn reason(first: &[&str], second: &[&str]) -> Reason {
    let conflicts = conflicts(merged(&[("one", first), ("two", second)], &MergePolicy::new()));
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    conflicts[0].reason.clone()
}

#[test]
fn anything_may_stand_where_nothing_stood() {
    assert_eq!(over(&[], &["d a"]), ["d a"]);
    assert_eq!(over(&[], &["l a b"]), ["l a b"]);
    assert_eq!(over(&[], &["f a x", "c c 1:3", "p p"]), ["f a x", "c c 1:3", "p p"]);
}

#[test]
fn a_directory_that_is_there_keeps_its_owner_and_mode() {
    assert_eq!(over(&["d:1777:0:0 tmp"], &["d:700:5:5 tmp", "f tmp/x y"]), ["d:1777:0:0 tmp", "f tmp/x y"]);
}

#[test]
fn an_imposed_directory_changes_owner_and_mode() {
    assert_eq!(over(&["d:1777:0:0 tmp"], &["d!:700:5:5 tmp"]), ["d:700:5:5 tmp"]);
}

#[test]
fn a_link_over_a_directory_takes_what_is_in_it_along() {
    assert_eq!(
        over(&["d bin", "f bin/a x", "d bin/sub", "f bin/sub/b y"], &["d usr", "l bin usr/bin"]),
        ["l bin usr/bin", "d usr", "d usr/bin", "f usr/bin/a x", "d usr/bin/sub", "f usr/bin/sub/b y"]
    );
    assert_eq!(over(&["d lib"], &["l lib nowhere"]), ["l lib nowhere"]);
}

#[test]
fn a_link_over_a_directory_that_leads_into_itself_is_refused() {
    assert_eq!(reason(&["d a", "f a/x y"], &["l a a/b"]), Reason::DifferentKinds);
}

#[test]
fn nothing_else_takes_the_place_of_a_directory() {
    assert_eq!(reason(&["d a"], &["f a x"]), Reason::DifferentKinds);
    assert_eq!(reason(&["d a"], &["c a 1:3"]), Reason::DifferentKinds);
}

#[test]
fn a_directory_over_a_link_to_a_directory_follows_the_link() {
    assert_eq!(
        over(&["d usr", "d usr/bin", "l bin usr/bin"], &["d bin", "f bin/a x", "d bin/sub"]),
        ["l bin usr/bin", "d usr", "d usr/bin", "f usr/bin/a x", "d usr/bin/sub"]
    );
}

#[test]
fn a_different_link_over_a_link_is_a_contest() {
    let there = ["d x", "d y", "l a x"];
    assert_eq!(reason(&there, &["l a y"]), Reason::BothWantIt);
    assert_eq!(over(&there, &["l a x"]), ["l a x", "d x", "d y"]);
}

#[test]
fn a_file_over_a_link_to_a_directory_is_a_contest() {
    assert_eq!(reason(&["d x", "l a x"], &["f a y"]), Reason::BothWantIt);
}

#[test]
fn a_directory_over_a_link_to_a_file_is_refused() {
    assert_eq!(reason(&["f x y", "l a x"], &["d a"]), Reason::DifferentKinds);
    assert_eq!(reason(&["l a b", "l b a"], &["d a"]), Reason::DifferentKinds);
}

#[test]
fn a_link_or_file_over_a_link_to_a_file_is_a_contest() {
    assert_eq!(reason(&["f x y", "l a x"], &["l a z"]), Reason::BothWantIt);
    assert_eq!(reason(&["f x y", "l a x"], &["f a y"]), Reason::BothWantIt);
}

#[test]
fn a_directory_over_a_link_to_nothing_is_made_where_it_leads() {
    assert_eq!(
        over(&["l var/run ../run"], &["d var/run", "f var/run/x y"]),
        ["d run", "f run/x y", "d var", "l var/run ../run"]
    );
}

#[test]
fn a_link_or_file_over_a_link_to_nothing_is_a_contest() {
    assert_eq!(reason(&["l a x"], &["l a z"]), Reason::BothWantIt);
    assert_eq!(reason(&["l a x"], &["f a y"]), Reason::BothWantIt);
}

#[test]
fn a_directory_over_a_file_is_refused() {
    assert_eq!(reason(&["f a x"], &["d a"]), Reason::DifferentKinds);
}

#[test]
fn a_link_over_a_file_is_a_contest() {
    assert_eq!(reason(&["f a x"], &["l a b"]), Reason::BothWantIt);
}

#[test]
fn files_that_differ_in_content_mode_or_owner_are_a_contest() {
    assert_eq!(over(&["f a x"], &["f a x"]), ["f a x"]);
    assert_eq!(reason(&["f a x"], &["f a y"]), Reason::BothWantIt);
    assert_eq!(reason(&["f a x"], &["f:755 a x"]), Reason::BothWantIt);
    assert_eq!(reason(&["f a x"], &["f:644:1:0 a x"]), Reason::BothWantIt);
    assert_eq!(reason(&["c a 1:3"], &["c a 1:5"]), Reason::BothWantIt);
    assert_eq!(reason(&["c a 1:3"], &["b a 1:3"]), Reason::BothWantIt);
    assert_eq!(over(&["c a 1:3"], &["c a 1:3"]), ["c a 1:3"]);
}

#[test]
fn a_conflict_names_both_sides() {
    let found = conflicts(merged(&[("one", &["f a x"]), ("two", &["f a y"])], &MergePolicy::new()));
    assert_eq!(
        found[0].to_string(),
        "file `/a` of package `two` 1 meets a different file of package `one` 1"
    );
}

#[test]
fn all_conflicts_of_a_layer_are_told_at_once() {
    let result =
        merged(&[("one", &["f a x", "f b x", "f c x"]), ("two", &["f a y", "f c y"])], &MergePolicy::new());
    let paths: Vec<_> = conflicts(result).into_iter().map(|conflict| conflict.path).collect();
    assert_eq!(paths, [path("a"), path("c")]);
}

#[test]
fn the_replacing_package_wins_whichever_comes_first() {
    let mut policy = MergePolicy::new();
    policy.replaces("new", "old");
    let (old, new): (&[&str], &[&str]) = (&["f a old"], &["f a new"]);
    assert_eq!(listing(&merged(&[("old", old), ("new", new)], &policy).unwrap()), ["f a new"]);
    assert_eq!(listing(&merged(&[("new", new), ("old", old)], &policy).unwrap()), ["f a new"]);
    assert_eq!(conflicts(merged(&[("old", old), ("third", new)], &policy)).len(), 1);
}

#[test]
fn what_one_package_has_at_a_path_can_wait_elsewhere() {
    let mut policy = MergePolicy::new();
    policy.delay(path("bin/sh"), path("bin/sh.new"), "dash");
    let layers: &[(&str, &[&str])] =
        &[("dash", &["f bin/sh dash", "h bin/dash bin/sh"]), ("bash", &["f bin/sh bash"])];
    assert_eq!(
        listing(&merged(layers, &policy).unwrap()),
        ["d bin", "h bin/dash bin/sh.new", "f bin/sh bash", "f bin/sh.new dash"]
    );
    // What configuring changed was found where it is.
    let configured = layer(&Provenance::Configure("step".into()), &["f bin/sh found"]);
    let tree = merged(layers, &policy).unwrap().merge(&configured, &policy).unwrap();
    assert!(listing(&tree).contains(&"f bin/sh found".to_owned()));
}

#[test]
fn a_replaceable_path_gives_way_with_all_below_it() {
    let mut policy = MergePolicy::new();
    policy.replaceable(path("etc"));
    let layers: &[(&str, &[&str])] = &[("one", &["f etc/x/a 1", "f b 1"]), ("two", &["f etc/x/a 2"])];
    assert_eq!(listing(&merged(layers, &policy).unwrap()), ["f b 1", "d etc", "d etc/x", "f etc/x/a 2"]);
    assert_eq!(conflicts(merged(&[("one", &["f b 1"]), ("two", &["f b 2"])], &policy)).len(), 1);
}

#[test]
fn the_overlay_replaces_files_and_says_so() {
    let tree = Tree::new().merge(&layer(&package("one"), &["f a x"]), &MergePolicy::new()).unwrap();
    let tree =
        tree.merge(&layer(&Provenance::Overlay("overlay".into()), &["f a y"]), &MergePolicy::new()).unwrap();
    assert_eq!(listing(&tree), ["f a y"]);
    assert_eq!(tree.why(&path("a")), Ok(&Provenance::Overlay("overlay".into())));
}

#[test]
fn of_two_entries_in_one_layer_the_later_counts() {
    assert_eq!(over(&["f a x", "f a y"], &[]), ["f a y"]);
}

#[test]
fn directories_nobody_named_are_heard_from_later() {
    assert_eq!(
        over(&["f var/lib/x y"], &["d:2775:0:50 var/lib"]),
        ["d var", "d:2775:0:50 var/lib", "f var/lib/x y"]
    );
    let moved: &[(&str, &[&str])] =
        &[("one", &["f lib/x/a y"]), ("two", &["l lib usr/lib"]), ("three", &["d:700:0:0 usr/lib/x"])];
    assert_eq!(
        listing(&merged(moved, &MergePolicy::new()).unwrap()),
        ["l lib usr/lib", "d usr", "d usr/lib", "d:700:0:0 usr/lib/x", "f usr/lib/x/a y"]
    );
    // Who named it first is heard, though.
    assert_eq!(over(&["d:700:0:0 var"], &["d:755:0:0 var"]), ["d:700:0:0 var"]);
}

#[test]
fn a_file_where_a_directory_is_needed_is_told() {
    assert!(matches!(reason(&["f a x"], &["f a/b y"]), Reason::Parent(_)));
    assert!(matches!(reason(&["l a b", "l b a"], &["f a/b y"]), Reason::Parent(_)));
}

#[test]
fn removals_come_first_and_take_what_is_below() {
    assert_eq!(over(&["d a", "f a/b x", "f c x"], &["f a now a file", "- a"]), ["f a now a file", "f c x"]);
    assert_eq!(reason(&["f c x"], &["- a"]), Reason::NothingToRemove);
}

#[test]
fn a_hard_link_leads_to_an_entry_that_is_none() {
    let tree = merged(&[("one", &["f a x", "h b a", "h c b"])], &MergePolicy::new()).unwrap();
    assert_eq!(listing(&tree), ["f a x", "h b a", "h c a"]);
    assert_eq!(reason(&[], &["h b a"]), Reason::LinkTarget(path("a")));
    assert_eq!(reason(&["d a"], &["h b a"]), Reason::LinkTarget(path("a")));
    assert_eq!(reason(&[], &["h a a"]), Reason::LinkTarget(path("a")));
    assert_eq!(over(&["f a x"], &["h a a"]), ["f a x"]);
    let linked =
        Tree::new().merge(&layer(&package("one"), &["f a x", "h b a"]), &MergePolicy::new()).unwrap();
    let back = layer(&Provenance::Overlay("overlay".into()), &["h a b"]);
    assert_eq!(listing(&linked.merge(&back, &MergePolicy::new()).unwrap()), ["f a x", "h b a"]);
}

#[test]
fn a_hard_link_to_equal_content_is_no_conflict_and_the_overlay_may_make_one() {
    assert_eq!(over(&["f a x", "f b x"], &["f c x", "h b c"]), ["f a x", "f b x", "f c x"]);
    let tree = merged(&[("one", &["f a x", "f b x"])], &MergePolicy::new()).unwrap();
    let tree =
        tree.merge(&layer(&Provenance::Overlay("overlay".into()), &["h b a"]), &MergePolicy::new()).unwrap();
    assert_eq!(listing(&tree), ["f a x", "h b a"]);
}

#[test]
fn hard_links_follow_the_merged_usr() {
    assert_eq!(
        over(&["d usr", "d usr/bin", "l bin usr/bin"], &["f bin/a x", "h bin/b bin/a"]),
        ["l bin usr/bin", "d usr", "d usr/bin", "f usr/bin/a x", "h usr/bin/b usr/bin/a"]
    );
}

#[test]
fn replacing_one_name_of_a_file_leaves_the_others_what_they_were() {
    let tree = merged(&[("one", &["f:755 a x", "h b a", "h c a"])], &MergePolicy::new()).unwrap();
    let tree =
        tree.merge(&layer(&Provenance::Overlay("overlay".into()), &["f a y"]), &MergePolicy::new()).unwrap();
    assert_eq!(listing(&tree), ["f a y", "f:755:0:0 b x", "h c b"]);
    let tree =
        tree.merge(&layer(&Provenance::Overlay("overlay".into()), &["- b"]), &MergePolicy::new()).unwrap();
    assert_eq!(listing(&tree), ["f a y", "f:755:0:0 c x"]);
}

#[test]
fn hard_links_move_along_with_their_directory() {
    assert_eq!(
        over(&["d lib", "f lib/a x", "h lib/b lib/a", "h out lib/a"], &["d usr", "l lib usr/lib"]),
        ["l lib usr/lib", "h out usr/lib/a", "d usr", "d usr/lib", "f usr/lib/a x", "h usr/lib/b usr/lib/a"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_merged_parents_are_directories_and_links_have_targets(
        layers in proptest::collection::vec(any_lines(), 1..4),
    ) {
        let mut policy = MergePolicy::new();
        policy.replaceable(path("."));
        let mut tree = Tree::new();
        for (number, lines) in layers.iter().enumerate() {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            match tree.clone().merge(&layer(&package(&number.to_string()), &lines), &policy) {
                Ok(merged) => tree = merged,
                Err(Error::Conflicts(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        for (at, entry) in tree.iter() {
            if let Some(parent) = at.parent() {
                prop_assert!(tree.get(&parent).is_some_and(|parent| parent.is_directory()), "{:?}", listing(&tree));
            }
            if let mkimage_tree::Kind::Hardlink(target) = &entry.kind {
                let end = tree.get(target);
                prop_assert!(
                    end.is_some_and(|end| !end.is_directory() && !matches!(end.kind, mkimage_tree::Kind::Hardlink(_))),
                    "{:?}", listing(&tree)
                );
            }
        }
    }

    #[test]
    fn merging_a_layer_without_symbolic_links_twice_is_merging_it_once(mut lines in any_lines()) {
        // With them it need not be: a directory may come before the link that it is later moved through.
        lines.retain(|line| !line.starts_with('l'));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let layer = layer(&package("one"), &lines);
        if let Ok(once) = Tree::new().merge(&layer, &MergePolicy::new()) {
            let twice = once.clone().merge(&layer, &MergePolicy::new()).unwrap();
            prop_assert_eq!(listing(&once), listing(&twice));
        }
    }
}
