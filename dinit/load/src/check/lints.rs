//! What a description may say although it has no effect, or will fail: the lints, in the order of the reference.

use dinit_service::{LogType, Options, ServiceDescription, ServiceType, consistency};

use super::lint;
use crate::read::join;
use crate::{HostError, Kind, Metadata};

/// A lint that applies.
pub(super) struct Lint {
    /// Its stable name.
    pub(super) name: &'static str,
    /// The setting that it is about.
    pub(super) setting: Option<&'static str>,
    /// The text of the reference.
    pub(super) text: Vec<u8>,
    /// What to do about it.
    pub(super) help: &'static str,
}

/// A setting that services without a process ignore: how it is shown, the words that follow, the setting, and
/// whether a description gives it.
type Ignored = (&'static str, &'static str, &'static str, fn(&ServiceDescription) -> bool);

const SPECIFIED: &str = " specified, but ignored for the specified (or default) service type.";
const WAS_SPECIFIED: &str = " was specified, but ignored for the specified (or default) service type.";
const WERE_SPECIFIED: &str = " were specified, but ignored for the specified (or default) service type.";

const IGNORED: &[Ignored] = &[
    ("'command'", SPECIFIED, "command", |d| consistency::has_command(&d.command)),
    ("'stop-command'", SPECIFIED, "stop-command", |d| consistency::has_command(&d.stop_command)),
    ("'working-dir'", SPECIFIED, "working-dir", |d| d.working_dir.is_some()),
    ("'run-in-cgroup'", SPECIFIED, "run-in-cgroup", |d| d.run_in_cgroup.is_some()),
    ("'capabilities'", SPECIFIED, "capabilities", |d| d.capabilities.is_some()),
    ("'securebits'", SPECIFIED, "securebits", |d| d.secure_bits.bits() != 0),
    ("'run-as'", SPECIFIED, "run-as", |d| d.run_as.is_some()),
    ("'socket-listen'", SPECIFIED, "socket-listen", |d| d.socket_listen.is_some()),
    ("'inittab_line' or 'inittab_id'", SPECIFIED, "inittab-line", |d| {
        !d.inittab_line.is_empty() || !d.inittab_id.is_empty()
    }),
    ("signal options", WERE_SPECIFIED, "options", |d| {
        d.options.contains(Options::SIGNAL_PROCESS_ONLY) || d.options.contains(Options::START_INTERRUPTIBLE)
    }),
    ("option 'pass_cs_fd'", WAS_SPECIFIED, "options", |d| d.options.contains(Options::PASS_CS_FD)),
    ("option 'skippable'", WAS_SPECIFIED, "options", |d| d.options.contains(Options::SKIPPABLE)),
    ("option 'no_new_privs'", WAS_SPECIFIED, "options", |d| d.options.contains(Options::NO_NEW_PRIVS)),
    ("option 'log_type'", WAS_SPECIFIED, "log-type", |d| d.log_type != LogType::None),
    ("option 'nice'", WAS_SPECIFIED, "nice", |d| d.nice.is_some()),
    ("option 'ioprio'", WAS_SPECIFIED, "ioprio", |d| d.io_priority.is_some()),
    ("option 'oom-score-adj'", WAS_SPECIFIED, "oom-score-adj", |d| d.oom_score_adj.is_some()),
];

/// Finds settings that contradict each other or have no effect.
pub(super) fn of_settings(d: &ServiceDescription) -> Vec<Lint> {
    let mut lints = Vec::new();
    if matches!(d.service_type, ServiceType::Internal | ServiceType::Triggered) {
        for (shown, words, setting, is_given) in IGNORED {
            if is_given(d) {
                lints.push(Lint {
                    name: lint::IGNORED_SETTING,
                    setting: Some(setting),
                    text: [shown.as_bytes(), words.as_bytes()].concat(),
                    help: "remove it, or set `type = process`, `bgprocess` or `scripted`",
                });
            }
        }
    }
    let logfile = match (&d.logfile, d.log_type) {
        (Some(_), LogType::None | LogType::Buffer | LogType::Pipe) => Lint {
            name: lint::UNUSED_LOGFILE,
            setting: Some("logfile"),
            text: b"option 'logfile' was specified, but selected log type is not 'file'".to_vec(),
            help: "remove `logfile`, or set `log-type = file`",
        },
        (None, LogType::File) => Lint {
            name: lint::MISSING_LOGFILE,
            setting: Some("log-type"),
            text: b"option 'logfile' not set, but selected log type is 'file'".to_vec(),
            help: "add `logfile = PATH`; without it the output is discarded",
        },
        _ => return lints,
    };
    lints.push(logfile);
    lints
}

/// Tells what a path leads to.
pub(super) type Look<'a> = dyn Fn(&[u8]) -> Result<Metadata, HostError> + 'a;

/// Finds paths that lead nowhere. Variables are substituted.
pub(super) fn of_files(look: &Look<'_>, d: &ServiceDescription, description_directory: &[u8]) -> Vec<Lint> {
    let mut lints = Vec::new();
    let working_directory =
        d.working_dir.as_deref().filter(|path| !path.is_empty()).unwrap_or(description_directory);
    if let Err(error) = directory(look, working_directory) {
        lints.push(Lint {
            name: lint::MISSING_WORKING_DIR,
            setting: Some("working-dir"),
            text: format!("could not open service working directory: {error}").into_bytes(),
            help: "the processes of the service start in it",
        });
    }
    for (setting, what, words) in [
        ("command", "command executable", &d.command),
        ("stop-command", "stop command executable", &d.stop_command),
    ] {
        if let Some(word) = words.first().filter(|_| consistency::has_command(words)) {
            lints.extend(executable(look, setting, what, word));
        }
    }
    if d.log_type == LogType::File
        && let Some(path) = d.logfile.as_deref().filter(|path| !path.is_empty())
    {
        lints.extend(log_directory(look, path, working_directory));
    }
    lints
}

fn directory(look: &Look<'_>, path: &[u8]) -> Result<(), HostError> {
    match look(path)?.kind {
        Kind::Directory => Ok(()),
        Kind::Regular | Kind::Other => Err(HostError::open(libc::ENOTDIR)),
    }
}

fn executable(look: &Look<'_>, setting: &'static str, what: &str, word: &[u8]) -> Option<Lint> {
    const OWNER_MAY_EXECUTE: u32 = 0o100;
    let named = |before: &str, after: &str| {
        [before.as_bytes(), what.as_bytes(), b" '", word, b"'", after.as_bytes()].concat()
    };
    let (name, text, help) = if word.first() != Some(&b'/') {
        let help = "write the whole path; the search path of the daemon may be another";
        (lint::RELATIVE_EXECUTABLE, named("", " is not an absolute path"), help)
    } else {
        match look(word) {
            Err(error) => {
                let help = "the program is not there, or cannot be reached";
                (lint::MISSING_EXECUTABLE, named("could not stat ", &format!(": {error}")), help)
            }
            Ok(Metadata { kind: Kind::Directory | Kind::Other, .. }) => {
                (lint::IRREGULAR_EXECUTABLE, named("", " is not a regular file."), "name a program")
            }
            Ok(Metadata { kind: Kind::Regular, mode }) if mode & OWNER_MAY_EXECUTE == 0 => {
                let help = "make it executable, or name its interpreter first";
                (lint::UNEXECUTABLE_EXECUTABLE, named("", " is not executable by owner."), help)
            }
            Ok(Metadata { kind: Kind::Regular, .. }) => return None,
        }
    };
    Some(Lint { name, setting: Some(setting), text, help })
}

fn log_directory(look: &Look<'_>, path: &[u8], working_directory: &[u8]) -> Option<Lint> {
    let shown: &[u8] = match path.iter().rposition(|&byte| byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(slash) => path.get(..slash).unwrap_or_default(),
    };
    let text = match look(&join(working_directory, shown)) {
        Err(error) => {
            let end = format!("': {error}");
            [b"could not access logfile directory '".as_slice(), shown, end.as_bytes()].concat()
        }
        Ok(Metadata { kind: Kind::Directory, .. }) => return None,
        Ok(_) => [b"logfile directory '".as_slice(), shown, b"' exists but is not a directory."].concat(),
    };
    let help = "dinit makes the file, and not the directory";
    Some(Lint { name: lint::MISSING_LOG_DIRECTORY, setting: Some("logfile"), text, help })
}
