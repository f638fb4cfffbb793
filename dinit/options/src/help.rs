//! What `--help` prints of the tables.

use alloc::format;
use alloc::string::String;

use crate::{Command, Opt};

/// The column in which explanations begin.
const COLUMN: usize = 19;

/// Describes options, a line or more for each.
pub fn options<'a>(options: impl IntoIterator<Item = &'a Opt>) -> String {
    options.into_iter().map(option).collect()
}

/// Describes commands, a line for each, behind the words that begin every call.
pub fn commands<'a>(call: &str, commands: impl IntoIterator<Item = &'a Command>) -> String {
    let line = |command: &Command| {
        let line = format!("    {call} {} {}", command.word, command.usage);
        format!("{}\n", line.trim_end())
    };
    commands.into_iter().map(line).collect()
}

fn option(option: &Opt) -> String {
    let argument = option.argument.map(|argument| format!(" {}", argument.name)).unwrap_or_default();
    // Short spellings first, as people look for them there.
    let (short, long): (alloc::vec::Vec<&str>, alloc::vec::Vec<&str>) =
        option.spellings.iter().partition(|spelling| !spelling.starts_with("--"));
    let spellings = [short, long].concat().join(", ");
    let head = format!("  {spellings}{argument}");
    let separator = if head.len() < COLUMN { String::new() } else { format!("\n{:COLUMN$}", "") };
    let explanation = option.help.replace('\n', &format!("\n{:1$}", "", COLUMN + 2));
    format!("{head:COLUMN$}{separator}: {explanation}\n")
}
