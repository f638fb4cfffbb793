//! What the program asks of the machine that it runs on; a test has answers of its own.

use std::ffi::OsString;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use dinit_client::address::{self, Instance};

/// Gives an environment variable.
pub(crate) type Variables = dyn Fn(&str) -> Option<OsString>;

/// The machine, as far as this program looks at it.
pub(crate) struct Host {
    /// Gives an environment variable.
    pub(crate) variable: Box<Variables>,
    /// The real user.
    pub(crate) uid: u32,
    /// The file with the users.
    pub(crate) passwd: PathBuf,
    /// The environment file that a system manager reads if it is there.
    pub(crate) environment_file: PathBuf,
    /// Takes a descriptor over that the program was started with.
    pub(crate) take_descriptor: fn(RawFd) -> Option<OwnedFd>,
}

impl Host {
    /// Gives the machine as it is.
    pub(crate) fn real() -> Self {
        Self {
            variable: Box::new(|name| std::env::var_os(name)),
            uid: dinit_sys::process::real_uid(),
            passwd: address::PASSWD.into(),
            environment_file: "/etc/dinit/environment".into(),
            take_descriptor: |number| dinit_sys::descriptor::take_inherited(number).ok(),
        }
    }

    /// Gives an environment variable.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name)
    }

    /// Gives the daemon that is meant unless the command line says otherwise.
    pub(crate) fn default_instance(&self) -> Instance {
        if self.uid == 0 { Instance::System } else { Instance::User }
    }

    /// Looks the user's home directory up in the file with the users.
    pub(crate) fn home_of_user(&self) -> Option<PathBuf> {
        address::home_of(self.uid, &self.passwd)
    }
}
