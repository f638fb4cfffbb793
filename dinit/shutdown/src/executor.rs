//! The executor: the last steps before the kernel takes over, in an order that must not change.
//!
//! [`execute`] is the order; what a step does to the machine is behind [`Machine`]. Nothing waits for the console
//! or for whoever writes to it: output goes through a [`Console`] that drops lines rather than time.

mod console;
mod mounts;
mod real;

use std::time::Duration;

use dinit_protocol::ShutdownKind;
use dinit_sys::Errno;
use dinit_sys::system::KernelEnd;

pub(crate) use console::Console;
pub(crate) use mounts::Mount;
pub(crate) use real::RealMachine;

/// Where somebody's own way of ending things may be: that of a program that has something to take apart in this boot,
/// the administrator's, the distribution's. The first one counts.
const HOOKS: [&str; 3] = ["/run/dinit/shutdown-hook", "/etc/dinit/shutdown-hook", "/lib/dinit/shutdown-hook"];
const SWAPOFF: &str = "/sbin/swapoff";
const UMOUNT: &str = "/bin/umount";

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// How long processes have between being asked and being made to end; less only if none is left.
const GRACE: Duration = Duration::from_secs(1);

/// What is left to do when all is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// To end with this status.
    Exit(u8),
    /// To stay, for ever.
    Sleep,
}

/// How a program that was run came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// It ended with status 0.
    Succeeded,
    /// It ended otherwise, or could not be executed; what there is to say of that went to the console.
    Failed,
    /// There could be no process for it.
    NotForked(Errno),
}

/// What the executor does to the machine.
pub(crate) trait Machine {
    /// Makes sure that no signal can end the executor.
    fn block_signals(&mut self);
    /// Makes the console the place that messages go to.
    fn open_console(&mut self);
    /// Writes what the console takes without waiting, from the console's buffer.
    fn pump(&mut self, console: &mut Console);
    /// Signals all processes but this one and process 1.
    fn signal_all(&mut self, signal: i32);
    /// Lets time pass, while the console takes what it will.
    fn pass_time(&mut self, time: Duration, console: &mut Console);
    /// Does the same, but no longer than there is a process besides this one, as far as that can be known.
    fn outlast_processes(&mut self, time: Duration, console: &mut Console);
    /// Says whether there is a file at the path (or a link), and then whether anybody may execute it.
    fn is_executable(&mut self, path: &str) -> Option<bool>;
    /// Runs a program to its end, with its output going to the console.
    fn run(&mut self, program: &str, arguments: &[&str], console: &mut Console) -> Run;
    /// Lists the swap areas in use.
    fn swap_areas(&mut self) -> Vec<Vec<u8>>;
    /// Turns a swap area off.
    fn turn_swap_off(&mut self, area: &[u8]) -> Result<(), Errno>;
    /// Lists what is mounted, in the order in which it was mounted; none if that cannot be found out.
    fn mounts(&mut self) -> Option<Vec<Mount>>;
    /// Unmounts what is mounted there.
    fn unmount(&mut self, point: &[u8]) -> Result<(), Errno>;
    /// Makes what is mounted there read-only.
    fn make_read_only(&mut self, point: &[u8]) -> Result<(), Errno>;
    /// Has everything written that is not yet.
    fn sync(&mut self);
    /// Has the kernel end; comes back only if it does not.
    fn end_kernel(&mut self, how: KernelEnd) -> Errno;
}

/// Ends everything.
pub(crate) fn execute(kind: ShutdownKind, machine: &mut dyn Machine) -> Ending {
    let mut console = Console::default();
    machine.block_signals();
    machine.open_console();
    end_processes(machine, &mut console);
    if !run_hook(kind, machine, &mut console) {
        turn_swap_off(machine, &mut console);
        unmount(machine, &mut console);
    }
    machine.sync();
    let Some(how) = kernel_end(kind) else {
        machine.pump(&mut console);
        return Ending::Exit(0);
    };
    say(machine, &mut console, "Issuing shutdown via kernel...");
    let error = machine.end_kernel(how);
    say(machine, &mut console, &format!("reboot: {}", error.text()));
    if kind == ShutdownKind::Kexec {
        say(machine, &mut console, "It is possible that no suitable kernel image was loaded before");
        say(machine, &mut console, "reboot with kexec was attempted.");
    }
    // Process 1 must not end; what could be shown is shown before it is left to itself.
    machine.pass_time(GRACE, &mut console);
    Ending::Sleep
}

fn say(machine: &mut dyn Machine, console: &mut Console, line: &str) {
    console.append_line(line.as_bytes());
    machine.pump(console);
}

fn end_processes(machine: &mut dyn Machine, console: &mut Console) {
    say(machine, console, "Sending TERM/KILL to all processes...");
    machine.signal_all(SIGTERM);
    machine.outlast_processes(GRACE, console);
    machine.signal_all(SIGKILL);
}

/// Runs the first hook there is; says whether it did everything.
fn run_hook(kind: ShutdownKind, machine: &mut dyn Machine, console: &mut Console) -> bool {
    let Some(hook) = HOOKS.into_iter().find(|hook| machine.is_executable(hook) == Some(true)) else {
        return false;
    };
    let argument = match kind {
        ShutdownKind::Halt => "halt",
        ShutdownKind::PowerOff | ShutdownKind::Remain => "poweroff",
        ShutdownKind::Reboot | ShutdownKind::Kexec => "reboot",
        ShutdownKind::SoftReboot => "soft",
    };
    say(machine, console, "Executing shutdown hook...");
    run(machine, console, "shutdown-hook", hook, &[argument]) == Run::Succeeded
}

fn turn_swap_off(machine: &mut dyn Machine, console: &mut Console) {
    say(machine, console, "Turning off swap...");
    run(machine, console, "swapoff", SWAPOFF, &["-a"]);
    // A swap file that is still in use would keep its file system from being closed properly.
    for area in machine.swap_areas() {
        if let Err(error) = machine.turn_swap_off(&area) {
            report(machine, console, "turning off swap", &area, error);
        }
    }
}

fn unmount(machine: &mut dyn Machine, console: &mut Console) {
    say(machine, console, "Unmounting disks...");
    run(machine, console, "umount", UMOUNT, &["-a", "-r"]);
    mounts::close_what_is_open(machine, console);
}

fn report(machine: &mut dyn Machine, console: &mut Console, what: &str, path: &[u8], error: Errno) {
    let path = String::from_utf8_lossy(path);
    say(machine, console, &format!("Warning: {what} `{path}`: {}", error.text()));
}

fn run(
    machine: &mut dyn Machine,
    console: &mut Console,
    what: &str,
    program: &str,
    arguments: &[&str],
) -> Run {
    let outcome = machine.run(program, arguments, console);
    if let Run::NotForked(error) = &outcome {
        say(machine, console, &format!("Couldn't fork for {what}: {}", error.text()));
    }
    outcome
}

fn kernel_end(kind: ShutdownKind) -> Option<KernelEnd> {
    match kind {
        ShutdownKind::Halt => Some(KernelEnd::Halt),
        ShutdownKind::PowerOff | ShutdownKind::Remain => Some(KernelEnd::PowerOff),
        ShutdownKind::Reboot => Some(KernelEnd::Restart),
        ShutdownKind::Kexec => Some(KernelEnd::Kexec),
        ShutdownKind::SoftReboot => None,
    }
}

#[cfg(test)]
mod tests;
