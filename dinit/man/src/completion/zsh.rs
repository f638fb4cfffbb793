//! For zsh.

use std::fmt::Write;

use dinit_options::{Completes, Opt, Program};

use super::{arguments, explanation, function, heading, knows_services, operands, quoted, scan};

/// Writes the script for a program.
#[must_use]
pub fn write(program: &Program) -> String {
    let name = function(program);
    let names: Vec<&str> = std::iter::once(&program.name).chain(program.aliases).copied().collect();
    let mut script = format!("#compdef {}\n{}", names.join(" "), heading(program.name, program.name));
    if knows_services(program) {
        script += &services(&name);
    }
    script += &format!(
        "\n_{name}() {{\n\
         \x20   local current=$words[CURRENT] pending= command= word\n\
         \x20   local -i position=0 index\n\
         \x20   local -a chosen options commands\n\
         \x20   for ((index = 2; index < CURRENT; index++)); do\n\
         \x20       word=$words[index]\n"
    );
    script += &scan(program);
    script += "    done\n";
    script += &arguments(program, |completes| format!("{};", offer(completes, &name)));
    script += &options(program);
    script += &words(program, &name);
    script += &format!("}}\n\n_{name} \"$@\"\n");
    script
}

fn services(name: &str) -> String {
    format!(
        "\n# Offers services: those that are loaded, or those that have a description.\n\
         _{name}_services() {{\n\
         \x20   local -a names\n\
         \x20   if [[ $1 == available ]]; then\n\
         \x20       names=(${{(f)\"$(dinitctl ${{@:2}} --offline list --available 2>/dev/null)\"}})\n\
         \x20   else\n\
         \x20       names=(${{${{(f)\"$(dinitctl ${{@:2}} list 2>/dev/null)\"}}#???????????}})\n\
         \x20       names=(${{names%% \\(*}})\n\
         \x20   fi\n\
         \x20   compadd -a names\n\
         }}\n"
    )
}

fn options(program: &Program) -> String {
    let described = |option: &Opt| {
        let line = |spelling: &&str| {
            format!("            {}\n", quoted(&format!("{spelling}:{}", explanation(option.help))))
        };
        option.spellings.iter().map(line).collect::<String>()
    };
    let after = |command: Option<&str>| {
        let options = program.options.iter().filter(|option| match command {
            Some(command) => option.after.contains(&command),
            None => option.after.is_empty(),
        });
        options.map(|option| described(option)).collect::<String>()
    };
    let mut script =
        format!("    if [[ $current == -* ]]; then\n        options=(\n{}        )\n", after(None));
    let mut cases = String::new();
    for command in &program.commands {
        let options = after(Some(command.word));
        if !options.is_empty() {
            let _ = writeln!(cases, "            ({}) options+=(\n{options}            ) ;;", command.word);
        }
    }
    if !cases.is_empty() {
        let _ = writeln!(script, "        case $command in\n{cases}        esac");
    }
    script + "        _describe -o option options\n        return\n    fi\n"
}

fn words(program: &Program, name: &str) -> String {
    if program.commands.is_empty() {
        return format!("    {}\n", offer(program.operands, name));
    }
    let mut script = String::from("    if [[ -z $command ]]; then\n        commands=(\n");
    for command in &program.commands {
        let line = quoted(&format!("{}:{}", command.word, explanation(command.help)));
        let _ = writeln!(script, "            {line}");
    }
    script += "        )\n        _describe command commands\n        return\n    fi\n";
    script + &operands(program, |completes| offer(completes, name))
}

/// Gives the command that offers what a word may be.
fn offer(completes: Completes, name: &str) -> String {
    match completes {
        Completes::Anything => "_message 'no completion'".to_owned(),
        Completes::File => "_files".to_owned(),
        Completes::Directory => "_files -/".to_owned(),
        Completes::Program => "_command_names -e".to_owned(),
        Completes::LoadedService => format!("_{name}_services loaded $chosen"),
        Completes::AvailableService => format!("_{name}_services available $chosen"),
        Completes::Words(words) => format!("compadd -- {}", words.join(" ")),
    }
}
