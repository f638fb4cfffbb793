//! The command line: arguments in, a verb carried out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::manifest::Manifest;
use crate::packages::{self, Locking, Outcome};
use crate::tools::{self, Choice};
use crate::ui::{self, Verbosity};
use crate::world::World;
use crate::{boot, build, check, upkeep};

/// Builds bootable Linux images from signed packages, boots them and tests them.
///
/// Without root rights, loop devices or host tools: what mkimage needs beyond itself, such as QEMU, it
/// fetches from the same signed archive into its cache.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

/// What every verb takes.
#[derive(Debug, Args)]
struct Common {
    /// Keep downloads and intermediate results here, until builds have not used them for 30 days
    /// [default: $MKIMAGE_CACHE, else ~/.cache/mkimage]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Say nothing but problems and what was asked for
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image if need be, and boot it: on a terminal with its console, or to run one command
    Boot(BootArguments),
    /// Use the debug shell of a guest that runs
    Attach(AttachArguments),
    /// Build an image: kernel, initramfs, root file system, and a list of what is in them
    Build(BuildArguments),
    /// Choose the exact packages of an image and write them to its lock file
    Lock(LockArguments),
    /// Download and unpack the packages of an image into the cache
    Fetch(FetchArguments),
    /// Check a manifest and all that goes into its image, services included, without writing the image
    Check(CheckArguments),
    /// Tell where a file of an image comes from
    Why(WhyArguments),
    /// Make sure that the programs mkimage runs itself are in the cache, and print their folder
    Tools(ToolsArguments),
}

#[derive(Debug, Args)]
struct Which {
    /// The image's manifest [default: the base image]
    manifest: Option<PathBuf>,
    /// Take the lock as it is, or fail: never choose packages anew
    #[arg(long)]
    locked: bool,
}

#[derive(Debug, Args)]
struct BuildArguments {
    #[command(flatten)]
    which: Which,
    /// Put the image here [default: out/NAME]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print how long each stage took
    #[arg(long)]
    timings: bool,
    /// Do not reuse any intermediate result
    #[arg(long)]
    from_scratch: bool,
}

#[derive(Debug, Args)]
struct BootArguments {
    #[command(flatten)]
    which: Which,
    /// Run COMMAND as root in the guest once it has booted, without input; pass its output and exit status on,
    /// power off
    #[arg(long, value_name = "COMMAND")]
    exec: Option<OsString>,
    /// With --exec: give up after so many seconds, counted from the start of the guest
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "exec")]
    timeout: u64,
    /// Memory of the guest in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..))]
    memory: u32,
    /// Processors of the guest
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    processors: u32,
    /// Add WORDS to the kernel command line
    #[arg(long, value_name = "WORDS", default_value = "")]
    append: String,
    /// Have the guest run PATH as process 1 instead of its /sbin/init, such as a shell, or a script that ends in
    /// `exec /usr/sbin/dinit "$@"`
    #[arg(long, value_name = "PATH", value_parser = init)]
    init: Option<String>,
    /// Have root shells on the guest's second serial port and its tty6, from before the first service until after the
    /// last; the former is reached with `mkimage attach SOCKET` [default: a socket in a temporary folder]
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, require_equals = true)]
    debug_shell: Option<Option<PathBuf>>,
    /// Keep what the guest writes in the built image, and boot it as the last one left it; otherwise it is
    /// gone with the guest
    #[arg(long)]
    keep: bool,
    /// Put the image here [default: a folder in the cache]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Which QEMU to run
    #[arg(long, value_enum, default_value_t = ToolsArgument::Own)]
    tools: ToolsArgument,
    /// What executes the guest's instructions
    #[arg(long, value_enum, default_value_t = AcceleratorArgument::Auto)]
    accelerator: AcceleratorArgument,
    /// Print how long each stage took
    #[arg(long)]
    timings: bool,
}

#[derive(Debug, Args)]
struct AttachArguments {
    /// What `mkimage boot --debug-shell` has told
    socket: PathBuf,
}

#[derive(Debug, Args)]
struct LockArguments {
    /// The image's manifest [default: the base image]
    manifest: Option<PathBuf>,
    /// Choose every package anew from what the archive has now
    #[arg(long)]
    update: bool,
}

#[derive(Debug, Args)]
struct FetchArguments {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct CheckArguments {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct WhyArguments {
    /// The path inside the image
    path: PathBuf,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct ToolsArguments {
    /// Take the lock of the tools as it is, or fail
    #[arg(long)]
    locked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ToolsArgument {
    /// The one that mkimage fetches from the image's archive
    Own,
    /// The one on this host's PATH
    Host,
    /// The host's if it is there and not older than version 8, else mkimage's own
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AcceleratorArgument {
    /// KVM if it proves to work here, else TCG
    Auto,
    /// The processor itself
    Kvm,
    /// QEMU's translator
    Tcg,
}

/// Carries out what the command line says.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let verbosity = if cli.common.quiet { Verbosity::Quiet } else { Verbosity::Normal };
    let world = World::new(verbosity, cli.common.cache)?;
    match cli.verb {
        Verb::Boot(arguments) => run_boot(&world, arguments),
        Verb::Attach(arguments) => boot::attach(&world, &arguments.socket),
        Verb::Build(arguments) => run_build(&world, arguments),
        Verb::Lock(arguments) => run_lock(&world, arguments),
        Verb::Fetch(arguments) => {
            let manifest = read(&world, arguments.which.manifest.as_ref())?;
            let locking = arguments.which.locking();
            let (lock, _) = packages::lock(&world, &manifest, locking)?;
            let (lock, _) = packages::packages(&world, &manifest, lock, locking)?;
            world.ui.say(format_args!("All {} packages are in the cache", lock.packages.len()));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Check(arguments) => {
            let manifest = read(&world, arguments.which.manifest.as_ref())?;
            check::run(&world, &manifest, arguments.which.locking())
        }
        Verb::Tools(arguments) => {
            world.keep_others_out()?;
            let locking = if arguments.locked { Locking::Exactly } else { Locking::AsNeeded };
            print(&format!("{}\n", tools::tree(&world, locking)?.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Why(arguments) => {
            let manifest = read(&world, arguments.which.manifest.as_ref())?;
            let answer = build::why(&world, &manifest, arguments.which.locking(), &arguments.path)?;
            print(&format!("{answer}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Which {
    fn locking(&self) -> Locking {
        if self.locked { Locking::Exactly } else { Locking::AsNeeded }
    }
}

/// Reads the path of a program that is to be process 1.
fn init(text: &str) -> Result<String, &'static str> {
    match text {
        _ if !text.starts_with('/') => Err("it must begin with `/`"),
        _ if text.contains(|c: char| c.is_whitespace() || c == '"') => {
            Err("the kernel's command line cannot hold it")
        }
        _ => Ok(text.to_owned()),
    }
}

fn run_build(world: &World, arguments: BuildArguments) -> Result<ExitCode> {
    let manifest = read(world, arguments.which.manifest.as_ref())?;
    let output = arguments.output.unwrap_or_else(|| PathBuf::from("out").join(manifest.image.name.get_ref()));
    let reuse = if arguments.from_scratch { build::Reuse::Nothing } else { build::Reuse::WhatFits };
    let image = build::run(world, &manifest, arguments.which.locking(), &output, reuse)?;
    upkeep::run(world, &image, SystemTime::now());
    let mut text = String::new();
    for (path, size) in image.files()? {
        text.push_str(&format!("{:>10}  {}\n", ui::bytes(size), path.display()));
    }
    print(&text)?;
    if arguments.timings {
        print_timings(world);
    }
    Ok(ExitCode::SUCCESS)
}

fn run_boot(world: &World, arguments: BootArguments) -> Result<ExitCode> {
    let manifest = read(world, arguments.which.manifest.as_ref())?;
    let locking = arguments.which.locking();
    let output = arguments.output.unwrap_or_else(|| build::cached_output(world, &manifest));
    let reuse = if arguments.keep { build::Reuse::WhatGuestsKept } else { build::Reuse::WhatFits };
    let mut image = build::run(world, &manifest, locking, &output, reuse)?;
    if arguments.keep {
        image.keep()?;
    }
    upkeep::run(world, &image, SystemTime::now());
    // Where locks cannot be had, the guest still has all files open that it needs.
    let _held = upkeep::hold(&image);
    let options = boot::Options {
        memory: arguments.memory,
        processors: arguments.processors,
        append: arguments.append,
        init: arguments.init,
        debug_shell: match arguments.debug_shell {
            None => boot::DebugShell::No,
            Some(None) => boot::DebugShell::Anywhere,
            Some(Some(socket)) => boot::DebugShell::At(socket),
        },
        keep: arguments.keep,
        locking,
        tools: match arguments.tools {
            ToolsArgument::Own => Choice::Own,
            ToolsArgument::Host => Choice::Host,
            ToolsArgument::Auto => Choice::Auto,
        },
        accelerator: match arguments.accelerator {
            AcceleratorArgument::Auto => boot::AcceleratorChoice::Probe,
            AcceleratorArgument::Kvm => boot::AcceleratorChoice::Kvm,
            AcceleratorArgument::Tcg => boot::AcceleratorChoice::Tcg,
        },
    };
    let code = match arguments.exec {
        Some(command) => {
            boot::execute(world, &image, &options, &command, Duration::from_secs(arguments.timeout))?
        }
        None => boot::interact(world, &image, &options, &manifest.logins())?,
    };
    if arguments.timings {
        print_timings(world);
    }
    Ok(code)
}

fn run_lock(world: &World, arguments: LockArguments) -> Result<ExitCode> {
    let manifest = read(world, arguments.manifest.as_ref())?;
    let locking = if arguments.update { Locking::Update } else { Locking::AsNeeded };
    let (lock, outcome) = packages::lock(world, &manifest, locking)?;
    if outcome == Outcome::Unchanged {
        let path = packages::lock_path(&manifest.source.path);
        world.ui.say(format_args!("{} is up to date ({} packages)", path.display(), lock.packages.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a manifest; all its problems are one error.
fn read(world: &World, path: Option<&PathBuf>) -> Result<Manifest> {
    let path = match path {
        Some(path) => path.clone(),
        None => world.data.default_manifest(),
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the manifest `{}`", path.display()))?;
    let manifest = Manifest::parse(&path, text).or_else(|problems| {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("{}", shown.join("\n\n"))
    })?;
    // From here on the cache is worked in.
    world.keep_others_out()?;
    Ok(manifest)
}

/// Writes to standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ => Ok(()),
    }
}

fn print_timings(world: &World) {
    for timing in world.ui.timings() {
        // Asked for in so many words, so it is shown even where all else is quiet.
        world.ui.show(format_args!("{:>10}  {}", ui::seconds(timing.wall), timing.stage));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_and_option_says_what_it_is_for() {
        for verb in Cli::command().get_subcommands() {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            for argument in verb.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", verb.get_name(), argument.get_id());
            }
        }
    }
}
