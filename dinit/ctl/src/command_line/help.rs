//! The help text, made of the tables.

use super::{FLAGS, FlagRow, VERBS};

/// Where the explanation of an option begins.
const COLUMN: usize = 19;

/// Gives the whole help text.
pub(super) fn text() -> Vec<u8> {
    let mut text = String::from("dinitctl:   control Dinit services\n\nUsage:\n");
    for row in VERBS {
        text += format!("    dinitctl [options] {} {}", row.word, row.usage).trim_end();
        text += "\n";
    }
    text += "\nNote: An activated service continues running when its dependents stop.\n\nGeneral options:\n";
    let (general, command): (Vec<_>, Vec<_>) = FLAGS.iter().partition(|row| is_general(row));
    general.into_iter().for_each(|row| describe(&mut text, row));
    text += "\nCommand options:\n";
    command.into_iter().for_each(|row| describe(&mut text, row));
    text.into_bytes()
}

fn is_general(row: &FlagRow) -> bool {
    use super::Flag::{Clear, Force, From, IgnoreUnstarted, List, NoWait, Pin};
    !matches!(row.flag, NoWait | Pin | IgnoreUnstarted | Force | From | Clear | List)
}

fn describe(text: &mut String, row: &FlagRow) {
    let argument = row.argument.map(|(name, _)| format!(" {name}")).unwrap_or_default();
    let short = row.short.map(|short| format!("{short}, ")).unwrap_or_default();
    let spelling = format!("  {short}{}{argument}", row.long);
    let separator = if spelling.len() < COLUMN { String::new() } else { format!("\n{:COLUMN$}", "") };
    let explanation = row.help.replace('\n', &format!("\n{:1$}", "", COLUMN + 2));
    *text += &format!("{spelling:COLUMN$}{separator}: {explanation}\n");
}
