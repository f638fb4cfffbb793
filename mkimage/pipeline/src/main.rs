//! The `mkimage` program: hands over to the sandbox if it is that, else to the command line.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use mkimage::{cli, world};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == mkimage_configure::SANDBOX_ARGUMENT) {
        return mkimage_configure::sandbox_main(arguments);
    }
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nowhere to complain when standard error itself is gone.
            let _ = writeln!(std::io::stderr(), "{}", shown(&error));
            if error.is::<world::Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// An error with its causes. A diagnostic has its own form, which starts with the place.
fn shown(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let is_diagnostic = text.lines().next().is_some_and(|line| line.contains(": error: "));
    let text = if is_diagnostic { text } else { format!("mkimage: {text}") };
    match error.chain().find_map(help).filter(|_| !text.contains("\nhelp: ")) {
        Some(help) => format!("{text}\nhelp: {help}"),
        None => text,
    }
}

/// What an error of the crates below says that one can do about it.
fn help(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<mkimage_configure::Error>() {
        return error.help();
    }
    if let Some(error) = cause.downcast_ref::<mkimage_tree::Error>() {
        return error.help();
    }
    let kind = cause.downcast_ref::<std::io::Error>()?.kind();
    (kind == std::io::ErrorKind::StorageFull)
        .then(|| "make room, or name another place with `--output` (the image) or `--cache`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_from_below_is_shown_with_its_causes_and_what_to_do() {
        let refused = std::io::Error::from_raw_os_error(1);
        let error: anyhow::Result<()> = Err(mkimage_configure::Error::NoNamespaces { cause: refused }.into());
        let text = shown(&error.context("cannot configure").expect_err("an error"));
        assert!(text.starts_with("mkimage: cannot configure: cannot make a user namespace"), "{text}");
        assert!(
            text.contains("Operation not permitted") && text.contains("\nhelp: maintainer scripts"),
            "{text}"
        );
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let text = shown(&anyhow::Error::new(full).context("cannot write `x`"));
        assert!(text.contains("\nhelp: make room"), "{text}");
        assert_eq!(shown(&anyhow::anyhow!("a\nhelp: b")), "mkimage: a\nhelp: b");
    }
}
