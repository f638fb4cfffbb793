//! Checks dinit service descriptions.
//!
//! The program presents what the loader's queued mode finds, and has no rule of its own. Arguments become
//! [`Options`](arguments::Options) (syntax only); [`sources`] finds out where descriptions and variables come
//! from; [`show`] prints the report.

mod arguments;
mod show;
mod sources;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use arguments::{Format, Parsed};
use dinit_load::Loader;
use dinit_load::check::{self, check};
use sources::{Machine, Sources};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut out = BufWriter::new(io::stdout());
    let code = run(&arguments, &Machine::real(), &mut out, &mut io::stderr());
    match out.flush() {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(1),
    }
}

/// Does what the arguments say, and gives the exit status.
fn run(arguments: &[OsString], machine: &Machine, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match arguments::parse(arguments) {
        Ok(Parsed::Help) => match out.write_all(arguments::help().as_bytes()) {
            Ok(()) => 0,
            Err(_) => 1,
        },
        Ok(Parsed::Run(options)) => match carry_out(&options, machine, out, err) {
            Ok(code) => code,
            Err(Failure::Told(text)) => complain(err, &text),
            Err(Failure::Output(error)) => {
                complain(err, format!("cannot write the report: {error}").as_bytes())
            }
        },
        Err(text) => complain(err, text.as_bytes()),
    }
}

/// Why nothing could be checked.
#[derive(Debug)]
enum Failure {
    /// What is to be said about it, without the name of the program.
    Told(Vec<u8>),
    /// The report could not be written.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

fn carry_out(
    options: &arguments::Options,
    machine: &Machine,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let Sources { host, directories, variables, identity, warnings } = sources::find(options, machine)?;
    for warning in warnings {
        err.write_all(&[b"dinit-check: warning: ".as_slice(), &warning, b"\n"].concat())?;
    }
    let loader = Loader { host: &host, directories: &directories, variables: &variables, identity };
    let how = check::Options { warns_of_variables: !options.is_online, ..Default::default() };
    let report = check(&loader, &options.names, how);
    match options.format {
        Format::Plain => show::plain(&report, out, err)?,
        Format::Text => show::text(&report, out, err)?,
        Format::Json => show::json(&report, out)?,
    }
    Ok(if report.is_clean() { 0 } else { 1 })
}

/// Says what is wrong with the call itself.
fn complain(err: &mut dyn Write, text: &[u8]) -> u8 {
    // If even this cannot be written there is nobody to tell.
    let _ = err.write_all(&[b"dinit-check: ".as_slice(), text, b"\n"].concat());
    1
}
