//! Finds the description of a service and reads it, with what it includes.

use dinit_service::environment::Layered;
use dinit_service::{
    At, Environment, FileId, IncludeFault, Parsed, Place, Problem, ServiceDescription, ServiceName, Source,
    Sources, Variables, parse,
};

use crate::exec::Origin;
use crate::{Host, HostError, Identity, Opened};

/// What reading needs: the world, where descriptions are, and the daemon's environment.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) directories: &'a [Vec<u8>],
    pub(crate) variables: &'a dyn Variables,
    pub(crate) identity: Identity,
}

/// A description as it was read.
pub(crate) struct Read {
    pub(crate) parsed: Parsed,
    pub(crate) origin: Origin,
    /// The real directory of each file, by its id.
    directories: Vec<Vec<u8>>,
}

/// Why there is no description.
pub(crate) enum ReadError {
    /// No directory has it.
    NotFound,
    /// This path cannot be opened.
    Unopened(Vec<u8>, HostError),
    /// This file was found and cannot be read.
    Unreadable(Vec<u8>, HostError),
}

impl ReadError {
    /// Returns the text of the reference for a path and its error.
    pub(crate) fn text(&self) -> Option<Vec<u8>> {
        match self {
            ReadError::NotFound => None,
            ReadError::Unopened(path, error) | ReadError::Unreadable(path, error) => {
                Some([path.as_slice(), b": ", error.message().as_bytes()].concat())
            }
        }
    }
}

impl Reader<'_> {
    /// Finds and reads the description of a service.
    pub(crate) fn read(&self, name: &ServiceName) -> Result<Read, ReadError> {
        let (directory, path, opened) = self.find(name.base())?;
        let origin = Origin { directory, modified: opened.modified };
        let mut includes = Includes { host: self.host, directories: vec![opened.directory] };
        let source = Source::new(path, opened.text);
        let parsed = parse(name, source, self.variables, &mut includes);
        Ok(Read { parsed, origin, directories: includes.directories })
    }

    /// Opens the first description of this base name: its service directory, its path and its content.
    pub(crate) fn find(&self, base: &[u8]) -> Result<(Vec<u8>, Vec<u8>, Opened), ReadError> {
        let mut first_error = None;
        for directory in self.directories {
            let path = under(directory, base);
            match self.host.read(&path) {
                Ok(opened) => return Ok((directory.clone(), path, opened)),
                Err(error) if error.is_missing() => {}
                Err(error) if error.stage == crate::Stage::Read => {
                    return Err(ReadError::Unreadable(path, error));
                }
                Err(error) => {
                    first_error.get_or_insert(ReadError::Unopened(path, error));
                }
            }
        }
        Err(first_error.unwrap_or(ReadError::NotFound))
    }

    /// Puts together what a service adds to the environment, from what its load options and files say.
    ///
    /// The problems come in the order of the reference, which stops at the first.
    pub(crate) fn environment(&self, name: &ServiceName, read: &Read) -> (Environment, Vec<Problem>) {
        let mut environment = Environment::new();
        let mut problems = Vec::new();
        let description = &read.parsed.description;
        if description.export_passwd_vars
            && let Err(text) = self.export_user(description, &mut environment)
        {
            let place = read.parsed.places.get("load-options").copied();
            problems.push(Problem::plain(text).with_place(place));
        }
        if description.export_service_name {
            environment.set(b"DINIT_SERVICE", name.base());
        }
        if let Some(file) = &description.env_file
            && let Err(error) = self.apply_env_file(file, read, &mut environment)
        {
            let message = error.message();
            let prefix = b"could not load environment file: ".as_slice();
            let text = [prefix, &file.value, b": ", message.as_bytes()].concat();
            problems.push(Problem {
                setting: Some("env-file"),
                ..Problem::plain(text).with_place(Some(file.place))
            });
        }
        (environment, problems)
    }

    fn export_user(
        &self,
        description: &ServiceDescription,
        environment: &mut Environment,
    ) -> Result<(), String> {
        let inaccessible = |error: HostError| format!("error accessing user database: {error}");
        let user = match &description.run_as {
            Some(dinit_service::value::User::Name(name)) => self.host.user(name).map_err(inaccessible)?,
            Some(dinit_service::value::User::Id(uid)) => Some(self.user_by_id(*uid)?),
            None => Some(self.user_by_id(self.identity.effective_uid)?),
        };
        let Some(user) = user else { return Ok(()) };
        environment.set(b"USER", &user.name);
        environment.set(b"LOGNAME", &user.name);
        environment.set(b"HOME", &user.home);
        environment.set(b"SHELL", &user.shell);
        environment.set(b"UID", user.uid.to_string().as_bytes());
        environment.set(b"GID", user.gid.to_string().as_bytes());
        Ok(())
    }

    fn user_by_id(&self, uid: u32) -> Result<crate::User, String> {
        match self.host.user_by_id(uid) {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(format!("user id '{uid}' does not exist in system database")),
            Err(error) => Err(format!("error accessing user database: {error}")),
        }
    }

    fn apply_env_file(
        &self,
        file: &At<Vec<u8>>,
        read: &Read,
        environment: &mut Environment,
    ) -> Result<(), HostError> {
        let directory = read.real_directory(file.place);
        let opened = self.host.read(&join(directory, &file.value))?;
        environment.apply_file(&opened.text);
        Ok(())
    }

    /// Substitutes what waits for the service's environment; the problems carry the place of their setting.
    pub(crate) fn substitute(
        &self,
        name: &ServiceName,
        read: &mut Read,
        environment: &Environment,
    ) -> Vec<Problem> {
        let layered = Layered { environment, parent: self.variables };
        let faults = read.parsed.description.substitute(&layered, name.argument());
        let places = &read.parsed.places;
        let problem = |(setting, error): (&'static str, dinit_service::SubstitutionError)| Problem {
            layout: dinit_service::Layout::Setting,
            setting: Some(setting),
            ..Problem::plain(error.text()).with_help(error.help()).with_place(places.get(setting).copied())
        };
        faults.into_iter().map(problem).collect()
    }
}

impl Read {
    fn real_directory(&self, place: Place) -> &[u8] {
        self.directories.get(place.file.index()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The files that a description includes, relative to the real directory of the one that includes them.
struct Includes<'a> {
    host: &'a dyn Host,
    directories: Vec<Vec<u8>>,
}

impl Sources for Includes<'_> {
    fn include(&mut self, includer: FileId, included: FileId, path: &[u8]) -> Result<Vec<u8>, IncludeFault> {
        let directory = self.directories.get(includer.index()).map(Vec::as_slice).unwrap_or_default();
        let opened =
            if path.is_empty() { Err(HostError::MISSING) } else { self.host.read(&join(directory, path)) };
        let opened = opened.map_err(|error| IncludeFault {
            is_missing: error.is_missing(),
            is_unopened: error.stage == crate::Stage::Open,
            message: error.message(),
        })?;
        self.directories.resize(included.index(), Vec::new());
        self.directories.push(opened.directory);
        Ok(opened.text)
    }
}

/// Joins a path to a directory; an absolute path stays as it is.
pub(crate) fn join(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.first() == Some(&b'/') { path.to_vec() } else { under(directory, path) }
}

/// Appends a path to a directory, even if it looks absolute, with a slash between them unless there is one.
pub(crate) fn under(directory: &[u8], path: &[u8]) -> Vec<u8> {
    match directory.last() {
        None | Some(b'/') => [directory, path].concat(),
        Some(_) => [directory, b"/", path].concat(),
    }
}
