//! The numbers that stand for a state, an event, a reason, a kind.

/// Declares an enum whose discriminants are the numbers on the wire, with the way back.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant = $number,)+ }

        impl $name {
            /// Every value, in the order of its numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Gives the value that a number stands for, if it stands for one.
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// Gives the number that stands for this value on the wire.
            pub fn number(self) -> u8 { self as u8 }
        }
    };
}

numbered! {
    /// The state of a service as clients see it.
    ServiceState {
        /// Not running, and nothing is being done about it.
        Stopped = 0,
        /// On the way to started.
        Starting = 1,
        /// Started.
        Started = 2,
        /// On the way to stopped.
        Stopping = 3,
    }
}

numbered! {
    /// The state that a service is heading for; on the wire with the numbers of [`ServiceState`].
    TargetState {
        /// It is to be stopped.
        Stopped = 0,
        /// It is to be started.
        Started = 2,
    }
}

numbered! {
    /// What a service event announces.
    ServiceEvent {
        /// The service has started.
        Started = 0,
        /// The service has stopped; also after a failed start and between the halves of a restart.
        Stopped = 1,
        /// The service has failed to start.
        FailedStart = 2,
        /// A start, or the start half of a restart, was given up because of a stop.
        StartCancelled = 3,
        /// A stop under way was turned back into a start.
        StopCancelled = 4,
    }
}

numbered! {
    /// Why a service stopped; means something only while it is stopped or stopping.
    StopReason {
        /// On request, or it never ran.
        Normal = 0,
        /// A dependency was restarted.
        DependencyRestarted = 1,
        /// A dependency failed to start, or was stopped by force.
        DependencyFailed = 2,
        /// Its own process ended before it had started up.
        Failed = 3,
        /// Its process could not be launched; see [`Detail::ExecFailed`](crate::Detail::ExecFailed).
        ExecFailed = 4,
        /// It took too long to start.
        TimedOut = 5,
        /// Its process ended after it had started.
        Terminated = 6,
    }
}

numbered! {
    /// What a daemon does once all services have stopped.
    ShutdownKind {
        /// It stays and waits.
        Remain = 1,
        /// It halts the machine.
        Halt = 2,
        /// It turns the power off.
        PowerOff = 3,
        /// It reboots.
        Reboot = 4,
        /// It executes itself anew.
        SoftReboot = 5,
        /// It starts the kernel that was loaded with kexec.
        Kexec = 6,
    }
}

numbered! {
    /// The kinds of dependency that a client may add and remove.
    DependencyKind {
        /// `depends-on`: the dependent cannot be without it.
        Regular = 0,
        /// `waits-for`: the dependent waits for it, whatever comes of it.
        WaitsFor = 2,
        /// `depends-ms`: it must start, after that it may stop.
        Milestone = 3,
    }
}

/// The step at which launching a process failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecStage(pub u16);

impl ExecStage {
    /// Arranging file descriptors; also what stands where nothing failed.
    pub const ARRANGE_FDS: Self = Self(0);
    /// Reading the environment file.
    pub const READ_ENVIRONMENT_FILE: Self = Self(1);
    /// Setting an environment variable.
    pub const SET_ENVIRONMENT_VARIABLE: Self = Self(2);
    /// Setting up the activation socket.
    pub const SET_UP_ACTIVATION_SOCKET: Self = Self(3);
    /// Setting up the control socket.
    pub const SET_UP_CONTROL_SOCKET: Self = Self(4);
    /// Changing directory.
    pub const CHANGE_DIRECTORY: Self = Self(5);
    /// Setting up standard input and output.
    pub const SET_UP_STANDARD_IO: Self = Self(6);
    /// Entering the cgroup.
    pub const ENTER_CGROUP: Self = Self(7);
    /// Setting resource limits.
    pub const SET_RESOURCE_LIMITS: Self = Self(8);
    /// Setting user and group.
    pub const SET_USER_AND_GROUP: Self = Self(9);
    /// Opening the log file.
    pub const OPEN_LOG_FILE: Self = Self(10);
    /// Setting capabilities.
    pub const SET_CAPABILITIES: Self = Self(11);
    /// Setting the I/O priority.
    pub const SET_IO_PRIORITY: Self = Self(12);
    /// Executing the command.
    pub const EXECUTE: Self = Self(18);

    /// Says what was being done, in the words that clients print, unless the number is unknown.
    pub fn description(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "arranging file descriptors",
            1 => "reading environment file",
            2 => "setting environment variable",
            3 => "setting up activation socket",
            4 => "setting up control socket",
            5 => "changing directory",
            6 => "setting up standard input/output descriptors",
            7 => "entering cgroup",
            8 => "setting resource limits",
            9 => "setting user/group ID",
            10 => "opening log file",
            11 => "setting capabilities",
            12 => "setting I/O priority",
            18 => "executing command",
            _ => return None,
        })
    }
}
