//! The programs of ours that go into images: built static by cargo in a checkout, read from
//! `programs/` when installed.
//!
//! A build that would change nothing is not even asked for: what the sources looked like is remembered
//! beside the result, because asking cargo takes longer than everything else in an unchanged build.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use mkimage_deb::Sha256;
use walkdir::WalkDir;

use crate::ui::Stage;
use crate::world::{Data, World};

/// What images are built for; it links against the host's C library, but static.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A cargo package and the profile it is built with. The program has the package's name.
const PACKAGES: [(&str, &str); 9] = [
    ("dinit", "image"),
    ("dinitctl", "image"),
    ("dinit-check", "image"),
    ("dinit-monitor", "image"),
    ("dinit-ready", "image"),
    ("dinit-when", "image"),
    ("shutdown", "image"),
    ("guest-agent", "image"),
    ("initramfs-init", "initramfs"),
];

/// Which folders of a checkout these programs are made of.
const SOURCES: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "dinit", "initramfs", "qemu/agent", "qemu/agent-protocol"];

/// The programs, ready to be read.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: Folder,
    /// Changes whenever one of the programs does.
    pub identity: Sha256,
}

#[derive(Debug, Clone)]
enum Folder {
    Cargo(PathBuf),
    Installed(PathBuf),
}

impl Programs {
    /// The path of the program `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        match &self.folder {
            Folder::Installed(folder) => folder.join(name),
            Folder::Cargo(target) => {
                let profile =
                    PACKAGES.iter().find(|(package, _)| *package == name).map_or("image", |(_, p)| p);
                target.join(TARGET).join(profile).join(name)
            }
        }
    }

    /// The bytes of the program `name`.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        std::fs::read(&path).with_context(|| format!("cannot read our own program `{}`", path.display()))
    }
}

/// Makes sure that all programs are there and current.
pub fn run(world: &World) -> Result<Programs> {
    let folder = match &world.data {
        Data::Installed(folder) => Folder::Installed(folder.join("programs")),
        Data::Checkout(checkout) => Folder::Cargo(build(world, checkout)?),
    };
    let mut programs = Programs { folder, identity: Sha256::of(b"") };
    let mut state = String::new();
    for (name, _) in PACKAGES {
        let path = programs.path(name);
        let stamp =
            stamp(&path).with_context(|| format!("our own program `{}` is missing", path.display()))?;
        state.push_str(&stamp);
    }
    programs.identity = Sha256::of(state.as_bytes());
    Ok(programs)
}

/// Builds in a checkout; returns cargo's target folder.
fn build(world: &World, checkout: &Path) -> Result<PathBuf> {
    let target = target_folder(checkout);
    let stage = world.ui.stage("programs", "Compiling");
    let mark = target.join("sources");
    let wanted = state_of_sources(checkout)?;
    let present = std::fs::read_to_string(&mark).unwrap_or_default();
    let complete =
        || PACKAGES.iter().all(|(name, profile)| target.join(TARGET).join(profile).join(name).is_file());
    if wanted == present && complete() {
        stage.silently_done();
        return Ok(target);
    }
    // Cargo keeps other runs away from its folder itself, and others need not wait for the compiler.
    let alone = world.let_others_in();
    for profile in ["image", "initramfs"] {
        world.go_on()?;
        cargo(world, &stage, checkout, &target, profile)?;
    }
    if alone {
        world.keep_others_out()?;
    }
    std::fs::write(&mark, wanted).with_context(|| format!("cannot write `{}`", mark.display()))?;
    stage.done(format_args!("Compiled {} programs", PACKAGES.len()));
    Ok(target)
}

fn cargo(world: &World, stage: &Stage, checkout: &Path, target: &Path, profile: &str) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout).args(["build", "--locked", "--target", TARGET, "--profile", profile]);
    command.arg("--target-dir").arg(target);
    for (package, _) in PACKAGES.iter().filter(|(_, its)| *its == profile) {
        command.args(["-p", package]);
    }
    command
        .env("CARGO_ENCODED_RUSTFLAGS", flags(checkout))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo, which builds the programs for the image")?;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            match line.trim_start().strip_prefix("Compiling ") {
                Some(package) => stage.doing(format!("Compiling {package} for the image")),
                None => said.push(line),
            }
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    // Ctrl-C reaches cargo too.
    world.go_on()?;
    if !status.success() {
        bail!("cargo could not build the programs for the image ({status}):\n{}", said.join("\n"));
    }
    Ok(())
}

/// Static, not relocatable, and without this machine's paths inside.
fn flags(checkout: &Path) -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+crt-static\x1f-Crelocation-model=static");
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let remaps =
        [(Some(checkout.to_owned()), "/usr/src/mkimage"), (cargo_home.or_else(home), "/usr/src/cargo")];
    for (from, to) in remaps {
        if let Some(from) = from {
            flags.push("\x1f--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
    }
    flags
}

fn target_folder(checkout: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => checkout.join(folder).join("image"),
        None => checkout.join("target/image"),
    }
}

/// Name, size and time of every file that the programs are made of.
fn state_of_sources(checkout: &Path) -> Result<String> {
    let mut state = flags(checkout).to_string_lossy().into_owned();
    state.push('\n');
    for source in SOURCES {
        for entry in WalkDir::new(checkout.join(source)).sort_by_file_name() {
            let entry = entry.context("cannot read the sources")?;
            if entry.file_type().is_file() {
                state.push_str(&stamp(entry.path())?);
            }
        }
    }
    Ok(state)
}

/// A line that changes when the file does.
fn stamp(path: &Path) -> Result<String> {
    let data = std::fs::metadata(path).with_context(|| format!("cannot look at `{}`", path.display()))?;
    Ok(format!("{} {} {}.{:09}\n", path.display(), data.len(), data.mtime(), data.mtime_nsec()))
}
