//! The command line: words to an [`Invocation`], left to right, with the texts of its errors.
//!
//! Nothing is opened or looked up here; whether a descriptor is open is asked through a function.

use std::os::fd::RawFd;

use dinit_options::dinit::{Flag, LEVELS, OPTIONS};
use dinit_options::{find, help as described, rows};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// Run the daemon.
    Run(Box<Options>),
    /// Print the version and end.
    Version,
    /// Print the usage and end.
    Help,
}

/// The options of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether this is the system manager (process 1, or told to act as one).
    pub(crate) manager: bool,
    /// Whether this is the system instance (of root, or told to act as one).
    pub(crate) system: bool,
    /// Where the main environment is read from, if given.
    pub(crate) environment_file: Option<Vec<u8>>,
    /// Service directories that replace the defaults.
    pub(crate) directories: Vec<Vec<u8>>,
    /// Whether `recovery` is started by itself when booting has failed.
    pub(crate) auto_recovery: bool,
    /// The control socket, if given.
    pub(crate) socket_path: Option<Vec<u8>>,
    /// The descriptor for readiness.
    pub(crate) ready_fd: Option<RawFd>,
    /// The main log file instead of syslog.
    pub(crate) log_file: Option<Vec<u8>>,
    /// Whether service status lines are subject to the console level.
    pub(crate) quiet: bool,
    /// The least level shown on the console.
    pub(crate) console_level: Level,
    /// The least level written to the main log.
    pub(crate) log_level: Level,
    /// The base for relative control groups, if given, without leading slashes.
    pub(crate) cgroup_path: Option<Vec<u8>>,
    /// The services to start, in order.
    pub(crate) services: Vec<Vec<u8>>,
}

/// The weight of a message; a message is shown if it weighs at least as much as its stream's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Notice,
    Warn,
    Error,
    /// As the level of a stream: nothing is shown.
    None,
}

impl Level {
    const WORDS: [(&[u8], Self); 5] = [
        (b"none", Self::None),
        (b"error", Self::Error),
        (b"warn", Self::Warn),
        (b"info", Self::Notice),
        (b"debug", Self::Debug),
    ];

    fn from_word(word: &[u8]) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, level)| *level)
    }
}

/// Who runs the program; decides the modes it begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) is_process_one: bool,
    pub(crate) is_root: bool,
}

/// Reads the words after the program's name.
///
/// # Errors
/// The text to be printed on standard error; the exit status is then 1.
pub(crate) fn parse(
    words: &[Vec<u8>],
    caller: Caller,
    is_open: fn(RawFd) -> bool,
) -> Result<Invocation, Vec<u8>> {
    let mut options = Options {
        manager: caller.is_process_one,
        system: caller.is_root,
        environment_file: None,
        directories: Vec::new(),
        auto_recovery: false,
        socket_path: None,
        ready_fd: None,
        log_file: None,
        quiet: false,
        console_level: Level::Warn,
        log_level: Level::Notice,
        cgroup_path: None,
        services: Vec::new(),
    };
    // The kernel passes on all words it does not know, so most of them are not meant for us.
    let mut filtering = caller.is_process_one && caller.is_root;
    let mut words = words.iter().map(Vec::as_slice);
    while let Some(word) = words.next() {
        let Some((flag, row)) = find(OPTIONS, word) else {
            match word {
                b"" => return Err(b"dinit: error: empty command-line argument".to_vec()),
                [b'-', ..] if filtering => {}
                [b'-', ..] => return Err([b"dinit: unrecognized option: ", word].concat()),
                name if filtering && name != b"single" => {}
                name if !is_valid_name(name) => {
                    return Err([b"dinit: error: invalid service name '", name, b"'."].concat());
                }
                name => options.services.push(name.to_vec()),
            }
            continue;
        };
        let value = match row.argument {
            // An empty word is no number, which is said below.
            Some(wanted) => match words.next() {
                Some(value) if !value.is_empty() || flag == Flag::ReadyDescriptor => value,
                _ => return Err([b"dinit: ", wanted.missing.as_bytes()].concat()),
            },
            None => b"",
        };
        match flag {
            Flag::Help => return Ok(Invocation::Help),
            Flag::Version => return Ok(Invocation::Version),
            Flag::EnvironmentFile => options.environment_file = Some(value.to_vec()),
            Flag::ServiceDirectory => options.directories.push(value.to_vec()),
            Flag::System => options.system = true,
            Flag::User => options.system = false,
            Flag::SystemManager => {
                options.manager = true;
                filtering = false;
            }
            Flag::Container => {
                options.manager = false;
                filtering = false;
            }
            Flag::AutoRecovery => options.auto_recovery = true,
            Flag::SocketPath => options.socket_path = Some(value.to_vec()),
            Flag::ReadyDescriptor => options.ready_fd = Some(ready_fd(value, is_open)?),
            Flag::LogFile => options.log_file = Some(value.to_vec()),
            Flag::Quiet => {
                options.quiet = true;
                options.console_level = Level::None;
            }
            Flag::ConsoleLevel => options.console_level = level(value, "'--console-level'")?,
            Flag::LogLevel => options.log_level = level(value, "'--log-level'")?,
            Flag::CgroupPath => {
                let start = value.iter().position(|&byte| byte != b'/').unwrap_or(value.len());
                options.cgroup_path = Some(value.get(start..).unwrap_or_default().to_vec());
            }
            Flag::Service => options.services.push(value.to_vec()),
        }
    }
    Ok(Invocation::Run(Box::new(options)))
}

/// Gives the words without the descriptor for readiness, which is closed after its one use: a daemon that is executed
/// anew with the same words must not stumble over it.
pub(crate) fn without_readiness(words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let known = find(OPTIONS, word);
        if known.is_some_and(|(flag, _)| flag == Flag::ReadyDescriptor) {
            words.next();
            continue;
        }
        kept.push(word.clone());
        if known.is_some_and(|(_, row)| row.argument.is_some()) {
            kept.extend(words.next().cloned());
        }
    }
    kept
}

/// What `--version` prints.
pub(crate) const VERSION: &str = concat!(
    "Dinit version ",
    env!("CARGO_PKG_VERSION"),
    ".\n",
    "Supported features: cgroups utmp supplemental-groups capabilities io-priority oom-score-adjust\n"
);

/// Gives what `--help` prints.
pub(crate) fn help() -> String {
    let options = described::options(rows(OPTIONS));
    let levels = LEVELS.join(", ");
    format!(
        "dinit: init/service manager daemon\n\nUsage:\n    dinit [options] [service-name ...]\n\n\
         Starts the services named; without any, boot.\n\nOptions:\n{options}\nLevels: {levels}.\n"
    )
}

/// Says whether a name may be given as a bare word: not empty, and not beginning with `.` or `@`.
fn is_valid_name(name: &[u8]) -> bool {
    !matches!(name, [] | [b'.' | b'@', ..])
}

fn level(word: &[u8], option: &str) -> Result<Level, Vec<u8>> {
    Level::from_word(word).ok_or_else(|| {
        let words = LEVELS.join("', '");
        format!("dinit: {option} accepts only arguments: '{words}'").into_bytes()
    })
}

fn ready_fd(word: &[u8], is_open: fn(RawFd) -> bool) -> Result<RawFd, Vec<u8>> {
    let wrong = |text: &str| Err(format!("dinit: '--ready-fd' (-F) requires {text}").into_bytes());
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return wrong("a numerical argument");
    }
    match std::str::from_utf8(word).ok().and_then(|word| word.parse().ok()) {
        Some(number) if number != 0 && is_open(number) => Ok(number),
        _ => wrong("an open file descriptor"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Caller = Caller { is_process_one: false, is_root: false };
    const KERNEL: Caller = Caller { is_process_one: true, is_root: true };

    fn run(caller: Caller, words: &[&str]) -> Options {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        match parse(&words, caller, |number| number == 5) {
            Ok(Invocation::Run(options)) => *options,
            other => panic!("{other:?}"),
        }
    }

    fn error(words: &[&str]) -> String {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        String::from_utf8(parse(&words, USER, |number| number == 5).unwrap_err()).unwrap()
    }

    #[test]
    fn who_runs_the_program_and_the_options_decide_the_modes() {
        assert!(!run(USER, &[]).manager && !run(USER, &[]).system);
        assert!(run(KERNEL, &[]).manager && run(KERNEL, &[]).system);
        assert!(!run(KERNEL, &["-o"]).manager && run(KERNEL, &["-o"]).system);
        assert!(run(USER, &["-m", "-s"]).manager && run(USER, &["-m", "-s"]).system);
    }

    #[test]
    fn words_of_the_kernel_are_ignored_but_single_and_named_services() {
        let options = run(KERNEL, &["auto", "-Q", "single", "quiet", "-t", "x@y", "-l", "/log"]);
        assert_eq!(options.services, [b"single".to_vec(), b"x@y".to_vec()]);
        assert_eq!(options.log_file.as_deref(), Some(&b"/log"[..]));
        assert_eq!(run(KERNEL, &["auto", "-o", "web"]).services, [b"web".to_vec()]);
    }

    #[test]
    fn each_wrong_word_has_its_own_text() {
        assert_eq!(error(&["-Z"]), "dinit: unrecognized option: -Z");
        assert_eq!(error(&["-e"]), "dinit: '--env-file' (-e) requires an argument");
        assert_eq!(error(&["-d", ""]), "dinit: '--services-dir' (-d) requires an argument");
        assert_eq!(error(&["-F"]), "dinit: '--ready-fd' (-F) requires an argument");
        assert_eq!(error(&["-F", ""]), "dinit: '--ready-fd' (-F) requires a numerical argument");
        assert_eq!(error(&["-F", "5x"]), "dinit: '--ready-fd' (-F) requires a numerical argument");
        assert_eq!(error(&["-F", "0"]), "dinit: '--ready-fd' (-F) requires an open file descriptor");
        assert_eq!(error(&["-F", "77"]), "dinit: '--ready-fd' (-F) requires an open file descriptor");
        let levels = "accepts only arguments: 'none', 'error', 'warn', 'info', 'debug'";
        assert_eq!(error(&["--log-level", "notice"]), format!("dinit: '--log-level' {levels}"));
        assert_eq!(error(&["--log-level"]), "dinit: '--log-level' requires an argument");
        assert_eq!(error(&[""]), "dinit: error: empty command-line argument");
        assert_eq!(error(&["ok", ".bad", "-Z"]), "dinit: error: invalid service name '.bad'.");
    }

    #[test]
    fn quiet_lowers_the_console_level_and_a_later_option_raises_it_again() {
        let options = run(USER, &["-q", "--console-level", "error", "--log-level", "debug", "-F", "5"]);
        assert!(options.quiet);
        assert_eq!((options.console_level, options.log_level), (Level::Error, Level::Debug));
        assert_eq!(options.ready_fd, Some(5));
    }

    #[test]
    fn the_base_of_control_groups_loses_its_leading_slashes() {
        assert_eq!(run(USER, &["-b", "//a/b"]).cgroup_path.as_deref(), Some(&b"a/b"[..]));
    }

    #[test]
    fn readiness_is_left_out_for_a_second_start_and_nothing_else() {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let given = words(&["dinit", "-t", "-F", "-F", "5", "single", "--ready-fd", "6", "-d", "x"]);
        assert_eq!(without_readiness(&given), words(&["dinit", "-t", "-F", "single", "-d", "x"]));
    }

    #[test]
    fn help_has_every_option() {
        let text = help();
        for spelling in rows(OPTIONS).iter().flat_map(|option| option.spellings) {
            assert!(text.contains(spelling), "{spelling}");
        }
    }

    #[test]
    fn version_and_help_act_where_they_stand() {
        let words = [b"--version".to_vec(), b"-Z".to_vec()];
        assert_eq!(parse(&words, USER, |_| true), Ok(Invocation::Version));
        let words = [b"-Z".to_vec(), b"--help".to_vec()];
        assert!(parse(&words, USER, |_| true).is_err());
    }
}
