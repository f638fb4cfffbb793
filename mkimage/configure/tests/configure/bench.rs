//! Configures real packages and says what was done and how long it took.

use crate::unpack::unpack_all;
use mkimage_configure::{Options, SandboxProgram, Workspace, configure};
use nix::sys::resource::{UsageWho, getrusage};
use std::error::Error as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Runs `--debs DIR --into DIR`.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mut out = io::stdout();
    let [_, debs, _, into] = arguments else {
        let _ = writeln!(out, "usage: --debs DIRECTORY --into DIRECTORY");
        return ExitCode::from(2);
    };
    // On the disk, so that it can be looked at afterwards.
    let program = SandboxProgram::current().expect("program");
    let (workspace, sandbox) = Workspace::prepare(Path::new(into), None, &program).expect("sandbox");
    std::fs::create_dir(workspace.root()).expect("make directory");
    let packages = unpack_all(Path::new(debs), workspace.root());
    let options =
        Options { architecture: "amd64".to_owned(), source_date_epoch: 1_750_000_000, kernel_release: None };
    let started = Instant::now();
    let configured = match configure(&workspace, sandbox, &packages, &options, &mut |_| true) {
        Ok(configured) => configured,
        Err(error) => {
            let _ =
                writeln!(out, "{error}: {:?}\n{:?}", error.source().map(ToString::to_string), error.help());
            return ExitCode::FAILURE;
        }
    };
    let elapsed = started.elapsed();
    for run in &configured.report.scripts {
        let output = String::from_utf8_lossy(&run.output);
        let _ = writeln!(
            out,
            "{:6.1} ms {} {} {:?} {:?} {}",
            run.duration.as_secs_f64() * 1000.0,
            run.package,
            run.script,
            run.arguments,
            run.class,
            output.trim_end().replace('\n', "\n    | ")
        );
    }
    for (path, owner) in &configured.ownership {
        let _ = writeln!(out, "owner {} {}:{}", String::from_utf8_lossy(path), owner.uid, owner.gid);
    }
    for (path, mode) in &configured.modes {
        let _ = writeln!(out, "mode {} {mode:04o}", String::from_utf8_lossy(path));
    }
    let show = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
    let _ = writeln!(out, "devices {:?}", configured.devices);
    let attributes = configured.attributes.keys().map(show).collect::<Vec<_>>();
    let _ = writeln!(out, "attributes {attributes:?}");
    let _ = writeln!(out, "tidied {:?}", configured.report.tidied.iter().map(show).collect::<Vec<_>>());
    let processor = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
    let (user, system) = (processor.user_time(), processor.system_time());
    let count = packages.len();
    let _ =
        writeln!(out, "{count} packages in {elapsed:?}, of the processor {user} user and {system} system");
    ExitCode::SUCCESS
}
