//! The command line: words to an [`Invocation`], left to right, with the texts of its errors.
//!
//! Nothing is opened or looked up here; whether a descriptor is open is asked through a function.

use std::os::fd::RawFd;

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
        match word {
            b"" => return Err(b"dinit: error: empty command-line argument".to_vec()),
            b"-e" | b"--env-file" => {
                options.environment_file = Some(argument(&mut words, "'--env-file' (-e)")?.to_vec());
            }
            b"-d" | b"--services-dir" => {
                options.directories.push(argument(&mut words, "'--services-dir' (-d)")?.to_vec());
            }
            b"-s" | b"--system" => options.system = true,
            b"-u" | b"--user" => options.system = false,
            b"-m" | b"--system-mgr" => {
                options.manager = true;
                filtering = false;
            }
            b"-o" | b"--container" => {
                options.manager = false;
                filtering = false;
            }
            b"-r" | b"--auto-recovery" => options.auto_recovery = true,
            b"-p" | b"--socket-path" => {
                options.socket_path = Some(argument(&mut words, "'--socket-path' (-p)")?.to_vec());
            }
            b"-F" | b"--ready-fd" => options.ready_fd = Some(ready_fd(words.next(), is_open)?),
            b"-l" | b"--log-file" => {
                options.log_file = Some(argument(&mut words, "'--log-file' (-l)")?.to_vec());
            }
            b"-q" | b"--quiet" => {
                options.quiet = true;
                options.console_level = Level::None;
            }
            b"--console-level" => options.console_level = level(&mut words, "'--console-level'")?,
            b"--log-level" => options.log_level = level(&mut words, "'--log-level'")?,
            b"-b" | b"--cgroup-path" => {
                let path = argument(&mut words, "'--cgroup-path' (-b)")?;
                let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
                options.cgroup_path = Some(path.get(start..).unwrap_or_default().to_vec());
            }
            b"-t" | b"--service" => {
                options.services.push(argument(&mut words, "'--service' (-t)")?.to_vec());
            }
            b"--version" => return Ok(Invocation::Version),
            b"--help" => return Ok(Invocation::Help),
            [b'-', ..] if filtering => {}
            [b'-', ..] => return Err([b"dinit: unrecognized option: ", word].concat()),
            name if filtering && name != b"single" => {}
            name if !is_valid_name(name) => {
                return Err([b"dinit: error: invalid service name '", name, b"'."].concat());
            }
            name => options.services.push(name.to_vec()),
        }
    }
    Ok(Invocation::Run(Box::new(options)))
}

/// Gives the words without the descriptor for readiness, which is closed after its one use: a daemon that is executed
/// anew with the same words must not stumble over it.
pub(crate) fn without_readiness(words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    const WITH_ARGUMENT: [&[u8]; 14] = [
        b"-e",
        b"--env-file",
        b"-d",
        b"--services-dir",
        b"-p",
        b"--socket-path",
        b"-l",
        b"--log-file",
        b"--console-level",
        b"--log-level",
        b"-b",
        b"--cgroup-path",
        b"-t",
        b"--service",
    ];
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == b"-F" || word == b"--ready-fd" {
            words.next();
            continue;
        }
        kept.push(word.clone());
        if WITH_ARGUMENT.contains(&word.as_slice()) {
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

/// What `--help` prints.
pub(crate) const HELP: &str = "\
dinit: init/service manager daemon
 --help                       display help
 --version                    display version
 --env-file <file>, -e <file>
                              environment variable initialisation file
 --services-dir <dir>, -d <dir>
                              set base directory for service description files
 --system, -s                 run as the system instance
 --user, -u                   run as a user instance
 --system-mgr, -m             run as the system manager (perform system initialisation)
 --container, -o              run in container mode (do not manage the system)
 --auto-recovery, -r          start `recovery` by itself when the boot has failed
 --socket-path <path>, -p <path>
                              path of the control socket
 --ready-fd <fd>, -F <fd>     descriptor to which the socket path is written once ready
 --log-file <file>, -l <file> write the main log to a file instead of to syslog
 --quiet, -q                  show no service status on the console
 --console-level <level>      least level of messages on the console
 --log-level <level>          least level of messages in the main log
 --cgroup-path <path>, -b <path>
                              base for relative control group paths
 --service <name>, -t <name>  start a service (never ignored)
 <name>                       start a service
Levels: none, error, warn, info, debug.
";

/// Says whether a name may be given as a bare word: not empty, and not beginning with `.` or `@`.
fn is_valid_name(name: &[u8]) -> bool {
    !matches!(name, [] | [b'.' | b'@', ..])
}

fn argument<'a>(words: &mut impl Iterator<Item = &'a [u8]>, option: &str) -> Result<&'a [u8], Vec<u8>> {
    match words.next() {
        Some(word) if !word.is_empty() => Ok(word),
        _ => Err(format!("dinit: {option} requires an argument").into_bytes()),
    }
}

fn level<'a>(words: &mut impl Iterator<Item = &'a [u8]>, option: &str) -> Result<Level, Vec<u8>> {
    let word = argument(words, option)?;
    Level::from_word(word).ok_or_else(|| {
        format!("dinit: {option} accepts only arguments: 'none', 'error', 'warn', 'info', 'debug'")
            .into_bytes()
    })
}

fn ready_fd(word: Option<&[u8]>, is_open: fn(RawFd) -> bool) -> Result<RawFd, Vec<u8>> {
    let wrong = |text: &str| Err(format!("dinit: '--ready-fd' (-F) requires {text}").into_bytes());
    let Some(word) = word else { return wrong("an argument") };
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
    fn version_and_help_act_where_they_stand() {
        let words = [b"--version".to_vec(), b"-Z".to_vec()];
        assert_eq!(parse(&words, USER, |_| true), Ok(Invocation::Version));
        let words = [b"-Z".to_vec(), b"--help".to_vec()];
        assert!(parse(&words, USER, |_| true).is_err());
    }
}
