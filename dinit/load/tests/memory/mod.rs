//! A world in memory: files are entries of a map.

use std::collections::BTreeMap;

use dinit_load::{Accounts, Host, HostError, Kind, Metadata, Opened, User};

/// Files by path; a path that other paths begin with is a directory.
pub(crate) struct MemoryHost {
    pub(crate) files: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) accounts: Accounts,
}

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n";
const GROUP: &[u8] = b"root:x:0:\ndaemon:x:1:\naudio:x:29:daemon,root\n";

impl Default for MemoryHost {
    fn default() -> MemoryHost {
        MemoryHost { files: BTreeMap::new(), accounts: Accounts::parse(PASSWD, GROUP) }
    }
}

impl MemoryHost {
    pub(crate) fn with(mut self, path: &str, text: &[u8]) -> MemoryHost {
        self.files.insert(path.as_bytes().to_vec(), text.to_vec());
        self
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let mut inside = path.to_vec();
        inside.push(b'/');
        self.files.keys().any(|file| file.starts_with(&inside))
    }
}

impl Host for MemoryHost {
    fn read(&self, path: &[u8]) -> Result<Opened, HostError> {
        if self.is_directory(path) {
            return Err(HostError::read(libc::EISDIR));
        }
        let text = self.files.get(path).ok_or(HostError::MISSING)?.clone();
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Ok(Opened { text, directory: path[..end].to_vec(), modified: (1, 2) })
    }

    fn entries(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, HostError> {
        if !self.is_directory(path) {
            return Err(HostError::MISSING);
        }
        let mut inside = path.to_vec();
        inside.push(b'/');
        let names = self.files.keys().filter_map(|file| file.strip_prefix(inside.as_slice()));
        Ok(names.map(|name| name.split(|&byte| byte == b'/').next().unwrap().to_vec()).collect())
    }

    fn metadata(&self, path: &[u8]) -> Result<Metadata, HostError> {
        if self.is_directory(path) {
            return Ok(Metadata { kind: Kind::Directory, mode: 0o755 });
        }
        match self.files.contains_key(path) {
            true => Ok(Metadata { kind: Kind::Regular, mode: 0o755 }),
            false => Err(HostError::MISSING),
        }
    }

    fn user(&self, name: &[u8]) -> Result<Option<User>, HostError> {
        Ok(self.accounts.user(name).cloned())
    }

    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError> {
        Ok(self.accounts.user_by_id(uid).cloned())
    }

    fn group(&self, name: &[u8]) -> Result<Option<u32>, HostError> {
        Ok(self.accounts.group(name))
    }

    fn groups_of(&self, user: &[u8]) -> Result<Vec<u32>, HostError> {
        Ok(self.accounts.groups_of(user))
    }
}
