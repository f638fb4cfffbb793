//! Every difference from the reference names a test that is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder of all that belongs to dinit.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All that is written in the sources below a folder, and in the data of tests.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let is_source = entry.extension().is_some_and(|kind| kind == "rs" || kind == "txt");
        if entry.is_dir() {
            sources(&entry, into);
        } else if is_source {
            into.push_str(&String::from_utf8_lossy(&std::fs::read(&entry).unwrap()));
        }
    }
}

/// The words of all sources, from which the name of a function or of an example is not missing.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_').collect()
}

#[test]
fn every_difference_names_a_test_that_exists() {
    let table = std::fs::read_to_string(folder().join("DIFFERENCES.md")).unwrap();
    let mut text = String::new();
    sources(&folder(), &mut text);
    let words = words(&text);
    let mut missing = Vec::new();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Label"));
    for row in rows {
        let named = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let names: Vec<&str> = named.split(['`', ',', ' ']).filter(|name| is_test(name)).collect();
        if names.is_empty() {
            missing.push(format!("no test in: {row}"));
        }
        missing.extend(names.into_iter().filter(|name| !exists(name, &words)).map(String::from));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Says whether a word of the last column is a test: a sentence, a label, or the beginning of one.
fn is_test(word: &str) -> bool {
    let is_label = word.starts_with(['S', 'm', 'M']) && word.len() > 2 && word[1..].parse::<u32>().is_ok();
    is_label || word.contains('_')
}

fn exists(name: &str, words: &BTreeSet<&str>) -> bool {
    match name.strip_suffix('…') {
        Some(beginning) => words.range(beginning..).next().is_some_and(|word| word.starts_with(beginning)),
        None => words.contains(name),
    }
}
