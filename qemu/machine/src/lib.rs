//! A virtual machine as a value, then as a running thing one can expect() on.
//!
//! Describe it with [`Config`], start it with [`Machine::start`], then talk to it: [`Machine::expect`] and
//! [`Machine::send`] on the serial console, [`Machine::channel`] over a virtio-serial port, [`Machine::interact`] for
//! a person. Dropping the machine kills QEMU, and so does the end of the program that started it.
//!
//! ```no_run
//! # fn main() -> Result<(), qemu_machine::Error> {
//! use qemu_machine::{Accelerator, Config, Machine, Program};
//! use std::time::Duration;
//!
//! let program = Program::installed("qemu-system-x86_64");
//! let version = program.version()?;
//! let mut config = Config::new(program, version, Accelerator::Tcg, "vmlinuz".into());
//! config.command_line = "root=/dev/vda panic=-1".to_owned();
//! let mut machine = Machine::start(&config)?;
//! machine.expect("login: ", machine.scaled(Duration::from_secs(20)))?;
//! # Ok(())
//! # }
//! ```
//!
//! A failure of the guest (a kernel panic, a recovery prompt, silence) ends every wait at once, and the error carries
//! the last lines of the console. Nothing here knows what is being booted, beyond [`FailureText::usual`].

mod config;
mod console;
mod error;
mod folder;
mod interact;
mod kvm;
mod machine;
mod monitor;
mod process;
mod program;
mod silence;

pub use config::{
    Accelerator, Config, Disk, Display, FailureText, Network, OnReboot, Places, Writes, arguments, shown,
};
pub use error::{Error, Failure};
pub use interact::{Attached, ESCAPE_KEY, ESCAPE_KEY_NAME, attach};
pub use kvm::{Choice, choose_accelerator};
pub use machine::{Interaction, Machine, Pulse};
pub use process::Exit;
pub use program::{Program, Version};
