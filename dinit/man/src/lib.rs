//! Manual pages and completions of dinit's programs.
//!
//! Both are made of the tables that the programs themselves read (`dinit-options`, the settings in
//! `dinit-service`, and the names of problems in `dinit-load`); what only a manual has to say is in `source/`. [`files`] gives what is committed: `pages/`
//! here, and `dinit/completions/`. A test compares, and writes the files anew with `UPDATE_GOLDEN=1`:
//!
//! ```text
//! UPDATE_GOLDEN=1 cargo test -p dinit-manual
//! ```

pub mod completion;
pub mod markup;
pub mod page;

use dinit_options::Program;

/// A file that is generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path, below the folder `dinit`.
    pub path: String,
    /// The content.
    pub text: String,
}

/// A manual page: its name, its section, and its source.
struct Source {
    name: &'static str,
    section: u8,
    summary: &'static str,
    text: &'static str,
}

/// The pages of programs, by their names.
const SOURCES: &[(&str, &str)] = &[
    ("dinit", include_str!("../source/dinit.8.txt")),
    ("dinitctl", include_str!("../source/dinitctl.8.txt")),
    ("dinit-check", include_str!("../source/dinit-check.8.txt")),
    ("dinit-monitor", include_str!("../source/dinit-monitor.8.txt")),
    ("shutdown", include_str!("../source/shutdown.8.txt")),
    ("dinit-ready", include_str!("../source/dinit-ready.8.txt")),
    ("dinit-when", include_str!("../source/dinit-when.8.txt")),
];

const LANGUAGE: Source = Source {
    name: "dinit-service",
    section: 5,
    summary: "dinit service descriptions",
    text: include_str!("../source/dinit-service.5.txt"),
};

/// Makes every file.
///
/// # Errors
/// What is wrong with a source, with the page and the line.
pub fn files() -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    for program in dinit_options::programs() {
        let source = SOURCES.iter().find(|(name, _)| *name == program.name);
        let (_, text) = source.ok_or_else(|| format!("there is no page for `{}`", program.name))?;
        let source = Source { name: program.name, section: 8, summary: program.summary, text };
        files.push(File { path: path_of(program.name, 8), text: page::write(&source, Some(&program))? });
        for alias in program.aliases {
            files.push(File { path: path_of(alias, 8), text: format!(".so man8/{}.8\n", program.name) });
        }
        files.extend(completions(&program));
    }
    let path = path_of(LANGUAGE.name, LANGUAGE.section);
    files.push(File { path, text: page::write(&LANGUAGE, None)? });
    Ok(files)
}

fn path_of(name: &str, section: u8) -> String {
    format!("man/pages/{name}.{section}")
}

fn completions(program: &Program) -> Vec<File> {
    let name = program.name;
    let mut files = vec![
        File { path: format!("completions/bash/{name}"), text: completion::bash::write(program) },
        File { path: format!("completions/zsh/_{name}"), text: completion::zsh::write(program) },
        File { path: format!("completions/fish/{name}.fish"), text: completion::fish::write(program) },
    ];
    for alias in program.aliases {
        // Both shells look for a file of the name that is completed.
        files.push(File {
            path: format!("completions/bash/{alias}"),
            text: completion::bash::alias(alias, name),
        });
        let text = format!("{}complete -c {alias} -w {name}\n", completion::heading(alias, name));
        files.push(File { path: format!("completions/fish/{alias}.fish"), text });
    }
    files
}
