//! What a process finds when it begins to run: rows B34, B35, B38, and the settings that only launching carries out.

use crate::world::{Collected, World, start};
use dinit_sys::seccomp::Instruction;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Runs a script as a scripted service with some settings, and gives what it wrote to the file `out`.
fn run(world: &World, script: &str, settings: &str) -> String {
    let script = world.script("script", &format!("{{ {script}\n}} > out"));
    world.service("x", &format!("type = scripted\ncommand = {script}\nworking-dir = .\n{settings}\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop();
    world.read("out")
}

#[test]
fn b34_a_process_finds_its_variables_and_descriptors() {
    let world = World::new();
    std::fs::write(world.path("env"), "FOO=bar\n").unwrap();
    let script = world.script(
        "script",
        "{ env; echo PID=$$; for n in 0 1 2 3 $DINIT_CS_FD $RFD; do echo fd $(readlink /proc/$$/fd/$n | cut -d: -f1); done
} > out; echo > /proc/$$/fd/$RFD; exec sleep 1000",
    );
    let text =
        "type = process\nready-notification = pipevar:RFD\noptions = pass-cs-fd\nsocket-listen = listen\n";
    let more = "env-file = ../env\nload-options = export-service-name\nworking-dir = .\n";
    world.service("x", &format!("{text}{more}command = {script}\n"));
    let daemon = world.start(&["x@1"]);
    daemon.expect("[  OK  ] x@1");
    daemon.stop();
    let out = world.read("out");
    let value = |name: &str| {
        let found = out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {name} in:\n{out}")).to_owned()
    };
    assert_eq!(
        (value("FOO"), value("LISTEN_FDS"), value("DINIT_SERVICE")),
        ("bar".into(), "1".into(), "x".into())
    );
    assert_eq!(value("LISTEN_PID"), value("PID"));
    let descriptors: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("fd ")).collect();
    // Standard output is the script's own file while it asks.
    assert_eq!(descriptors[0], "/dev/null");
    assert!(descriptors[1].ends_with("/out"));
    assert_eq!(descriptors[2..], ["/dev/null", "socket", "socket", "pipe"]);
}

#[test]
fn b35_a_process_leads_its_session_and_its_log_file_belongs_to_the_daemon_alone() {
    let world = World::new();
    let script = world.script(
        "script",
        "read -r stat < /proc/$$/stat; set -- ${stat##*) }; [ $4 = $$ ] && [ $3 = $$ ] && echo leader; pwd",
    );
    world.service("x", &format!("type = scripted\ncommand = {script}\nlogfile = log\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop();
    let services = world.services().canonicalize().unwrap();
    assert_eq!(world.read("d/log"), format!("leader\n{}\n", services.display()));
    let metadata = std::fs::metadata(services.join("log")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_eq!(metadata.uid(), dinit_sys::process::real_uid());
}

#[test]
fn a_log_file_is_appended_to_and_gets_its_mode_at_every_launch() {
    let world = World::new();
    std::fs::write(world.path("log"), "before\n").unwrap();
    let text = "type = scripted\ncommand = /bin/echo now\nlogfile = ../log\nlogfile-permissions = 0644\n";
    world.service("x", text);
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop();
    assert_eq!(world.read("log"), "before\nnow\n");
    assert_eq!(std::fs::metadata(world.path("log")).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn a_log_type_of_file_without_a_file_leaves_the_null_device_alone() {
    let world = World::new();
    let text = "type = scripted\ncommand = /bin/echo lost\nlog-type = file\nlogfile-permissions = 0600\n";
    world.service("x", text);
    let before = std::fs::metadata("/dev/null").unwrap();
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop().assert_lines(&["[  OK  ] x", "[STOPPD] x"]);
    let after = std::fs::metadata("/dev/null").unwrap();
    assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
}

#[test]
fn limits_and_priorities_are_those_of_the_description() {
    let world = World::new();
    let script =
        "ulimit -S -n; ulimit -H -c; nice; cat /proc/$$/oom_score_adj; grep NoNewPrivs /proc/$$/status";
    let settings =
        "rlimit-nofile = 77:\nrlimit-core = :0\nnice = 3\noom-score-adj = 300\noptions = no-new-privs";
    assert_eq!(run(&world, script, settings), "77\n0\n3\n300\nNoNewPrivs:\t1\n");
}

#[test]
fn the_input_output_priority_is_that_of_the_description() {
    if std::process::Command::new("ionice").output().is_err() {
        return crate::world::skip("there is no ionice");
    }
    let world = World::new();
    assert_eq!(run(&world, "ionice -p $$", "ioprio = best-effort:6"), "best-effort: prio 6\n");
}

#[test]
fn a_process_that_shares_the_console_prints_where_the_daemon_does() {
    let world = World::new();
    world.service("x", "type = scripted\ncommand = /bin/echo shared\noptions = shares-console\n");
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    daemon.stop().assert_lines(&["shared", "[  OK  ] x", "[STOPPD] x"]);
}

#[test]
fn services_get_the_limit_of_descriptors_that_the_daemon_was_started_with() {
    let world = World::new();
    let script = world.script("script", "ulimit -S -n > out");
    world.service("x", &format!("type = scripted\ncommand = {script}\nworking-dir = .\n"));
    let mut command = std::process::Command::new("/bin/sh");
    let inner = world.command(&["x"]);
    command
        .args(["-c", "ulimit -S -n 333; exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.current_dir(world.path(""));
    let daemon = start(command);
    daemon.expect("[  OK  ] x");
    daemon.stop();
    assert_eq!(world.read("out"), "333\n");
}

#[test]
fn ignored_and_blocked_signals_are_those_of_the_specification() {
    let world = World::new();
    // The shell blocks signals while it starts a program, so the program itself is looked at.
    let out = run(&world, "exec grep -E 'SigBlk|SigIgn' /proc/self/status", "");
    let mask = |name: &str| {
        let found = out.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(found.unwrap().trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0);
    let ignored = |signal: i32| mask("SigIgn:") & 1 << (signal - 1) != 0;
    for signal in [libc::SIGPIPE, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        assert!(ignored(signal), "{out}");
    }
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD, libc::SIGHUP] {
        assert!(!ignored(signal), "{out}");
    }
}

#[test]
fn run_as_by_number_keeps_the_group_of_the_daemon_and_drops_the_others() {
    if dinit_sys::process::real_uid() != 0 {
        return crate::world::skip("only root can run services as others");
    }
    let world = World::new();
    open_up(&world);
    let script = "id -u; id -g; id -G";
    assert_eq!(run(&world, script, "run-as = 12345"), "12345\n0\n0\n");
}

#[test]
fn run_as_by_name_takes_the_groups_from_the_database() {
    if dinit_sys::process::real_uid() != 0 {
        return crate::world::skip("only root can run services as others");
    }
    let world = World::new();
    open_up(&world);
    let user = std::process::Command::new("id").args(["-u", "daemon"]).output().unwrap();
    let expected = std::process::Command::new("id").args(["-g", "daemon"]).output().unwrap();
    let text = run(&world, "id -u; id -g", "run-as = daemon");
    let expected = [user.stdout, expected.stdout].concat();
    assert_eq!(text.as_bytes(), expected);
}

#[test]
fn ambient_capabilities_and_securebits_survive_the_change_of_user() {
    if dinit_sys::process::real_uid() != 0 {
        return crate::world::skip("only root has capabilities to give");
    }
    let world = World::new();
    open_up(&world);
    let script = "grep -E 'CapInh|CapEff|CapAmb' /proc/$$/status";
    let settings = "run-as = 12345\ncapabilities = ^cap_net_bind_service\nsecurebits = keep-caps";
    let set = format!("{:016x}", 1u64 << 10);
    let expected = format!("CapInh:\t{set}\nCapEff:\t{set}\nCapAmb:\t{set}\n");
    assert_eq!(run(&world, script, settings), expected);
}

/// Runs a command in namespaces of its own, with the version 2 hierarchy of control groups in its place and two new
/// groups in it, one below the other; `$1` is the name of the upper one.
const IN_GROUPS: &str = r#"
set -e
mount -t cgroup2 none /sys/fs/cgroup
group=/sys/fs/cgroup/$1
mkdir -p "$group/below"
trap 'rmdir "$group/below" "$group"' EXIT
cd "$2"
shift 2
"$@"
"#;

#[test]
fn a_process_runs_in_the_group_that_its_description_names() {
    let world = World::new();
    let group = format!("dinit-test-{}", std::process::id());
    let in_groups = |command: &std::process::Command| {
        let mut outer = std::process::Command::new("unshare");
        outer.args(["-U", "-r", "-m", "-C", "--kill-child", "sh", "-c", IN_GROUPS, "sh", &group]);
        outer.arg(world.path("")).arg(command.get_program()).args(command.get_args());
        outer
    };
    // To be moved into another group takes the right to the one above both.
    let mut moved = std::process::Command::new("sh");
    moved.args(["-c", &format!("echo $$ > /sys/fs/cgroup/{group}/below/cgroup.procs")]);
    if !in_groups(&moved).output().is_ok_and(|output| output.status.success()) {
        return crate::world::skip("control groups cannot be made here");
    }
    for (name, setting) in [("relative", "below".to_owned()), ("absolute", format!("/{group}/below"))] {
        let text = "type = scripted\ncommand = /bin/cat /proc/self/cgroup\n";
        world.service(name, &format!("{text}logfile = ../{name}\nrun-in-cgroup = {setting}\n"));
    }
    let daemon = start(in_groups(&world.command(&["-b", &group, "relative", "absolute"])));
    daemon.expect("[  OK  ] relative").expect("[  OK  ] absolute");
    let kind = dinit_protocol::ShutdownKind::Halt;
    world.connect().request(&dinit_protocol::Request::Shutdown { kind }).unwrap();
    daemon.finish().assert_success();
    for name in ["relative", "absolute"] {
        let text = world.read(name);
        let version_2 = text.lines().find_map(|line| line.strip_prefix("0::"));
        assert_eq!(version_2, Some(&*format!("/{group}/below")), "{name}");
    }
}

#[test]
fn an_activation_socket_replaces_only_a_socket() {
    let world = World::new();
    let text =
        "type = process\ncommand = /bin/sleep 1000\nsocket-listen = listen\nsocket-permissions = 0640\n";
    world.service("x", text);
    drop(std::os::unix::net::UnixListener::bind(world.path("listen")).unwrap());
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    std::os::unix::net::UnixStream::connect(world.path("listen")).unwrap();
    assert_eq!(std::fs::metadata(world.path("listen")).unwrap().permissions().mode() & 0o7777, 0o640);
    daemon.stop();

    std::fs::remove_file(world.path("listen")).unwrap();
    std::fs::write(world.path("listen"), "precious").unwrap();
    world
        .run(&["x"])
        .assert_success()
        .assert_lines(&["dinit: x: activation socket file exists (and is not a socket)", "[FAILED] x"]);
    assert_eq!(world.read("listen"), "precious");
}

#[test]
fn an_activation_socket_that_cannot_be_made_fails_the_start_and_leaves_nothing_behind() {
    let world = World::new();
    let text = |path: &str, more: &str| {
        format!("type = process\ncommand = /bin/sleep 1000\nsocket-listen = {path}\n{more}")
    };
    world.service("nowhere", &text("/nonexistent/socket", ""));
    world.service("inside", &text("ok/socket", ""));
    world.service("long", &text(&"x".repeat(200), ""));
    std::fs::write(world.path("ok"), "").unwrap();
    for (name, line) in [
        ("nowhere", "error binding activation socket: No such file or directory"),
        ("inside", "error checking activation socket: Not a directory"),
        ("long", "error binding activation socket: File name too long"),
    ] {
        world
            .run(&[name])
            .assert_success()
            .assert_lines(&[&format!("dinit: {name}: {line}"), &format!("[FAILED] {name}")]);
    }
    if dinit_sys::process::real_uid() != 0 {
        world.service("owner", &text("listen", "socket-uid = 0\n"));
        world.run(&["owner"]).assert_success().assert_lines(&[
            "dinit: owner: error setting activation socket owner/group: Operation not permitted",
            "[FAILED] owner",
        ]);
        assert!(!world.path("listen").exists());
    }
}

/// Has the system call by which an activation socket is listened on fail for this thread and all it starts.
fn refuse_to_listen() -> std::io::Result<()> {
    let step = |code, operand, if_false| Instruction { code, if_true: 0, if_false, operand };
    let (load, equal, decide) = (0x20, 0x15, 0x06);
    // The backlog, the second argument, tells it from the control socket.
    let (call, backlog) = (0, 16 + 8);
    let program = [
        step(load, call, 0),
        step(equal, u32::try_from(libc::SYS_listen).unwrap(), 3),
        step(load, backlog, 0),
        step(equal, 128, 1),
        step(decide, libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EADDRINUSE).unwrap(), 0),
        step(decide, libc::SECCOMP_RET_ALLOW, 0),
    ];
    nix::sys::prctl::set_no_new_privs()?;
    dinit_sys::seccomp::install(&program).map(drop)
}

/// SD DIV 12: the reference does not say whose socket it is.
#[test]
fn a_socket_that_cannot_be_listened_on_is_told_with_the_name_of_its_service() {
    let world = World::new();
    world.service("x", "type = process\ncommand = /bin/sleep 1000\nsocket-listen = listen\n");
    let apart = std::thread::scope(|scope| {
        let apart = scope.spawn(|| refuse_to_listen().map(|()| world.run(&["x"])));
        apart.join().unwrap()
    });
    let Ok(finished) = apart else { return crate::world::skip("system calls cannot be filtered here") };
    finished.assert_success().assert_lines(&[
        "dinit: x: error listening on activation socket: Address already in use",
        "[FAILED] x",
    ]);
    assert!(!world.path("listen").exists());
}

#[test]
fn b38_services_start_on_the_console_one_after_the_other_in_the_foreground() {
    let world = World::new();
    let script = world.script(
        "front",
        "read -r stat < /proc/$$/stat; set -- \"$1\" ${stat##*) }; [ $4 = $$ ] && [ $7 = $$ ] && echo \"$1 in front\"",
    );
    for name in ["one", "two"] {
        let text = format!("type = scripted\ncommand = {script} {name}\noptions = starts-on-console\n");
        world.service(name, &text);
    }
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = std::process::Command::new("setsid");
    let inner = world.command(&["one", "two"]);
    command.arg("--ctty").arg("--wait").arg(inner.get_program()).args(inner.get_args());
    command.current_dir(world.path("")).stdin(terminal.slave.try_clone().unwrap());
    command.stdout(terminal.slave.try_clone().unwrap()).stderr(terminal.slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let master = terminal.master.try_clone().unwrap();
    let output = Collected::of(std::fs::File::from(terminal.master));
    output.wait("[  OK  ] one", 1);
    output.wait("[  OK  ] two", 1);
    // The terminal is handed back: the daemon's group, which leads the session, is in front again.
    let session = nix::sys::termios::tcgetsid(&master).unwrap();
    assert_eq!(nix::unistd::tcgetpgrp(&master).unwrap(), session);
    world
        .connect()
        .request(&dinit_protocol::Request::Shutdown { kind: dinit_protocol::ShutdownKind::Halt })
        .unwrap();
    assert!(child.wait().unwrap().success());
    let text = output.text().replace('\r', "");
    let place = |wanted: &str| text.find(wanted).unwrap_or_else(|| panic!("no `{wanted}` in:\n{text}"));
    for name in ["one", "two"] {
        assert!(place(&format!("{name} in front")) < place(&format!("[  OK  ] {name}")), "{text}");
    }
}

/// Lets other users write into the test's directory.
pub(crate) fn open_up(world: &World) {
    for path in [world.path(""), world.services()] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
}
