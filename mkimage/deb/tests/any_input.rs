//! Whatever comes in, the readers give a value or an error; they never panic, and errors point into the text.

use mkimage_deb::control::{Item, Scanner, Stanza};
use mkimage_deb::{Deb, PackageIndex, Relation, Relations, Release, Version};
use proptest::prelude::*;

/// Text that has the characters that matter more often than chance would.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "([A-C]{0,2}[: \t|,()\\[\\]<>=~!#é0-9]{0,4}\n?){0,12}",
        "(Package: a\n|Version: 1\n|Architecture: all\n|Filename: [a./]{1,4}\n|Size: [0-9x]\n|SHA256: [0a]{64}\n|Provides: [a,( é=1)]{0,9}\n|\n| .\n){0,20}",
    ]
}

/// Bytes that begin like a package and go on in any way.
fn any_deb() -> impl Strategy<Value = Vec<u8>> {
    let header = |name: &str, size: &str| format!("{name:<16}{:<32}{size:<10}`\n", "").into_bytes();
    let name = prop::sample::select(vec![
        "debian-binary",
        "control.tar",
        "control.tar.xz",
        "data.tar.gz",
        "_x",
        "data.tar.zst",
    ]);
    let member = (name, "[0-9]{1,3}", prop::collection::vec(any::<u8>(), 0..90)).prop_map(
        move |(name, size, body)| {
            let mut member = header(name, &size);
            member.extend(body);
            member
        },
    );
    prop::collection::vec(member, 0..5).prop_map(|members| {
        let mut bytes =
            b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n".to_vec();
        bytes.extend(members.concat());
        bytes
    })
}

proptest! {
    #[test]
    fn control_data_of_any_kind_is_read_or_refused(text in any_text()) {
        for item in Scanner::new(&text).flatten() {
            if let Item::Field(field) = item {
                prop_assert!(text[field.offset..].starts_with(field.name));
            }
        }
        if let Err(error) = Stanza::all(&text) {
            let (line, column) = error.position(&text);
            prop_assert!(line >= 1 && column >= 1 && line <= text.lines().count() + 1);
        }
    }

    #[test]
    fn an_index_of_any_kind_is_read_or_refused_and_its_reduced_form_alike(text in any_text()) {
        match (PackageIndex::parse(text.clone()), PackageIndex::reduced(&text)) {
            (Ok(index), Ok(reduced)) => {
                let again = PackageIndex::parse(reduced).unwrap();
                let of = |index: &PackageIndex| index.packages().map(|p| format!("{p:?} {}", p.provides())).collect::<Vec<_>>();
                prop_assert_eq!(of(&index), of(&again));
                for package in index.packages() {
                    prop_assert!(index.named(package.name()).any(|p| p.number() == package.number()));
                }
            }
            (Err(error), Err(other)) => prop_assert_eq!(error, other),
            (index, reduced) => prop_assert!(false, "{} {}", index.is_ok(), reduced.is_ok()),
        }
    }

    #[test]
    fn relations_versions_and_releases_of_any_kind_are_read_or_refused(text in any_text()) {
        if let Ok(relations) = Relations::parse(&text) {
            let printed = relations.to_string();
            prop_assert_eq!(Relations::parse(&printed).unwrap().to_string(), printed);
        }
        let _ = (Relation::parse(&text), text.parse::<Version>(), Release::parse(&text));
    }

    #[test]
    fn a_package_of_any_bytes_is_read_or_refused(bytes in any_deb()) {
        if let Ok(deb) = Deb::open(&bytes[..]) {
            let _ = deb.control_members();
            let _ = deb.copy_data_tar(&mut Vec::new());
        }
    }
}
