//! `shutdown` and its other names.

use alloc::vec::Vec;

use crate::{Completes, Opt, Program, rows};

/// What an option of `shutdown` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Shows the help.
    Help,
    /// Reboots.
    Reboot,
    /// Restarts dinit only.
    SoftReboot,
    /// Halts.
    Halt,
    /// Turns the power off.
    PowerOff,
    /// Executes the kernel that was loaded for it.
    Kexec,
    /// Talks over a descriptor that was passed.
    UsePassedDescriptor,
    /// Does it instead of asking for it.
    System,
}

/// Every option, in the order in which help shows them.
pub static OPTIONS: &[(Flag, Opt)] = &[
    (Flag::Help, Opt::new(&["--help"], "show this help").more("The exit status is then 1.")),
    (Flag::Reboot, Opt::new(&["-r"], "reboot.")),
    (
        Flag::SoftReboot,
        Opt::new(&["-s"], "soft-reboot (restart dinit with same boot-time arguments).")
            .more("The kernel goes on; all processes but dinit end, and file systems are unmounted as far as possible."),
    ),
    (Flag::Halt, Opt::new(&["-h"], "halt system.").more("The power stays on.")),
    (Flag::PowerOff, Opt::new(&["-p"], "power down (default).")),
    (
        Flag::Kexec,
        Opt::new(&["-k"], "execute kernel loaded via kexec.").more("See `kexec`(8) for how to load one."),
    ),
    (
        Flag::UsePassedDescriptor,
        Opt::new(
            &["--use-passed-cfd"],
            "use the socket file descriptor identified by the DINIT_CS_FD\n\
             environment variable to communicate with the init daemon.",
        ),
    ),
    (
        Flag::System,
        Opt::new(
            &["--system"],
            "perform shutdown immediately, instead of issuing shutdown\n\
             command to the init program. Not recommended for normal use.",
        ),
    ),
];

/// Gives the program as manual and completions have it.
#[must_use]
pub fn program() -> Program {
    Program {
        name: "shutdown",
        aliases: &["halt", "poweroff", "reboot", "soft-reboot"],
        summary: "shut the system down",
        usages: &["[<option>...]"],
        options: rows(OPTIONS),
        commands: Vec::new(),
        operands: Completes::Anything,
    }
}
