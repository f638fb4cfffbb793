//! A whole archive in a folder, from its description to unpacked packages, and what may go wrong on the way.

use super::*;
use crate::cache::UnpackedPaths;
use crate::fixture::{DAY, NOW, Secret, TestPackage, lay_archive, lay_archive_of};
use crate::{Cache, Keyring, LocalError, LocalPackage, Mirror, Silent};
use mkimage_deb::Timestamp;
use mkimage_resolve::{Request, Role, Wanted, resolve};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// An archive with `app`, which needs `library`, and a cache.
struct World {
    folder: TempDir,
    secret: Secret,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), secret: Secret::new() };
        let packages = [TestPackage::new("app", "library"), TestPackage::new("library", "")];
        lay_archive(&world.mirror(), &packages, &world.secret);
        world
    }

    fn mirror(&self) -> PathBuf {
        self.folder.path().join("mirror")
    }

    fn archive(&self) -> Archive {
        Archive {
            mirror: Mirror::at(self.mirror().to_str().unwrap()).unwrap(),
            keyring: Keyring::parse("test", &self.secret.good_key_file()).unwrap(),
            cache: Cache::open(&self.folder.path().join("cache")).unwrap(),
            now: NOW,
            local: Vec::new(),
            progress: Arc::new(Silent),
            cancel: Cancel::new(),
        }
    }

    fn chosen(&self) -> Vec<Chosen> {
        let archive = self.archive();
        let release = archive.release("test").unwrap();
        let index = archive.index(&release, &["main"], "amd64").unwrap();
        let request = Request { packages: vec![Wanted::any("app")], ..Request::new("test", "amd64") };
        resolve(&request, index.packages()).unwrap().packages
    }

    /// Gives all files of the cache.
    fn cached(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for folder in ["packages/sha256", "unpacked", "partial"] {
            for entry in fs::read_dir(self.folder.path().join("cache").join(folder)).unwrap() {
                found.insert(format!("{folder}/{}", entry.unwrap().file_name().display()));
            }
        }
        found
    }
}

fn remove_mirror(world: &World) {
    fs::remove_dir_all(world.mirror()).unwrap();
}

fn append(path: &Path, text: &str) {
    let mut bytes = fs::read(path).unwrap();
    bytes.extend_from_slice(text.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn packages_arrive_unpacked_and_then_need_no_mirror() {
    let world = World::new();
    let chosen = world.chosen();
    assert_eq!(chosen.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["app", "library"]);
    let packages = world.archive().packages(&chosen).unwrap();
    let app = &packages[0];
    assert_eq!((app.name.as_str(), app.version.as_str(), app.role), ("app", "1:2+b3~x", Role::Normal));
    assert_eq!(app.control.keys().collect::<Vec<_>>(), ["control", "postinst"]);
    assert_eq!(fs::metadata(&app.data).unwrap().len(), app.data_size);
    let mut tar = tar::Archive::new(fs::File::open(&app.data).unwrap());
    let paths: Vec<PathBuf> =
        tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(paths, [Path::new("usr/share/app")]);

    remove_mirror(&world);
    assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
    assert!(world.cached().iter().all(|file| file.starts_with("unpacked/")), "{:?}", world.cached());
}

#[test]
fn what_was_only_fetched_is_unpacked_later_without_the_mirror() {
    let world = World::new();
    let chosen = world.chosen();
    let fetched = world.archive().fetch(&chosen).unwrap();
    let bytes = chosen.iter().map(|c| c.size).sum();
    assert_eq!(fetched, Fetched { downloaded: 2, downloaded_bytes: bytes, cached: 0 });
    remove_mirror(&world);
    assert_eq!(world.archive().fetch(&chosen).unwrap(), Fetched { cached: 2, ..Fetched::default() });
    assert_eq!(world.archive().packages(&chosen).unwrap().len(), 2);
}

#[test]
fn a_package_in_a_file_takes_the_place_of_the_archives_and_is_not_asked_of_the_mirror() {
    let world = World::new();
    let file = world.folder.path().join("mine.deb");
    fs::write(&file, TestPackage::new("library", "").deb).unwrap();
    let local = vec![LocalPackage::read(&file).unwrap()];
    let archive = || Archive { local: local.clone(), ..world.archive() };
    let release = archive().release("test").unwrap();
    let index = archive().index(&release, &["main"], "amd64").unwrap().with_local(&local).unwrap();
    let request = Request { packages: vec![Wanted::any("app")], ..Request::new("test", "amd64") };
    let chosen = resolve(&request, &index).unwrap().packages;
    let versions: Vec<_> = chosen.iter().map(|c| (c.name.as_str(), c.version.as_str())).collect();
    assert_eq!(versions, [("app", "1:2+b3~x"), ("library", "1")]);
    remove_mirror(&world);
    assert_eq!(archive().packages(&chosen[1..]).unwrap()[0].version, "1");

    // What is in the cache needs the file no more; what is not must be what was read.
    fs::write(&file, "another").unwrap();
    assert_eq!(archive().packages(&chosen[1..]).unwrap().len(), 1);
    fs::remove_dir_all(world.folder.path().join("cache")).unwrap();
    let error = archive().packages(&chosen[1..]).unwrap_err();
    assert!(error.source().unwrap().to_string().contains("was changed meanwhile"), "{error}");
    assert!(matches!(LocalPackage::read(&file), Err(LocalError::Deb(_))));
    assert!(matches!(LocalPackage::read(world.folder.path()), Err(LocalError::Read(_))));
}

#[test]
fn a_package_that_the_mirror_dropped_is_named_and_the_rest_stays_usable() {
    let world = World::new();
    let chosen = world.chosen();
    let library = chosen.iter().find(|c| c.name == "library").unwrap();
    fs::remove_file(world.mirror().join(&library.filename)).unwrap();
    let error = world.archive().packages(&chosen).unwrap_err();
    assert!(matches!(&error, ArchiveError::Gone { package, .. } if package == "library 1:2+b3~x"), "{error}");
    let app: Vec<Chosen> = chosen.into_iter().filter(|c| c.name == "app").collect();
    assert_eq!(world.archive().packages(&app).unwrap().len(), 1);
}

#[test]
fn a_package_with_other_bytes_never_gets_its_name() {
    let world = World::new();
    let chosen = world.chosen();
    let path = world.mirror().join(&chosen[0].filename);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = world.archive().packages(&chosen[..1]).unwrap_err();
    assert!(matches!(error, ArchiveError::Mismatch { .. }), "{error}");
    assert!(
        !world.cached().iter().any(|file| file.starts_with("packages/") || file.starts_with("unpacked/"))
    );
}

#[test]
fn a_signed_package_that_is_damaged_is_refused_by_name() {
    let world = World::new();
    let mut package = TestPackage::new("app", "");
    package.deb.truncate(package.deb.len() - 600);
    lay_archive(&world.mirror(), &[package], &world.secret);
    let error = world.archive().packages(&world.chosen()).unwrap_err();
    assert!(matches!(&error, ArchiveError::BadPackage { name, .. } if name == "app"), "{error}");
    assert_eq!(world.cached(), BTreeSet::new(), "it is fetched anew next time");
}

#[test]
fn files_of_the_cache_that_lost_or_gained_bytes_are_made_anew() {
    let world = World::new();
    let chosen = world.chosen();
    let packages = world.archive().packages(&chosen).unwrap();
    append(&packages[0].data, "more");
    assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
    assert_eq!(fs::metadata(&packages[0].data).unwrap().len(), packages[0].data_size);

    world.archive().fetch(&chosen).unwrap();
    fs::write(world.archive().cache.package(&chosen[0].sha256), "half").unwrap();
    fs::remove_file(&packages[0].data).unwrap();
    assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
}

/// Changes one byte in the middle of a file, and nothing else about it.
fn flip(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_byte_that_changed_in_the_cache_is_noticed_and_the_package_made_anew() {
    let world = World::new();
    let chosen = world.chosen();
    let packages = world.archive().packages(&chosen).unwrap();
    let whole = fs::read(&packages[0].data).unwrap();
    let control = world.archive().cache.unpacked(&chosen[0].sha256).control;
    for path in [&packages[0].data, &control] {
        flip(path);
        assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
        assert_eq!(fs::read(&packages[0].data).unwrap(), whole);
    }
    let record = world.archive().cache.unpacked(&chosen[0].sha256).complete;
    for garbage in ["", "data 1\ncontrol 1\n", "data x\n"] {
        fs::write(&record, garbage).unwrap();
        assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
    }
}

#[test]
fn a_package_that_went_bad_before_it_was_unpacked_is_fetched_anew() {
    let world = World::new();
    let chosen = world.chosen();
    world.archive().fetch(&chosen).unwrap();
    flip(&world.archive().cache.package(&chosen[0].sha256));
    let fetched = world.archive().fetch(&chosen).unwrap();
    assert_eq!((fetched.downloaded, fetched.cached), (1, 1));
    flip(&world.archive().cache.package(&chosen[0].sha256));
    assert_eq!(world.archive().packages(&chosen).unwrap().len(), 2);
    assert!(world.cached().iter().all(|file| file.starts_with("unpacked/")), "{:?}", world.cached());
}

#[test]
fn a_cache_that_was_copied_is_looked_through_once_and_needs_no_mirror() {
    let world = World::new();
    let chosen = world.chosen();
    let packages = world.archive().packages(&chosen).unwrap();
    remove_mirror(&world);
    let UnpackedPaths { data, complete, .. } = world.archive().cache.unpacked(&chosen[0].sha256);
    let copy = data.with_extension("copy");
    fs::copy(&data, &copy).unwrap();
    fs::rename(&copy, &data).unwrap();
    let before = fs::read_to_string(&complete).unwrap();
    assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
    assert_ne!(fs::read_to_string(&complete).unwrap(), before);
    assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
}

#[test]
fn what_was_not_used_for_long_leaves_the_cache_whole_packages_at_a_time() {
    let world = World::new();
    let chosen = world.chosen();
    let packages = world.archive().packages(&chosen).unwrap();
    let cache = world.archive().cache;
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    assert_eq!(cache.remove_unused(now - day), 0);

    // Forty days later one of the two has been used again, ten days before.
    cache.mark_used([&chosen[1].sha256], now + 30 * day);
    let removed = cache.remove_unused(now + 10 * day);
    assert!(removed > packages[0].data_size, "{removed}");
    let left = |end: &str| format!("unpacked/{}.{end}", chosen[1].sha256);
    assert_eq!(world.cached(), ["complete", "control.tar", "tar"].map(left).into());
    assert!(cache.is_unpacked(&chosen[1].sha256));
    assert_eq!(world.archive().packages(&chosen).unwrap(), packages);
}

#[test]
fn nothing_leaves_the_cache_while_another_run_writes() {
    let world = World::new();
    world.archive().packages(&world.chosen()).unwrap();
    let cache = world.archive().cache;
    let long_after = SystemTime::now() + Duration::from_secs(1_000_000_000);
    let alone = cache.try_occupy().unwrap();
    assert_eq!(cache.remove_unused(long_after), 0);
    drop(alone);
    assert!(cache.remove_unused(long_after) > 0);
    assert!(world.cached().is_empty(), "{:?}", world.cached());
}

#[test]
fn an_index_that_was_damaged_in_the_cache_is_fetched_anew() {
    let world = World::new();
    let before = world.chosen();
    let folder = world.folder.path().join("cache/indices");
    let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&path).unwrap();
    let letter = text.replacen("library", "librarx", 1);
    for damaged in [&text.as_bytes()[..text.len() / 2], letter.as_bytes(), b"", b"\xff\xfe garbage"] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(world.chosen(), before);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn an_index_that_is_not_the_signed_one_is_refused() {
    let world = World::new();
    let path = world.mirror().join("dists/test/main/binary-amd64/Packages");
    let archive = world.archive();
    let release = archive.release("test").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("library", "librarx")).unwrap();
    let error = archive.index(&release, &["main"], "amd64").unwrap_err();
    assert!(matches!(error, ArchiveError::Mismatch { .. }), "{error}");
    fs::remove_file(&path).unwrap();
    let error = archive.index(&release, &["main"], "amd64").unwrap_err();
    assert!(matches!(error, ArchiveError::IndexGone { .. }), "{error}");
}

#[test]
fn suites_components_and_architectures_that_are_not_there_are_named() {
    let world = World::new();
    let archive = world.archive();
    let error = archive.release("trixy").unwrap_err();
    assert!(matches!(&error, ArchiveError::NoSuchSuite { suite, .. } if suite == "trixy"), "{error}");
    let release = archive.release("test").unwrap();
    for (component, architecture) in [("contrib", "amd64"), ("main", "arm64")] {
        let error = archive.index(&release, &[component], architecture).unwrap_err();
        assert!(matches!(error, ArchiveError::NoSuchIndex { .. }), "{error}");
        assert!(error.to_string().contains("the components main for the architectures amd64"), "{error}");
    }
}

#[test]
fn what_a_mirror_of_the_host_does_not_have_comes_from_the_next_one() {
    let world = World::new();
    let partial = world.folder.path().join("partial-mirror");
    fs::create_dir(&partial).unwrap();
    let whole = Mirror::at(world.mirror().to_str().unwrap()).unwrap();
    let mirror = Mirror::at(partial.to_str().unwrap()).unwrap().before(whole.clone());
    let archive = || Archive { mirror: mirror.clone(), ..world.archive() };
    // Neither the suite nor an index nor a package is where apt would look first.
    let release = archive().release("test").unwrap();
    let index = archive().index(&release, &["main"], "amd64").unwrap();
    assert_eq!(index.packages().len(), 2);
    assert_eq!(archive().packages(&world.chosen()).unwrap().len(), 2);
    let error = archive().release("trixy").unwrap_err();
    assert!(
        matches!(&error, ArchiveError::NoSuchSuite { address, .. } if *address == whole.address("dists/trixy/InRelease")),
        "{error}"
    );
}

#[test]
fn a_description_older_than_the_one_seen_before_is_refused_and_a_newer_one_is_not() {
    let world = World::new();
    let day = |days: u64| Timestamp(NOW.0 - days * DAY);
    let lay =
        |days| lay_archive_of(day(days), &world.mirror(), &[TestPackage::new("app", "")], &world.secret);
    for days in [9, 5, 5] {
        lay(days);
        assert_eq!(world.archive().release("test").unwrap().date, day(days));
    }
    lay(6);
    let error = world.archive().release("test").unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Older { offered, seen, .. } if (*offered, *seen) == (day(6), day(5))),
        "{error}"
    );
    assert!(error.help().unwrap().contains("another mirror"));
    assert!(error.to_string().contains(world.mirror().to_str().unwrap()), "{error}");

    // Another mirror may be behind; whoever names it knows that.
    let other = world.folder.path().join("other");
    fs::rename(world.mirror(), &other).unwrap();
    let archive = Archive { mirror: Mirror::at(other.to_str().unwrap()).unwrap(), ..world.archive() };
    assert_eq!(archive.release("test").unwrap().date, day(6));
}

#[test]
fn an_archive_signed_by_another_key_or_too_early_is_refused() {
    let world = World::new();
    let mut archive = world.archive();
    archive.now = Timestamp(NOW.0 - 2 * DAY);
    assert!(matches!(archive.release("test"), Err(ArchiveError::Signature { .. })));
    let other = Secret::new();
    archive =
        Archive { keyring: Keyring::parse("other", &other.good_key_file()).unwrap(), now: NOW, ..archive };
    let error = archive.release("test").unwrap_err();
    assert!(error.to_string().contains("is not known"), "{error}");
    assert!(error.help().is_some());
}

#[test]
fn whoever_wants_the_end_before_it_begins_gets_it_and_nothing_is_left() {
    let world = World::new();
    let chosen = world.chosen();
    let archive = world.archive();
    archive.cancel.request();
    assert!(matches!(archive.packages(&chosen), Err(ArchiveError::Cancelled)));
    assert!(
        !world.cached().iter().any(|file| file.starts_with("packages/") || file.starts_with("unpacked/"))
    );
    assert_eq!(world.archive().packages(&chosen).unwrap().len(), 2);
}

#[test]
fn two_runs_at_once_do_not_hurt_each_other() {
    let world = World::new();
    let chosen = world.chosen();
    thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| world.archive().packages(&chosen).unwrap())).collect();
        let results: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    });
    assert!(!world.cached().iter().any(|file| file.starts_with("partial/")));
}

#[test]
fn while_another_run_writes_whoever_waits_can_still_end() {
    let world = World::new();
    let chosen = world.chosen();
    let archive = world.archive();
    let _other = archive.cache.try_occupy().unwrap().unwrap();
    assert!(archive.cache.try_occupy().unwrap().is_none());
    archive.cancel.request();
    assert!(matches!(archive.fetch(&chosen), Err(ArchiveError::Cancelled)));
}
