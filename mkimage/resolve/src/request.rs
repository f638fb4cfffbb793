//! What is asked of the resolver, and the digest by which a lock knows its request.

use mkimage_deb::Sha256;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// What an image, or a tree of tools, is to be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The suite as the manifest names it, such as `trixie`.
    pub suite: String,
    /// The architecture of the packages, such as `amd64`.
    pub architecture: String,
    /// The parts of the suite that packages may come from, such as `main`; the index is made of these.
    pub components: Vec<String>,
    /// The packages that must be there, with all they depend on.
    pub packages: Vec<Wanted>,
    /// The packages of which only the files are taken: no dependencies, and no configuring.
    ///
    /// A package without own contents that depends on exactly one package in exactly one version, as
    /// `linux-image-cloud-amd64` does, stands for that package.
    pub files_only: Vec<Wanted>,
    /// The digests of packages in files, which take the place of the archive's.
    pub local: Vec<Sha256>,
    /// Whether all packages marked `Essential: yes` are wanted too.
    pub essential: bool,
    /// The packages that must not be there.
    pub forbidden: Vec<Forbidden>,
    /// The versions, by name, that are taken where they still exist and fit: those of the old lock.
    ///
    /// This is not part of the digest: it says how to choose, not what is wanted.
    pub preferred: BTreeMap<String, String>,
}

/// A package asked for by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The name, of a real package or a virtual one.
    pub name: String,
    /// The only version that will do; any, if absent.
    pub version: Option<String>,
}

/// A package that must not be chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forbidden {
    /// The name of the real package.
    pub name: String,
    /// What to do if it is pulled in, for the person who reads the error.
    pub help: String,
}

impl Request {
    /// Asks for nothing yet: no package, and nothing forbidden.
    pub fn new(suite: &str, architecture: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            architecture: architecture.to_owned(),
            components: Vec::new(),
            packages: Vec::new(),
            files_only: Vec::new(),
            local: Vec::new(),
            essential: false,
            forbidden: Vec::new(),
            preferred: BTreeMap::new(),
        }
    }

    /// Asks for what makes an image: all essential packages, and `systemd` forbidden.
    pub fn image(suite: &str, architecture: &str) -> Self {
        let forbidden = vec![Forbidden::systemd()];
        Self { essential: true, forbidden, ..Self::new(suite, architecture) }
    }

    /// Gives the digest of all that the request demands; the order of the names makes no difference.
    pub fn digest(&self) -> Sha256 {
        let mut text =
            format!("mkimage request 1\nsuite {}\narchitecture {}\n", self.suite, self.architecture);
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.components.iter().map(|component| format!("component {component}")));
        lines.extend(self.packages.iter().map(|wanted| format!("package {wanted}")));
        lines.extend(self.files_only.iter().map(|wanted| format!("files-only {wanted}")));
        lines.extend(self.local.iter().map(|digest| format!("local {digest}")));
        lines.extend(self.forbidden.iter().map(|forbidden| format!("forbidden {}", forbidden.name)));
        if self.essential {
            lines.push("essential".to_owned());
        }
        lines.sort();
        lines.dedup();
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        Sha256::of(text.as_bytes())
    }
}

impl Wanted {
    /// Asks for a package in whatever version there is.
    pub fn any(name: &str) -> Self {
        Self { name: name.to_owned(), version: None }
    }

    /// Reads `NAME` or `NAME=VERSION`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, version)) => {
                Self { name: name.trim().to_owned(), version: Some(version.trim().to_owned()) }
            }
            None => Self::any(text.trim()),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}={version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Forbidden {
    /// The standing rule for images: dinit is the init, so `systemd` must not come along unnoticed.
    pub fn systemd() -> Self {
        Self {
            name: "systemd".to_owned(),
            help:
                "leave out the package that the chain begins with; where only parts of `systemd` are needed, \
                   `systemd-standalone-sysusers` and `systemd-standalone-tmpfiles` are taken instead, and \
                   `packages.files-only` takes a package without what it depends on"
                    .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(packages: &[&str]) -> Request {
        let packages = packages.iter().map(|name| Wanted::parse(name)).collect();
        Request { packages, ..Request::image("trixie", "amd64") }
    }

    #[test]
    fn the_digest_tells_requests_apart_but_not_their_order() {
        let digest = request(&["a", "b=1"]).digest();
        assert_eq!(digest, request(&["b=1", "a"]).digest());
        assert_ne!(digest, request(&["a", "b"]).digest());
        assert_ne!(digest, request(&["a", "b=1", "c"]).digest());
        assert_ne!(digest, Request { suite: "sid".into(), ..request(&["a", "b=1"]) }.digest());
        assert_ne!(digest, Request { essential: false, ..request(&["a", "b=1"]) }.digest());
        let components = vec!["main".to_owned(), "contrib".to_owned()];
        assert_ne!(digest, Request { components, ..request(&["a", "b=1"]) }.digest());
        let files_only = vec![Wanted::any("c")];
        assert_ne!(digest, Request { files_only, ..request(&["a", "b=1"]) }.digest());
        let local = vec![Sha256::of(b"x")];
        assert_ne!(digest, Request { local, ..request(&["a", "b=1"]) }.digest());
        let preferred = [("a".to_owned(), "1".to_owned())].into();
        assert_eq!(digest, Request { preferred, ..request(&["a", "b=1"]) }.digest());
    }
}
