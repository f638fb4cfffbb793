//! The corpus is replayed: whole, in every split, and byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;

use dinit_protocol::Version;

use crate::streams::{End, LAYOUTS, LONGEST, Reading, answers, check_answers, check_requests, requests};

/// Gives the inputs of a part of the corpus by their names.
pub(crate) fn inputs(part: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(part);
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let inputs: BTreeMap<_, _> = files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
        .collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

/// Gives every version there is.
pub(crate) fn versions() -> impl Iterator<Item = Version> {
    (Version::OLDEST.0..=Version::CURRENT.0).map(Version)
}

/// Checks that bytes mean the same however they are split.
#[track_caller]
fn assert_alike<P: Debug + PartialEq, E: Debug + PartialEq>(
    name: &str,
    bytes: &[u8],
    whole: &Reading<P, E>,
    read: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> Reading<P, E>,
) {
    assert_eq!(&read(&mut bytes.chunks(1)), whole, "`{name}` byte by byte");
    for middle in 0..=bytes.len() {
        let (first, second) = bytes.split_at(middle);
        assert_eq!(&read(&mut [first, second].into_iter()), whole, "`{name}` split at {middle}");
    }
}

#[test]
fn every_request_of_the_corpus_is_read_alike_however_it_is_split() {
    for (name, bytes) in inputs("requests") {
        assert!(bytes.len() <= LONGEST, "`{name}` is longer than {LONGEST} bytes");
        for version in versions() {
            let whole = check_requests(&bytes, version);
            assert_alike(&name, &bytes, &whole, |pieces| requests(pieces, version));
        }
    }
}

#[test]
fn every_answer_of_the_corpus_is_read_alike_however_it_is_split() {
    for (name, bytes) in inputs("answers") {
        assert!(bytes.len() <= LONGEST, "`{name}` is longer than {LONGEST} bytes");
        for layout in LAYOUTS {
            let whole = check_answers(&bytes, layout);
            assert_alike(&name, &bytes, &whole, |pieces| answers(pieces, layout));
        }
    }
}

/// Adds what was read, by the names of its variants.
fn note<P: Debug, E: Debug>(seen: &mut BTreeSet<String>, reading: &Reading<P, E>) {
    seen.extend(reading.packets.iter().map(variants));
    if let End::Wrong(wrong) = &reading.end {
        seen.insert(variants(wrong));
    }
}

/// Gives the name of a variant, and that of the variant in it if there is only that.
fn variants(value: &impl Debug) -> String {
    let mut names: Vec<String> = Vec::new();
    for part in format!("{value:?}").split('(') {
        let name: String = part.chars().take_while(|character| character.is_alphanumeric()).collect();
        if !name.starts_with(char::is_alphabetic) {
            break;
        }
        let is_alone = name.len() == part.len();
        names.push(name);
        if !is_alone {
            break;
        }
    }
    names.join("(")
}

#[test]
fn the_requests_of_the_corpus_are_all_there_are_and_wrong_in_every_way() {
    let mut seen = BTreeSet::new();
    for bytes in inputs("requests").values() {
        note(&mut seen, &requests([&bytes[..]], Version::CURRENT));
    }
    let expected = "AddDependency(DependencyRequest CloseHandle Enable(DependencyRequest \
        EnableReportingStatus(DependencyRequest FindService List ListenEnvironment LoadService QueryDirectory \
        QueryEnvironment QueryLoader QueryLog QueryName QueryStatus QueryVersion Release Reload \
        RemoveDependency(DependencyRequest SetEnvironment(EnvironmentChange SetTrigger Shutdown Signal Start Stop \
        Unload Unpin Wake \
        DependencyKind Environment(Empty Environment(NoName Environment(TooLong Name(Empty Name(FirstByte \
        Name(TooLong Reserved ShutdownKind UnknownCode";
    assert_eq!(seen, expected.split_whitespace().map(str::to_owned).collect());
}

#[test]
fn the_answers_of_the_corpus_are_all_there_are_and_wrong_in_every_way() {
    let mut seen = BTreeSet::new();
    for bytes in inputs("answers").values() {
        LAYOUTS.iter().for_each(|layout| note(&mut seen, &answers([&bytes[..]], *layout)));
    }
    let replies = "Ack AlreadyThere BadRequest BadSignal Dependents DescriptionError Directory Environment KillFailed \
        ListDone LoadError Loader(LoaderInfo Log Nak NoProcess NoService OldLoadError OldOutOfMemory OutOfMemory \
        PinnedStarted PinnedStopped PreAck ServiceInfo ServiceName ServiceRecord ShuttingDown Status Version";
    let infos = "Environment Other ServiceEvent ServiceEvent5";
    let errors = "Inconsistent TooLarge UnknownCode UnknownValue";
    let expected = replies
        .split_whitespace()
        .map(|reply| format!("Reply({reply}"))
        .chain(infos.split_whitespace().map(|info| format!("Info({info}")))
        .chain(errors.split_whitespace().map(str::to_owned));
    assert_eq!(seen, expected.collect());
}
