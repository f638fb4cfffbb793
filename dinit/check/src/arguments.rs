//! The command line: from words to [`Options`], by the table that help, manual and completions are made from.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use dinit_options::dinit_check::{FORMAT_MISSING, Flag, OPTIONS};
use dinit_options::{find, help as described, rows};

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
    /// Whether the defaults are those of a system instance, if that was said.
    pub(crate) is_system: Option<bool>,
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

/// Reads the command line; an error is what is to be said about it.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Parsed, String> {
    let mut options = Options {
        directories: Vec::new(),
        is_online: false,
        socket: None,
        environment_file: None,
        is_system: None,
        root: None,
        format: Format::Plain,
        names: Vec::new(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if !argument.as_bytes().starts_with(b"-") {
            options.names.push(argument.as_bytes().to_vec());
            continue;
        }
        let (flag, row) = find(OPTIONS, argument.as_bytes()).ok_or_else(|| {
            format!("unrecognized option: '{}' (use '--help' for help)", argument.to_string_lossy())
        })?;
        let value = match row.argument {
            None => OsString::new(),
            Some(wanted) => rest.next().filter(|value| !value.is_empty()).ok_or(wanted.missing)?.clone(),
        };
        match flag {
            Flag::Help => return Ok(Parsed::Help),
            Flag::ServiceDirectory => options.directories.push(value.into_vec()),
            Flag::Online => options.is_online = true,
            Flag::SocketPath => options.socket = Some(value),
            Flag::EnvironmentFile => options.environment_file = Some(value.into_vec()),
            Flag::System => options.is_system = Some(true),
            Flag::User => options.is_system = Some(false),
            Flag::Root => options.root = Some(value),
            Flag::Format => {
                options.format = match value.as_bytes() {
                    b"text" => Format::Text,
                    b"json" => Format::Json,
                    _ => return Err(FORMAT_MISSING.into()),
                };
            }
        }
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
    format!(
        "dinit-check: check dinit service descriptions\n\nUsage:\n    dinit-check [options] [service-name ...]\n\n\
         Checks the services named and those they refer to; without any, boot.\n\nOptions:\n{}",
        described::options(rows(OPTIONS))
    )
}
