//! Whatever lies in the service directories: any bytes as a description, other things than files in its place, and
//! names that nobody would choose.
//!
//! The corpus is replayed, and changed by chance: always by the same chance, unless more is asked for.
//! `FIRST=N CASES=N cargo test -p dinit-load --release --test hostile` tries other cases; a failure names its own.

mod memory;
mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dinit_graph::{Effect, Event, ExecFailure, ExecStage, Graph, Instant, Request};
use dinit_load::{Context, LoadError, Loading, SystemHost};
use dinit_service::settings::SETTINGS;

use memory::MemoryHost;
use support::{Variable, loader};

/// How many cases are tried when nobody asks for more.
const CASES: u64 = if cfg!(debug_assertions) { 1_000 } else { 20_000 };

/// The most bytes that a description grows to by chance.
const LONGEST: usize = 4_000;

/// What descriptions are made of, besides the names of settings.
const PIECES: [&str; 40] = [
    " = ",
    ": ",
    " += ",
    "=",
    "\n",
    "\\\n ",
    "\\",
    "\"",
    "'",
    "#",
    " ",
    "\t",
    "$",
    "${",
    "}",
    "$/",
    "$1",
    "$$",
    ":-",
    ":+",
    "@include ",
    "@include-opt ",
    "@meta enable-via ",
    "@",
    "/",
    "..",
    ".",
    ",",
    "-1",
    "0777",
    "18446744073709551616",
    "0.1",
    "process",
    "internal",
    "yes",
    "no",
    "internal@x",
    "\r",
    "\0",
    "\u{e9}",
];

/// Chance that can be repeated (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed >> 16).unwrap() % limit.max(1)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// The descriptions of the corpus by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut all: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    assert!(all.len() > 30, "the corpus is there");
    all
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], chance: &mut Chance) {
    let place = chance.below(bytes.len() + 1);
    let end = (place + chance.below(12)).min(bytes.len());
    match chance.below(7) {
        0 => bytes.insert(place, u8::try_from(chance.below(256)).unwrap()),
        1 if place < bytes.len() => bytes[place] ^= 1 << chance.below(8),
        2 => drop(bytes.drain(place..end)),
        3 => bytes.truncate(place),
        4 => drop(bytes.splice(place..place, chance.of(&PIECES).bytes())),
        5 => drop(bytes.splice(place..place, chance.of(SETTINGS).name.bytes())),
        _ => {
            let other = &chance.of(corpus).1;
            let from = chance.below(other.len() + 1);
            let to = (from + chance.below(80)).min(other.len());
            bytes.splice(place..end, other[from..to].iter().copied());
        }
    }
}

/// Loads a service from a world, checks what came of it, has it started, reads it again and stops everything.
fn live_through(host: &MemoryHost, name: &[u8]) {
    let variables = Variable([(b"A".to_vec(), b"a b".to_vec()), (b"HOME".to_vec(), b"/d".to_vec())].into());
    let directories = [b"/d".to_vec()];
    let loader = loader(host, &variables, &directories);
    let mut graph = Graph::new();
    let loading = loader.load(&mut graph, name);
    check(&graph, name, &loading);
    for message in &loading.messages {
        assert!(!message.text.is_empty());
    }
    let mut effects = Vec::new();
    if let Ok(service) = loading.outcome {
        graph.request(Instant(0), Request::Start { service, pin: false }, &mut effects);
        refuse_launches(&mut graph, &mut effects);
    }
    for new in &loading.services {
        loader.reload(&mut graph, new.id, &new.exec, Instant(1), &mut effects);
    }
    let kind = dinit_graph::ShutdownKind::Halt;
    graph.request(Instant(2), Request::Shutdown { kind }, &mut effects);
    refuse_launches(&mut graph, &mut effects);
    assert_eq!(graph.active_count(), 0);
}

/// What loaded is in the graph, and what did not is said.
fn check(graph: &Graph, name: &[u8], loading: &Loading) {
    assert_eq!(graph.services().len(), loading.services.len());
    for new in &loading.services {
        assert_eq!(graph.name(new.id), Some(&*new.exec.name));
    }
    match &loading.outcome {
        Ok(service) => assert_eq!(graph.find(name), Some(*service)),
        Err(error) => {
            assert_eq!(graph.find(name), None);
            assert!(said(error).contains(&*String::from_utf8_lossy(&error.name)));
        }
    }
}

fn said(error: &LoadError) -> String {
    String::from_utf8_lossy(&error.message(Context::Load)).into_owned()
}

/// Lets no process come into being, and every timer expire.
fn refuse_launches(graph: &mut Graph, effects: &mut Vec<Effect>) {
    let failure = ExecFailure { stage: ExecStage(0), errno: libc::EAGAIN };
    while !effects.is_empty() {
        for effect in std::mem::take(effects) {
            let event = match effect {
                Effect::Launch { run, .. } => Event::LaunchRefused { run, failure },
                Effect::ArmTimer { service, timer, .. } => Event::TimerExpired { service, timer },
                Effect::ClaimConsole => Event::ConsoleYielded,
                Effect::KillAll { service } => Event::AllKilled { service },
                _ => continue,
            };
            graph.step(Instant(1), event, effects);
        }
    }
}

/// The world that the corpus makes: every description under its own name, and a dependency directory.
fn world(corpus: &[(String, Vec<u8>)]) -> MemoryHost {
    let host = MemoryHost::default().with("/d/directory/internal", b"").with("/d/directory/not-there", b"");
    corpus.iter().fold(host, |host, (name, text)| host.with(&format!("/d/{name}"), text))
}

#[test]
fn everything_in_the_corpus_loads_or_says_why_not() {
    let corpus = corpus();
    let host = world(&corpus);
    for (name, _) in &corpus {
        live_through(&host, name.as_bytes());
        live_through(&host, format!("{name}@argument").as_bytes());
    }
}

#[test]
fn whatever_chance_makes_of_the_corpus_does_no_harm() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let corpus = corpus();
    let (first, count) = (number("FIRST", 1), number("CASES", CASES));
    for case in first..first + count {
        let mut chance = Chance(case.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut changed = corpus.clone();
        let mut name = String::new();
        for _ in 0..=chance.below(3) {
            let index = chance.below(changed.len());
            let (which, text) = &mut changed[index];
            for _ in 0..=chance.below(6) {
                mutate(text, &corpus, &mut chance);
            }
            text.truncate(LONGEST);
            name.clone_from(which);
        }
        let argument = *chance.of(&["", "@", "@x", "@a b", "@$1"]);
        let host = world(&changed);
        let outcome =
            catch_unwind(AssertUnwindSafe(|| live_through(&host, format!("{name}{argument}").as_bytes())));
        assert!(outcome.is_ok(), "`FIRST={case} CASES=1` shows it, with `{name}{argument}`");
    }
}

/// A service directory on disk.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Disk {
        Disk(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &[u8]) -> std::path::PathBuf {
        self.0.path().join(std::ffi::OsStr::from_bytes(name))
    }

    fn write(&self, name: &[u8], text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Loads a service as the daemon does, and gives what is wrong with it, without the directory.
    fn load(&self, graph: &mut Graph, name: &[u8]) -> Result<(), String> {
        let (host, variables) = (SystemHost::new(), Variable::default());
        let directories = [self.0.path().as_os_str().as_bytes().to_vec()];
        let loading = loader(&host, &variables, &directories).load(graph, name);
        let here = format!("{}/", self.0.path().display());
        loading.outcome.map(|_| ()).map_err(|error| said(&error).replace(&here, ""))
    }
}

#[test]
fn what_is_no_file_is_an_error_at_once_and_the_rest_still_loads() {
    let disk = Disk::new();
    let fifo = disk.path(b"fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _listener = std::os::unix::net::UnixListener::bind(disk.path(b"socket")).unwrap();
    fs::create_dir(disk.path(b"directory")).unwrap();
    for (name, target) in [
        ("zero", "/dev/zero"),
        ("null", "/dev/null"),
        ("to-fifo", "fifo"),
        ("loop", "loop"),
        ("gone", "nowhere"),
    ] {
        symlink(target, disk.path(name.as_bytes())).unwrap();
    }
    disk.write(b"good", "type = internal\n");
    let mut graph = Graph::new();
    let prefix = |name: &str| format!("Could not load service {name}: ");
    for (name, error) in [
        ("fifo", "fifo: Not a regular file"),
        ("to-fifo", "to-fifo: Not a regular file"),
        ("zero", "zero: Not a regular file"),
        ("null", "null: Not a regular file"),
        ("directory", "directory: Is a directory"),
        ("loop", "loop: Too many levels of symbolic links"),
        ("socket", "socket: No such device or address"),
        ("gone", "service description not found."),
    ] {
        let found = disk.load(&mut graph, name.as_bytes());
        assert_eq!(found, Err(prefix(name) + error));
    }
    assert_eq!(disk.load(&mut graph, b"good"), Ok(()));
    assert_eq!(graph.services().len(), 1);
}

#[test]
fn what_is_no_file_cannot_be_included_nor_give_variables_or_names() {
    let disk = Disk::new();
    assert!(std::process::Command::new("mkfifo").arg(disk.path(b"fifo")).status().unwrap().success());
    disk.write(b"file", "");
    for (setting, error) in [
        ("@include /dev/zero", "Not a regular file"),
        ("@include fifo", "Not a regular file"),
        ("type = process\ncommand = /x\nenv-file = /dev/zero", "Not a regular file"),
        ("type = process\ncommand = /x\nenv-file = fifo", "Not a regular file"),
    ] {
        disk.write(b"svc", setting);
        let found = disk.load(&mut Graph::new(), b"svc").unwrap_err();
        assert!(found.contains(error), "{setting}: {found}");
    }
    // A dependency directory that is none is warned of, and the service loads without it.
    for path in ["file", "fifo", "/dev/zero"] {
        disk.write(b"svc", &format!("type = internal\nwaits-for.d = {path}"));
        assert_eq!(disk.load(&mut Graph::new(), b"svc"), Ok(()), "{path}");
    }
}

#[test]
fn a_name_may_have_any_bytes_that_a_file_name_can() {
    let disk = Disk::new();
    let mut graph = Graph::new();
    for name in [
        b"a b".as_slice(),
        b"tab\there",
        b"line\nbreak",
        b"gr\xfc\xdfe",
        b"\xff\xfe",
        b"\xc3\xa4",
        b"-",
        b"--help",
        b"$1",
        b"\"",
        b"\\",
        b"#",
        b"=",
        b"*",
        b"\x7f\x01",
    ] {
        disk.write(name, "type = internal\n");
        assert_eq!(disk.load(&mut graph, name), Ok(()), "{}", name.escape_ascii());
        assert!(graph.find(name).is_some());
    }
    for name in
        [b"".as_slice(), b"\0", b"a\0b", b"..", b"a/b", b"a@\0", &[b'x'; 255], &[b'x'; 256], &[b'x'; 5000]]
    {
        let before = graph.services().len();
        assert!(disk.load(&mut graph, name).is_err(), "{}", name.escape_ascii());
        assert_eq!(graph.services().len(), before);
    }
}
