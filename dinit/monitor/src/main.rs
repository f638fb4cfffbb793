//! Runs a command whenever services or the environment of a dinit daemon change.
//!
//! Arguments become [`Options`](command_line::Options) (syntax only); [`watch`] then turns what the daemon sends
//! into commands, which [`command`] runs one at a time. Meanwhile news waits in the socket.

mod command;
mod command_line;
mod failure;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

use dinit_client::Connection;
use dinit_client::address::{self, Instance};

use command_line::{Options, Parsed};
use failure::Failure;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(OsString::into_vec);
    let result = match command_line::parse(arguments) {
        Ok(Parsed::Help(text)) => print(&text).map(|()| ExitCode::FAILURE),
        Ok(Parsed::Version(text)) => print(&text).map(|()| ExitCode::SUCCESS),
        Ok(Parsed::Run(options)) => run(&options).map(|()| ExitCode::SUCCESS),
        Err(failure) => Err(failure),
    };
    result.unwrap_or_else(|failure| {
        // Where the errors cannot be written either, the exit status must do.
        let _ = io::stderr().write_all(&failure.line());
        ExitCode::FAILURE
    })
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|_| Failure::Silent)
}

/// Does what the options say; comes back only after the one command that was asked for.
fn run(options: &Options) -> Result<(), Failure> {
    command::let_children_be_collected()?;
    let stream = Connection::connect(&socket_path(options)?)?;
    watch::watch(options, stream, &mut |words| command::run(words, &mut io::stderr()))
}

fn socket_path(options: &Options) -> Result<PathBuf, Failure> {
    if let Some(path) = &options.socket_path {
        return Ok(OsString::from_vec(path.clone()).into());
    }
    let uid = dinit_sys::process::real_uid();
    let instance = options.instance.unwrap_or(if uid == 0 { Instance::System } else { Instance::User });
    let home = || address::home_of(uid, address::PASSWD.as_ref());
    address::socket_path(instance, |name| std::env::var_os(name), home).ok_or(Failure::NoSocketPath)
}
