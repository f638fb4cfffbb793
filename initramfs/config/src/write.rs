//! [`Config`] to text, refusing what would read back as something else.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::fmt;

use crate::{Config, parse};

/// A value that the file cannot hold, such as a path with a blank in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// The line that would have been written.
    pub line: String,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot write `{}` to the initramfs configuration: it would not read back the same",
            self.line
        )
    }
}

impl core::error::Error for Unwritable {}

impl Config {
    /// Writes the file, every setting spelled out.
    ///
    /// # Errors
    /// A value that would not read back as itself: a path that is relative or has blanks in it, a line feed in
    /// parameters.
    pub fn to_text(&self) -> Result<String, Unwritable> {
        let mut text = String::new();
        for module in &self.modules {
            let only = Config { modules: [module.clone()].to_vec(), ..Config::default() };
            let mut words = module.path.clone();
            if !module.parameters.is_empty() {
                words.push(' ');
                words.push_str(&module.parameters);
            }
            push_line(&mut text, "module", &words, &only)?;
        }
        if let Some(root_type) = &self.root_type {
            let only = Config { root_type: Some(root_type.clone()), ..Config::default() };
            push_line(&mut text, "root-type", root_type, &only)?;
        }
        let only = Config { root_wait: self.root_wait, ..Config::default() };
        push_line(&mut text, "root-wait", &self.root_wait.to_string(), &only)?;
        let only = Config { init: self.init.clone(), ..Config::default() };
        push_line(&mut text, "init", &self.init, &only)?;
        Ok(text)
    }
}

/// Adds one line after reading it back: alone, it must give `meant`.
fn push_line(text: &mut String, name: &str, value: &str, meant: &Config) -> Result<(), Unwritable> {
    let mut line = name.to_owned();
    line.push(' ');
    line.push_str(value);
    if parse(&line).as_ref() != Ok(meant) {
        return Err(Unwritable { line });
    }
    text.push_str(&line);
    text.push('\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Module;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn the_file_spells_every_setting_out() {
        let modules = vec![
            Module { path: "/lib/modules/virtio_blk.ko.xz".to_owned(), parameters: String::new() },
            Module { path: "/lib/modules/loop.ko.xz".to_owned(), parameters: "max_loop=8".to_owned() },
        ];
        let config = Config {
            modules,
            root_type: Some("ext4".to_owned()),
            root_wait: 9,
            init: "/usr/bin/dinit".to_owned(),
        };
        let text = "module /lib/modules/virtio_blk.ko.xz\nmodule /lib/modules/loop.ko.xz max_loop=8\n\
                    root-type ext4\nroot-wait 9\ninit /usr/bin/dinit\n";
        assert_eq!(config.to_text().as_deref(), Ok(text));
    }

    #[test]
    fn what_would_read_back_differently_is_refused() {
        let refuse = |config: Config| config.to_text().expect_err("must be refused").line;
        let module = |path: &str, parameters: &str| Config {
            modules: vec![Module { path: path.to_owned(), parameters: parameters.to_owned() }],
            ..Config::default()
        };
        assert_eq!(refuse(module("/a b.ko", "")), "module /a b.ko");
        assert_eq!(refuse(module("a.ko", "")), "module a.ko");
        assert_eq!(refuse(module("/a.ko", "x\ninit /evil")), "module /a.ko x\ninit /evil");
        assert_eq!(
            refuse(Config { init: "/sbin/my init".to_owned(), ..Config::default() }),
            "init /sbin/my init"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(
            modules in prop::collection::vec(("\\PC{1,12}", "\\PC{0,12}"), 0..4),
            root_type in prop::option::of("\\PC{1,8}"),
            root_wait in any::<u32>(),
            init in "/\\PC{0,12}",
        ) {
            let modules = modules.into_iter()
                .map(|(path, parameters)| Module { path: alloc::format!("/{path}"), parameters }).collect();
            let config = Config { modules, root_type, root_wait, init };
            if let Ok(text) = config.to_text() {
                prop_assert_eq!(parse(&text), Ok(config));
            }
        }
    }
}
