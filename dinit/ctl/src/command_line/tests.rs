//! What is understood, and each way of not being.

use super::*;

fn parsed(words: &str) -> Outcome<Parsed> {
    let words: Vec<OsString> =
        words.split_terminator(' ').map(|word| OsString::from(word.replace('_', ""))).collect();
    parse(&words)
}

fn command(words: &str) -> Invocation {
    match parsed(words) {
        Ok(Parsed::Run(invocation)) => invocation,
        other => panic!("{words}: {other:?}"),
    }
}

#[track_caller]
fn assert_refused(words: &str, text: &str) {
    let failure = parsed(words).unwrap_err();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(crate::output::Output::new(&mut out, &mut err).finish(Err(failure)), 1);
    assert_eq!(String::from_utf8(err).unwrap(), text, "{words}");
}

const INVALID: &str = "dinitctl: Invalid command line.\nTry 'dinitctl --help' for more information.\n";

#[test]
fn help_and_the_version_are_given_where_the_scan_meets_them() {
    for words in ["", "--help", "start --help", "--help --bogus"] {
        assert!(
            matches!(parsed(words), Ok(Parsed::Text(text)) if text.starts_with(b"dinitctl:   control")),
            "{words}"
        );
    }
    let version = format!("Dinit version {}.\n", env!("CARGO_PKG_VERSION"));
    assert!(matches!(parsed("--version --bogus"), Ok(Parsed::Text(text)) if text == version.as_bytes()));
}

#[test]
fn help_has_every_command_and_every_option() {
    let text = String::from_utf8(help::text()).unwrap();
    for (_, row) in COMMANDS {
        let line = format!("    dinitctl [options] {} {}", row.word, row.usage);
        assert!(text.contains(line.trim_end()), "{}", row.word);
    }
    for spelling in OPTIONS.iter().flat_map(|(_, row)| row.spellings) {
        assert!(text.contains(spelling), "{spelling}");
    }
}

#[test]
fn what_does_not_exist_is_named() {
    for option in ["-q", "-5", "-", "--socket-path=x", "--bogus", "-us"] {
        let text = format!("dinitctl: unrecognized/invalid option: {option} (use --help for help)\n");
        assert_refused(&format!("list {option}"), &text);
        assert_refused(&format!("{option} --help"), &text);
    }
    assert_refused("bogus", "dinitctl: unrecognized command: bogus (use --help for help)\n");
    assert_refused("_", "dinitctl: unrecognized command:  (use --help for help)\n");
    assert_refused("start _", "dinitctl: Invalid empty argument\n");
}

#[test]
fn an_option_without_its_argument_says_what_is_missing() {
    for words in ["-p", "--socket-path", "list -p _"] {
        assert_refused(words, "dinitctl: --socket-path/-p should be followed by socket path\n");
    }
    for words in ["-d", "--services-dir _"] {
        assert_refused(words, "dinitctl: '--services-dir' (-d) requires an argument\n");
    }
    assert_refused("enable --from", "dinitctl: --from should be followed by a service name\n");
}

#[test]
fn options_of_a_command_must_come_after_it() {
    for words in ["--force stop x", "-f restart x", "start --force x", "--from a enable b", "list --from a"] {
        assert_refused(words, INVALID);
    }
    for words in ["--clear catlog x", "-l signal", "list -l", "stop --clear x"] {
        assert_refused(words, INVALID);
    }
    let stop = command("--pin stop -f --ignore-unstarted x");
    let (verb, service) = (Change::Stop, b"x".to_vec());
    assert_eq!(
        stop.command,
        Command::Change { verb, service, pin: true, force: true, ignore_unstarted: true }
    );
}

#[test]
fn too_few_and_too_many_arguments_are_refused() {
    for words in
        ["start", "start a b", "list a", "shutdown a", "add-dep need a", "add-dep need a b c", "setenv"]
    {
        assert_refused(words, INVALID);
    }
    for words in ["--quiet", "add-dep soft a b", "signal -l TERM", "signal TERM a b", "unsetenv", "enable"] {
        assert_refused(words, INVALID);
    }
}

#[test]
fn the_last_of_two_opposites_counts_and_directories_add_up() {
    let invocation = command("-s -u -o -d a --services-dir b enable --from c d --quiet --no-wait -p s");
    let general = invocation.general;
    assert_eq!(general.instance, Some(Instance::User));
    assert_eq!(general.service_directories, [b"a", b"b"]);
    assert_eq!(general.socket_path, Some(b"s".to_vec()));
    assert!(general.quiet && general.offline && general.no_wait && !general.use_passed_descriptor);
    assert_eq!(invocation.command, Command::Enable { from: Some(b"c".to_vec()), to: b"d".to_vec() });
}

#[test]
fn only_what_needs_no_daemon_works_offline() {
    let text = "dinitctl: offline mode (--offline/-o) not supported for this command\n";
    assert_refused("-o list", text);
    assert_refused("start -o x", text);
    assert_refused("-o list --available --failed", text);
    for words in ["-o list --available", "list --enabled -o", "-o graph", "graph -o a b"] {
        assert!(command(words).general.offline, "{words}");
    }
}

#[test]
fn conditions_of_a_list_add_up() {
    let listed = Listed { failed: true, enabled: true, available: false };
    assert_eq!(command("list --failed --enabled").command, Command::List(listed));
    assert_eq!(command("list").command, Command::List(Listed::default()));
    for words in ["--failed list", "status --failed x", "list --dot", "graph --enabled"] {
        assert_refused(words, INVALID);
    }
}

#[test]
fn a_graph_has_any_number_of_beginnings_and_one_language() {
    let services = vec![b"a".to_vec(), b"b".to_vec()];
    assert_eq!(command("graph a --dot b").command, Command::Graph { services, dot: true });
    assert_eq!(command("graph").command, Command::Graph { services: Vec::new(), dot: false });
    assert!(command("--json graph").general.json);
    assert_refused("graph --dot --json", "dinitctl: --dot and --json exclude each other\n");
}

#[test]
fn kinds_of_dependency_have_their_words() {
    for (word, kind) in [
        ("need", DependencyKind::Regular),
        ("regular", DependencyKind::Regular),
        ("milestone", DependencyKind::Milestone),
        ("waits-for", DependencyKind::WaitsFor),
    ] {
        let (from, to) = (b"a".to_vec(), b"b".to_vec());
        let expected = Command::AddDependency { kind, from, to };
        assert_eq!(command(&format!("add-dep {word} a b")).command, expected);
    }
}

#[test]
fn signals_are_names_or_numbers() {
    for (word, signal) in [("TERM", 15), ("HUP", 1), ("STOP", 19), ("0", 0), ("+9", 9), ("999", 999)] {
        let service = b"x".to_vec();
        assert_eq!(command(&format!("signal {word} x")).command, Command::Signal { signal, service });
    }
    for word in ["0x9", "hup", "SIGHUP", "12x", "none", "NONE", "99999999999"] {
        let text = format!("dinitctl: '{word}' is not a valid signal name/number\n");
        assert_refused(&format!("signal {word} x"), &text);
    }
    assert_refused("signal", "dinitctl: signal number/name must be specified\n");
    assert_refused("signal TERM", "dinitctl: service name must be specified\n");
    assert_eq!(command("signal --list").command, Command::ListSignals);
}
