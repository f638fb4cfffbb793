//! The help text, made of the tables.

use dinit_options::help::{commands, options};

use super::{COMMANDS, GENERAL, OPTIONS};

/// Gives the whole help text.
pub(super) fn text() -> Vec<u8> {
    let rows = || OPTIONS.iter().map(|(_, option)| option);
    let usage = commands("dinitctl [options]", COMMANDS.iter().map(|(_, command)| command));
    format!(
        "dinitctl:   control Dinit services\n\nUsage:\n{usage}\n\
         Note: An activated service continues running when its dependents stop.\n\n\
         General options:\n{}\nCommand options:\n{}",
        options(rows().take(GENERAL)),
        options(rows().skip(GENERAL))
    )
    .into_bytes()
}
