//! Where the agent and its service go inside a guest: below `/run`, so the image under test stays what it is.
//!
//! Bring both in an additional cpio archive behind the initramfs, below the folder that the initramfs init lays
//! into `/run`, and start the service `agent` beside `boot`: dinit starts what `-t` names, and then only that.

/// The name of the virtio-serial port, the same on both sides.
pub const PORT: &str = "dinit-guest-agent";

/// Where the agent's program goes, relative to `/run`; executable by all.
pub const PROGRAM: &str = "guest-agent";

/// Where the service description goes, relative to `/run`.
pub const SERVICE: &str = "dinit.d/agent";

/// The service description. It depends on nothing, so it runs from the very start and until the very end.
pub const SERVICE_TEXT: &str = "type = process\ncommand = /run/guest-agent\nrestart = false\n";
