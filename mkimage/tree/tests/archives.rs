//! The tar reader, the tar writer, and stored layers: what goes in comes out.

mod notation;

use std::io::Write;
use std::path::PathBuf;

use mkimage_tree::{
    Blob, Content, ContentDigest, Entry, Error, Kind, Layer, MergePolicy, Provenance, Tree, TreePath, Weight,
    write_tar,
};
use notation::{any_tree, layer, listing, package, path, tree};
use proptest::prelude::*;

const EPOCH: i64 = 1_700_000_000;

/// Keeps a file's bytes in a directory that lives as long as the value.
struct Kept {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn kept(bytes: &[u8]) -> Kept {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("archive");
    std::fs::write(&path, bytes).unwrap();
    Kept { _directory: directory, path }
}

fn read_tar(bytes: &[u8]) -> Result<Layer, Error> {
    Layer::from_tar(&Blob::open(kept(bytes).path)?, &package("only"))
}

/// Writes one raw member: header fields as given, then its content.
fn member(name: &[u8], kind: u8, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o100644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

fn pax(key: &[u8], value: &[u8]) -> Vec<u8> {
    let bare = key.len() + value.len() + 3;
    let length = (bare..).find(|length| bare + length.to_string().len() == *length).unwrap();
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[test]
fn a_tree_written_as_tar_is_read_back_as_it_was() {
    let long = "d/".repeat(70) + "file";
    let long_file = format!("f {long} deep");
    let long_link = format!("l link {long}");
    let before = tree(&[
        "d:1777:0:0 tmp",
        "f:4755:0:42 bin/su content",
        "h bin/sudo bin/su",
        "f empty",
        &long_file,
        &long_link,
        "c:620:0:5 console 5:1",
        "b vda 254:0",
        "p:600:7:8 pipe",
    ]);
    let bytes = write_tar(&before, Vec::new(), EPOCH).unwrap();
    let after = Tree::standalone([&read_tar(&bytes).unwrap()], &MergePolicy::new()).unwrap();
    assert_eq!(listing(&after), listing(&before));
}

#[test]
fn the_first_name_in_a_tar_archive_brings_the_content() {
    let bytes = write_tar(&tree(&["f:755 b content", "h a b", "h c b"]), Vec::new(), EPOCH).unwrap();
    let after = Tree::standalone([&read_tar(&bytes).unwrap()], &MergePolicy::new()).unwrap();
    assert_eq!(listing(&after), ["f:755:0:0 a content", "h b a", "h c a"]);
}

#[test]
fn gnu_tar_unpacks_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    if std::process::Command::new("tar").arg("--version").output().is_err() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "tar is not on PATH");
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: tar is not on PATH").unwrap();
        return;
    }
    let long = "d/".repeat(70) + "file";
    let tree = tree(&["f:755 b content", "h a b", &format!("f {long} deep"), &format!("l link {long}")]);
    let archive = directory.path().join("archive");
    std::fs::write(&archive, write_tar(&tree, Vec::new(), EPOCH).unwrap()).unwrap();
    let status =
        std::process::Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(directory.path()).status();
    assert!(status.unwrap().success());
    let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).unwrap();
    assert_eq!((read("a"), read("b")), ("content".to_owned(), "content".to_owned()));
    assert_eq!((read(&long), read("link")), ("deep".to_owned(), "deep".to_owned()));
}

#[test]
fn attributes_may_hold_any_byte() {
    let value = b"\x01\n12 a=b\n\0\xff";
    let mut layer = Layer::new(package("only"));
    let mut entry = Entry::file("x", 0o755, package("only"));
    entry.xattrs.insert(b"security.capability".to_vec(), value.to_vec());
    layer.put(path("ping"), entry);
    let before = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let bytes = write_tar(&before, Vec::new(), EPOCH).unwrap();
    let after = Tree::standalone([&read_tar(&bytes).unwrap()], &MergePolicy::new()).unwrap();
    assert_eq!(after.get(&path("ping")).unwrap().xattrs[&b"security.capability"[..]], value);
}

#[test]
fn headers_and_extensions_tell_the_metadata() {
    let records = [pax(b"path", b"./from/pax"), pax(b"uid", b"70000"), pax(b"mtime", b"99.5")].concat();
    let bytes = archive(&[
        member(b"./a", b'0', b"", b"one"),
        member(b"PaxHeader", b'x', b"", &records),
        member(b"./b", b'0', b"", b"two"),
        member(b"./d/", b'5', b"", b""),
        member(b"comment", b'g', b"", &pax(b"comment", b"for all")),
        member(b"./old/", b'\0', b"", b""),
        member(b"././@LongLink", b'L', b"", b"./from/gnu\0"),
        member(b"./c", b'0', b"", b"three"),
    ]);
    let layer = read_tar(&bytes).unwrap();
    assert!(layer.entries()[3].1.is_directory());
    let lines: Vec<String> = layer
        .entries()
        .iter()
        .map(|(path, entry)| {
            let content = entry.content().map(|content| content.bytes().unwrap()).unwrap_or_default();
            let content = String::from_utf8(content).unwrap();
            format!("{path} {:o} {}:{} {} {content}", entry.mode, entry.uid, entry.gid, entry.mtime)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "/a 644 1:2 3 one",
            "/from/pax 644 70000:2 99 two",
            "/d 644 1:2 3 ",
            "/old 644 1:2 3 ",
            "/from/gnu 644 1:2 3 three"
        ]
    );
}

#[test]
fn names_that_may_leave_the_tree_are_refused() {
    for (name, link, kind) in [
        (&b"../a"[..], &b""[..], b'0'),
        (b"a/../../b", b"", b'0'),
        (b"/etc/passwd", b"", b'0'),
        (b"a", b"../b", b'1'),
        (b"a", b"/b", b'1'),
    ] {
        let error = read_tar(&archive(&[member(name, kind, link, b"")])).unwrap_err();
        assert!(matches!(error, Error::Path { .. }), "{error}");
    }
    // A symbolic link may say anything; it is never followed outside the tree.
    assert!(read_tar(&archive(&[member(b"a", b'2', b"/../../etc", b"")])).is_ok());
}

#[test]
fn what_is_not_supported_or_damaged_is_refused() {
    let sparse_record = pax(b"GNU.sparse.major", b"1");
    let size_record = pax(b"size", b"9");
    for (what, bytes) in [
        ("sparse", archive(&[member(b"a", b'S', b"", b"")])),
        (
            "sparse by record",
            archive(&[member(b"P", b'x', b"", &sparse_record), member(b"a", b'0', b"", b"")]),
        ),
        ("size by record", archive(&[member(b"P", b'x', b"", &size_record), member(b"a", b'0', b"", b"")])),
        ("unknown type", archive(&[member(b"a", b'Z', b"", b"")])),
        (
            "record without length",
            archive(&[member(b"P", b'x', b"", b"path=a\n"), member(b"a", b'0', b"", b"")]),
        ),
        (
            "record too long",
            archive(&[member(b"P", b'x', b"", b"99 path=a\n"), member(b"a", b'0', b"", b"")]),
        ),
        ("nothing after a record", archive(&[member(b"P", b'x', b"", &pax(b"path", b"b"))])),
        ("content cut off", member(b"a", b'0', b"", &[1; 2000])[..1500].to_vec()),
        ("header cut off", member(b"a", b'0', b"", b"")[..300].to_vec()),
        ("checksum", {
            let mut bytes = archive(&[member(b"a", b'0', b"", b"")]);
            bytes[3] = b'x';
            bytes
        }),
        ("link to nowhere", archive(&[member(b"a", b'2', b"", b"")])),
    ] {
        match read_tar(&bytes) {
            Err(Error::Input { .. } | Error::Io { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn contents_are_spans_of_the_archive() {
    let layer = read_tar(&archive(&[member(b"a", b'0', b"", b"text")])).unwrap();
    assert!(matches!(layer.entries()[0].1.content(), Some(Content::Span { offset: 512, len: 4, .. })));
}

fn layer_of_everything() -> Layer {
    let mut all = layer(
        &Provenance::Configure("ldconfig".into()),
        &[
            "- gone",
            "d:1777:5:6 tmp",
            "f tmp/a content",
            "f empty",
            "l s target",
            "h h tmp/a",
            "c c 1:3",
            "b b 254:0",
            "p p",
        ],
    );
    all.weigh(path("tmp"), Weight::Imposed).weigh(TreePath::root(), Weight::Implied);
    let mut entry = Entry::file("other", 0o600, package("pack")).changed_at(-5);
    entry.xattrs.insert(b"user.x".to_vec(), b"\0\xff".to_vec());
    all.put(TreePath::new(b"not text \xff").unwrap(), entry);
    all
}

#[test]
fn a_stored_layer_is_loaded_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("layer");
    let before = layer_of_everything();
    before.save(&file).unwrap();
    let after = Layer::load(&file).unwrap();
    assert_eq!(after.provenance(), before.provenance());
    assert_eq!(after.removals(), before.removals());
    assert_eq!(after.weight(&path("tmp")), Weight::Imposed);
    assert_eq!(after.weight(&TreePath::root()), Weight::Implied);
    let entries = |layer: &Layer| -> Vec<String> {
        let line = |(path, entry): &(TreePath, Entry)| {
            let bytes = entry.content().map(|content| content.bytes().unwrap());
            let kind = if bytes.is_some() { "file".to_owned() } else { format!("{:?}", entry.kind) };
            let metadata = (entry.mode, entry.uid, entry.gid, entry.mtime);
            format!("{path:?} {kind} {bytes:?} {metadata:?} {:?} {}", entry.xattrs, entry.provenance)
        };
        layer.entries().iter().map(line).collect()
    };
    assert_eq!(entries(&after), entries(&before));
    let names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(names, ["layer"]);
}

#[test]
fn a_stored_layer_with_any_byte_changed_or_missing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("layer");
    layer_of_everything().save(&file).unwrap();
    let good = std::fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        std::fs::write(&file, &bad).unwrap();
        assert!(Layer::load(&file).is_err(), "byte {at} changed");
        std::fs::write(&file, &good[..at]).unwrap();
        assert!(Layer::load(&file).is_err(), "cut at {at}");
    }
    std::fs::write(&file, [&good[..], b"x"].concat()).unwrap();
    let error = Layer::load(&file).unwrap_err().to_string();
    assert!(error.ends_with("its contents have another length"), "{error}");
}

#[test]
fn the_digest_of_a_tree_sees_every_field_but_provenance() {
    let digest = |lines: &[&str]| tree(lines).digest(ContentDigest::ByBytes).unwrap();
    let base = digest(&["f a x", "d b"]);
    assert_eq!(base, digest(&["d b", "f a x"]));
    for other in [
        &["f a y", "d b"][..],
        &["f:600 a x", "d b"],
        &["f:644:1:0 a x", "d b"],
        &["f:644:0:1 a x", "d b"],
        &["f c x", "d b"],
        &["l a x", "d b"],
        &["f a x", "p b"],
        &["f a x"],
    ] {
        assert_ne!(base, digest(other), "{other:?}");
    }
    let from = |provenance: &Provenance| {
        let layer = layer(provenance, &["f a x", "d b"]);
        Tree::standalone([&layer], &MergePolicy::new()).unwrap().digest(ContentDigest::ByBytes).unwrap()
    };
    assert_eq!(from(&package("one")), from(&Provenance::Overlay("overlay".into())));
}

#[test]
fn parts_of_one_file_are_the_same_only_if_their_bytes_are() {
    let file = kept(b"abcabcx");
    let blob = Blob::open_identified(&file.path, mkimage_tree::Digest::of(b"abcabcx")).unwrap();
    let part = |offset, length| Content::span(&blob, offset, length).unwrap();
    assert!(part(0, 3).is_same_as(&part(3, 3)).unwrap());
    assert!(!part(0, 3).is_same_as(&part(4, 3)).unwrap());
    assert!(!part(0, 3).is_same_as(&part(0, 2)).unwrap());
    assert!(part(1, 2).is_same_as(&"bc".into()).unwrap());
    assert!(Content::span(&blob, 5, 3).is_err());
    assert!(Content::span(&blob, u64::MAX, 3).is_err());
}

#[test]
fn identified_contents_are_digested_without_being_read() {
    let file = kept(b"0123456789");
    let blob = Blob::open_identified(&file.path, mkimage_tree::Digest::of(b"0123456789")).unwrap();
    let tree_of = |offset| {
        let mut layer = Layer::new(package("only"));
        layer.put(
            path("a"),
            Entry::new(Kind::File(Content::span(&blob, offset, 4).unwrap()), 0o644, package("only")),
        );
        Tree::standalone([&layer], &MergePolicy::new()).unwrap()
    };
    let by_origin = |offset| tree_of(offset).digest(ContentDigest::ByOrigin).unwrap();
    let by_bytes = |offset| tree_of(offset).digest(ContentDigest::ByBytes).unwrap();
    assert_ne!(by_origin(0), by_origin(1));
    assert_eq!(by_bytes(0), tree(&["f a 0123"]).digest(ContentDigest::ByBytes).unwrap());
    let before = by_origin(2);
    std::fs::write(&file.path, b"").unwrap();
    assert_eq!(by_origin(2), before);
    assert!(tree_of_len_is_read(&blob));
}

/// Reading what is no longer there is an error, never a shorter content.
fn tree_of_len_is_read(blob: &std::sync::Arc<Blob>) -> bool {
    Content::span(blob, 0, 4).unwrap().bytes().is_err()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_written_as_tar_is_read_back_to_the_same_archive(before in any_tree()) {
        let bytes = write_tar(&before, Vec::new(), EPOCH).unwrap();
        let after = Tree::standalone([&read_tar(&bytes).unwrap()], &MergePolicy::new()).unwrap();
        prop_assert!(write_tar(&after, Vec::new(), EPOCH).unwrap() == bytes, "{:?}", listing(&after));
    }

    #[test]
    fn any_bytes_are_refused_or_read_but_never_more(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..3000_usize) {
        let mut archive = write_tar(&tree(&["f a content", "d b", "l c a", "h d a"]), Vec::new(), EPOCH).unwrap();
        let end = (at + bytes.len()).min(archive.len());
        let at = at.min(end);
        archive[at..end].copy_from_slice(&bytes[..end - at]);
        if let Ok(layer) = read_tar(&archive) {
            for (_, entry) in layer.entries() {
                if let Some(content) = entry.content() {
                    prop_assert!(content.bytes().is_ok());
                }
            }
        }
    }
}
