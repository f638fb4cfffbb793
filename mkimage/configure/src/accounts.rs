//! The users and groups of the tree, read from its own files; the machine that builds has others.

use crate::error::Error;
use crate::root::Root;

/// Names of users or of groups with their numbers.
pub(crate) struct Accounts(Vec<(Vec<u8>, u32)>);

impl Accounts {
    /// Reads the tree's users.
    pub(crate) fn users(root: &Root) -> Result<Self, Error> {
        Ok(Self::parse(&root.read(b"/etc/passwd")?.unwrap_or_default()))
    }

    /// Reads the tree's groups.
    pub(crate) fn groups(root: &Root) -> Result<Self, Error> {
        Ok(Self::parse(&root.read(b"/etc/group")?.unwrap_or_default()))
    }

    /// Users and groups have name and number in the same columns; see passwd(5) and group(5).
    fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut columns = line.split(|byte| *byte == b':');
            let (name, number) = (columns.next()?, columns.nth(1)?);
            Some((name.to_vec(), std::str::from_utf8(number).ok()?.parse().ok()?))
        });
        Self(lines.collect())
    }

    /// Gives the number behind a name, or behind `#` as dpkg's files have it.
    pub(crate) fn number(&self, name: &[u8]) -> Option<u32> {
        if let Some(digits) = name.strip_prefix(b"#") {
            return std::str::from_utf8(digits).ok()?.parse().ok();
        }
        self.0.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_written_numbers_are_found_and_odd_lines_passed_over() {
        let accounts = Accounts::parse(b"root:x:0:0::/root:/bin/sh\nbroken\nmail:*:eight:\nmail:*:8:\n");
        assert_eq!(accounts.number(b"root"), Some(0));
        assert_eq!(accounts.number(b"mail"), Some(8));
        assert_eq!(accounts.number(b"#42"), Some(42));
        assert_eq!(accounts.number(b"broken"), None);
    }
}
