//! Where an archive is: named outright, by the environment, by the host's apt, or the well-known primary mirror.

use crate::error::ArchiveError;
use mkimage_deb::Stanza;
use std::fmt;
use std::path::{Path, PathBuf};

/// The domain of the distribution; its mirrors answer below it.
const DOMAIN: &str = "debian.org";
/// The variable that names a mirror.
const VARIABLE: &str = "MKIMAGE_MIRROR";

/// The root of an archive: the place that has `dists` and `pool`.
///
/// A mirror that nobody named for this has others behind it, which are asked for what it does not have: a host's apt
/// may well be set up with a mirror of another suite, or of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    place: Place,
    source: MirrorSource,
    next: Option<Box<Mirror>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An `http:` or `https:` address without a slash at its end.
    Web(String),
    Folder(PathBuf),
}

/// Who named a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorSource {
    /// The caller: a manifest, or the command line.
    Given,
    /// The environment variable `MKIMAGE_MIRROR`.
    Environment,
    /// A file of the host's apt.
    Apt(PathBuf),
    /// Nobody: it is the distribution's well-known primary mirror.
    Primary,
}

impl Mirror {
    /// Chooses a mirror: what is given, else what `MKIMAGE_MIRROR` names, else the mirrors of Debian itself in the
    /// host's apt configuration, one after the other, and at last the distribution's primary mirror.
    pub fn choose(given: Option<&str>) -> Result<Self, ArchiveError> {
        let variable = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
        Self::choose_from(given, variable.as_deref(), Path::new("/etc/apt"))
    }

    fn choose_from(given: Option<&str>, variable: Option<&str>, apt: &Path) -> Result<Self, ArchiveError> {
        if let Some(location) = given {
            return Self::named(location, MirrorSource::Given);
        }
        if let Some(location) = variable {
            return Self::named(location, MirrorSource::Environment);
        }
        let mut mirrors: Vec<Self> = Vec::new();
        for (file, location) in apt_sources(apt) {
            if let Ok(mirror) = Self::named(&location, MirrorSource::Apt(file))
                && mirrors.iter().all(|other| other.place != mirror.place)
            {
                mirrors.push(mirror);
            }
        }
        let primary = Self::named(&format!("http://deb.{DOMAIN}/debian"), MirrorSource::Primary)?;
        mirrors.retain(|mirror| mirror.place != primary.place);
        Ok(mirrors.into_iter().rev().fold(primary, |next, mirror| mirror.before(next)))
    }

    /// Puts another mirror behind this one.
    pub(crate) fn before(self, next: Self) -> Self {
        Self { next: Some(Box::new(next)), ..self }
    }

    /// Gives this mirror and those behind it, each alone.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        let mirrors = std::iter::successors(Some(self), |mirror| mirror.next.as_deref());
        mirrors.map(|mirror| Self { next: None, ..mirror.clone() })
    }

    /// Takes an `http:`, `https:` or `file:` address, or the path of a folder.
    pub fn at(location: &str) -> Result<Self, ArchiveError> {
        Self::named(location, MirrorSource::Given)
    }

    /// Tells who named the mirror.
    pub fn source(&self) -> &MirrorSource {
        &self.source
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Gives the address of a file below the root, for people.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{self}/{path}")
    }

    fn named(location: &str, source: MirrorSource) -> Result<Self, ArchiveError> {
        let location = location.trim();
        let bad = |problem| Err(ArchiveError::BadMirror { location: location.to_owned(), problem });
        let place = if let Some(rest) = strip_scheme(location, "http").or(strip_scheme(location, "https")) {
            if rest.starts_with('/') || rest.is_empty() {
                return bad("the host is missing");
            }
            if rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '?' || c == '#') {
                return bad("there are characters in it that no mirror has");
            }
            Place::Web(location.trim_end_matches('/').to_owned())
        } else if let Some(path) = location.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return bad("the path does not begin with `/`");
            }
            Place::Folder(PathBuf::from(path))
        } else if location.starts_with(['/', '.']) {
            Place::Folder(PathBuf::from(location))
        } else {
            return bad("it is neither an address nor a path");
        };
        Ok(Self { place, source, next: None })
    }
}

fn strip_scheme<'a>(location: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = location.split_once("://")?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Web(address) => f.write_str(address),
            Place::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for MirrorSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("as given"),
            Self::Environment => write!(f, "from `{VARIABLE}`"),
            Self::Apt(file) => write!(f, "from `{}`", file.display()),
            Self::Primary => f.write_str("the primary mirror"),
        }
    }
}

/// Gives the mirrors of Debian itself that apt is set up with, in apt's order, each with the file that names it.
fn apt_sources(apt: &Path) -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    files.insert(0, apt.join("sources.list"));
    let mut found = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let locations = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => stanza_locations(&text),
            Some("list") => line_locations(&text),
            _ => continue,
        };
        found.extend(locations.into_iter().filter(|l| is_debian(l)).map(|location| (file.clone(), location)));
    }
    found
}

/// Reads the form with stanzas (sources.list(5), "DEB822-STYLE FORMAT").
fn stanza_locations(text: &str) -> Vec<String> {
    let Ok(stanzas) = Stanza::all(text) else { return Vec::new() };
    let has = |stanza: &Stanza<'_>, field: &str, word: &str| {
        stanza.get(field).is_some_and(|value| value.split_whitespace().any(|w| w == word))
    };
    let wanted = |stanza: &&Stanza<'_>| {
        let enabled = !stanza.get("Enabled").is_some_and(|value| matches!(value, "no" | "false" | "0"));
        enabled && has(stanza, "Types", "deb") && has(stanza, "Components", "main")
    };
    let locations = stanzas.iter().filter(wanted).filter_map(|stanza| stanza.get("URIs"));
    locations.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// Reads the form with one line each (sources.list(5), "ONE-LINE-STYLE FORMAT").
fn line_locations(text: &str) -> Vec<String> {
    let location = |line: &str| {
        let line = line.split('#').next()?.trim();
        let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
        if let Some(options) = rest.strip_prefix('[') {
            rest = options.split_once(']')?.1;
        }
        let mut words = rest.split_whitespace();
        let (location, _suite) = (words.next()?, words.next()?);
        words.any(|component| component == "main").then(|| location.to_owned())
    };
    text.lines().filter_map(location).collect()
}

/// Says whether a location is one of Debian's main archive: a host of Debian, or a mirror's folder `debian`.
fn is_debian(location: &str) -> bool {
    let Some(rest) = strip_scheme(location, "http").or(strip_scheme(location, "https")) else { return false };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.split(':').next().unwrap_or_default();
    let own_host = host == DOMAIN || host.strip_suffix(DOMAIN).is_some_and(|before| before.ends_with('.'));
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    last == "debian" || (own_host && !last.starts_with("debian-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn apt(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sources.list.d")).unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    fn chosen(files: &[(&str, &str)]) -> String {
        Mirror::choose_from(None, None, apt(files).path()).unwrap().to_string()
    }

    fn primary() -> String {
        format!("http://deb.{DOMAIN}/debian")
    }

    #[test]
    fn what_is_given_comes_before_the_environment_and_that_before_apt() {
        let apt = apt(&[("sources.list", "deb http://near.example.org/debian trixie main\n")]);
        let choose = |given, variable| Mirror::choose_from(given, variable, apt.path()).unwrap();
        let given = choose(Some("http://a.example.org/x/"), Some("http://b.example.org"));
        assert_eq!(
            (given.to_string().as_str(), given.source()),
            ("http://a.example.org/x", &MirrorSource::Given)
        );
        assert_eq!(choose(None, Some("file:///srv/debian")).to_string(), "/srv/debian");
        assert_eq!(choose(None, Some("/b")).source(), &MirrorSource::Environment);
        let near = choose(None, None);
        assert_eq!(near.to_string(), "http://near.example.org/debian");
        assert_eq!(near.source(), &MirrorSource::Apt(apt.path().join("sources.list")));
    }

    #[test]
    fn behind_the_mirrors_of_apt_stands_the_primary_one_and_behind_a_named_one_nothing() {
        let lines = "deb http://a.example.org/debian bookworm main\ndeb http://b.example.org/debian trixie main\n\
            deb http://a.example.org/debian/ bookworm-updates main\n";
        let apt = apt(&[("sources.list", lines)]);
        let each = |given| {
            let mirror = Mirror::choose_from(given, None, apt.path()).unwrap();
            mirror.each().map(|mirror| mirror.to_string()).collect::<Vec<_>>()
        };
        let (a, b) = ("http://a.example.org/debian".to_owned(), "http://b.example.org/debian".to_owned());
        assert_eq!(each(None), [a, b, primary()]);
        assert_eq!(each(Some("/srv/debian")), ["/srv/debian"]);
    }

    #[test]
    fn without_any_hint_it_is_the_primary_mirror() {
        assert_eq!(chosen(&[]), primary());
        let none = tempfile::tempdir().unwrap();
        let mirror = Mirror::choose_from(None, None, &none.path().join("absent")).unwrap();
        assert_eq!((mirror.to_string(), mirror.source()), (primary(), &MirrorSource::Primary));
    }

    #[test]
    fn both_forms_of_apt_sources_are_read_in_their_order() {
        let lines = "# deb http://no.example.org/debian trixie main\ndeb-src http://no.example.org/debian trixie main\n\
            deb [arch=amd64 signed-by=/k] http://contrib.example.org/debian trixie contrib\n\
            deb [arch=amd64] http://yes.example.org/debian trixie contrib main # why\n";
        assert_eq!(chosen(&[("sources.list", lines)]), "http://yes.example.org/debian");
        let stanzas = "Types: deb\nEnabled: no\nURIs: http://off.example.org/debian\nSuites: trixie\nComponents: main\n\n\
            Types: deb-src\nURIs: http://source.example.org/debian\nSuites: trixie\nComponents: main\n\n\
            Types: deb deb-src\nURIs:\n http://first.example.org/debian\n http://second.example.org/debian\nSuites: trixie\n\
            Components: main contrib\n";
        let files = [("sources.list.d/b.sources", stanzas), ("sources.list.d/c.list", lines)];
        assert_eq!(chosen(&files), "http://first.example.org/debian");
    }

    #[test]
    fn mirrors_of_anything_but_the_main_archive_are_passed_over() {
        let lines = format!(
            "deb http://packages.example.org/apt stable main\ndeb http://security.{DOMAIN}/debian-security x main\n\
             deb http://not{DOMAIN}/x x main\ndeb http://ftp.xy.{DOMAIN}/pub x main\n"
        );
        assert_eq!(chosen(&[("sources.list", &lines)]), format!("http://ftp.xy.{DOMAIN}/pub"));
    }

    #[test]
    fn what_is_no_location_is_refused_with_the_reason() {
        let problem = |location: &str| match Mirror::at(location) {
            Err(error @ ArchiveError::BadMirror { .. }) => error.to_string(),
            other => panic!("{location}: {other:?}"),
        };
        assert!(problem("ftp.example.org").contains("neither an address nor a path"));
        assert!(problem("ftp://example.org/x").contains("neither an address nor a path"));
        assert!(problem("http:///debian").contains("the host is missing"));
        assert!(problem("http://a b/").contains("characters"));
        assert!(problem("file:relative").contains("does not begin with"));
    }
}
