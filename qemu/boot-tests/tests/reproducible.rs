//! The same lock and inputs give the same bytes.

use std::fs;
use std::process::Command;

use boot_tests::{image, mkimage};

#[test]
fn an_image_built_twice_from_nothing_but_packages_has_the_same_bytes() {
    let first = image();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let again = folder.path().join("image");
    // Another time zone, another locale, another umask and a name that sorts elsewhere must not show.
    let mut build = Command::new("sh");
    build.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(mkimage());
    build.args(["build", "--quiet", "--from-scratch", "--output"]).arg(&again);
    let output =
        build.env("TZ", "Pacific/Auckland").env("LC_ALL", "C.UTF-8").output().expect("sh can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for path in [first.kernel(), first.initramfs(), first.root()] {
        let name = path.file_name().expect("a file has a name");
        let (one, other) = (fs::read(&path), fs::read(again.join(name)));
        let same = one.expect("the first can be read") == other.expect("the second can be read");
        assert!(same, "the builds differ in {}", name.display());
    }
}
