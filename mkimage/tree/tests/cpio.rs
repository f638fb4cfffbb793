//! The cpio writer: its bytes, and what the kernel's rules ask of them.

mod notation;

use std::io::{Read, Write};

use mkimage_tree::{CpioCompression, CpioWriter, Error, Layer, MergePolicy, Tree};
use notation::{package, path, tree};

const EPOCH: i64 = 1_700_000_000;

fn plain(tree: &Tree<mkimage_tree::Complete>) -> Result<Vec<u8>, Error> {
    let mut writer = CpioWriter::new(Vec::new());
    writer.append(tree, CpioCompression::Plain, EPOCH)?;
    let (bytes, length) = writer.finish()?;
    assert_eq!(bytes.len() as u64, length);
    Ok(bytes)
}

/// One member as a line: name, mode in octal, owner, links, inode, length, device, content.
fn members(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut reader = cpio::newc::Reader::new(rest).unwrap();
        let entry = reader.entry().clone();
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        rest = reader.finish().unwrap();
        if entry.is_trailer() {
            assert!(rest.iter().all(|byte| *byte == 0));
            break;
        }
        lines.push(format!(
            "{} {:o} {}:{} links={} ino={} dev={}:{} {content}",
            entry.name(),
            entry.mode(),
            entry.uid(),
            entry.gid(),
            entry.nlink(),
            entry.ino(),
            entry.rdev_major(),
            entry.rdev_minor(),
        ));
    }
    lines
}

#[test]
fn the_bytes_of_an_archive_are_these() {
    let mut layer =
        notation::layer(&package("only"), &["d:1777:0:0 tmp", "f:640:3:4 tmp/a hello", "l init tmp/a"]);
    layer.for_each_mut(|_, entry| entry.mtime = EPOCH + 99);
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let header = |ino: u32, mode: u32, uid: u32, gid: u32, links: u32, size: u32, name: &str| {
        let name_size = name.len() + 1;
        let mtime = EPOCH;
        let mut text = format!(
            "070701{ino:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}{mtime:08x}{size:08x}{:032x}{name_size:08x}{:08x}{name}\0",
            0, 0
        );
        while text.len() % 4 != 0 {
            text.push('\0');
        }
        text
    };
    let mut expected = header(1, 0o120777, 0, 0, 1, 5, "init") + "tmp/a\0\0\0";
    expected += &header(2, 0o041777, 0, 0, 2, 0, "tmp");
    expected += &(header(3, 0o100640, 3, 4, 1, 5, "tmp/a") + "hello\0\0\0");
    expected += &format!("070701{:040x}{:048x}{:08x}{:08x}TRAILER!!!\0\0\0\0", 1, 0, 11, 0);
    assert_eq!(String::from_utf8_lossy(&plain(&tree).unwrap()), expected);
}

#[test]
fn the_names_of_a_file_share_its_number_and_the_last_brings_the_content() {
    let tree = tree(&["f:755 b busybox", "h a b", "h c b", "f d other"]);
    assert_eq!(
        members(&plain(&tree).unwrap()),
        [
            "a 100755 0:0 links=3 ino=1 dev=0:0 ",
            "b 100755 0:0 links=3 ino=1 dev=0:0 ",
            "c 100755 0:0 links=3 ino=1 dev=0:0 busybox",
            "d 100644 0:0 links=1 ino=2 dev=0:0 other",
        ]
    );
    let tree = notation::tree(&["f z content", "h a z"]);
    let links = ["a 100644 0:0 links=2 ino=1 dev=0:0 ", "z 100644 0:0 links=2 ino=1 dev=0:0 content"];
    assert_eq!(members(&plain(&tree).unwrap()), links);
}

#[test]
fn gnu_cpio_unpacks_what_is_written() {
    let mut unpack = std::process::Command::new("cpio");
    if unpack.arg("--version").output().is_err() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "cpio is not on PATH");
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: cpio is not on PATH").unwrap();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(
        at("archive"),
        plain(&tree(&["f:755 b content", "h a b", "h c b", "f d/e other"])).unwrap(),
    )
    .unwrap();
    let archive = std::fs::File::open(at("archive")).unwrap();
    let mut unpack = std::process::Command::new("cpio");
    let output = unpack.args(["-i", "-d", "--quiet"]).current_dir(directory.path()).stdin(archive).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["a", "b", "c"] {
        assert_eq!(std::fs::read_to_string(at(name)).unwrap(), "content");
    }
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(at("a")).unwrap()), 3);
    assert_eq!(std::fs::read_to_string(at("d/e")).unwrap(), "other");
}

#[test]
fn devices_and_pipes_are_written() {
    assert_eq!(
        members(&plain(&tree(&["c:620:0:5 console 5:1", "b vda 254:0", "p pipe"])).unwrap()),
        [
            "console 20620 0:5 links=1 ino=1 dev=5:1 ",
            "pipe 10600 0:0 links=1 ino=2 dev=0:0 ",
            "vda 60600 0:0 links=1 ino=3 dev=254:0 ",
        ]
    );
}

#[test]
fn an_archive_behind_another_begins_at_a_multiple_of_four() {
    for behind in 0..9_usize {
        let mut writer = CpioWriter::behind(vec![b'x'; behind], behind as u64);
        writer.append(&tree(&["f a 1"]), CpioCompression::Plain, EPOCH).unwrap();
        let (bytes, length) = writer.finish().unwrap();
        let start = behind.next_multiple_of(4);
        assert_eq!(bytes.len() as u64, length);
        assert!(bytes[behind..start].iter().all(|byte| *byte == 0));
        assert!(bytes[start..].starts_with(b"070701"), "behind {behind}");
    }
}

#[test]
fn a_plain_archive_stands_behind_a_compressed_one() {
    let (first, second) = (tree(&["f a compressed"]), tree(&["f b plain"]));
    let mut writer = CpioWriter::new(Vec::new());
    writer.append(&first, CpioCompression::Gzip(6), EPOCH).unwrap();
    let after_first = |bytes: &[u8]| bytes.windows(6).position(|window| window == b"070701");
    writer.append(&second, CpioCompression::Plain, EPOCH).unwrap();
    let (bytes, _) = writer.finish().unwrap();
    let start = after_first(&bytes).unwrap();
    assert_eq!(start % 4, 0);
    let mut unpacked = Vec::new();
    flate2::bufread::GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(members(&unpacked), ["a 100644 0:0 links=1 ino=1 dev=0:0 compressed"]);
    assert_eq!(members(&bytes[start..]), ["b 100644 0:0 links=1 ino=1 dev=0:0 plain"]);
}

#[test]
fn the_same_trees_give_the_same_bytes() {
    let bytes = || {
        let mut writer = CpioWriter::new(Vec::new());
        writer.append(&tree(&["f a 1", "d b"]), CpioCompression::Gzip(9), EPOCH).unwrap();
        writer.finish().unwrap().0
    };
    assert!(bytes() == bytes());
}

#[test]
fn what_the_format_cannot_hold_is_told() {
    let mut layer = Layer::new(package("only"));
    layer.file(path("ping"), 0o755, "x");
    layer.for_each_mut(|_, entry| {
        entry.xattrs.insert(b"security.capability".to_vec(), vec![1]);
    });
    let capable = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let error = plain(&capable).unwrap_err();
    assert_eq!(error.to_string(), "cannot write `/ping` into cpio: it has extended attributes");

    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("large")).unwrap();
    file.set_len(1 << 32).unwrap();
    let blob = mkimage_tree::Blob::open(directory.path().join("large")).unwrap();
    let mut layer = Layer::new(package("only"));
    layer.file(path("large"), 0o644, mkimage_tree::Content::span(&blob, 0, 1 << 32).unwrap());
    let large = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let error = plain(&large).unwrap_err();
    assert_eq!(error.to_string(), "cannot write `/large` into cpio: it is larger than 4 GiB");
}

#[test]
fn a_content_that_ends_early_is_an_error_and_no_archive() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::write(&source, b"0123456789").unwrap();
    let blob = mkimage_tree::Blob::open(&source).unwrap();
    let mut layer = Layer::new(package("only"));
    layer.file(path("a"), 0o644, mkimage_tree::Content::span(&blob, 0, 10).unwrap());
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    std::fs::OpenOptions::new().write(true).open(&source).unwrap().set_len(3).unwrap();
    assert!(matches!(plain(&tree), Err(Error::Io { doing: "read", .. })));
}
