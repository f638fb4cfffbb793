//! `dinit-ready`: starts a daemon and tells dinit when it is ready.
//!
//! dinit learns of readiness from a pipe (`ready-notification = pipefd:N`); daemons show it in other ways.
//! This program stands in front of the daemon's command:
//!
//! ```text
//! dinit-ready notify N COMMAND...        the daemon sends READY=1 as sd_notify(3) describes
//! dinit-ready socket N PATH COMMAND...   the daemon is ready once its socket accepts
//! dinit-ready pidfile N PATH COMMAND...  the daemon is ready once it has written its pid file
//! ```
//!
//! It becomes the daemon: the process that dinit supervises is the daemon itself. What watches for readiness
//! is a process of its own that belongs to dinit, not to the daemon, which would not expect a child. It ends
//! when the daemon is ready or gone; in the latter case the pipe closes unwritten and the start has failed.

mod watch;

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use dinit_options::dinit_ready::{COMMANDS, OPTIONS, Verb};
use dinit_options::{find, help as described};
use dinit_sys::descriptor;

/// The watcher's own first word; what follows is the daemon's pid and what to watch.
const WATCH: &str = "--watch";
/// The word of the process in between, whose end leaves the watcher to dinit.
const DETACH: &str = "--detach";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let outcome = match words.first().and_then(|word| word.to_str()) {
        Some(WATCH) => watch::run(&words[1..]),
        Some(DETACH) => {
            own_command(WATCH).and_then(|mut it| it.args(&words[1..]).spawn().map(drop).map_err(text))
        }
        Some(word) => match (verb(word), words.len()) {
            (Some(Verb::Notify), 3..) => notify(words[1], &words[2..]),
            (Some(Verb::Socket | Verb::PidFile), 4..) => path(words[0], words[1], words[2], &words[3..]),
            (None, 1) if find(OPTIONS, word.as_bytes()).is_some() => {
                return match write!(std::io::stdout(), "{}", help()) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(_) => ExitCode::FAILURE,
                };
            }
            _ => Err(format!("wrong arguments\n{}", help())),
        },
        None => Err(format!("wrong arguments\n{}", help())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Standard error is all there is to complain to.
            let _ = writeln!(std::io::stderr(), "dinit-ready: {}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Gives what a first word asks for, if it is a command.
fn verb(word: &str) -> Option<Verb> {
    COMMANDS.iter().find(|(_, command)| command.word == word).map(|(verb, _)| *verb)
}

/// Gives the help text.
fn help() -> String {
    let commands = COMMANDS.iter().map(|(_, command)| command);
    let mut text = format!("Usage:\n{}\n", described::commands("dinit-ready", commands.clone()));
    text.push_str(
        "Runs <command> and writes to the descriptor <fd>, which dinit gave it\n\
         (ready-notification = pipefd:<fd>), once <command> is ready:\n",
    );
    for command in commands {
        text.push_str(&format!("    {:<8}{}\n", command.word, command.help));
    }
    text
}

fn notify(number: &OsStr, command: &[&OsStr]) -> Result<(), String> {
    let pipe = take(number)?;
    let (socket, name, file) = notification_socket()?;
    let mut what = vec![OsStr::new("notify")];
    what.extend(file.as_deref().map(Path::as_os_str));
    start_watcher(pipe, Stdio::from(OwnedFd::from(socket)), &what)?;
    become_daemon(command, Some(name))
}

/// Makes the socket that the daemon reports to; gives its name for the environment, and the file to remove.
///
/// A file where there is a folder for it: of an abstract name, some daemons (OpenSSH 10) connect to one with zeros
/// behind it, which is another. The name is random, so no other process can hold it in advance; who may report is
/// decided by the sender's identity, so everybody may connect.
fn notification_socket() -> Result<(UnixDatagram, OsString, Option<PathBuf>), String> {
    let wrong = |e: std::io::Error| format!("cannot make a notification socket: {e}");
    let name = format!("dinit-ready-{}", random()?);
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folders = [Some(PathBuf::from("/run")), own.filter(|folder| folder.is_absolute())];
    for file in folders.into_iter().flatten().map(|folder| folder.join(&name)) {
        if let Ok(socket) = UnixDatagram::bind(&file) {
            std::fs::set_permissions(&file, Permissions::from_mode(0o666)).map_err(wrong)?;
            return Ok((socket, file.clone().into_os_string(), Some(file)));
        }
    }
    let address = SocketAddr::from_abstract_name(&name).map_err(wrong)?;
    Ok((UnixDatagram::bind_addr(&address).map_err(wrong)?, format!("@{name}").into(), None))
}

/// Readiness that shows at a path; `kind` is the command's word, which the watcher knows as well.
fn path(kind: &OsStr, number: &OsStr, path: &OsStr, command: &[&OsStr]) -> Result<(), String> {
    let pipe = take(number)?;
    start_watcher(pipe, Stdio::null(), &[kind, path])?;
    become_daemon(command, None)
}

/// Takes over the descriptor that dinit passed.
fn take(number: &OsStr) -> Result<OwnedFd, String> {
    let shown = number.to_string_lossy();
    let number = shown.parse().map_err(|_| format!("`{shown}` is not a descriptor number"))?;
    descriptor::take_inherited(number).map_err(|e| {
        format!(
            "descriptor {number} is not open ({e}); the service needs ready-notification = pipefd:{number}"
        )
    })
}

/// Starts the watcher with the socket as its standard input and the pipe as its standard output. The daemon
/// keeps neither.
fn start_watcher(pipe: OwnedFd, input: Stdio, what: &[&OsStr]) -> Result<(), String> {
    let mut command = own_command(DETACH)?;
    command.arg(std::process::id().to_string()).args(what).stdin(input).stdout(Stdio::from(pipe));
    let status = command.status().map_err(|e| format!("cannot start the watcher: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("cannot start the watcher ({status})")) }
}

fn own_command(word: &str) -> Result<Command, String> {
    let own = std::env::current_exe().map_err(|e| format!("cannot find out where this program is: {e}"))?;
    let mut command = Command::new(own);
    command.arg(word);
    Ok(command)
}

fn become_daemon(command: &[&OsStr], notify_socket: Option<OsString>) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("no command given")?;
    let mut command = Command::new(program);
    command.args(arguments).env_remove("NOTIFY_SOCKET");
    if let Some(socket) = notify_socket {
        command.env("NOTIFY_SOCKET", socket);
    }
    let error = command.exec();
    Err(format!("cannot execute `{}`: {error}", program.to_string_lossy()))
}

/// 128 random bits, written out.
fn random() -> Result<String, String> {
    let mut bytes = [0; 16];
    let mut source =
        std::fs::File::open("/dev/urandom").map_err(|e| format!("cannot open /dev/urandom: {e}"))?;
    std::io::Read::read_exact(&mut source, &mut bytes)
        .map_err(|e| format!("cannot read /dev/urandom: {e}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
