//! The program as its user meets it when something is wrong: what it says, its exit status, and what it leaves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const MANIFEST: &str = "\
[image]
name = \"x\"
[archive]
distribution = \"debian\"
suite = \"trixie\"
architecture = \"amd64\"
[packages]
include = [\"dash\"]
[kernel]
package = \"linux-image-cloud-amd64\"
";

/// A folder with a manifest and a cache, and no way to any mirror.
struct Place(TempDir);

impl Place {
    fn new(manifest: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.manifest(), manifest).unwrap();
        place
    }

    fn manifest(&self) -> PathBuf {
        self.0.path().join("x.toml")
    }

    fn lock(&self) -> PathBuf {
        self.0.path().join("x.lock")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkimage"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("MKIMAGE_DATA", Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .env("MKIMAGE_CACHE", self.0.path().join("cache"))
            // RFC 6761: such a name never resolves.
            .env("MKIMAGE_MIRROR", "http://mirror.invalid/debian");
        command
    }

    /// Runs to the end; it must fail, and says so.
    fn refused(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{error}");
        assert_eq!(String::from_utf8_lossy(&stdout), "");
        error
    }

    /// The names of what is in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_mistake_in_a_manifest_is_shown_with_its_line_and_a_way_on() {
    let place = Place::new(&MANIFEST.replace("include", "inclued"));
    let error = place.refused(&["build", "x.toml", "--output", "out"]);
    let expected = "\
x.toml:8:1: error: unknown key `inclued`
    8 | inclued = [\"dash\"]
      | ^^^^^^^
help: a key with a similar name exists: `include`
";
    assert_eq!(error, expected);
    assert_eq!(place.names(), ["cache", "x.toml"]);
}

#[test]
fn every_verb_that_reads_a_manifest_names_the_one_that_is_missing() {
    let place = Place::new(MANIFEST);
    for verb in ["boot", "build", "lock", "fetch", "check"] {
        let error = place.refused(&[verb, "absent.toml"]);
        assert!(error.contains("`absent.toml`") && error.contains("No such file"), "{verb}: {error}");
    }
}

#[test]
fn without_a_network_the_mirror_is_named_and_nothing_is_left() {
    let place = Place::new(MANIFEST);
    for _ in 0..2 {
        let error = place.refused(&["build", "x.toml", "--output", "out"]);
        assert!(error.contains("http://mirror.invalid/debian"), "{error}");
        assert!(error.contains("\nhelp: "), "{error}");
        assert_eq!(place.names(), ["cache", "x.toml"]);
    }
}

#[test]
fn what_the_mirror_does_not_have_is_pointed_at_in_the_manifest() {
    let place = Place::new(MANIFEST);
    let output = place.command(&["lock", "x.toml"]).env("MKIMAGE_MIRROR", place.0.path()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("x.toml:5:9: error: the mirror has no suite `trixie`"), "{error}");
    assert!(error.contains("\nhelp: "), "{error}");
    assert!(!place.lock().exists());
}

#[test]
fn a_file_in_the_place_of_a_folder_is_refused_before_any_work() {
    let place = Place::new(MANIFEST);
    let file = place.0.path().join("file");
    fs::write(&file, "kept").unwrap();
    for option in ["--output", "--cache"] {
        let error = place.refused(&["build", "x.toml", option, "file"]);
        assert!(
            error.contains(&format!("`file` is not a folder; name another one with `{option}`")),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

#[test]
fn a_package_in_a_file_must_be_there_and_be_a_package() {
    let place = Place::new(&MANIFEST.replace("[kernel]", "local = [\"debs/*.deb\"]\n[kernel]"));
    let error = place.refused(&["lock", "x.toml"]);
    assert!(error.contains("x.toml:9:10: error: no file matches"), "{error}");
    fs::create_dir(place.0.path().join("debs")).unwrap();
    fs::write(place.0.path().join("debs/mine.deb"), "not at all").unwrap();
    let error = place.refused(&["lock", "x.toml"]);
    assert!(error.contains("x.toml:9:10: error: `debs/mine.deb` is of no use here"), "{error}");
    assert!(!place.lock().exists());
}

#[test]
fn a_locked_run_refuses_to_make_a_lock_or_to_change_one() {
    let place = Place::new(MANIFEST);
    let error = place.refused(&["build", "x.toml", "--locked"]);
    assert!(error.contains("there is no lock `x.lock`"), "{error}");

    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs/images/base.lock");
    fs::copy(&base, place.lock()).unwrap();
    let error = place.refused(&["build", "x.toml", "--locked"]);
    assert!(error.contains("`x.lock`") && error.contains("--locked forbids"), "{error}");
    assert_eq!(fs::read(&base).unwrap(), fs::read(place.lock()).unwrap());
}

#[test]
fn a_broken_lock_is_pointed_at_and_left_alone() {
    let place = Place::new(MANIFEST);
    let broken = "Lock-Format: 1\nSuite trixie\n";
    fs::write(place.lock(), broken).unwrap();
    let error = place.refused(&["fetch", "x.toml"]);
    assert!(error.starts_with("x.lock:2:1: error: "), "{error}");
    assert!(error.contains("help: let `mkimage lock --update` write the lock anew"), "{error}");
    assert_eq!(fs::read_to_string(place.lock()).unwrap(), broken);
}

#[test]
fn the_committed_locks_answer_their_manifests() {
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs/images");
    for name in ["base", "tools"] {
        let place = Place::new(MANIFEST);
        // No mirror can be reached: this succeeds only if there is nothing to ask.
        let manifest = images.join(format!("{name}.toml"));
        let output = place.command(&["lock"]).arg(manifest).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_guest_that_does_not_run_any_more_cannot_be_attached_to() {
    let place = Place::new(MANIFEST);
    let error = place.refused(&["attach", "gone"]);
    assert!(error.contains("cannot connect to `gone`: does the guest still run?"), "{error}");
}

#[test]
fn a_process_1_that_the_kernel_could_not_find_is_refused_at_once() {
    let place = Place::new(MANIFEST);
    for (path, why) in [("sbin/init", "it must begin with `/`"), ("/a b", "cannot hold it")] {
        let output = place.command(&["boot", "--init", path]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("--init") && error.contains(why), "{error}");
    }
}

#[test]
fn an_interrupt_ends_a_run_that_waits_for_another_one() {
    let place = Place::new(MANIFEST);
    fs::create_dir(place.0.path().join("cache")).unwrap();
    let other = fs::File::create(place.0.path().join("cache/run.lock")).unwrap();
    other.lock().unwrap();
    let mut run = place.command(&["lock", "x.toml"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "Waiting for another mkimage that uses the same cache");
    kill(Pid::from_raw(i32::try_from(run.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(lines.next().unwrap().unwrap().starts_with("mkimage: interrupted"));
    assert!(!place.lock().exists());
}
