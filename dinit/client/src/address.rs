//! Where the socket of a daemon is.
//!
//! Functions of what is passed in: none reads the environment by itself, so that a program decides and a test
//! can say what is there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The socket of the system's daemon.
pub const SYSTEM_SOCKET: &str = "/run/dinitctl";

/// The file with the users of the system.
pub const PASSWD: &str = "/etc/passwd";

/// Which of two daemons is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instance {
    /// The one that runs the system.
    System,
    /// The one that runs a user's own services.
    User,
}

/// Gives the path at which a client finds the socket if none was given on its command line.
///
/// `variable` gives the value of an environment variable; `DINIT_SOCKET_PATH` counts before anything else, even
/// if it is empty. `home` is asked only if the environment does not say where the home directory is; none is
/// returned if that does not know either.
pub fn socket_path(
    instance: Instance,
    variable: impl Fn(&str) -> Option<OsString>,
    home: impl FnOnce() -> Option<PathBuf>,
) -> Option<PathBuf> {
    if let Some(path) = variable("DINIT_SOCKET_PATH") {
        return Some(path.into());
    }
    match instance {
        Instance::System => Some(SYSTEM_SOCKET.into()),
        Instance::User => match variable("XDG_RUNTIME_DIR") {
            Some(directory) => Some(joined(directory, "/dinitctl")),
            None => Some(joined(variable("HOME").or_else(|| home().map(Into::into))?, "/.dinitctl")),
        },
    }
}

/// Gives the number of the descriptor that `DINIT_CS_FD` names: the decimal number at its beginning.
///
/// None if there is no number, in which case a client uses the path of the socket.
pub fn passed_descriptor(value: &OsStr) -> Option<i32> {
    let text = value.as_bytes().trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number: i32 = std::str::from_utf8(&digits[..length]).ok()?.parse().ok()?;
    Some(if negative { -number } else { number })
}

/// Looks up the home directory of a user in a file like [`PASSWD`].
pub fn home_of(uid: u32, passwd: &Path) -> Option<PathBuf> {
    let users = fs::read(passwd).ok()?;
    let home = users.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [_name, _password, id, _group, _comment, home, ..] = fields[..] else { return None };
        let id: u32 = std::str::from_utf8(id).ok()?.parse().ok()?;
        (id == uid && !home.is_empty()).then_some(home)
    })?;
    Some(PathBuf::from(OsString::from_vec(home.to_vec())))
}

/// Appends a file name without adding a slash: an empty directory gives a path in the root directory.
fn joined(mut directory: OsString, file: &str) -> PathBuf {
    directory.push(file);
    directory.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(instance: Instance, variables: &[(&str, &str)], home: Option<&str>) -> Option<PathBuf> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        socket_path(instance, variable, || home.map(Into::into))
    }

    #[test]
    fn the_variable_with_the_path_counts_before_anything_else() {
        let variables = [("DINIT_SOCKET_PATH", ""), ("XDG_RUNTIME_DIR", "/run/user/7")];
        assert_eq!(path(Instance::User, &variables, None), Some("".into()));
        assert_eq!(path(Instance::System, &variables, None), Some("".into()));
    }

    #[test]
    fn the_socket_of_a_user_is_in_the_runtime_directory_or_else_at_home() {
        let both = [("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/home/a")];
        assert_eq!(path(Instance::User, &both, None), Some("/run/user/7/dinitctl".into()));
        assert_eq!(path(Instance::User, &both[1..], None), Some("/home/a/.dinitctl".into()));
        assert_eq!(path(Instance::User, &[("XDG_RUNTIME_DIR", "")], None), Some("/dinitctl".into()));
        assert_eq!(path(Instance::User, &[], Some("/home/b")), Some("/home/b/.dinitctl".into()));
        assert_eq!(path(Instance::User, &[], None), None);
        assert_eq!(path(Instance::System, &both, None), Some(SYSTEM_SOCKET.into()));
    }

    #[test]
    fn a_passed_descriptor_is_the_number_at_the_beginning() {
        for (text, number) in [("7", Some(7)), (" 12x", Some(12)), ("-1", Some(-1)), ("+3", Some(3))] {
            assert_eq!(passed_descriptor(OsStr::new(text)), number, "{text}");
        }
        for text in ["", "zz", "-", "x7", "99999999999"] {
            assert_eq!(passed_descriptor(OsStr::new(text)), None, "{text}");
        }
    }

    #[test]
    fn a_home_is_found_by_the_number_of_its_user() {
        let directory = tempfile::tempdir().unwrap();
        let passwd = directory.path().join("passwd");
        fs::write(
            &passwd,
            "root:x:0:0::/root:/bin/sh\nbroken\nnobody:x:65534:65534:::\na:x:7:7:,,:/home/a:\n",
        )
        .unwrap();
        assert_eq!(home_of(7, &passwd), Some("/home/a".into()));
        assert_eq!(home_of(0, &passwd), Some("/root".into()));
        assert_eq!(home_of(65534, &passwd), None);
        assert_eq!(home_of(8, &passwd), None);
    }
}
