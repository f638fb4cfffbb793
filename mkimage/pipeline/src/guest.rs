//! What is brought into a guest's /run behind its initramfs, so that the image under test stays what it is.

use std::path::{Path, PathBuf};

use agent_protocol::seed;
use anyhow::Result;
use mkimage_tree::{Layer, MergePolicy, Provenance, Tree};

use crate::build;
use crate::layers::path;
use crate::programs::Programs;

/// The name of the service that starts the debug shells. It has ended by the time that it is asked about.
pub const DEBUG_SHELL: &str = "debug-shell";

/// The description of [`DEBUG_SHELL`]. It is done at once: a service that stays would keep dinit from seeing
/// that nothing else has come up.
const DEBUG_SERVICE: &str = "type = process\ncommand = /run/debug-shell\nrestart = no\n";
/// What is on tty6 instead of a login prompt.
const DEBUG_TTY6: &str = "# The debug shell has this terminal.\ntype = internal\n";

/// What to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// The agent, and its service.
    pub agent: bool,
    /// The debug shell, and its service.
    pub debug_shell: bool,
}

impl Brought {
    /// Whether there is anything.
    pub fn is_any(self) -> bool {
        self.agent || self.debug_shell
    }

    /// The words of dinit's command line that start it beside `boot`, or beside what `words` of the kernel's command
    /// line name.
    ///
    /// Once dinit is told a service to start, it starts `boot` only if it is told so too.
    pub fn command_line(self, words: &str) -> String {
        let names_services = |word| matches!(word, "single" | "-t" | "--service");
        let mut services = Vec::new();
        if self.is_any() && !words.split_whitespace().any(names_services) {
            services.push("-t boot");
        }
        if self.agent {
            services.push("-t agent");
        }
        if self.debug_shell {
            services.push("-t debug-shell");
        }
        services.join(" ")
    }

    /// Writes the archive that brings it, into a folder.
    ///
    /// # Errors
    /// The agent's program cannot be read, or the archive cannot be written.
    pub fn archive(self, programs: &Programs, folder: &Path) -> Result<PathBuf> {
        let run = initramfs_config::RUN_SEED.trim_start_matches('/');
        let mut layer = Layer::new(Provenance::Generated("what mkimage brings into a guest".into()));
        let mut parent = String::new();
        for part in run.split('/') {
            parent.push_str(part);
            layer.directory(path(&parent)?, 0o755);
            parent.push('/');
        }
        let at = |name: &str| path(&format!("{run}/{name}"));
        layer.directory(at("dinit")?, 0o755);
        layer.directory(at("dinit.d")?, 0o755);
        layer.file(at("dinit/shutdown-hook")?, 0o755, include_bytes!("guest/shutdown-hook").to_vec());
        if self.agent {
            layer.file(at(seed::PROGRAM)?, 0o755, programs.read("guest-agent")?);
            layer.file(at(seed::SERVICE)?, 0o644, seed::SERVICE_TEXT.as_bytes());
        }
        if self.debug_shell {
            layer.file(at("debug-shell")?, 0o755, include_bytes!("guest/debug-shell").to_vec());
            layer.file(at("dinit.d/debug-shell")?, 0o644, DEBUG_SERVICE.as_bytes());
            layer.file(at("dinit.d/tty6")?, 0o644, DEBUG_TTY6.as_bytes());
        }
        let tree = Tree::standalone([&layer], &MergePolicy::new())?;
        let archive = folder.join("guest.img");
        build::write_initramfs(&tree, &archive, 0)?;
        Ok(archive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_brought_starts_beside_what_would_have_started() {
        let words = |agent, debug_shell, words| Brought { agent, debug_shell }.command_line(words);
        assert_eq!(words(false, false, "quiet"), "");
        assert_eq!(words(true, false, "root=/dev/vda quiet"), "-t boot -t agent");
        assert_eq!(words(false, true, ""), "-t boot -t debug-shell");
        assert_eq!(words(true, true, "single"), "-t agent -t debug-shell");
        assert_eq!(words(false, true, "quiet -t rescue"), "-t debug-shell");
        assert_eq!(words(false, true, "singles"), "-t boot -t debug-shell");
    }
}
