//! The program and an archive that changes under it: a signed one in a folder, with keys of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mkimage_archive::fixture::{DAY, NOW, Secret, TestPackage, lay_archive_of};
use mkimage_deb::Timestamp;
use tempfile::TempDir;

const MANIFEST: &str = "\
[image]
name = \"x\"
[archive]
distribution = \"debian\"
suite = \"test\"
architecture = \"amd64\"
keyring = \"keys\"
[packages]
include = [\"app\"]
essential = false
";

/// A manifest, an archive that is signed with a key of its own, and a cache.
struct World {
    folder: TempDir,
    secret: Secret,
}

impl World {
    fn new(packages: &[TestPackage]) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), secret: Secret::new() };
        fs::write(world.path("x.toml"), MANIFEST).unwrap();
        fs::write(world.path("keys"), world.secret.good_key_file()).unwrap();
        world.lay(10, packages);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts an archive in the place of the one that is there, as it was so many days ago.
    fn lay(&self, days_ago: u64, packages: &[TestPackage]) {
        let mirror = self.path("mirror");
        let _ = fs::remove_dir_all(&mirror);
        lay_archive_of(Timestamp(NOW.0 - days_ago * DAY), &mirror, packages, &self.secret);
    }

    /// Runs the program; gives whether it succeeded, and what it said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkimage"));
        command
            .args(arguments)
            .arg("x.toml")
            .current_dir(self.folder.path())
            .env("MKIMAGE_DATA", Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .env("MKIMAGE_CACHE", self.path("cache"))
            .env("MKIMAGE_MIRROR", self.path("mirror"));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (success, said) = self.run(arguments);
        assert!(success, "{said}");
        said
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (success, said) = self.run(arguments);
        assert!(!success, "{said}");
        said
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.path("x.lock")).unwrap()
    }

    fn lose_cache(&self) {
        fs::remove_dir_all(self.path("cache")).unwrap();
    }
}

fn app() -> TestPackage {
    TestPackage::new("app", "library, other")
}

fn package(name: &'static str, version: &'static str) -> TestPackage {
    TestPackage::new(name, "").in_version(version)
}

#[test]
fn what_the_mirror_dropped_is_locked_anew_and_nothing_else() {
    let world = World::new(&[app(), package("library", "1"), package("other", "1")]);
    world.done(&["fetch"]);
    let lock = world.lock();

    // Both have moved on, but only one of the old versions is gone.
    world.lay(5, &[app(), package("library", "2"), package("other", "1"), package("other", "2")]);
    assert!(world.done(&["fetch"]).contains("in the cache"), "what is there needs no mirror");
    assert_eq!(world.lock(), lock);

    world.lose_cache();
    let said = world.refused(&["fetch", "--locked"]);
    assert!(said.contains("no longer has `library 1`") && said.contains("--locked"), "{said}");
    assert_eq!(world.lock(), lock);

    let said = world.done(&["fetch"]);
    assert!(said.contains("The mirror no longer has library 1"), "{said}");
    assert!(said.contains("library 1 -> 2") && !said.contains("other"), "{said}");
    assert!(world.lock().contains("Package: other\nVersion: 1\n"), "{}", world.lock());
    world.done(&["fetch", "--locked"]);
}

#[test]
fn an_archive_that_goes_back_in_time_is_refused_with_and_without_a_memory_of_it() {
    let world = World::new(&[app(), package("library", "2"), package("other", "1")]);
    world.done(&["lock"]);
    let lock = world.lock();
    world.lay(20, &[app(), package("library", "1"), package("other", "1")]);
    for _ in 0..2 {
        let said = world.refused(&["lock", "--update"]);
        assert!(said.contains("19 Sep 2025") && said.contains("29 Sep 2025"), "{said}");
        assert_eq!(world.lock(), lock);
        world.lose_cache();
    }
}

#[test]
fn systemd_stays_out_and_who_wants_it_is_named() {
    let world = World::new(&[
        TestPackage::new("app", "library"),
        TestPackage::new("library", "systemd"),
        package("systemd", "1"),
    ]);
    let said = world.refused(&["lock"]);
    assert!(said.contains("x.toml:9:12"), "{said}");
    assert!(said.contains("`systemd`") && said.contains("library"), "{said}");
    assert!(said.contains("\nhelp: "), "{said}");
    assert!(!world.path("x.lock").exists());
}

#[test]
fn another_signature_than_the_manifests_key_made_is_refused() {
    let world = World::new(&[package("app", "1")]);
    fs::write(world.path("keys"), Secret::new().good_key_file()).unwrap();
    let said = world.refused(&["lock"]);
    assert!(said.contains("InRelease") && said.contains("\nhelp: "), "{said}");
    assert!(!world.path("x.lock").exists());
}
