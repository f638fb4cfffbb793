//! A tree with the shell and a few tools of this machine, and packages made up to run in it.

use crate::Skipped;
use mkimage_configure::{
    Configured, Error, Options, Owner, PackageControl, PackageFile, Sandbox, SandboxProgram, Workspace,
    configure,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What scripts of the tests may use.
const TOOLS: &[&str] = &[
    "sh", "cat", "chgrp", "chmod", "chown", "cp", "id", "ln", "ls", "mkdir", "mkfifo", "mknod", "mv",
    "readlink", "rm", "sleep", "stat", "sync", "touch", "true",
];

/// Where a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    Disk,
}

impl Place {
    /// Gives the name for another run of this program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }

    pub(crate) fn called(name: &str) -> Self {
        if name == Self::Memory.name() { Self::Memory } else { Self::Disk }
    }

    /// Makes a workspace there, with the tools in it.
    pub(crate) fn prepare(self, folder: &Path) -> Result<(Workspace, Sandbox), Skipped> {
        const ENOUGH: u64 = 64 << 20;
        let memory = (self == Self::Memory).then_some(ENOUGH);
        let program = SandboxProgram::current().expect("program");
        let (workspace, sandbox) = match Workspace::prepare(folder, memory, &program) {
            Err(error @ Error::NoNamespaces { .. }) => return Err(Skipped(error.to_string())),
            result => result.unwrap_or_else(|error| panic!("{error}")),
        };
        if workspace.is_in_memory() != memory.is_some() {
            return Err(Skipped("the kernel gives users no memory to use as a folder".to_owned()));
        }
        build(workspace.root())?;
        Ok((workspace, sandbox))
    }
}

/// A tree that is removed at the end.
pub(crate) struct World {
    directory: tempfile::TempDir,
    workspace: Workspace,
    sandbox: Cell<Option<Sandbox>>,
    packages: Vec<PackageControl>,
}

impl World {
    /// Makes a tree in memory with the tools in it.
    pub(crate) fn new() -> Result<Self, Skipped> {
        Self::at(Place::Memory)
    }

    /// Makes a tree with the tools in it.
    pub(crate) fn at(place: Place) -> Result<Self, Skipped> {
        let directory = tempfile::tempdir().expect("make directory");
        let (workspace, sandbox) = place.prepare(directory.path())?;
        Ok(Self { directory, workspace, sandbox: Cell::new(Some(sandbox)), packages: Vec::new() })
    }

    /// Gives the folder that the tree is in, or would be if it were not in memory.
    pub(crate) fn folder(&self) -> &Path {
        self.directory.path()
    }

    /// Gives the tree's directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.workspace.root().to_owned()
    }

    /// Gives the place of a path of the tree.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Adds a package with the given fields and scripts.
    pub(crate) fn package(
        &mut self,
        name: &str,
        fields: &str,
        members: &[(&str, &str)],
    ) -> &mut PackageControl {
        let mut control = PackageControl::default();
        let stanza = format!("Package: {name}\nVersion: 1\nArchitecture: all\nDescription: a test\n{fields}");
        control.members.insert("control".to_owned(), stanza.into_bytes());
        for (member, text) in members {
            let is_script = matches!(*member, "preinst" | "postinst");
            let text = if is_script { format!("#!/bin/sh\nset -e\n{text}\n") } else { (*text).to_owned() };
            control.members.insert((*member).to_owned(), text.into_bytes());
        }
        self.packages.push(control);
        self.packages.last_mut().expect("a package")
    }

    /// Adds a file that the last package ships.
    pub(crate) fn ship(&mut self, path: &str, owner: Owner, mode: u32, content: &str) {
        let place = self.place(path);
        fs::create_dir_all(place.parent().expect("parent")).expect("make directory");
        fs::write(&place, content).expect("write");
        fs::set_permissions(&place, Permissions::from_mode(mode & 0o777)).expect("mode");
        let file = PackageFile { path: path.as_bytes().to_vec(), owner, mode };
        self.packages.last_mut().expect("a package").files.push(file);
    }

    /// Has the last file of the last package wait under another name.
    pub(crate) fn let_wait(&mut self, name: &str) {
        let root = self.root();
        let control = self.packages.last_mut().expect("a package");
        let path = control.files.last().expect("a file").path.clone();
        let place = root.join(OsStr::from_bytes(path.strip_prefix(b"./").expect("a usual path")));
        fs::rename(place, root.join(name.trim_start_matches('/'))).expect("rename");
        control.waiting.insert(path, name.as_bytes().to_vec());
    }

    /// Configures the tree.
    pub(crate) fn try_configure(&self) -> Result<Configured, Error> {
        self.configure_while(&mut || true)
    }

    /// Configures the tree as long as the closure says yes.
    pub(crate) fn configure_while(&self, may_go_on: &mut dyn FnMut() -> bool) -> Result<Configured, Error> {
        self.configure_with(&options(), may_go_on)
    }

    /// Configures the tree in another way than usual.
    pub(crate) fn configure_with(
        &self,
        options: &Options,
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Configured, Error> {
        let sandbox = self.sandbox.take().expect("a sandbox that was not used yet");
        configure(&self.workspace, sandbox, &self.packages, options, &mut |_| may_go_on())
    }

    /// Configures the tree, which has to succeed.
    pub(crate) fn configure(&self) -> Configured {
        self.try_configure().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Gives what tests run with.
pub(crate) fn options() -> Options {
    Options { architecture: "amd64".to_owned(), source_date_epoch: 1_750_000_000, kernel_release: None }
}

/// Fills a tree.
fn build(root: &Path) -> Result<(), Skipped> {
    for name in ["dev", "proc", "run", "tmp", "etc", "var/lib", "usr/bin", "usr/sbin"] {
        fs::create_dir_all(root.join(name)).expect("make directory");
    }
    symlink("usr/bin", root.join("bin")).expect("link");
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\ngames:x:5:60::/:/bin/sh\n")
        .expect("write");
    fs::write(root.join("etc/group"), "root:x:0:\nshadow:x:42:\ngames:x:60:\n").expect("write");
    let mut needed: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for tool in TOOLS {
        let Some(outside) = find(tool) else { return Err(Skipped(format!("there is no `{tool}` here"))) };
        for library in libraries(&outside)? {
            needed.insert(root.join(library.strip_prefix("/").expect("absolute")), library);
        }
        needed.insert(root.join("usr/bin").join(tool), outside);
    }
    for (inside, outside) in needed {
        fs::create_dir_all(inside.parent().expect("parent")).expect("make directory");
        fs::copy(&outside, &inside).expect("copy");
        fs::set_permissions(&inside, Permissions::from_mode(0o755)).expect("mode");
    }
    Ok(())
}

fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|directory| directory.join(tool)).find(|path| path.is_file())
}

/// Asks the loader which libraries a program needs; a static one needs none.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, Skipped> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.map_err(|error| Skipped(format!("`ldd` cannot be run: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}
