//! The life of each type of service with real children.

use crate::control::{handle, request};
use crate::world::World;
use dinit_protocol::{CommandFlags, Reply, Request};

const OK: &str = "type = internal\n";

/// A launcher that leaves a daemon behind which has left its session, and writes the daemon's pid file.
const LAUNCHER: &str = "setsid sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' <&- >&- 2>&- &
while ! [ -f pid ]; do sleep 0.02; done";

#[test]
fn a_daemonised_process_is_supervised_and_stopped() {
    let world = World::new();
    let launcher = world.script("launcher", LAUNCHER);
    world.service("x", &format!("type = bgprocess\ncommand = {launcher}\npid-file = pid\nworking-dir = .\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    let pid: i32 = world.read("pid").trim().parse().unwrap();
    assert_eq!(dinit_sys::process::send_signal(pid, 0), Ok(()));
    daemon.stop().assert_lines(&["[  OK  ] x", "[STOPPD] x"]);
    assert!(dinit_sys::process::send_signal(pid, 0).is_err());
}

#[test]
fn the_end_of_a_daemonised_process_is_noticed() {
    let world = World::new();
    let launcher = world.script("launcher", LAUNCHER);
    let text =
        format!("type = bgprocess\ncommand = {launcher}\npid-file = pid\nworking-dir = .\nrestart = no\n");
    world.service("x", &text);
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    let pid: i32 = world.read("pid").trim().parse().unwrap();
    dinit_sys::process::send_signal(pid, libc::SIGKILL).unwrap();
    daemon.finish().assert_success().assert_lines(&[
        "[  OK  ] x",
        "dinit: Service x terminated due to signal 9",
        "[STOPPD] x",
    ]);
}

#[test]
fn the_end_of_a_process_that_two_pid_files_name_ends_both_services() {
    let world = World::new();
    let launcher = world.script("launcher", LAUNCHER);
    let text = "type = bgprocess\npid-file = pid\nworking-dir = .\nrestart = no\n";
    world.service("one", &format!("{text}command = {launcher}\n"));
    world.service("two", &format!("{text}command = /bin/true\nwaits-for = one\n"));
    let daemon = world.start(&["two"]);
    daemon.expect("[  OK  ] two");
    let pid: i32 = world.read("pid").trim().parse().unwrap();
    dinit_sys::process::send_signal(pid, libc::SIGKILL).unwrap();
    let finished = daemon.finish();
    for name in ["one", "two"] {
        assert!(
            finished
                .stdout
                .contains(&format!("Service {name} terminated due to signal 9\n[STOPPD] {name}\n"))
        );
    }
    finished.assert_success();
}

#[test]
fn a_pid_file_that_names_a_stranger_gives_an_unsupervised_service() {
    let world = World::new();
    // This test is neither a child of the daemon nor signalled: the stop command ends the service.
    std::fs::write(world.path("pid"), format!("{}\n", std::process::id())).unwrap();
    let text = "type = bgprocess\ncommand = /bin/true\npid-file = pid\nstop-command = /bin/true\nterm-signal = none\n";
    world.service("x", text);
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop().assert_lines(&[
        &format!("dinit: x: unable to supervise process with pid {}", std::process::id()),
        "[  OK  ] x",
        "[STOPPD] x",
    ]);
}

#[test]
fn a_launcher_that_fails_fails_the_start() {
    let world = World::new();
    world.service("x", "type = bgprocess\ncommand = /bin/sh -c \"exit 4\"\npid-file = pid\n");
    world
        .run(&["x"])
        .assert_success()
        .assert_lines(&["dinit: Service x process terminated with exit code 4", "[FAILED] x"]);
}

#[test]
fn orphans_are_collected_although_nobody_knows_them() {
    let world = World::new();
    // The grandchildren end after their parent has; zombies of ours would still have a /proc entry.
    let script =
        world.script("fork", "for n in 1 2 3 4 5; do sh -c 'sh -c \"echo \\$\\$ >> orphans\" &' ; done");
    world.service("x", &format!("type = scripted\ncommand = {script}\nworking-dir = .\n"));
    let wait = world.script(
        "wait",
        "while [ $(wc -l < orphans) -lt 5 ]; do sleep 0.02; done
for pid in $(cat orphans); do while [ -d /proc/$pid ]; do sleep 0.02; done; done",
    );
    world.service("gone", &format!("type = scripted\ncommand = {wait}\nworking-dir = .\ndepends-on = x\n"));
    let daemon = world.start(&["gone"]);
    daemon.expect("[  OK  ] gone");
    daemon.stop();
}

#[test]
fn a_scripted_service_runs_both_its_commands() {
    let world = World::new();
    let text = "type = scripted\ncommand = /bin/sh -c \"echo up >> log\"\nstop-command = /bin/sh -c \"echo down >> log\"\n";
    world.service("x", &format!("{text}working-dir = .\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop().assert_lines(&["[  OK  ] x", "[STOPPD] x"]);
    assert_eq!(world.read("log"), "up\ndown\n");
}

#[test]
fn a_failing_stop_command_of_a_scripted_service_is_a_warning() {
    let world = World::new();
    world.service("x", "type = scripted\ncommand = /bin/true\nstop-command = /bin/false\n");
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop().assert_lines(&[
        "[  OK  ] x",
        "dinit: Service x stop command failed with exit code 1",
        "[STOPPD] x",
    ]);
}

#[test]
fn a_triggered_service_starts_when_its_trigger_is_set() {
    let world = World::new();
    world
        .service("ok", OK)
        .service("x", "type = triggered\n")
        .service("top", "type = internal\ndepends-on = x\n");
    let daemon = world.start(&["ok", "top"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    let service = handle(&mut connection, "x");
    assert_eq!(request(&mut connection, &Request::SetTrigger { service, set: true }), Reply::Ack);
    daemon.expect("[  OK  ] top");
    daemon.stop();
}

#[test]
fn a_process_that_exits_just_as_it_is_stopped_is_stopped_once() {
    let world = World::new();
    world.service("ok", OK);
    world.service(
        "x",
        "type = process\ncommand = /bin/sh -c \"read line < gate\"\nworking-dir = .\nrestart = no\n",
    );
    assert!(std::process::Command::new("mkfifo").arg(world.path("gate")).status().unwrap().success());
    let daemon = world.start(&["ok"]);
    daemon.expect("[  OK  ] ok");
    let mut connection = world.connect();
    for round in 1..=20 {
        let service = handle(&mut connection, "x");
        request(&mut connection, &Request::Start { service, flags: CommandFlags::NONE });
        daemon.expect_times("[  OK  ] x", round);
        // Ending and being told to end race; either way there is one end and one line about it.
        std::fs::write(world.path("gate"), "go\n").unwrap();
        request(&mut connection, &Request::Stop { service, flags: CommandFlags::NONE });
        daemon.expect_times("[STOPPD] x", round);
        connection.take_events();
    }
    daemon.signal(libc::SIGTERM);
    let finished = daemon.finish();
    assert_eq!(finished.assert_success().stdout.matches("[STOPPD] x").count(), 20);
}

#[test]
fn a_service_chains_to_the_next_when_its_process_ends_well() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/true\nrestart = no\nchain-to = next\n");
    world.service("next", "type = scripted\ncommand = /bin/true\nstop-command = /bin/true\n");
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] next");
    daemon.stop().assert_lines(&["[  OK  ] x", "[STOPPD] x", "[  OK  ] next", "[STOPPD] next"]);
}

#[test]
fn a_chain_to_what_cannot_be_loaded_is_reported() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/true\nrestart = no\nchain-to = next\n");
    world.run(&["x"]).assert_success().assert_lines(&[
        "[  OK  ] x",
        "dinit: Couldn't chain to service next: couldn't load next: service description not found.",
        "[STOPPD] x",
    ]);
}

#[test]
fn a_process_that_is_signalled_alone_ends_without_the_others_of_its_group() {
    for (options, is_alone) in [("options = signal-process-only\n", true), ("", false)] {
        let world = World::new();
        // The other process of the group says whether it was told to end before it is let go.
        let other =
            "trap 'echo told > told' TERM; echo > ready; while ! [ -f go ]; do sleep 0.02; done; echo > over";
        let other = world.script("other", other);
        let first = world.script(
            "first",
            &format!("{other} & while ! [ -f ready ]; do sleep 0.02; done; echo >&3; exec sleep 1000 3>&-"),
        );
        let text = "type = process\nready-notification = pipefd:3\nworking-dir = .\nrestart = no\n";
        world.service("x", &format!("{text}command = {first}\n{options}"));
        let daemon = world.start(&["x"]);
        daemon.expect("[  OK  ] x");
        daemon.stop();
        std::fs::write(world.path("go"), "").unwrap();
        crate::world::poll(|| world.path("over").exists().then_some(()));
        assert_eq!(world.path("told").exists(), !is_alone, "{options}");
    }
}

/// Interrupts the start of a service, once it is known that its command was executed, and gives what is said of it.
fn interrupted(text: &str) -> crate::world::Finished {
    let world = World::new();
    let script = world.script("slow", text);
    let text =
        format!("type = scripted\ncommand = {script}\nworking-dir = .\noptions = start-interruptible\n");
    world.service("x", &text);
    let wait = world.script("wait", "while ! [ -f begun ]; do sleep 0.02; done");
    world.service("begun", &format!("type = scripted\ncommand = {wait}\nworking-dir = .\n"));
    let daemon = world.start(&["--console-level", "info", "begun", "x"]);
    daemon.expect("[  OK  ] begun");
    daemon.stop()
}

#[test]
fn an_interruptible_start_is_interrupted_by_a_stop() {
    interrupted("echo > begun; exec sleep 1000").assert_like(&[
        "[  OK  ] begun",
        "dinit: Interrupting start of service x with pid * (with SIGINT).",
        "[STOPPD] begun",
        "dinit: Service x start cancelled from signal 2",
        "[STOPPD] x",
    ]);
}

#[test]
fn a_start_that_ends_with_a_status_when_it_is_interrupted_is_told_with_that_status() {
    interrupted("trap 'exit 4' INT; echo > begun; while :; do sleep 0.02; done").assert_like(&[
        "[  OK  ] begun",
        "dinit: Interrupting start of service x with pid * (with SIGINT).",
        "[STOPPD] begun",
        "dinit: Service x start cancelled; exit code 4",
        "[STOPPD] x",
    ]);
}

#[test]
fn a_daemon_that_ends_with_its_launcher_is_not_taken_for_missing() {
    let world = World::new();
    // The daemon is stopped while both end, so that it collects both at once.
    let launcher = world.script(
        "launcher",
        "sh -c 'echo $$ > pid; read line < gate' <&- >&- 2>&- &
while ! [ -s pid ]; do sleep 0.02; done
echo $$ > launcher.pid; read line < gate2",
    );
    let text =
        format!("type = bgprocess\ncommand = {launcher}\npid-file = pid\nworking-dir = .\nrestart = no\n");
    world.service("x", &text).service("ok", OK);
    for gate in ["gate", "gate2"] {
        assert!(std::process::Command::new("mkfifo").arg(world.path(gate)).status().unwrap().success());
    }
    // Interrupting the launcher's shell between its child and itself is what makes an orphan of the child.
    let daemon = world.start(&["ok", "x"]);
    daemon.expect("[  OK  ] ok");
    let launcher = await_pid(&world, "launcher.pid");
    let pid = await_pid(&world, "pid");
    daemon.signal(libc::SIGSTOP);
    await_state(daemon.pid(), 'T');
    std::fs::write(world.path("gate2"), "go\n").unwrap();
    await_state(launcher, 'Z');
    std::fs::write(world.path("gate"), "go\n").unwrap();
    await_state(pid, 'Z');
    daemon.signal(libc::SIGCONT);
    daemon.expect("[  OK  ] x").expect("[STOPPD] x");
    daemon.stop();
}

/// Waits until a file holds a process id.
fn await_pid(world: &World, name: &str) -> i32 {
    crate::world::poll(|| std::fs::read_to_string(world.path(name)).ok()?.trim().parse().ok())
}

/// Waits until a process is in a state, as `/proc` has it.
fn await_state(pid: i32, state: char) {
    crate::world::poll(|| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.starts_with(state).then_some(())
    });
}
