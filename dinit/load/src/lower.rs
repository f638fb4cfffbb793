//! Splits a description into what the graph must know and what only launching needs.
//!
//! This is the one place where types of the language become types of the graph.

use std::sync::Arc;
use std::time::Duration;

use dinit_graph::{ChainRule, ConsoleNeed, Kind, Output, Readiness, Signal, Spec};
use dinit_service::value::{Group, TermSignal, User};
use dinit_service::{
    DependencyKind, Environment, LogType, Options, Restart, ServiceDescription, ServiceName, ServiceType,
};

use crate::exec::{
    ExecSpec, InittabEntry, LogFile, LogTarget, Origin, ReadinessPipe, RunAs, RunAsGroup, Socket,
};
use crate::{Host, HostError, Identity};

/// What launching needs, from a description in which variables are substituted.
pub(crate) fn exec_spec(
    name: &ServiceName,
    d: ServiceDescription,
    origin: Origin,
    environment: Environment,
    host: &dyn Host,
    identity: Identity,
) -> Result<ExecSpec, HostError> {
    let runs = d.service_type.runs_commands();
    Ok(ExecSpec {
        name: Arc::from(name.as_bytes()),
        run_as: run_as(d.run_as.as_ref(), host)?,
        log: log_target(&d, host, identity)?,
        socket: if runs { socket(&d, host)? } else { None },
        inittab: inittab(&d),
        readiness: readiness(&d),
        command: if runs { d.command } else { Vec::new() },
        stop_command: if runs { d.stop_command } else { Vec::new() },
        working_dir: match d.working_dir.filter(|path| !path.is_empty()) {
            Some(path) => path,
            None if runs => origin.directory.clone(),
            None => Vec::new(),
        },
        environment,
        consumer_of: d.consumer_of.map(|name| name.value),
        chain_to: d.chain_to.map(|name| name.value),
        pid_file: d.pid_file.filter(|_| d.service_type == ServiceType::BgProcess),
        limits: d.limits,
        nice: d.nice.map(|nice| nice.clamp(-20, 19)),
        io_priority: d.io_priority,
        oom_score_adj: d.oom_score_adj,
        run_in_cgroup: d.run_in_cgroup,
        capabilities: d.capabilities,
        secure_bits: d.secure_bits,
        no_new_privs: d.options.contains(Options::NO_NEW_PRIVS),
        unmask_intr: d.options.contains(Options::UNMASK_INTR),
        pass_cs_fd: d.options.contains(Options::PASS_CS_FD),
        origin,
    })
}

/// What the graph must know.
pub(crate) fn graph_spec(d: &ServiceDescription, modified: (i64, u32)) -> Spec {
    let has = |option| d.options.contains(option);
    Spec {
        restart: restart(d.restart),
        smooth_recovery: d.smooth_recovery,
        restart_delay: d.restart_delay,
        restart_limit_count: d.restart_limit_count,
        restart_limit_interval: d.restart_limit_interval,
        start_timeout: time_limit(d.start_timeout),
        stop_timeout: time_limit(d.stop_timeout),
        term_signal: match d.term_signal {
            TermSignal::None => None,
            signal => Some(Signal(signal.number())),
        },
        signal_process_only: has(Options::SIGNAL_PROCESS_ONLY),
        has_stop_command: d.service_type.runs_commands() && has_words(&d.stop_command),
        readiness: match readiness(d).is_expected() {
            true => Readiness::Notification,
            false => Readiness::Execution,
        },
        start_interruptible: has(Options::START_INTERRUPTIBLE),
        skippable: has(Options::SKIPPABLE),
        kill_all_on_stop: has(Options::KILL_ALL_ON_STOP),
        starts_rwfs: has(Options::STARTS_RWFS),
        starts_log: has(Options::STARTS_LOG),
        console: console(d.options),
        chain: match (&d.chain_to, has(Options::ALWAYS_CHAIN)) {
            (None, _) => ChainRule::Never,
            (Some(_), false) => ChainRule::AfterCleanEnd,
            (Some(_), true) => ChainRule::Always,
        },
        output: output(d.log_type),
        described_at: modified,
        ..Spec::new(kind(d.service_type))
    }
}

/// Returns the graph's word for a kind of dependency.
pub(crate) fn dependency_kind(kind: DependencyKind) -> dinit_graph::DependencyKind {
    match kind {
        DependencyKind::Regular => dinit_graph::DependencyKind::Regular,
        DependencyKind::Milestone => dinit_graph::DependencyKind::Milestone,
        DependencyKind::Soft => dinit_graph::DependencyKind::WaitsFor,
        DependencyKind::Preparation => dinit_graph::DependencyKind::PreparedBy,
    }
}

pub(crate) fn kind(service_type: ServiceType) -> Kind {
    match service_type {
        ServiceType::Process => Kind::Process,
        ServiceType::BgProcess => Kind::BgProcess,
        ServiceType::Scripted => Kind::Scripted,
        ServiceType::Internal => Kind::Internal,
        ServiceType::Triggered => Kind::Triggered,
    }
}

fn restart(restart: Restart) -> dinit_graph::Restart {
    match restart {
        Restart::Always => dinit_graph::Restart::Always,
        Restart::OnFailure => dinit_graph::Restart::OnFailure,
        Restart::Never => dinit_graph::Restart::Never,
    }
}

fn output(log_type: LogType) -> Output {
    match log_type {
        LogType::None => Output::None,
        LogType::File => Output::File,
        LogType::Buffer => Output::Buffer,
        LogType::Pipe => Output::Pipe,
    }
}

fn console(options: Options) -> ConsoleNeed {
    if options.contains(Options::RUNS_ON_CONSOLE) {
        ConsoleNeed::Run
    } else if options.contains(Options::STARTS_ON_CONSOLE) {
        ConsoleNeed::Start
    } else if options.contains(Options::SHARES_CONSOLE) {
        ConsoleNeed::Shared
    } else {
        ConsoleNeed::None
    }
}

fn time_limit(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

/// Tells whether a stop command is one: a `stop-command` of nothing but an empty word is not.
fn has_words(words: &[Vec<u8>]) -> bool {
    dinit_service::consistency::has_command(words)
}

fn readiness(d: &ServiceDescription) -> ReadinessPipe {
    if d.service_type != ServiceType::Process {
        return ReadinessPipe::default();
    }
    ReadinessPipe { descriptor: d.readiness.descriptor, variable: d.readiness.variable.clone() }
}

fn inittab(d: &ServiceDescription) -> Option<InittabEntry> {
    let is_wanted =
        d.service_type == ServiceType::Process && !(d.inittab_id.is_empty() && d.inittab_line.is_empty());
    is_wanted.then(|| InittabEntry { id: d.inittab_id.clone(), line: d.inittab_line.clone() })
}

fn run_as(user: Option<&User>, host: &dyn Host) -> Result<Option<RunAs>, HostError> {
    match user {
        None => Ok(None),
        Some(User::Id(uid)) => Ok(Some(RunAs { uid: *uid, group: RunAsGroup::OfDaemon })),
        Some(User::Name(name)) => {
            let user = host.user(name)?.ok_or(HostError::MISSING)?;
            let mut groups = vec![user.gid];
            groups.extend(host.groups_of(name)?.into_iter().filter(|gid| *gid != user.gid));
            Ok(Some(RunAs { uid: user.uid, group: RunAsGroup::OfUser { gid: user.gid, groups } }))
        }
    }
}

/// Looks up an owner: the user id, and the group id that comes with a user given by name.
fn owner(
    user: Option<&User>,
    group: Option<&Group>,
    host: &dyn Host,
) -> Result<(Option<u32>, Option<u32>), HostError> {
    let (uid, own_gid) = match user {
        None => (None, None),
        Some(User::Id(uid)) => (Some(*uid), None),
        Some(User::Name(name)) => {
            let user = host.user(name)?.ok_or(HostError::MISSING)?;
            (Some(user.uid), Some(user.gid))
        }
    };
    let gid = match group {
        None => own_gid,
        Some(Group::Id(gid)) => Some(*gid),
        Some(Group::Name(name)) => Some(host.group(name)?.ok_or(HostError::MISSING)?),
    };
    Ok((uid, gid))
}

fn socket(d: &ServiceDescription, host: &dyn Host) -> Result<Option<Socket>, HostError> {
    let Some(path) = d.socket_listen.clone().filter(|path| !path.is_empty()) else { return Ok(None) };
    let (uid, gid) = owner(d.socket_uid.as_ref(), d.socket_gid.as_ref(), host)?;
    Ok(Some(Socket { path, permissions: d.socket_permissions, uid, gid }))
}

/// Finds where the output goes; `log-type = file` without a file is nowhere (SD DIV 13).
fn log_target(d: &ServiceDescription, host: &dyn Host, identity: Identity) -> Result<LogTarget, HostError> {
    match d.log_type {
        LogType::None => Ok(LogTarget::Discard),
        LogType::Buffer => Ok(LogTarget::Buffer(d.log_buffer_size)),
        LogType::Pipe => Ok(LogTarget::Pipe),
        LogType::File => {
            let Some(path) = d.logfile.clone().filter(|path| !path.is_empty()) else {
                return Ok(LogTarget::Discard);
            };
            let (uid, gid) = owner(d.logfile_uid.as_ref(), d.logfile_gid.as_ref(), host)?;
            Ok(LogTarget::File(LogFile {
                path,
                permissions: d.logfile_permissions,
                uid: uid.unwrap_or(identity.real_uid),
                gid: gid.unwrap_or(identity.real_gid),
            }))
        }
    }
}
