//! Writes a description as canonical text: one setting a line, only what differs from the defaults, in the
//! order of the manual.
//!
//! `parse(print(d)) == d` holds for every description that can be written at all. A description is printed
//! before [`ServiceDescription::substitute`]; afterwards its `$` signs would be taken for variables.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::settings::BOOLEAN_WORDS;
use crate::value::{Group, SecureBits, TermSignal, User, limits, time};
use crate::{DependencyKind, LogType, Options, Restart, ServiceDescription, ServiceType, Target};

/// A value that no description can hold: a newline byte that no white space follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unprintable {
    /// The setting that would hold it.
    pub setting: &'static str,
}

impl fmt::Display for Unprintable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value of `{}` has a newline that no white space follows", self.setting)
    }
}

impl core::error::Error for Unprintable {}

/// Writes a description.
pub fn print(description: &ServiceDescription) -> Result<Vec<u8>, Unprintable> {
    let defaults = ServiceDescription::default();
    let mut out = Printer { text: Vec::new(), unprintable: None };
    let d = description;
    out.word("type", ServiceType::WORDS, &d.service_type);
    out.words("command", &d.command);
    out.words("stop-command", &d.stop_command);
    out.path("working-dir", d.working_dir.as_deref());
    out.user("run-as", d.run_as.as_ref());
    out.literal("env-file", '=', d.env_file.as_ref().map(|path| path.value.as_slice()));
    out.changed_word("restart", Restart::WORDS, &d.restart, &defaults.restart);
    out.changed_word("smooth-recovery", BOOLEAN_WORDS, &d.smooth_recovery, &false);
    for (setting, time, default) in [
        ("restart-delay", d.restart_delay, defaults.restart_delay),
        ("restart-limit-interval", d.restart_limit_interval, defaults.restart_limit_interval),
        ("start-timeout", d.start_timeout, defaults.start_timeout),
        ("stop-timeout", d.stop_timeout, defaults.stop_timeout),
    ] {
        out.plain(setting, (time != default).then(|| time::print(time)));
    }
    let number = |number: u32, default: u32| (number != default).then(|| format!("{number}"));
    out.plain("restart-limit-count", number(d.restart_limit_count, defaults.restart_limit_count));
    out.path("pid-file", d.pid_file.as_deref());
    out.dependencies(d);
    out.path("socket-listen", d.socket_listen.as_deref());
    let mode = |mode: u32, default: u32| (mode != default).then(|| format!("{mode:04o}"));
    out.plain("socket-permissions", mode(d.socket_permissions, defaults.socket_permissions));
    out.user("socket-uid", d.socket_uid.as_ref());
    out.group("socket-gid", d.socket_gid.as_ref());
    out.changed_word("term-signal", TermSignal::WORDS, &d.term_signal, &defaults.term_signal);
    out.plain("ready-notification", d.readiness.descriptor.map(|number| format!("pipefd:{number}")));
    let variable = d.readiness.variable.as_ref().map(|name| [b"pipevar:", name.as_slice()].concat());
    out.text("ready-notification", '=', variable.as_deref());
    out.log(d);
    out.plain("logfile-permissions", mode(d.logfile_permissions, defaults.logfile_permissions));
    out.user("logfile-uid", d.logfile_uid.as_ref());
    out.group("logfile-gid", d.logfile_gid.as_ref());
    out.plain("log-buffer-size", number(d.log_buffer_size, defaults.log_buffer_size));
    out.literal("consumer-of", '=', d.consumer_of.as_ref().map(|name| name.value.as_slice()));
    out.options(d);
    out.text("inittab-id", '=', Some(d.inittab_id.as_slice()).filter(|id| !id.is_empty()));
    out.text("inittab-line", '=', Some(d.inittab_line.as_slice()).filter(|line| !line.is_empty()));
    for (setting, limits) in [
        ("rlimit-nofile", d.limits.nofile),
        ("rlimit-core", d.limits.core),
        ("rlimit-data", d.limits.data),
        ("rlimit-addrspace", d.limits.addrspace),
    ] {
        out.plain(setting, limits.map(limits::print));
    }
    out.plain("nice", d.nice.map(|nice| format!("{nice}")));
    out.text("run-in-cgroup", '=', d.run_in_cgroup.as_deref());
    out.text("capabilities", '=', d.capabilities.as_ref().map(|capabilities| capabilities.text()));
    out.secure_bits(d.secure_bits);
    out.plain("ioprio", d.io_priority.map(|priority| priority.print()));
    out.plain("oom-score-adj", d.oom_score_adj.map(|score| format!("{score}")));
    match out.unprintable {
        Some(setting) => Err(Unprintable { setting }),
        None => Ok(out.text),
    }
}

struct Printer {
    text: Vec<u8>,
    unprintable: Option<&'static str>,
}

impl Printer {
    fn line(&mut self, setting: &str, operator: char, value: &[u8]) {
        self.text.extend_from_slice(setting.as_bytes());
        self.text.extend_from_slice(if operator == ':' { b": " } else { b" = " });
        self.text.extend_from_slice(value);
        self.text.push(b'\n');
    }

    /// Writes a value that needs no quotes.
    fn plain(&mut self, setting: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.line(setting, '=', value.as_bytes());
        }
    }

    /// Writes a value in which a `$` has no meaning, or the meaning that it has in the description.
    fn text(&mut self, setting: &'static str, operator: char, value: Option<&[u8]>) {
        if let Some(value) = value {
            let value = self.quoted(setting, value);
            self.line(setting, operator, &value);
        }
    }

    /// Writes a path whose `$` expressions are still in it.
    fn path(&mut self, setting: &'static str, value: Option<&[u8]>) {
        self.text(setting, '=', value);
    }

    /// Writes a value in which a `$` means itself, although variables are substituted there.
    fn literal(&mut self, setting: &'static str, operator: char, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        let mut doubled = Vec::with_capacity(value.len());
        for &byte in value {
            doubled.push(byte);
            if byte == b'$' {
                doubled.push(byte);
            }
        }
        self.text(setting, operator, Some(&doubled));
    }

    fn words(&mut self, setting: &'static str, words: &[Vec<u8>]) {
        if words.is_empty() {
            return;
        }
        let words: Vec<Vec<u8>> = words.iter().map(|word| self.quoted(setting, word)).collect();
        self.line(setting, '=', &words.join(&b' '));
    }

    fn word<T: PartialEq>(&mut self, setting: &'static str, words: &[(&str, T)], value: &T) {
        if let Some((word, _)) = words.iter().find(|(_, known)| known == value) {
            self.line(setting, '=', word.as_bytes());
        }
    }

    fn changed_word<T: PartialEq>(
        &mut self,
        setting: &'static str,
        words: &[(&str, T)],
        value: &T,
        default: &T,
    ) {
        if value != default {
            self.word(setting, words, value);
        }
    }

    fn user(&mut self, setting: &'static str, user: Option<&User>) {
        match user {
            None => {}
            Some(User::Id(id)) => self.plain(setting, Some(format!("{id}"))),
            Some(User::Name(name)) => self.text(setting, '=', Some(name)),
        }
    }

    fn group(&mut self, setting: &'static str, group: Option<&Group>) {
        match group {
            None => {}
            Some(Group::Id(id)) => self.plain(setting, Some(format!("{id}"))),
            Some(Group::Name(name)) => self.text(setting, '=', Some(name)),
        }
    }

    fn dependencies(&mut self, d: &ServiceDescription) {
        for dependency in &d.dependencies {
            let (settings, name) = match &dependency.value.target {
                Target::Service(name) => (DependencyKind::SETTINGS, name),
                Target::Directory(path) => (DependencyKind::DIRECTORY_SETTINGS, path),
            };
            if let Some((setting, _)) = settings.iter().find(|(_, kind)| *kind == dependency.value.kind) {
                self.literal(setting, ':', Some(name));
            }
        }
        for name in &d.before {
            self.literal("before", ':', Some(&name.value));
        }
        for name in &d.after {
            self.literal("after", ':', Some(&name.value));
        }
        self.literal("chain-to", '=', d.chain_to.as_ref().map(|name| name.value.as_slice()));
    }

    /// Writes the log settings; `logfile` goes first, because it may change the type.
    fn log(&mut self, d: &ServiceDescription) {
        self.path("logfile", d.logfile.as_deref());
        let implied = if d.logfile.is_some() { LogType::File } else { LogType::None };
        self.changed_word("log-type", LogType::WORDS, &d.log_type, &implied);
    }

    fn options(&mut self, d: &ServiceDescription) {
        let implied = d.options.contains(Options::RUNS_ON_CONSOLE);
        let words = Options::WORDS.iter().filter(|(_, option)| {
            d.options.contains(*option) && !(implied && *option == Options::STARTS_ON_CONSOLE)
        });
        let words: Vec<&str> = words.map(|(word, _)| *word).collect();
        self.plain("options", (!words.is_empty()).then(|| words.join(" ")));
        let load_options =
            [("export-passwd-vars", d.export_passwd_vars), ("export-service-name", d.export_service_name)];
        let words: Vec<&str> =
            load_options.iter().filter(|(_, is_set)| *is_set).map(|(word, _)| *word).collect();
        self.plain("load-options", (!words.is_empty()).then(|| words.join(" ")));
    }

    fn secure_bits(&mut self, bits: SecureBits) {
        let words = SecureBits::WORDS.iter().filter(|(_, bit)| bits.contains(*bit));
        let words: Vec<&str> = words.map(|(word, _)| *word).collect();
        self.plain("securebits", (!words.is_empty()).then(|| words.join(" ")));
    }

    /// Returns one word as it must be written, and notes whether that is impossible.
    fn quoted(&mut self, setting: &'static str, word: &[u8]) -> Vec<u8> {
        let is_plain = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, 0x0b | b'"' | b'\\' | b'#');
        if !word.is_empty() && word.iter().all(is_plain) {
            return word.to_vec();
        }
        let mut quoted = Vec::with_capacity(word.len().saturating_add(2));
        quoted.push(b'"');
        let mut bytes = word.iter().peekable();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'"' | b'\\' => quoted.extend_from_slice(&[b'\\', byte]),
                b'\n' => {
                    // Only a continued line has a newline in its value, and the next line must be indented.
                    if !bytes.peek().is_some_and(|next| is_indentation(**next)) {
                        self.unprintable.get_or_insert(setting);
                    }
                    quoted.extend_from_slice(b"\\\n");
                }
                _ => quoted.push(byte),
            }
        }
        quoted.push(b'"');
        quoted
    }
}

/// Tells whether a continued line may start with this byte. A newline cannot start a line.
fn is_indentation(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r')
}
