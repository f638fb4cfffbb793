//! Runs the scenarios of LC 13 as they stand in `scenarios.txt`.
//!
//! The order of what happens to one service is compared exactly; the order between services within one step is not
//! a promise (LC 11) and is not looked at. Where a remark says REQUIRED, the file has what is required in place of
//! what the reference does.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::time::Duration;
use std::vec::Vec;

use crate::edge::Edge;
use crate::event::{Daemon, Event};
use crate::request::{Answer, Request, ShutdownKind};
use crate::spec::{
    ChainRule, ConsoleNeed, Dependency, DependencyKind, Description, Kind, Readiness, Restart, Spec,
};
use crate::status::{ExecFailure, ExecStage, ExitStatus, Signal};
use crate::tests::Timed;
use crate::tests::world::{Which, World};

const SCENARIOS: &str = include_str!("scenarios.txt");

/// One scenario: its first line, and the lines below it without their indentation.
struct Scenario {
    title: &'static str,
    lines: Vec<Line>,
}

enum Line {
    Declaration(&'static str),
    Step(&'static str),
    Trace(&'static str),
    Bookkeeping(&'static str),
    Total(&'static str),
}

fn scenarios(chapter: &str) -> Vec<Scenario> {
    let head = format!("### {chapter} ");
    let (_, rest) = SCENARIOS.split_once(head.as_str()).unwrap();
    let mut found: Vec<Scenario> = Vec::new();
    for line in rest.lines().skip(1).take_while(|line| !line.starts_with("### ")) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() || text.starts_with("```") || text.starts_with('#') {
            continue;
        }
        if indent == 0 {
            found.push(Scenario { title: text, lines: Vec::new() });
            continue;
        }
        let line = match text {
            _ if indent == 6 && text.starts_with('[') => Line::Bookkeeping(text),
            _ if indent == 6 => Line::Trace(text),
            _ if text.starts_with("> ") => Line::Step(&text[2..]),
            _ if text.starts_with("active count") || text.starts_with("armed timers") => Line::Total(text),
            _ => Line::Declaration(text),
        };
        found.last_mut().unwrap().lines.push(line);
    }
    found
}

fn kind_of_link(word: &str) -> Option<DependencyKind> {
    Some(match word {
        "depends-on" => DependencyKind::Regular,
        "waits-for" => DependencyKind::WaitsFor,
        "depends-ms" => DependencyKind::Milestone,
        "prepared-by" => DependencyKind::PreparedBy,
        "before" => DependencyKind::Before,
        "after" => DependencyKind::After,
        _ => return None,
    })
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.parse().unwrap())
}

fn limit(text: &str) -> Option<Duration> {
    Some(seconds(text)).filter(|limit| !limit.is_zero())
}

fn signal(word: &str) -> Signal {
    match word {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "TERM" => Signal::TERM,
        "SEGV" => Signal(11),
        number => Signal(number.parse().unwrap()),
    }
}

/// Reads `name: type, option, option`; also gives the name that `chain-to` names.
fn declaration(text: &str) -> (Description, Option<String>) {
    let (name, rest) = text.split_once(": ").unwrap();
    let mut words = rest.split(", ");
    let mut double = None;
    let mut spec = Spec::new(match words.next().unwrap() {
        "process" => Kind::Process,
        "bgprocess" => Kind::BgProcess,
        "scripted" => Kind::Scripted,
        "internal" => Kind::Internal,
        "triggered" => Kind::Triggered,
        "timed" => {
            double = Some(Timed::default());
            Kind::Internal
        }
        other => panic!("no type `{other}`"),
    });
    let (mut dependencies, mut chain, mut always) = (Vec::new(), None, false);
    for option in words {
        if let Some((link, other)) = option.split_once(' ') {
            let kind = kind_of_link(link).unwrap();
            dependencies.push(Dependency { kind, name: other.as_bytes().to_vec() });
            continue;
        }
        match option.split_once('=').unwrap_or((option, "")) {
            ("instant-stop", _) => double.as_mut().unwrap().instant_stop = true,
            ("launch-refused", _) => double.as_mut().unwrap().launch_refused = true,
            ("start-interruptible", _) => spec.start_interruptible = true,
            ("restart", "yes") => spec.restart = Restart::Always,
            ("restart", "on-failure") => spec.restart = Restart::OnFailure,
            ("restart-limit-count", count) => spec.restart_limit_count = count.parse().unwrap(),
            ("restart-limit-interval", text) => spec.restart_limit_interval = seconds(text),
            ("restart-delay", text) => spec.restart_delay = seconds(text),
            ("start-timeout", text) => spec.start_timeout = limit(text),
            ("stop-timeout", text) => spec.stop_timeout = limit(text),
            ("ready-notification", _) => spec.readiness = Readiness::Notification,
            ("smooth-recovery", _) => spec.smooth_recovery = true,
            ("stop-command", _) => spec.has_stop_command = true,
            ("term-signal", "none") => spec.term_signal = None,
            ("term-signal", word) => spec.term_signal = Some(signal(word)),
            ("signal-process-only", _) => spec.signal_process_only = true,
            ("skippable", _) => spec.skippable = true,
            ("runs-on-console", _) => spec.console = ConsoleNeed::Run,
            ("starts-on-console", _) => spec.console = ConsoleNeed::Start,
            ("chain-to", target) => chain = Some(target.to_string()),
            ("always-chain", _) => always = true,
            (other, _) => panic!("no option `{other}`"),
        }
    }
    spec.chain = match (&chain, always) {
        (None, _) => ChainRule::Never,
        (Some(_), false) => ChainRule::AfterCleanEnd,
        (Some(_), true) => ChainRule::Always,
    };
    if let Some(double) = double {
        spec.kind = Kind::Timed(double);
    }
    let description = Description { name: name.as_bytes().to_vec(), spec, dependencies, consumer_of: None };
    (description, chain)
}

fn reply(world: &World, answer: &Answer) -> String {
    match answer {
        Answer::Done | Answer::Enabled { .. } => "ACK".to_string(),
        Answer::AlreadyThere => "ALREADYSS".to_string(),
        Answer::PinnedStarted => "PINNEDSTARTED".to_string(),
        Answer::PinnedStopped => "PINNEDSTOPPED".to_string(),
        Answer::ShuttingDown => "SHUTTINGDOWN".to_string(),
        Answer::Refused(_) => "NAK".to_string(),
        Answer::Dependents(ids) => {
            let names: Vec<String> =
                ids.iter().map(|id| String::from_utf8_lossy(world.graph.name(*id).unwrap()).into()).collect();
            format!("DEPENDENTS{{{}}}", names.join(", "))
        }
    }
}

/// Carries out one step and gives the reply, if it is one that has any.
fn step(world: &mut World, text: &str) -> Option<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let pin = words.get(2) == Some(&"pin");
    let run = |world: &World, which| {
        *world.current.get(&(world.id(words[1]), which)).unwrap_or_else(|| panic!("`{text}`: no such run"))
    };
    let failure = ExecFailure { stage: ExecStage(18), errno: 2 };
    let request = match words[0] {
        "start" => Request::Start { service: world.id(words[1]), pin },
        "wake" => Request::Wake { service: world.id(words[1]), pin },
        "stop" => Request::Stop { service: world.id(words[1]), pin, gentle: false },
        "gentlestop" => Request::Stop { service: world.id(words[1]), pin, gentle: true },
        "restart" => Request::Restart { service: world.id(words[1]), gentle: false },
        "gentlerestart" => Request::Restart { service: world.id(words[1]), gentle: true },
        "release" => Request::Release { service: world.id(words[1]), pin },
        "unpin" => Request::Unpin { service: world.id(words[1]) },
        "trigger" => Request::SetTrigger { service: world.id(words[1]), value: true },
        "untrigger" => Request::SetTrigger { service: world.id(words[1]), value: false },
        "shutdown" => Request::Shutdown { kind: ShutdownKind::Halt },
        "add-dep" | "rm-dep" | "enable" => {
            let kind = kind_of_link(words[1]).unwrap();
            let (from, to) = (world.id(words[2]), world.id(words[3]));
            if kind.is_ordering() {
                let (from, to) = (world.slot(words[2]), world.slot(words[3]));
                world.poke(|graph| {
                    graph.add_edge(Edge::new(from, to, kind));
                });
                return Some("ACK".to_string());
            }
            match words[0] {
                "add-dep" => Request::AddDep { kind, from, to },
                "rm-dep" => Request::RemoveDep { kind, from, to },
                _ => Request::Enable { kind, from, to },
            }
        }
        "plainstop" | "force" | "pinstart" | "pinstop" | "up" | "fail" | "down" => {
            let slot = world.slot(words[1]);
            world.poke(|graph| match words[0] {
                "plainstop" => graph.tell_to_stop(slot),
                "force" => graph.force_stop(slot),
                "pinstart" => graph.pin_started(slot),
                "pinstop" => graph.record_mut(slot).pin_stop = true,
                "up" => graph.timed_up(slot),
                "fail" => graph.timed_fail(slot),
                _ => graph.timed_down(slot),
            });
            return None;
        }
        "pidfile" => {
            let found = match words[2] {
                "good" => Daemon::Supervised,
                "untracked" => Daemon::Unsupervised,
                "bogus" | "gone" => Daemon::Unusable,
                "dead" => Daemon::Ended(ExitStatus::Exited(words[3].parse().unwrap())),
                other => panic!("no pid file `{other}`"),
            };
            world.pid_files.insert(world.id(words[1]), found);
            return None;
        }
        "time" => {
            world.advance(u64::try_from(seconds(words[1]).as_nanos()).unwrap());
            return None;
        }
        word => {
            let which = if word.starts_with("stop") { Which::StopCommand } else { Which::Main };
            let run = run(world, which);
            world.event(match (word, words.get(2).copied().unwrap_or_default()) {
                ("exec" | "stopexec", "ok") => Event::Executed { run },
                ("exec" | "stopexec", "fail") => Event::ExecFailed { run, failure },
                ("exit" | "stopexit", code) => {
                    Event::Exited { run, status: ExitStatus::Exited(code.parse().unwrap()) }
                }
                ("killed" | "stopkilled", by) => {
                    Event::Exited { run, status: ExitStatus::Killed(signal(by)) }
                }
                ("ready", _) => Event::Ready { run },
                ("eof", _) => Event::ReadinessClosed { run },
                _ => panic!("no step `{text}`"),
            });
            return None;
        }
    };
    let answer = world.request(request);
    Some(reply(world, &answer))
}

/// The service a word of a trace is about.
fn owner(word: &str) -> String {
    let inner = word.split(['(', ',']).nth(1).unwrap_or(word);
    let name = if word.contains(':') || word.contains('!') { word } else { inner };
    name.split([':', '!', '/', ')']).next().unwrap().to_string()
}

/// Splits a trace at commas outside of parentheses, by service.
fn by_service<'a>(words: impl Iterator<Item = (String, &'a str)>) -> BTreeMap<String, Vec<&'a str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (owner, word) in words {
        found.entry(owner).or_default().push(word);
    }
    found
}

fn run(scenario: &Scenario) -> Result<(), String> {
    let declared = scenario.lines.iter().filter_map(|line| match line {
        Line::Declaration(text) => Some(declaration(text)),
        Line::Step(_) | Line::Trace(_) | Line::Bookkeeping(_) | Line::Total(_) => None,
    });
    let (descriptions, chains): (Vec<_>, Vec<_>) = declared.unzip();
    let names: Vec<String> =
        descriptions.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect();
    let mut world = World::new(descriptions);
    for (id, chain) in world.ids.clone().into_iter().zip(chains) {
        world.chains.extend(chain.map(|target| (id, target)));
    }
    let mut lines = scenario.lines.iter().peekable();
    while let Some(line) = lines.next() {
        match line {
            Line::Declaration(_) => {}
            Line::Total(text) => {
                let (what, number) = text.rsplit_once(' ').unwrap();
                let total = match what {
                    "active count" => world.graph.active_count(),
                    _ => world.timers.len(),
                };
                if total.to_string() != number {
                    return Err(format!("{text}: it is {total}"));
                }
            }
            Line::Trace(text) | Line::Bookkeeping(text) => {
                return Err(format!("a line without a step: {text}"));
            }
            Line::Step(text) => {
                let trace = lines.next_if(|line| matches!(line, Line::Trace(_)));
                let books = lines.next_if(|line| matches!(line, Line::Bookkeeping(_)));
                run_step(&mut world, &names, text, trace, books)
                    .map_err(|error| format!("> {text}\n{error}"))?;
            }
        }
    }
    Ok(())
}

fn run_step(
    world: &mut World,
    names: &[String],
    text: &str,
    trace: Option<&Line>,
    books: Option<&Line>,
) -> Result<(), String> {
    let before: Vec<Vec<String>> = names.iter().map(|name| world.bookkeeping(name)).collect();
    let (action, expected_reply) = match text.split_once(" -> ") {
        Some((action, reply)) => (action, Some(reply)),
        None => (text, None),
    };
    let got_reply = step(world, action);
    if let Some(violation) = world.complaint.take().or_else(|| crate::invariants::violated(&world.graph)) {
        return Err(violation);
    }
    if let Some(expected) = expected_reply
        && got_reply.as_deref() != Some(expected)
    {
        return Err(format!("  replied {got_reply:?}"));
    }
    let expected = match trace {
        Some(Line::Trace(text)) => by_service(text.split(", ").map(|word| (owner(word), word))),
        _ => BTreeMap::new(),
    };
    let seen = core::mem::take(&mut world.seen);
    let got = by_service(seen.iter().map(|(owner, word)| (owner.clone(), word.as_str())));
    if got != expected {
        return Err(format!("  expected {expected:?}\n  happened {got:?}"));
    }
    let mut changed = BTreeMap::new();
    if let Some(Line::Bookkeeping(text)) = books {
        for entry in text.trim_matches(['[', ']']).split("; ") {
            let (name, words) = entry.split_once(' ').unwrap();
            let mut words: Vec<String> = words.split(' ').map(ToString::to_string).collect();
            words.sort();
            changed.insert(name, words);
        }
    }
    for (name, before) in names.iter().zip(before) {
        let expected = changed.get(name.as_str()).unwrap_or(&before);
        let got = world.bookkeeping(name);
        if got != *expected {
            return Err(format!("  `{name}` should have {expected:?}\n  `{name}` has {got:?}"));
        }
    }
    Ok(())
}

/// Runs all scenarios of a chapter and names every one that fails.
fn run_chapter(chapter: &str, count: usize) {
    let found = scenarios(chapter);
    assert_eq!(found.len(), count, "scenarios in {chapter}");
    let failures: Vec<String> = found
        .iter()
        .filter_map(|scenario| run(scenario).err().map(|error| format!("{}\n{error}", scenario.title)))
        .collect();
    assert!(failures.is_empty(), "{} of {count} failed\n\n{}\n", failures.len(), failures.join("\n\n"));
}

#[test]
fn scenarios_of_activation_release_and_explicit_stop_hold() {
    run_chapter("13.A", 17);
}

#[test]
fn scenarios_of_start_failure_hold() {
    run_chapter("13.B", 11);
}

#[test]
fn scenarios_of_soft_milestone_preparation_and_ordering_hold() {
    run_chapter("13.C", 20);
}

#[test]
fn scenarios_of_pins_hold() {
    run_chapter("13.D", 16);
}

#[test]
fn scenarios_of_restart_hold() {
    run_chapter("13.E", 15);
}

#[test]
fn scenarios_of_processes_hold() {
    run_chapter("13.F", 43);
}

#[test]
fn scenarios_of_smooth_recovery_hold() {
    run_chapter("13.G", 11);
}

#[test]
fn scenarios_of_bgprocesses_hold() {
    run_chapter("13.H", 20);
}

#[test]
fn scenarios_of_scripted_services_hold() {
    run_chapter("13.I", 19);
}

#[test]
fn scenarios_of_triggers_console_wake_dependencies_chain_and_shutdown_hold() {
    run_chapter("13.J", 30);
}

#[test]
fn scenarios_of_stop_order_and_mixed_cases_hold() {
    run_chapter("13.K", 24);
}
