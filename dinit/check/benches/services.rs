//! What checking many services takes.
//!
//! `cargo bench -p dinit-check --bench services -- [--baseline PATH]`: the least processor time of several runs; with a
//! baseline, another checker, side by side with the ratio.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

/// How many services are checked: scripted ones, each of which depends on another.
const SERVICES: usize = 5_000;

/// The least of so many runs counts.
const ROUNDS: usize = 10;

fn main() -> io::Result<()> {
    // `cargo test --benches` asks for a sign of life only.
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    let baseline = arguments.iter().position(|argument| argument == "--baseline");
    let baseline = baseline.and_then(|place| arguments.get(place + 1)).map(PathBuf::from);
    let folder = tempfile::tempdir()?;
    let mut boot = "type = internal\n".to_owned();
    for number in 0..SERVICES {
        let needs = number / 10;
        let dependency = if needs < number { format!("depends-on: s{needs}\n") } else { String::new() };
        let text = format!("type = scripted\ncommand = /bin/true\nstop-command = /bin/true\n{dependency}");
        fs::write(folder.path().join(format!("s{number}")), text)?;
        boot.push_str(&format!("waits-for: s{number}\n"));
    }
    fs::write(folder.path().join("boot"), boot)?;

    let mut out = io::stdout();
    let ours = least(Path::new(env!("CARGO_BIN_EXE_dinit-check")), folder.path())?;
    write!(out, "{SERVICES} services {ours:9.1} ms CPU")?;
    if let Some(baseline) = baseline {
        let theirs = least(&baseline, folder.path())?;
        write!(out, "   baseline {theirs:9.1} ms   ratio {:.2}", ours / theirs)?;
    }
    writeln!(out)
}

/// The least processor time of several runs, in milliseconds.
fn least(program: &Path, folder: &Path) -> io::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let before = spent()?;
        let status = Command::new(program).arg("-d").arg(folder).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{} ended with {status}", program.display())));
        }
        least = least.min(spent()? - before);
    }
    Ok(least)
}

/// What all children that have ended took, in milliseconds.
fn spent() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let milliseconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    Ok(milliseconds(usage.user_time()) + milliseconds(usage.system_time()))
}
