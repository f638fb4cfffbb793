//! The `mkimage` program: hands over to the sandbox if it is that, else to the command line.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use mkimage::{cli, world};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == mkimage_configure::SANDBOX_ARGUMENT) {
        return mkimage_configure::sandbox_main(arguments);
    }
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nowhere to complain when standard error itself is gone.
            let _ = writeln!(std::io::stderr(), "{}", shown(&error));
            if error.is::<world::Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// An error with its causes. A diagnostic has its own form, which starts with the place.
fn shown(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let is_diagnostic = text.lines().next().is_some_and(|line| line.contains(": error: "));
    if is_diagnostic { text } else { format!("mkimage: {text}") }
}
