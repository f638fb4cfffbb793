//! Options, start-up, signals: rows B1 to B17 and B42.

use crate::world::{World, start};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

const OK: &str = "type = internal\n";

#[track_caller]
fn assert_refused(words: &[&str], text: &str) {
    let finished = World::new().run(words);
    finished.assert_failure();
    assert_eq!(finished.stderr, format!("{text}\n"));
}

#[test]
fn b1_to_b8_words_that_cannot_be_understood_end_the_program_with_a_text() {
    assert_refused(&["-Z"], "dinit: unrecognized option: -Z");
    assert_refused(&["-e"], "dinit: '--env-file' (-e) requires an argument");
    assert_refused(&["-F", "77"], "dinit: '--ready-fd' (-F) requires an open file descriptor");
    assert_refused(&["-F", "x"], "dinit: '--ready-fd' (-F) requires a numerical argument");
    assert_refused(
        &["--console-level", "foo"],
        "dinit: '--console-level' accepts only arguments: 'none', 'error', 'warn', 'info', 'debug'",
    );
    assert_refused(&[""], "dinit: error: empty command-line argument");
    assert_refused(&[".bad"], "dinit: error: invalid service name '.bad'.");
}

#[test]
fn b3_an_environment_file_that_is_given_must_exist() {
    World::new()
        .run(&["-e", "nofile"])
        .assert_failure()
        .assert_lines(&["dinit: Cannot read environment file 'nofile': No such file or directory"]);
}

#[test]
fn an_environment_file_that_does_not_end_is_refused() {
    World::new()
        .run(&["-e", "/dev/zero"])
        .assert_failure()
        .assert_lines(&["dinit: Cannot read environment file '/dev/zero': file too large"]);
}

#[test]
fn b9_a_service_after_t_is_not_validated() {
    World::new()
        .run(&["-t", ".bad"])
        .assert_success()
        .assert_lines(&["dinit: .bad: could not find service description."]);
}

#[test]
fn b10_a_control_socket_that_cannot_be_bound_ends_the_program() {
    World::new()
        .run(&["-p", "/nonexist/s"])
        .assert_failure()
        .assert_lines(&["dinit: Error binding control socket: No such file or directory"]);
}

#[test]
fn a_control_socket_path_that_does_not_fit_an_address_is_refused() {
    World::new()
        .run(&["-p", &"x".repeat(200)])
        .assert_failure()
        .assert_lines(&["dinit: Error binding control socket: File name too long"]);
}

#[test]
fn b11_a_second_instance_leaves_the_first_alone() {
    let world = World::new();
    world.service("ok", OK);
    let first = world.start(&["ok"]);
    first.expect("[  OK  ] ok");
    world
        .run(&["ok"])
        .assert_failure()
        .assert_lines(&["dinit: Control socket is already active (another instance already running?)"]);
    assert_eq!(world.connect().list().unwrap().len(), 1);
    first.signal(libc::SIGTERM);
    first.finish().assert_success();
}

#[test]
fn b12_a_log_file_that_cannot_be_opened_ends_the_program() {
    World::new()
        .run(&["-l", "/nonexist/log"])
        .assert_failure()
        .assert_lines(&["dinit: Opening log file failed: No such file or directory"]);
}

#[test]
fn b13_readiness_is_the_path_of_the_socket_and_a_nul() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = start(world.command_with("5>ready", &["-F", "5", "ok"]));
    daemon.expect("[  OK  ] ok");
    daemon.stop();
    assert_eq!(world.read("ready"), format!("{}\0", world.socket().display()));
}

#[test]
fn b14_without_names_boot_is_started() {
    World::new()
        .run(&[])
        .assert_success()
        .assert_lines(&["dinit: boot: could not find service description."]);
}

#[test]
fn b15_an_interrupt_stops_everything_and_removes_the_socket() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok").signal(libc::SIGINT);
    daemon.finish().assert_success().assert_lines(&["[  OK  ] ok", "[STOPPD] ok"]);
    assert!(!world.socket().exists());
}

#[test]
fn b16_the_main_log_says_the_same_in_sentences() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = world.start(&["-l", "F", "ok"]);
    daemon.expect("[  OK  ] ok").signal(libc::SIGINT);
    daemon.finish().assert_success();
    assert_eq!(world.read("F"), "dinit: service ok started.\ndinit: service ok stopped.\n");
}

#[test]
fn b17_quiet_prints_nothing() {
    let world = World::new();
    world.service("ok", OK);
    let daemon = start(world.command_with("5>&1", &["-q", "-F", "5", "ok"]));
    // Readiness goes to the same pipe, so that there is something to wait for.
    daemon.expect("socket\0").signal(libc::SIGINT);
    let finished = daemon.finish();
    finished.assert_success();
    assert_eq!(finished.stdout, format!("{}\0", world.socket().display()));
}

#[test]
fn quiet_with_a_console_level_shows_only_direct_failures() {
    let world = World::new();
    world.service("bad", "type = scripted\ncommand = /bin/false\n");
    world.service("top", "type = internal\ndepends-on = bad\nwaits-for = ok\n").service("ok", OK);
    world
        .run(&["-q", "--console-level", "error", "top"])
        .assert_success()
        .assert_lines(&["dinit: Service bad command failed with exit code 1", "[FAILED] bad"]);
}

#[test]
fn b42_a_deleted_socket_file_is_made_again_on_a_signal() {
    let world = World::new();
    world.service("ok", OK).service("more", OK);
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    std::fs::remove_file(world.socket()).unwrap();
    daemon.signal(libc::SIGUSR1);
    // The old connection is served after the signal was taken.
    connection.list().unwrap();
    assert_eq!(std::fs::metadata(world.socket()).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(world.connect().list().unwrap().len(), 1);
    daemon.stop();
}

#[test]
fn version_and_help_are_printed_on_standard_output() {
    let finished = World::new().run(&["--version"]);
    let mut lines = finished.assert_success().stdout.lines();
    assert!(lines.next().unwrap().starts_with("Dinit version "));
    let features = "cgroups utmp supplemental-groups capabilities io-priority oom-score-adjust";
    assert_eq!(lines.next().unwrap(), format!("Supported features: {features}"));
    let finished = World::new().run(&["--help"]);
    assert!(finished.assert_success().stdout.starts_with("dinit: init/service manager daemon\n"));
}

#[test]
fn faulty_lines_of_the_environment_file_are_reported_and_skipped() {
    let world = World::new();
    std::fs::write(world.path("env"), "A=1\nnonsense\n!what\nB=2\n").unwrap();
    world.service("ok", "type = scripted\ncommand = /bin/sh -c \"echo $$A$$B > out\"\nworking-dir = .\n");
    let daemon = world.start(&["-e", "env", "ok"]);
    daemon.expect("[  OK  ] ok");
    daemon.stop().assert_lines(&[
        "dinit: Invalid environment variable setting in environment file (line 2)",
        "dinit: Unknown command in environment file (line 3)",
        "[  OK  ] ok",
        "[STOPPD] ok",
    ]);
    assert_eq!(world.read("out"), "12\n");
}

/// Runs a daemon below a limit of `ulimit`, which the loader of the program has to bear, too.
fn run_limited(world: &World, limit: &str, words: &[&str]) -> crate::world::Finished {
    let inner = world.command(words);
    let mut command = std::process::Command::new("/bin/sh");
    command.arg("-c").arg(format!("ulimit {limit}; exec \"$@\"")).arg("sh").arg(inner.get_program());
    command.args(inner.get_args()).current_dir(world.path(""));
    command.env_clear().envs((0..20).map(|number| (format!("V{number}"), "x".repeat(100_000))));
    start(command).finish()
}

/// DN 4: it is said on the standard output itself, so that no level of the log can keep it back.
#[test]
fn a_daemon_that_the_kernel_refuses_what_it_needs_says_so_at_any_level() {
    let world = World::new();
    let told = (3..64).map(|count| run_limited(&world, &format!("-n {count}"), &["-q"])).find(|finished| {
        let is_loaded = !finished.stderr.contains("shared librar");
        is_loaded && !finished.stdout.is_empty()
    });
    told.unwrap()
        .assert_failure()
        .assert_lines(&["dinit: unexpected system error during initialisation: Too many open files"]);
}

#[test]
fn a_daemon_without_memory_to_begin_with_says_so() {
    let world = World::new();
    world.service("ok", OK);
    let mut told = 0;
    // In steps smaller than its variables, so that one of the limits lets it begin and then stands in its way.
    for kilobytes in (2_000..40_000).step_by(500) {
        let finished = run_limited(&world, &format!("-v {kilobytes}"), &["-q", "nothing"]);
        let is_begun = finished.status.code().is_some_and(|code| code <= 1) && finished.stderr.is_empty();
        if is_begun && finished.status.success() {
            break;
        } else if is_begun {
            finished.assert_failure().assert_lines(&["dinit: out-of-memory during initialisation"]);
            told += 1;
        } else {
            // Then the program could not even be loaded.
            assert!(!finished.stderr.contains("memory allocation"), "{finished:?}");
            assert_ne!(finished.status.signal(), Some(libc::SIGABRT), "{finished:?}");
        }
    }
    assert!(told > 0);
}
