//! What is committed is what the tables say, and shells and manual readers take it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dinit_manual::{File, files};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn generated() -> Vec<File> {
    files().unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn manual_pages_and_completions_are_those_of_the_tables() {
    const UPDATE: &str = "run `UPDATE_GOLDEN=1 cargo test -p dinit-manual` and commit what it writes";
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for File { path, text } in generated() {
        let at = folder().join(&path);
        if update {
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(&at, &text).unwrap();
        }
        let committed = fs::read_to_string(&at).unwrap_or_default();
        assert!(committed == text, "dinit/{path} is not what the tables say; {UPDATE}");
    }
}

#[test]
fn nothing_is_left_of_what_is_no_longer_generated() {
    let expected: BTreeSet<PathBuf> = generated().iter().map(|file| folder().join(&file.path)).collect();
    for directory in ["man/pages", "completions/bash", "completions/zsh", "completions/fish"] {
        for entry in fs::read_dir(folder().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            assert!(expected.contains(&path), "{} is not generated", path.display());
        }
    }
}

#[test]
fn the_words_of_options_are_all_in_the_manual() {
    let pages = generated();
    let page = pages.iter().find(|file| file.path == "man/pages/dinit-service.5").unwrap();
    for (word, _) in dinit_service::Options::WORDS {
        let term = format!("\n\\fB{}\\fR\n", word.replace('-', "\\-"));
        assert!(page.text.contains(&term), "{word}");
    }
}

#[test]
fn every_field_of_a_document_is_in_the_manual() {
    let pages = generated();
    let page = pages.iter().find(|file| file.path == "man/pages/dinitctl.8").unwrap();
    let documents = fs::read_to_string(folder().join("ctl/tests/examples/documents.txt")).unwrap();
    let (mut rest, mut count) = (documents.as_str(), 0);
    while let Some((before, after)) = rest.split_once("\":") {
        let field = before.rsplit('"').next().unwrap();
        let told = [format!("\\fB{field}\\fR"), format!("\\(dq{field}\\(dq:")];
        assert!(told.iter().any(|told| page.text.contains(told.as_str())), "{field}");
        (rest, count) = (after, count + 1);
    }
    assert!(count > 100, "{count} fields");
}

/// Runs a program with an input, if it is there; says that it is not otherwise.
fn run_if_there(program: &str, arguments: &[&str], input: &Path) -> Option<Output> {
    let output = Command::new(program).args(arguments).arg(input).env("LC_ALL", "C").output();
    match output {
        Ok(output) => Some(output),
        Err(_) if std::env::var_os("REQUIRE_ALL").is_some() => panic!("there is no {program}"),
        Err(_) => {
            let mut screen = io::stderr();
            writeln!(screen, "skipped: there is no {program}").unwrap();
            None
        }
    }
}

/// Writes what is generated below a directory of its own.
fn written() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for File { path, text } in generated() {
        let at = directory.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }
    directory
}

fn check_all(below: &Path, program: &str, arguments: &[&str]) {
    let mut count = 0;
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let Some(output) = run_if_there(program, arguments, &path) else { return };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", path.display());
        count += 1;
    }
    assert!(count > 5, "{count} files");
}

#[test]
fn readers_of_manual_pages_have_nothing_to_complain_about() {
    let directory = written();
    let pages = directory.path().join("man/pages");
    // A page that only names another has it read from the root of the manual.
    std::os::unix::fs::symlink(&pages, directory.path().join("man8")).unwrap();
    let include = format!("-I{}", directory.path().display());
    check_all(&pages, "groff", &["-ww", "-z", "-s", "-man", "-Tutf8", &include]);
}

#[test]
fn shells_can_read_their_completions() {
    let directory = written();
    let completions = directory.path().join("completions");
    check_all(&completions.join("bash"), "bash", &["-n"]);
    check_all(&completions.join("zsh"), "zsh", &["-n"]);
    check_all(&completions.join("fish"), "fish", &["--no-execute"]);
}

/// What stands in for `dinitctl` when services are asked for.
const DINITCTL: &str = "#!/bin/sh\n\
    case \"$*\" in\n\
    *'--offline list --available') printf 'boot\\ngetty\\nsshd\\nsyslogd\\n' ;;\n\
    '-u -p /s list') printf '[[+]     ] chosen\\n' ;;\n\
    list) printf '[[+]     ] boot\\n[{+}     ] getty@tty1 (pid: 5)\\n[{+}     ] getty@tty2 (pid: 6)\\n' ;;\n\
    *) echo \"unexpected: $*\" ;;\n\
    esac\n";

/// Completes a line with bash, and gives what it offers.
fn completed(line: &str) -> Option<Vec<String>> {
    let directory = written();
    let stand_in = directory.path().join("dinitctl");
    // By another process: open for writing here, it would be so in what other tests start, and could not be executed.
    let write = "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"";
    let written = Command::new("sh").args(["-c", write, "sh", DINITCTL]).arg(&stand_in).status().unwrap();
    assert!(written.success());
    fs::create_dir(directory.path().join("services.d")).unwrap();
    let program = line.split(' ').next().unwrap();
    let script = directory.path().join("script");
    let text = format!(
        "cd {0}\nPATH={0}:$PATH\n. completions/bash/{program}\nCOMP_LINE='{line}'\n\
         COMP_POINT=${{#COMP_LINE}}\nfunction=$(complete -p {program})\nfunction=${{function#*-F }}\n\
         \"${{function%% *}}\"\n[[ ${{#COMPREPLY[@]}} == 0 ]] || printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        directory.path().display()
    );
    fs::write(&script, text).unwrap();
    let output = run_if_there("bash", &["--noprofile", "--norc"], &script)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{line}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[track_caller]
fn assert_completed(line: &str, expected: &[&str]) {
    let Some(offered) = completed(line) else { return };
    assert_eq!(offered, expected, "{line}");
}

#[test]
fn bash_offers_commands_options_and_what_follows_them() {
    assert_completed("dinitctl st", &["status", "start", "stop"]);
    assert_completed("dinitctl -u --socket-path /s un", &["unpin", "unload", "untrigger", "unsetenv"]);
    assert_completed("dinitctl --n", &["--no-wait"]);
    assert_completed("dinitctl list --f", &["--failed"]);
    assert_completed("dinitctl start --f", &[]);
    assert_completed("dinitctl restart --f", &["--force"]);
    assert_completed("dinitctl add-dep ", &["need", "regular", "milestone", "waits-for"]);
    assert_completed("dinitctl add-dep need s", &["sshd", "syslogd"]);
    assert_completed("dinitctl signal US", &["USR1", "USR2"]);
    assert_completed("dinitctl list ", &[]);
    assert_completed("dinitctl -d s", &["services.d"]);
    assert_completed("dinit-check --format ", &["text", "json"]);
    assert_completed("dinit --console-level d", &["debug"]);
    assert_completed("dinit-ready s", &["socket"]);
    assert_completed("shutdown --s", &["--system"]);
    assert_completed("reboot --u", &["--use-passed-cfd"]);
}

#[test]
fn bash_offers_services_as_they_are_and_of_the_daemon_that_is_meant() {
    assert_completed("dinitctl stop b", &["boot"]);
    assert_completed("dinitctl stop getty@", &["tty1", "tty2"]);
    assert_completed("dinitctl -u -p /s stop ", &["chosen"]);
    assert_completed("dinitctl start s", &["sshd", "syslogd"]);
    assert_completed("dinitctl graph sshd b", &["boot"]);
    assert_completed("dinitctl enable --from b", &["boot"]);
    assert_completed("dinit-check -d /x sys", &["syslogd"]);
    assert_completed("dinit-monitor -c true ss", &["sshd"]);
}
