//! The examples of several services, and of reloading one, on real files.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::rc::Rc;

use dinit_graph::{Daemon, Effect, Event, ExitStatus, Graph, Instant, Request, RunId, ServiceId};
use dinit_load::{Context, ExecSpec, Level, Message, SystemHost};
use dinit_service::ServiceName;
use tempfile::TempDir;

use support::{Variable, loader};

const EXAMPLES: &str = include_str!("data/services.txt");

macro_rules! examples {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn no_example_is_left_out() {
            let named = [$(stringify!($name)),*];
            assert_eq!((named.len(), blocks().count()), (38, 38));
        }
    };
}

examples! {
    m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12 m13 m14 m15 m16 m17 m18 m19 m20 m21 m22 m23 m24
    m25 m26 m27 m28 m29 m30 m31 r1 r2 r3 r4 r5 r6 r7
}

fn blocks() -> impl Iterator<Item = &'static str> {
    EXAMPLES.split("\n\n").filter(|block| !block.starts_with('#'))
}

fn run(name: &str) {
    let (letter, digits) = name.split_at(1);
    let label = format!("{}{} ", letter.to_uppercase(), digits.trim_start_matches('0'));
    let block = blocks().find(|block| block.starts_with(&label)).expect("an example of this number");
    let mut stage = Stage::new();
    for line in block.lines().skip(1) {
        stage.perform(line);
    }
    stage.compare();
}

/// A service directory, a graph, and what the log has and should have.
struct Stage {
    directory: TempDir,
    graph: Graph,
    execs: Vec<(ServiceId, Rc<ExecSpec>)>,
    log: Vec<String>,
    expected: Vec<String>,
    loaded: String,
    counts: bool,
}

impl Stage {
    fn new() -> Stage {
        let directory = tempfile::tempdir().unwrap();
        Stage {
            directory,
            graph: Graph::new(),
            execs: Vec::new(),
            log: Vec::new(),
            expected: Vec::new(),
            loaded: String::new(),
            counts: false,
        }
    }

    fn perform(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap();
        match verb {
            "file" | "change" => {
                let (path, content) = rest.split_once(": ").unwrap();
                self.write(path, &unescaped(content));
            }
            "dir" => fs::create_dir(self.path(rest)).unwrap(),
            "link" => {
                let (path, target) = rest.split_once(": ").unwrap();
                symlink(target, self.path(path)).unwrap();
            }
            "chain" => self.chain(rest),
            "via" => {
                let (prefix, number) = rest.split_once(' ').unwrap();
                let number: u32 = number.parse().unwrap();
                self.write(&format!("{prefix}{number}"), "type = internal\nwaits-for.d: middle");
                self.write(&format!("middle/{prefix}{}", number + 1), "");
            }
            "load" => self.load(rest, Context::StartUp),
            "chain-load" => {
                let (from, name) = rest.split_once(' ').unwrap();
                self.load(name, Context::Chain(from.as_bytes()));
            }
            "start" => self.start(rest),
            "reload" => self.reload(rest),
            "invalid" => assert!(!ServiceName::is_valid(rest.as_bytes())),
            "log" if rest == "and 31 more" => {
                let lines =
                    (2..33).rev().map(|n| format!("Could not load service c{n}: could not load dependency."));
                self.expected.extend(lines);
            }
            "log" => self.expected.push(rest.to_owned()),
            "warn" => self.expected.push(format!("warning {rest}")),
            "loaded" if rest.parse::<u32>().is_ok() => {
                self.counts = true;
                self.loaded = rest.to_owned();
            }
            "loaded" => self.loaded = rest.to_owned(),
            _ => panic!("no such line: {line}"),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, content).unwrap();
    }

    fn chain(&self, rest: &str) {
        let (prefix, count) = rest.split_once(' ').unwrap();
        let count: u32 = count.parse().unwrap();
        for number in 1..count {
            self.write(
                &format!("{prefix}{number}"),
                &format!("type = internal\ndepends-on: {prefix}{}", number + 1),
            );
        }
        self.write(&format!("{prefix}{count}"), "type = internal");
    }

    fn load(&mut self, name: &str, context: Context<'_>) {
        let host = SystemHost::new();
        let (variables, directories) = (Variable::default(), [self.directories()]);
        let loading = loader(&host, &variables, &directories).load(&mut self.graph, name.as_bytes());
        self.execs.extend(loading.services.into_iter().map(|new| (new.id, new.exec)));
        self.note(loading.messages);
        if let Err(error) = loading.outcome {
            self.note_line(&error.message(context));
        }
    }

    fn directories(&self) -> Vec<u8> {
        self.directory.path().to_str().unwrap().as_bytes().to_vec()
    }

    /// Loads a process and has it started.
    fn start(&mut self, name: &str) {
        self.write(name, "type = process\ncommand = /bin/sleep 100\nlogfile = L");
        let run = self.launch(name);
        self.tell(Event::Executed { run });
    }

    /// Loads a service whose description is there, and has it launched.
    fn launch(&mut self, name: &str) -> RunId {
        self.load(name, Context::StartUp);
        let service = self.graph.find(name.as_bytes()).unwrap();
        let mut effects = Vec::new();
        self.graph.request(Instant(0), Request::Start { service, pin: false }, &mut effects);
        let run = effects.iter().find_map(|effect| match effect {
            Effect::Launch { run, .. } => Some(*run),
            _ => None,
        });
        run.expect("a launch")
    }

    fn tell(&mut self, event: Event) {
        self.graph.step(Instant(1), event, &mut Vec::new());
    }

    fn reload(&mut self, name: &str) {
        let host = SystemHost::new();
        let (variables, directories) = (Variable::default(), [self.directories()]);
        let service = self.graph.find(name.as_bytes()).unwrap();
        let current = self.execs.iter().find(|(id, _)| *id == service).unwrap().1.clone();
        let reloading = loader(&host, &variables, &directories).reload(
            &mut self.graph,
            service,
            &current,
            Instant(2),
            &mut Vec::new(),
        );
        self.note(reloading.messages);
        self.note_line(&reloading.outcome.expect_err("no reload of these succeeds").message(Context::Reload));
        self.loaded.clear();
    }

    fn note(&mut self, messages: Vec<Message>) {
        for message in messages {
            match message.level {
                Level::Error => self.note_line(&message.text),
                Level::Warning => self.note_line(&[b"warning ".as_slice(), &message.text].concat()),
            }
        }
    }

    fn note_line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        self.log.push(text.replace(self.directory.path().to_str().unwrap(), "D"));
    }

    fn compare(&self) {
        assert_eq!(self.log, self.expected);
        let is_reload = self.log.iter().any(|line| line.starts_with("Could not reload"));
        if is_reload {
            return;
        }
        let names: Vec<String> = self
            .graph
            .services()
            .into_iter()
            .map(|id| String::from_utf8_lossy(self.graph.name(id).unwrap()).into_owned())
            .collect();
        let loaded = if self.counts { names.len().to_string() } else { names.join(" ") };
        assert_eq!(loaded, self.loaded);
        assert_eq!(self.execs.len(), names.len());
    }
}

/// Reloads a service with a description that says something else, and compares the reason why that is refused.
#[track_caller]
fn assert_refused(mut stage: Stage, description: &str, reason: &str) {
    stage.write("s", description);
    stage.reload("s");
    assert_eq!(stage.log, [format!("Could not reload service s: {reason}")]);
}

#[test]
fn a_service_that_is_on_its_way_cannot_be_changed() {
    let mut stage = Stage::new();
    stage.write("s", "type = scripted\ncommand = /bin/true");
    stage.launch("s");
    let reason = "cannot alter settings for service which is currently starting/stopping.";
    assert_refused(stage, "type = scripted\ncommand = /bin/false", reason);
}

#[test]
fn the_pid_file_of_a_running_service_cannot_be_changed() {
    let mut stage = Stage::new();
    let text = "type = bgprocess\ncommand = /bin/true\npid-file = ";
    stage.write("s", &format!("{text}/run/one"));
    let run = stage.launch("s");
    stage.tell(Event::Executed { run });
    stage.tell(Event::Exited { run, status: ExitStatus::Exited(0) });
    stage.tell(Event::PidFileRead { run, daemon: Daemon::Supervised });
    assert_refused(stage, &format!("{text}/run/other"), "cannot change pid_file for running service.");
}

#[test]
fn what_a_running_service_consumes_cannot_be_changed() {
    let mut stage = Stage::new();
    stage.start("s");
    let text = "type = process\ncommand = /bin/sleep 100\nlogfile = L\nconsumer-of = p";
    assert_refused(stage, text, "cannot change consumed service ('consumer-of') when not stopped");
}

#[test]
fn a_service_with_a_consumer_goes_on_providing_it() {
    for (text, reason) in [
        (
            "type = internal",
            "service has output consumer; service type must correspond to output-producing service (process, \
             bgprocess, or scripted)",
        ),
        (
            "type = process\ncommand = /bin/true",
            "service has output consumer; log type must be set to 'pipe'",
        ),
    ] {
        let mut stage = Stage::new();
        stage.write("c", "type = process\ncommand = /bin/cat\nconsumer-of = s");
        stage.write("s", "type = process\ncommand = /bin/true\nlog-type = pipe");
        for name in ["s", "c"] {
            stage.load(name, Context::StartUp);
        }
        assert_refused(stage, text, reason);
    }
}

/// Returns the text that the body of a JSON string stands for.
fn unescaped(body: &str) -> String {
    body.replace("\\\\", "\u{1}").replace("\\n", "\n").replace('\u{1}', "\\")
}
