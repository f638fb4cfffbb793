//! Scripts that do nothing in a new image, which can be seen from their text.
//!
//! The rule is deliberately narrow: a script with a single line that is not understood is run.

use crate::Class;

/// Says how a script can be dealt with other than by running it; nothing for most.
pub(crate) fn class_of(script: &[u8]) -> Option<Class> {
    let text = std::str::from_utf8(script).ok()?;
    let (interpreter, commands) = text.split_once('\n')?;
    if !matches!(interpreter.trim_end(), "#!/bin/sh" | "#! /bin/sh" | "#!/bin/sh -e") {
        return None;
    }
    let tends = commands.lines().map(str::trim).all(|line| {
        line.is_empty()
            || line.starts_with('#')
            || matches!(line, "set -e" | "exit 0")
            || tends_to_an_older_version(line)
    });
    tends.then_some(Class::Needless("it only tends to what an older version left behind"))
}

/// Whether a line does something only when an older version was installed; see dpkg-maintscript-helper(1).
fn tends_to_an_older_version(line: &str) -> bool {
    let Some(line) = line.strip_prefix("dpkg-maintscript-helper ") else { return false };
    let Some(arguments) = line.strip_suffix("-- \"$@\"") else { return false };
    let mut words = arguments.split_whitespace();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/.,_+-:~\\".contains(c);
    matches!(words.next(), Some("rm_conffile" | "mv_conffile"))
        && words.all(|word| word.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_only_removes_old_configuration_files_is_needless() {
        let script = b"#!/bin/sh\nset -e\n# Automatically added\ndpkg-maintscript-helper rm_conffile /etc/a.d/b 1.2\\~ -- \"$@\"\n\nexit 0\n";
        assert!(matches!(class_of(script), Some(Class::Needless(_))));
    }

    #[test]
    fn one_line_more_and_the_script_is_run() {
        assert_eq!(class_of(b"#!/usr/bin/python3\nexit 0\n"), None);
        for line in [
            "chown root:mail /var/mail",
            "dpkg-maintscript-helper rm_conffile /etc/a 1 -- \"$@\"; reboot",
            "dpkg-maintscript-helper rm_conffile $(reboot) 1 -- \"$@\"",
            "dpkg-maintscript-helper dir_to_symlink /usr/a b 1 -- \"$@\"",
            "if true; then",
        ] {
            assert_eq!(class_of(format!("#!/bin/sh\nset -e\n{line}\n").as_bytes()), None, "{line}");
        }
    }
}
