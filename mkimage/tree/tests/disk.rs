//! Laying a tree out, finding what changed there, and reading directories of a checkout.

mod notation;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use mkimage_tree::{
    Complete, Kind, Layer, Materialise, Materialised, MergePolicy, Provenance, Scan, Tree, TreePath, Weight,
    materialise, scan, write_tar,
};
use notation::{any_tree, listing, package, path, tree};
use proptest::prelude::*;

const EPOCH: i64 = 1_700_000_000;

/// A tree, and the directory that it is laid out in as long as the value lives.
struct LaidOut {
    _directory: tempfile::TempDir,
    tree: Tree<Complete>,
    at: Materialised,
}

impl LaidOut {
    fn new(lines: &[&str]) -> LaidOut {
        LaidOut::of(tree(lines))
    }

    fn of(tree: Tree<Complete>) -> LaidOut {
        let directory = tempfile::tempdir().unwrap();
        let at = materialise(&tree, &directory.path().join("root"), &Materialise::default()).unwrap();
        LaidOut { _directory: directory, tree, at }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.at.directory.join(path)
    }

    fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.path(path)).unwrap().mode() & 0o7777
    }

    fn scan(&self) -> Layer {
        self.scan_with(|_| {})
    }

    fn scan_with(&self, change: impl FnOnce(&mut Scan)) -> Layer {
        let mut how = Scan::new(Provenance::Configure("test".into()), EPOCH);
        change(&mut how);
        scan(&self.at, &self.tree, &how).unwrap()
    }

    /// Merges what was found into the tree and lists it.
    fn after(&self, layer: &Layer) -> Vec<String> {
        listing(&self.tree.clone().merge(layer, &MergePolicy::new()).unwrap())
    }
}

/// Sets a mode as `chmod` does.
fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

const EVERYTHING: [&str; 12] = [
    "d:1777:0:0 tmp",
    "d:2775:0:50 mail",
    "d:500:0:0 secret",
    "f secret/key k",
    "f:4755:0:42 bin/su su",
    "f:0:0:0 shadow s",
    "f empty",
    "h bin/sudo bin/su",
    "l link bin/su",
    "c null 1:3",
    "p pipe",
    "h null2 null",
];

#[test]
fn a_tree_is_laid_out_with_what_a_user_may_have() {
    let laid_out = LaidOut::new(&EVERYTHING);
    assert_eq!(fs::read(laid_out.path("bin/su")).unwrap(), b"su");
    assert_eq!(fs::read(laid_out.path("empty")).unwrap(), b"");
    assert_eq!(fs::read_link(laid_out.path("link")).unwrap(), Path::new("bin/su"));
    let inode = |path: &str| fs::metadata(laid_out.path(path)).unwrap().ino();
    assert_eq!(inode("bin/su"), inode("bin/sudo"));
    assert!(
        !laid_out.path("null").exists()
            && !laid_out.path("null2").exists()
            && !laid_out.path("pipe").exists()
    );
    assert_eq!(laid_out.mode("tmp"), 0o1777);
    assert_eq!(laid_out.mode("mail"), 0o775);
    assert_eq!(laid_out.mode("secret"), 0o700);
    assert_eq!(laid_out.mode("bin/su"), 0o755);
    assert_eq!(laid_out.mode("shadow"), 0o600);
}

#[test]
fn the_size_on_disk_counts_whole_blocks_and_every_name() {
    let one = tree(&["f a x"]).size_on_disk();
    let more = tree(&["f a x", "f b xy", "h c a", "l d a"]).size_on_disk();
    assert_eq!(more - one, 4096 + 3 * 1024);
}

#[test]
fn times_are_those_of_the_tree_but_not_after_the_epoch() {
    let mut layer = notation::layer(&package("only"), &["d d", "f d/old x", "f d/new x"]);
    layer.for_each_mut(|path, entry| entry.mtime = if path.as_bytes() == b"d/new" { EPOCH + 9 } else { 77 });
    let tree = Tree::standalone([&layer], &MergePolicy::new()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let how = Materialise { epoch: EPOCH, threads: 2 };
    materialise(&tree, &directory.path().join("root"), &how).unwrap();
    let time = |path: &str| fs::metadata(directory.path().join("root").join(path)).unwrap().mtime();
    assert_eq!((time("d"), time("d/old"), time("d/new")), (77, 77, EPOCH));
}

#[test]
fn a_directory_with_something_in_it_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mine"), b"").unwrap();
    let error = materialise(&tree(&[]), directory.path(), &Materialise::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot lay a tree out in `"), "{error}");
}

#[test]
fn many_files_are_all_laid_out_whatever_the_number_of_threads() {
    let lines: Vec<String> = (0..101).map(|number| format!("f d/{number} content {number}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let tree = tree(&lines);
    for threads in [0, 1, 2, 7, 200] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        materialise(&tree, &root, &Materialise { threads, ..Materialise::default() }).unwrap();
        for number in 0..101 {
            let content = fs::read_to_string(root.join(format!("d/{number}"))).unwrap();
            assert_eq!(content, format!("content {number}"));
        }
    }
}

#[test]
fn nothing_is_found_where_nothing_changed() {
    let laid_out = LaidOut::new(&EVERYTHING);
    let layer = laid_out.scan();
    assert!(layer.is_empty(), "{layer:?}");
    // The same without the clock's help, as when the files were copied: contents are compared then.
    for name in ["bin/su", "shadow", "secret/key"] {
        let content = fs::read(laid_out.path(name)).unwrap();
        fs::write(laid_out.path(name), content).unwrap();
    }
    let layer = laid_out.scan();
    assert!(layer.is_empty(), "{layer:?}");
}

#[test]
fn new_changed_and_removed_entries_are_found() {
    let laid_out =
        LaidOut::new(&["d etc", "f:640:0:42 etc/shadow old", "f etc/gone x", "d old", "f old/a x", "l l a"]);
    fs::write(laid_out.path("etc/shadow"), b"new and longer").unwrap();
    fs::remove_file(laid_out.path("etc/gone")).unwrap();
    fs::remove_dir_all(laid_out.path("old")).unwrap();
    fs::remove_file(laid_out.path("l")).unwrap();
    symlink("b", laid_out.path("l")).unwrap();
    fs::create_dir(laid_out.path("new")).unwrap();
    chmod(&laid_out.path("new"), 0o2750);
    fs::write(laid_out.path("new/file"), b"x").unwrap();
    chmod(&laid_out.path("new/file"), 0o4711);
    let layer = laid_out.scan();
    assert_eq!(layer.removals(), [path("etc/gone"), path("old")]);
    assert_eq!(
        laid_out.after(&layer),
        ["d etc", "f:640:0:42 etc/shadow new and longer", "l l b", "d:2750:0:0 new", "f:4711:0:0 new/file x",]
    );
    let (_, shadow) = layer.entries().iter().find(|(at, _)| *at == path("etc/shadow")).unwrap();
    assert_eq!(shadow.provenance, Provenance::Configure("test".into()));
    assert_eq!(shadow.mtime, EPOCH);
}

#[test]
fn a_change_that_keeps_length_and_time_is_found() {
    let laid_out = LaidOut::new(&["f a old"]);
    let time = fs::metadata(laid_out.path("a")).unwrap().modified().unwrap();
    fs::write(laid_out.path("a"), b"new").unwrap();
    File::options().write(true).open(laid_out.path("a")).unwrap().set_modified(time).unwrap();
    assert_eq!(laid_out.after(&laid_out.scan()), ["f a new"]);
}

#[test]
fn a_mode_alone_may_change_and_the_rest_stays() {
    let mut layer = notation::layer(&package("only"), &["f:644:7:8 a x", "d:755:7:8 d"]);
    layer.for_each_mut(|_, entry| {
        entry.mtime = 55;
        entry.xattrs.insert(b"user.x".to_vec(), b"y".to_vec());
    });
    let laid_out = LaidOut::of(Tree::standalone([&layer], &MergePolicy::new()).unwrap());
    chmod(&laid_out.path("a"), 0o600);
    chmod(&laid_out.path("d"), 0o1777);
    let layer = laid_out.scan();
    assert_eq!(laid_out.after(&layer), ["f:600:7:8 a x", "d:1777:7:8 d"]);
    assert!(layer.entries().iter().all(|(_, entry)| entry.mtime == 55 && entry.xattrs.len() == 1));
    assert_eq!(layer.weight(&path("d")), Weight::Imposed);
}

#[test]
fn new_contents_lose_the_capabilities_of_the_old() {
    let mut layer = notation::layer(&package("only"), &["f a x"]);
    layer.for_each_mut(|_, entry| {
        entry.xattrs.insert(b"security.capability".to_vec(), b"y".to_vec());
    });
    let laid_out = LaidOut::of(Tree::standalone([&layer], &MergePolicy::new()).unwrap());
    fs::write(laid_out.path("a"), b"other").unwrap();
    assert!(laid_out.scan().entries()[0].1.xattrs.is_empty());
}

#[test]
fn owners_that_the_caller_knows_are_applied() {
    let laid_out = LaidOut::new(&["f:644:1:1 kept x", "f:644:1:1 given x"]);
    fs::write(laid_out.path("new"), b"").unwrap();
    let layer = laid_out.scan_with(|how| {
        how.owners.insert(path("given"), (5, 6));
        how.owners.insert(path("new"), (7, 8));
        how.owners.insert(path("kept"), (1, 1));
    });
    assert_eq!(layer.entries().len(), 2);
    assert_eq!(laid_out.after(&layer), ["f:644:5:6 given x", "f:644:1:1 kept x", "f:644:7:8 new"]);
}

#[test]
fn modes_devices_and_attributes_that_the_caller_knows_are_applied() {
    let laid_out = LaidOut::new(&["f:4755:0:0 su x", "f:644:0:0 ping x", "h pong ping", "f plain x"]);
    fs::write(laid_out.path("null"), b"").unwrap();
    let capability = || [(b"security.capability".to_vec(), b"y".to_vec())].into();
    let known = |how: &mut Scan| {
        how.modes.insert(path("su"), 0o755);
        how.modes.insert(path("plain"), 0o644);
        how.devices.insert(path("null"), Kind::CharDevice { major: 1, minor: 3 });
        how.modes.insert(path("null"), 0o666);
        how.xattrs.insert(path("pong"), capability());
    };
    let layer = laid_out.scan_with(known);
    assert_eq!(
        laid_out.after(&layer),
        ["c:666:0:0 null 1:3", "f ping x", "f plain x", "h pong ping", "f:755:0:0 su x"]
    );
    let after = laid_out.tree.clone().merge(&layer, &MergePolicy::new()).unwrap();
    assert_eq!(after.get(&path("ping")).unwrap().xattrs, capability());
    assert_eq!(after.why(&path("plain")).unwrap(), &package("only"));
    // Once that is so, it is nothing new any more.
    let mut how = Scan::new(Provenance::Overlay("overlay".into()), EPOCH);
    known(&mut how);
    let again = scan(&laid_out.at, &after, &how).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn what_is_ignored_is_neither_new_nor_gone() {
    let laid_out = LaidOut::new(&["d proc", "f proc/old x", "d dev", "c dev/null 1:3"]);
    fs::remove_file(laid_out.path("proc/old")).unwrap();
    fs::write(laid_out.path("proc/new"), b"").unwrap();
    fs::remove_dir(laid_out.path("dev")).unwrap();
    let layer = laid_out.scan_with(|how| how.ignored.extend([path("proc"), path("dev")]));
    assert!(layer.is_empty(), "{layer:?}");
}

#[test]
fn a_kind_may_turn_into_another() {
    let laid_out = LaidOut::new(&["f a x", "d b", "f b/c x", "d d", "f d/e x", "l l a"]);
    fs::remove_file(laid_out.path("a")).unwrap();
    fs::create_dir(laid_out.path("a")).unwrap();
    fs::remove_dir_all(laid_out.path("b")).unwrap();
    fs::write(laid_out.path("b"), b"file").unwrap();
    fs::remove_dir_all(laid_out.path("d")).unwrap();
    symlink("a", laid_out.path("d")).unwrap();
    fs::remove_file(laid_out.path("l")).unwrap();
    fs::create_dir(laid_out.path("l")).unwrap();
    assert_eq!(laid_out.after(&laid_out.scan()), ["d a", "f b file", "l d a", "d l"]);
}

#[test]
fn hard_links_are_found_in_all_their_changes() {
    let start = ["f:755:0:9 a x", "h b a", "f c y"];
    let changed = |change: &dyn Fn(&LaidOut)| {
        let laid_out = LaidOut::new(&start);
        change(&laid_out);
        laid_out.after(&laid_out.scan())
    };
    let written = changed(&|laid_out| fs::write(laid_out.path("b"), b"new").unwrap());
    assert_eq!(written, ["f:755:0:9 a new", "h b a", "f c y"]);
    let replaced = changed(&|laid_out| {
        fs::remove_file(laid_out.path("a")).unwrap();
        fs::write(laid_out.path("a"), b"new").unwrap();
        chmod(&laid_out.path("a"), 0o644);
    });
    assert_eq!(replaced, ["f:644:0:9 a new", "f:755:0:9 b x", "f c y"]);
    let added = changed(&|laid_out| fs::hard_link(laid_out.path("c"), laid_out.path("d")).unwrap());
    assert_eq!(added, ["f:755:0:9 a x", "h b a", "f c y", "h d c"]);
    let removed = changed(&|laid_out| fs::remove_file(laid_out.path("a")).unwrap());
    assert_eq!(removed, ["f:755:0:9 b x", "f c y"]);
    let parted = changed(&|laid_out| {
        fs::remove_file(laid_out.path("a")).unwrap();
        fs::write(laid_out.path("a"), b"x").unwrap();
        chmod(&laid_out.path("a"), 0o755);
    });
    assert_eq!(parted, ["f:755:0:9 a x", "f:755:0:9 b x", "f c y"]);
    let mode = changed(&|laid_out| chmod(&laid_out.path("b"), 0o700));
    assert_eq!(mode, ["f:700:0:9 a x", "h b a", "f c y"]);
}

#[test]
fn a_laid_out_tree_that_was_configured_scans_to_the_same_tree_again() {
    let laid_out = LaidOut::new(&EVERYTHING);
    fs::write(laid_out.path("bin/su"), b"other").unwrap();
    fs::hard_link(laid_out.path("empty"), laid_out.path("also-empty")).unwrap();
    fs::remove_dir_all(laid_out.path("secret")).unwrap();
    let configured = laid_out.tree.clone().merge(&laid_out.scan(), &MergePolicy::new()).unwrap();
    let again =
        scan(&laid_out.at, &configured, &Scan::new(Provenance::Overlay("overlay".into()), EPOCH)).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn sockets_are_left_out() {
    let laid_out = LaidOut::new(&[]);
    let _socket = std::os::unix::net::UnixListener::bind(laid_out.path("socket")).unwrap();
    assert!(laid_out.scan().is_empty());
}

fn checkout() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    fs::create_dir_all(at("etc/init.d")).unwrap();
    fs::write(at("etc/fstab"), b"table").unwrap();
    fs::write(at("etc/init.d/run"), b"script").unwrap();
    chmod(&at("etc/fstab"), 0o600);
    chmod(&at("etc/init.d/run"), 0o700);
    symlink("../run", at("etc/link")).unwrap();
    directory
}

#[test]
fn a_checkout_becomes_files_of_roots_with_usual_modes() {
    let layer = Layer::from_dir(checkout().path(), &Provenance::Overlay("overlay".into()), EPOCH).unwrap();
    let tree = Tree::new().merge(&layer, &MergePolicy::new()).unwrap();
    assert_eq!(
        listing(&tree),
        [
            "d etc",
            "f etc/fstab table",
            "d etc/init.d",
            "f:755:0:0 etc/init.d/run script",
            "l etc/link ../run"
        ]
    );
    assert!(tree.iter().skip(1).all(|(_, entry)| entry.mtime == EPOCH));
    assert_eq!(layer.weight(&path("etc")), Weight::Implied);
}

#[test]
fn paths_inside_a_tree_are_followed_as_a_process_inside_would() {
    let tree = tree(&[
        "d usr",
        "f usr/bin/a content",
        "l bin usr/bin",
        "l abs /bin/a",
        "l up usr/bin/../../../bin/a",
        "h hard usr/bin/a",
        "l loop loop",
        "l dangling nowhere",
        "f file x",
    ]);
    for start in ["usr/bin/a", "bin/a", "abs", "up", "hard"] {
        assert_eq!(tree.resolve(&path(start)).unwrap().0, &path("usr/bin/a"), "{start}");
        assert_eq!(tree.read(&path(start)).unwrap(), b"content", "{start}");
    }
    let error = |start: &str| tree.resolve(&path(start)).unwrap_err().to_string();
    assert_eq!(error("loop"), "`/loop` leads through more than 40 symbolic links");
    assert_eq!(error("dangling"), "`/dangling` does not exist in the tree");
    assert_eq!(error("file/x"), "`/file` is not a directory");
    assert_eq!(
        tree.read(&path("usr")).unwrap_err().to_string(),
        "`/usr` is a directory where a file is wanted"
    );
    let root = TreePath::root();
    let names = |at: &TreePath| tree.children(at).map(|(path, _)| path.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&path("usr")), ["/usr/bin"]);
    assert_eq!(names(&root).len(), 8);
    assert_eq!(tree.total_size(), 8);
}

#[test]
fn a_path_may_lead_through_40_links_and_no_more() {
    let mut lines: Vec<String> = (0..41).map(|number| format!("l {number} {}", number + 1)).collect();
    lines.push("f 41 end".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let tree = tree(&lines);
    assert_eq!(tree.read(&path("1")).unwrap(), b"end");
    assert!(tree.read(&path("0")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_turns_any_tree_into_any_other(before in any_tree(), after in any_tree()) {
        let mut laid_out = LaidOut::of(before);
        let wanted = LaidOut::of(after);
        // Everything there is younger than the first tree, so nothing passes for untouched.
        laid_out.at.directory.clone_from(&wanted.at.directory);
        let found = laid_out.scan_with(|how| how.epoch = 0);
        let result = laid_out.tree.clone().merge(&found, &MergePolicy::new()).unwrap();
        // Archives, since trees may call different names of a file the first.
        let bytes = |tree: &Tree<Complete>| write_tar(tree, Vec::new(), EPOCH).unwrap();
        prop_assert!(bytes(&result) == bytes(&wanted.tree), "{:?} {:?}", listing(&result), found);
    }
}
