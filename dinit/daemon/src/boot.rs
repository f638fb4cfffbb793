//! What happens from the command line to the first turn of the loop.

use crate::control::{Control, OpenError};
use crate::daemon::{Daemon, ReadyReport, Settings};
use crate::environment::MainEnvironment;
use crate::exec::Execs;
use crate::log::{Destination, Log};
use crate::options::{Level, Options};
use crate::output::Outputs;
use crate::paths::{self, DEFAULT_ENVIRONMENT, SYSLOG, Surroundings};
use crate::reactor::{Reactor, Source};
use crate::runs::Runs;
use crate::timers::Timers;
use dinit_graph::{Graph, Instant, Request};
use dinit_load::{Context, Host, SystemHost};
use dinit_service::environment::EnvironmentFault;
use dinit_sys::poll::Interest;
use dinit_sys::signal::{self, Mask, SignalDescriptor};
use dinit_sys::{Errno, descriptor, error_text, process, system};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The signals that the loop reads in every mode.
const SIGNALS: [i32; 4] = [libc::SIGCHLD, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1];

/// The signals that services inherit as ignored (DN DIV 7).
const IGNORED: [i32; 4] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGPIPE];

/// An environment file may have so many bytes; more is a mistake, or a device in its place.
const LONGEST_ENVIRONMENT: u64 = 1 << 20;

/// Why the daemon does not start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CannotStart {
    /// For a reason that has been said in the log.
    Told,
    /// The kernel refused what nothing can go on without.
    System(Errno),
    /// A defect of our own came to light.
    Defect,
}

impl CannotStart {
    /// Gives the line for the standard output, whatever the levels of the log (DN 4); empty if all has been said.
    pub(crate) fn last_words(&self) -> String {
        match self {
            Self::Told => String::new(),
            Self::System(error) => {
                format!("dinit: unexpected system error during initialisation: {error}\n")
            }
            Self::Defect => "dinit: unexpected error during initialisation\n".into(),
        }
    }
}

/// Sets everything up, and loads and starts the services.
pub(crate) fn start(options: Options, arguments: Vec<Vec<u8>>) -> Result<Daemon, CannotStart> {
    defects_told(|| begin(options, arguments))
}

/// Does what starting takes; a defect that this brings to light is a reason not to start like others.
fn defects_told<T>(act: impl FnOnce() -> Result<T, CannotStart>) -> Result<T, CannotStart> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or(Err(CannotStart::Defect))
}

fn begin(options: Options, arguments: Vec<Vec<u8>>) -> Result<Daemon, CannotStart> {
    let manager = options.manager;
    if manager {
        open_console();
    }
    let original_mask = take_signals(manager);
    let ready_report = options.ready_fd.and_then(ready_report);
    let around = Surroundings::of_process(database_home);
    let destination = match &options.log_file {
        Some(path) => Destination::File(OsStr::from_bytes(path).into()),
        None => Destination::Syslog(SYSLOG.into()),
    };
    let mut log = Log::new(options.console_level, options.log_level, options.quiet, destination);
    log.start_console();
    let cgroup_base = find_cgroup_base(&options, &mut log);
    let (reactor, signals) = reactor(manager).map_err(|error| {
        log.flush();
        log.leave_console();
        CannotStart::System(error)
    })?;
    let control = Control::new(paths::control_socket(&options, &around));
    let mut daemon = Daemon {
        settings: Settings {
            directories: paths::service_directories(&options, &around),
            options,
            cgroup_base,
            original_mask,
            arguments,
            original_open_files: process::raise_open_files().ok().flatten(),
        },
        graph: Graph::new(),
        execs: Execs::default(),
        runs: Runs::default(),
        timers: Timers::new(),
        outputs: Outputs::default(),
        sockets: BTreeMap::new(),
        environment: MainEnvironment::new(
            std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())),
        ),
        log,
        reactor,
        signals,
        control,
        effects: VecDeque::new(),
        events: VecDeque::new(),
        failed_starts: BTreeSet::new(),
        ended: VecDeque::new(),
        adopted: Vec::new(),
        ready_report,
        boot_is_logged: false,
        prompt: None,
        has_recovered: false,
        is_stranded: false,
        is_wounded: false,
        serving: None,
        launches_under_way: 0,
        untrimmed: 0,
        is_stirred: true,
        next_word_of_shortage: Instant(0),
        is_full: false,
        log_waits: [false; 2],
    };
    match daemon.guarded(Daemon::set_up) {
        Some(Ok(())) => Ok(daemon),
        // Process 1 would take the machine with it; it goes on with what it has.
        None if manager => Ok(daemon),
        outcome => {
            daemon.log.flush();
            daemon.close_control_socket();
            daemon.log.leave_console();
            Err(outcome.and_then(Result::err).unwrap_or(CannotStart::Defect))
        }
    }
}

impl Daemon {
    fn set_up(&mut self) -> Result<(), CannotStart> {
        self.open_control_socket_at_start()?;
        let manager = self.settings.options.manager;
        if manager {
            let _ = system::silence_kernel_messages();
            let _ = system::catch_ctrl_alt_del();
        }
        let _ = process::become_subreaper();
        if manager {
            self.log.in_main(Level::Notice, "Starting system");
        }
        if self.log.is_to_file()
            && let Err(text) = self.log.open_main()
        {
            self.log.message(Level::Error, text);
            if !manager {
                return Err(CannotStart::Told);
            }
        }
        self.read_environment_file()?;
        self.start_services();
        self.report_readiness();
        Ok(())
    }

    fn start_services(&mut self) {
        crate::MEMORY.hold_out();
        let mut names = self.settings.options.services.clone();
        if names.is_empty() {
            names.push(b"boot".to_vec());
        }
        for name in names {
            if let Ok(service) = self.load(&name, Context::StartUp) {
                self.ask(Request::Activate { service });
            } else if self.is_short_of_memory() {
                return;
            }
        }
    }

    fn read_environment_file(&mut self) -> Result<(), CannotStart> {
        let given = self.settings.options.environment_file.clone();
        let manager = self.settings.options.manager;
        let path = match &given {
            Some(path) => path.as_slice(),
            None if manager => DEFAULT_ENVIRONMENT.as_bytes(),
            None => return Ok(()),
        };
        match read_environment(Path::new(OsStr::from_bytes(path)), manager) {
            Ok(text) => {
                for (line, fault) in self.environment.apply_file(&text) {
                    let what = match fault {
                        EnvironmentFault::Setting => {
                            "Invalid environment variable setting in environment file"
                        }
                        EnvironmentFault::Command => "Unknown command in environment file",
                    };
                    self.log.message(Level::Error, format!("{what} (line {line})"));
                }
                Ok(())
            }
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                let reason = format!("': {}", error_text(&error));
                let text = [b"Cannot read environment file '", path, reason.as_bytes()].concat();
                self.log.message(Level::Error, text);
                if manager { Ok(()) } else { Err(CannotStart::Told) }
            }
        }
    }

    fn open_control_socket_at_start(&mut self) -> Result<(), CannotStart> {
        match self.open_control_socket() {
            Ok(()) => Ok(()),
            Err(OpenError::Bind(Errno(libc::EROFS))) if self.settings.options.system => Ok(()),
            Err(error) => {
                self.log.message(Level::Error, error.text());
                // Process 1 goes on without a socket (DN DIV 2).
                if self.settings.options.manager { Ok(()) } else { Err(CannotStart::Told) }
            }
        }
    }

    /// Opens the control socket if it is not open or its file is gone, and reports readiness if that is due.
    pub(crate) fn reopen_control_socket(&mut self) {
        if !self.control.is_reachable()
            && let Err(error) = self.open_control_socket()
        {
            self.log.message(Level::Error, error.text());
        }
        self.report_readiness();
    }

    /// Closes the control socket and removes its file.
    pub(crate) fn close_control_socket(&mut self) {
        if let Some(listener) = self.control.listener() {
            self.reactor.remove(listener);
        }
        self.control.close();
    }

    fn open_control_socket(&mut self) -> Result<(), OpenError> {
        if let Some(listener) = self.control.listener() {
            self.reactor.remove(listener);
        }
        self.control.open()?;
        if let Some(listener) = self.control.listener() {
            self.reactor.add(listener, Source::Listener, Interest::READ).map_err(OpenError::Create)?;
        }
        Ok(())
    }

    /// Writes the path of the control socket to the descriptor for readiness, once the socket is open.
    fn report_readiness(&mut self) {
        if self.control.listener().is_none() {
            return;
        }
        let Some(report) = self.ready_report.take() else { return };
        let text = [self.control.path(), b"\0"].concat();
        let _ = match report {
            ReadyReport::Owned(descriptor) => descriptor::write(descriptor, &text),
            ReadyReport::Standard(number) => descriptor::write(descriptor::standard(number), &text),
        };
    }
}

/// Makes the console the standard input, output and error, each as far as it can be opened.
fn open_console() {
    const CONSOLE: &str = "/dev/console";
    let open = |write: bool| {
        std::fs::OpenOptions::new().read(true).write(write).custom_flags(libc::O_NOCTTY).open(CONSOLE)
    };
    if let Ok(input) = open(false) {
        let _ = descriptor::replace_standard(&input, 0);
    }
    if let Ok(output) = open(true) {
        let _ = descriptor::replace_standard(&output, 1);
        let _ = descriptor::replace_standard(&output, 2);
    }
}

/// Blocks the signals that are read by the loop, ignores those that must not stop us, and gives the mask before.
fn take_signals(manager: bool) -> Mask {
    let before = signal::block(if manager { Mask::ALL } else { Mask::of(&SIGNALS) });
    for signal in IGNORED {
        let _ = signal::ignore(signal);
    }
    before.unwrap_or(Mask(0))
}

fn reactor(manager: bool) -> Result<(Reactor, SignalDescriptor), Errno> {
    let reactor = Reactor::new()?;
    let mask = Mask::of(&SIGNALS);
    let signals = SignalDescriptor::new(if manager { mask.with(libc::SIGQUIT) } else { mask })?;
    reactor.add(&signals, Source::Signals, Interest::READ)?;
    Ok((reactor, signals))
}

fn ready_report(number: i32) -> Option<ReadyReport> {
    if number <= 2 {
        return Some(ReadyReport::Standard(number));
    }
    let owned = descriptor::take_inherited(number).ok()?;
    let _ = descriptor::set_close_on_exec(&owned, true);
    Some(ReadyReport::Owned(owned))
}

fn find_cgroup_base(options: &Options, log: &mut Log) -> Option<Vec<u8>> {
    if let Some(path) = &options.cgroup_path {
        return Some(path.clone());
    }
    if options.manager {
        return Some(Vec::new());
    }
    let text = std::fs::read("/proc/self/cgroup").ok()?;
    match paths::cgroup_base(&text) {
        Ok(base) => Some(base),
        Err(warning) => {
            log.message(Level::Warn, warning);
            None
        }
    }
}

/// Finds the home directory of the real user in the user database.
fn database_home() -> Option<Vec<u8>> {
    SystemHost::new().user_by_id(process::real_uid()).ok()?.map(|user| user.home)
}

/// Reads an environment file of bounded length. A system manager reads nothing that could make it wait.
fn read_environment(path: &Path, manager: bool) -> io::Result<Vec<u8>> {
    let mut options = File::options();
    options.read(true);
    if manager {
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    if manager && !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(LONGEST_ENVIRONMENT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_ENVIRONMENT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_that_shows_while_starting_is_a_reason_not_to_start() {
        let reason = defects_told::<()>(|| panic!("a defect made by the test")).unwrap_err();
        assert_eq!(reason.last_words(), "dinit: unexpected error during initialisation\n");
        assert_eq!(CannotStart::Told.last_words(), "");
        assert_eq!(defects_told(|| Ok(1)), Ok(1));
    }
}
