//! What the name and the arguments ask for.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use dinit_options::shutdown::{Flag, OPTIONS};
use dinit_options::{find, help as described, rows};
use dinit_protocol::ShutdownKind;

/// What stands before each of the program's names, chosen when it is built.
const PREFIX: &str = match option_env!("DINIT_SHUTDOWN_PREFIX") {
    Some(prefix) => prefix,
    None => "",
};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// To be told what can be asked for.
    Help,
    /// Something that does not exist.
    Unknown(String),
    /// A shutdown.
    Shutdown { kind: ShutdownKind, role: Role },
}

/// How to go about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// By asking the daemon.
    Client { use_passed_descriptor: bool },
    /// By doing it.
    Executor,
}

/// Gives the last part of the path that the program was called by.
pub(crate) fn base_name(program: &OsStr) -> String {
    Path::new(program).file_name().unwrap_or(OsStr::new("shutdown")).to_string_lossy().into_owned()
}

/// Finds out what is asked for. An option that does not exist counts most, then help.
pub(crate) fn parse(name: &str, arguments: impl Iterator<Item = OsString>) -> Request {
    let mut kind = match name.strip_prefix(PREFIX) {
        Some("reboot") => ShutdownKind::Reboot,
        Some("soft-reboot") => ShutdownKind::SoftReboot,
        _ => ShutdownKind::PowerOff,
    };
    let (mut help, mut system, mut use_passed_descriptor) = (false, false, false);
    for argument in arguments {
        let argument = argument.to_string_lossy();
        if !argument.starts_with('-') {
            help = true;
            continue;
        }
        match find(OPTIONS, argument.as_bytes()).map(|(flag, _)| flag) {
            Some(Flag::Help) => return Request::Help,
            Some(Flag::Reboot) => kind = ShutdownKind::Reboot,
            Some(Flag::SoftReboot) => kind = ShutdownKind::SoftReboot,
            Some(Flag::Halt) => kind = ShutdownKind::Halt,
            Some(Flag::PowerOff) => kind = ShutdownKind::PowerOff,
            Some(Flag::Kexec) => kind = ShutdownKind::Kexec,
            Some(Flag::UsePassedDescriptor) => use_passed_descriptor = true,
            Some(Flag::System) => system = true,
            None => return Request::Unknown(argument.into_owned()),
        }
    }
    match (help, system) {
        (true, _) => Request::Help,
        (false, true) => Request::Shutdown { kind, role: Role::Executor },
        (false, false) => Request::Shutdown { kind, role: Role::Client { use_passed_descriptor } },
    }
}

/// Gives the help text.
pub(crate) fn help(name: &str) -> String {
    format!("{name} :   shutdown the system\n{}", described::options(rows(OPTIONS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Request {
        let mut words = words.split(' ');
        let name = base_name(OsStr::new(words.next().unwrap()));
        parse(&name, words.map(OsString::from))
    }

    fn by_client(kind: ShutdownKind) -> Request {
        Request::Shutdown { kind, role: Role::Client { use_passed_descriptor: false } }
    }

    #[test]
    fn the_name_decides_what_happens_unless_an_option_does() {
        for (words, kind) in [
            ("shutdown", ShutdownKind::PowerOff),
            ("/usr/sbin/reboot", ShutdownKind::Reboot),
            ("soft-reboot", ShutdownKind::SoftReboot),
            ("halt", ShutdownKind::PowerOff),
            ("poweroff", ShutdownKind::PowerOff),
            ("reboot -p", ShutdownKind::PowerOff),
            ("shutdown -r", ShutdownKind::Reboot),
            ("shutdown -h", ShutdownKind::Halt),
            ("shutdown -s", ShutdownKind::SoftReboot),
            ("shutdown -k", ShutdownKind::Kexec),
            ("shutdown -r -h", ShutdownKind::Halt),
        ] {
            assert_eq!(asked(words), by_client(kind), "{words}");
        }
    }

    #[test]
    fn a_word_that_is_no_option_gives_help_and_does_nothing() {
        assert_eq!(asked("shutdown --help"), Request::Help);
        assert_eq!(asked("shutdown now"), Request::Help);
        assert_eq!(asked("shutdown --system now"), Request::Help);
        assert_eq!(asked("shutdown now -r"), Request::Help);
        assert_eq!(asked("shutdown --help -x"), Request::Help);
    }

    #[test]
    fn an_unknown_option_is_named_even_behind_a_word() {
        assert_eq!(asked("shutdown -x"), Request::Unknown("-x".into()));
        assert_eq!(asked("shutdown now -rp"), Request::Unknown("-rp".into()));
    }

    #[test]
    fn the_role_is_chosen_by_options() {
        let executor = Request::Shutdown { kind: ShutdownKind::Reboot, role: Role::Executor };
        assert_eq!(asked("shutdown --system -r"), executor);
        let passed = Role::Client { use_passed_descriptor: true };
        let client = Request::Shutdown { kind: ShutdownKind::PowerOff, role: passed };
        assert_eq!(asked("halt --use-passed-cfd"), client);
    }

    #[test]
    fn help_begins_with_the_name_and_has_every_option() {
        let text = help("reboot");
        assert!(text.starts_with("reboot :   shutdown the system\n  --help           : show this help\n"));
        for spelling in rows(OPTIONS).iter().flat_map(|option| option.spellings) {
            assert!(text.contains(&format!("  {spelling} ")), "{spelling}");
        }
    }
}
