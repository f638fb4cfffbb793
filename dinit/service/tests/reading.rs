//! What reading says beyond the description: all problems, places, help, and remarks.

use dinit_service::{NoSources, NoVariables, Parsed, ServiceName, Source, parse, settings};

fn read(text: &str) -> Parsed {
    parse(&ServiceName::new("svc"), Source::new("D/svc", text), &NoVariables, &mut NoSources)
}

fn rendered(text: &str) -> String {
    let parsed = read(text);
    parsed.problems.iter().map(|problem| problem.diagnostic(&parsed.files).render()).collect()
}

#[test]
fn all_problems_of_a_file_are_found_in_one_go() {
    let parsed = read("type = proces\nfoo = 1\nbogus\noptions: a\ncommand = \"x\nnice = 1x\n");
    let lines: Vec<u32> = parsed.problems.iter().map(|problem| problem.place.unwrap().line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_problem_quotes_its_line_and_marks_the_word() {
    let expected = "\
D/svc:2:22: error: setting `options`: unknown option: starts-rwf
    2 | options = starts-log starts-rwf
      |                      ^^^^^^^^^^
help: there is `starts-rwfs`
";
    assert_eq!(rendered("type = internal\noptions = starts-log starts-rwf\n"), expected);
}

#[test]
fn a_word_on_a_continued_line_is_marked_there() {
    let expected = "\
D/svc:3:4: error: setting `options`: unknown option: nothing-like-it
    3 |    nothing-like-it
      |    ^^^^^^^^^^^^^^^
help: the words are runs-on-console, starts-on-console, shares-console, unmask-intr, starts-rwfs, starts-log, \
pass-cs-fd, start-interruptible, skippable, signal-process-only, always-chain, kill-all-on-stop, no-new-privs
";
    assert_eq!(rendered("options = starts-log \\\n  \\\n   nothing-like-it\n"), expected);
}

#[test]
fn an_unknown_setting_is_answered_with_the_nearest_one() {
    assert!(rendered("depend-on = a\n").ends_with("help: there is `depends-on`\n"));
    assert!(!rendered("description = a\n").contains("help"));
}

#[test]
fn the_log_has_the_layouts_of_the_reference() {
    let parsed = read("nice = x\ntype = x\ndepends-on: $1\n");
    let lines: Vec<String> = parsed
        .problems
        .iter()
        .map(|problem| String::from_utf8(problem.log_line(b"svc", &parsed.files).unwrap()).unwrap())
        .collect();
    let expected = [
        "Error in service description for 'svc' (file D/svc, line 1): specified value contains invalid numeric \
         characters or is outside allowed range.",
        "Error in service description for 'svc': setting 'type' (file D/svc, line 2): service type must be one of: \
         \"scripted\", \"process\", \"bgprocess\", \"internal\" or \"triggered\"",
        "Error in service description for 'svc' setting 'depends-on': missing value in argument substitution",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_last_enable_via_counts_and_a_malformed_one_is_no_load_error() {
    let parsed = read("@meta enable-via a\n@meta enable-via  b.c \n@meta enable-via x # y\n@meta other \"\n");
    assert_eq!(parsed.enable_via.unwrap().value, b"b.c");
    assert!(parsed.problems.is_empty());
    assert_eq!(parsed.meta_problems[0].text, b"'@meta enable-via' argument missing or malformed");
    assert_eq!(parsed.meta_problems.len(), 1);
}

#[test]
fn capabilities_are_sets() {
    let parsed = read("capabilities = ^CAP_KILL,!cap_chown\ncapabilities += 7,!%cap_bpf\n");
    let capabilities = parsed.description.capabilities.unwrap();
    assert_eq!(capabilities.ambient(), 1 << 5);
    assert_eq!(capabilities.inheritable(), 1 << 5 | 1 << 7 | 1 << 39);
    assert_eq!(capabilities.blocked(), 1 | 1 << 39);
    for wrong in ["cap_x", "^", "cap_kill,", "64", "-1", "cap_kill cap_chown"] {
        assert_eq!(read(&format!("capabilities = {wrong}\n")).problems.len(), 1, "{wrong}");
    }
}

#[test]
fn junk_behind_a_hard_limit_is_a_warning() {
    let parsed = read("rlimit-core = 1:2x\n");
    assert_eq!(parsed.warnings[0].text, b"rlimit-core: characters after the hard limit are ignored");
    assert!(parsed.problems.is_empty());
}

#[test]
fn modes_are_octal_and_not_negative() {
    assert_eq!(read("socket-permissions = 0660").description.socket_permissions, 0o660);
    for wrong in ["-1", "8", "0x7", "77777777777777", "6 6"] {
        assert_eq!(read(&format!("socket-permissions = {wrong}\n")).problems.len(), 1, "{wrong}");
    }
}

#[test]
fn a_value_that_is_not_valid_text_is_kept_byte_by_byte() {
    let name = ServiceName::new("svc");
    let source = Source::new("svc", b"depends-on: \xff\xfe\nworking-dir = \xe9".as_slice());
    let parsed = parse(&name, source, &NoVariables, &mut NoSources);
    assert_eq!(parsed.description.working_dir.unwrap(), b"\xe9");
    assert!(parsed.problems.is_empty());
}

#[test]
fn no_setting_stands_in_the_table_twice_and_each_has_help() {
    for (index, setting) in settings::SETTINGS.iter().enumerate() {
        assert!(!setting.help.is_empty() && !setting.help.ends_with('.'), "{}", setting.name);
        assert!(settings::SETTINGS[..index].iter().all(|other| other.name != setting.name));
        assert_eq!(settings::find(setting.name.as_bytes()).unwrap().name, setting.name);
    }
}
