//! The one file that the image builder writes and the initramfs init reads.
//!
//! [`Config`] is its meaning, [`parse`] reads it, [`Config::to_text`] writes it; what is written reads back as the
//! same value. The file is text, a setting a line:
//!
//! ```text
//! # Everything behind a `#` at the start of a line is a comment.
//! module /lib/modules/virtio_blk.ko.xz
//! module /lib/modules/loop.ko.xz max_loop=8
//! root-type ext4
//! root-wait 30
//! init /usr/sbin/init
//! ```
//!
//! Deliberately absent: which root to mount. That is the kernel command line's business (`root=`), so that one
//! initramfs serves every disk.
#![no_std]

extern crate alloc;

mod parse;
mod write;

pub use parse::{Problem, parse};
pub use write::Unwritable;

use alloc::string::String;
use alloc::vec::Vec;

/// The path of the file inside the initramfs.
pub const PATH: &str = "/etc/initramfs.conf";

/// The folder of the initramfs whose contents are laid into `/run` before the root is entered.
///
/// An additional cpio archive behind the first may bring files there, so that a guest can be given a service
/// without touching its image.
pub const RUN_SEED: &str = "/overlay/run";

/// How long to wait for the root device when nothing says otherwise, in seconds.
pub const DEFAULT_ROOT_WAIT: u32 = 30;

/// The program that takes over when neither the file nor the kernel command line names one.
pub const DEFAULT_INIT: &str = "/sbin/init";

/// What the image builder tells the initramfs init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The modules to load, in this order: one that another needs stands before it.
    pub modules: Vec<Module>,
    /// The type of the root file system when neither `rootfstype=` nor its superblock tells.
    pub root_type: Option<String>,
    /// How long to wait for the root device, in seconds; `rootwait` on the kernel command line overrides it.
    pub root_wait: u32,
    /// The program to run in the new root; `init=` on the kernel command line overrides it.
    pub init: String,
}

/// One kernel module that the initramfs carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The absolute path inside the initramfs; a name ending in `.xz`, `.zst` or `.gz` is unpacked by the kernel.
    pub path: String,
    /// The parameters as the kernel takes them: words with blanks between, mostly `name=value`; often empty.
    pub parameters: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            modules: Vec::new(),
            root_type: None,
            root_wait: DEFAULT_ROOT_WAIT,
            init: String::from(DEFAULT_INIT),
        }
    }
}
