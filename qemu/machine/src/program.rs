//! How QEMU is run: installed on the host, or straight from a folder of unpacked packages.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Failure};

/// QEMU as a program: what to execute, and where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What is executed: QEMU itself, or the loader that runs it.
    pub executable: OsString,
    /// The arguments that come before all others.
    pub leading_arguments: Vec<OsString>,
    /// Folders given with `-L`, for firmware; empty for QEMU's own choice.
    pub data_folders: Vec<PathBuf>,
}

/// A version of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Where an unpacked tree of Debian packages for amd64 has the parts of QEMU.
const TREE_LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
const TREE_LIBRARIES: &[&str] = &["usr/lib/x86_64-linux-gnu", "usr/lib"];
const TREE_PROGRAM: &str = "usr/bin/qemu-system-x86_64";
const TREE_DATA: &[&str] = &["usr/share/qemu", "usr/share/seabios"];

impl Program {
    /// Takes the QEMU that is installed, by path or by name.
    pub fn installed(program: impl Into<OsString>) -> Program {
        Program { executable: program.into(), leading_arguments: Vec::new(), data_folders: Vec::new() }
    }

    /// Takes the QEMU in a folder of unpacked packages, run through the loader and libraries of that same folder.
    ///
    /// Nothing needs to be installed and no namespace is made. The packages are `qemu-system-x86` and what it
    /// depends on, `seabios` and `qemu-system-data` among them.
    ///
    /// # Errors
    /// The file of the tree that is missing.
    pub fn from_tree(tree: &Path) -> Result<Program, Error> {
        let needed = |name: &str| {
            let path = tree.join(name);
            if path.exists() { Ok(path) } else { Err(Error::from(Failure::IncompleteTree { missing: path })) }
        };
        let mut libraries = OsString::new();
        for name in TREE_LIBRARIES {
            if !libraries.is_empty() {
                libraries.push(":");
            }
            libraries.push(tree.join(name));
        }
        Ok(Program {
            executable: needed(TREE_LOADER)?.into(),
            leading_arguments: vec!["--library-path".into(), libraries, needed(TREE_PROGRAM)?.into()],
            data_folders: TREE_DATA.iter().map(|name| needed(name)).collect::<Result<_, _>>()?,
        })
    }

    /// Asks the program for its version.
    ///
    /// # Errors
    /// It cannot be run, or does not answer as QEMU does.
    pub fn version(&self) -> Result<Version, Error> {
        let program = &self.executable;
        let output = Command::new(program)
            .args(&self.leading_arguments)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| Failure::CannotRun { program: program.clone(), cause })?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse_version(&text).ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            let answer = text.lines().chain(errors.lines()).next().unwrap_or("").to_owned();
            Failure::NotQemu { program: program.clone(), answer }.into()
        })
    }
}

/// Reads the first line of `--version`: `QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)`.
fn parse_version(text: &str) -> Option<Version> {
    let rest = text.strip_prefix("QEMU emulator version ")?;
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = number.split('.');
    Some(Version { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_qemu_prints() {
        let text = "QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)\nCopyright\n";
        assert_eq!(parse_version(text), Some(Version { major: 10, minor: 0 }));
        assert_eq!(parse_version("QEMU emulator version 7.2\n"), Some(Version { major: 7, minor: 2 }));
        assert_eq!(parse_version("GNU bash, version 5.2\n"), None);
    }

    #[test]
    fn a_tree_without_the_loader_is_refused_by_the_name_of_the_file() {
        let tree = tempfile::tempdir().expect("temporary folder");
        let error = Program::from_tree(tree.path()).expect_err("incomplete");
        assert!(error.to_string().contains(TREE_LOADER), "{error}");
    }

    #[test]
    fn a_program_that_is_not_qemu_is_named_with_its_answer() {
        let program = Program {
            executable: "sh".into(),
            leading_arguments: vec!["-c".into(), "echo something else".into()],
            data_folders: Vec::new(),
        };
        let error = program.version().expect_err("not QEMU");
        assert_eq!(error.to_string(), "`sh` is not QEMU: to `--version` it answers `something else`");
    }
}
