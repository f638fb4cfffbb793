//! Processes that cannot be launched, end too early, or do not end: rows B18 to B33, B41.

use crate::world::{World, start};
use dinit_protocol::{Detail, ExecStage, ServiceName};

#[test]
fn b18_a_program_that_is_not_there() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /nonexistent/x\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "dinit: x: execution failed - executing command: No such file or directory",
        "[FAILED] x",
    ]);
}

#[test]
fn b19_a_working_directory_that_is_not_there() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/true\nworking-dir = /nonexistent\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "dinit: x: execution failed - changing directory: No such file or directory",
        "[FAILED] x",
    ]);
}

#[test]
fn b20_a_log_file_that_cannot_be_opened() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/true\nlogfile = /nonexistent/x\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "dinit: x: execution failed - opening log file: No such file or directory",
        "[FAILED] x",
    ]);
}

/// A service, the setting that it cannot be launched with, what the log says of it, and the stage and error as clients
/// are told them.
type Case<'a> = (&'a str, &'a str, &'a str, (u16, i32));

/// Has a daemon start services that cannot be launched, all at once, and checks what it says of each.
fn assert_launches_fail(world: &World, mut command: std::process::Command, cases: &[Case<'_>]) {
    let mut expected = vec!["[  OK  ] ok".to_owned(), "[STOPPD] ok".to_owned()];
    world.service("ok", "type = internal\n");
    for (name, setting, text, _) in cases {
        world.service(name, &format!("type = process\n{setting}\n"));
        expected.push(format!("dinit: {name}: execution failed - {text}"));
        expected.push(format!("[FAILED] {name}"));
    }
    command.args(cases.iter().map(|(name, ..)| name)).arg("ok");
    let daemon = start(command);
    daemon.expect_times("[FAILED] ", cases.len());
    let mut connection = world.connect();
    for (name, _, _, (stage, errno)) in cases {
        let service = connection.load(&ServiceName::new(name.as_bytes()).unwrap()).unwrap().unwrap().handle;
        let detail = connection.status(service).unwrap().detail;
        assert_eq!(detail, Detail::ExecFailed { stage: ExecStage(*stage), errno: *errno }, "{name}");
    }
    // They are under way at once, so that the lines come in any order.
    let finished = daemon.stop();
    let mut lines: Vec<&str> = finished.stdout.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn every_stage_at_which_anybody_can_fail_has_its_text_and_number() {
    use libc::{EACCES, EBADF, EINVAL, EISDIR, ENOENT, ENOTDIR};
    let world = World::new();
    std::fs::write(world.path("data"), "data").unwrap();
    let mut command = world.command(&[]);
    command.env("PATH", "/usr/bin:/bin");
    let cases: [Case<'_>; 9] = [
        (
            "fd",
            "command = /bin/true\nready-notification = pipefd:2000000000",
            "arranging file descriptors: Bad file descriptor",
            (0, EBADF),
        ),
        (
            "directory",
            "command = /bin/true\nworking-dir = data",
            "changing directory: Not a directory",
            (5, ENOTDIR),
        ),
        (
            "group",
            "command = /bin/true\nrun-in-cgroup = /none/such",
            "entering cgroup: No such file or directory",
            (7, ENOENT),
        ),
        (
            "below",
            "command = /bin/true\nrun-in-cgroup = none/such",
            "entering cgroup: No such file or directory",
            (7, ENOENT),
        ),
        (
            "limit",
            "command = /bin/true\nrlimit-nofile = 5:1",
            "setting resource limits: Invalid argument",
            (8, EINVAL),
        ),
        ("log", "command = /bin/true\nlogfile = ..", "opening log file: Is a directory", (10, EISDIR)),
        (
            "gone",
            "command = gone-from-every-path",
            "executing command: No such file or directory",
            (18, ENOENT),
        ),
        ("denied", "command = ../data", "executing command: Permission denied", (18, EACCES)),
        ("under", "command = ../data/x", "executing command: Not a directory", (18, ENOTDIR)),
    ];
    assert_launches_fail(&world, command, &cases);
}

#[test]
fn b21_b22_a_failing_start_command_fails_its_dependent_too() {
    let world = World::new();
    world.service("bad", "type = scripted\ncommand = /bin/false\n");
    world
        .run(&["bad"])
        .assert_success()
        .assert_lines(&["dinit: Service bad command failed with exit code 1", "[FAILED] bad"]);
    world.service("top", "type = internal\ndepends-on = bad\n");
    world.run(&["top"]).assert_success().assert_lines(&[
        "dinit: Service bad command failed with exit code 1",
        "[FAILED] bad",
        "[FAILED] top",
    ]);
}

#[test]
fn b23_a_process_that_ends_is_reported_and_its_service_stops() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/sh -c \"exit 3\"\nrestart = no\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "[  OK  ] x",
        "dinit: Service x process terminated with exit code 3",
        "[STOPPD] x",
    ]);
}

#[test]
fn b24_a_process_that_keeps_ending_is_restarted_three_times() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/sh -c \"exit 3\"\nrestart-delay = 0.01\n");
    let round = ["[  OK  ] x", "dinit: Service x process terminated with exit code 3"];
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.extend(round);
        expected.push("[STOPPD] x");
    }
    expected.extend(round);
    expected.extend(["dinit: Service x restarting too quickly; stopping.", "[STOPPD] x"]);
    world.run(&["x"]).assert_success().assert_lines(&expected);
}

#[test]
fn b25_smooth_recovery_changes_no_state_until_it_is_given_up() {
    let world = World::new();
    let text =
        "type = process\ncommand = /bin/sh -c \"sleep 0.1; exit 1\"\nsmooth-recovery = yes\nrestart = no\n";
    world.service("x", &format!("{text}restart-delay = 0.01\n"));
    let ended = "dinit: Service x process terminated with exit code 1";
    world.run(&["x"]).assert_success().assert_lines(&[
        "[  OK  ] x",
        ended,
        ended,
        ended,
        ended,
        "dinit: Service x restarting too quickly; stopping.",
        "[STOPPD] x",
    ]);
}

#[test]
fn b26_a_start_that_takes_too_long_is_interrupted_and_then_killed() {
    let world = World::new();
    let script = world.script("deaf", "trap '' INT; while :; do sleep 5; done");
    world.service(
        "x",
        &format!("type = scripted\ncommand = {script}\nstart-timeout = 0.3\nstop-timeout = 0.3\n"),
    );
    world.run(&["x"]).assert_success().assert_like(&[
        "dinit: Service x with pid * exceeded allowed start time; cancelling.",
        "dinit: Interrupting start of service x with pid * (with SIGINT).",
        "[FAILED] x",
        "dinit: Service x with pid * exceeded allowed stop time; killing.",
    ]);
}

#[test]
fn b27_a_process_that_ignores_term_is_killed() {
    let world = World::new();
    // Readiness says that the trap is set.
    let script = world.script("deaf", "trap '' TERM; echo >&3; exec 3>&-; while :; do sleep 5; done");
    let text = "type = process\nready-notification = pipefd:3\nstop-timeout = 0.4\n";
    world.service("x", &format!("{text}command = {script}\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x").signal(libc::SIGINT);
    daemon.finish().assert_success().assert_like(&[
        "[  OK  ] x",
        "dinit: Service x with pid * exceeded allowed stop time; killing.",
        "[STOPPD] x",
    ]);
}

#[test]
fn b28_a_stop_command_that_fails_leaves_the_process_to_the_timeout() {
    let world = World::new();
    let text = "type = process\ncommand = /bin/sleep 1000\nstop-timeout = 0.4\n";
    world.service("x", &format!("{text}stop-command = /bin/sh -c \"exit 5\"\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x").signal(libc::SIGINT);
    daemon.finish().assert_success().assert_like(&[
        "[  OK  ] x",
        "dinit: Service x stop command terminated with exit code 5",
        "dinit: Service x with pid * exceeded allowed stop time; killing.",
        "[STOPPD] x",
    ]);
}

#[test]
fn b29_a_stop_command_that_cannot_be_executed_is_replaced_by_the_signal() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/sleep 1000\nstop-command = /nonexist\n");
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x").signal(libc::SIGINT);
    daemon.finish().assert_success().assert_lines(&[
        "[  OK  ] x",
        "dinit: Service x: could not fork for stop command: executing command: No such file or directory",
        "[STOPPD] x",
    ]);
}

#[test]
fn b30_a_readiness_pipe_that_is_closed_without_a_word_fails_the_start() {
    let world = World::new();
    let script = world
        .script("x", "trap 'echo terminated > ended; exit 0' TERM; exec 3>&-; while :; do sleep 0.05; done");
    world.service(
        "x",
        &format!("type = process\ncommand = {script}\nready-notification = pipefd:3\nworking-dir = .\n"),
    );
    world.run(&["x"]).assert_success().assert_lines(&["[FAILED] x"]);
    assert_eq!(world.read("ended"), "terminated\n");
}

#[test]
fn b31_readiness_that_never_comes_is_limited_by_the_start_timeout() {
    let world = World::new();
    let text =
        "type = process\ncommand = /bin/sleep 1000\nready-notification = pipefd:3\nstart-timeout = 0.3\n";
    world.service("x", text);
    world.run(&["x"]).assert_success().assert_like(&[
        "dinit: Service x with pid * exceeded allowed start time; cancelling.",
        "dinit: Interrupting start of service x with pid * (with SIGINT).",
        "[FAILED] x",
    ]);
}

#[test]
fn b32_b33_a_pid_file_must_be_there_and_hold_a_number() {
    let world = World::new();
    world.service("x", "type = bgprocess\ncommand = /bin/true\npid-file = pid\n");
    world
        .run(&["x"])
        .assert_success()
        .assert_lines(&["dinit: x: read pid file: No such file or directory", "[FAILED] x"]);
    std::fs::write(world.path("pid"), "abc\n").unwrap();
    world
        .run(&["x"])
        .assert_success()
        .assert_lines(&["dinit: x: pid read from pidfile (-1) is not valid", "[FAILED] x"]);
}

#[test]
fn b41_a_process_that_is_killed_is_reported_with_the_signal() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/sh -c \"kill -9 $$$$\"\nrestart = no\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "[  OK  ] x",
        "dinit: Service x terminated due to signal 9",
        "[STOPPD] x",
    ]);
}

#[test]
fn a_process_killed_by_a_real_time_signal_is_not_lost() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/sh -c \"kill -40 $$$$\"\nrestart = no\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "[  OK  ] x",
        "dinit: Service x terminated due to signal 40",
        "[STOPPD] x",
    ]);
}

#[test]
fn a_process_that_dies_before_readiness_has_failed_to_start() {
    let world = World::new();
    let text = "type = process\ncommand = /bin/sh -c \"exit 2\"\nready-notification = pipevar:RFD\n";
    world.service("x", text).service("top", "type = internal\ndepends-on = x\n");
    let finished = world.run(&["top"]);
    // The pipe is closed a moment before the end can be collected: which is seen first decides about a line more.
    let lines: Vec<&str> = finished.assert_success().stdout.lines().collect();
    let told = "dinit: Service x process terminated with exit code 2";
    assert_eq!(lines.strip_prefix(&[told]).unwrap_or(&lines), ["[FAILED] x", "[FAILED] top"]);
}

#[test]
fn an_empty_command_fails_like_a_missing_program() {
    let world = World::new();
    world.service("x", "type = process\ncommand = $/NOTHING\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "dinit: x: execution failed - executing command: No such file or directory",
        "[FAILED] x",
    ]);
}

#[test]
fn a_stop_command_that_takes_too_long_is_named_by_its_own_pid() {
    let world = World::new();
    let script = world.script("stop", "echo $$ > stop.pid; exec sleep 1000");
    let text = "type = process\ncommand = /bin/sleep 1000\nstop-timeout = 0.4\nworking-dir = .\n";
    world.service("x", &format!("{text}stop-command = {script}\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x").signal(libc::SIGINT);
    let finished = daemon.finish();
    let pid = world.read("stop.pid");
    let line = format!(
        "dinit: Service x stop command, with pid {}, exceeded allowed stop time; killing.",
        pid.trim()
    );
    finished.assert_success().assert_like(&[
        "[  OK  ] x",
        "dinit: Service x with pid * exceeded allowed stop time; killing.",
        &line,
        "dinit: Service x stop command terminated due to signal 9",
        "[STOPPD] x",
    ]);
}

#[test]
fn what_only_root_may_do_fails_at_its_stage() {
    use libc::{EACCES, EPERM};
    let world = World::new();
    crate::launching::open_up(&world);
    let settings = [
        (
            "owner",
            "logfile = ../log\nlogfile-uid = 0",
            "setting up standard input/output descriptors",
            (6, EPERM),
        ),
        ("user", "run-as = 0", "setting user/group ID", (9, EPERM)),
        ("group", "run-as = daemon", "setting user/group ID", (9, EPERM)),
        ("ambient", "capabilities = ^cap_sys_admin", "setting capabilities", (11, EPERM)),
        ("bounding", "capabilities = !cap_sys_admin", "setting capabilities", (11, EPERM)),
        ("bits", "securebits = noroot", "setting capabilities", (11, EPERM)),
        ("io", "ioprio = realtime:0", "setting I/O priority", (12, EPERM)),
        ("oom", "oom-score-adj = -1000", "setting I/O priority", (12, EACCES)),
        ("nice", "nice = -20", "setting I/O priority", (12, EACCES)),
        ("hard", "rlimit-nofile = :2000000000", "setting resource limits", (8, EPERM)),
    ];
    let cases = settings.map(|(name, setting, stage, (number, errno))| {
        let why = if errno == EACCES { "Permission denied" } else { "Operation not permitted" };
        (name, format!("command = /bin/true\n{setting}"), format!("{stage}: {why}"), (number, errno))
    });
    let mut command = world.command(&[]);
    if dinit_sys::process::real_uid() == 0 {
        let inner = command;
        command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(inner.get_program());
        command.args(inner.get_args()).current_dir(world.path(""));
    }
    let cases = cases.each_ref().map(|(name, setting, text, told)| (*name, &**setting, &**text, *told));
    assert_launches_fail(&world, command, &cases);
}
