//! Text to [`Config`]: collects every problem with its line and column, never stops at the first.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Config, Module};

/// Something wrong in the file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: error: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for Problem {}

/// A setting: its name, whether it may stand more than once, and what it does to the value.
struct Setting {
    name: &'static str,
    repeats: bool,
    apply: fn(&mut Config, &str) -> Result<(), String>,
}

const SETTINGS: &[Setting] = &[
    Setting { name: "module", repeats: true, apply: apply_module },
    Setting { name: "root-type", repeats: false, apply: apply_root_type },
    Setting { name: "root-wait", repeats: false, apply: apply_root_wait },
    Setting { name: "init", repeats: false, apply: apply_init },
];

/// Reads the file; what it does not set keeps the value of [`Config::default`].
///
/// # Errors
/// Every problem found, in the order of the lines.
pub fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let mut config = Config::default();
    let mut problems = Vec::new();
    let mut seen = [false; SETTINGS.len()];
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if let Err((offset, message)) = parse_line(&mut config, &mut seen, content) {
            let before = line.len() - content.len() + offset;
            let column = line[..before].chars().count() + 1;
            problems.push(Problem { line: index + 1, column, message });
        }
    }
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// Applies one line; an error is the offset in bytes from the start of `content`, and what is wrong there.
fn parse_line(
    config: &mut Config,
    seen: &mut [bool; SETTINGS.len()],
    content: &str,
) -> Result<(), (usize, String)> {
    let name_end = content.find(char::is_whitespace).unwrap_or(content.len());
    let (name, rest) = content.split_at(name_end);
    let value = rest.trim_start();
    let value_at = content.len() - value.len();
    let value = value.trim_end();
    let Some((setting, seen)) = SETTINGS.iter().zip(seen.iter_mut()).find(|(s, _)| s.name == name) else {
        return Err((0, format!("unknown setting `{name}`; known are {}", known_names())));
    };
    if *seen && !setting.repeats {
        return Err((0, format!("`{name}` is set twice")));
    }
    *seen = true;
    if value.is_empty() {
        return Err((name_end, format!("`{name}` needs a value")));
    }
    (setting.apply)(config, value).map_err(|message| (value_at, message))
}

fn known_names() -> String {
    let mut names = String::new();
    for setting in SETTINGS {
        if !names.is_empty() {
            names.push_str(", ");
        }
        names.push('`');
        names.push_str(setting.name);
        names.push('`');
    }
    names
}

fn apply_module(config: &mut Config, value: &str) -> Result<(), String> {
    let (path, parameters) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let path = absolute_path(path)?.to_owned();
    config.modules.push(Module { path, parameters: parameters.trim().to_owned() });
    Ok(())
}

fn apply_root_type(config: &mut Config, value: &str) -> Result<(), String> {
    config.root_type = Some(one_word(value)?.to_owned());
    Ok(())
}

fn apply_root_wait(config: &mut Config, value: &str) -> Result<(), String> {
    config.root_wait =
        value.parse().map_err(|_| format!("`{value}` is not a number of seconds, such as `30`"))?;
    Ok(())
}

fn apply_init(config: &mut Config, value: &str) -> Result<(), String> {
    config.init = absolute_path(one_word(value)?)?.to_owned();
    Ok(())
}

fn absolute_path(value: &str) -> Result<&str, String> {
    if value.starts_with('/') { Ok(value) } else { Err(format!("`{value}` is not an absolute path")) }
}

fn one_word(value: &str) -> Result<&str, String> {
    if value.contains(char::is_whitespace) {
        Err(format!("`{value}` is more than one word"))
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(parse(""), Ok(Config::default()));
        assert_eq!(parse("\n  # nothing\n\n"), Ok(Config::default()));
    }

    #[test]
    fn modules_keep_their_order_and_parameters() {
        let config =
            parse("module /a.ko.xz\n  module /b.ko  max_loop=8 x=\"1 2\" \nroot-wait 5\n").expect("valid");
        let modules = vec![
            Module { path: "/a.ko.xz".to_owned(), parameters: String::new() },
            Module { path: "/b.ko".to_owned(), parameters: "max_loop=8 x=\"1 2\"".to_owned() },
        ];
        assert_eq!(config, Config { modules, root_wait: 5, ..Config::default() });
    }

    #[test]
    fn every_problem_is_reported_with_its_line_and_column() {
        let text =
            "modul /a.ko\n  module a.ko\nroot-wait soon\nroot-type\ninit /a b\nroot-wait 3\nroot-wait -1\n";
        let problems: Vec<String> = parse(text).expect_err("wrong").iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            [
                "1:1: error: unknown setting `modul`; known are `module`, `root-type`, `root-wait`, `init`",
                "2:10: error: `a.ko` is not an absolute path",
                "3:11: error: `soon` is not a number of seconds, such as `30`",
                "4:10: error: `root-type` needs a value",
                "5:6: error: `/a b` is more than one word",
                "6:1: error: `root-wait` is set twice",
                "7:1: error: `root-wait` is set twice",
            ]
        );
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let problems = parse("\u{3000}module é.ko\n").expect_err("wrong");
        assert_eq!((problems[0].line, problems[0].column), (1, 9));
    }
}
