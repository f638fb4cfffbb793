//! What a build of the base image takes, beside what it is measured against. What a boot takes: `-p boot-tests --bench boot`.
//!
//! `cargo bench -p mkimage --bench image`. The bound of a build is what no builder can do without: unpacking the
//! same packages by two processes (dpkg-deb(1) of this machine and tar(1)), and one run of mke2fs(8), all in memory
//! where there is a file system for it. The second bound starts where a builder with a warm cache does, at packages
//! that are decompressed. Downloads are not counted: everything is there before the clock starts.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mkimage::build::Image;
use mkimage_archive::{Archive, Cache, Cancel, Keyring, Mirror, Silent};
use mkimage_deb::Timestamp;
use mkimage_resolve::Lock;
use nix::sys::resource::{UsageWho, getrusage};

/// The least of so many runs counts.
const ROUNDS: usize = 3;
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

    let packages = packages(&image)?;
    let in_memory = tempfile::tempdir_in("/dev/shm").ok();
    let place = in_memory.as_ref().map_or(work, |folder| folder.path());
    let decompressed = least(|| lay_out_and_format(TARS, &packages.tars, &tools, place))?;
    let debs = if works(Command::new("dpkg-deb").arg("--version")) {
        fetch(&manifest.with_extension("lock"))?;
        Some(least(|| lay_out_and_format(DEBS, &packages.debs, &tools, place))?)
    } else {
        None
    };
    drop(in_memory);
    let mut from_scratch = Vec::new();
    for _ in 0..ROUNDS {
        // One at once after the other, as a disk has more to do then.
        from_scratch.push(measured(|| build(&["--from-scratch"]))?);
    }
    let unchanged = least(|| measured(|| build(&[])))?;
    let mut edits = 0;
    let service = least(|| {
        edits += 1;
        fs::write(work.join("services/hello"), format!("# Edit {edits}.\ntype = internal\n"))?;
        measured(|| build(&[]))
    })?;
    let count = packages.tars.len();
    writeln!(out, "bound: {count} decompressed packages, mke2fs  {decompressed}")?;
    match debs {
        Some(bound) => writeln!(out, "bound: {count} .debs unpacked, mke2fs        {bound}")?,
        None => writeln!(out, "bound: .debs unpacked, mke2fs           no dpkg-deb here to measure it with")?,
    }
    let rows = from_scratch
        .iter()
        .map(|cost| ("build from scratch, warm cache", *cost))
        .chain([("build with one service file changed", service), ("build with nothing changed", unchanged)]);
    for (what, cost) in rows {
        write!(out, "{what:<40}{cost}  {:.2} times the decompressed bound", ratio(cost, decompressed))?;
        if let Some(bound) = debs {
            write!(out, ", {:.2} times the bound from .debs", ratio(cost, bound))?;
        }
        writeln!(out)?;
    }
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

/// Says whether a command can be run and succeeds.
fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The files of all packages of an image, as archives of either kind.
struct Packages {
    tars: Vec<PathBuf>,
    debs: Vec<PathBuf>,
}

/// Where the benchmark keeps .debs; the cache has them decompressed only.
fn kept_debs() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("debs")
}

fn packages(image: &Path) -> Result<Packages> {
    let image = Image::open(image).ok_or("the build has left no image")?;
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = folder("MKIMAGE_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|folder| folder.join("mkimage")))
        .or_else(|| folder("HOME").map(|folder| folder.join(".cache/mkimage")))
        .ok_or("HOME is not set")?;
    let digests = || image.contents.packages.iter().map(|package| &package.sha256);
    Ok(Packages {
        tars: digests().map(|digest| cache.join(format!("unpacked/{digest}.tar"))).collect(),
        debs: digests().map(|digest| kept_debs().join(format!("packages/sha256/{digest}"))).collect(),
    })
}

/// Brings the .debs that a lock names, unless they are there.
fn fetch(lock: &Path) -> Result<()> {
    let text = fs::read_to_string(lock)?;
    let lock = Lock::parse("base.lock", &text).map_err(|problem| problem.to_string())?;
    let archive = Archive {
        local: Vec::new(),
        mirror: Mirror::choose(None)?,
        keyring: Keyring::shipped(),
        cache: Cache::open(&kept_debs())?,
        now: Timestamp::now(),
        progress: Arc::new(Silent),
        cancel: Cancel::default(),
    };
    archive.fetch(&lock.packages)?;
    Ok(())
}

/// How a shell unpacks `$package`.
const TARS: &str = "tar -xf \"$package\" --no-same-owner";
const DEBS: &str = "dpkg-deb --fsys-tarfile \"$package\" | tar -x --no-same-owner";

fn lay_out_and_format(how: &str, packages: &[PathBuf], tools: &Path, place: &Path) -> Result<Cost> {
    let (tree, image) = (place.join("bound"), place.join("bound.ext4"));
    let shares = two_shares(packages)?;
    let cost = measured(|| {
        fs::create_dir(&tree)?;
        let mut running = Vec::new();
        for share in shares {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("for package; do {how} || exit; done")).arg("sh").args(share);
            running.push(command.current_dir(&tree).spawn()?);
        }
        for mut child in running {
            if !child.wait()?.success() {
                return Err("the packages cannot be unpacked".into());
            }
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

/// Divides files so that both shares are of about the same size.
fn two_shares(packages: &[PathBuf]) -> Result<[Vec<&Path>; 2]> {
    let mut sized = Vec::with_capacity(packages.len());
    for package in packages {
        sized.push((fs::metadata(package)?.len(), package.as_path()));
    }
    sized.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    let (mut shares, mut sizes) = ([Vec::new(), Vec::new()], [0, 0]);
    for (size, package) in sized {
        let smaller = usize::from(sizes[1] < sizes[0]);
        sizes[smaller] += size;
        shares[smaller].push(package);
    }
    Ok(shares)
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
