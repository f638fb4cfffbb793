//! Controls a dinit daemon.
//!
//! Arguments become an [`Invocation`](command_line::Invocation) (syntax only), which is then carried out against
//! a [`Host`](host::Host) and an [`Output`](output::Output); this file gives both the real ones.

mod command;
mod command_line;
mod descriptions;
mod host;
mod output;
mod session;
mod status;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use command_line::Parsed;
use host::Host;
use output::Output;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (mut out, mut err) = (BufWriter::new(io::stdout()), io::stderr());
    ExitCode::from(run(&arguments, &Host::real(), &mut out, &mut err))
}

/// Does what the arguments say, and gives the exit status.
fn run(arguments: &[std::ffi::OsString], host: &Host, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut output = Output::new(out, err);
    let result = match command_line::parse(arguments) {
        Ok(Parsed::Text(text)) => output.print(&text).map(|()| 0),
        Ok(Parsed::Run(invocation)) => {
            output.set_quiet(invocation.general.quiet);
            output.set_json(invocation.general.json);
            command::run(&invocation, host, &mut output)
        }
        Err(failure) => Err(failure),
    };
    output.finish(result)
}

#[cfg(test)]
mod tests;
