//! Versions of the protocol, and the rule by which a client decides whether it can talk to a daemon.

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// The oldest version; also the oldest client that a daemon of today serves.
    pub const OLDEST: Self = Self(1);
    /// The first version with `ListServices5`, `ServiceStatus5` and the richer service event.
    pub const WITH_STATUS_5: Self = Self(5);
    /// The first version with the modification time of the description in the status.
    pub const WITH_STATUS_6: Self = Self(6);
    /// The first version with [`Request::EnableReportingStatus`](crate::Request::EnableReportingStatus).
    pub const WITH_ENABLE_7: Self = Self(7);
    /// The newest version, the one that this crate's daemon side reports.
    pub const CURRENT: Self = Self(7);

    /// Decides whether a client that knows the versions `oldest..=newest` can talk to a daemon that answered
    /// with `minimum` and `current`.
    pub fn negotiate(oldest: Self, newest: Self, minimum: Self, current: Self) -> Compatibility {
        if minimum > newest {
            Compatibility::ClientTooOld
        } else if current < oldest {
            Compatibility::DaemonTooOld
        } else {
            Compatibility::Common(current.min(newest))
        }
    }
}

/// What comparing the versions of a client and a daemon has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// Both know this version; what it has can be used.
    Common(Version),
    /// The daemon no longer serves clients as old as this one.
    ClientTooOld,
    /// The daemon does not know what this client needs.
    DaemonTooOld,
}
