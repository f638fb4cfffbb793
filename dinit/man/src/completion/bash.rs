//! For bash, with or without the package bash-completion.

use std::fmt::Write;

use dinit_options::{Completes, Program};

use super::{arguments, function, heading, knows_services, operands, scan};

/// Writes the script for a program.
#[must_use]
pub fn write(program: &Program) -> String {
    let name = function(program);
    let mut script = heading(program.name, program.name);
    if knows_services(program) {
        script += &services(&name);
    }
    script += &format!(
        "\n_{name}() {{\n\
         \x20   # Names of services have characters at which bash would part words, so the line is parted anew.\n\
         \x20   local line=${{COMP_LINE:0:COMP_POINT}} current= pending= command= word\n\
         \x20   local -i position=0\n\
         \x20   local -a words chosen=()\n\
         \x20   read -ra words <<< \"$line\"\n\
         \x20   if [[ $line == *[[:space:]] ]]; then words+=(''); fi\n\
         \x20   current=${{words[-1]}}\n\
         \x20   for word in \"${{words[@]:1:${{#words[@]}}-2}}\"; do\n"
    );
    script += &scan(program);
    script += "    done\n    COMPREPLY=()\n";
    script += &arguments(program, |completes| format!("{} _{name}_trim;", reply(completes, &name)));
    script += &options(program);
    script += &words(program, &name);
    script += &format!("    _{name}_trim\n}}\n\n");
    script += &trim(&name);
    let names: Vec<&str> = std::iter::once(&program.name).chain(program.aliases).copied().collect();
    script += &format!("\ncomplete -F _{name} {}\n", names.join(" "));
    script
}

/// Writes the script for another name of a program.
#[must_use]
pub fn alias(alias: &str, program: &str) -> String {
    format!("{}. \"${{BASH_SOURCE[0]%/*}}/{program}\"\n", heading(alias, program))
}

/// Gives the function that asks for services.
fn services(name: &str) -> String {
    format!(
        "\n# Lists services: those that are loaded, or those that have a description.\n\
         _{name}_services() {{\n\
         \x20   local which=$1 line\n\
         \x20   shift\n\
         \x20   if [[ $which == available ]]; then\n\
         \x20       dinitctl \"$@\" --offline list --available 2>/dev/null\n\
         \x20       return\n\
         \x20   fi\n\
         \x20   dinitctl \"$@\" list 2>/dev/null | while IFS= read -r line; do\n\
         \x20       line=${{line:11}}\n\
         \x20       printf '%s\\n' \"${{line%% (*}}\"\n\
         \x20   done\n\
         }}\n"
    )
}

/// Completes the options that may stand here.
fn options(program: &Program) -> String {
    let spellings = |after: Option<&str>| {
        let options = program.options.iter().filter(|option| match after {
            Some(command) => option.after.contains(&command),
            None => option.after.is_empty(),
        });
        let spellings: Vec<&str> = options.flat_map(|option| option.spellings.iter().copied()).collect();
        spellings.join(" ")
    };
    let mut script =
        format!("    if [[ $current == -* ]]; then\n        local options='{}'\n", spellings(None));
    let with_options: Vec<&str> = program
        .commands
        .iter()
        .map(|command| command.word)
        .filter(|word| !spellings(Some(word)).is_empty())
        .collect();
    if !with_options.is_empty() {
        script += "        case $command in\n";
        for word in with_options {
            let _ = writeln!(script, "            {word}) options+=' {}' ;;", spellings(Some(word)));
        }
        script += "        esac\n";
    }
    script
        + "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n        return\n    fi\n"
}

/// Completes commands and what follows them, or else what stands alone.
fn words(program: &Program, name: &str) -> String {
    if program.commands.is_empty() {
        return match program.operands {
            Completes::Anything => String::new(),
            completes => format!("    {}\n", reply(completes, name)),
        };
    }
    let commands: Vec<&str> = program.commands.iter().map(|command| command.word).collect();
    format!(
        "    if [[ -z $command ]]; then\n        mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n        \
         return\n    fi\n{}",
        commands.join(" "),
        operands(program, |completes| reply(completes, name))
    )
}

/// Gives the commands that offer what a word may be.
fn reply(completes: Completes, name: &str) -> String {
    let of = |source: String| format!("mapfile -t COMPREPLY < <({source});");
    let services = |which: &str| {
        let names = format!("_{name}_services {which} \"${{chosen[@]}}\"");
        of(format!("compgen -W \"$({names})\" -- \"$current\""))
    };
    let files = |action: &str| {
        format!("compopt -o filenames 2>/dev/null; {}", of(format!("compgen {action} -- \"$current\"")))
    };
    match completes {
        Completes::Anything => String::new(),
        Completes::File => files("-f"),
        Completes::Directory => files("-d"),
        Completes::Program => files("-c"),
        Completes::LoadedService => services("loaded"),
        Completes::AvailableService => services("available"),
        Completes::Words(words) => of(format!("compgen -W '{}' -- \"$current\"", words.join(" "))),
    }
}

/// Gives the function that cuts off what bash takes for words before the current one.
fn trim(name: &str) -> String {
    format!(
        "# Bash replaces only what follows the last character that parts words.\n\
         _{name}_trim() {{\n\
         \x20   local before=$current index\n\
         \x20   while [[ -n $before && $COMP_WORDBREAKS != *\"${{before: -1}}\"* ]]; do before=${{before%?}}; done\n\
         \x20   for index in \"${{!COMPREPLY[@]}}\"; do COMPREPLY[index]=${{COMPREPLY[index]#\"$before\"}}; done\n\
         }}\n"
    )
}
