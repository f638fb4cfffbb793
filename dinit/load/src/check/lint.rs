//! The names of lints and of what else has a name: stable, for programs that read reports and for the manual.

/// A kind of finding that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// Whether it makes a check fail.
    pub counts: bool,
    /// What it is about, in a sentence.
    pub meaning: &'static str,
}

macro_rules! named {
    ($($constant:ident = $name:literal, $counts:literal, $meaning:literal;)+) => {
        $(pub(crate) const $constant: &str = $name;)+

        /// Every name.
        pub static ALL: &[Named] =
            &[$(Named { name: $name, counts: $counts, meaning: $meaning }),+];
    };
}

named! {
    IGNORED_SETTING = "ignored-setting", true,
        "A setting has no effect for a service of this type.";
    UNUSED_LOGFILE = "unused-logfile", true,
        "A log file is named, but the output does not go to a file.";
    MISSING_LOGFILE = "missing-logfile", true,
        "The output goes to a file, but none is named.";
    MISSING_LOG_DIRECTORY = "missing-log-directory", true,
        "The directory of the log file is not there, or is no directory.";
    MISSING_WORKING_DIR = "missing-working-dir", true,
        "The working directory is not there, or is no directory.";
    RELATIVE_EXECUTABLE = "relative-executable", true,
        "The program of a command is not named by an absolute path.";
    MISSING_EXECUTABLE = "missing-executable", true,
        "The program of a command is not there, or cannot be reached.";
    IRREGULAR_EXECUTABLE = "irregular-executable", true,
        "The program of a command is no regular file.";
    UNEXECUTABLE_EXECUTABLE = "unexecutable-executable", true,
        "The program of a command must not be executed by its owner.";
    UNREADABLE_DIRECTORY = "unreadable-directory", true,
        "A dependency directory cannot be read.";
    BAD_PRODUCER = "bad-producer", true,
        "A service whose output another one is to read does not provide it.";
    TOO_DEEP = "too-deep", true,
        "Dependencies are nested so deeply that the daemon would not load them.";
    CYCLE = "cycle", true,
        "Services depend on each other in a circle.";
    MISSING_CHAIN_TARGET = "missing-chain-target", false,
        "The service to chain to has no description.";
    UNDOCUMENTED_NAME = "undocumented-name", false,
        "The name has characters beyond letters, digits, `.`, `_` and `-`.";
    IGNORED_CHARACTERS = "ignored-characters", false,
        "Characters behind the hard limit of a resource are ignored.";
    UNKNOWN_ENVIRONMENT = "unknown-environment", false,
        "A variable was substituted, and the daemon may have another value for it.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<_> = ALL.iter().map(|named| named.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
