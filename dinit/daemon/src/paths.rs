//! Where things are: service directories, the control socket, programs, the base of control groups.

use crate::options::Options;
use dinit_load::directories;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The control socket of the system instance.
pub(crate) const SYSTEM_SOCKET: &str = "/run/dinitctl";

/// The program that ends the machine.
pub(crate) const SHUTDOWN: &str = match option_env!("DINIT_SHUTDOWN_PROGRAM") {
    Some(path) => path,
    None => "/sbin/shutdown",
};

/// This program, for a soft reboot.
pub(crate) const DINIT: &str = match option_env!("DINIT_OWN_PROGRAM") {
    Some(path) => path,
    None => "/sbin/dinit",
};

/// The environment file that the system manager reads if it is there.
pub(crate) const DEFAULT_ENVIRONMENT: &str = "/etc/dinit/environment";

/// The socket of the system log.
pub(crate) const SYSLOG: &str = "/dev/log";

/// What the process environment says about places.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// `XDG_CONFIG_HOME`.
    pub(crate) config_home: Option<OsString>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_directory: Option<OsString>,
    /// `HOME`, or what the user database has for the real user.
    pub(crate) home: Option<OsString>,
}

impl Surroundings {
    /// Looks at the process environment; `database_home` is asked only without `HOME`.
    pub(crate) fn of_process(database_home: impl FnOnce() -> Option<Vec<u8>>) -> Self {
        Self {
            config_home: std::env::var_os("XDG_CONFIG_HOME"),
            runtime_directory: std::env::var_os("XDG_RUNTIME_DIR"),
            home: std::env::var_os("HOME").or_else(|| database_home().map(OsString::from_vec)),
        }
    }
}

/// Gives the service directories in the order in which they are searched.
pub(crate) fn service_directories(options: &Options, around: &Surroundings) -> Vec<Vec<u8>> {
    if !options.directories.is_empty() {
        return options.directories.clone();
    }
    if options.system {
        return directories::of_system();
    }
    let bytes = |path: &Option<OsString>| path.as_ref().map(|path| path.as_bytes().to_vec());
    directories::of_user(bytes(&around.config_home).as_deref(), bytes(&around.home).as_deref())
}

/// Gives the path of the control socket.
pub(crate) fn control_socket(options: &Options, around: &Surroundings) -> Vec<u8> {
    if let Some(path) = &options.socket_path {
        return path.clone();
    }
    let system = || SYSTEM_SOCKET.as_bytes().to_vec();
    if options.system {
        return system();
    }
    match (&around.runtime_directory, &around.home) {
        (Some(directory), _) => [directory.as_bytes(), b"/dinitctl"].concat(),
        (None, Some(home)) => [home.as_bytes(), b"/.dinitctl"].concat(),
        (None, None) => system(),
    }
}

/// Finds the base of relative control groups in the text of `/proc/self/cgroup`.
///
/// # Errors
/// The warning to be logged.
pub(crate) fn cgroup_base(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(if text.is_empty() {
            "Could not determine cgroup root path"
        } else {
            "In multiple cgroups, cannot determine cgroup root path"
        });
    };
    let path = line.splitn(3, |&byte| byte == b':').nth(2).and_then(|path| path.strip_prefix(b"/"));
    path.map(<[u8]>::to_vec).ok_or("Could not determine cgroup root path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Caller, Invocation, parse};

    fn options(words: &[&str]) -> Options {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        match parse(&words, Caller { is_process_one: false, is_root: false }, |_| true) {
            Ok(Invocation::Run(options)) => *options,
            other => panic!("{other:?}"),
        }
    }

    fn around(config: Option<&str>, runtime: Option<&str>, home: Option<&str>) -> Surroundings {
        let own = |text: Option<&str>| text.map(OsString::from);
        Surroundings { config_home: own(config), runtime_directory: own(runtime), home: own(home) }
    }

    fn text(paths: Vec<Vec<u8>>) -> Vec<String> {
        paths.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn a_user_instance_searches_its_own_directories_first() {
        let found = service_directories(&options(&[]), &around(Some("/c/"), None, Some("/h")));
        let expected = [
            "/c/dinit.d",
            "/h/.config/dinit.d",
            "/etc/dinit.d/user",
            "/usr/lib/dinit.d/user",
            "/usr/local/lib/dinit.d/user",
        ];
        assert_eq!(text(found), expected);
        let found = service_directories(&options(&[]), &around(Some("/h/.config"), None, Some("/h")));
        assert_eq!(found.len(), 4);
        let found = service_directories(&options(&[]), &around(Some(""), None, Some("")));
        assert_eq!(text(found), directories::SYSTEM);
        assert_eq!(text(service_directories(&options(&["-d", "x"]), &around(None, None, None))), ["x"]);
    }

    #[test]
    fn the_control_socket_lies_where_clients_look_for_it() {
        let socket =
            |words: &[&str], around| String::from_utf8(control_socket(&options(words), &around)).unwrap();
        assert_eq!(socket(&[], around(None, Some("/run/u"), Some("/h"))), "/run/u/dinitctl");
        assert_eq!(socket(&[], around(None, Some(""), Some("/h"))), "/dinitctl");
        assert_eq!(socket(&[], around(None, None, Some("/h"))), "/h/.dinitctl");
        assert_eq!(socket(&[], around(None, None, None)), SYSTEM_SOCKET);
        assert_eq!(socket(&["-s"], around(None, Some("/run/u"), Some("/h"))), SYSTEM_SOCKET);
        assert_eq!(socket(&["-p", "s"], around(None, Some("/run/u"), None)), "s");
    }

    #[test]
    fn the_base_of_control_groups_is_what_follows_the_second_colon() {
        assert_eq!(cgroup_base(b"0::/user.slice/x:y\n"), Ok(b"user.slice/x:y".to_vec()));
        assert_eq!(cgroup_base(b"0::/\n"), Ok(Vec::new()));
        assert_eq!(cgroup_base(b"0::x\n"), Err("Could not determine cgroup root path"));
        assert_eq!(cgroup_base(b"nonsense\n"), Err("Could not determine cgroup root path"));
        assert_eq!(
            cgroup_base(b"1:a:/\n0::/\n"),
            Err("In multiple cgroups, cannot determine cgroup root path")
        );
    }
}
