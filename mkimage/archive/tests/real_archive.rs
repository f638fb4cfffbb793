//! The way from the real archive to unpacked packages. Without a mirror that answers, this says so and passes,
//! unless `REQUIRE_ALL=1` demands otherwise.

use mkimage_archive::{Archive, ArchiveError, Cache, Cancel, Keyring, Mirror, Silent};
use mkimage_deb::{PackageIndex, Timestamp};
use mkimage_resolve::{Chosen, Lock, Request, Wanted, resolve};
use std::io::{self, Write};
use std::sync::Arc;

fn archive(folder: &tempfile::TempDir) -> Archive {
    Archive {
        mirror: Mirror::choose(None).unwrap(),
        keyring: Keyring::shipped(),
        cache: Cache::open(folder.path()).unwrap(),
        now: Timestamp::now(),
        local: Vec::new(),
        progress: Arc::new(Silent),
        cancel: Cancel::new(),
    }
}

/// Says whether a result is that no mirror answers, which is no fault of what is tested.
fn is_skipped<T>(result: &Result<T, ArchiveError>) -> bool {
    let Err(error @ ArchiveError::Network { .. }) = result else { return false };
    let required = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "REQUIRE_ALL=1, but {error}");
    let mut screen = io::stderr();
    writeln!(screen, "skipped: {error}").unwrap();
    true
}

fn lock(index: &PackageIndex, packages: &[&str]) -> Lock {
    let packages = packages.iter().map(|name| Wanted::any(name)).collect();
    let request = Request { packages, essential: false, ..Request::image("trixie", "amd64") };
    Lock::new(&request, None, resolve(&request, index).unwrap())
}

#[test]
fn the_real_suite_verifies_resolves_and_arrives_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(&folder);
    let release = archive.release("trixie");
    if is_skipped(&release) {
        return;
    }
    let release = release.unwrap();
    assert!(!release.signers().is_empty());
    assert_eq!(release.codename.as_deref(), Some("trixie"));

    let index = archive.index(&release, &["main"], "amd64").unwrap();
    assert!(index.packages().len() > 60_000);
    let lock = lock(index.packages(), &["udev", "systemd-standalone-sysusers", "util-linux"]);
    for name in ["libc6", "libkmod2", "libpam-modules", "libsystemd-shared", "udev", "util-linux", "zlib1g"] {
        assert!(lock.package(name).is_some(), "{name} belongs to it");
    }
    assert!(lock.package("systemd").is_none());
    assert!((30..50).contains(&lock.packages.len()), "{} packages", lock.packages.len());

    // The smallest of them are enough to see that packages arrive.
    let mut smallest: Vec<Chosen> = lock.packages.clone();
    smallest.sort_by_key(|chosen| chosen.size);
    smallest.truncate(3);
    let packages = archive.packages(&smallest).unwrap();
    assert_eq!(packages.len(), 3);
    for package in &packages {
        assert!(package.control.contains_key("control"), "{}", package.name);
        assert_eq!(package.data.metadata().unwrap().len(), package.data_size);
    }
    // From here on everything is in the cache.
    assert_eq!(archive.packages(&smallest).unwrap(), packages);
    assert_eq!(archive.fetch(&smallest).unwrap().cached, 3);
}
