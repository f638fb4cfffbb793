//! The ext4 writer against the tools that know the format: `e2fsck` and `debugfs`.

mod notation;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use mkimage_tree::{
    Blob, Complete, Content, Entry, Error, Ext4Options, Ext4Size, Kind, Layer, MergePolicy, Tree, write_ext4,
};
use notation::{any_tree, package, path, tree};
use proptest::prelude::*;

const EPOCH: i64 = 1_700_000_000;

fn options(size: Ext4Size) -> Ext4Options {
    Ext4Options::new(size, *b"0123456789abcdef", EPOCH)
}

/// Tells whether the tools are there; where all tests are required, their absence is a failure.
fn have_tools() -> bool {
    let runs = |tool: &str| Command::new(tool).arg("-V").output().is_ok();
    if runs("e2fsck") && runs("debugfs") {
        return true;
    }
    assert!(std::env::var_os("REQUIRE_ALL").is_none(), "e2fsck and debugfs are not on PATH");
    let mut stderr = std::io::stderr();
    writeln!(stderr, "skipped: e2fsck and debugfs are not on PATH").unwrap();
    false
}

/// Writes a tree into a fresh file and has it checked.
fn checked(tree: &Tree<Complete>, options: &Ext4Options) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let summary = write_ext4(tree, &image, options).unwrap();
    assert_eq!(std::fs::metadata(&image).unwrap().len(), summary.size);
    let output = Command::new("e2fsck").args(["-fn"]).arg(&image).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    directory
}

fn debugfs(directory: &tempfile::TempDir, request: &str) -> Vec<u8> {
    let image = directory.path().join("image");
    let output = Command::new("debugfs").env("TZ", "UTC").args(["-R", request]).arg(image).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn stat(directory: &tempfile::TempDir, path: &str) -> String {
    String::from_utf8(debugfs(directory, &format!("stat {path}"))).unwrap()
}

#[test]
fn every_kind_of_entry_is_written_with_its_metadata() {
    if !have_tools() {
        return;
    }
    let long = "t/".repeat(60) + "end";
    let link = format!("l long {long}");
    let mut layer = notation::layer(
        &package("only"),
        &[
            "d:1777:0:0 tmp",
            "f:4755:0:42 bin/su content of su",
            "f empty",
            "h bin/doas bin/su",
            "l short bin/su",
            &link,
            "c:620:0:5 dev/console 5:1",
            "b:660:0:6 dev/vda 254:300",
            "p:600:7:8 run/pipe",
        ],
    );
    let mut capable = Entry::file("ping", 0o755, package("only")).changed_at(1234);
    capable.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 10, 0, 0]);
    layer.put(path("bin/ping"), capable);
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let image = checked(&tree, &options(Ext4Size::WithFree(8 << 20)));

    let su = stat(&image, "/bin/su");
    assert!(su.contains("Mode:  04755"), "{su}");
    assert!(su.contains("User:     0   Group:    42"), "{su}");
    assert!(su.contains("Links: 2"), "{su}");
    assert_eq!(debugfs(&image, "cat /bin/doas"), b"content of su");
    assert_eq!(debugfs(&image, "cat /empty"), b"");
    assert!(stat(&image, "/tmp").contains("Mode:  01777"));
    assert!(stat(&image, "/short").contains("Fast link dest: \"bin/su\""));
    assert_eq!(debugfs(&image, "cat /long").split(|byte| *byte == 0).next(), Some(long.as_bytes()));
    assert!(stat(&image, "/dev/console").contains("Device major/minor number: 05:01"));
    assert!(stat(&image, "/dev/vda").contains("Device major/minor number: 254:300"));
    assert!(stat(&image, "/run/pipe").contains("Type: FIFO"));
    let ping = stat(&image, "/bin/ping");
    assert!(ping.contains("security.capability (12)"), "{ping}");
    assert!(ping.contains("mtime: 0x000004d2"), "{ping}");
}

#[test]
fn the_same_tree_gives_the_same_bytes_and_times_are_clamped() {
    let lines = ["d a", "f a/b text", "l c a", "h d a/b"];
    let older = tree(&lines);
    let mut layer = notation::layer(&package("only"), &lines);
    layer.for_each_mut(|_, entry| entry.mtime = EPOCH + 5);
    let newer = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    layer.for_each_mut(|_, entry| entry.mtime = EPOCH);
    let clamped = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let bytes = |tree, name: &str| {
        let image = directory.path().join(name);
        write_ext4(tree, &image, &options(Ext4Size::Exactly(16 << 20))).unwrap();
        std::fs::read(image).unwrap()
    };
    assert!(bytes(&older, "a") == bytes(&older, "b"));
    assert!(bytes(&newer, "a") == bytes(&clamped, "b"));
    assert!(bytes(&newer, "a") != bytes(&older, "b"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "a temporary file is left");
}

#[test]
fn a_directory_of_thousands_of_entries_is_indexed_and_whole() {
    if !have_tools() {
        return;
    }
    let mut layer = Layer::new(package("only"));
    for number in 0..6000 {
        layer.file(path(&format!("big/an-entry-with-a-longer-name-{number:0200}")), 0o644, "");
    }
    // Beyond the least size, so that the room for the directory itself counts.
    layer.file(path("large"), 0o644, vec![1; 20 << 20]);
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let image = checked(&tree, &options(Ext4Size::WithFree(0)));
    assert!(stat(&image, "/big").contains("Flags: 0x81000"), "not indexed");
    let listed = String::from_utf8(debugfs(&image, "ls -p /big")).unwrap();
    assert_eq!(listed.matches("an-entry-with-a-longer-name-").count(), 6000);
}

#[test]
fn contents_come_out_as_they_went_in_at_every_length_around_a_block() {
    if !have_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> =
        (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect();
    let source = directory.path().join("source");
    std::fs::write(&source, &bytes).unwrap();
    let blob = Blob::open(&source).unwrap();
    let lengths = [1, 4095, 4096, 4097, 8192, 1 << 20, (1 << 20) + 1, 2_999_993];
    let mut layer = Layer::new(package("only"));
    for length in lengths {
        let content = Content::span(&blob, 7, length).unwrap();
        layer.put(path(&format!("f{length}")), Entry::file(content, 0o644, package("only")));
    }
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let image = checked(&tree, &options(Ext4Size::WithFree(0)));
    for length in lengths {
        let read = debugfs(&image, &format!("cat /f{length}"));
        assert!(read == bytes[7..7 + length as usize], "{length}");
    }
}

#[test]
fn the_rest_of_a_last_block_is_zero() {
    if !have_tools() {
        return;
    }
    let mut layer = Layer::new(package("only"));
    // Two threads share the work; this way the small files come to the first, behind the large one.
    layer.file(path("a"), 0o644, vec![0xff; 3 << 20]).file(path("c"), 0o644, vec![0xff; 4 << 20]);
    for number in 0..9 {
        layer.file(path(&format!("b{number}")), 0o644, "x");
    }
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let image = checked(&tree, &options(Ext4Size::WithFree(0)));
    let bytes = std::fs::read(image.path().join("image")).unwrap();
    for number in 0..9 {
        let start = 4096 * first_block(&image, &format!("/b{number}")) as usize;
        assert!(
            bytes[start] == b'x' && bytes[start + 1..start + 4096].iter().all(|byte| *byte == 0),
            "{number}"
        );
    }
}

fn first_block(image: &tempfile::TempDir, path: &str) -> u64 {
    let block = debugfs(image, &format!("bmap {path} 0"));
    String::from_utf8(block).unwrap().trim().parse().unwrap()
}

#[test]
fn a_file_of_more_than_2_gib_keeps_its_length_and_its_end() {
    if !have_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    // A hole on the host; only its last bytes take room there, but all of it is copied.
    let file = std::fs::File::create(&source).unwrap();
    let length = (1_u64 << 31) + 4096;
    std::os::unix::fs::FileExt::write_all_at(&file, b"the end", length - 7).unwrap();
    let blob = Blob::open(&source).unwrap();
    let mut layer = Layer::new(package("only"));
    let content = Content::span(&blob, 0, length).unwrap();
    layer.put(path("large"), Entry::file(content, 0o644, package("only")));
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let image = checked(&tree, &options(Ext4Size::WithFree(1 << 20)));
    assert!(stat(&image, "/large").contains(&format!("Size: {length}")));
    let block = debugfs(&image, &format!("bmap /large {}", length / 4096 - 1));
    let block: u64 = String::from_utf8(block).unwrap().trim().parse().unwrap();
    let image = std::fs::File::open(image.path().join("image")).unwrap();
    let mut end = [0; 7];
    std::os::unix::fs::FileExt::read_exact_at(&image, &mut end, block * 4096 + 4089).unwrap();
    assert_eq!(&end, b"the end");
}

#[test]
fn what_is_free_is_free_and_takes_no_room_on_the_host() {
    if !have_tools() {
        return;
    }
    let image = checked(&tree(&["f a x"]), &options(Ext4Size::WithFree(512 << 20)));
    let head = String::from_utf8(debugfs(&image, "show_super_stats -h")).unwrap();
    let free: u64 = field(&head, "Free blocks:");
    assert!((131_072..133_000).contains(&free), "{free} blocks");
    assert!(head.contains("Filesystem state:         clean"), "{head}");
    assert!(head.contains("has_journal"), "{head}");
    let on_host =
        std::os::unix::fs::MetadataExt::blocks(&image.path().join("image").metadata().unwrap()) * 512;
    assert!(on_host < 2 << 20, "{on_host} bytes");
}

#[test]
fn what_the_options_say_is_in_the_superblock() {
    if !have_tools() {
        return;
    }
    let options = Ext4Options {
        label: "sixteen bytes ok".to_owned(),
        hash_seed: Some(*b"fedcba9876543210"),
        reserved_percent: 10,
        ..options(Ext4Size::Exactly(40 << 20))
    };
    let image = checked(&tree(&["f a x"]), &options);
    let head = String::from_utf8(debugfs(&image, "show_super_stats -h")).unwrap();
    for line in [
        "Filesystem volume name:   sixteen bytes ok",
        "Filesystem UUID:          30313233-3435-3637-3839-616263646566",
        "Directory Hash Seed:      66656463-6261-3938-3736-353433323130",
        "Filesystem created:       Tue Nov 14 22:13:20 2023",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert_eq!(field(&head, "Block count:"), 10_240);
    assert_eq!(field(&head, "Reserved block count:"), 1024);
    let long = Ext4Options { label: "seventeen bytes n".to_owned(), ..options };
    let error = write_ext4(&tree(&[]), Path::new("/nonexistent/image"), &long).unwrap_err();
    assert!(error.to_string().contains("label longer than 16 bytes"), "{error}");
}

fn field(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
}

#[test]
fn a_hundred_thousand_inodes_find_their_place() {
    if !have_tools() {
        return;
    }
    let mut layer = Layer::new(package("only"));
    for number in 0..100_000 {
        layer.symlink(path(&format!("all/l{number}")), "target");
    }
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    checked(&tree, &options(Ext4Size::WithFree(0)));
}

#[test]
fn attributes_that_need_blocks_of_their_own_find_room() {
    if !have_tools() {
        return;
    }
    let mut layer = Layer::new(package("only"));
    for number in 0..1000 {
        let mut entry = Entry::file("", 0o644, package("only"));
        entry.xattrs.insert(b"user.large".to_vec(), vec![b'v'; 300]);
        layer.put(path(&format!("f{number}")), entry);
    }
    layer.file(path("large"), 0o644, vec![1; 20 << 20]);
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let image = checked(&tree, &options(Ext4Size::WithFree(0)));
    assert!(stat(&image, "/f999").contains("user.large (300)"));
}

#[test]
fn a_tree_that_does_not_fit_is_told_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let mut layer = Layer::new(package("only"));
    layer.file(path("a"), 0o644, vec![1; 20 << 20]);
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let error = write_ext4(&tree, &image, &options(Ext4Size::Exactly(16 << 20))).unwrap_err();
    assert!(matches!(error, Error::Ext4(_)), "{error}");
    assert!(error.help().is_some(), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn lost_and_found_is_the_file_systems_own() {
    if !have_tools() {
        return;
    }
    checked(&tree(&["d:700:0:0 lost+found", "f a x"]), &options(Ext4Size::WithFree(0)));
    let image = tempfile::tempdir().unwrap();
    let used = tree(&["f lost+found/a x"]);
    let error = write_ext4(&used, &image.path().join("image"), &options(Ext4Size::WithFree(0))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write `/lost+found` into ext4: the file system needs an empty directory there"
    );
}

#[test]
fn a_name_that_is_not_text_is_told() {
    let mut layer = Layer::new(package("only"));
    layer.put(mkimage_tree::TreePath::new(b"a\xff").unwrap(), Entry::new(Kind::Fifo, 0o600, package("only")));
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let error =
        write_ext4(&tree, Path::new("/nonexistent/image"), &options(Ext4Size::WithFree(0))).unwrap_err();
    assert!(error.to_string().ends_with("its name `a\\xff` is not UTF-8"), "{error}");
}

#[test]
fn sizes_around_the_borders_of_groups_are_clean() {
    if !have_tools() {
        return;
    }
    for blocks in
        [4096_u64, 32_767, 32_768, 32_769, 32_800, 65_536, 98_305, 524_288, 524_500, 600_000, 1_085_441]
    {
        checked(&tree(&["d a", "f a/b x"]), &options(Ext4Size::Exactly(blocks * 4096)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_becomes_a_clean_file_system(tree in any_tree()) {
        if have_tools() {
            checked(&tree, &options(Ext4Size::WithFree(0)));
        }
    }
}
