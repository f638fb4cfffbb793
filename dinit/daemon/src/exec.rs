//! What is kept of each service beside the graph: how it is launched, if it ever is.
//!
//! Most services of a large set have no process, so of those only the little is kept that can be asked for.

use dinit_graph::{Kind, ServiceId};
use dinit_load::{ExecSpec, LogTarget, Origin, ReadinessPipe};
use dinit_service::Environment;
use dinit_service::value::{ResourceLimits, SecureBits};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// What is kept of all services.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    /// Services that run commands, or of which there is something else to remember.
    kept: BTreeMap<ServiceId, Exec>,
    /// The directory of services that are not in `kept`: that of the first service without a process.
    usual_directory: Option<Rc<[u8]>>,
}

#[derive(Debug)]
enum Exec {
    Launchable(Rc<ExecSpec>),
    Bare(Box<Bare>),
}

/// What is kept of a service without a process, if it is out of the ordinary.
#[derive(Debug)]
struct Bare {
    directory: Rc<[u8]>,
    chain_to: Option<Vec<u8>>,
}

impl Execs {
    /// Keeps what is needed for a service of a kind.
    pub(crate) fn keep(&mut self, service: ServiceId, kind: Kind, exec: Rc<ExecSpec>) {
        let kept = match kind {
            Kind::Process | Kind::BgProcess | Kind::Scripted => Exec::Launchable(exec),
            Kind::Internal | Kind::Triggered => {
                let usual =
                    self.usual_directory.get_or_insert_with(|| Rc::from(exec.origin.directory.as_slice()));
                let is_usual = **usual == exec.origin.directory;
                if is_usual && exec.chain_to.is_none() {
                    self.kept.remove(&service);
                    return;
                }
                let directory =
                    if is_usual { Rc::clone(usual) } else { Rc::from(exec.origin.directory.as_slice()) };
                Exec::Bare(Box::new(Bare { directory, chain_to: exec.chain_to.clone() }))
            }
        };
        self.kept.insert(service, kept);
    }

    /// Forgets a service, and gives all settings if it ran commands.
    pub(crate) fn forget(&mut self, service: ServiceId) -> Option<Rc<ExecSpec>> {
        match self.kept.remove(&service) {
            Some(Exec::Launchable(exec)) => Some(exec),
            Some(Exec::Bare(_)) | None => None,
        }
    }

    /// Gives all settings of a service that runs commands.
    pub(crate) fn launchable(&self, service: ServiceId) -> Option<Rc<ExecSpec>> {
        match self.kept.get(&service) {
            Some(Exec::Launchable(exec)) => Some(Rc::clone(exec)),
            Some(Exec::Bare(_)) | None => None,
        }
    }

    /// Gives the service that is started after this one.
    pub(crate) fn chain_to(&self, service: ServiceId) -> Option<Vec<u8>> {
        match self.kept.get(&service)? {
            Exec::Launchable(exec) => exec.chain_to.clone(),
            Exec::Bare(bare) => bare.chain_to.clone(),
        }
    }

    /// Gives the directory in which the description of a loaded service was found.
    pub(crate) fn directory(&self, service: ServiceId) -> Option<Vec<u8>> {
        match self.kept.get(&service) {
            Some(Exec::Launchable(exec)) => Some(exec.origin.directory.clone()),
            Some(Exec::Bare(bare)) => Some(bare.directory.to_vec()),
            None => self.usual_directory.as_deref().map(<[u8]>::to_vec),
        }
    }

    /// Gives all settings of the loaded service of this name, as far as they are known.
    pub(crate) fn spec(&self, service: ServiceId, name: &[u8]) -> Rc<ExecSpec> {
        self.launchable(service).unwrap_or_else(|| Rc::new(bare_spec(name, self.chain_to(service))))
    }
}

/// Gives the settings of a service without a process.
fn bare_spec(name: &[u8], chain_to: Option<Vec<u8>>) -> ExecSpec {
    ExecSpec {
        name: Arc::from(name),
        origin: Origin::default(),
        command: Vec::new(),
        stop_command: Vec::new(),
        working_dir: Vec::new(),
        environment: Environment::new(),
        run_as: None,
        log: LogTarget::Discard,
        consumer_of: None,
        chain_to,
        socket: None,
        pid_file: None,
        readiness: ReadinessPipe::default(),
        inittab: None,
        limits: ResourceLimits::default(),
        nice: None,
        io_priority: None,
        oom_score_adj: None,
        run_in_cgroup: None,
        capabilities: None,
        secure_bits: SecureBits::NONE,
        no_new_privs: false,
        unmask_intr: false,
        pass_cs_fd: false,
    }
}
