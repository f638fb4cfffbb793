//! Where descriptions are, and what is substituted in them: as a running daemon says it, or as one would have it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use dinit_client::address::Instance;
use dinit_load::{Identity, Loader, SystemHost, directories};
use dinit_protocol::{DIRECTORY_LOADER, Reply, Request, Version};
use dinit_service::Environment;
use dinit_sys::error_text;

use crate::command_line::General;
use crate::host::Host;
use crate::output::{Failure, Outcome, text};
use crate::session::{Session, joined, protocol_error};

/// The variables that are substituted in descriptions.
#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<Vec<u8>, Vec<u8>>);

impl Variables {
    /// Takes an environment as a daemon sends it: each `NAME=VALUE` followed by a NUL.
    pub(crate) fn parse(environment: &[u8]) -> Self {
        let pair = |entry: &[u8]| {
            let equals = entry.iter().position(|byte| *byte == b'=')?;
            Some((entry[..equals].to_vec(), entry[equals + 1..].to_vec()))
        };
        Self(environment.split(|byte| *byte == 0).filter_map(pair).collect())
    }

    /// Takes variables one by one.
    pub(crate) fn collect<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
    }
}

impl dinit_service::Variables for Variables {
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.get(name).map(|value| Cow::Borrowed(value.as_slice()))
    }
}

/// Where descriptions are, and what is substituted in them.
pub(crate) struct Place {
    pub(crate) directories: Vec<Vec<u8>>,
    pub(crate) variables: Variables,
    host: SystemHost,
}

impl Place {
    /// Finds out where a daemon would look, and what its environment would be.
    pub(crate) fn offline(general: &General, host: &Host) -> Outcome<Self> {
        let instance = general.instance.unwrap_or_else(|| host.default_instance());
        let directories = match &general.service_directories[..] {
            [] => default_directories(instance, host),
            given => given.to_vec(),
        };
        let variables = match instance {
            Instance::System => system_variables(host)?,
            Instance::User => Variables::default(),
        };
        Ok(Self { directories, variables, host: SystemHost::new() })
    }

    /// Asks the daemon where it looks, and what its environment is.
    pub(crate) fn of_daemon(session: &mut Session) -> Outcome<Self> {
        session.need_version(Version(4))?;
        let Reply::Loader(loader) = session.request(&Request::QueryLoader)? else {
            return Err(protocol_error());
        };
        if loader.mechanism != DIRECTORY_LOADER {
            return Err(Failure::new("unable to retrieve service description directories"));
        }
        let absolute = |directory: &Vec<u8>| match directory.first() {
            Some(b'/') => directory.clone(),
            _ => joined(&loader.working_directory, directory),
        };
        let directories = loader.directories.iter().map(absolute).collect();
        let Reply::Environment(environment) = session.request(&Request::QueryEnvironment)? else {
            return Err(protocol_error());
        };
        Ok(Self { directories, variables: Variables::parse(&environment), host: SystemHost::new() })
    }

    /// Gives what reads descriptions there.
    pub(crate) fn loader(&self) -> Loader<'_> {
        Loader {
            host: &self.host,
            directories: &self.directories,
            variables: &self.variables,
            // Nobody's defaults matter for what services name.
            identity: Identity::default(),
        }
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
