//! Why no selection exists, in words for the person who wrote the request.

use crate::request::Forbidden;
use std::fmt;

/// Why a request cannot be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsatisfiable {
    /// Nothing has or provides a name in the request.
    NoSuchPackage {
        /// The name.
        name: String,
        /// The suite.
        suite: String,
        /// A name that is nearly the same.
        similar: Option<String>,
    },
    /// A package does not have the version that the request demands.
    NoSuchVersion {
        /// The name of the package.
        name: String,
        /// The version demanded.
        version: String,
        /// The versions there are.
        available: Vec<String>,
    },
    /// Only the files of a package are wanted, but the name is a virtual one.
    OnlyProvided {
        /// The name.
        name: String,
    },
    /// A package that must not be there cannot be avoided.
    Forbidden {
        /// The forbidden package.
        name: String,
        /// The packages that pull it in, from one in the request to itself.
        chain: Vec<String>,
        /// What to do, as the rule that forbids it says.
        help: String,
    },
    /// The archive itself has a package with a version that is none.
    BadVersion {
        /// The package.
        package: String,
        /// What is wrong with its version.
        problem: String,
    },
    /// Packages exclude each other, or something they need does not exist.
    Conflict {
        /// The names in the request that cannot be met: one, or two that cannot be met together; none if it takes more.
        culprits: Vec<String>,
        /// The reasons as a tree of several lines.
        explanation: String,
    },
}

impl Unsatisfiable {
    pub(crate) fn forbidden(forbidden: &Forbidden, chain: Vec<String>) -> Self {
        Self::Forbidden { name: forbidden.name.clone(), chain, help: forbidden.help.clone() }
    }

    /// Gives the name in the request that is at fault, to point at in a manifest.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::NoSuchPackage { name, .. }
            | Self::NoSuchVersion { name, .. }
            | Self::OnlyProvided { name } => Some(name),
            Self::Forbidden { chain, .. } => chain.first().map(String::as_str),
            Self::Conflict { culprits, .. } => culprits.first().map(String::as_str),
            Self::BadVersion { .. } => None,
        }
    }

    /// Gives the reasons as a tree of several lines, where there are any.
    pub fn reasons(&self) -> Option<&str> {
        match self {
            Self::Conflict { explanation, .. } => Some(explanation.trim_end()),
            _ => None,
        }
    }

    /// Says what the reader can do about it.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchPackage { similar: Some(similar), .. } => {
                format!("a package with a similar name exists: `{similar}`")
            }
            Self::NoSuchPackage { similar: None, .. } => {
                "check the name, the suite and the components".to_owned()
            }
            Self::NoSuchVersion { available, .. } => {
                format!("ask for no version, or for one that exists: `{}`", available.join("`, `"))
            }
            Self::OnlyProvided { .. } => "name one of the packages that provide it".to_owned(),
            Self::Forbidden { help, .. } => help.clone(),
            Self::BadVersion { .. } => "the archive is at fault: name another mirror".to_owned(),
            Self::Conflict { culprits, .. } if culprits.len() == 1 => {
                "leave it out, or add what it needs (`mirror`, `components`, `packages.local`)".to_owned()
            }
            Self::Conflict { .. } => "leave out one of the packages that the reasons name".to_owned(),
        })
    }
}

impl fmt::Display for Unsatisfiable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPackage { name, suite, .. } => {
                write!(f, "no package named `{name}` in suite `{suite}`")
            }
            Self::NoSuchVersion { name, version, .. } => {
                write!(f, "no version `{version}` of package `{name}`")
            }
            Self::OnlyProvided { name } => {
                write!(f, "`{name}` is a virtual package, and has no files of its own")
            }
            Self::Forbidden { name, chain, .. } if chain.len() < 2 => {
                write!(f, "the package `{name}` is asked for, but must not be part of this image")
            }
            Self::Forbidden { name, chain, .. } => {
                let chain = chain.join("` needs `");
                write!(f, "the package `{name}` must not be part of this image, but `{chain}`")
            }
            Self::BadVersion { package, problem } => {
                write!(f, "the package `{package}` is damaged: {problem}")
            }
            Self::Conflict { culprits, .. } => match culprits.as_slice() {
                [one] => write!(f, "`{one}` cannot be installed"),
                [one, two] => write!(f, "`{one}` cannot be installed together with `{two}`"),
                _ => f.write_str("no choice of packages meets the request"),
            },
        }
    }
}

impl std::error::Error for Unsatisfiable {}
