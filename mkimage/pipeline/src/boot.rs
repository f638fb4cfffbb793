//! Booting a built image: with a person at its console, or to run one command and end.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::host::{Agent, AgentError};
use agent_protocol::message::{BootReport, NotStarted, Outcome, Shutdown};
use agent_protocol::seed;
use anyhow::{Context, Result, anyhow, bail};
use qemu_machine::{
    Accelerator, Attached, Config, Disk, ESCAPE_KEY_NAME, Failure, Interaction, Machine, Network, OnReboot,
    Writes, choose_accelerator,
};
use tempfile::TempDir;
use terminal_size::{Height, Width, terminal_size_of};

use crate::build::Image;
use crate::guest::{Brought, DEBUG_SHELL};
use crate::packages::Locking;
use crate::tools::{self, Choice};
use crate::world::{Interrupted, World};
use crate::{kernel, programs, ui};

/// How a guest is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory in MiB.
    pub memory: u32,
    /// Number of processors.
    pub processors: u32,
    /// More words for the kernel command line.
    pub append: String,
    /// The program that becomes process 1, instead of the image's own.
    pub init: Option<String>,
    /// Whether there are debug shells.
    pub debug_shell: DebugShell,
    /// Whether the image keeps what the guest writes.
    pub keep: bool,
    /// Whose QEMU runs it.
    pub tools: Choice,
    /// Whether the tools' lock may change.
    pub locking: Locking,
    /// What executes its instructions.
    pub accelerator: AcceleratorChoice,
}

/// Whether there are root shells on the guest's second serial port and its tty6, and how to reach the former.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DebugShell {
    /// There are none.
    No,
    /// By a socket in a temporary folder, which is told.
    Anywhere,
    /// By a socket at this path.
    At(PathBuf),
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceleratorChoice {
    /// KVM where a probe has shown that it works.
    Probe,
    /// KVM.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// The exit status of a command that could not be run to its end, as timeout(1) and env(1) have it.
const FAILED: u8 = 125;

/// How long an orderly end may take before it counts as one that never comes.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Boots with the terminal as the guest's serial console; returns when the guest is off.
/// `logins` are users and passwords to tell.
pub fn interact(
    world: &World,
    image: &Image,
    options: &Options,
    logins: &[(String, String)],
) -> Result<ExitCode> {
    let mut config = config(world, image, options)?;
    config.on_reboot = OnReboot::Restart;
    // A person sees for themself what the guest does, and may leave it alone for as long as they like.
    config.failures = Vec::new();
    config.silence = None;
    config.network = Network::User;
    config.command_line.push_str(&console_size(&std::io::stdout()));
    let brought = Brought { agent: false, debug_shell: options.debug_shell != DebugShell::No };
    let _folder = bring(world, brought, &options.append, &options.debug_shell, &mut config)?;
    for (user, password) in logins {
        world.ui.say(format_args!("Log in as {user} with the password {password}"));
    }
    world.ui.say(format_args!(
        "{ESCAPE_KEY_NAME} leaves the console and ends the guest; `poweroff` ends it properly"
    ));
    world.go_on()?;
    let mut machine = Machine::start(&config).map_err(not_to_be_had)?;
    // QEMU has opened the image's files.
    world.let_others_in();
    let keyboard =
        File::from(std::io::stdin().as_fd().try_clone_to_owned().context("cannot use the terminal")?);
    let mut screen = std::io::stdout();
    // The screen is the guest's from here on: no bar may tick on it.
    let started = Instant::now();
    let ended = machine.interact(&keyboard, &mut screen).map_err(not_to_be_had)?;
    world.ui.took("guest", started.elapsed());
    match ended {
        Interaction::Escaped => {
            machine.quit().ok();
            world.ui.say("\nLeft the guest; it was switched off without notice");
            Ok(ExitCode::SUCCESS)
        }
        Interaction::Ended(exit) => {
            if std::io::stdout().is_terminal() {
                world.ui.say("");
            }
            if exit.is_clean() { Ok(ExitCode::SUCCESS) } else { bail!("{exit}") }
        }
    }
}

/// The word by which the serial consoles of the guest learn how large the screen is; a serial line cannot tell.
fn console_size(screen: &impl AsFd) -> String {
    match terminal_size_of(screen) {
        Some((Width(columns), Height(rows))) => format!(" dinit.console-size={rows}x{columns}"),
        None => String::new(),
    }
}

/// What to type into a shell that runs already, so that it knows how large the screen is. To type it for whoever is
/// there would be to type it into what runs in that shell now.
fn size_hint(size: Option<(Width, Height)>) -> String {
    match size {
        Some((Width(columns), Height(rows))) => {
            format!("; `stty rows {rows} columns {columns}` tells it the size of the screen")
        }
        None => String::new(),
    }
}

/// Boots, waits until the boot is complete, runs one command as root, and powers the guest off. Gives the
/// command's exit status.
pub fn execute(
    world: &World,
    image: &Image,
    options: &Options,
    command: &OsStr,
    limit: Duration,
) -> Result<ExitCode> {
    let mut config = config(world, image, options)?;
    config.channels = vec![seed::PORT.to_owned()];
    config.command_line.push_str(" panic=-1");
    let brought = Brought { agent: true, debug_shell: options.debug_shell != DebugShell::No };
    // `boot` is what is waited for, so it is started whatever else was named.
    let _folder = bring(world, brought, "", &options.debug_shell, &mut config)?;
    world.go_on()?;

    let stage = world.ui.stage("boot", "Booting");
    let deadline = Instant::now() + limit;
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut guest = Guest::start(world, &config)?;
    world.let_others_in();
    guest.talk(|agent| agent.wait_ready(left()))?;
    let report = guest.talk(|agent| agent.wait_boot("boot", left()))?;
    guest.must_have_booted(&report)?;
    stage.done(format_args!(
        "Booted ({} of the guest's processor time)",
        ui::seconds(guest.machine.processor_time())
    ));

    let words: [&[u8]; 3] = [b"/bin/sh", b"-c", command.as_bytes()];
    let (mut out, mut error) = (std::io::stdout(), std::io::stderr());
    let status = guest.talk(|agent| agent.exec(&words, &mut out, &mut error, left()))?;
    guest.power_off()?;
    Ok(ExitCode::from(u8::try_from(status.code()).unwrap_or(FAILED)))
}

/// Adds what is brought into the guest, and the way to its debug shell, which is told; the folder has to stay for as
/// long as the machine runs.
fn bring(
    world: &World,
    brought: Brought,
    words: &str,
    debug_shell: &DebugShell,
    config: &mut Config,
) -> Result<Option<TempDir>> {
    if !brought.is_any() {
        return Ok(None);
    }
    let folder = tempfile::Builder::new()
        .prefix("mkimage-guest-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("cannot make a temporary folder")?;
    config.initramfs.push(brought.archive(&programs::run(world)?, folder.path())?);
    config.command_line.push_str(&format!(" {}", brought.command_line(words)));
    config.second_serial = match debug_shell {
        DebugShell::No => None,
        DebugShell::Anywhere => Some(folder.path().join("debug-shell")),
        DebugShell::At(socket) => Some(socket.clone()),
    };
    if let Some(socket) = &config.second_serial {
        world.ui.say(format_args!("The debug shell is reached with: mkimage attach {}", socket.display()));
    }
    Ok(Some(folder))
}

/// Connects the terminal to the socket of a guest's serial port, until the guest is gone or the person leaves.
pub fn attach(world: &World, socket: &Path) -> Result<ExitCode> {
    let port = UnixStream::connect(socket)
        .with_context(|| format!("cannot connect to `{}`: does the guest still run?", socket.display()))?;
    world.ui.say(format_args!(
        "{ESCAPE_KEY_NAME} leaves; Enter shows the prompt{}",
        size_hint(terminal_size_of(std::io::stdout()))
    ));
    let keyboard =
        File::from(std::io::stdin().as_fd().try_clone_to_owned().context("cannot use the terminal")?);
    let attached = qemu_machine::attach(&port, &keyboard, &mut std::io::stdout(), &world.cancelled);
    match attached.context("cannot pass on what is said")? {
        Attached::Interrupted => Err(Interrupted.into()),
        Attached::Escaped | Attached::Ended => {
            if std::io::stdout().is_terminal() {
                world.ui.say("");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A machine whose guest has an agent.
struct Guest<'a> {
    world: &'a World,
    machine: Machine,
    agent: Agent,
}

impl<'a> Guest<'a> {
    fn start(world: &'a World, config: &Config) -> Result<Self> {
        let mut machine = Machine::start(config).map_err(not_to_be_had)?;
        let pulse = machine.pulse();
        let stream = machine.channel(seed::PORT)?;
        let agent = Agent::new(stream, move || pulse.beat()).context("cannot talk to the guest")?;
        Ok(Self { world, machine, agent })
    }

    /// Asks the agent; if it cannot answer because the guest is lost, the error says why that is.
    fn talk<T>(&mut self, ask: impl FnOnce(&mut Agent) -> Result<T, AgentError>) -> Result<T> {
        ask(&mut self.agent).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: AgentError) -> anyhow::Error {
        if let Some(failure) = self.machine.failed() {
            return lost(failure);
        }
        with_console(&error.to_string(), &self.machine.last_lines(30))
    }

    fn must_have_booted(&self, report: &BootReport) -> Result<()> {
        let not_started = || report.not_started.iter().filter(|service| service.name != DEBUG_SHELL);
        let what = match report.outcome {
            Outcome::Started => {
                for service in not_started().map(line) {
                    self.world.ui.show(format_args!("Not started: {}", service.trim_start()));
                }
                return Ok(());
            }
            Outcome::Failed => "the boot failed",
            Outcome::Underway => "the boot did not finish in time",
        };
        let waiting: Vec<String> = not_started().map(line).collect();
        let text = if waiting.is_empty() {
            what.to_owned()
        } else {
            format!("{what}; services not started:\n{}", waiting.join("\n"))
        };
        Err(with_console(&text, &self.machine.last_lines(30)))
    }

    fn power_off(&mut self) -> Result<()> {
        let stage = self.world.ui.stage("poweroff", "Powering off");
        self.talk(|agent| agent.shut_down(Shutdown::PowerOff))?;
        let limit = self.machine.scaled(END_LIMIT);
        let exit = self.machine.wait(limit).map_err(lost)?;
        if !exit.is_clean() {
            bail!("{exit}");
        }
        stage.silently_done();
        Ok(())
    }
}

fn line(service: &NotStarted) -> String {
    let line = format!("  {}: {}", service.name, service.state);
    if service.reason.is_empty() { line } else { format!("{line}, {}", service.reason) }
}

/// Why there is no machine to work with.
fn not_to_be_had(error: qemu_machine::Error) -> anyhow::Error {
    match *error.failure {
        Failure::Interrupted => Interrupted.into(),
        _ => error.into(),
    }
}

/// Why nothing more is to be expected of a guest.
fn lost(error: qemu_machine::Error) -> anyhow::Error {
    match *error.failure {
        Failure::Interrupted => Interrupted.into(),
        _ => with_console(&error.to_string(), &error.console),
    }
}

fn with_console(text: &str, console: &[String]) -> anyhow::Error {
    if console.is_empty() {
        return anyhow!("{text}; the console stayed empty");
    }
    let lines: Vec<String> = console.iter().map(|line| format!("  | {line}")).collect();
    anyhow!("{text}\nthe console's last lines:\n{}", lines.join("\n"))
}

/// The machine that an image is booted on.
pub fn config(world: &World, image: &Image, options: &Options) -> Result<Config> {
    let (program, version) = tools::qemu(world, options.tools, options.locking)?;
    world.go_on()?;
    let accelerator = match options.accelerator {
        AcceleratorChoice::Tcg => Accelerator::Tcg,
        AcceleratorChoice::Kvm | AcceleratorChoice::Probe => {
            let verdicts = world.cache.join("kvm-verdicts");
            let digest = &image.contents.kernel_sha256;
            let choice =
                choose_accelerator(&program, version, &image.kernel(), digest, &verdicts, &world.cancelled)
                    .map_err(not_to_be_had)?;
            if options.accelerator == AcceleratorChoice::Kvm && choice.accelerator != Accelerator::Kvm {
                bail!(
                    "KVM was asked for, and cannot be had: {}\nhelp: without `--accelerator kvm`, QEMU does without it; to have KVM tried again, remove `{}`",
                    choice.reason,
                    verdicts.display()
                );
            }
            world.ui.say(format_args!("QEMU {version} with {}: {}", name(choice.accelerator), choice.reason));
            choice.accelerator
        }
    };
    let kernel = match accelerator {
        Accelerator::Kvm => image.kernel(),
        Accelerator::Tcg | Accelerator::TcgCounting { .. } => kernel::for_translation(world, image),
    };
    let mut config = Config::new(program, version, accelerator, kernel);
    config.cancelled = Arc::clone(&world.cancelled);
    config.memory = options.memory;
    config.processors = options.processors;
    config.initramfs = vec![image.initramfs()];
    config.command_line = format!("{} {}", image.contents.command_line, options.append).trim_end().to_owned();
    if let Some(init) = &options.init {
        config.command_line.push_str(&format!(" init={init}"));
    }
    config.disks =
        vec![Disk { path: image.root(), writes: if options.keep { Writes::Kept } else { Writes::Dropped } }];
    Ok(config)
}

fn name(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "KVM",
        Accelerator::Tcg | Accelerator::TcgCounting { .. } => "TCG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_attaches_from_a_terminal_is_told_how_to_pass_its_size_on() {
        assert_eq!(
            size_hint(Some((Width(120), Height(40)))),
            "; `stty rows 40 columns 120` tells it the size of the screen"
        );
        assert_eq!(size_hint(None), "");
    }
}
