//! The command: how it is split into words, what is put into them, and how it is run.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use dinit_sys::error_text;

use crate::failure::{Failure, PREFIX};

/// The exit status of a command that could not be executed, as shells have it.
const NOT_EXECUTED: i32 = 127;

/// The words of a command, with their placeholders.
#[derive(Debug)]
pub(crate) struct Template {
    words: Vec<Vec<u8>>,
}

/// What is put in place of the placeholders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    /// For `%n`.
    pub(crate) name: &'a [u8],
    /// For `%s`.
    pub(crate) status: &'a [u8],
    /// For `%v`.
    pub(crate) value: &'a [u8],
}

impl Template {
    /// Splits a command at white space outside double quotes; none if there is no word.
    ///
    /// There is no way to escape a quote, and one that is not closed goes on to the end.
    pub(crate) fn new(command: &[u8]) -> Option<Self> {
        let mut quoted = false;
        let words: Vec<Vec<u8>> = command
            .split(|byte| {
                quoted ^= *byte == b'"';
                !quoted && is_white_space(*byte)
            })
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        if words.is_empty() { None } else { Some(Self { words }) }
    }

    /// Gives the words with their quotes removed and their placeholders filled in. What is put in is not looked at
    /// again.
    pub(crate) fn fill_in(&self, report: Report<'_>) -> Vec<Vec<u8>> {
        self.words.iter().map(|word| fill_in(word, report)).collect()
    }
}

/// Tells what separates words in the C locale.
fn is_white_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

fn fill_in(word: &[u8], report: Report<'_>) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = word.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {}
            b'%' => match rest.next() {
                Some(b'n') => filled.extend_from_slice(report.name),
                Some(b's') => filled.extend_from_slice(report.status),
                Some(b'v') => filled.extend_from_slice(report.value),
                Some(b'%') | None => filled.push(b'%'),
                Some(b'"') => filled.push(b'%'),
                Some(other) => filled.extend_from_slice(&[b'%', *other]),
            },
            other => filled.push(*other),
        }
    }
    filled
}

/// Makes sure that the ends of commands are kept for this program, even if its parent ignores SIGCHLD.
pub(crate) fn let_children_be_collected() -> Result<(), Failure> {
    let noticed = Arc::default();
    signal_hook::flag::register(signal_hook::consts::SIGCHLD, noticed).map(drop).map_err(Failure::Children)
}

/// Runs a command to its end, and says so if that was not a good one.
pub(crate) fn run(words: &[Vec<u8>], err: &mut dyn Write) {
    let ended = match execute(words) {
        Ok(ended) => ended,
        Err(cause) if is_shortage(&cause) => {
            return say(err, &format!("fork: {}", error_text(&cause)));
        }
        Err(cause) => {
            say(err, &format!("exec: {}", error_text(&cause)));
            ExitStatus::from_raw(NOT_EXECUTED << 8)
        }
    };
    match (ended.code(), ended.signal()) {
        (Some(0), _) => {}
        (Some(status), _) => {
            say(err, &format!("notification command terminated with exit status {status}"));
        }
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            say(err, &format!("notification command terminated due to signal {signal}"));
        }
    }
}

fn say(err: &mut dyn Write, text: &str) {
    // Where the errors cannot be written there is nobody to tell.
    let _ = err.write_all(format!("{PREFIX}{text}\n").as_bytes());
}

/// Tells whether there was no process to execute anything in.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM))
}

fn execute(words: &[Vec<u8>]) -> io::Result<ExitStatus> {
    let Some((program, arguments)) = words.split_first() else { return Ok(ExitStatus::default()) };
    let arguments: Vec<&OsStr> = arguments.iter().map(|word| OsStr::from_bytes(word)).collect();
    match Command::new(OsStr::from_bytes(program)).args(&arguments).status() {
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
            // A script that does not name its interpreter, which `execvp` gives to the shell.
            Command::new("/bin/sh").arg(found(program)).args(&arguments).status()
        }
        other => other,
    }
}

/// Gives the path of a program, which is searched for as `execvp` does.
fn found(program: &[u8]) -> PathBuf {
    let name = Path::new(OsStr::from_bytes(program));
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let directories = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = match program.contains(&b'/') {
        true => None,
        false => std::env::split_paths(&directories).map(|directory| directory.join(name)).find(is_program),
    };
    found.unwrap_or_else(|| OsString::from_vec(program.to_vec()).into())
}

#[cfg(test)]
mod tests;
