//! What comes of an order: the lines that tell it, the word for it in a document, and the exit status.

use dinit_json::Value;
use dinit_protocol::Status;

use super::Order;
use crate::command_line::Change;
use crate::output::{Outcome, Output, text};
use crate::status::document::reason_fields;
use crate::status::failure_reason;

/// What came of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was so already.
    AlreadyStarted,
    AlreadyStopped,
    /// It was so when the daemon answered.
    StartedAtOnce,
    StoppedAtOnce,
    RestartedAtOnce,
    /// It came to be so.
    Started,
    Stopped,
    StartCancelled,
    StopCancelled,
    /// With the reason, if the daemon tells.
    Failed(Option<Status>),
    /// What was released goes on running, for others or because it is pinned.
    StillRequired,
    StillPinned,
    /// What was to be restarted or stopped does not run, and that is well.
    NotStarted,
    NotLoaded,
    /// Nobody waits for it.
    Issued,
}

impl Ending {
    /// Tells it, and gives the exit status.
    pub(crate) fn tell(self, order: &Order<'_>, output: &mut Output<'_>) -> Outcome<u8> {
        match self {
            Self::NotLoaded => {}
            Self::Issued => {
                let verb = match order.verb {
                    Change::Stop | Change::Release => "stop",
                    Change::Start | Change::Wake | Change::Restart => "start",
                };
                let (service, quote) = (order.service, "'.");
                output.say(text!["Issued ", verb, " command successfully for service '", service, quote])?;
            }
            _ => output.say(self.line(order.service))?,
        }
        let command = match order.verb {
            Change::Start => "start",
            Change::Stop => "stop",
            Change::Restart => "restart",
            Change::Wake => "wake",
            Change::Release => "release",
        };
        let word = match (order.verb, self) {
            (Change::Restart, Self::Started) => "restarted",
            _ => self.word(),
        };
        let mut fields = vec![
            ("command", command.into()),
            ("service", Value::bytes(order.service)),
            ("result", word.into()),
        ];
        fields.extend(self.reason());
        output.tell_document(fields)?;
        Ok(self.status())
    }

    /// Gives the lines that tell it of a service.
    pub(crate) fn line(self, name: &[u8]) -> Vec<u8> {
        let rest = match self {
            Self::AlreadyStarted => return b"Service (already) started.".to_vec(),
            Self::AlreadyStopped => return b"Service (already) stopped.".to_vec(),
            Self::StartedAtOnce => return b"Service started.".to_vec(),
            Self::StoppedAtOnce => return b"Service stopped.".to_vec(),
            Self::RestartedAtOnce => return b"Service restarted.".to_vec(),
            Self::NotLoaded | Self::Issued => return Vec::new(),
            Self::Started => "started.",
            Self::Stopped => "stopped.",
            Self::StartCancelled => "start cancelled.",
            Self::StopCancelled => "stop cancelled.",
            Self::Failed(Some(status)) => {
                return text!["Service '", name, "' failed to start.\n", failure_reason(&status)];
            }
            Self::Failed(None) => "failed to start.",
            Self::StillRequired => "released; still required by dependents.",
            Self::StillPinned => "released; pinned started.",
            Self::NotStarted => "is not currently started.",
        };
        text!["Service '", name, "' ", rest]
    }

    /// Gives the word for it in a document.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::AlreadyStarted => "already-started",
            Self::AlreadyStopped => "already-stopped",
            Self::StartedAtOnce | Self::Started => "started",
            Self::StoppedAtOnce | Self::Stopped => "stopped",
            Self::RestartedAtOnce => "restarted",
            Self::StartCancelled => "start-cancelled",
            Self::StopCancelled => "stop-cancelled",
            Self::Failed(_) => "failed",
            Self::StillRequired => "still-required",
            Self::StillPinned => "still-pinned",
            Self::NotStarted => "not-started",
            Self::NotLoaded => "not-loaded",
            Self::Issued => "issued",
        }
    }

    /// Gives the fields of a document that tell why a start failed.
    pub(crate) fn reason(self) -> [(&'static str, Value); 3] {
        match self {
            Self::Failed(status) => reason_fields(status.as_ref()),
            _ => reason_fields(None),
        }
    }

    /// Gives the exit status.
    pub(crate) fn status(self) -> u8 {
        u8::from(matches!(self, Self::StartCancelled | Self::StopCancelled | Self::Failed(_)))
    }
}
