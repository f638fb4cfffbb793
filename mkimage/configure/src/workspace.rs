//! Where a tree is laid out to be configured: in memory if there is room, else in its folder on the disk.
//!
//! The memory belongs to the sandbox's own view of the file system, so nobody has to unmount it: it goes when the
//! builder and the sandbox do, however they end. The builder looks at it through the sandbox's first process and
//! holds the folder open; what that folder shows is the tree alone, without what the sandbox mounts over it.

use crate::error::Error;
use crate::sandbox::{Sandbox, SandboxProgram};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of the tree in its folder.
const TREE: &str = "root";

/// The folder for a tree; what is in memory is gone when this and its sandbox are.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    /// Open if the folder is in memory, where only this leads to it.
    memory: Option<File>,
}

impl Workspace {
    /// Makes a place for a tree in an empty folder, and the sandbox that waits for it.
    ///
    /// With `memory`, so many bytes of it at most take the folder's place if the system allows it; the folder itself
    /// then stays empty. [`room_in_memory`](crate::room_in_memory) says how many are right.
    ///
    /// # Errors
    /// If user namespaces cannot be had or the sandbox cannot be started.
    pub fn prepare(
        folder: &Path,
        memory: Option<u64>,
        program: &SandboxProgram,
    ) -> Result<(Self, Sandbox), Error> {
        let (sandbox, is_in_memory) = Sandbox::start(program, folder, TREE, memory)?;
        if !is_in_memory {
            return Ok((Self { root: folder.join(TREE), memory: None }, sandbox));
        }
        let looking = libc::O_PATH | libc::O_DIRECTORY;
        match OpenOptions::new().read(true).custom_flags(looking).open(sandbox.folder_through_it()) {
            Ok(memory) => {
                let root = PathBuf::from(format!("/proc/self/fd/{}/{TREE}", memory.as_raw_fd()));
                Ok((Self { root, memory: Some(memory) }, sandbox))
            }
            // Where one process may not look through another, it is the disk.
            Err(_) => {
                drop(sandbox);
                Self::prepare(folder, None, program)
            }
        }
    }

    /// Gives the directory that the tree is to be laid out in, which is not there yet; in memory, only this process
    /// can use the path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Tells whether the tree is in memory.
    pub fn is_in_memory(&self) -> bool {
        self.memory.is_some()
    }
}
