//! The real program, with pipes in place of input devices.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// What the program writes before the command's own line.
const PRESSED: &str = "dinit-when: the power key of event0 was pressed\n";

/// The program, ended with the test.
struct Watcher(Child, BufReader<ChildStdout>);

impl Watcher {
    fn start(folder: &Path, command: &[&str]) -> Watcher {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dinit-when"))
            .arg("power-key")
            .arg(folder)
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Watcher(child, output)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A device: what is written to it is what it reports.
fn device(path: &Path) -> File {
    mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
    // Open for both directions, so that neither side waits for the other.
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn report(device: &mut File, code: u16, value: i32) {
    let mut event = [0; 24];
    event[16..18].copy_from_slice(&1_u16.to_ne_bytes());
    event[18..20].copy_from_slice(&code.to_ne_bytes());
    event[20..].copy_from_slice(&value.to_ne_bytes());
    device.write_all(&event).unwrap();
}

#[test]
fn each_press_of_a_power_key_runs_the_command_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut button = device(&folder.path().join("event0"));
    let mut watcher = Watcher::start(folder.path(), &["/bin/echo", "off"]);
    for _ in 0..2 {
        report(&mut button, 30, 1);
        report(&mut button, 116, 1);
        report(&mut button, 116, 0);
        assert_eq!((watcher.line(), watcher.line()), (PRESSED.to_owned(), "off\n".to_owned()));
    }
}

#[test]
fn a_device_that_comes_later_is_watched() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("input/power-button");
    std::fs::create_dir_all(&folder).unwrap();
    let mut first = device(&folder.join("event0"));
    let mut watcher = Watcher::start(&folder, &["/bin/echo", "off"]);
    report(&mut first, 116, 1);
    assert_eq!((watcher.line(), watcher.line()), (PRESSED.to_owned(), "off\n".to_owned()));
    // As a device manager does it: a link under another name, then in one step the right one.
    let mut late = device(&parent.path().join("event7"));
    std::os::unix::fs::symlink("../../event7", folder.join(".tmp-event7")).unwrap();
    std::fs::rename(folder.join(".tmp-event7"), folder.join("event7")).unwrap();
    report(&mut late, 116, 1);
    assert_eq!(watcher.line(), "dinit-when: the power key of event7 was pressed\n");
}

#[test]
fn a_folder_that_is_removed_with_its_last_device_is_watched_when_it_is_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("input/power-button");
    std::fs::create_dir_all(&folder).unwrap();
    let mut watcher = Watcher::start(&folder, &["/bin/echo", "off"]);
    for name in ["event0", "event1", "event2"] {
        // Whoever is first makes the folder.
        std::fs::create_dir_all(&folder).unwrap();
        let mut button = device(&parent.path().join(name));
        std::os::unix::fs::symlink(format!("../../{name}"), folder.join(name)).unwrap();
        report(&mut button, 116, 1);
        let told = format!("dinit-when: the power key of {name} was pressed\n");
        assert_eq!((watcher.line(), watcher.line()), (told, "off\n".to_owned()));
        std::fs::remove_file(folder.join(name)).unwrap();
        std::fs::remove_dir(&folder).unwrap();
    }
}

#[test]
fn a_command_that_cannot_run_does_not_end_the_watch() {
    let folder = tempfile::tempdir().unwrap();
    let mut button = device(&folder.path().join("event0"));
    let mut watcher = Watcher::start(folder.path(), &["/nonexistent"]);
    for _ in 0..2 {
        report(&mut button, 116, 1);
        assert_eq!(watcher.line(), PRESSED);
    }
}

#[test]
fn wrong_arguments_are_told_and_help_is_shown() {
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dinit-when")).args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (status, out, _) = run(&["--help"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("dinit-when console <number> <command>"), "{out}");
    for (words, told) in [
        (["console", "0", "/bin/true"].as_slice(), "`0` is not the number of a virtual console (1 to 63)"),
        (&["console", "64", "/bin/true"], "`64` is not the number"),
        (&["console", "1"], "wrong arguments\nUsage:"),
        (&["power-key", "/tmp"], "wrong arguments\nUsage:"),
        (&["power-key", "", "/bin/true"], "the folder of the devices has no name"),
        (&["lid", "/tmp", "/bin/true"], "wrong arguments\nUsage:"),
        (&[], "wrong arguments\nUsage:"),
    ] {
        let (status, out, error) = run(words);
        assert_eq!((status, out.as_str()), (Some(1), ""), "{words:?}");
        assert!(error.starts_with("dinit-when: ") && error.contains(told), "{words:?}: {error}");
    }
}
