//! The image manifest: TOML text with positions in, a [`Manifest`] out.
//!
//! This is the only module that knows TOML. Problems are [`Diagnostic`]s with file, line and column;
//! paths in a manifest are relative to the folder that holds it. Whether a package of some name exists
//! is not decided here, but the position of each name is kept, so that whoever finds out can point at it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use diagnostics::{Diagnostic, Severity};
use mkimage_tree::Provenance;
use serde::Deserialize;
use toml::Spanned;

/// What an image is made of, as its maker wrote it.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Where the text came from.
    pub source: Source,
    /// Name, host name, size of the root file system.
    pub image: Image,
    /// Where packages come from.
    pub archive: Archive,
    /// Which packages.
    pub packages: Packages,
    /// The kernel; none for a tree that is not booted, such as the tools.
    pub kernel: Option<Kernel>,
    /// What the initramfs carries.
    pub initramfs: Initramfs,
    /// Services beyond the default set that are started at boot.
    pub services: Services,
    /// Folders laid over the tree after packages are configured, in order.
    pub overlays: Vec<PathBuf>,
    /// Accounts whose password the image sets.
    pub users: BTreeMap<Spanned<String>, User>,
}

/// A manifest's text and where it was read from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// Its contents.
    pub text: String,
}

impl Source {
    /// Makes a diagnostic that points at `range` of this manifest.
    pub fn problem(&self, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.path.display().to_string(), self.text.as_bytes(), range, Severity::Error, message)
    }
}

/// The `[image]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// Names the output files and the file system label.
    pub name: Spanned<String>,
    /// What /etc/hostname says; the image's name where absent.
    pub hostname: Option<Spanned<String>>,
    /// Size of the root file system: a number of bytes, or with the suffix K, M or G (powers of 1024).
    pub size: Option<Spanned<String>>,
}

/// The `[archive]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// The distribution; `debian`.
    pub distribution: Spanned<String>,
    /// A suite's codename, such as `trixie`.
    pub suite: Spanned<String>,
    /// Components, such as `main`.
    #[serde(default = "main_component")]
    pub components: Vec<Spanned<String>>,
    /// Debian's name of the architecture; `amd64`.
    pub architecture: Spanned<String>,
    /// Where to download from; `MKIMAGE_MIRROR` wins over it.
    pub mirror: Option<Spanned<String>>,
    /// A file with OpenPGP keys to trust instead of those that mkimage brings.
    pub keyring: Option<Spanned<PathBuf>>,
}

fn main_component() -> Vec<Spanned<String>> {
    vec![Spanned::new(0..0, "main".to_owned())]
}

/// The `[packages]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Packages {
    /// Names of packages, each with its dependencies.
    pub include: Vec<Spanned<String>>,
    /// Files with packages, as glob(7) patterns relative to the manifest: all of them come in, each with its
    /// dependencies, and in the place of the archive's packages of their names.
    #[serde(default)]
    pub local: Vec<Spanned<String>>,
    /// Names of packages that must not come in, not even as a dependency.
    #[serde(default)]
    pub exclude: Vec<Spanned<String>>,
    /// Names of packages of which only the files are taken: nothing that they depend on, and no scripts.
    #[serde(default)]
    pub files_only: Vec<Spanned<String>>,
    /// Whether the packages marked `Essential: yes` come in by themselves.
    #[serde(default = "yes")]
    pub essential: bool,
}

fn no_words() -> Spanned<String> {
    Spanned::new(0..0, String::new())
}

fn yes() -> bool {
    true
}

/// The `[kernel]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    /// A kernel package, or the metapackage that depends on the current one.
    pub package: Spanned<String>,
    /// Words for the kernel command line, besides `root=`.
    #[serde(default = "no_words")]
    pub command_line: Spanned<String>,
}

/// The `[initramfs]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Initramfs {
    /// Kernel modules to load before looking for the root file system; their dependencies come along.
    #[serde(default)]
    pub modules: Vec<Spanned<String>>,
}

/// The `[services]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Services {
    /// Services that `boot` waits for, besides the default set.
    #[serde(default)]
    pub enable: Vec<Spanned<String>>,
    /// Folders with service descriptions that are laid over ours.
    #[serde(default)]
    pub directories: Vec<Spanned<PathBuf>>,
}

/// A `[users.NAME]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// A password in clear text, for images that are thrown away.
    pub password: Option<Spanned<String>>,
    /// A password hash as crypt(5) describes it.
    pub password_hash: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    image: Image,
    archive: Archive,
    packages: Packages,
    kernel: Option<Kernel>,
    #[serde(default)]
    initramfs: Initramfs,
    #[serde(default)]
    services: Services,
    #[serde(default)]
    overlays: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    users: BTreeMap<Spanned<String>, User>,
}

impl Manifest {
    /// Parses the text of a manifest and checks all that can be known without looking further than
    /// the files it names.
    pub fn parse(path: &Path, text: String) -> Result<Self, Vec<Diagnostic>> {
        let source = Source { path: path.to_owned(), text };
        let parsed: Text = toml::from_str(&source.text).map_err(|error| vec![syntax(&source, &error)])?;
        let mut problems = Vec::new();
        check(&parsed, &source, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut archive = parsed.archive;
        if let Some(keyring) = &mut archive.keyring {
            *keyring.get_mut() = folder.join(keyring.get_ref());
        }
        let mut packages = parsed.packages;
        for pattern in &mut packages.local {
            let folder = glob::Pattern::escape(&folder.to_string_lossy());
            *pattern.get_mut() = Path::new(&folder).join(pattern.get_ref()).to_string_lossy().into_owned();
        }
        let mut services = parsed.services;
        for directory in &mut services.directories {
            *directory.get_mut() = folder.join(directory.get_ref());
        }
        Ok(Self {
            source,
            image: parsed.image,
            archive,
            packages,
            kernel: parsed.kernel,
            initramfs: parsed.initramfs,
            services,
            overlays: parsed.overlays.iter().map(|overlay| folder.join(overlay.get_ref())).collect(),
            users: parsed.users,
        })
    }

    /// The origin of what the manifest itself decides about an image.
    pub fn provenance(&self) -> Provenance {
        Provenance::Overlay(self.source.path.to_string_lossy().into())
    }

    /// Users and passwords that the manifest has in clear text.
    pub fn logins(&self) -> Vec<(String, String)> {
        let clear = |(name, user): (&Spanned<String>, &User)| {
            Some((name.get_ref().clone(), user.password.as_ref()?.get_ref().clone()))
        };
        self.users.iter().filter_map(clear).collect()
    }

    /// The size of the root file system in bytes.
    pub fn root_size(&self) -> u64 {
        self.image.size.as_ref().and_then(|size| parse_size(size.get_ref())).unwrap_or(1 << 30)
    }

    /// What /etc/hostname says.
    pub fn hostname(&self) -> &str {
        self.image.hostname.as_ref().unwrap_or(&self.image.name).get_ref()
    }

    /// Where `name` stands in the list of packages, if the manifest names it at all.
    pub fn package_position(&self, name: &str) -> Option<Range<usize>> {
        let kernel = self.kernel.iter().map(|kernel| &kernel.package);
        self.packages
            .include
            .iter()
            .chain(&self.packages.files_only)
            .chain(kernel)
            .find(|package| package.get_ref() == name)
            .map(Spanned::span)
    }
}

/// Turns the TOML reader's error into a diagnostic, with a suggestion for a mistyped key.
fn syntax(source: &Source, error: &toml::de::Error) -> Diagnostic {
    let range = error.span().unwrap_or(0..0);
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    if let Some((unknown, known)) = unknown_key(&message) {
        let problem = source.problem(range, format!("unknown key `{unknown}`"));
        if unknown == "overlays" {
            // The one key that belongs to no table; TOML gives it to the table that it stands below.
            return problem.with_help("`overlays` belongs above the first `[table]`");
        }
        return match closest(&unknown, &known) {
            Some(similar) => problem.with_help(format!("a key with a similar name exists: `{similar}`")),
            None => problem.with_help(format!("known here: {}", known.join(", "))),
        };
    }
    source.problem(range, message)
}

/// Takes serde's wording of an unknown field apart: the field, and those that were expected.
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((unknown.to_owned(), known))
}

/// The candidate that differs least from `word`, if any is near enough to be what was meant.
pub fn closest<'a, C: AsRef<str>>(word: &str, candidates: &'a [C]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate.as_ref()), candidate.as_ref()))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The number of insertions, deletions and replacements between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn check(text: &Text, source: &Source, problems: &mut Vec<Diagnostic>) {
    let mut problem = |range: Range<usize>, message: String, help: &str| {
        problems.push(source.problem(range, message).with_help(help));
    };
    let name = &text.image.name;
    if !is_name(name.get_ref()) {
        let message = format!("`{}` cannot name an image", name.get_ref());
        problem(name.span(), message, "use 1 to 16 of the characters a-z, 0-9, `-` and `_`");
    }
    if let Some(host) = &text.image.hostname
        && !is_hostname(host.get_ref())
    {
        let message = format!("`{}` is not a host name", host.get_ref());
        problem(host.span(), message, "use letters, digits, `-` and `.`, at most 64 (hostname(7))");
    }
    if let Some(size) = &text.image.size {
        match parse_size(size.get_ref()) {
            None => {
                let message = format!("`{}` is not a size", size.get_ref());
                problem(
                    size.span(),
                    message,
                    "give bytes, or a number with the suffix K, M, G or T, such as `1G`",
                );
            }
            Some(bytes) if bytes < 16 << 20 => {
                problem(
                    size.span(),
                    format!("a root file system of {bytes} bytes is too small"),
                    "16M is the least",
                );
            }
            Some(bytes) if !bytes.is_multiple_of(4096) => {
                let message = format!("{bytes} bytes are no whole number of blocks");
                problem(size.span(), message, "give a multiple of 4096 bytes, such as `512M`");
            }
            Some(_) => {}
        }
    }
    if let Some(kernel) = &text.kernel
        && kernel.command_line.get_ref().contains(|c: char| c.is_control())
    {
        let message = "a kernel command line is one line".to_owned();
        problem(kernel.command_line.span(), message, "separate its words with blanks");
    }
    let distribution = &text.archive.distribution;
    if distribution.get_ref() != "debian" {
        let message = format!("`{}` is not a distribution that mkimage knows", distribution.get_ref());
        problem(distribution.span(), message, "the one it knows is `debian`");
    }
    let architecture = &text.archive.architecture;
    if architecture.get_ref() != "amd64" {
        let message =
            format!("`{}` is not an architecture that mkimage can build for", architecture.get_ref());
        problem(architecture.span(), message, "the one it builds for is `amd64`");
    }
    let packages = &text.packages;
    for package in packages.include.iter().chain(&packages.exclude).chain(&packages.files_only) {
        if !is_package_name(package.get_ref()) {
            let message = format!("`{}` cannot name a package", package.get_ref());
            problem(package.span(), message, "names have a-z, 0-9, `+`, `-` and `.` (Debian policy 5.6.1)");
        }
    }
    let folder = source.path.parent().unwrap_or(Path::new(""));
    for directory in text.overlays.iter().chain(&text.services.directories) {
        if !folder.join(directory.get_ref()).is_dir() {
            let message = format!("`{}` is not a folder", directory.get_ref().display());
            problem(directory.span(), message, "the path is relative to the folder of this manifest");
        }
    }
    if let Some(keyring) = &text.archive.keyring
        && !folder.join(keyring.get_ref()).is_file()
    {
        let message = format!("`{}` is not a file", keyring.get_ref().display());
        problem(keyring.span(), message, "the path is relative to the folder of this manifest");
    }
    for (name, user) in &text.users {
        match (&user.password, &user.password_hash) {
            (Some(_), Some(hash)) => {
                let message = format!("user `{}` has both `password` and `password-hash`", name.get_ref());
                problem(hash.span(), message, "keep one of them");
            }
            (None, None) => {
                let message = format!("user `{}` has neither `password` nor `password-hash`", name.get_ref());
                problem(name.span(), message, "give one of them, or leave the table out");
            }
            (None, Some(hash))
                if !hash.get_ref().starts_with('$') || hash.get_ref().contains([':', '\n']) =>
            {
                let message = "this is not a password hash".to_owned();
                problem(hash.span(), message, "make one with `mkpasswd` or `openssl passwd -6` (crypt(5))");
            }
            (Some(password), None) if password.get_ref().is_empty() => {
                let message = "an empty password lets anyone in".to_owned();
                problem(
                    password.span(),
                    message,
                    "give a password, or leave the table out to keep the account locked",
                );
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=16).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_hostname(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && !name.starts_with(['-', '.'])
}

/// Debian policy 5.6.1.
fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "[image]\nname = \"x\"\n\n[archive]\ndistribution = \"debian\"\nsuite = \"trixie\"\n\
                         architecture = \"amd64\"\n\n[packages]\ninclude = [\"dash\"]\n";

    fn parse(text: &str) -> Result<Manifest, Vec<String>> {
        Manifest::parse(Path::new("x.toml"), text.to_owned())
            .map_err(|problems| problems.iter().map(Diagnostic::summary).collect())
    }

    #[test]
    fn a_small_manifest_has_its_defaults() {
        let manifest = parse(SMALL).unwrap();
        assert_eq!(manifest.hostname(), "x");
        assert_eq!(manifest.root_size(), 1 << 30);
        assert!(manifest.packages.essential);
        assert_eq!(manifest.archive.components[0].get_ref(), "main");
        assert_eq!(&SMALL[manifest.package_position("dash").unwrap()], "\"dash\"");
    }

    #[test]
    fn a_mistyped_key_is_named_with_its_position_and_the_key_that_was_meant() {
        let problems = Manifest::parse(Path::new("x.toml"), SMALL.replace("suite", "siute")).unwrap_err();
        assert_eq!(problems[0].summary(), "x.toml:6:1: error: unknown key `siute`");
        assert!(problems[0].render().contains("help: a key with a similar name exists: `suite`"));
    }

    #[test]
    fn a_wrong_type_is_named_with_its_position() {
        let problems = parse(&SMALL.replace("\"x\"", "7")).unwrap_err();
        assert!(problems[0].starts_with("x.toml:2:8: error: invalid type: integer `7`"), "{problems:?}");
    }

    #[test]
    fn all_wrong_values_are_reported_in_one_go() {
        let text = SMALL.replace("\"x\"", "\"X Y\"").replace("\"dash\"", "\"Dash\"") + "[users.root]\n";
        let problems = parse(&text).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("x.toml:2:8: error: `X Y` cannot name an image"));
        assert!(problems[1].starts_with("x.toml:10:12: error: `Dash` cannot name a package"));
        assert!(problems[2].starts_with("x.toml:11:8: error: user `root` has neither"));
    }

    #[test]
    fn a_missing_folder_is_a_problem_of_the_manifest() {
        let problems = parse(&format!("overlays = [\"nowhere\"]\n{SMALL}")).unwrap_err();
        assert!(problems[0].starts_with("x.toml:1:13: error: `nowhere` is not a folder"), "{problems:?}");
    }

    #[test]
    fn sizes_have_binary_suffixes() {
        assert_eq!(parse_size("512M"), Some(512 << 20));
        assert_eq!(parse_size("2G"), Some(2 << 30));
        assert_eq!(parse_size("70000000000T"), None);
        assert_eq!(parse_size("1.5G"), None);
        assert_eq!(parse_size("one"), None);
    }
}
