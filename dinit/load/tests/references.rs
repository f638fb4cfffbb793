//! Who names whom, in directories with services.

use std::fs;

use dinit_service::NoVariables;

use dinit_load::references::{Named, Reference, available, walk};
use dinit_load::{Identity, Loader, SystemHost};

fn with_services<T>(files: &[(&str, &str)], look: impl FnOnce(&Loader<'_>) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let host = SystemHost::new();
    let directories = [directory.path().to_str().unwrap().as_bytes().to_vec()];
    let loader = Loader {
        host: &host,
        directories: &directories,
        variables: &NoVariables,
        identity: Identity::default(),
    };
    look(&loader)
}

fn shown(named: &Named) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let of = |reference: &Reference| format!(" {}={}", reference.role.setting(), text(&reference.name));
    let references: String = named.references.iter().map(of).collect();
    let problem = named.problem.as_ref().map(|problem| format!(" ({})", text(problem)));
    format!("{}{references}{}", text(&named.name), problem.unwrap_or_default())
}

#[test]
fn all_ways_of_naming_a_service_are_found_and_followed_but_chaining() {
    let files = [
        ("boot", "depends-on = a\nwaits-for.d = boot.d\nchain-to = next\nafter = a\n"),
        ("boot.d/b@x", ""),
        ("a", "depends-ms = b\nprepared-by = gone\nbefore = boot\nconsumer-of = b\n"),
        ("b", "comand = /bin/true\nwaits-for = a\n"),
    ];
    let walked = with_services(&files, |loader| walk(loader, &[b"boot".to_vec()], &|_| true));
    let walked: Vec<String> = walked.iter().map(shown).collect();
    assert_eq!(
        walked,
        [
            "boot depends-on=a waits-for=b@x after=a chain-to=next",
            "a depends-ms=b prepared-by=gone before=boot consumer-of=b",
            "b@x waits-for=a (unknown setting: 'comand'.)",
            "b waits-for=a (unknown setting: 'comand'.)",
            "gone (service description not found)",
        ]
    );
}

#[test]
fn only_what_is_wanted_is_followed() {
    let files = [("boot", "depends-on = a\ndepends-on = b\n"), ("a", ""), ("b", "")];
    let follows = |name: &[u8]| name == b"b";
    let walked = with_services(&files, |loader| walk(loader, &[b"boot".to_vec()], &follows));
    let names: Vec<&[u8]> = walked.iter().map(|named| named.name.as_slice()).collect();
    assert_eq!(names, [b"boot".as_slice(), b"b"]);
}

#[test]
fn services_that_name_ever_new_ones_come_to_an_end() {
    let files = [("x", "depends-on = x@${1-}a\n")];
    let walked = with_services(&files, |loader| walk(loader, &[b"x".to_vec()], &|_| true));
    assert_eq!(walked.len(), 34);
}

#[test]
fn available_are_the_regular_files_with_a_name_of_a_service() {
    let files = [("a", ""), ("boot.d/a", ""), (".hidden", ""), ("a@b", ""), ("@c", "")];
    let found = with_services(&files, |loader| {
        let twice = [loader.directories, loader.directories].concat();
        available(loader.host, &twice)
    });
    assert_eq!(found.keys().collect::<Vec<_>>(), [b"a"]);
}
