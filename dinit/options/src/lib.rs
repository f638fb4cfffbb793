//! The command lines of dinit's programs, as tables.
//!
//! Each program has a module with its options and commands. From these rows come what the program understands
//! ([`find`]), its `--help` ([`help`]), its manual page and its completions (`dinit/man`): an option is added by
//! adding a row, and the compiler then asks for what it does.
//!
//! Nothing here reads arguments or prints; the order in which a program looks at its words is its own business.

#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

extern crate alloc;

pub mod dinit;
pub mod dinit_check;
pub mod dinit_monitor;
pub mod dinit_ready;
pub mod dinit_when;
pub mod dinitctl;
pub mod help;
pub mod shutdown;

use alloc::vec::Vec;

/// One option of a program.
#[derive(Debug)]
pub struct Opt {
    /// All spellings, with their dashes; the first is what help and manual begin with.
    pub spellings: &'static [&'static str],
    /// What follows it, if anything does.
    pub argument: Option<Argument>,
    /// The commands that must come before it; without any, it may stand anywhere.
    pub after: &'static [&'static str],
    /// What it does, in a few words; a line end is kept.
    pub help: &'static str,
    /// What the manual page adds, in the markup of the manual; perhaps nothing.
    pub more: &'static str,
}

/// The word that follows an option.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// What help calls it, in angle brackets.
    pub name: &'static str,
    /// What is said if it is missing.
    pub missing: &'static str,
    /// What it may be.
    pub completes: Completes,
}

/// What a word may be, as far as a shell can help to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completes {
    /// Anything.
    Anything,
    /// A path of a file.
    File,
    /// A path of a directory.
    Directory,
    /// A program, or its path.
    Program,
    /// A service that is loaded.
    LoadedService,
    /// A service that has a description.
    AvailableService,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// One command of a program that has several.
#[derive(Debug)]
pub struct Command {
    /// The word.
    pub word: &'static str,
    /// What follows it, as help shows it.
    pub usage: &'static str,
    /// What its arguments may be, one after the other.
    pub operands: &'static [Completes],
    /// Whether the last of the arguments may be given again and again.
    pub repeats: bool,
    /// What it does, in a few words.
    pub help: &'static str,
    /// What the manual page adds, in the markup of the manual; perhaps nothing.
    pub more: &'static str,
}

/// A program, as its manual page and its completions have it.
#[derive(Debug)]
pub struct Program {
    /// The name.
    pub name: &'static str,
    /// Other names of the same program.
    pub aliases: &'static [&'static str],
    /// What it does, in a few words, after its name in a manual.
    pub summary: &'static str,
    /// What follows the name, in one or several forms.
    pub usages: &'static [&'static str],
    /// The options, in the order in which help shows them.
    pub options: Vec<&'static Opt>,
    /// The commands, in the order in which help shows them.
    pub commands: Vec<&'static Command>,
    /// What words that are neither may be.
    pub operands: Completes,
}

impl Opt {
    /// Makes an option that takes nothing and may stand anywhere.
    #[must_use]
    pub const fn new(spellings: &'static [&'static str], help: &'static str) -> Self {
        Self { spellings, argument: None, after: &[], help, more: "" }
    }

    /// Gives the option an argument.
    #[must_use]
    pub const fn takes(mut self, name: &'static str, completes: Completes, missing: &'static str) -> Self {
        self.argument = Some(Argument { name, missing, completes });
        self
    }

    /// Allows the option only after these commands.
    #[must_use]
    pub const fn after(mut self, commands: &'static [&'static str]) -> Self {
        self.after = commands;
        self
    }

    /// Adds what the manual page has to say.
    #[must_use]
    pub const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    /// Says whether a word is this option.
    #[must_use]
    pub fn is_spelled(&self, word: &[u8]) -> bool {
        self.spellings.iter().any(|spelling| spelling.as_bytes() == word)
    }
}

impl Command {
    /// Makes a command with its arguments.
    #[must_use]
    pub const fn new(
        word: &'static str,
        usage: &'static str,
        operands: &'static [Completes],
        help: &'static str,
    ) -> Self {
        Self { word, usage, operands, repeats: false, help, more: "" }
    }

    /// Lets the last argument be given again and again.
    #[must_use]
    pub const fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Adds what the manual page has to say.
    #[must_use]
    pub const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    /// Gives the largest number of arguments.
    #[must_use]
    pub fn most(&self) -> usize {
        if self.repeats { usize::MAX } else { self.operands.len() }
    }
}

/// Finds the option that a word is, and what the program calls it.
pub fn find<F: Copy>(table: &'static [(F, Opt)], word: &[u8]) -> Option<(F, &'static Opt)> {
    table.iter().find(|(_, option)| option.is_spelled(word)).map(|(flag, option)| (*flag, option))
}

/// Gives the rows of a table without what the program calls them.
pub fn rows<F>(table: &'static [(F, Opt)]) -> Vec<&'static Opt> {
    table.iter().map(|(_, option)| option).collect()
}

/// Gives every program.
#[must_use]
pub fn programs() -> Vec<Program> {
    [
        dinit::program(),
        dinitctl::program(),
        dinit_check::program(),
        dinit_monitor::program(),
        shutdown::program(),
        dinit_ready::program(),
        dinit_when::program(),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn no_spelling_stands_twice_and_none_is_misspelled() {
        for program in programs() {
            let mut seen = BTreeSet::new();
            for spelling in program.options.iter().flat_map(|option| option.spellings) {
                assert!(spelling.starts_with('-'), "{}: {spelling}", program.name);
                assert!(seen.insert(spelling), "{}: {spelling}", program.name);
            }
        }
    }

    #[test]
    fn every_command_that_an_option_must_follow_exists() {
        for program in programs() {
            for word in program.options.iter().flat_map(|option| option.after) {
                assert!(program.commands.iter().any(|command| command.word == *word), "{word}");
            }
        }
    }

    #[test]
    fn every_row_says_what_it_does() {
        for program in programs() {
            assert!(program.options.iter().all(|option| !option.help.is_empty()), "{}", program.name);
            assert!(program.commands.iter().all(|command| !command.help.is_empty()), "{}", program.name);
        }
    }
}
