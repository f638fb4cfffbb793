//! The command line: from words to [`Options`], by one table that the help is made from as well.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `--services-dir`.
    pub(crate) directories: Vec<Vec<u8>>,
    /// `--online`.
    pub(crate) is_online: bool,
    /// `--socket-path`.
    pub(crate) socket: Option<OsString>,
    /// `--env-file`.
    pub(crate) environment_file: Option<Vec<u8>>,
    /// Whether the defaults are those of a system instance.
    pub(crate) is_system: bool,
    /// `--root`.
    pub(crate) root: Option<OsString>,
    /// `--format`.
    pub(crate) format: Format,
    /// The services to begin with.
    pub(crate) names: Vec<Vec<u8>>,
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// In the lines of the reference.
    Plain,
    /// With the quoted line, a marker and help.
    Text,
    /// As one JSON document.
    Json,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Print the help.
    Help,
    /// Check.
    Run(Options),
}

/// One option.
struct Flag {
    long: &'static str,
    short: Option<&'static str>,
    argument: Argument,
    help: &'static str,
    apply: fn(&mut Options, &OsStr) -> Result<(), String>,
}

/// Whether an option takes an argument.
enum Argument {
    None,
    /// It does: what it is called, and what is said if it is missing or empty.
    Required(&'static str, &'static str),
}

const FLAGS: &[Flag] = &[
    Flag {
        long: "--services-dir",
        short: Some("-d"),
        argument: Argument::Required("<dir>", "'--services-dir' (-d) requires an argument"),
        help: "look for service descriptions in this directory; can be given several times",
        apply: |options, value| {
            options.directories.push(value.as_bytes().to_vec());
            Ok(())
        },
    },
    Flag {
        long: "--online",
        short: Some("-n"),
        argument: Argument::None,
        help: "take service directories and environment from a running daemon",
        apply: |options, _| {
            options.is_online = true;
            Ok(())
        },
    },
    Flag {
        long: "--socket-path",
        short: Some("-p"),
        argument: Argument::Required("<socket>", "--socket-path/-p should be followed by socket path"),
        help: "the socket of the daemon, with --online",
        apply: |options, value| {
            options.socket = Some(value.to_owned());
            Ok(())
        },
    },
    Flag {
        long: "--env-file",
        short: Some("-e"),
        argument: Argument::Required("<file>", "--env-file/-e should be followed by environment file path"),
        help: "read the environment from this file",
        apply: |options, value| {
            options.environment_file = Some(value.as_bytes().to_vec());
            Ok(())
        },
    },
    Flag {
        long: "--system",
        short: Some("-s"),
        argument: Argument::None,
        help: "use the defaults of a system instance",
        apply: |options, _| {
            options.is_system = true;
            Ok(())
        },
    },
    Flag {
        long: "--user",
        short: Some("-u"),
        argument: Argument::None,
        help: "use the defaults of a user's instance",
        apply: |options, _| {
            options.is_system = false;
            Ok(())
        },
    },
    Flag {
        long: "--root",
        short: None,
        argument: Argument::Required("<dir>", "--root should be followed by a directory"),
        help: "check the services of the system below this directory; all paths, the environment file and the \
               users are those inside it",
        apply: |options, value| {
            options.root = Some(value.to_owned());
            Ok(())
        },
    },
    Flag {
        long: "--format",
        short: None,
        argument: Argument::Required("text|json", "--format should be followed by 'text' or 'json'"),
        help: "print the problems with the lines they are in and help, or as JSON",
        apply: |options, value| {
            options.format = match value.as_bytes() {
                b"text" => Format::Text,
                b"json" => Format::Json,
                _ => return Err(String::from("--format should be followed by 'text' or 'json'")),
            };
            Ok(())
        },
    },
];

/// Reads the command line; an error is what is to be said about it.
pub(crate) fn parse(arguments: &[OsString], uid: u32) -> Result<Parsed, String> {
    let mut options = Options {
        directories: Vec::new(),
        is_online: false,
        socket: None,
        environment_file: None,
        is_system: uid == 0,
        root: None,
        format: Format::Plain,
        names: Vec::new(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--help" {
            return Ok(Parsed::Help);
        }
        if !argument.as_bytes().starts_with(b"-") {
            options.names.push(argument.as_bytes().to_vec());
            continue;
        }
        let is_meant =
            |flag: &&Flag| argument == flag.long || flag.short.is_some_and(|short| argument == short);
        let flag = FLAGS.iter().find(is_meant).ok_or_else(|| {
            format!("unrecognized option: '{}' (use '--help' for help)", argument.to_string_lossy())
        })?;
        let value = match flag.argument {
            Argument::None => OsStr::new(""),
            Argument::Required(_, complaint) => {
                rest.next().filter(|value| !value.is_empty()).ok_or(complaint)?
            }
        };
        (flag.apply)(&mut options, value)?;
    }
    if options.is_online && options.root.is_some() {
        return Err(String::from("--online and --root exclude each other"));
    }
    if options.names.is_empty() {
        options.names.push(b"boot".to_vec());
    }
    Ok(Parsed::Run(options))
}

/// Returns the help text.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "dinit-check: check dinit service descriptions\n\
         usage: dinit-check [options] [service-name ...]\n \
         --help\n        display this help\n",
    );
    for flag in FLAGS {
        let argument = match flag.argument {
            Argument::None => String::new(),
            Argument::Required(name, _) => format!(" {name}"),
        };
        let short = flag.short.map(|short| format!(", {short}{argument}")).unwrap_or_default();
        text.push_str(&format!(" {}{argument}{short}\n        {}\n", flag.long, flag.help));
    }
    text.push_str(" <service-name>\n        check this service and those it refers to; without any, boot\n");
    text
}
