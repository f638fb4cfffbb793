//! The numbered examples of the checker, and what this one adds to the reference.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use dinit_protocol::{DIRECTORY_LOADER, LoaderInfo, Reply};
use dinit_trial::scripted_at;
use tempfile::TempDir;

use crate::sources::Machine;

const EXAMPLES: &str = include_str!("examples.txt");

macro_rules! examples {
    ($($name:ident)*) => {
        $(#[test] fn $name() { example(stringify!($name).trim_start_matches("example_")); })*

        #[test]
        fn no_example_is_left_out() {
            assert_eq!(([$(stringify!($name)),*].len(), blocks().count()), (42, 42));
        }
    };
}

examples! {
    example_01 example_02 example_03 example_04 example_05 example_06 example_07 example_08
    example_09 example_10 example_11 example_12 example_13 example_14 example_15 example_16
    example_17 example_18 example_19 example_20 example_21 example_22 example_23 example_24
    example_25 example_26 example_27 example_28 example_29 example_30 example_31 example_32
    example_33 example_34 example_35 example_36 example_37 example_38 example_39 example_40
    example_41 example_42
}

fn blocks() -> impl Iterator<Item = &'static str> {
    EXAMPLES.split("\n\n").filter(|block| !block.starts_with('#'))
}

fn example(number: &str) {
    let label = format!("{} ", number.trim_start_matches('0'));
    let block = blocks().find(|block| block.starts_with(&label)).expect("an example of this number");
    let base = tempfile::tempdir().unwrap();
    let (mut arguments, mut checked, mut errors, mut is_clean) = ("", None, String::new(), false);
    for line in block.lines().skip(1) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("file", rest) => {
                let (path, content) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
                write(&base, &format!("sd/{path}"), &content.replace("\\n", "\n"));
            }
            ("directory", path) => fs::create_dir_all(base.path().join("sd").join(path)).unwrap(),
            ("arguments", rest) => arguments = rest,
            ("checked", rest) => checked = Some(rest),
            ("error", rest) => errors.push_str(&format!("{rest}\n")),
            ("clean", _) => is_clean = true,
            _ => panic!("no such line: {line}"),
        }
    }
    let mut expected = String::new();
    if let Some(checked) = checked {
        for name in checked.split(' ') {
            expected.push_str(&format!("Checking service: {name}...\n"));
        }
        expected.push_str("Performing secondary checks...\n");
        let verdict = if is_clean { "No problems found." } else { "One or more errors/warnings issued." };
        expected.push_str(&format!("{verdict}\n"));
        errors.push_str("Secondary checks complete.\n");
    }
    let words: Vec<String> =
        format!("-s -d /srv/sd {arguments}").split_whitespace().map(real(&base)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = run(&words);
    let shown = |text: String| text.replace(base.path().to_str().unwrap(), "/srv");
    assert_eq!((shown(outcome.1), shown(outcome.2)), (expected, errors));
    assert_eq!(outcome.0, u8::from(!is_clean));
}

/// Takes words to where `/srv` really is.
fn real(base: &TempDir) -> impl Fn(&str) -> String {
    let base = base.path().to_str().unwrap().to_owned();
    move |word| word.replace("/srv", &base)
}

fn write(base: &TempDir, path: &str, content: &str) {
    let path = base.path().join(path);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
    fs::write(path, content).unwrap();
}

/// Runs the program and returns its exit status, standard output and standard error.
fn run(arguments: &[&str]) -> (u8, String, String) {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let machine = Machine { variables: BTreeMap::new(), uid: 0, gid: 0 };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = crate::run(&arguments, &machine, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn another_root_is_checked_with_its_own_directories_users_and_programs() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "etc/passwd", "web:x:7:7::/srv:/bin/sh\n");
    write(&base, "etc/dinit/environment", "PROGRAM=httpd\n");
    write(&base, "etc/dinit.d/boot", "depends-on: web\n");
    write(&base, "etc/dinit.d/web", "type = process\ncommand = /sbin/$PROGRAM\nrun-as = web\n");
    write(&base, "usr/sbin/httpd", "");
    std::os::unix::fs::symlink("/usr/sbin", base.path().join("sbin")).unwrap();
    let root = base.path().to_str().unwrap();
    let (code, _, err) = run(&["--root", root]);
    assert_eq!(code, 1);
    assert!(err.contains("command executable '/sbin/httpd' is not executable by owner."), "{err}");

    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(base.path().join("usr/sbin/httpd"), mode).unwrap();
    let (code, out, err) = run(&["--root", root]);
    assert_eq!((code, out.lines().last()), (0, Some("No problems found.")), "{err}");
}

#[test]
fn a_link_in_another_root_does_not_lead_out_of_it() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "root/etc/dinit.d/empty", "");
    write(&base, "secret", "type = internal\n");
    let link = base.path().join("root/etc/dinit.d/boot");
    std::os::unix::fs::symlink("../../../../../../../../../secret", &link).unwrap();
    let (code, _, err) = run(&["--root", base.path().join("root").to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.starts_with("Unable to load service 'boot': service description not found."), "{err}");
}

#[test]
fn what_another_root_has_for_its_users_is_checked_too() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "etc/dinit.d/boot", "bogus = 1\n");
    write(&base, "usr/lib/dinit.d/user/boot", "type = internal\n");
    let root = base.path().to_str().unwrap();
    assert_eq!(run(&["--root", root]).0, 1);
    let (code, _, err) = run(&["--root", root, "--user"]);
    assert_eq!((code, err.as_str()), (0, "Secondary checks complete.\n"));
}

#[test]
fn an_option_without_its_argument_and_one_that_excludes_another_are_told() {
    for (words, failure) in [
        (&["-d"][..], "'--services-dir' (-d) requires an argument"),
        (&["-d", ""], "'--services-dir' (-d) requires an argument"),
        (&["-p"], "--socket-path/-p should be followed by socket path"),
        (&["-e", ""], "--env-file/-e should be followed by environment file path"),
        (&["--format", "xml"], "--format should be followed by 'text' or 'json'"),
        (&["-n", "--root", "/r"], "--online and --root exclude each other"),
    ] {
        let told = format!("dinit-check: {failure}\n");
        assert_eq!(run(words), (1, String::new(), told), "{words:?}");
    }
}

#[test]
fn an_environment_file_that_cannot_be_read_is_an_error_and_one_that_is_missing_none() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "a", "type = internal\n");
    let directory = base.path().to_str().unwrap();
    let told = format!("dinit-check: error reading environment file {directory}: Is a directory\n");
    assert_eq!(run(&["-d", directory, "-e", directory, "a"]), (1, String::new(), told));
    assert_eq!(run(&["-d", directory, "-e", "/nonexistent/file", "a"]).0, 0);
}

const VERSION: &[u8] = &[0x3a, 1, 0, 7, 0];

/// Checks `a` as a daemon with these answers would load it, and gives what the daemon received too.
fn online(base: &TempDir, answers: &[Vec<u8>]) -> ((u8, String, String), Vec<u8>) {
    let socket = base.path().join("socket");
    let daemon = scripted_at(&socket, answers);
    let outcome = run(&["--online", "-d", "/nonexistent", "-p", socket.to_str().unwrap(), "a"]);
    (outcome, daemon.join().unwrap())
}

fn encoded(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    bytes
}

fn loader(mechanism: u8, working_directory: &Path) -> Vec<u8> {
    let working_directory = working_directory.to_str().unwrap().into();
    encoded(&Reply::Loader(LoaderInfo { mechanism, working_directory, directories: vec!["sd".into()] }))
}

#[test]
fn directories_and_variables_are_those_of_the_daemon_that_is_asked() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "sd/a", "type = internal\ndepends-on = $OTHER\n");
    write(&base, "sd/b", "type = internal\n");
    let answers = [
        VERSION.to_vec(),
        loader(DIRECTORY_LOADER, base.path()),
        encoded(&Reply::Environment(b"OTHER=b\0".to_vec())),
    ];
    let ((code, out, err), received) = online(&base, &answers);
    let expected = "Checking service: a...\nChecking service: b...\nPerforming secondary checks...\nNo problems found.\n";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, "Secondary checks complete.\n"));
    assert_eq!(received, [0x00, 0x0d, 0x18, 0x00]);
}

#[test]
fn a_daemon_that_cannot_be_asked_is_told_apart_and_nothing_is_checked() {
    let unknown = "unable to retrieve service description directories";
    let failure = "control socket read failure or protocol error";
    let version = VERSION.to_vec();
    for (answers, told) in [
        (vec![vec![0x3a, 8, 0, 9, 0]], "too old (daemon reports newer protocol version)"),
        (vec![vec![0x3a, 0, 0, 0, 0]], "daemon too old or protocol error"),
        (vec![vec![]], failure),
        (vec![version.clone(), vec![]], failure),
        (vec![version.clone(), vec![0x33]], unknown),
        (vec![version.clone(), loader(DIRECTORY_LOADER + 1, Path::new("/"))], unknown),
        (vec![version.clone(), loader(DIRECTORY_LOADER, Path::new(""))], unknown),
        (vec![version, loader(DIRECTORY_LOADER, Path::new("/")), vec![0x33]], "protocol error"),
    ] {
        let base = tempfile::tempdir().unwrap();
        let (outcome, _) = online(&base, &answers);
        assert_eq!(outcome, (1, String::new(), format!("dinit-check: {told}\n")), "{answers:02x?}");
    }
}

#[test]
fn the_text_format_quotes_the_line_and_helps() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "a", "type = internal\ncomand = /bin/true\n");
    let directory = base.path().to_str().unwrap();
    let (code, _, err) = run(&["--format", "text", "-d", directory, "a"]);
    let expected = format!(
        "{directory}/a:2:1: error: unknown setting: 'comand'.\n    2 | comand = /bin/true\n      | ^^^^^^\n\
         help: there is `command`\nSecondary checks complete.\n"
    );
    assert_eq!((code, err), (1, expected));
}

#[test]
fn the_json_format_is_one_document_with_every_finding() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "a", "nice = 1\noptions: \"x\\\"y\"\n");
    let directory = base.path().to_str().unwrap();
    let (code, out, err) = run(&["--format", "json", "-d", directory, "a"]);
    let words = "the words are runs-on-console";
    let expected = format!(
        "{{\"services\":[\"a\"],\"findings\":[{{\"service\":\"a\",\"file\":\"{directory}/a\",\"line\":2,\
         \"column\":10,\"severity\":\"error\",\"message\":\"setting `options`: unknown option: x\\\"y\",\
         \"help\":\"{words}"
    );
    assert!(out.starts_with(&expected), "{out}");
    assert!(out.contains("\"lint\":\"ignored-setting\",\"counts\":true}],\"clean\":false}\n"), "{out}");
    assert_eq!((code, err.as_str()), (1, ""));
}

#[test]
fn a_description_that_would_never_end_is_an_error_at_once() {
    let base = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", base.path().join("zero")).unwrap();
    let directory = base.path().to_str().unwrap();
    let (code, _, err) = run(&["-d", directory, "zero"]);
    assert_eq!(code, 1);
    assert!(err.contains("error reading service description: Not a regular file"), "{err}");
}

#[test]
fn the_help_names_every_option() {
    let (code, out, _) = run(&["a", "--help", "--bad"]);
    assert_eq!(code, 0);
    for option in ["--services-dir", "-d", "--online", "-n", "--env-file", "--root", "--format", "--user"] {
        assert!(out.contains(option), "{option}");
    }
}

#[test]
fn junk_and_odd_names_are_warned_of_and_not_counted() {
    let base = tempfile::tempdir().unwrap();
    write(&base, "a+b", "type = process\ncommand = /bin/true\nrlimit-core = 5:6x\n");
    let (code, _, err) = run(&["-d", base.path().to_str().unwrap(), "a+b"]);
    let expected = "Service 'a+b': warning: service name contains characters outside the documented set\n\
                    Service 'a+b': warning: rlimit-core: characters after the hard limit are ignored\n\
                    Secondary checks complete.\n";
    assert_eq!((code, err.as_str()), (0, expected));
}
