//! From what a description says to a running process: resources are made, the plan is drawn up, the child is made.
//!
//! Whatever cannot be had refuses the launch with a line in the log; what was made until then is given back.

use crate::daemon::Daemon;
use crate::options::Level;
use crate::reactor::Source;
use crate::runs::Run;
use crate::utmp::Login;
use dinit_graph::{ConsoleUse, Event, ExecFailure, ExecStage, Role, RunId, ServiceId};
use dinit_load::{ExecSpec, LogTarget, RunAs, RunAsGroup, Socket};
use dinit_service::value::{Bound, Limits, ResourceLimits};
use dinit_sys::launch::{
    Capabilities, Cgroup, Identity, Launched, Limit, LogFile, Output, Plan, Readiness, Resource, SpawnError,
    Standard,
};
use dinit_sys::poll::Interest;
use dinit_sys::system::c_string;
use dinit_sys::{Errno, descriptor, process, socket};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

const CGROUPS: &[u8] = b"/sys/fs/cgroup/";
const ACTIVATION_BACKLOG: i32 = 128;

/// What the graph wants launched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) service: ServiceId,
    pub(crate) role: Role,
    pub(crate) run: RunId,
    pub(crate) console: ConsoleUse,
}

/// Why a launch was refused before there was a child: a line for the log, and the cause.
struct Refused {
    text: Vec<u8>,
    failure: ExecFailure,
}

/// Descriptors made for one launch; what the child needs is closed here once it has it.
#[derive(Default)]
struct Made {
    control: Option<(OwnedFd, OwnedFd)>,
    readiness: Option<(OwnedFd, OwnedFd)>,
}

impl Daemon {
    /// Launches a process; if that is not possible the graph is told so.
    pub(crate) fn launch(&mut self, order: Order) {
        let Some(exec) = self.execs.launchable(order.service) else {
            debug_assert!(false, "a service that is launched has been loaded");
            return self.events.push_back(refusal(order.run, ExecStage(0), Errno(libc::ENOENT)));
        };
        if let Err(refused) = self.try_launch(order, &exec) {
            self.log.message(Level::Error, refused.text);
            self.events.push_back(Event::LaunchRefused { run: order.run, failure: refused.failure });
        }
    }

    fn try_launch(&mut self, order: Order, exec: &ExecSpec) -> Result<(), Refused> {
        let says = |text: &str, error: Errno| refused(&exec.name, text, ExecStage(0), error);
        // Only what a service starts with gets its sockets, its place on the console and its pipes.
        let starts = order.role != Role::ServiceStopCommand;
        if matches!(order.role, Role::Main | Role::Launcher | Role::StartCommand) {
            self.open_activation_socket(order.service, exec)?;
        }
        let mut made = Made::default();
        if starts {
            self.prepare_output(exec, order.console)?;
            if exec.pass_cs_fd {
                made.control =
                    Some(socket::pair().map_err(|error| says("can't create control socket", error))?);
            }
        }
        if order.role == Role::Main && exec.readiness.is_expected() {
            let pipe = descriptor::pipe().map_err(|error| says("can't create notification pipe", error))?;
            descriptor::set_nonblocking(&pipe.0, true)
                .map_err(|error| says("can't create notification pipe", error))?;
            made.readiness = Some(pipe);
        }
        let login = (order.role == Role::Main)
            .then_some(exec.inittab.as_ref())
            .flatten()
            .map(|entry| Login { id: entry.id.clone(), line: entry.line.clone() });
        let number = self.reactor.fresh_number();
        let plan = self.plan(order, exec, &made, login.as_ref())?;
        let launched = dinit_sys::launch::spawn(plan, |status| {
            self.reactor.add(status, Source::ExecStatus(number), Interest::READ)
        })
        .map_err(|error| self.cannot_spawn(order, exec, error))?;
        self.enter(order, number, launched, made, login);
        Ok(())
    }

    /// Enters the child among the runs, under the number by which its status pipe is known.
    fn enter(&mut self, order: Order, number: u64, launched: Launched, made: Made, login: Option<Login>) {
        self.launches_under_way += 1;
        self.untrimmed += 1;
        if let Some((ours, _)) = made.control {
            self.admit_client(ours.into());
        }
        self.runs.insert(
            order.run,
            Run {
                service: order.service,
                role: order.role,
                pid: launched.pid,
                is_alive: true,
                status: Some(launched.status),
                readiness: made.readiness.map(|(reader, _)| reader),
                is_ready: false,
                number,
                login,
            },
        );
    }

    fn cannot_spawn(&self, order: Order, exec: &ExecSpec, error: SpawnError) -> Refused {
        let (text, error) = match (error, order.role) {
            (SpawnError::StatusPipe(error), Role::ServiceStopCommand) => {
                ("can't create status check pipe (for stop command)", error)
            }
            (SpawnError::StatusPipe(error), _) => ("can't create status check pipe", error),
            (SpawnError::Descriptors(error) | SpawnError::Fork(error), Role::ServiceStopCommand) => {
                ("could not fork (for stop command)", error)
            }
            (SpawnError::Descriptors(error) | SpawnError::Fork(error), _) => ("could not fork", error),
        };
        refused(&exec.name, text, ExecStage(0), error)
    }

    /// Draws up all that the child is to do.
    fn plan<'a>(
        &'a self,
        order: Order,
        exec: &ExecSpec,
        made: &'a Made,
        login: Option<&Login>,
    ) -> Result<Plan<'a>, Refused> {
        let command = match order.role {
            Role::Main | Role::Launcher | Role::StartCommand => &exec.command,
            Role::ScriptedStopCommand | Role::ServiceStopCommand => &exec.stop_command,
        };
        let invalid = |error: Errno| refused(&exec.name, "cannot be launched", ExecStage(18), error);
        let own = self.settings.cgroup_base.as_deref();
        Ok(Plan {
            arguments: command
                .iter()
                .map(|word| c_string(word))
                .collect::<Result<_, _>>()
                .map_err(invalid)?,
            environment: self.composed_environment(exec),
            directory: Some(c_string(&exec.working_dir).map_err(invalid)?),
            standard: self.standard(order, exec).map_err(invalid)?,
            readiness: made.readiness.as_ref().map(|(_, writer)| Readiness {
                pipe: writer.as_fd(),
                number: exec.readiness.descriptor.and_then(|number| i32::try_from(number).ok()),
                variable: exec.readiness.variable.clone(),
            }),
            activation: self.sockets.get(&order.service).map(AsFd::as_fd),
            control: made.control.as_ref().map(|(_, theirs)| theirs.as_fd()),
            limits: limits(&exec.limits, self.settings.original_open_files),
            nice: exec.nice,
            io_priority: exec.io_priority.map(dinit_service::value::IoPriority::kernel_value),
            oom_score_adjustment: exec.oom_score_adj,
            cgroup: exec
                .run_in_cgroup
                .as_deref()
                .map(|path| cgroup(path, own))
                .transpose()
                .map_err(invalid)?,
            identity: exec.run_as.as_ref().map(identity),
            capabilities: exec.capabilities.as_ref().map(|sets| Capabilities {
                inheritable: sets.inheritable(),
                ambient: sets.ambient(),
                dropped: sets.blocked(),
            }),
            securebits: Some(exec.secure_bits.bits()).filter(|bits| *bits != 0),
            no_new_privileges: exec.no_new_privs,
            login_record: login.and_then(Login::starting),
            signal_mask: self.settings.original_mask.without(libc::SIGCHLD).without(libc::SIGTERM),
        })
    }

    /// Puts together what the process sees: the main environment with the service's changes.
    fn composed_environment(&self, exec: &ExecSpec) -> Vec<CString> {
        exec.environment
            .compose(self.environment.iter())
            .into_iter()
            .filter_map(|(name, value)| CString::new([name, b"=", value].concat()).ok())
            .collect()
    }

    fn standard(&self, order: Order, exec: &ExecSpec) -> Result<Standard<'_>, Errno> {
        if order.role == Role::ServiceStopCommand {
            let output = match &exec.log {
                LogTarget::File(file) => Output::File(log_file(file)?),
                LogTarget::Discard | LogTarget::Buffer(_) | LogTarget::Pipe => Output::Discard,
            };
            return Ok(Standard::Detached { input: None, output });
        }
        let input: Option<BorrowedFd<'_>> =
            exec.consumer_of.as_ref().and_then(|producer| self.outputs.reader_of(producer));
        let exclusive = match order.console {
            ConsoleUse::Exclusive => true,
            ConsoleUse::Shared => false,
            ConsoleUse::None => {
                let output = match &exec.log {
                    LogTarget::Discard => Output::Discard,
                    LogTarget::File(file) => Output::File(log_file(file)?),
                    LogTarget::Buffer(_) => {
                        self.outputs.buffer_writer(&exec.name).map_or(Output::Discard, Output::Pipe)
                    }
                    LogTarget::Pipe => {
                        self.outputs.pipe_writer(&exec.name).map_or(Output::Discard, Output::Pipe)
                    }
                };
                return Ok(Standard::Detached { input, output });
            }
        };
        Ok(Standard::Console { input, exclusive, interruptible: exec.unmask_intr })
    }

    /// Makes the pipes that output and input go through, unless the process is on the console.
    fn prepare_output(&mut self, exec: &ExecSpec, console: ConsoleUse) -> Result<(), Refused> {
        if let Some(producer) = &exec.consumer_of {
            let is_loaded = self.graph.find(producer).is_some();
            self.outputs.pipe(producer).map_err(|error| {
                let text = if is_loaded {
                    "Can't open output pipe"
                } else {
                    "(placeholder): Can't open output pipe"
                };
                let separator: &[u8] = if is_loaded { b": " } else { b" " };
                Refused {
                    text: [producer, separator, text.as_bytes(), b": ", error.text().as_bytes()].concat(),
                    failure: failure(ExecStage(0), error),
                }
            })?;
        }
        if console != ConsoleUse::None {
            // What was said before comes before what the process prints.
            self.log.write_out();
            return Ok(());
        }
        let says = |error: Errno| refused(&exec.name, "can't create output pipe", ExecStage(0), error);
        match exec.log {
            LogTarget::Discard | LogTarget::File(_) => {}
            LogTarget::Pipe => {
                self.outputs.pipe(&exec.name).map_err(says)?;
            }
            LogTarget::Buffer(limit) => {
                let number = self.reactor.fresh_number();
                let reactor = &self.reactor;
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let buffer = self
                    .outputs
                    .buffer(&exec.name, limit, |reader| {
                        reactor.add(reader, Source::Output(number), Interest::READ)?;
                        Ok(number)
                    })
                    .map_err(says)?;
                buffer.note_restart();
            }
        }
        Ok(())
    }

    /// Opens the activation socket of a service, if it has one and it is not open.
    fn open_activation_socket(&mut self, service: ServiceId, exec: &ExecSpec) -> Result<(), Refused> {
        let Some(wanted) = &exec.socket else { return Ok(()) };
        if self.sockets.contains_key(&service) {
            return Ok(());
        }
        let opened = activation_socket(wanted).map_err(|(text, error)| {
            let line = match error {
                Some(error) => format!("{text}: {error}"),
                None => text.to_owned(),
            };
            Refused {
                text: [&exec.name, b": ".as_slice(), line.as_bytes()].concat(),
                failure: failure(ExecStage(3), error.unwrap_or(Errno(libc::EEXIST))),
            }
        })?;
        self.sockets.insert(service, opened);
        Ok(())
    }
}

/// Makes an activation socket; an old socket file is replaced, any other file is left alone.
fn activation_socket(wanted: &Socket) -> Result<OwnedFd, (&'static str, Option<Errno>)> {
    let path = Path::new(OsStr::from_bytes(&wanted.path));
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            let _ = std::fs::remove_file(path);
        }
        Ok(_) => return Err(("activation socket file exists (and is not a socket)", None)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(("error checking activation socket", Some(error.into()))),
    }
    let descriptor =
        socket::blocking_stream().map_err(|error| ("error creating activation socket", Some(error)))?;
    socket::bind_to(&descriptor, path).map_err(|error| ("error binding activation socket", Some(error)))?;
    let finish = || {
        if wanted.uid.is_some() || wanted.gid.is_some() {
            std::os::unix::fs::chown(path, wanted.uid, wanted.gid)
                .map_err(|error| ("error setting activation socket owner/group", Some(error.into())))?;
        }
        std::fs::set_permissions(path, PermissionsExt::from_mode(wanted.permissions))
            .map_err(|error| ("Error setting activation socket permissions", Some(error.into())))?;
        socket::listen_on(&descriptor, ACTIVATION_BACKLOG)
            .map_err(|error| ("error listening on activation socket", Some(error)))
    };
    if let Err(error) = finish() {
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    Ok(descriptor)
}

fn log_file(file: &dinit_load::LogFile) -> Result<LogFile, Errno> {
    Ok(LogFile {
        path: c_string(&file.path)?,
        uid: Some(file.uid),
        gid: Some(file.gid),
        mode: file.permissions,
    })
}

fn limits(limits: &ResourceLimits, original_open_files: Option<u64>) -> Vec<Limit> {
    let own =
        original_open_files.map(|soft| Limit { resource: Resource::OpenFiles, soft: Some(soft), hard: None });
    let wanted = [
        (Resource::OpenFiles, limits.nofile),
        (Resource::CoreSize, limits.core),
        (Resource::DataSize, limits.data),
        (Resource::AddressSpace, limits.addrspace),
    ];
    let wanted = wanted.into_iter().filter_map(|(resource, limits)| Some(limit(resource, limits?)));
    own.into_iter().chain(wanted).collect()
}

fn limit(resource: Resource, limits: Limits) -> Limit {
    let number = |bound: Bound| match bound {
        Bound::Unset => None,
        Bound::Unlimited => Some(u64::MAX),
        Bound::At(number) => Some(number),
    };
    Limit { resource, soft: number(limits.soft), hard: number(limits.hard) }
}

fn cgroup(path: &[u8], base: Option<&[u8]>) -> Result<Cgroup, Errno> {
    let below = match (path.strip_prefix(b"/"), base) {
        (Some(absolute), _) => absolute.to_vec(),
        (None, Some(b"")) => path.to_vec(),
        (None, Some(base)) => [base, b"/", path].concat(),
        (None, None) => return Ok(Cgroup::NoBase),
    };
    Ok(Cgroup::Procs(c_string(&[CGROUPS, &below, b"/cgroup.procs"].concat())?))
}

fn identity(run_as: &RunAs) -> Identity {
    match &run_as.group {
        RunAsGroup::OfDaemon => Identity { uid: run_as.uid, gid: process::real_gid(), groups: Vec::new() },
        RunAsGroup::OfUser { gid, groups } => Identity { uid: run_as.uid, gid: *gid, groups: groups.clone() },
    }
}

fn refused(name: &[u8], text: &str, stage: ExecStage, error: Errno) -> Refused {
    Refused {
        text: [name, b": ", text.as_bytes(), b": ", error.text().as_bytes()].concat(),
        failure: failure(stage, error),
    }
}

fn failure(stage: ExecStage, error: Errno) -> ExecFailure {
    ExecFailure { stage, errno: error.0 }
}

fn refusal(run: RunId, stage: ExecStage, error: Errno) -> Event {
    Event::LaunchRefused { run, failure: failure(stage, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn procs(path: &[u8], base: Option<&[u8]>) -> Option<String> {
        match cgroup(path, base).unwrap() {
            Cgroup::Procs(file) => Some(file.into_string().unwrap()),
            Cgroup::NoBase => None,
        }
    }

    #[test]
    fn a_control_group_lies_below_our_own_unless_it_is_absolute() {
        let file = |path: &str| Some(format!("/sys/fs/cgroup/{path}/cgroup.procs"));
        assert_eq!(procs(b"/a/b", None), file("a/b"));
        assert_eq!(procs(b"a", Some(b"user.slice/x")), file("user.slice/x/a"));
        assert_eq!(procs(b"a", Some(b"")), file("a"));
        assert_eq!(procs(b"a", None), None);
    }

    #[test]
    fn limits_come_after_the_one_that_undoes_our_own() {
        let wanted = ResourceLimits {
            nofile: Some(Limits { soft: Bound::At(10), hard: Bound::Unset }),
            core: Some(Limits { soft: Bound::Unlimited, hard: Bound::Unlimited }),
            ..ResourceLimits::default()
        };
        let expected = [
            Limit { resource: Resource::OpenFiles, soft: Some(1024), hard: None },
            Limit { resource: Resource::OpenFiles, soft: Some(10), hard: None },
            Limit { resource: Resource::CoreSize, soft: Some(u64::MAX), hard: Some(u64::MAX) },
        ];
        assert_eq!(limits(&wanted, Some(1024)), expected);
        assert_eq!(limits(&wanted, None), expected[1..]);
    }
}
