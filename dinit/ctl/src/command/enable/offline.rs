//! Enabling and disabling without a daemon: for a system that does not run, or before it does.

use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use dinit_client::address::Instance;
use dinit_load::{Host as _, HostError, SystemHost, directories};
use dinit_service::Environment;
use dinit_sys::error_text;

use super::description::{Variables, unopened};
use crate::command_line::General;
use crate::host::Host;
use crate::output::{Failure, Outcome, text};
use crate::session::{as_path, base_name, joined};

/// Where descriptions are, and what is substituted in them.
pub(super) struct Place {
    directories: Vec<Vec<u8>>,
    pub(super) variables: Variables,
}

/// Says that a description that is there cannot be read.
pub(super) fn unreadable(path: &[u8], error: HostError) -> Failure {
    Failure::new(text!["could not read service description file '", path, "': ", error.message()])
}

impl Place {
    /// Finds out where a daemon would look, and what its environment would be.
    pub(super) fn new(general: &General, host: &Host) -> Outcome<Self> {
        let instance = general.instance.unwrap_or_else(|| host.default_instance());
        let directories = match &general.service_directories[..] {
            [] => default_directories(instance, host),
            given => given.to_vec(),
        };
        let variables = match instance {
            Instance::System => system_variables(host)?,
            Instance::User => Variables::default(),
        };
        Ok(Self { directories, variables })
    }

    /// Finds the description of what is to be depended on.
    pub(super) fn find_dependency(&self, name: &[u8]) -> Outcome<Vec<u8>> {
        let paths = self.directories.iter().map(|directory| joined(directory, base_name(name)));
        paths.into_iter().find(|path| std::fs::metadata(as_path(path)).is_ok()).ok_or_else(|| {
            Failure::new(text!["could not locate service file for target service '", name, "'"])
        })
    }

    /// Finds the description of the dependent.
    pub(super) fn find_dependent(&self, name: &[u8]) -> Outcome<Vec<u8>> {
        let host = SystemHost::new();
        for directory in &self.directories {
            let path = joined(directory, name);
            match host.metadata(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(unopened(&path, error)),
            }
        }
        Err(Failure::new(text!["could not locate service file for service '", name, "'"]))
    }
}

fn default_directories(instance: Instance, host: &Host) -> Vec<Vec<u8>> {
    match instance {
        Instance::System => directories::of_system(),
        Instance::User => {
            let config_home = host.variable("XDG_CONFIG_HOME").map(OsStringExt::into_vec);
            let home = host.variable("HOME").or_else(|| host.home_of_user().map(Into::into));
            directories::of_user(config_home.as_deref(), home.map(OsStringExt::into_vec).as_deref())
        }
    }
}

fn system_variables(host: &Host) -> Outcome<Variables> {
    let path = &host.environment_file;
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Variables::default()),
        Err(error) => {
            let path = path.as_os_str().as_bytes();
            return Err(Failure::new(text![
                "cannot read environment file '",
                path,
                "' :",
                error_text(&error)
            ]));
        }
    };
    let mut environment = Environment::new();
    // Faulty lines are the daemon's to complain about.
    environment.apply_file(&text);
    let nothing = std::iter::empty();
    let variables = Variables::collect(environment.compose(nothing));
    Ok(variables)
}
