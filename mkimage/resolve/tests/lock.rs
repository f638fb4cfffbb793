//! The lock as text: written, read back, compared, and refused with the place of what is wrong.

use mkimage_deb::{Sha256, Timestamp};
use mkimage_resolve::{
    Because, Change, Chosen, Forbidden, Lock, Request, Role, Selection, UnfitLock, Wanted,
};

fn chosen(name: &str, version: &str, because: Because) -> Chosen {
    Chosen {
        name: name.into(),
        version: version.parse().unwrap(),
        architecture: "amd64".into(),
        size: 12,
        sha256: Sha256::of(format!("{name} {version}").as_bytes()),
        filename: format!("pool/main/{name}_{version}.deb"),
        because,
        role: Role::Normal,
    }
}

/// When the archive was as the lock has it.
const DATE: Timestamp = Timestamp(1_757_152_949);

fn request() -> Request {
    Request { packages: vec![Wanted::any("app")], ..Request::image("trixie", "amd64") }
}

fn lock() -> Lock {
    let packages = vec![
        chosen("library", "1:2.0-1", Because::NeededBy("app".into())),
        chosen("app", "1.0", Because::Requested),
        Chosen { role: Role::FilesOnly, ..chosen("linux", "6", Because::RequestedAs("linux-image".into())) },
        chosen("base", "3", Because::Essential),
    ];
    Lock::new(&request(), Some(DATE), Selection { packages })
}

#[test]
fn a_lock_is_sorted_and_reads_back_as_itself() {
    let lock = lock();
    let names: Vec<&str> = lock.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["app", "base", "library", "linux"]);
    assert_eq!(Lock::parse("base.lock", &lock.to_string()), Ok(lock.clone()));
    assert_eq!(lock.package("library").unwrap().version.as_str(), "1:2.0-1");
    assert_eq!(lock.package("absent"), None);
}

#[test]
fn a_lock_is_written_for_people() {
    let text = lock().to_string();
    let header: Vec<&str> = text.lines().skip(1).take(6).collect();
    assert_eq!(header[..3], ["Lock-Format: 1", "Suite: trixie", "Architecture: amd64"]);
    assert_eq!(header[3], format!("Request: {}", request().digest()));
    assert_eq!(header[4], "Date: Sat, 06 Sep 2025 10:02:29 UTC");
    assert!(header[5].starts_with("Body-SHA256: "), "{}", header[5]);
    let block = format!(
        "\nPackage: linux\nVersion: 6\nArchitecture: amd64\nSize: 12\nSHA256: {}\nFilename: pool/main/linux_6.deb\n\
         Because: requested as linux-image\nRole: files-only\n",
        Sha256::of(b"linux 6")
    );
    assert!(text.ends_with(&block), "{text}");
}

#[test]
fn a_lock_answers_the_request_it_was_made_for_and_no_other() {
    assert_eq!(lock().must_answer(&request()), Ok(()));
    let other = Request { packages: vec![Wanted::any("app"), Wanted::any("more")], ..request() };
    assert_eq!(lock().must_answer(&other), Err(UnfitLock::Stale));
}

#[test]
fn a_lock_that_has_what_the_request_forbids_is_refused_by_its_name() {
    let mut lock = lock();
    lock.packages.push(chosen("systemd", "257", Because::Requested));
    let error = lock.must_answer(&request()).unwrap_err();
    assert_eq!(error.to_string(), "the lock has the forbidden package `systemd`");
    assert!(error.help().contains("mkimage lock --update"));
    // To forbid what the lock has is another request, which making the lock anew answers.
    let forbidden = Forbidden { name: "base".into(), help: String::new() };
    let other = Request { forbidden: vec![forbidden], ..request() };
    assert_eq!(lock.must_answer(&other), Err(UnfitLock::Stale));
}

#[test]
fn a_lock_that_was_edited_is_refused_and_one_that_was_only_laid_out_anew_is_not() {
    let text = lock().to_string();
    let (first, rest) = text.split_once("\n\nPackage: base").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let extra = text.replace(
        "\nPackage: base\n",
        &format!(
            "\nPackage: babe\nVersion: 1\nArchitecture: all\nSize: 1\nSHA256: {}\nFilename: a\nBecause: essential\n\n\
             Package: base\n",
            Sha256::of(b"")
        ),
    );
    let edited = [
        format!("{first}\n\n{after}"),
        extra,
        text.replace("Version: 6", "Version: 7"),
        text.replace("Date: Sat, 06", "Date: Fri, 05"),
        text.replace("Suite: trixie", "Suite: sid"),
    ];
    for text in edited {
        let error = Lock::parse("base.lock", &text).unwrap_err();
        let summary = "base.lock:7:14: error: the lock was edited: this is not the digest of what it says";
        assert_eq!(error.0.iter().map(|problem| problem.summary()).collect::<Vec<_>>(), [summary]);
        assert!(error.to_string().contains("mkimage lock --update"), "{error}");
    }
    assert_eq!(Lock::parse("base.lock", &text.replace("\nPackage", "\n# why\n\nPackage")), Ok(lock()));
}

#[test]
fn a_lock_need_not_say_of_which_day_it_is_but_must_have_its_digest() {
    let undated = Lock { date: None, ..lock() };
    assert!(!undated.to_string().contains("Date:"));
    assert!(undated.says_the_same(&lock()) && undated != lock());
    assert_eq!(Lock::parse("base.lock", &undated.to_string()), Ok(undated));
    let text = lock().to_string();
    let bare: String = text.split_inclusive('\n').filter(|line| !line.starts_with("Body-")).collect();
    let error = Lock::parse("base.lock", &bare).unwrap_err().to_string();
    assert!(
        error.contains("the field `Body-SHA256` is missing") && error.contains("mkimage lock --update"),
        "{error}"
    );
}

#[test]
fn a_lock_is_not_made_anew_from_an_older_archive() {
    assert_eq!(lock().must_not_go_back(DATE), Ok(()));
    assert_eq!(Lock { date: None, ..lock() }.must_not_go_back(Timestamp(0)), Ok(()));
    let error = lock().must_not_go_back(Timestamp(DATE.0 - 86_400)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the archive's description of Fri, 05 Sep 2025 10:02:29 UTC is older than the one of \
         Sat, 06 Sep 2025 10:02:29 UTC that the lock was made from"
    );
    assert!(error.help().contains("MKIMAGE_MIRROR"));
}

#[test]
fn the_differences_of_two_locks_are_told_by_name() {
    let (old, mut new) = (lock(), lock());
    new.packages.retain(|p| p.name != "base");
    new.packages[1] = chosen("library", "1:2.1-1", Because::Requested);
    new.packages.push(chosen("zlib", "1", Because::NeededBy("library".into())));
    let changes: Vec<String> = old.changes(&new).iter().map(Change::to_string).collect();
    assert_eq!(changes, ["base 3 removed", "library 1:2.0-1 -> 1:2.1-1", "zlib 1 added"]);
    assert_eq!(old.changes(&old), []);
    assert_ne!(old.digest(), new.digest());
}

#[test]
fn who_asked_for_a_package_does_not_change_what_an_image_is_made_of() {
    let mut other = lock();
    other.packages[0].because = Because::Essential;
    assert_eq!(other.digest(), lock().digest());
    assert_eq!(lock().changes(&other), []);
}

/// The first line of each problem of a lock in which `from` was replaced.
fn problems(from: &str, to: &str) -> Vec<String> {
    let text = lock().to_string();
    assert!(text.contains(from), "there is no `{from}` to replace");
    let error = Lock::parse("base.lock", &text.replacen(from, to, 1)).unwrap_err();
    error.0.iter().map(|problem| problem.summary()).collect()
}

#[test]
fn what_is_wrong_with_a_lock_is_told_with_line_and_column() {
    assert_eq!(problems("Size: 12", "Size: x"), ["base.lock:12:7: error: `x` is not a number of bytes"]);
    assert_eq!(
        problems("Size: 12\n", ""),
        ["base.lock:9:1: error: the field `Size` is missing from this block"]
    );
    assert_eq!(problems("Size:", "Sise:").len(), 2);
    assert_eq!(
        problems("Because: essential", "Because: fun"),
        [
            "base.lock:23:10: error: `fun` is none of `requested`, `requested as NAME`, `essential` and `needed by NAME`"
        ]
    );
    assert_eq!(
        problems("Role: files-only", "Role: file"),
        ["base.lock:40:7: error: `file` is neither `normal` nor `files-only`"]
    );
    assert_eq!(
        problems("pool/main/app_1.0.deb", "../../etc/passwd"),
        ["base.lock:14:11: error: `../../etc/passwd` is not a path below the archive"]
    );
    assert_eq!(
        problems("Package: base", "Package: aaaa"),
        ["base.lock:17:10: error: the package `aaaa` stands behind `app`"]
    );
    assert_eq!(
        problems("Lock-Format: 1", "Lock-Format: 2"),
        ["base.lock:2:14: error: the lock has format `2`, but only `1` is known"]
    );
    assert_eq!(
        problems("Suite: trixie", "nonsense"),
        ["base.lock:3:1: error: `nonsense` is neither a field nor continues one"]
    );
}

#[test]
fn several_problems_are_told_at_once_and_each_can_be_shown() {
    let text = lock().to_string().replace("Size: 12", "Size: -").replace("\nSHA256: ", "\nSHA256: z");
    let error = Lock::parse("base.lock", &text).unwrap_err();
    assert_eq!(error.0.len(), 8);
    let shown = error.to_string();
    assert!(shown.contains("base.lock:12:7") && shown.contains("mkimage lock --update"), "{shown}");
}

#[test]
fn an_empty_lock_is_said_to_be_empty() {
    assert!(Lock::parse("base.lock", "").unwrap_err().to_string().contains("the lock is empty"));
}
