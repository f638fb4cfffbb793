//! `dinit-when`: runs a command when somebody at the machine asks for it.
//!
//! ```text
//! dinit-when console NUMBER COMMAND...     becomes COMMAND as soon as virtual console NUMBER is shown
//! dinit-when power-key FOLDER COMMAND...   runs COMMAND whenever a power key is pressed
//! ```
//!
//! What nobody has asked for yet costs a small process that sleeps: a getty on a console that is never shown has four
//! times the private memory (224 KiB to 56 KiB), and its start holds up those that somebody looks at.

mod power_key;

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use dinit_options::dinit_when::{COMMANDS, OPTIONS, Verb};
use dinit_options::{find, help as described};
use dinit_sys::terminal;

/// The kernel has no more virtual consoles (MAX_NR_CONSOLES).
const LAST_CONSOLE: u8 = 63;
/// Whichever virtual console is shown (console_ioctl(2)).
const SHOWN: &str = "/dev/tty0";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let outcome = match words.as_slice() {
        [word, what, command @ ..] if !command.is_empty() => match verb(word) {
            Some(Verb::Console) => console(what, command),
            Some(Verb::PowerKey) => power_key::watch(Path::new(what), command),
            None => Err(wrong_arguments()),
        },
        [word] if find(OPTIONS, word.as_encoded_bytes()).is_some() => {
            return match write!(std::io::stdout(), "{}", help()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        _ => Err(wrong_arguments()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Standard error is all there is to complain to.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "dinit-when: {}", message.trim_end());
}

fn wrong_arguments() -> String {
    format!("wrong arguments\n{}", help())
}

/// Gives what a first word asks for, if it is a command.
fn verb(word: &OsStr) -> Option<Verb> {
    COMMANDS.iter().find(|(_, command)| command.word == word).map(|(verb, _)| *verb)
}

/// Gives the help text.
fn help() -> String {
    let commands = COMMANDS.iter().map(|(_, command)| command);
    let mut text = format!("Usage:\n{}\n", described::commands("dinit-when", commands.clone()));
    for command in commands {
        text.push_str(&format!("    {:<11}{}\n", command.word, command.help));
    }
    text
}

/// Becomes the command when the virtual console is shown.
fn console(number: &OsStr, command: &[&OsStr]) -> Result<(), String> {
    let shown = number.to_string_lossy();
    let number =
        shown.parse().ok().filter(|number| (1..=LAST_CONSOLE).contains(number)).ok_or_else(|| {
            format!("`{shown}` is not the number of a virtual console (1 to {LAST_CONSOLE})")
        })?;
    // The keyboard does not switch to a console that nobody has ever opened, and one that is open is not given to
    // those who ask for a free one, as display servers do (VT_OPENQRY). It is closed when the command is executed.
    let _taken = open(&format!("/dev/tty{number}"))?;
    terminal::wait_until_shown(open(SHOWN)?, number)
        .map_err(|error| format!("cannot wait for console {number}: {error}"))?;
    let [program, arguments @ ..] = command else { return Err(wrong_arguments()) };
    let error = Command::new(program).args(arguments).exec();
    Err(format!("cannot execute `{}`: {error}", program.to_string_lossy()))
}

/// Opens a terminal without making it this session's.
fn open(path: &str) -> Result<File, String> {
    let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| format!("cannot open `{path}`: {error}"))
}
