//! What can go wrong, with what a reader needs to go on.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why the packages could not be configured.
#[derive(Debug)]
pub enum Error {
    /// The kernel gives this user no namespaces.
    NoNamespaces {
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The sandbox could not be set up.
    Sandbox {
        /// Which step of it.
        step: Step,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The sandbox ended before its work was done.
    SandboxEnded {
        /// How it ended, such as an exit status.
        how: String,
    },
    /// A file or directory could not be read or written.
    File {
        /// What was to be done, such as `read`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// A script gave dpkg a path that climbs with `..`.
    Climbing {
        /// The path.
        path: String,
    },
    /// The control data of a package cannot be used.
    Control {
        /// The package.
        package: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two packages ship a file, and neither has diverted that of the other.
    NotDiverted {
        /// The package whose file has no place.
        package: String,
        /// The path.
        path: String,
    },
    /// A maintainer script did not end well.
    Script {
        /// The package.
        package: String,
        /// `preinst`, `postinst` or the builder's own step.
        script: String,
        /// What it was called with.
        arguments: Vec<String>,
        /// How it ended, such as `exit status 1`.
        status: String,
        /// What it printed.
        output: Vec<u8>,
    },
    /// The caller wanted to stop.
    Cancelled,
    /// The tree has no modules for the kernel of the image.
    NoModules {
        /// The kernel.
        release: String,
    },
    /// Triggers go on activating each other.
    TriggerLoop {
        /// The triggers that were still pending.
        pending: Vec<String>,
    },
}

/// One step of setting up the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step(pub String);

impl Error {
    /// Says what the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoNamespaces { .. } => Some(
                "maintainer scripts run in a user namespace; allow it with `sysctl user.max_user_namespaces=15000`, \
                 on Debian kernels also `kernel.unprivileged_userns_clone=1`, on Ubuntu \
                 `kernel.apparmor_restrict_unprivileged_userns=0`; in a container, start it with a seccomp \
                 profile that allows `unshare` (for instance `--security-opt seccomp=unconfined`)"
                    .to_owned(),
            ),
            Self::NoModules { release } => {
                Some(format!("the package `linux-image-{release}` brings them, in `/usr/lib/modules/{release}`"))
            }
            Self::Script { .. } => Some(
                "leave the package out, or mend its script: it runs as root of a user namespace, without a network and \
                 without services"
                    .to_owned(),
            ),
            Self::Climbing { .. } => Some(
                "a maintainer script wrote it into `/var/lib/dpkg/diversions` or `/var/lib/dpkg/statoverride`; \
                 leave out the package that does so"
                    .to_owned(),
            ),
            Self::NotDiverted { .. } => Some(
                "leave one of the two packages out; which the other is, `mkimage why` tells without this one"
                    .to_owned(),
            ),
            Self::Sandbox { step, .. } if step.0.contains("/proc") => Some(
                "a new `/proc` is refused where the one outside is partly hidden; in a container, start it with \
                 `--security-opt systempaths=unconfined`, or build outside of it"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNamespaces { .. } => {
                out.write_str("cannot make a user namespace to run maintainer scripts in")
            }
            Self::Sandbox { step, .. } => write!(out, "cannot set up the sandbox: {}", step.0),
            Self::SandboxEnded { how } => write!(out, "the sandbox ended before its work was done: {how}"),
            Self::File { action, path, .. } => write!(out, "cannot {action} `{}`", path.display()),
            Self::Climbing { path } => {
                write!(out, "`{path}` has `..` in it, which no path of a package may have")
            }
            Self::Control { package, problem } => {
                write!(out, "cannot read the control data of `{package}`: {problem}")
            }
            Self::NotDiverted { package, path } => {
                write!(out, "`{package}` brings `{path}`, which another package has brought")?;
                out.write_str(" and no `preinst` has diverted")
            }
            Self::Script { package, script, arguments, status, output } => {
                write!(out, "the {script} of `{package}` failed, {status}")?;
                if !arguments.is_empty() {
                    write!(out, " (called with `{}`)", arguments.join(" "))?;
                }
                let text = String::from_utf8_lossy(output);
                let text = text.trim_end();
                if text.is_empty() {
                    out.write_str("; it printed nothing")
                } else {
                    write!(out, "; it printed:\n{text}")
                }
            }
            Self::Cancelled => out.write_str("configuring was stopped"),
            Self::NoModules { release } => {
                write!(out, "the tree has no modules for the kernel `{release}`")
            }
            Self::TriggerLoop { pending } => {
                write!(out, "triggers go on activating each other: `{}`", pending.join("`, `"))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoNamespaces { cause } | Self::Sandbox { cause, .. } | Self::File { cause, .. } => {
                Some(cause)
            }
            Self::SandboxEnded { .. }
            | Self::Climbing { .. }
            | Self::Control { .. }
            | Self::NotDiverted { .. }
            | Self::Script { .. }
            | Self::Cancelled
            | Self::NoModules { .. }
            | Self::TriggerLoop { .. } => None,
        }
    }
}
