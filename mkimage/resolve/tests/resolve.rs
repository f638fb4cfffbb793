//! What is chosen, and why, from small archives written down line by line.

use mkimage_deb::{Relations, Sha256};
use mkimage_resolve::{
    Because, Forbidden, PackageIndex, Request, Role, Selection, Unsatisfiable, Wanted, resolve,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Makes an index of lines such as `app 1 | Depends: library (>= 2) | Essential: yes`.
fn index(text: &str) -> PackageIndex {
    let mut packages = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(" | ").map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: Vec<&str> = parts.collect();
        let digest = Sha256::of(line.as_bytes());
        packages += &format!("Package: {name}\nVersion: {version}\nFilename: pool/{name}_{version}.deb\n");
        packages += &format!("Size: 10\nSHA256: {digest}\n");
        if !fields.iter().any(|field| field.starts_with("Architecture:")) {
            packages += "Architecture: amd64\n";
        }
        // A bar within a field is written as `||` in these lines.
        fields.iter().for_each(|field| packages += &format!("{}\n", field.replace("||", "|")));
        packages += "\n";
    }
    PackageIndex::parse(packages).unwrap()
}

fn request(packages: &[&str]) -> Request {
    let packages = packages.iter().map(|name| Wanted::parse(name)).collect();
    Request { packages, ..Request::new("test", "amd64") }
}

fn names(selection: &Selection) -> Vec<String> {
    selection.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect()
}

#[track_caller]
fn assert_chosen(archive: &str, wanted: &[&str], expected: &[&str]) {
    match resolve(&request(wanted), &index(archive)) {
        Ok(selection) => assert_eq!(names(&selection), expected),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn refusal(archive: &str, wanted: &[&str]) -> String {
    let error = resolve(&request(wanted), &index(archive)).unwrap_err();
    format!("{error}\n{}", error.reasons().unwrap_or_default())
}

#[test]
fn a_package_comes_with_all_it_depends_on_and_nothing_else() {
    let archive = "
        app 1 | Depends: library, tool | Recommends: extra
        library 2 | Pre-Depends: base
        tool 1
        base 1
        extra 1
        other 1";
    let selection = resolve(&request(&["app"]), &index(archive)).unwrap();
    assert_eq!(names(&selection), ["app 1", "base 1", "library 2", "tool 1"]);
    let because: Vec<String> = selection.packages.iter().map(|p| p.because.to_string()).collect();
    assert_eq!(because, ["requested", "needed by library", "needed by app", "needed by app"]);
    assert_eq!(selection.packages[2].filename, "pool/library_2.deb");
}

#[test]
fn the_reason_given_is_the_dependent_nearest_to_the_request() {
    let archive = "
        a 1 | Depends: middle
        middle 1 | Depends: library
        z 1 | Depends: library
        library 1";
    let selection = resolve(&request(&["a", "z"]), &index(archive)).unwrap();
    let library = selection.packages.iter().find(|p| p.name == "library").unwrap();
    assert_eq!(library.because, Because::NeededBy("z".into()));
}

#[test]
fn cycles_of_dependencies_are_no_trouble() {
    assert_chosen("a 1 | Depends: b\nb 1 | Depends: c\nc 1 | Depends: a", &["a"], &["a 1", "b 1", "c 1"]);
}

#[test]
fn the_first_alternative_is_taken_if_it_can_be() {
    let archive = "app 1 | Depends: first || second\nfirst 1\nsecond 1";
    assert_chosen(archive, &["app"], &["app 1", "first 1"]);
    assert_chosen(archive, &["app", "second"], &["app 1", "second 1"]);
    assert_chosen("app 1 | Depends: absent || second\nsecond 1", &["app"], &["app 1", "second 1"]);
    let broken = "app 1 | Depends: first || second\nfirst 1 | Depends: absent\nsecond 1";
    assert_chosen(broken, &["app"], &["app 1", "second 1"]);
}

#[test]
fn the_newest_version_within_the_bounds_is_taken() {
    let archive = "app 1 | Depends: library (<< 3)\nlibrary 1\nlibrary 2.10\nlibrary 2.9\nlibrary 3";
    assert_chosen(archive, &["app"], &["app 1", "library 2.10"]);
    assert_chosen(archive, &["library"], &["library 3"]);
    assert_chosen(archive, &["library=2.9"], &["library 2.9"]);
}

#[test]
fn an_old_version_that_is_preferred_is_kept_while_it_fits() {
    let archive = index("app 1 | Depends: library\nlibrary 1\nlibrary 2\npicky 1 | Depends: library (>= 2)");
    let preferring = |version: &str, wanted: &[&str]| {
        let preferred = BTreeMap::from([("library".to_owned(), version.to_owned())]);
        names(&resolve(&Request { preferred, ..request(wanted) }, &archive).unwrap())
    };
    assert_eq!(preferring("1", &["app"]), ["app 1", "library 1"]);
    assert_eq!(preferring("0.9", &["app"]), ["app 1", "library 2"]);
    assert_eq!(preferring("1", &["app", "picky"]), ["app 1", "library 2", "picky 1"]);
}

#[test]
fn a_virtual_name_is_met_by_the_provider_of_the_highest_priority_then_by_name() {
    let archive = "
        app 1 | Depends: awk
        gawk 1 | Provides: awk | Priority: optional
        mawk 1 | Provides: awk | Priority: required
        oawk 1 | Provides: awk | Priority: required";
    assert_chosen(archive, &["app"], &["app 1", "mawk 1"]);
    assert_chosen(archive, &["app", "gawk"], &["app 1", "gawk 1"]);
    let selection = resolve(&request(&["awk"]), &index(archive)).unwrap();
    assert_eq!(selection.packages[0].because, Because::RequestedAs("awk".into()));
}

#[test]
fn a_provider_that_was_chosen_before_stays() {
    let archive = index("gawk 1 | Provides: awk\nmawk 1 | Provides: awk | Priority: required");
    let preferred = BTreeMap::from([("gawk".to_owned(), "0.9".to_owned())]);
    let selection = resolve(&Request { preferred, ..request(&["awk"]) }, &archive).unwrap();
    assert_eq!(names(&selection), ["gawk 1"]);
}

#[test]
fn a_real_package_comes_before_those_that_provide_its_name() {
    assert_chosen("app 1 | Depends: x\nother 1 | Provides: x\nx 1", &["app"], &["app 1", "x 1"]);
}

#[test]
fn a_bound_on_a_virtual_name_needs_a_provided_version_within_it() {
    let archive = "
        app 1 | Depends: api (>= 2)
        none 9 | Provides: api
        old 9 | Provides: api (= 1)
        right 1 | Provides: other, api (= 2.1)";
    assert_chosen(archive, &["app"], &["app 1", "right 1"]);
    let without = refusal("app 1 | Depends: api (>= 2)\nnone 9 | Provides: api", &["app"]);
    assert!(without.contains("api"), "{without}");
}

#[test]
fn what_conflicts_is_not_chosen_together() {
    let archive = "
        app 1 | Depends: first || second
        first 1 | Conflicts: enemy
        second 1
        enemy 1";
    assert_chosen(archive, &["app", "enemy"], &["app 1", "enemy 1", "second 1"]);
    let error = refusal(archive, &["first", "enemy"]);
    assert!(error.contains("first 1") && error.contains("enemy"), "{error}");
}

#[test]
fn a_break_with_a_bound_concerns_only_those_versions() {
    let archive = "new 2 | Breaks: old (<< 2)\nold 1\nold 2";
    assert_chosen(archive, &["new", "old"], &["new 2", "old 2"]);
    let error = refusal("new 2 | Breaks: old (<< 2)\nold 1", &["new", "old"]);
    assert!(error.contains("outside (<< 2)"), "{error}");
}

#[test]
fn a_conflict_with_a_virtual_name_concerns_the_others_that_provide_it() {
    let archive = "
        exim 1 | Provides: mta | Conflicts: mta
        postfix 1 | Provides: mta | Conflicts: mta
        app 1 | Depends: mta";
    assert_chosen(archive, &["app", "postfix"], &["app 1", "postfix 1"]);
    let error = refusal(archive, &["exim", "postfix"]);
    assert!(error.contains("exim") && error.contains("postfix"), "{error}");
}

#[test]
fn essential_packages_come_along_when_they_are_wanted() {
    let archive = index("app 1\nbase 1 | Essential: yes | Depends: library\nlibrary 1");
    assert_eq!(names(&resolve(&request(&["app"]), &archive).unwrap()), ["app 1"]);
    let selection = resolve(&Request { essential: true, ..request(&["app"]) }, &archive).unwrap();
    assert_eq!(names(&selection), ["app 1", "base 1", "library 1"]);
    assert_eq!(selection.packages[1].because, Because::Essential);
}

#[test]
fn a_forbidden_package_is_gone_around() {
    let archive = index(
        "udev 1 | Depends: systemd || systemd-standalone-sysusers\nsystemd 1\nsystemd-standalone-sysusers 1",
    );
    let image = Request { packages: vec![Wanted::any("udev")], ..Request::image("test", "amd64") };
    assert_eq!(names(&resolve(&image, &archive).unwrap()), ["systemd-standalone-sysusers 1", "udev 1"]);
    let tools = request(&["udev"]);
    assert_eq!(names(&resolve(&tools, &archive).unwrap()), ["systemd 1", "udev 1"]);
}

#[test]
fn a_forbidden_package_that_nothing_gets_around_is_told_with_the_chain() {
    let archive = index("app 1 | Depends: session\nsession 1 | Depends: systemd\nsystemd 1");
    let image = |name| Request { packages: vec![Wanted::any(name)], ..Request::image("test", "amd64") };
    let error = resolve(&image("app"), &archive).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the package `systemd` must not be part of this image, but `app` needs `session` needs `systemd`"
    );
    assert_eq!(error.subject(), Some("app"));
    assert!(error.help().unwrap().contains("`systemd-standalone-sysusers`"));
    let asked = resolve(&image("systemd"), &archive).unwrap_err();
    assert!(asked.to_string().contains("is asked for"), "{asked}");
}

#[test]
fn any_other_package_can_be_forbidden_too() {
    let archive = index("app 1 | Depends: vim || nano\nvim 1\nnano 1");
    let forbidden = vec![Forbidden { name: "vim".into(), help: "because".into() }];
    let request = Request { forbidden, ..request(&["app"]) };
    assert_eq!(names(&resolve(&request, &archive).unwrap()), ["app 1", "nano 1"]);
}

#[test]
fn the_files_of_a_package_come_without_what_it_depends_on() {
    let archive = index("kernel 6 | Depends: initramfs-tools\ninitramfs-tools 1\napp 1");
    let request = Request { files_only: vec![Wanted::any("kernel")], ..request(&["app"]) };
    let selection = resolve(&request, &archive).unwrap();
    assert_eq!(names(&selection), ["app 1", "kernel 6"]);
    let kernel = &selection.packages[1];
    assert_eq!((kernel.role, &kernel.because), (Role::FilesOnly, &Because::Requested));
}

#[test]
fn a_package_without_contents_stands_for_the_one_it_depends_on() {
    let archive = index(
        "linux-image 6.12.2 | Depends: linux-image-6.12.2 (= 6.12.2) | Installed-Size: 13
         linux-image-6.12.2 6.12.2 | Depends: kmod
         full 1 | Depends: linux-image-6.12.2 (= 6.12.2) | Installed-Size: 5000",
    );
    let chosen = |name| {
        let request = Request { files_only: vec![Wanted::any(name)], ..request(&[]) };
        resolve(&request, &archive).unwrap().packages
    };
    let [kernel] = &chosen("linux-image")[..] else { panic!("one package is expected") };
    assert_eq!((kernel.name.as_str(), kernel.role), ("linux-image-6.12.2", Role::FilesOnly));
    assert_eq!(kernel.because, Because::RequestedAs("linux-image".into()));
    assert_eq!(chosen("full")[0].name, "full");
}

#[test]
fn a_package_that_is_wanted_whole_is_not_only_its_files() {
    let request = Request { files_only: vec![Wanted::any("tool")], ..request(&["app"]) };
    let selection = resolve(&request, &index("app 1 | Depends: tool\ntool 1")).unwrap();
    assert_eq!(selection.packages[1].role, Role::Normal);
}

#[test]
fn qualifiers_of_architectures_are_honoured() {
    let archive = |multi_arch: &str| format!("app 1 | Depends: tool:any\ntool 1 | Multi-Arch: {multi_arch}");
    assert_chosen(&archive("allowed"), &["app"], &["app 1", "tool 1"]);
    let error = refusal(&archive("foreign"), &["app"]);
    assert!(error.contains("tool"), "{error}");
    assert_chosen("app 1 | Depends: tool:amd64\ntool 1", &["app"], &["app 1", "tool 1"]);
    assert!(refusal("app 1 | Depends: tool:arm64\ntool 1", &["app"]).contains("tool"));
    assert_chosen("app 1 | Depends: tool [arm64], x [amd64]\ntool 1\nx 1", &["app"], &["app 1", "x 1"]);
}

#[test]
fn packages_of_other_architectures_do_not_count() {
    let archive = "data 1 | Architecture: all\ntool 2 | Architecture: arm64\ntool 1";
    assert_chosen(archive, &["data", "tool"], &["data 1", "tool 1"]);
}

#[test]
fn a_name_that_nothing_answers_to_is_told_with_one_that_is_similar() {
    let error = resolve(&request(&["openssh-srver"]), &index("openssh-server 1\ndash 1")).unwrap_err();
    assert_eq!(error.to_string(), "no package named `openssh-srver` in suite `test`");
    assert_eq!(error.help().as_deref(), Some("a package with a similar name exists: `openssh-server`"));
    assert_eq!(error.subject(), Some("openssh-srver"));
}

#[test]
fn a_version_that_does_not_exist_is_told_with_those_that_do() {
    let error = resolve(&request(&["dash=3"]), &index("dash 1\ndash 2")).unwrap_err();
    assert_eq!(error.to_string(), "no version `3` of package `dash`");
    assert!(error.help().unwrap().contains("`1`, `2`"));
}

#[test]
fn a_dependency_that_does_not_exist_is_named_with_its_dependent() {
    let error =
        resolve(&request(&["app"]), &index("app 1 | Depends: library (>= 2)\nlibrary 1")).unwrap_err();
    let text = error.reasons().unwrap_or_default();
    assert!(matches!(error, Unsatisfiable::Conflict { .. }));
    assert!(text.contains("app 1") && text.contains("library (>= 2)"), "{text}");
}

#[test]
fn a_virtual_name_has_no_files_of_its_own() {
    let request = Request { files_only: vec![Wanted::any("awk")], ..request(&[]) };
    let error = resolve(&request, &index("mawk 1 | Provides: awk")).unwrap_err();
    assert_eq!(error, Unsatisfiable::OnlyProvided { name: "awk".into() });
}

#[test]
fn names_that_cannot_be_met_are_told_alone_or_in_twos() {
    let archive = "a 1 | Depends: gone\nb 1 | Conflicts: c\nc 1\nd 1\ne 1 | Depends: x\nf 1 | Depends: y\n\
                   x 1 | Conflicts: y\ny 1";
    let told = |names: &[&str]| resolve(&request(names), &index(archive)).unwrap_err();
    let error = told(&["d", "a"]);
    assert_eq!((error.to_string().as_str(), error.subject()), ("`a` cannot be installed", Some("a")));
    assert!(error.reasons().unwrap().contains("gone") && error.help().is_some());
    let error = told(&["d", "b", "c"]);
    assert_eq!(error.to_string(), "`c` cannot be installed together with `b`");
    let error = told(&["d", "e", "f"]);
    assert_eq!(error.to_string(), "`f` cannot be installed together with `e`");
    assert!(error.reasons().unwrap().contains('x'));
}

#[test]
fn a_forbidden_package_is_told_also_where_what_stands_in_for_it_excludes_it() {
    let archive =
        "parts 1 | Conflicts: systemd\nsystemd 1\nclock 1 | Depends: systemd\nother 1 | Conflicts: parts";
    let wanted = Request { forbidden: vec![Forbidden::systemd()], ..request(&["clock", "parts"]) };
    let error = resolve(&wanted, &index(archive)).unwrap_err();
    let text = "the package `systemd` must not be part of this image, but `clock` needs `systemd`";
    assert_eq!((error.to_string().as_str(), error.subject()), (text, Some("clock")));

    // Where something else is to blame, it is not blamed.
    let wanted = Request { forbidden: vec![Forbidden::systemd()], ..request(&["other", "parts"]) };
    let error = resolve(&wanted, &index(archive)).unwrap_err();
    assert_eq!(error.to_string(), "`parts` cannot be installed together with `other`");
}

/// One line of an index: a package that depends on, provides and conflicts with others.
fn any_package() -> impl Strategy<Value = String> {
    let name = || "[a-h]";
    let bound = || prop::sample::select(vec!["", " (>= 2)", " (<< 2)", " (= 1)"]);
    let relation = move || (name(), bound()).prop_map(|(name, bound)| format!("{name}{bound}"));
    let group = move || prop::collection::vec(relation(), 1..3).prop_map(|group| group.join(" || "));
    let field = |title: &'static str, values: Vec<String>| match values.is_empty() {
        true => String::new(),
        false => format!(" | {title}: {}", values.join(", ")),
    };
    let depends = prop::collection::vec(group(), 0..3);
    let conflicts = prop::collection::vec(relation(), 0..2);
    let provides = prop::collection::vec("[f-k]", 0..2);
    (name(), 1..4_u8, depends, conflicts, provides).prop_map(
        move |(name, version, depends, conflicts, provides)| {
            let (depends, conflicts) = (field("Depends", depends), field("Conflicts", conflicts));
            format!("{name} {version}{depends}{conflicts}{}", field("Provides", provides))
        },
    )
}

/// Finds what is wrong with a selection, by a rule of its own for each kind of relation.
fn flaw(selection: &Selection, archive: &PackageIndex) -> Option<String> {
    let of = |name: &str, version: &str| archive.named(name).find(|p| p.version() == version);
    let chosen: Vec<_> = selection
        .packages
        .iter()
        .map(|p| of(&p.name, p.version.as_str()).expect("it is in the archive"))
        .collect();
    let meant = |relation: &mkimage_deb::Relation<'_>, package: &mkimage_deb::Package<'_>| {
        let provided = package.provides().split(", ").any(|name| name == relation.name);
        (package.name() == relation.name && relation.admits(package.version()))
            || (package.name() != relation.name && relation.bound.is_none() && provided)
    };
    for package in &chosen {
        for group in Relations::parse(package.depends()).unwrap().groups {
            if !group.iter().any(|relation| chosen.iter().any(|other| meant(relation, other))) {
                return Some(format!("{package:?} lacks {group:?}"));
            }
        }
        for relation in Relations::parse(package.conflicts()).unwrap().groups.iter().flatten() {
            if let Some(other) = chosen.iter().find(|o| o.name() != package.name() && meant(relation, o)) {
                return Some(format!("{package:?} is chosen beside {other:?}"));
            }
        }
    }
    None
}

proptest! {
    #[test]
    fn a_selection_meets_every_relation_and_is_always_the_same(lines in prop::collection::vec(any_package(), 1..14)) {
        let mut lines = lines;
        lines.sort();
        lines.dedup_by_key(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
        let archive = index(&lines.join("\n"));
        let wanted = request(&["a", "b"]);
        let first = resolve(&wanted, &archive);
        prop_assert_eq!(&first, &resolve(&wanted, &archive));
        if let Ok(selection) = first {
            prop_assert_eq!(flaw(&selection, &archive), None);
        }
    }
}
