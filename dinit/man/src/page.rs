//! A manual page: a source, with what the tables say filled in.

use std::collections::BTreeSet;

use dinit_load::check::lint;
use dinit_options::{Command, Opt, Program};
use dinit_service::settings::{self, Operators, SETTINGS, Setting, Substitution};

use crate::Source;
use crate::markup::{Line, Writer, escaped, inline};

/// Writes a page.
pub(crate) fn write(source: &Source, program: Option<&Program>) -> Result<String, String> {
    let mut page = Page { program, writer: Writer::default(), described: BTreeSet::new() };
    let title = source.name.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    page.writer.request(".\\\" Generated from the tables of the program and man/source; see man/src/lib.rs.");
    page.writer.request(&format!(
        ".TH {} {} \"\" \"dinit {version}\" \"dinit manual\"",
        escaped(&title),
        source.section
    ));
    page.writer.line(&Line::Section("NAME"));
    let aliases = program.map(|program| program.aliases).unwrap_or_default();
    let names: Vec<String> = std::iter::once(&source.name).chain(aliases).map(|name| escaped(name)).collect();
    page.writer.request(&format!("{} \\- {}", names.join(", "), escaped(source.summary)));
    for (number, line) in source.text.lines().enumerate() {
        let at = |problem: String| format!("{}.{}:{}: {problem}", source.name, source.section, number + 1);
        match Line::of(line) {
            Line::Fill(word, argument) => page.fill(word, argument).map_err(at)?,
            line => page.writer.line(&line),
        }
    }
    page.complete().map_err(|problem| format!("{}.{}: {problem}", source.name, source.section))?;
    Ok(page.writer.finish())
}

struct Page<'a> {
    program: Option<&'a Program>,
    writer: Writer,
    /// What was filled in: options, commands and settings.
    described: BTreeSet<&'static str>,
}

impl Page<'_> {
    fn fill(&mut self, word: &str, argument: &str) -> Result<(), String> {
        let program = || self.program.ok_or_else(|| format!("`@{word}` is for programs"));
        match word {
            "synopsis" => {
                let program = program()?;
                self.synopsis(program);
            }
            "options" => {
                let options = program()?.options.clone();
                self.options(&options, argument)?;
            }
            "commands" => {
                let commands = program()?.commands.clone();
                commands.iter().for_each(|command| self.command(command));
            }
            "setting" => {
                let setting = settings::find(argument.as_bytes());
                self.setting(setting.ok_or_else(|| format!("there is no setting `{argument}`"))?)?;
            }
            "lints" => self.lints(),
            "end" => self.writer.end_definitions(),
            _ => return Err(format!("nothing is known as `@{word}`")),
        }
        Ok(())
    }

    /// Makes sure that everything in the tables has its place.
    fn complete(&self) -> Result<(), String> {
        let missing = |name: &&'static str| !self.described.contains(name);
        let rest: Vec<&str> = match self.program {
            Some(program) => {
                let options = program.options.iter().map(|option| option.spellings[0]);
                let commands = program.commands.iter().map(|command| command.word);
                options.chain(commands).filter(missing).collect()
            }
            None => SETTINGS.iter().map(|setting| setting.name).filter(missing).collect(),
        };
        if rest.is_empty() { Ok(()) } else { Err(format!("not described: {}", rest.join(", "))) }
    }

    fn describe(&mut self, name: &'static str) -> Result<(), String> {
        if self.described.insert(name) { Ok(()) } else { Err(format!("`{name}` is described twice")) }
    }

    fn synopsis(&mut self, program: &Program) {
        self.writer.line(&Line::Section("SYNOPSIS"));
        let usages = program.usages.iter().map(|usage| (program.name, *usage));
        let of_aliases = program.aliases.iter().map(|alias| (*alias, program.usages[0]));
        for (index, (name, usage)) in usages.chain(of_aliases).enumerate() {
            if index > 0 {
                self.writer.request(".br");
            }
            self.writer.request(&format!("\\fB{}\\fR {}", escaped(name), inline(usage)));
        }
    }

    /// Describes all options, or those that may stand anywhere, or those that are about a command.
    fn options(&mut self, options: &[&'static Opt], which: &str) -> Result<(), String> {
        let first_of_command = dinit_options::dinitctl::GENERAL;
        let chosen = match which {
            "" => options,
            "general" => &options[..first_of_command],
            "command" => &options[first_of_command..],
            _ => return Err(format!("there are no `{which}` options")),
        };
        for option in chosen {
            self.describe(option.spellings[0])?;
            let argument = option.argument.map(|argument| inline(&format!(" {}", argument.name)));
            let argument = argument.unwrap_or_default();
            let spelling = |spelling: &&str| format!("\\fB{}\\fR{argument}", escaped(spelling));
            let spellings: Vec<String> = option.spellings.iter().map(spelling).collect();
            self.writer.term(&spellings.join(", "));
            self.writer.text(&sentence(option));
            if !option.more.is_empty() {
                self.writer.text(option.more);
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &'static Command) {
        // Nothing stands twice in a table; that is tested there.
        self.described.insert(command.word);
        let usage =
            if command.usage.is_empty() { String::new() } else { format!(" {}", inline(command.usage)) };
        self.writer.term(&format!("\\fB{}\\fR{usage}", escaped(command.word)));
        self.writer.text(&capitalised(command.help));
        if !command.more.is_empty() {
            self.writer.text(command.more);
        }
    }

    fn lints(&mut self) {
        for lint in lint::ALL {
            self.writer.term(&format!("\\fB{}\\fR", escaped(lint.name)));
            self.writer.text(lint.meaning);
            if !lint.counts {
                self.writer.text("Does not count.");
            }
        }
    }

    fn setting(&mut self, setting: &'static Setting) -> Result<(), String> {
        self.describe(setting.name)?;
        let operators = match setting.operators {
            Operators::Assign => "",
            Operators::AssignOrAppend => ", \\fB+=\\fR",
        };
        self.writer.term(&format!("\\fB{}\\fR (\\fB=\\fR{operators})", escaped(setting.name)));
        // Where help is the words themselves, the first must not be changed.
        let is_words = setting.help.split(' ').next().is_some_and(|first| first.ends_with(','));
        let help = if is_words { format!("One of {}", setting.help) } else { setting.help.to_owned() };
        self.writer.text(&capitalised(&help));
        match setting.substitution {
            Substitution::Never => {}
            Substitution::WhileReading => self.writer.text("Variables of the daemon are substituted."),
            Substitution::AfterReading => self.writer.text("Variables of the service are substituted."),
        }
        Ok(())
    }
}

/// Makes a sentence of what help says of an option, with the commands that it belongs to.
fn sentence(option: &Opt) -> String {
    let help = option.help.replace('\n', " ");
    let listed = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    let (commands, help) = match help.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((words, help)) => (listed(&words.split(", ").collect::<Vec<_>>()), help.to_owned()),
        None => (listed(option.after), help),
    };
    let after = if commands.is_empty() { String::new() } else { format!("For {commands}: ") };
    if after.is_empty() { capitalised(&help) } else { format!("{after}{}", ended(&help)) }
}

/// Makes a sentence of a few words.
fn capitalised(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    ended(&first.into_iter().chain(characters).collect::<String>())
}

fn ended(words: &str) -> String {
    if words.ends_with('.') { words.to_owned() } else { format!("{words}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &'static str, program: Option<&Program>) -> Result<String, String> {
        write(&Source { name: "x", section: 8, summary: "try", text }, program)
    }

    #[test]
    fn a_table_that_is_left_out_is_an_error() {
        let program = dinit_options::dinit_ready::program();
        assert_eq!(
            page("@options\n", Some(&program)),
            Err("x.8: not described: notify, socket, pidfile".into())
        );
        let problem = page("@setting nosuch\n", None);
        assert_eq!(problem, Err("x.8:1: there is no setting `nosuch`".into()));
        let problem = page("@setting type\n@setting type\n", None);
        assert_eq!(problem, Err("x.8:2: `type` is described twice".into()));
        assert_eq!(page("@nosuch\n", None), Err("x.8:1: nothing is known as `@nosuch`".into()));
    }

    #[test]
    fn the_commands_of_an_option_are_named() {
        let option = Opt::new(&["--clear"], "(catlog) clear it").after(&["catlog"]);
        assert_eq!(sentence(&option), "For `catlog`: clear it.");
        let option = Opt::new(&["--force"], "force it").after(&["stop", "restart"]);
        assert_eq!(sentence(&option), "For `stop`, `restart`: force it.");
        assert_eq!(sentence(&Opt::new(&["-r"], "reboot.")), "Reboot.");
    }
}
