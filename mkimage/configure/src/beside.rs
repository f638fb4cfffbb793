//! What the builder does itself beside the maintainer scripts: indices that no script reads, and that take one
//! processor about as long as all scripts take another.
//!
//! They are begun before the first script, on what packages ship, in a sandbox of their own over the same tree. A
//! script may still change what an index is made of; then, and if it could not be made so early, it is made again
//! when all scripts are done. So the outcome is that of making it last, whatever took how long.

use crate::error::Error;
use crate::root::Root;
use crate::sandbox::{FileId, Job, Record, Sandbox};
use crate::{Class, ScriptRun};
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Where the modules of each kernel are.
const MODULES: &str = "/usr/lib/modules";

/// The files beside a kernel's modules that come with it; all others named so are depmod's.
const MODULES_OWN_LISTS: &[&str] = &["modules.order", "modules.builtin", "modules.builtin.modinfo"];

/// An index to make.
#[derive(Debug, PartialEq, Eq)]
struct Index {
    /// The package that brings the program.
    package: &'static str,
    /// The program's path, and its name in reports.
    program: &'static str,
    name: &'static str,
    arguments: Vec<String>,
    what: &'static str,
    /// The files and directories that it is made of.
    sources: Vec<String>,
    /// Whether an image is one without it too.
    can_be_missing: bool,
}

/// The state of all that an index is made of: what tells each file, and its change, from others.
type Fingerprint = Vec<(Vec<u8>, [i64; 5])>;

/// The indices that are being made.
#[derive(Default)]
pub(crate) struct Beside {
    /// None if there was nothing to begin with.
    sandbox: Option<Sandbox>,
    begun: Vec<(Index, Fingerprint)>,
}

impl Beside {
    /// Begins all indices of the tree as it is, beside a sandbox that no script has run in yet.
    pub(crate) fn begin(
        root: &Root,
        first: &Sandbox,
        kernel: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let indices = indices(root, kernel)?;
        if indices.is_empty() {
            return Ok(Self::default());
        }
        let mut sandbox = first.start_another()?;
        let mut begun = Vec::new();
        for index in indices {
            let fingerprint = fingerprint(root, &index)?;
            begun.push((index, fingerprint));
        }
        sandbox.wait_until_ready()?;
        for (index, _) in &begun {
            sandbox.begin(&index.job(&index.argv(), environment))?;
        }
        Ok(Self { sandbox: Some(sandbox), begun })
    }

    /// Waits for what was begun, and makes what has to be made again or has appeared since.
    pub(crate) fn finish(
        &mut self,
        root: &Root,
        first: &Sandbox,
        kernel: Option<&str>,
        environment: &[(&str, &str)],
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<ScriptRun>, Error> {
        let mut made = Vec::new();
        for (index, before) in self.begun.drain(..) {
            let Some(sandbox) = &mut self.sandbox else { break };
            let mut run = index.run();
            // What fails now may work when packages are configured.
            if run.conclude(sandbox.finish(may_go_on)?).is_ok() && fingerprint(root, &index)? == before {
                made.push((index, run));
            }
        }
        let mut runs = Vec::new();
        for index in indices(root, kernel)? {
            if let Some(at) = made.iter().position(|(done, _)| *done == index) {
                runs.push(made.swap_remove(at).1);
                continue;
            }
            let sandbox = match &mut self.sandbox {
                Some(sandbox) => sandbox,
                none => {
                    let sandbox = none.insert(first.start_another()?);
                    sandbox.wait_until_ready()?;
                    sandbox
                }
            };
            let mut run = index.run();
            let concluded = run.conclude(sandbox.run(&index.job(&index.argv(), environment), may_go_on)?);
            if !index.can_be_missing {
                concluded?;
            }
            runs.push(run);
        }
        Ok(runs)
    }

    /// Gives what was recorded of files, and ends the sandbox.
    pub(crate) fn records(mut self) -> Result<HashMap<FileId, Record>, Error> {
        self.sandbox.as_mut().map_or_else(|| Ok(HashMap::new()), Sandbox::records)
    }
}

impl Index {
    fn argv(&self) -> Vec<&str> {
        [self.program].into_iter().chain(self.arguments.iter().map(String::as_str)).collect()
    }

    fn job<'a>(&self, argv: &'a [&'a str], environment: &'a [(&'a str, &'a str)]) -> Job<'a> {
        Job { argv, environment }
    }

    fn run(&self) -> ScriptRun {
        ScriptRun {
            package: self.package.to_owned(),
            script: self.name.to_owned(),
            arguments: self.arguments.clone(),
            class: Class::Builder(self.what),
            duration: Duration::ZERO,
            output: Vec::new(),
        }
    }
}

/// Lists the indices that the tree as it is has to have.
fn indices(root: &Root, kernel: Option<&str>) -> Result<Vec<Index>, Error> {
    let mut indices: Vec<Index> = kernels(root, kernel)?.into_iter().map(modules).collect();
    let is_there = |path: &str| -> Result<bool, Error> {
        Ok(root.find(path.as_bytes())?.is_some_and(|place| place.metadata().is_some()))
    };
    if is_there(HARDWARE_DATABASE)? {
        indices.push(hardware());
    } else if root.has_directory(HARDWARE_SOURCES[1].as_bytes()) {
        for program in UDEVADM {
            if is_there(program)? {
                indices.push(hardware_by_eudev(program));
                break;
            }
        }
    }
    Ok(indices)
}

/// The index of a kernel's modules, which no package brings along.
fn modules(release: String) -> Index {
    let configuration = ["/etc/depmod.d", "/usr/lib/depmod.d", "/usr/local/lib/depmod.d"];
    let mut sources = vec![format!("{MODULES}/{release}")];
    sources.extend(configuration.map(str::to_owned));
    Index {
        package: "kmod",
        program: "/usr/sbin/depmod",
        name: "depmod",
        arguments: vec!["-a".to_owned(), release],
        what: "the index of a kernel's modules",
        sources,
        can_be_missing: false,
    }
}

const HARDWARE_DATABASE: &str = "/usr/bin/systemd-hwdb";

/// What the index of udev's hardware database is made of.
const HARDWARE_SOURCES: [&str; 2] = ["/etc/udev/hwdb.d", "/usr/lib/udev/hwdb.d"];

/// The index of udev's hardware database, as udev's postinst makes it; for scripts, the program does nothing.
fn hardware() -> Index {
    Index {
        package: "udev",
        program: HARDWARE_DATABASE,
        name: "systemd-hwdb",
        arguments: vec!["--usr".to_owned(), "update".to_owned()],
        what: "the index of udev's hardware database",
        sources: HARDWARE_SOURCES.map(str::to_owned).to_vec(),
        can_be_missing: false,
    }
}

/// The places of eudev's udevadm, which makes the same index; eudev can be built without that.
const UDEVADM: [&str; 2] = ["/usr/bin/udevadm", "/usr/sbin/udevadm"];

/// The same by eudev, as postinst scripts of its packages make it.
fn hardware_by_eudev(program: &'static str) -> Index {
    Index {
        package: "eudev",
        program,
        name: "udevadm",
        arguments: ["hwdb", "--update", "--usr"].map(str::to_owned).to_vec(),
        can_be_missing: true,
        ..hardware()
    }
}

/// Gives the releases of the kernels whose modules are to be indexed.
fn kernels(root: &Root, kernel: Option<&str>) -> Result<Vec<String>, Error> {
    let has_modules = |release: &str| root.has_directory(format!("{MODULES}/{release}/kernel").as_bytes());
    if let Some(release) = kernel {
        return if has_modules(release) {
            Ok(vec![release.to_owned()])
        } else {
            Err(Error::NoModules { release: release.to_owned() })
        };
    }
    let names = root.list(MODULES.as_bytes())?;
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|release| has_modules(release)).collect())
}

/// Looks at all that an index is made of; no command may be running.
fn fingerprint(root: &Root, index: &Index) -> Result<Fingerprint, Error> {
    let mut found = Fingerprint::new();
    for source in &index.sources {
        if let Some(place) = root.find(source.as_bytes())?
            && let Some(metadata) = place.metadata()
        {
            let failed = |cause| Error::File { action: "read", path: place.shown().to_owned(), cause };
            look(&place.path(), source.as_bytes(), &metadata, &mut found).map_err(failed)?;
        }
    }
    found.sort();
    Ok(found)
}

fn look(place: &Path, path: &[u8], metadata: &Metadata, found: &mut Fingerprint) -> std::io::Result<()> {
    if !metadata.is_dir() {
        let state = [
            metadata.dev() as i64,
            metadata.ino() as i64,
            metadata.len() as i64,
            metadata.ctime(),
            metadata.ctime_nsec(),
        ];
        found.push((path.to_vec(), state));
        return Ok(());
    }
    // A directory's own times change with what depmod writes into it.
    for entry in fs::read_dir(place)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("modules.") && !MODULES_OWN_LISTS.contains(&text.as_ref()) {
            continue;
        }
        let (place, path) = (place.join(&name), [path, b"/", name.as_bytes()].concat());
        let metadata = fs::symlink_metadata(&place)?;
        look(&place, &path, &metadata, found)?;
    }
    Ok(())
}
