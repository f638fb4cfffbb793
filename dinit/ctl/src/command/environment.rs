//! `setenv` and `unsetenv`: the environment that services are started with.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use dinit_protocol::{EnvironmentChange, InvalidEnvironment, Reply, Request};

use crate::host::Host;
use crate::output::{Failure, Outcome, text};
use crate::session::{Session, protocol_error};

/// Sets variables; one without a value gets that of this program's own environment, or an empty one.
pub(super) fn set(session: &mut Session, variables: &[Vec<u8>], host: &Host) -> Outcome<u8> {
    for variable in variables {
        if variable.contains(&b'=') {
            change(session, variable)?;
        } else {
            let name = OsStr::from_bytes(variable).to_str();
            let value = name.and_then(|name| host.variable(name)).unwrap_or_default().into_vec();
            change(session, &text![variable, "=", value])?;
        }
    }
    Ok(0)
}

/// Removes variables.
pub(super) fn unset(session: &mut Session, variables: &[Vec<u8>]) -> Outcome<u8> {
    for variable in variables {
        if variable.contains(&b'=') {
            let wrong = "' must not contain the '=' sign.";
            return Err(Failure::new(text!["environment variable '", variable, wrong]));
        }
        change(session, variable)?;
    }
    Ok(0)
}

fn change(session: &mut Session, text: &[u8]) -> Outcome<()> {
    let refused = || Failure::new("failed to export environment.");
    let change = EnvironmentChange::new(text).map_err(|wrong| match wrong {
        InvalidEnvironment::TooLong => {
            let name = text.split(|byte| *byte == b'=').next().unwrap_or(text);
            Failure::new(text!["environment variable '", name, "' too long."])
        }
        InvalidEnvironment::Empty | InvalidEnvironment::NoName => refused(),
    })?;
    match session.request(&Request::SetEnvironment(change))? {
        Reply::Ack => Ok(()),
        Reply::BadRequest => Err(refused()),
        _ => Err(protocol_error()),
    }
}
