//! What a build and a boot of the base image take, beside what they are measured against.
//!
//! `cargo bench -p mkimage --bench image`. The bound of a build is what no builder can do without: laying out the
//! same packages by two processes, and one run of mke2fs(8). Downloads are not counted: everything is in the cache
//! before the clock starts.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mkimage::build::Image;
use nix::sys::resource::{UsageWho, getrusage};

/// The least of so many runs counts.
const ROUNDS: usize = 3;
/// QEMU's processor time from its start to the login prompt with the reference's own example services, seconds,
/// measured on one machine under TCG.
const REFERENCE_BOOT: f64 = 9.3;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Wall-clock and processor time.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    processor: Duration,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.3} s wall {:>8.3} s CPU", self.wall.as_secs_f64(), self.processor.as_secs_f64())
    }
}

fn main() -> Result<()> {
    // `cargo test --benches` asks for a sign of life only.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let mut out = io::stdout();
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let manifest = own_image(work)?;
    let image = work.join("image");
    let build = |more: &[&str]| run(mkimage("build").arg(&manifest).arg("--output").arg(&image).args(more));
    build(&[])?;
    let tools = PathBuf::from(OsString::from(
        String::from_utf8(mkimage("tools").stdout(Stdio::piped()).stderr(Stdio::inherit()).output()?.stdout)?
            .trim_end(),
    ));

    let packages = unpacked(&image)?;
    let bound = least(|| lay_out_and_format(&packages, &tools, work))?;
    let scratch = least(|| measured(|| build(&["--from-scratch"])))?;
    let unchanged = least(|| measured(|| build(&[])))?;
    let mut edits = 0;
    let service = least(|| {
        edits += 1;
        fs::write(work.join("services/hello"), format!("# Edit {edits}.\ntype = internal\n"))?;
        measured(|| build(&[]))
    })?;
    writeln!(out, "bound: {} packages laid out, mke2fs  {bound}", packages.len() / 2)?;
    writeln!(
        out,
        "build from scratch, warm cache       {scratch}  {:.2} times the bound",
        ratio(scratch, bound)
    )?;
    writeln!(
        out,
        "build with one service file changed  {service}  {:.2} times the bound",
        ratio(service, bound)
    )?;
    writeln!(
        out,
        "build with nothing changed           {unchanged}  {:.2} times the bound",
        ratio(unchanged, bound)
    )?;

    let mut boots = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        boots.push(boot(&manifest, &image)?);
    }
    let boot = boots.iter().copied().fold(f64::INFINITY, f64::min);
    writeln!(
        out,
        "QEMU's CPU time until booted (TCG)   {boot:.2} s, {:.2} times the reference's",
        boot / REFERENCE_BOOT
    )?;
    Ok(())
}

/// The base image with a service of its own, so that editing it changes no file of the project.
fn own_image(work: &Path) -> Result<PathBuf> {
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs/images");
    let text = fs::read_to_string(images.join("base.toml"))?;
    fs::create_dir(work.join("services"))?;
    fs::write(work.join("services/hello"), "type = internal\n")?;
    let manifest = work.join("base.toml");
    fs::write(&manifest, format!("{text}\n[services]\ndirectories = [\"services\"]\n"))?;
    fs::copy(images.join("base.lock"), work.join("base.lock"))?;
    Ok(manifest)
}

fn mkimage(verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkimage"));
    command.arg(verb).env("MKIMAGE_DATA", Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// The archives of the image's packages, files and control members, as the cache has them.
fn unpacked(image: &Path) -> Result<Vec<PathBuf>> {
    let image = Image::open(image).ok_or("the build has left no image")?;
    let cache = match std::env::var_os("MKIMAGE_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").ok_or("HOME is not set")?).join(".cache/mkimage"),
    };
    let files = image.contents.packages.iter().flat_map(|package| {
        ["tar", "control.tar"].map(|end| cache.join(format!("unpacked/{}.{end}", package.sha256)))
    });
    Ok(files.collect())
}

fn lay_out_and_format(packages: &[PathBuf], tools: &Path, work: &Path) -> Result<Cost> {
    let (tree, image) = (work.join("bound"), work.join("bound.ext4"));
    let cost = measured(|| {
        fs::create_dir(&tree)?;
        let half = packages.len().div_ceil(2);
        let mut running = Vec::new();
        for part in packages.chunks(half.max(1)) {
            let mut command = Command::new("sh");
            command
                .args(["-c", "for tar; do tar -xf \"$tar\" --no-same-owner || exit; done", "sh"])
                .args(part);
            running.push(command.current_dir(&tree).stderr(Stdio::null()).spawn()?);
        }
        for mut child in running {
            child.wait()?;
        }
        let library = tools.join("usr/lib/x86_64-linux-gnu");
        let mut format = Command::new(library.join("ld-linux-x86-64.so.2"));
        format.arg("--library-path").arg(&library).arg(tools.join("usr/sbin/mke2fs"));
        run(format.args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(&image).arg("1G"))
    });
    fs::remove_dir_all(&tree)?;
    fs::remove_file(&image)?;
    cost
}

/// QEMU's processor time in seconds until the boot was complete, as `mkimage boot` prints it.
fn boot(manifest: &Path, image: &Path) -> Result<f64> {
    let mut command = mkimage("boot");
    command.arg(manifest).arg("--output").arg(image).args(["--accelerator", "tcg", "--exec", "true"]);
    let output = command.output()?;
    let text = String::from_utf8(output.stderr)?;
    let time = text.lines().find_map(|line| line.strip_prefix("Booted (")?.split_once("s of"));
    let (seconds, _) = time.ok_or_else(|| format!("no boot: {text}"))?;
    Ok(seconds.parse()?)
}

fn measured(work: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let before = processor_time()?;
    let start = Instant::now();
    work()?;
    Ok(Cost { wall: start.elapsed(), processor: processor_time()?.saturating_sub(before) })
}

/// What all children that have ended took.
fn processor_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .sum::<i64>();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

fn least(mut work: impl FnMut() -> Result<Cost>) -> Result<Cost> {
    let mut least = work()?;
    for _ in 1..ROUNDS {
        let cost = work()?;
        if cost.wall < least.wall {
            least = cost;
        }
    }
    Ok(least)
}

fn ratio(cost: Cost, bound: Cost) -> f64 {
    cost.wall.as_secs_f64() / bound.wall.as_secs_f64()
}
