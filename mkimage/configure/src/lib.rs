//! Configures unpacked packages without root rights.
//!
//! The tree comes in as a [`Workspace`] that holds the files of all packages, and leaves it as dpkg would: a package
//! database that is complete, every package `installed`, and everything done that maintainer scripts do. Owners,
//! device nodes and extended attributes cannot be real on a disk that belongs to an ordinary user; what packages
//! and scripts asked for comes back as [`Configured`], and the writer of the image puts it in.
//!
//! Reading order: `workspace` is where the tree lies, in memory if there is room; [`configure`] is the whole stage; `plan` says which script runs how; `sandbox` runs it; `beside` is what runs at the same time;
//! `root` keeps what the builder does itself inside the tree; `database` and `triggers` know dpkg's files; `tidy` takes out what would differ between two builds.
//!
//! What calls [`Workspace::prepare`] must be a program that hands over to [`sandbox_main`] when its first argument is
//! [`SANDBOX_ARGUMENT`], before it starts any thread: the sandbox is this program, executed again.

mod accounts;
mod beside;
mod database;
mod diversions;
mod error;
mod fields;
mod known;
mod memory;
mod order;
mod package;
mod root;
mod sandbox;
mod stage;
mod tidy;
mod triggers;
mod workspace;

pub use error::{Error, Step};
pub use memory::room_in_memory;
pub use package::{PackageControl, PackageFile};
pub use sandbox::{SANDBOX_ARGUMENT, Sandbox, SandboxProgram, sandbox_main};
pub use stage::configure;
pub use workspace::Workspace;

use std::collections::BTreeMap;
use std::time::Duration;

/// What the stage must know beside the packages.
#[derive(Clone, Debug)]
pub struct Options {
    /// The architecture of the image in Debian's words, such as `amd64`.
    pub architecture: String,
    /// Seconds since 1970 that stand for "now" where a script writes a date into a file, such as the day of the
    /// last password change.
    pub source_date_epoch: u64,
    /// The kernel whose modules the image has, as `uname -r` will say there; without one, all in the tree are
    /// indexed. It is an error if the tree has no modules for it.
    pub kernel_release: Option<String>,
}

/// How far the stage is; given to the caller before each script, and ten times a second while one runs.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Scripts that are done.
    pub done: usize,
    /// Scripts there are, as far as it is known now; triggers may add some.
    pub total: usize,
    /// The package whose turn it is.
    pub package: &'a str,
}

/// Who owns something, in the numbers of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// A device node that a script made; on the disk an empty file stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Character or block device.
    pub kind: DeviceKind,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

/// The two kinds of device nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device, such as a terminal.
    Character,
    /// A block device, such as a disk.
    Block,
}

/// What a configured tree is beyond what its directory shows.
///
/// Paths are absolute, without a slash at the end, as bytes. Types, contents, link targets and other modes are what
/// the directory has; times are whatever they happen to be.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// The owner of each path that does not belong to `root:root`, or does not any more though its package's
    /// archive said so. It covers what packages ship as well as what scripts made or changed: what is not here is
    /// `0:0`.
    pub ownership: BTreeMap<Vec<u8>, Owner>,
    /// The mode of each path that has set-id bits, lost them, or forbids its owner to read or write: what the
    /// directory cannot show, since there the files are the builder's own.
    pub modes: BTreeMap<Vec<u8>, u32>,
    /// Device nodes that scripts made.
    pub devices: BTreeMap<Vec<u8>, Device>,
    /// Extended attributes of the `security` and `trusted` classes that scripts set, such as file capabilities.
    pub attributes: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// What was done, script by script.
    pub report: Report,
}

/// What the stage did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every maintainer script of every package that the stage came to, in the order in which it did.
    pub scripts: Vec<ScriptRun>,
    /// Paths that were taken out or emptied because they would differ between two builds.
    pub tidied: Vec<Vec<u8>>,
}

/// What became of one maintainer script.
#[derive(Clone, Debug)]
pub struct ScriptRun {
    /// The package, with its architecture where dpkg names its files so.
    pub package: String,
    /// `preinst`, `postinst` or the builder's own step, such as `depmod`.
    pub script: String,
    /// What it was called with.
    pub arguments: Vec<String>,
    /// How it was dealt with.
    pub class: Class,
    /// How long it took, as the clock on the wall has it.
    pub duration: Duration,
    /// What it printed on both its outputs.
    pub output: Vec<u8>,
}

/// How a maintainer script is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The builder does itself what the script would do; the text says what that is.
    Builder(&'static str),
    /// It does nothing in a new image; the text says why.
    Needless(&'static str),
    /// It ran in the sandbox.
    Sandboxed,
}
