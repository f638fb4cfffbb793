//! Where descriptions and variables come from: the machine, another root, or a running daemon.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use dinit_client::address::{self, Instance};
use dinit_client::{ClientError, Connection};
use dinit_load::{Host, HostError, Identity, SystemHost, directories};
use dinit_protocol::{DIRECTORY_LOADER, Reply, Request};
use dinit_service::environment::{Environment, EnvironmentFault};

use crate::Failure;
use crate::arguments::Options;

/// The environment file that a system manager reads if it is there.
const DEFAULT_ENVIRONMENT: &[u8] = b"/etc/dinit/environment";

/// The machine that the program runs on, as far as it matters; a test has one of its own.
pub(crate) struct Machine {
    pub(crate) variables: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Machine {
    /// Takes the machine as it is.
    pub(crate) fn real() -> Machine {
        let variables =
            std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect();
        Machine { variables, uid: dinit_sys::process::real_uid(), gid: dinit_sys::process::real_gid() }
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name.as_bytes()).map(|value| OsString::from_vec(value.clone()))
    }

    fn home(&self) -> Option<PathBuf> {
        address::home_of(self.uid, Path::new(address::PASSWD))
    }
}

/// What the loader is given.
pub(crate) struct Sources {
    pub(crate) host: SystemHost,
    pub(crate) directories: Vec<Vec<u8>>,
    pub(crate) variables: Variables,
    pub(crate) identity: Identity,
    /// What was wrong with the environment file.
    pub(crate) warnings: Vec<Vec<u8>>,
}

/// The main environment that is assumed.
#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<Vec<u8>, Vec<u8>>);

impl dinit_service::Variables for Variables {
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.get(name).map(|value| Cow::Borrowed(value.as_slice()))
    }
}

/// Finds out where everything comes from.
pub(crate) fn find(options: &Options, machine: &Machine) -> Result<Sources, Failure> {
    if options.is_online { online(options, machine) } else { offline(options, machine) }
}

fn offline(options: &Options, machine: &Machine) -> Result<Sources, Failure> {
    // In another root nothing of this machine is right: not its environment, and not who runs this program.
    let nothing = Machine { variables: BTreeMap::new(), uid: 0, gid: 0 };
    let (host, machine) = match &options.root {
        Some(root) => (SystemHost::below(root), &nothing),
        None => (SystemHost::new(), machine),
    };
    let is_system = is_system(options, machine);
    let directories = match options.directories.as_slice() {
        [] if is_system => directories::of_system(),
        // Whose home it would be is not known.
        [] if options.root.is_some() => directories::shared_by_users(),
        [] => {
            let home = machine.variable("HOME").or_else(|| machine.home().map(Into::into));
            let config_home = machine.variable("XDG_CONFIG_HOME");
            let bytes = |path: &OsString| path.as_bytes().to_vec();
            directories::of_user(
                config_home.as_ref().map(bytes).as_deref(),
                home.as_ref().map(bytes).as_deref(),
            )
        }
        given => given.to_vec(),
    };
    let (variables, warnings) = environment(options, is_system, &host, machine)?;
    Ok(Sources { host, directories, variables, identity: identity(machine), warnings })
}

/// Says whether the defaults are those of a system instance: for root they are unless somebody says otherwise.
fn is_system(options: &Options, machine: &Machine) -> bool {
    options.is_system.unwrap_or(machine.uid == 0)
}

fn identity(machine: &Machine) -> Identity {
    Identity { effective_uid: machine.uid, real_uid: machine.uid, real_gid: machine.gid }
}

/// Puts the environment together: this program's own with the file on top.
fn environment(
    options: &Options,
    is_system: bool,
    host: &SystemHost,
    machine: &Machine,
) -> Result<(Variables, Vec<Vec<u8>>), Failure> {
    let default = is_system.then_some(DEFAULT_ENVIRONMENT);
    let Some(path) = options.environment_file.as_deref().or(default) else {
        return Ok((Variables(machine.variables.clone()), Vec::new()));
    };
    let text = match host.read(path) {
        Ok(opened) => opened.text,
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => return Err(unreadable(path, error)),
    };
    let mut changes = Environment::new();
    let warnings = changes.apply_file(&text).into_iter().map(|(line, fault)| {
        let what = match fault {
            EnvironmentFault::Setting => "invalid environment variable setting in environment file ",
            EnvironmentFault::Command => "bad command in environment file ",
        };
        [what.as_bytes(), path, format!(" (line {line})").as_bytes()].concat()
    });
    let warnings = warnings.collect();
    let own = machine.variables.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    let composed = changes.compose(own);
    let variables = composed.into_iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    Ok((Variables(variables), warnings))
}

fn unreadable(path: &[u8], error: HostError) -> Failure {
    let message = error.message();
    Failure::Told([b"error reading environment file ".as_slice(), path, b": ", message.as_bytes()].concat())
}

fn online(options: &Options, machine: &Machine) -> Result<Sources, Failure> {
    let told = |text: &str| Failure::Told(text.as_bytes().to_vec());
    let instance = if is_system(options, machine) { Instance::System } else { Instance::User };
    let path = match &options.socket {
        Some(path) => Some(PathBuf::from(path)),
        None => address::socket_path(instance, |name| machine.variable(name), || machine.home()),
    };
    let path = path.ok_or_else(|| {
        told("cannot locate user home directory (set XDG_RUNTIME_DIR, HOME, check /etc/passwd file, or specify \
              socket path via -p)")
    })?;
    let mut connection = Connection::open(&path).map_err(|error| connection_failure(&error))?;
    let directories = match connection.request(&Request::QueryLoader) {
        Ok(Reply::Loader(loader)) => {
            let is_known = loader.mechanism == DIRECTORY_LOADER;
            let joined =
                loader.directories.iter().map(|directory| join(&loader.working_directory, directory));
            joined.collect::<Option<Vec<_>>>().filter(|_| is_known)
        }
        Ok(_) => None,
        Err(error) => return Err(connection_failure(&error)),
    };
    let directories =
        directories.ok_or_else(|| told("unable to retrieve service description directories"))?;
    let variables = match connection.request(&Request::QueryEnvironment) {
        Ok(Reply::Environment(text)) => variables_of(&text),
        Ok(_) => return Err(told("protocol error")),
        Err(error) => return Err(connection_failure(&error)),
    };
    let identity = identity(machine);
    Ok(Sources { host: SystemHost::new(), directories, variables, identity, warnings: Vec::new() })
}

/// Joins a directory to that of the daemon; a relative one is nowhere if that is unknown.
fn join(working_directory: &[u8], directory: &[u8]) -> Option<Vec<u8>> {
    match (directory.first(), working_directory) {
        (Some(b'/'), _) => Some(directory.to_vec()),
        (_, []) => None,
        _ => Some([working_directory, b"/", directory].concat()),
    }
}

fn variables_of(text: &[u8]) -> Variables {
    let entries = text.split(|&byte| byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|&byte| byte == b'=')?;
        let (name, value) = entry.split_at(equals);
        Some((name.to_vec(), value.get(1..).unwrap_or_default().to_vec()))
    });
    Variables(entries.collect())
}

/// Returns what is said about a connection that failed.
fn connection_failure(error: &ClientError) -> Failure {
    let text = match error {
        ClientError::Connect { path, cause } => {
            format!("connecting to socket {}: {}", path.display(), message(cause))
        }
        ClientError::ClientTooOld { .. } => "too old (daemon reports newer protocol version)".into(),
        ClientError::DaemonTooOld { .. } => "daemon too old or protocol error".into(),
        ClientError::Read(_) | ClientError::Closed | ClientError::TimedOut => {
            "control socket read failure or protocol error".into()
        }
        ClientError::Write(cause) => format!("control socket write error: {}", message(cause)),
        ClientError::Socket(_) | ClientError::Packet(_) | ClientError::Unexpected(_) => {
            "protocol error".into()
        }
    };
    Failure::Told(text.into_bytes())
}

fn message(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| HostError::open(errno).message())
}
