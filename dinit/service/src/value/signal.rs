//! The signals that may end a service.

/// The signal that asks a service to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TermSignal {
    /// None at all.
    None,
    /// SIGHUP.
    Hup,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGKILL.
    Kill,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGTERM.
    Term,
    /// SIGCONT.
    Cont,
    /// SIGSTOP.
    Stop,
}

impl TermSignal {
    /// The words of the setting; the first of several for one value is the canonical one.
    pub const WORDS: &'static [(&'static str, TermSignal)] = &[
        ("none", TermSignal::None),
        ("NONE", TermSignal::None),
        ("HUP", TermSignal::Hup),
        ("INT", TermSignal::Int),
        ("QUIT", TermSignal::Quit),
        ("KILL", TermSignal::Kill),
        ("USR1", TermSignal::Usr1),
        ("USR2", TermSignal::Usr2),
        ("TERM", TermSignal::Term),
        ("CONT", TermSignal::Cont),
        ("STOP", TermSignal::Stop),
    ];

    /// Returns the number that Linux gives the signal; 0 means that none is sent.
    pub fn number(self) -> i32 {
        match self {
            TermSignal::None => 0,
            TermSignal::Hup => 1,
            TermSignal::Int => 2,
            TermSignal::Quit => 3,
            TermSignal::Kill => 9,
            TermSignal::Usr1 => 10,
            TermSignal::Usr2 => 12,
            TermSignal::Term => 15,
            TermSignal::Cont => 18,
            TermSignal::Stop => 19,
        }
    }
}
