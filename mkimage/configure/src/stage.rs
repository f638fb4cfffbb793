//! The stage as a whole: database, scripts in their order, triggers, what only the builder does, tidying up.

use crate::beside::Beside;
use crate::diversions::{Arrangements, FileOwners};
use crate::package::{Package, absolute_path};
use crate::root::Root;
use crate::sandbox::{FileId, Job, Outcome, Record, Sandbox, mode_on_disk};
use crate::triggers::{Interests, Pending};
use crate::{
    Class, Configured, Error, Options, Owner, PackageControl, Progress, Report, ScriptRun, Workspace,
    database, known, order, tidy,
};
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Configures a workspace in which the unpacked files of all packages lie, in the sandbox that came with it.
///
/// The directory must be writable, with the modes of the packages' archives on its files, and with the links of a
/// merged `/usr`. Whoever owns it on the disk does not matter. On an error it is left half-way, for a look at it,
/// and is of no other use.
///
/// # Errors
/// If user namespaces cannot be had, a script fails, or the tree or a package cannot be read; see [`Error`], whose
/// [`Error::help`] says how to go on.
pub fn configure(
    workspace: &Workspace,
    mut sandbox: Sandbox,
    packages: &[PackageControl],
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>) -> bool,
) -> Result<Configured, Error> {
    let packages = packages.iter().map(Package::read).collect::<Result<Vec<_>, Error>>()?;
    let root = Root::open(workspace.root())?;
    // It sets itself up meanwhile.
    sandbox.enter()?;
    let environment = Environment::new(&packages, options);
    let kernel_release = options.kernel_release.as_deref();
    let beside = Beside::begin(&root, &sandbox, kernel_release, &environment.general())?;
    database::create(&root, &packages, options)?;
    sandbox.wait_until_ready()?;
    let mut stage = Stage {
        root: &root,
        packages: &packages,
        interests: Interests::declared_by(&packages.iter().collect::<Vec<_>>()),
        file_owners: FileOwners::of(&packages),
        arrangements: Arrangements::default(),
        sandbox,
        beside,
        environment,
        kernel_release: options.kernel_release.clone(),
        adopted: Vec::new(),
        report: Report::default(),
        total: 0,
        progress,
    };
    stage.adopt_files()?;
    stage.run_scripts()?;
    stage.finish_beside()?;
    stage.report.tidied = tidy::tidy(&root)?;
    stage.collect()
}

/// The stage under way.
struct Stage<'a> {
    root: &'a Root,
    packages: &'a [Package<'a>],
    interests: Interests,
    file_owners: FileOwners<'a>,
    arrangements: Arrangements,
    sandbox: Sandbox,
    beside: Beside,
    environment: Environment,
    kernel_release: Option<String>,
    /// Paths with the owners and modes that their packages give them, where those are special.
    adopted: Vec<(Vec<u8>, Owner, u32)>,
    report: Report,
    total: usize,
    progress: &'a mut dyn FnMut(Progress<'_>) -> bool,
}

/// What each script finds in its environment, beside what dpkg says about the script itself.
struct Environment {
    dpkg_version: String,
    source_date_epoch: String,
}

impl Environment {
    fn new(packages: &[Package<'_>], options: &Options) -> Self {
        let dpkg = packages.iter().find(|package| package.name == "dpkg");
        Self {
            dpkg_version: dpkg.map(|package| package.version.clone()).unwrap_or_default(),
            source_date_epoch: options.source_date_epoch.to_string(),
        }
    }

    /// Gives the variables for all that runs.
    fn general(&self) -> Vec<(&str, &str)> {
        vec![
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            ("SOURCE_DATE_EPOCH", &self.source_date_epoch),
            // Without it the order in which perl writes the keys of a hash differs from run to run.
            ("PERL_HASH_SEED", "0"),
        ]
    }

    /// Gives the variables for a maintainer script; see dpkg(1), "internal environment".
    fn for_script<'s>(&'s self, package: &'s Package<'_>, script: &'s str) -> Vec<(&'s str, &'s str)> {
        let mut variables = self.general();
        variables.extend([
            ("DPKG_ROOT", ""),
            ("DPKG_ADMINDIR", "/var/lib/dpkg"),
            ("DPKG_MAINTSCRIPT_PACKAGE", package.name.as_str()),
            ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            ("DPKG_MAINTSCRIPT_ARCH", package.architecture.as_str()),
            ("DPKG_MAINTSCRIPT_NAME", script),
            ("DPKG_MAINTSCRIPT_DEBUG", "0"),
            ("DPKG_RUNNING_VERSION", self.dpkg_version.as_str()),
        ]);
        variables
    }
}

impl Stage<'_> {
    /// Tells the sandbox what packages ship that a disk of the builder's cannot show.
    fn adopt_files(&mut self) -> Result<(), Error> {
        for control in self.packages.iter().map(|package| package.control) {
            let special = control
                .files
                .iter()
                .filter(|file| file.owner != Owner::default() || mode_on_disk(file.mode) != file.mode);
            self.adopted.extend(special.map(|file| {
                let lies_at = control.waiting.get(&file.path).unwrap_or(&file.path);
                (absolute_path(lies_at), file.owner, file.mode)
            }));
        }
        let adopted = self.adopted.iter().map(|(path, owner, mode)| (path.as_slice(), *owner, *mode));
        self.sandbox.adopt(adopted)?;
        Ok(())
    }

    fn run_scripts(&mut self) -> Result<(), Error> {
        let order = order::of(self.packages);
        let scripts = |package: &Package<'_>| {
            ["preinst", "postinst"].iter().filter(|name| package.member(name).is_some()).count()
        };
        self.total = self.packages.iter().map(scripts).sum();
        let mut pending = Pending::default();
        // The scripts of essential packages use each other's programs, so all are prepared before one is finished.
        for index in order.iter().filter(|index| self.packages[**index].essential) {
            self.prepare_package(*index)?;
        }
        for index in order {
            if !self.packages[index].essential {
                self.prepare_package(index)?;
            }
            self.configure_package(index, &mut pending)?;
        }
        self.run_triggers(pending)
    }

    /// Does what dpkg does until a package is unpacked.
    fn prepare_package(&mut self, index: usize) -> Result<(), Error> {
        self.run_script(index, "preinst", &["install"])?;
        let package = &self.packages[index];
        for (path, waits_at) in &package.control.waiting {
            self.arrangements.settle(self.root, &package.name, path, waits_at)?;
        }
        Ok(())
    }

    fn configure_package(&mut self, index: usize, pending: &mut Pending) -> Result<(), Error> {
        pending.take_unincorporated(self.root, &self.interests)?;
        pending.add_from(&self.packages[index], &self.interests);
        pending.forget(&self.packages[index].qualified_name());
        self.run_script(index, "postinst", &["configure", ""])
    }

    /// Calls packages for their triggers until none is left.
    fn run_triggers(&mut self, mut pending: Pending) -> Result<(), Error> {
        // Every call may set off others; more calls than this are a circle.
        let mut calls = 10 + 10 * self.packages.len();
        loop {
            pending.take_unincorporated(self.root, &self.interests)?;
            self.total = self.report.scripts.len() + pending.len();
            let names = pending.names();
            let Some((name, triggers)) = pending.pop() else { return Ok(()) };
            calls -= 1;
            if calls == 0 {
                return Err(Error::TriggerLoop { pending: names });
            }
            let index = self.packages.iter().position(|package| package.qualified_name() == name);
            if let Some(index) = index {
                let triggers: Vec<String> = triggers.into_iter().collect();
                self.run_script(index, "postinst", &["triggered", &triggers.join(" ")])?;
            }
        }
    }

    /// Runs a package's script if it has it and it is needed.
    fn run_script(&mut self, index: usize, script: &str, arguments: &[&str]) -> Result<(), Error> {
        let packages = self.packages;
        let package = &packages[index];
        let Some(text) = package.member(script) else { return Ok(()) };
        let mut run = ScriptRun {
            package: package.qualified_name(),
            script: script.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            class: known::class_of(text).unwrap_or(Class::Sandboxed),
            duration: Duration::ZERO,
            output: Vec::new(),
        };
        if run.class == Class::Sandboxed {
            let path = database::prepare_script(self.root, package, script)?;
            self.execute(&mut run, &path, package)?;
            database::clear_away_script(self.root, script)?;
            if script == "preinst" {
                self.arrangements.follow(self.root, &self.file_owners, &mut self.sandbox)?;
            }
        }
        self.report.scripts.push(run);
        Ok(())
    }

    /// Runs a program of the tree to its end and fills in how that went.
    fn execute(&mut self, run: &mut ScriptRun, path: &str, package: &Package<'_>) -> Result<(), Error> {
        let mut argv = vec![path];
        argv.extend(run.arguments.iter().map(String::as_str));
        let environment = self.environment.for_script(package, &run.script);
        let progress = Progress { done: self.report.scripts.len(), total: self.total, package: &run.package };
        let job = Job { argv: &argv, environment: &environment };
        let outcome = self.sandbox.run(&job, &mut || (self.progress)(progress))?;
        run.conclude(outcome)
    }

    /// Waits for what is made beside the scripts.
    fn finish_beside(&mut self) -> Result<(), Error> {
        let (done, total) = (self.report.scripts.len(), self.total);
        let environment = self.environment.general();
        let runs = self.beside.finish(
            self.root,
            &self.sandbox,
            self.kernel_release.as_deref(),
            &environment,
            &mut || (self.progress)(Progress { done, total, package: "kmod" }),
        )?;
        self.report.scripts.extend(runs);
        Ok(())
    }

    /// Finds the recorded files in the tree and ends the sandbox.
    fn collect(mut self) -> Result<Configured, Error> {
        let mut records = self.sandbox.records()?;
        records.extend(self.beside.records()?);
        let mut configured = Configured { report: self.report, ..Configured::default() };
        let root = self.root.path();
        let metadata = fs::symlink_metadata(root).map_err(cannot_read(root))?;
        apply(&records, root, &metadata, b"", &mut configured)?;
        for (path, owner, _) in self.adopted {
            // What a script put in the place of such a file is root's, and that has to be said.
            let place = self.root.find(&path)?;
            if owner != Owner::default() && place.is_some_and(|place| place.metadata().is_some()) {
                configured.ownership.entry(path).or_default();
            }
        }
        Ok(configured)
    }
}

impl ScriptRun {
    /// Fills in how it went.
    pub(crate) fn conclude(&mut self, outcome: Outcome) -> Result<(), Error> {
        let ending = match outcome {
            Outcome::Ended { status, duration, output } => {
                (self.duration, self.output) = (duration, output);
                if status.success() {
                    return Ok(());
                }
                status.to_string()
            }
            Outcome::NotStarted(why) => format!("it could not be started: {why}"),
        };
        Err(Error::Script {
            package: self.package.clone(),
            script: self.script.clone(),
            arguments: self.arguments.clone(),
            status: ending,
            output: self.output.clone(),
        })
    }
}

/// Walks the tree and writes down what is recorded of each path; `place` is what is at `path`.
fn apply(
    records: &HashMap<FileId, Record>,
    place: &Path,
    metadata: &Metadata,
    path: &[u8],
    configured: &mut Configured,
) -> Result<(), Error> {
    if let Some(record) = records.get(&FileId::of(metadata)) {
        let owner = Owner { uid: record.uid, gid: record.gid };
        let path = if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
        if owner != Owner::default() {
            configured.ownership.insert(path.clone(), owner);
        }
        if let Some(mode) = record.mode {
            configured.modes.insert(path.clone(), mode);
        }
        if let Some(device) = record.node {
            configured.devices.insert(path.clone(), device);
        }
        if !record.attributes.is_empty() {
            configured.attributes.insert(path, record.attributes.clone());
        }
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(place).map_err(cannot_read(place))? {
            let entry = entry.map_err(cannot_read(place))?;
            let below = [path, b"/", entry.file_name().as_bytes()].concat();
            let place = entry.path();
            // Looked at through the directory, which is less to walk than the path.
            let metadata = entry.metadata().map_err(cannot_read(&place))?;
            apply(records, &place, &metadata, &below, configured)?;
        }
    }
    Ok(())
}

fn cannot_read(path: &Path) -> impl Fn(io::Error) -> Error {
    move |cause| Error::File { action: "read", path: path.to_owned(), cause }
}
