//! The numbered examples of the language: one description each, and what is read from it.

mod memory;
mod support;

use dinit_load::check::{Finding, Options, check};
use dinit_load::{Host, Loader};
use dinit_service::value::{Bound, Group, Limits, TermSignal, User};
use dinit_service::{
    DependencyKind, Layout, LogType, Options as Words, Restart, ServiceDescription, ServiceType, Target,
};

use memory::MemoryHost;
use support::{Variable, loader};

const EXAMPLES: &str = include_str!("data/descriptions.tsv");

macro_rules! examples {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name).trim_start_matches("example_")); })*

        #[test]
        fn no_example_is_left_out() {
            let named = [$(stringify!($name)),*];
            let rows = EXAMPLES.lines().filter(|line| !line.starts_with('#')).count();
            assert_eq!((named.len(), rows), (233, 233));
        }
    };
}

examples! {
    example_001 example_002 example_003 example_004 example_005 example_006 example_007 example_008
    example_009 example_010 example_011 example_012 example_013 example_014 example_015 example_016
    example_017 example_018 example_019 example_020 example_021 example_022 example_023 example_024
    example_025 example_026 example_027 example_028 example_029 example_030 example_031 example_032
    example_033 example_034 example_035 example_036 example_037 example_038 example_039 example_040
    example_041 example_042 example_043 example_044 example_045 example_046 example_047 example_048
    example_049 example_050 example_051 example_052 example_053 example_054 example_055 example_056
    example_057 example_058 example_059 example_060 example_061 example_062 example_063 example_064
    example_065 example_066 example_067 example_068 example_069 example_070 example_071 example_072
    example_073 example_074 example_075 example_076 example_077 example_078 example_079 example_080
    example_081 example_082 example_083 example_084 example_085 example_086 example_087 example_088
    example_089 example_090 example_091 example_092 example_093 example_094 example_095 example_096
    example_097 example_098 example_099 example_100 example_101 example_102 example_103 example_104
    example_105 example_106 example_107 example_108 example_109 example_110 example_111 example_112
    example_113 example_114 example_115 example_116 example_117 example_118 example_119 example_120
    example_121 example_122 example_123 example_124 example_125 example_126 example_127 example_128
    example_129 example_130 example_131 example_132 example_133 example_134 example_135 example_136
    example_137 example_138 example_139 example_140 example_141 example_142 example_143 example_144
    example_145 example_146 example_147 example_148 example_149 example_150 example_151 example_152
    example_153 example_154 example_155 example_156 example_157 example_158 example_159 example_160
    example_161 example_162 example_163 example_164 example_165 example_166 example_167 example_168
    example_169 example_170 example_171 example_172 example_173 example_174 example_175 example_176
    example_177 example_178 example_179 example_180 example_181 example_182 example_183 example_184
    example_185 example_186 example_187 example_188 example_189 example_190 example_191 example_192
    example_193 example_194 example_195 example_196 example_197 example_198 example_199 example_200
    example_201 example_202 example_203 example_204 example_205 example_206 example_207 example_208
    example_209 example_210 example_211 example_212 example_213 example_214 example_215 example_216
    example_217 example_218 example_219 example_220 example_221 example_222 example_223 example_224
    example_225 example_226 example_227 example_228 example_229 example_230 example_231 example_232
    example_233
}

/// One row of the table.
struct Example {
    content: Vec<u8>,
    name: Vec<u8>,
    variables: Variable,
    files: Vec<(String, Vec<u8>)>,
    expected: String,
}

fn run(number: &str) {
    let example = find(number.trim_start_matches('0'));
    let mut host = MemoryHost::default().with("D/svc", &example.content);
    for (name, text) in &example.files {
        host = host.with(&format!("D/{name}"), text);
    }
    let directories = [b"D".to_vec()];
    let loader = loader(&host, &example.variables, &directories);
    assert_eq!(outcome(&loader, &example.name), example.expected);
}

fn find(number: &str) -> Example {
    let row = EXAMPLES.lines().find(|line| line.split('\t').next() == Some(number)).expect("a row");
    let mut columns = row.split('\t').skip(1);
    let content = unescaped(columns.next().unwrap());
    let mut example = Example {
        content,
        name: b"svc".to_vec(),
        variables: Variable::default(),
        files: Vec::new(),
        expected: String::new(),
    };
    example.variables.0.insert(b"HOME".to_vec(), b"/root".to_vec());
    for context in columns.next().unwrap().split("; ").filter(|context| !context.is_empty()) {
        let codes: Vec<&str> = context.split('`').skip(1).step_by(2).collect();
        if context.starts_with("service ") {
            example.name = codes[0].as_bytes().to_vec();
        } else if context.starts_with("env ") {
            for code in codes {
                let (name, value) = code.split_once('=').unwrap();
                example.variables.0.insert(name.into(), value.into());
            }
        } else if context.starts_with("file ") {
            example.files.push((codes[0].to_owned(), unescaped(codes[1])));
        } else {
            assert_eq!(context, "ours");
        }
    }
    example.expected = expectation(columns.next().unwrap());
    example
}

/// Returns the text that the body of a JSON string stands for.
fn unescaped(body: &str) -> Vec<u8> {
    let mut text = String::new();
    let mut characters = body.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('t')) => text.push('\t'),
            ('\\', Some('r')) => text.push('\r'),
            ('\\', Some(other)) => text.push(other),
            (other, _) => text.push(other),
        }
    }
    text.into_bytes()
}

/// Takes the quoting of code out of a result. A text that ends in a colon goes on with a blank.
fn expectation(result: &str) -> String {
    let plain = result.replace("``", "\u{1}");
    let mut text = String::new();
    for (index, piece) in plain.split('\u{1}').enumerate() {
        if index % 2 == 0 { text.push_str(&piece.replace('`', "")) } else { text.push_str(piece) }
    }
    if text.ends_with(':') && !text.contains("cannot open") {
        text.push(' ');
    }
    text
}

/// Returns what the loader makes of the service, in the words of the table.
fn outcome(loader: &Loader<'_>, name: &[u8]) -> String {
    let report = check(loader, &[name.to_vec()], Options::default());
    let service = report.services.first().unwrap();
    if let Some(finding) = service.findings.iter().find(|finding| finding.diagnostic.lint.is_none()) {
        return described(finding);
    }
    format!("OK: {}", properties(loader.host, service.description.as_ref().unwrap()).join(" "))
}

fn described(finding: &Finding) -> String {
    let problem = &finding.problem;
    let text = String::from_utf8_lossy(&problem.text);
    let place = finding.diagnostic.file.strip_prefix("D/svc").map_or_else(
        || format!("line {} in {}", problem.place.unwrap().line, finding.diagnostic.file),
        |_| format!("line {}", problem.place.map_or(0, |place| place.line)),
    );
    match problem.layout {
        Layout::Line => format!("D1 {place}: {text}"),
        Layout::LineAndSetting => format!("D2 {} {place}: {text}", problem.setting.unwrap()),
        Layout::Setting => format!("D3 {}: {text}", problem.setting.unwrap()),
        Layout::Plain => format!("L: {text}"),
    }
}

/// Lists all properties that are not the default.
fn properties(host: &dyn Host, d: &ServiceDescription) -> Vec<String> {
    let default = ServiceDescription::default();
    let mut all = vec![format!("type={}", word(ServiceType::WORDS, &d.service_type))];
    let mut add = |is_given: bool, text: String| {
        if is_given {
            all.push(text);
        }
    };
    add(!d.command.is_empty() && d.command != [b""], format!("command={}", list(&d.command)));
    add(!d.stop_command.is_empty(), format!("stop-command={}", list(&d.stop_command)));
    for (name, path) in
        [("working-dir", &d.working_dir), ("socket", &d.socket_listen), ("pid-file", &d.pid_file)]
    {
        let path = path.clone().unwrap_or_default();
        add(!path.is_empty(), format!("{name}={}", json(&path)));
    }
    let file = d.env_file.clone().map(|file| file.value);
    add(file.is_some(), format!("env-file={}", json(&file.unwrap_or_default())));
    let is_logged = d.log_type == LogType::File && d.logfile.is_some();
    add(is_logged, format!("logfile={}", json(&d.logfile.clone().unwrap_or_default())));
    add(d.log_type != LogType::None, format!("log-type={}", word(LogType::WORDS, &d.log_type)));
    let permissions = |mode: u32| format!("0{mode:o}");
    add(
        d.logfile_permissions != default.logfile_permissions,
        format!("logfile-perms={}", permissions(d.logfile_permissions)),
    );
    add(
        d.socket_permissions != default.socket_permissions,
        format!("socket-perms={}", permissions(d.socket_permissions)),
    );
    add(d.export_passwd_vars, "export-passwd-vars".into());
    add(d.export_service_name, "export-service-name".into());
    add(d.restart == Restart::Never, "restart=never".into());
    add(d.restart == Restart::OnFailure, "restart=on-failure".into());
    add(d.smooth_recovery, "smooth-recovery".into());
    for (name, time, default) in [
        ("restart-limit-interval", d.restart_limit_interval, default.restart_limit_interval),
        ("restart-delay", d.restart_delay, default.restart_delay),
        ("stop-timeout", d.stop_timeout, default.stop_timeout),
        ("start-timeout", d.start_timeout, default.start_timeout),
    ] {
        add(time != default, format!("{name}={}s+{}ns", time.as_secs(), time.subsec_nanos()));
    }
    add(d.restart_limit_count != 3, format!("restart-limit-count={}", d.restart_limit_count));
    add(d.term_signal != TermSignal::Term, format!("term-signal={}", d.term_signal.number()));
    let options: Vec<&str> = Words::WORDS
        .iter()
        .filter(|(_, option)| d.options.contains(*option))
        .map(|(word, _)| *word)
        .collect();
    add(!options.is_empty(), format!("options={{{}}}", options.join(",")));
    let variable = d.readiness.variable.clone().unwrap_or_default();
    add(d.readiness.variable.is_some(), format!("ready-var={}", json(&variable)));
    add(d.readiness.descriptor.is_some(), format!("ready-fd={}", d.readiness.descriptor.unwrap_or_default()));
    add(!d.inittab_id.is_empty(), format!("inittab-id={}", json(&d.inittab_id)));
    add(!d.inittab_line.is_empty(), format!("inittab-line={}", json(&d.inittab_line)));
    for (name, limits) in [
        ("nofile", d.limits.nofile),
        ("core", d.limits.core),
        ("data", d.limits.data),
        ("addrspace", d.limits.addrspace),
    ] {
        add(limits.is_some(), format!("rlimit-{name}={}", limits.map(pair).unwrap_or_default()));
    }
    add(d.nice.is_some(), format!("nice={}", d.nice.unwrap_or_default()));
    let priority = d.io_priority.map(|priority| priority.kernel_value());
    add(priority.is_some(), format!("ioprio={}", priority.unwrap_or_default()));
    add(d.oom_score_adj.is_some(), format!("oom={}", d.oom_score_adj.unwrap_or_default()));
    let capabilities = d.capabilities.as_ref().map(|capabilities| json(capabilities.text()));
    add(capabilities.is_some(), format!("caps={}", capabilities.unwrap_or_default()));
    add(d.secure_bits.bits() != 0, format!("secbits={}", d.secure_bits.bits()));
    all.extend(owners(host, d));
    all.extend(relations(d));
    all
}

fn owners(host: &dyn Host, d: &ServiceDescription) -> Vec<String> {
    let mut all = Vec::new();
    match &d.run_as {
        None => {}
        Some(User::Id(uid)) => all.push(format!("run-as-uid={uid} run-as-uid-gid=-1 run-as-gid=0")),
        Some(User::Name(name)) => {
            let user = host.user(name).unwrap().unwrap();
            all.push(format!("run-as-uid={} run-as-uid-gid={} run-as-gid=-1", user.uid, user.gid));
        }
    }
    for (what, user, group) in
        [("socket", &d.socket_uid, &d.socket_gid), ("logfile", &d.logfile_uid, &d.logfile_gid)]
    {
        if let Some(User::Name(name)) = user {
            let user = host.user(name).unwrap().unwrap();
            all.push(format!("{what}-uid={} {what}-gid={}", user.uid, user.gid));
        }
        assert!(!matches!(group, Some(Group::Id(_))), "no example has one");
    }
    all
}

fn relations(d: &ServiceDescription) -> Vec<String> {
    let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut all = Vec::new();
    if let Some(name) = &d.consumer_of {
        all.push(format!("consumer-of={}", json(&name.value)));
    }
    if let Some(name) = &d.chain_to {
        all.push(format!("chain-to={}", json(&name.value)));
    }
    for dependency in &d.dependencies {
        let setting = word(DependencyKind::SETTINGS, &dependency.value.kind);
        all.push(match &dependency.value.target {
            Target::Service(name) => format!("{setting}:{}", shown(name)),
            Target::Directory(path) => format!("{setting}:DIR:{}", shown(path)),
        });
    }
    all.extend(d.before.iter().map(|name| format!("before:{}", shown(&name.value))));
    all.extend(d.after.iter().map(|name| format!("after:{}", shown(&name.value))));
    all
}

fn word<T: PartialEq>(words: &'static [(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).unwrap().0
}

fn pair(limits: Limits) -> String {
    let half = |bound: Bound| match bound {
        Bound::Unset => "unset".to_owned(),
        Bound::Unlimited => "inf".to_owned(),
        Bound::At(number) => number.to_string(),
    };
    format!("({},{})", half(limits.soft), half(limits.hard))
}

fn list(words: &[Vec<u8>]) -> String {
    let words: Vec<String> = words.iter().map(|word| json(word)).collect();
    format!("[{}]", words.join(", "))
}

fn json(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{escaped}\"")
}
