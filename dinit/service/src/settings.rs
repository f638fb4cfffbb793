//! The table of settings: what each is called, which operators it takes, what it does, and the help for it.
//!
//! This is the only place where a setting is declared. The parser looks names up here, and manuals and
//! completions are made from it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::lexer::Value;
use crate::parse::{Lookup, LookupKind};
use crate::substitute::Substituter;
use crate::value::limits::{self, LimitFault};
use crate::value::priority::IoPriorityFault;
use crate::value::time::{self, TimeFault};
use crate::value::{Capabilities, Group, IoPriority, Limits, SecureBits, TermSignal, User, number};
use crate::{
    At, CommandLine, Dependency, DependencyKind, Layout, LogType, Options, Place, Problem, Restart,
    ServiceDescription, ServiceName, ServiceType, SubstitutionError, Target,
};

/// Which operators a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// `=` and `:`, which mean the same.
    Assign,
    /// `=`, `:` and `+=`.
    AssignOrAppend,
}

/// When variables are substituted in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Substitution {
    /// Never: a `$` is a `$`.
    Never,
    /// As the line is read, from the environment of the daemon.
    WhileReading,
    /// When the whole description is known, from the environment of the service.
    AfterReading,
}

/// One row of the table.
pub struct Setting {
    /// The name, as it is written.
    pub name: &'static str,
    /// Which operators it takes.
    pub operators: Operators,
    /// When variables are substituted in its value.
    pub substitution: Substitution,
    /// Takes in a value.
    pub(crate) apply: fn(&mut Reading<'_>, &Assignment<'_>) -> Result<(), Fault>,
    /// What it is for and what it takes, in one line; shown after a wrong value.
    pub help: &'static str,
}

impl core::fmt::Debug for Setting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Finds the row of a setting.
pub fn find(name: &[u8]) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.as_bytes() == name)
}

const fn plain(
    name: &'static str,
    apply: fn(&mut Reading<'_>, &Assignment<'_>) -> Result<(), Fault>,
    help: &'static str,
) -> Setting {
    Setting { name, operators: Operators::Assign, substitution: Substitution::Never, apply, help }
}

const fn before(
    name: &'static str,
    apply: fn(&mut Reading<'_>, &Assignment<'_>) -> Result<(), Fault>,
    help: &'static str,
) -> Setting {
    Setting { substitution: Substitution::WhileReading, ..plain(name, apply, help) }
}

const fn after(
    name: &'static str,
    apply: fn(&mut Reading<'_>, &Assignment<'_>) -> Result<(), Fault>,
    help: &'static str,
) -> Setting {
    Setting { substitution: Substitution::AfterReading, ..plain(name, apply, help) }
}

const fn appending(setting: Setting) -> Setting {
    Setting { operators: Operators::AssignOrAppend, ..setting }
}

/// All settings.
pub static SETTINGS: &[Setting] = &[
    plain(
        "type",
        |to, a| keyword(a, ServiceType::WORDS, TYPE_FAULT, &mut to.description.service_type),
        "what the service is: process, bgprocess, scripted, internal or triggered",
    ),
    appending(after(
        "command",
        |to, a| command(a, &mut to.description.command),
        "the program to start and its arguments; no shell is involved",
    )),
    appending(after(
        "stop-command",
        |to, a| command(a, &mut to.description.stop_command),
        "the program that stops the service and its arguments",
    )),
    after(
        "working-dir",
        |to, a| path(a, &mut to.description.working_dir),
        "the directory in which the processes run",
    ),
    plain(
        "run-as",
        |to, a| user(a, &mut to.lookups, &mut to.description.run_as),
        "the user that the processes run as: a login name or a number",
    ),
    before("env-file", env_file, "a file of NAME=VALUE lines that are added to the environment"),
    plain(
        "restart",
        |to, a| keyword(a, Restart::WORDS, RESTART_FAULT, &mut to.description.restart),
        "whether the service starts again when it stops by itself: yes, on-failure or no",
    ),
    plain(
        "smooth-recovery",
        |to, a| keyword(a, BOOLEAN_WORDS, SMOOTH_RECOVERY_FAULT, &mut to.description.smooth_recovery),
        "whether a process that ends is started again without the service stopping: yes or no",
    ),
    plain(
        "restart-delay",
        |to, a| seconds(a, &mut to.description.restart_delay),
        "the least time between two launches, in seconds such as 0.2",
    ),
    plain(
        "restart-limit-interval",
        |to, a| seconds(a, &mut to.description.restart_limit_interval),
        "the time within which restarts are counted, in seconds such as 10",
    ),
    plain(
        "restart-limit-count",
        |to, a| count(a, &mut to.description.restart_limit_count),
        "how many restarts are allowed within restart-limit-interval; 0 means any number",
    ),
    plain(
        "start-timeout",
        |to, a| seconds(a, &mut to.description.start_timeout),
        "how long starting may take, in seconds such as 60; 0 means any time",
    ),
    plain(
        "stop-timeout",
        |to, a| seconds(a, &mut to.description.stop_timeout),
        "how long stopping may take before the process is killed, in seconds such as 10; 0 means any time",
    ),
    after(
        "pid-file",
        |to, a| path(a, &mut to.description.pid_file),
        "the file that a bgprocess service writes its process id to",
    ),
    before("depends-on", dependency, "a service that must be started for as long as this one is"),
    before("depends-ms", dependency, "a service that must have started before this one does"),
    before("waits-for", dependency, "a service that is started before this one, and may fail"),
    before("prepared-by", dependency, "a service that must be started, and restarts with this one"),
    before("depends-on.d", directory, "a directory whose entries name services, as with depends-on"),
    before("depends-ms.d", directory, "a directory whose entries name services, as with depends-ms"),
    before("waits-for.d", directory, "a directory whose entries name services, as with waits-for"),
    before(
        "before",
        |to, a| {
            let name = to.service_name(a)?;
            to.description.before.push(name);
            Ok(())
        },
        "a service that, if it is to start, starts after this one",
    ),
    before(
        "after",
        |to, a| {
            let name = to.service_name(a)?;
            to.description.after.push(name);
            Ok(())
        },
        "a service that, if it is starting, is waited for",
    ),
    before("chain-to", chain_to, "a service that is started when this one has ended well"),
    after(
        "socket-listen",
        |to, a| path(a, &mut to.description.socket_listen),
        "the path of a socket that is opened for the service",
    ),
    plain(
        "socket-permissions",
        |to, a| mode(a, &mut to.description.socket_permissions),
        "the mode of the activation socket, in octal such as 0660",
    ),
    plain(
        "socket-uid",
        |to, a| user(a, &mut to.lookups, &mut to.description.socket_uid),
        "the owner of the activation socket: a login name or a number",
    ),
    plain(
        "socket-gid",
        |to, a| group(a, &mut to.lookups, &mut to.description.socket_gid),
        "the group of the activation socket: a name or a number",
    ),
    plain("term-signal", term_signal, TERM_SIGNAL_HELP),
    plain("termsignal", term_signal, TERM_SIGNAL_HELP),
    plain(
        "ready-notification",
        readiness,
        "how the process says that it is ready: pipefd:NUMBER or pipevar:VARIABLE",
    ),
    plain(
        "log-type",
        |to, a| keyword(a, LogType::WORDS, LOG_TYPE_FAULT, &mut to.description.log_type),
        "where the output goes: file, buffer, pipe or none",
    ),
    after("logfile", logfile, "the file that the output is appended to"),
    plain(
        "logfile-permissions",
        |to, a| mode(a, &mut to.description.logfile_permissions),
        "the mode of the log file, in octal such as 0640",
    ),
    plain(
        "logfile-uid",
        |to, a| user(a, &mut to.lookups, &mut to.description.logfile_uid),
        "the owner of the log file: a login name or a number",
    ),
    plain(
        "logfile-gid",
        |to, a| group(a, &mut to.lookups, &mut to.description.logfile_gid),
        "the group of the log file: a name or a number",
    ),
    plain(
        "log-buffer-size",
        |to, a| count(a, &mut to.description.log_buffer_size),
        "how many bytes of output are kept with log-type = buffer",
    ),
    before("consumer-of", consumer_of, "a service whose output this one reads as its standard input"),
    plain("options", options, "any of the words that the manual lists under OPTIONS"),
    plain("load-options", load_options, "export-passwd-vars, export-service-name"),
    plain(
        "inittab-id",
        |to, a| short(a, INITTAB_ID_LENGTH, &mut to.description.inittab_id),
        "the id of the utmp entry, at most 4 bytes",
    ),
    plain(
        "inittab-line",
        |to, a| short(a, INITTAB_LINE_LENGTH, &mut to.description.inittab_line),
        "the line of the utmp entry, at most 32 bytes",
    ),
    plain(
        "rlimit-nofile",
        |to, a| rlimit(a, &mut to.warnings, &mut to.description.limits.nofile),
        "how many files may be open, as SOFT:HARD; `-` means unlimited",
    ),
    plain(
        "rlimit-core",
        |to, a| rlimit(a, &mut to.warnings, &mut to.description.limits.core),
        "how large a core dump may be, in bytes as SOFT:HARD; `-` means unlimited",
    ),
    plain(
        "rlimit-data",
        |to, a| rlimit(a, &mut to.warnings, &mut to.description.limits.data),
        "how large the data segment may be, in bytes as SOFT:HARD; `-` means unlimited",
    ),
    plain(
        "rlimit-addrspace",
        |to, a| rlimit(a, &mut to.warnings, &mut to.description.limits.addrspace),
        "how large the address space may be, in bytes as SOFT:HARD; `-` means unlimited",
    ),
    plain("nice", nice, "the scheduling priority, from -20 (first) to 19"),
    plain(
        "run-in-cgroup",
        |to, a| path(a, &mut to.description.run_in_cgroup),
        "the control group that the processes are put into; it must exist",
    ),
    appending(plain(
        "capabilities",
        capabilities,
        "capabilities such as ^cap_net_bind_service,!cap_sys_admin",
    )),
    appending(plain("securebits", secure_bits, "secure bits such as keep-caps and noroot-locked")),
    plain("ioprio", io_priority, "none, idle, best-effort:LEVEL or realtime:LEVEL, where LEVEL is 0 to 7"),
    plain("oom-score-adj", oom_score_adj, "a number from -1000 (never killed) to 1000 (killed first)"),
];

const TERM_SIGNAL_HELP: &str = "one of none, HUP, INT, QUIT, KILL, USR1, USR2, TERM, CONT and STOP";
const TYPE_FAULT: &str =
    r#"service type must be one of: "scripted", "process", "bgprocess", "internal" or "triggered""#;
const RESTART_FAULT: &str = r#"restart must be one of: "yes", "true", "no", "false" or "on-failure""#;
const SMOOTH_RECOVERY_FAULT: &str = r#"smooth-recovery must be one of: "yes", "true", "no" or "false""#;
const LOG_TYPE_FAULT: &str = r#"log type must be one of: "file", "buffer", "pipe", or "none""#;
const NUMBER_FAULT: &str = "specified value contains invalid numeric characters or is outside allowed range.";
const MODE_FAULT: &str = "badly-formed or out-of-range numeric value";

/// The words of settings that are on or off; the first of several for one value is the canonical one.
pub(crate) const BOOLEAN_WORDS: &[(&str, bool)] =
    &[("yes", true), ("true", true), ("no", false), ("false", false)];

/// The longest `inittab-id`, as Linux has it.
const INITTAB_ID_LENGTH: usize = 4;
/// The longest `inittab-line`, as Linux has it.
const INITTAB_LINE_LENGTH: usize = 32;

/// What a line is read into.
pub(crate) struct Reading<'a> {
    pub(crate) name: &'a ServiceName,
    pub(crate) description: ServiceDescription,
    pub(crate) substituter: Substituter<'a>,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) warnings: Vec<Problem>,
}

/// One setting line.
pub(crate) struct Assignment<'v> {
    pub(crate) setting: &'static Setting,
    pub(crate) appends: bool,
    pub(crate) value: &'v Value,
    pub(crate) place: Place,
}

/// What is wrong with a value; the caller adds where.
pub(crate) struct Fault {
    pub(crate) layout: Layout,
    pub(crate) text: Vec<u8>,
    pub(crate) help: Option<Cow<'static, str>>,
    /// The word of the value that is meant, if it is not all of it.
    pub(crate) part: Option<usize>,
}

impl Fault {
    fn line(parts: &[&[u8]]) -> Fault {
        Fault { layout: Layout::Line, text: parts.concat(), help: None, part: None }
    }

    fn setting(parts: &[&[u8]]) -> Fault {
        Fault { layout: Layout::LineAndSetting, ..Fault::line(parts) }
    }

    fn with_help(self, help: impl Into<Cow<'static, str>>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }
}

impl From<SubstitutionError> for Fault {
    fn from(error: SubstitutionError) -> Fault {
        Fault { layout: Layout::Setting, ..Fault::line(&[error.text().as_bytes()]) }.with_help(error.help())
    }
}

impl Reading<'_> {
    fn substituted(&mut self, a: &Assignment<'_>) -> Result<Vec<u8>, Fault> {
        Ok(self.substituter.text(&a.value.text)?)
    }

    /// Reads the name of a service that is not loaded because of it.
    fn service_name(&mut self, a: &Assignment<'_>) -> Result<At<Vec<u8>>, Fault> {
        let name = self.substituted(a)?;
        valid_name(&name, "invalid service name '")?;
        Ok(At::new(name, a.place))
    }
}

fn valid_name(name: &[u8], complaint: &str) -> Result<(), Fault> {
    if ServiceName::is_valid(name) {
        return Ok(());
    }
    Err(Fault::setting(&[complaint.as_bytes(), name, b"'"])
        .with_help("a service name is not empty and does not start with `.` or `@`"))
}

fn keyword<T: Copy>(
    a: &Assignment<'_>,
    words: &[(&str, T)],
    fault: &str,
    field: &mut T,
) -> Result<(), Fault> {
    *field = word(words, &a.value.text).ok_or_else(|| Fault::setting(&[fault.as_bytes()]))?;
    Ok(())
}

fn word<T: Copy>(words: &[(&str, T)], text: &[u8]) -> Option<T> {
    words.iter().find(|(word, _)| word.as_bytes() == text).map(|(_, value)| *value)
}

fn command(a: &Assignment<'_>, field: &mut CommandLine) -> Result<(), Fault> {
    if !a.appends {
        field.clear();
    }
    field.extend(a.value.parts.iter().map(|part| part.text.clone()));
    Ok(())
}

fn path(a: &Assignment<'_>, field: &mut Option<Vec<u8>>) -> Result<(), Fault> {
    *field = Some(a.value.text.clone()).filter(|path| !path.is_empty());
    Ok(())
}

fn short(a: &Assignment<'_>, most: usize, field: &mut Vec<u8>) -> Result<(), Fault> {
    if a.value.text.len() > most {
        return Err(
            Fault::line(&[a.setting.name.as_bytes(), b" setting is too long"]).with_help(a.setting.help)
        );
    }
    field.clone_from(&a.value.text);
    Ok(())
}

fn seconds(a: &Assignment<'_>, field: &mut Duration) -> Result<(), Fault> {
    let complaint = |words: &str| Fault::line(&[words.as_bytes(), a.setting.name.as_bytes()]);
    *field = time::parse(&a.value.text).map_err(|fault| match fault {
        TimeFault::Bad => complaint("bad value for "),
        TimeFault::TooLarge => complaint("too-large value for "),
    })?;
    Ok(())
}

fn count(a: &Assignment<'_>, field: &mut u32) -> Result<(), Fault> {
    *field = number::count(&a.value.text).ok_or_else(bad_number)?;
    Ok(())
}

fn bad_number() -> Fault {
    Fault::line(&[NUMBER_FAULT.as_bytes()])
}

fn mode(a: &Assignment<'_>, field: &mut u32) -> Result<(), Fault> {
    *field = number::octal_mode(&a.value.text).ok_or_else(|| Fault::setting(&[MODE_FAULT.as_bytes()]))?;
    Ok(())
}

fn user(a: &Assignment<'_>, lookups: &mut Vec<Lookup>, field: &mut Option<User>) -> Result<(), Fault> {
    *field = User::parse(&a.value.text).map_err(|_| bad_id(a, "user"))?;
    if let Some(User::Name(name)) = field {
        let name = name.clone();
        lookups.push(Lookup { kind: LookupKind::User, setting: a.setting.name, name, place: a.place });
    }
    Ok(())
}

fn group(a: &Assignment<'_>, lookups: &mut Vec<Lookup>, field: &mut Option<Group>) -> Result<(), Fault> {
    *field = Group::parse(&a.value.text).map_err(|_| bad_id(a, "group"))?;
    if let Some(Group::Name(name)) = field {
        let name = name.clone();
        lookups.push(Lookup { kind: LookupKind::Group, setting: a.setting.name, name, place: a.place });
    }
    Ok(())
}

fn bad_id(a: &Assignment<'_>, what: &str) -> Fault {
    Fault::line(&[
        a.setting.name.as_bytes(),
        b": specified ",
        what.as_bytes(),
        b" id contains invalid numeric characters or is outside allowed range.",
    ])
}

fn rlimit(a: &Assignment<'_>, warnings: &mut Vec<Problem>, field: &mut Option<Limits>) -> Result<(), Fault> {
    let name = a.setting.name.as_bytes();
    let read = limits::parse(&a.value.text).map_err(|fault| match fault {
        LimitFault::Bad => Fault::line(&[name, b": bad value."]),
        LimitFault::TooLarge => Fault::line(&[name, b": too-large value."]),
    })?;
    if read.has_junk {
        let text = [name, b": characters after the hard limit are ignored"].concat();
        warnings.push(Problem::plain(text).with_help(a.setting.help).with_place(Some(a.place)));
    }
    *field = Some(read.limits);
    Ok(())
}

fn env_file(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let path = to.substituted(a)?;
    to.description.env_file = (!path.is_empty()).then(|| At::new(path, a.place));
    Ok(())
}

fn dependency(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let name = to.substituted(a)?;
    valid_name(&name, "invalid dependency name '")?;
    if let Some(kind) = word(DependencyKind::SETTINGS, a.setting.name.as_bytes()) {
        let dependency = Dependency { kind, target: Target::Service(name) };
        to.description.dependencies.push(At::new(dependency, a.place));
    }
    Ok(())
}

fn directory(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let path = to.substituted(a)?;
    if let Some(kind) = word(DependencyKind::DIRECTORY_SETTINGS, a.setting.name.as_bytes()) {
        let dependency = Dependency { kind, target: Target::Directory(path) };
        to.description.dependencies.push(At::new(dependency, a.place));
    }
    Ok(())
}

fn chain_to(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let name = to.substituted(a)?;
    valid_name(&name, "invalid chain-to service name '")?;
    to.description.chain_to = Some(At::new(name, a.place));
    Ok(())
}

fn consumer_of(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let name = to.service_name(a)?;
    if name.value == to.name.as_bytes() {
        return Err(Fault::setting(&[b"service cannot be its own consumer"]));
    }
    to.description.consumer_of = Some(name);
    Ok(())
}

fn term_signal(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    to.description.term_signal = word(TermSignal::WORDS, &a.value.text)
        .ok_or_else(|| Fault::setting(&[b"unknown/unsupported termination signal: ", &a.value.text]))?;
    Ok(())
}

fn readiness(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let readiness = &mut to.description.readiness;
    if let Some(number) = a.value.text.strip_prefix(b"pipefd:") {
        readiness.descriptor = Some(number::count(number).ok_or_else(bad_number)?);
    } else if let Some(variable) = a.value.text.strip_prefix(b"pipevar:") {
        if variable.is_empty() {
            return Err(Fault::setting(&[b"invalid pipevar variable name"]));
        }
        readiness.variable = Some(variable.to_vec());
    } else {
        return Err(Fault::setting(&[b"unrecognised setting: ", &a.value.text]));
    }
    Ok(())
}

/// Takes the path, and turns the log type to `file` if it is `none` at this moment: the order matters.
fn logfile(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    path(a, &mut to.description.logfile)?;
    if to.description.logfile.is_some() && to.description.log_type == LogType::None {
        to.description.log_type = LogType::File;
    }
    Ok(())
}

fn options(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    each_word(a, Options::WORDS, "unknown option: ", |option| to.description.options.add(option))
}

fn load_options(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let words: &[(&str, LoadOption)] = &[
        ("export-passwd-vars", |description| description.export_passwd_vars = true),
        ("export-service-name", |description| description.export_service_name = true),
        ("sub-vars", |_| {}),
    ];
    each_word(a, words, "unknown load option: ", |set| set(&mut to.description))
}

type LoadOption = fn(&mut ServiceDescription);

fn secure_bits(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    if !a.appends {
        to.description.secure_bits = SecureBits::NONE;
    }
    each_word(a, SecureBits::WORDS, "unknown securebits flag: ", |bit| to.description.secure_bits |= bit)
}

fn each_word<T: Copy>(
    a: &Assignment<'_>,
    words: &[(&'static str, T)],
    complaint: &str,
    mut take: impl FnMut(T),
) -> Result<(), Fault> {
    for (index, part) in a.value.parts.iter().enumerate() {
        match word(words, &part.text) {
            Some(value) => take(value),
            None => {
                let mut fault = Fault::setting(&[complaint.as_bytes(), &part.text]);
                fault.help = similar(&part.text, words.iter().map(|(word, _)| *word))
                    .or_else(|| Some(Cow::Owned(one_of(words))));
                fault.part = Some(index);
                return Err(fault);
            }
        }
    }
    Ok(())
}

fn one_of<T>(words: &[(&'static str, T)]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    alloc::format!("the words are {}", words.join(", "))
}

fn nice(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let nice = number::signed(&a.value.text, -1_073_741_824, 1_073_741_823).ok_or_else(bad_number)?;
    to.description.nice = Some(nice);
    Ok(())
}

fn oom_score_adj(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let score = number::signed(&a.value.text, -1000, 1000).ok_or_else(bad_number)?;
    to.description.oom_score_adj = Some(score);
    Ok(())
}

fn capabilities(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    let text = match &to.description.capabilities {
        Some(present) if a.appends => [present.text(), b",", &a.value.text].concat(),
        _ => a.value.text.clone(),
    };
    let capabilities = Capabilities::parse(&text)
        .map_err(|_| Fault::setting(&[b"invalid capabilities: ", &a.value.text]))?;
    to.description.capabilities = Some(capabilities);
    Ok(())
}

fn io_priority(to: &mut Reading<'_>, a: &Assignment<'_>) -> Result<(), Fault> {
    to.description.io_priority = Some(IoPriority::parse(&a.value.text).map_err(|fault| match fault {
        IoPriorityFault::Class => Fault::setting(&[b"invalid value for ioprio: ", &a.value.text]),
        IoPriorityFault::Level => bad_number(),
    })?);
    Ok(())
}

/// Returns the help that names the candidate most like `written`, if one is like it.
pub(crate) fn similar<'c>(
    written: &[u8],
    candidates: impl Iterator<Item = &'c str>,
) -> Option<Cow<'static, str>> {
    const LONGEST: usize = 40;
    if written.len() > LONGEST {
        return None;
    }
    let most = written.len() / 3 + 1;
    candidates
        .map(|candidate| (distance(written, candidate.as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| Cow::Owned(alloc::format!("there is `{candidate}`")))
}

/// Counts the bytes to insert, remove or replace to get from one word to another.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index.saturating_add(1);
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (b, above) in to.iter().zip(row.iter().skip(1)) {
            let changed = diagonal.saturating_add(usize::from(!a.eq_ignore_ascii_case(b)));
            left = changed.min(above.saturating_add(1)).min(left.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
