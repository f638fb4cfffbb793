//! What is kept of each service beside the graph: how it is launched, if it ever is.
//!
//! Most services of a large set have no process, so of those only the little is kept that can be asked for.

use dinit_graph::Kind;
use dinit_load::{ExecSpec, LogTarget, Origin, ReadinessPipe};
use dinit_service::Environment;
use dinit_service::value::{ResourceLimits, SecureBits};
use std::rc::Rc;
use std::sync::Arc;

/// How a service is launched, and where its description was found.
#[derive(Debug)]
pub(crate) enum Exec {
    /// It runs commands.
    Launchable(Rc<ExecSpec>),
    /// It has no process.
    Bare(Bare),
}

/// What is kept of a service without a process.
#[derive(Debug)]
pub(crate) struct Bare {
    /// Which of the service directories its description was found in.
    directory: Option<u32>,
    chain_to: Option<Box<[u8]>>,
}

impl Exec {
    /// Keeps what is needed for a service of a kind; `directories` are those that are searched for descriptions.
    pub(crate) fn new(kind: Kind, exec: ExecSpec, directories: &[Vec<u8>]) -> Self {
        match kind {
            Kind::Process | Kind::BgProcess | Kind::Scripted => return Self::Launchable(Rc::new(exec)),
            Kind::Internal | Kind::Triggered => {}
        }
        let found = directories.iter().position(|directory| *directory == exec.origin.directory);
        Self::Bare(Bare {
            directory: found.and_then(|place| u32::try_from(place).ok()),
            chain_to: exec.chain_to.map(Vec::into_boxed_slice),
        })
    }

    /// Gives all settings of a service that runs commands.
    pub(crate) fn launchable(&self) -> Option<Rc<ExecSpec>> {
        match self {
            Self::Launchable(exec) => Some(Rc::clone(exec)),
            Self::Bare(_) => None,
        }
    }

    /// Gives the service that is started after this one.
    pub(crate) fn chain_to(&self) -> Option<Vec<u8>> {
        match self {
            Self::Launchable(exec) => exec.chain_to.clone(),
            Self::Bare(bare) => bare.chain_to.as_deref().map(<[u8]>::to_vec),
        }
    }

    /// Gives the directory in which the description was found.
    pub(crate) fn directory<'a>(&'a self, directories: &'a [Vec<u8>]) -> &'a [u8] {
        match self {
            Self::Launchable(exec) => &exec.origin.directory,
            Self::Bare(bare) => bare
                .directory
                .and_then(|place| directories.get(usize::try_from(place).ok()?))
                .map_or(b"", Vec::as_slice),
        }
    }

    /// Gives all settings, as far as they are known, of the service of this name.
    pub(crate) fn spec(&self, name: &[u8]) -> Rc<ExecSpec> {
        match self {
            Self::Launchable(exec) => Rc::clone(exec),
            Self::Bare(bare) => Rc::new(bare.spec(name)),
        }
    }
}

impl Bare {
    fn spec(&self, name: &[u8]) -> ExecSpec {
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
            chain_to: self.chain_to.as_deref().map(<[u8]>::to_vec),
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
}
