//! A `Packages` index as a value: every stanza's fields that choosing and fetching need, searchable by name.
//!
//! The index keeps its text and, for each package, where its fields stand, so 70,000 packages cost one buffer and
//! one table. [`PackageIndex::reduced`] gives the text with nothing but those fields: a third of the size, which
//! a cache can keep and read back at the speed of a file read.

use crate::control::{ControlError, Field, Item, Problem, Scanner};
use crate::digest::Sha256;
use crate::version;
use std::collections::BTreeSet;

/// The fields that are kept; the order is that of [`Record`].
const KEPT: [&str; 15] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Provides",
    "Filename",
    "Size",
    "SHA256",
    "Installed-Size",
    "Priority",
];

const NAME: usize = 0;
const VERSION: usize = 1;
const ARCHITECTURE: usize = 2;
const MULTI_ARCH: usize = 3;
const ESSENTIAL: usize = 4;
const PRE_DEPENDS: usize = 5;
const DEPENDS: usize = 6;
const CONFLICTS: usize = 7;
const BREAKS: usize = 8;
const PROVIDES: usize = 9;
const FILENAME: usize = 10;
const SIZE: usize = 11;
const SHA256: usize = 12;
const INSTALLED_SIZE: usize = 13;
const PRIORITY: usize = 14;

/// The priorities (Debian policy, section 2.5), the most important first.
const PRIORITIES: [&str; 5] = ["required", "important", "standard", "optional", "extra"];

/// Where a value stands in the text; empty if the field is absent.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

type Record = [Span; KEPT.len()];

/// The packages of an archive, from one or more `Packages` files.
#[derive(Clone, Debug, Default)]
pub struct PackageIndex {
    text: String,
    /// Sorted by name, then newest version first.
    records: Vec<Record>,
    /// `(name, record)` for every name in a `Provides`, sorted.
    provides: Vec<(Span, u32)>,
}

/// One package of an index.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    index: &'a PackageIndex,
    number: u32,
}

impl PackageIndex {
    /// Reads a `Packages` file, or several put together, or what [`PackageIndex::reduced`] gave.
    ///
    /// A stanza without name, version, architecture, file name, size or digest is an error.
    pub fn parse(text: String) -> Result<Self, ControlError> {
        let records = sorted_records(&text)?;
        let value = |span: Span| &text[span.start as usize..span.end as usize];
        let mut provides = Vec::new();
        for (number, record) in records.iter().enumerate() {
            provided_names(&text, record[PROVIDES], |name| provides.push((name, number as u32)));
        }
        provides.sort_by(|a, b| value(a.0).cmp(value(b.0)).then(a.1.cmp(&b.1)));
        Ok(Self { text, records, provides })
    }

    /// Gives the text of a `Packages` file sorted, and with only those fields that an index keeps.
    ///
    /// Errors are those of [`PackageIndex::parse`], with positions in the full text.
    pub fn reduced(text: &str) -> Result<String, ControlError> {
        let mut reduced = String::with_capacity(text.len() / 2);
        for record in sorted_records(text)? {
            write_record(&mut reduced, text, &record);
        }
        Ok(reduced)
    }

    /// Gives an index in which the packages of `text` take the place of all that have their names.
    ///
    /// Errors are those of [`PackageIndex::parse`], with positions in `text`.
    pub fn overlaid(&self, text: &str) -> Result<Self, ControlError> {
        let over = sorted_records(text)?;
        let value = |record: &Record| &text[record[NAME].start as usize..record[NAME].end as usize];
        let names: BTreeSet<&str> = over.iter().map(value).collect();
        let mut all = String::with_capacity(self.text.len() + text.len());
        for record in self.records.iter().filter(|record| !names.contains(self.value(record[NAME]))) {
            write_record(&mut all, &self.text, record);
        }
        for record in &over {
            write_record(&mut all, text, record);
        }
        Self::parse(all)
    }

    /// Gives the number of packages.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Says whether there is no package at all.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Gives all packages, sorted by name, newest version first.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        (0..self.records.len() as u32).map(|number| Package { index: self, number })
    }

    /// Gives the packages that are called `name`, newest version first.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Package<'_>> + use<'_> {
        let first = self.records.partition_point(|record| self.value(record[NAME]) < name);
        let count = self.records[first..].partition_point(|record| self.value(record[NAME]) == name);
        (first as u32..(first + count) as u32).map(|number| Package { index: self, number })
    }

    /// Gives the packages whose `Provides` names `name`, sorted by their own name.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = Package<'_>> + use<'_> {
        let first = self.provides.partition_point(|provide| self.value(provide.0) < name);
        let count = self.provides[first..].partition_point(|provide| self.value(provide.0) == name);
        self.provides[first..first + count].iter().map(|&(_, number)| Package { index: self, number })
    }

    /// Gives the package at a place of [`PackageIndex::packages`].
    ///
    /// # Panics
    ///
    /// Panics if there is no such place.
    pub fn at(&self, number: u32) -> Package<'_> {
        assert!((number as usize) < self.records.len(), "no package has the number {number}");
        Package { index: self, number }
    }

    fn value(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }
}

impl<'a> Package<'a> {
    /// Gives the name.
    pub fn name(&self) -> &'a str {
        self.field(NAME)
    }

    /// Gives the version.
    pub fn version(&self) -> &'a str {
        self.field(VERSION)
    }

    /// Gives the architecture; `all` for a package that fits every one.
    pub fn architecture(&self) -> &'a str {
        self.field(ARCHITECTURE)
    }

    /// Gives `Multi-Arch`, which is empty if absent.
    pub fn multi_arch(&self) -> &'a str {
        self.field(MULTI_ARCH)
    }

    /// Says whether the package is marked `Essential: yes`.
    pub fn is_essential(&self) -> bool {
        self.field(ESSENTIAL) == "yes"
    }

    /// Gives `Pre-Depends`, which is empty if absent.
    pub fn pre_depends(&self) -> &'a str {
        self.field(PRE_DEPENDS)
    }

    /// Gives `Depends`, which is empty if absent.
    pub fn depends(&self) -> &'a str {
        self.field(DEPENDS)
    }

    /// Gives `Conflicts`, which is empty if absent.
    pub fn conflicts(&self) -> &'a str {
        self.field(CONFLICTS)
    }

    /// Gives `Breaks`, which is empty if absent.
    pub fn breaks(&self) -> &'a str {
        self.field(BREAKS)
    }

    /// Gives `Provides`, which is empty if absent.
    pub fn provides(&self) -> &'a str {
        self.field(PROVIDES)
    }

    /// Gives the path of the `.deb` below the root of the archive.
    pub fn filename(&self) -> &'a str {
        self.field(FILENAME)
    }

    /// Gives the size of the `.deb` in bytes.
    pub fn size(&self) -> u64 {
        self.field(SIZE).parse().unwrap_or_default()
    }

    /// Gives the digest of the `.deb`.
    pub fn sha256(&self) -> Sha256 {
        self.field(SHA256).parse().unwrap_or(Sha256::from_bytes([0; 32]))
    }

    /// Gives the size once installed, in bytes, as the package claims it; 0 if it does not.
    pub fn installed_size(&self) -> u64 {
        self.field(INSTALLED_SIZE).parse::<u64>().unwrap_or_default().saturating_mul(1024)
    }

    /// Gives the place of the package's priority among all priorities: 0 for `required`, growing from there.
    pub fn priority_rank(&self) -> usize {
        let priority = self.field(PRIORITY);
        PRIORITIES.iter().position(|name| *name == priority).unwrap_or(PRIORITIES.len())
    }

    /// Gives the place of the package in [`PackageIndex::packages`].
    pub fn number(&self) -> u32 {
        self.number
    }

    fn field(&self, field: usize) -> &'a str {
        self.index.value(self.index.records[self.number as usize][field])
    }
}

impl std::fmt::Debug for Package<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.name(), self.version(), self.architecture())
    }
}

fn kept(name: &str) -> Option<usize> {
    let exact = KEPT.iter().position(|kept| *kept == name);
    exact.or_else(|| KEPT.iter().position(|kept| kept.eq_ignore_ascii_case(name)))
}

/// Writes the stanza of a package, with only those fields that an index keeps.
fn write_record(out: &mut String, text: &str, record: &Record) {
    for (name, span) in KEPT.iter().zip(record) {
        if span.start < span.end {
            out.extend([name, ": ", &text[span.start as usize..span.end as usize], "\n"]);
        }
    }
    out.push('\n');
}

/// Reads all packages and sorts them by name, newest version first; what is sorted already costs next to nothing.
fn sorted_records(text: &str) -> Result<Vec<Record>, ControlError> {
    let value = |span: Span| &text[span.start as usize..span.end as usize];
    let mut records = scan(text)?;
    records.sort_by(|a, b| {
        let by_name = value(a[NAME]).cmp(value(b[NAME]));
        by_name.then_with(|| version::compare(value(b[VERSION]), value(a[VERSION])))
    });
    Ok(records)
}

fn scan(text: &str) -> Result<Vec<Record>, ControlError> {
    if u32::try_from(text.len()).is_err() {
        return Err(ControlError { problem: Problem::TooLong, offset: 0 });
    }
    let mut records = Vec::new();
    let mut record = Record::default();
    for item in Scanner::new(text) {
        match item? {
            Item::Field(field) => {
                if let Some(kept) = kept(field.name) {
                    if record[kept].end != 0 {
                        let problem = Problem::TwiceGiven(field.name.to_owned());
                        return Err(ControlError { problem, offset: field.offset });
                    }
                    record[kept] = span(text, &field);
                    check(kept, &field)?;
                }
            }
            Item::End => {
                complete(text, &record)?;
                records.push(std::mem::take(&mut record));
            }
        }
    }
    Ok(records)
}

fn span(text: &str, field: &Field<'_>) -> Span {
    let start = field.value.as_ptr() as usize - text.as_ptr() as usize;
    Span { start: start as u32, end: (start + field.value.len()) as u32 }
}

fn check(kept: usize, field: &Field<'_>) -> Result<(), ControlError> {
    let what = match kept {
        SIZE if field.value.parse::<u64>().is_err() => "a number of bytes",
        SHA256 if field.value.parse::<Sha256>().is_err() => "a SHA-256 digest",
        FILENAME if !is_plain_path(field.value) => "a path below the archive",
        _ => return Ok(()),
    };
    Err(ControlError { problem: Problem::BadValue(KEPT[kept], what), offset: field.offset })
}

/// Says whether a path stays below where it is joined to.
fn is_plain_path(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn complete(text: &str, record: &Record) -> Result<(), ControlError> {
    let offset = record.iter().map(|span| span.start).filter(|&start| start != 0).min().unwrap_or_default();
    for field in [NAME, VERSION, ARCHITECTURE, FILENAME, SIZE, SHA256] {
        let span = record[field];
        if text[span.start as usize..span.end as usize].is_empty() {
            return Err(ControlError { problem: Problem::Missing(KEPT[field]), offset: offset as usize });
        }
    }
    Ok(())
}

/// Calls `found` with each name in a `Provides`.
fn provided_names(text: &str, span: Span, mut found: impl FnMut(Span)) {
    let mut start = span.start as usize;
    for part in text[start..span.end as usize].split(',') {
        let name = part.trim_start();
        let begin = start + part.len() - name.len();
        let length = name.find([' ', '(', ':', '\n']).unwrap_or(name.len());
        if length > 0 {
            found(Span { start: begin as u32, end: (begin + length) as u32 });
        }
        start += part.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str, version: &str, more: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: something\n more\n\
             Filename: pool/main/{name}_{version}.deb\nSize: 12\nSHA256: {}\n{more}\n",
            Sha256::of(name.as_bytes())
        )
    }

    fn example() -> String {
        stanza("mawk", "1.3", "Provides: awk, posix-awk (= 2),\n third\nPre-Depends: libc6\n")
            + &stanza("a", "1:1", "Essential: yes\n")
            + &stanza("a", "1:10", "Installed-Size: 2\n")
            + &stanza("gawk", "5", "Provides: awk\n")
    }

    #[test]
    fn packages_are_found_by_name_newest_first_and_by_what_they_provide() {
        let index = PackageIndex::parse(example()).unwrap();
        let versions: Vec<_> = index.named("a").map(|p| p.version()).collect();
        assert_eq!(versions, ["1:10", "1:1"]);
        let providers = |name: &str| index.providers(name).map(|p| p.name()).collect::<Vec<_>>();
        assert_eq!(providers("awk"), ["gawk", "mawk"]);
        assert_eq!(providers("third"), ["mawk"]);
        assert_eq!(providers("posix-awk"), ["mawk"]);
        assert_eq!(providers("mawk"), Vec::<&str>::new());
        assert_eq!(index.named("nothing").count(), 0);
    }

    #[test]
    fn fields_are_given_as_they_are_written_and_absent_ones_are_empty() {
        let index = PackageIndex::parse(example()).unwrap();
        let mawk = index.named("mawk").next().unwrap();
        assert_eq!((mawk.pre_depends(), mawk.depends(), mawk.size()), ("libc6", "", 12));
        assert_eq!(mawk.sha256(), Sha256::of(b"mawk"));
        assert!(!mawk.is_essential());
        let old = index.named("a").nth(1).unwrap();
        assert!(old.is_essential());
        assert_eq!(index.named("a").next().unwrap().installed_size(), 2048);
    }

    #[test]
    fn the_reduced_text_is_the_same_index() {
        let full = PackageIndex::parse(example()).unwrap();
        let reduced = PackageIndex::reduced(&example()).unwrap();
        assert!(!reduced.contains("something"));
        let again = PackageIndex::parse(reduced).unwrap();
        for (left, right) in full.packages().zip(again.packages()) {
            for field in 0..KEPT.len() {
                assert_eq!(left.field(field), right.field(field));
            }
        }
        assert_eq!((again.len(), again.provides.len()), (full.len(), full.provides.len()));
    }

    #[test]
    fn what_is_laid_over_hides_all_versions_of_the_same_name() {
        let index = PackageIndex::parse(example()).unwrap();
        let over =
            index.overlaid(&(stanza("a", "0.1", "Provides: awk\n") + &stanza("new", "1", ""))).unwrap();
        assert_eq!(over.named("a").map(|p| p.version()).collect::<Vec<_>>(), ["0.1"]);
        assert_eq!(over.providers("awk").map(|p| p.name()).collect::<Vec<_>>(), ["a", "gawk", "mawk"]);
        assert_eq!(over.packages().map(|p| p.name()).collect::<Vec<_>>(), ["a", "gawk", "mawk", "new"]);
        assert!(index.overlaid("Package: x\n\n").is_err());
    }

    #[test]
    fn a_stanza_that_cannot_be_fetched_or_checked_is_refused() {
        let problem = |text: String| PackageIndex::parse(text).unwrap_err().problem;
        assert_eq!(problem(example().replace("Size: 12", "Bytes: 12")), Problem::Missing("Size"));
        assert_eq!(
            problem(example().replace("Size: 12", "Size: x")),
            Problem::BadValue("Size", "a number of bytes")
        );
        let outside = Problem::BadValue("Filename", "a path below the archive");
        assert_eq!(problem(example().replace("pool/main", "../../etc")), outside);
        assert_eq!(problem(example().replace("pool/main", "/etc")), outside);
    }
}
