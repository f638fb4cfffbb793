//! shutdown, halt, poweroff, reboot and soft-reboot for dinit, in one program that looks at its name.
//!
//! It has two roles. As a *client* it asks the daemon of the system to shut down, and sleeps until that happens to
//! it too. As the *executor*, which the daemon becomes at the very end, it ends what still runs, turns swap off,
//! unmounts, and has the kernel do the rest.

mod client;
mod command_line;
mod executor;

use std::io;
use std::process::ExitCode;

use command_line::{Request, Role};
use executor::{Ending, RealMachine};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = command_line::base_name(&arguments.next().unwrap_or_default());
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let ending = match command_line::parse(&name, arguments) {
        Request::Help => client::print(&mut out, &command_line::help(&name)).map(|()| Ending::Exit(1)),
        Request::Unknown(option) => {
            let line = format!("Unrecognized command-line parameter: {option}\n");
            client::print(&mut err, &line).map(|()| Ending::Exit(1))
        }
        Request::Shutdown { kind, role: Role::Executor } => {
            Ok(executor::execute(kind, &mut RealMachine::new()))
        }
        Request::Shutdown { kind, role: Role::Client { use_passed_descriptor } } => {
            client::run(kind, &client::Host::real(use_passed_descriptor), &mut out, &mut err)
        }
    };
    match ending {
        Ok(Ending::Exit(status)) => ExitCode::from(status),
        Ok(Ending::Sleep) => loop {
            std::thread::park();
        },
        Err(_) => ExitCode::FAILURE,
    }
}
