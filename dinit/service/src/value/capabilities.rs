//! Capabilities in the text form of `cap_iab_from_text`: items separated by commas, each a name or a number
//! with the prefixes `!` (taken out of the bounding set), `%` (inheritable) and `^` (ambient and inheritable).

use alloc::vec::Vec;

use super::number::{Scanned, scan};

/// What the `capabilities` setting says: the text, and the three sets that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    text: Vec<u8>,
    inheritable: u64,
    ambient: u64,
    blocked: u64,
}

/// A text that is not of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCapabilities;

impl Capabilities {
    /// Reads capabilities.
    pub fn parse(text: &[u8]) -> Result<Capabilities, BadCapabilities> {
        let mut sets = Capabilities { text: text.to_vec(), inheritable: 0, ambient: 0, blocked: 0 };
        for item in text.split(|&byte| byte == b',') {
            sets.add(item)?;
        }
        Ok(sets)
    }

    /// Returns the text that they were read from.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the inheritable set; bit N is capability N.
    pub fn inheritable(&self) -> u64 {
        self.inheritable
    }

    /// Returns the ambient set, which is part of the inheritable one.
    pub fn ambient(&self) -> u64 {
        self.ambient
    }

    /// Returns what is taken out of the bounding set.
    pub fn blocked(&self) -> u64 {
        self.blocked
    }

    fn add(&mut self, item: &[u8]) -> Result<(), BadCapabilities> {
        let prefixes = item.iter().take_while(|byte| matches!(byte, b'!' | b'%' | b'^')).count();
        let (prefixes, name) = item.split_at_checked(prefixes).ok_or(BadCapabilities)?;
        let bit = 1u64.checked_shl(number(name)?).ok_or(BadCapabilities)?;
        for prefix in prefixes {
            match prefix {
                b'!' => self.blocked |= bit,
                b'^' => {
                    self.ambient |= bit;
                    self.inheritable |= bit;
                }
                _ => self.inheritable |= bit,
            }
        }
        if prefixes.is_empty() {
            self.inheritable |= bit;
        }
        Ok(())
    }
}

/// Finds the number of a capability that is given by name, in any case, or by number.
fn number(name: &[u8]) -> Result<u32, BadCapabilities> {
    if name.first().is_some_and(u8::is_ascii_digit) {
        return match scan(name, 0) {
            Scanned::Number { magnitude, length, .. } if length == name.len() && magnitude < 64 => {
                u32::try_from(magnitude).map_err(|_| BadCapabilities)
            }
            _ => Err(BadCapabilities),
        };
    }
    let known = NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
    known.and_then(|known| u32::try_from(known).ok()).ok_or(BadCapabilities)
}

/// The names of the capabilities of Linux, in the order of their numbers.
const NAMES: &[&str] = &[
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];
