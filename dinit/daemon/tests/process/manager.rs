//! The system manager as process 1 of its own namespaces, on a pseudo-terminal: rows N1 to N12.
//!
//! The directory of system programs is replaced by one that holds a shutdown program and a dinit that only say how
//! they were called.

use crate::world::{Collected, World, connect, skip};
use dinit_protocol::{Reply, Request, ShutdownKind};
use dinit_sys::process::send_signal;
use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};

const SETUP: &str = r#"
set -e
directory=$1 console=$2 dinit=$3
shift 3
mount --bind "$dinit" "$directory/dinit"
mount -t tmpfs none /run
mount -t tmpfs none /var/log
: > /run/utmp
: > /var/log/wtmp
mount -t tmpfs none "$(readlink -f /sbin)"
for program in shutdown dinit; do
    printf '#!/bin/sh\necho "called as: $0 $*"\n[ "$0" = /sbin/dinit ] && [ -f again ] && exec ./dinit "$@"\nexec grep SigBlk /proc/self/status\n' > "/sbin/$program"
    /bin/chmod 755 "/sbin/$program"
done
[ ! -f "$directory/no-shutdown" ] || rm /sbin/shutdown
[ ! -f "$directory/no-dinit" ] || rm /sbin/dinit
[ ! -f "$directory/bad-shutdown" ] || printf '#!/bin/sh\nexit 1\n' > /sbin/shutdown
[ ! -d "$directory/read-only" ] || mount -t tmpfs -o ro none "$directory/read-only"
if [ -f "$directory/environment" ]; then
    mount -t tmpfs none /etc
    /bin/mkdir /etc/dinit
    /bin/cp "$directory/environment" /etc/dinit/environment
fi
[ ! -f "$directory/printed" ] || console=$directory/printed
mount --bind "$console" /dev/console
if [ -f "$directory/no-devices" ]; then
    : > "$directory/log"
    mount --bind "$console" "$directory/log"
    mount -t tmpfs none /dev
    exec <&- >&- 2>&-
fi
exec "$directory/dinit" "$@" 5> "$directory/ready"
"#;

const FAILING: &str = "type = scripted\ncommand = /bin/false\n";
const OK: &str = "type = internal\n";
/// What the stand-in for the shutdown program says of blocked signals when the system manager executes it.
const BLOCKED: &str = "SigBlk:\tfffffffffffbfeff";
const QUESTION: &str = "(p)ower off? ";

/// A system manager that runs.
struct Machine {
    child: Child,
    keyboard: File,
    console: Collected,
}

/// Starts a system manager; nothing if this machine has no unprivileged namespaces.
fn boot(world: &World, words: &[&str]) -> Option<Machine> {
    let possible =
        Command::new("unshare").args(["-U", "-r", "-p", "-f", "-m", "--mount-proc", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) || !std::path::Path::new("/dev/console").exists()
    {
        skip("there are no unprivileged namespaces, or there is no /dev/console");
        return None;
    }
    File::create(world.path("dinit")).unwrap();
    let terminal = nix::pty::openpty(None, None).unwrap();
    let name = nix::unistd::ttyname(&terminal.slave).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "-p", "-f", "-m", "--mount-proc", "--kill-child", "sh", "-c", SETUP, "sh"]);
    command.arg(world.path("")).arg(name).arg(env!("CARGO_BIN_EXE_dinit"));
    command.arg("-d").arg(world.services()).arg("-p").arg(world.socket()).args(words);
    command.current_dir(world.path("")).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command.stdin(Stdio::null()).stdout(terminal.slave.try_clone().unwrap()).stderr(terminal.slave);
    let child = command.spawn().unwrap();
    drop(command);
    let keyboard = File::from(terminal.master.try_clone().unwrap());
    Some(Machine { child, keyboard, console: Collected::of(File::from(terminal.master)) })
}

impl Machine {
    #[track_caller]
    fn expect(&self, text: &str) -> &Self {
        self.console.wait(text, 1);
        self
    }

    #[track_caller]
    fn expect_times(&self, text: &str, times: usize) -> &Self {
        self.console.wait(text, times);
        self
    }

    /// Presses a key.
    fn press(&mut self, key: &str) -> &mut Self {
        self.keyboard.write_all(key.as_bytes()).unwrap();
        self
    }

    fn signal(&self, signal: i32) -> &Self {
        let unshare = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
        send_signal(children.trim().parse().unwrap(), signal).unwrap();
        self
    }

    /// Waits for the end and gives the lines that were seen on the console.
    #[track_caller]
    fn lines(mut self) -> Vec<String> {
        self.child.wait().unwrap();
        self.console.rest().replace('\r', "").lines().map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn n1_the_question_is_asked_again_after_a_wrong_key_and_p_powers_off() {
    let world = World::new();
    world.service("boot", FAILING);
    let Some(mut machine) = boot(&world, &[]) else { return };
    machine.expect(QUESTION);
    machine.press("x").expect_times(QUESTION, 2);
    machine.press("P").expect("called as: /sbin/shutdown --system -p");
    let question = "Choose: (r)eboot, r(e)covery, re(s)tart boot sequence, (p)ower off? ";
    assert_eq!(
        machine.lines(),
        [
            "dinit: Service boot command failed with exit code 1",
            "[FAILED] boot",
            "All services have stopped with no shutdown issued; boot failure?",
            &format!("{question}x"),
            &format!("{question}P"),
            "called as: /sbin/shutdown --system -p",
            BLOCKED,
        ]
    );
}

#[test]
fn n2_s_tries_to_boot_again_and_r_reboots() {
    let world = World::new();
    world.service("boot", FAILING);
    let Some(mut machine) = boot(&world, &[]) else { return };
    machine.expect(QUESTION);
    machine.press("s").expect_times("[FAILED] boot", 2).expect_times(QUESTION, 2);
    machine.press("r").expect("called as: /sbin/shutdown --system -r");
}

#[test]
fn n3_recovery_runs_on_the_console_and_the_question_comes_back() {
    let world = World::new();
    world.service("boot", FAILING);
    world.service(
        "recovery",
        "type = process\ncommand = /bin/echo recovering\noptions = runs-on-console\nrestart = no\n",
    );
    let Some(mut machine) = boot(&world, &[]) else { return };
    machine.expect(QUESTION);
    machine.press("e").expect("recovering").expect("[STOPPD] recovery").expect_times(QUESTION, 2);
    machine.press("p").expect("--system -p");
}

#[test]
fn n4_with_auto_recovery_there_is_no_question_before_recovery() {
    let world = World::new();
    world.service("boot", FAILING);
    world.service(
        "recovery",
        "type = process\ncommand = /bin/sh -c \"echo recovering; read line\"\noptions = runs-on-console\nrestart = no\n",
    );
    let Some(mut machine) = boot(&world, &["-r"]) else { return };
    machine.expect("recovering");
    assert!(!machine.console.text().contains("boot failure?"));
    machine.press("\n").expect("[STOPPD] recovery").expect(QUESTION);
    // A new start of `boot` that fails is a new reason to recover.
    machine.press("s").expect_times("recovering", 2);
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn a_recovery_that_fails_is_not_started_by_itself_again() {
    for recovery in [
        "type = scripted\ncommand = /bin/false\nrestart = no\n",
        "type = process\ncommand = /bin/false\nrestart = no\n",
        "type = process\ncommand = /nonexistent\nrestart = no\n",
        "type = internal\ndepends-on: missing\nrestart = no\n",
    ] {
        let world = World::new();
        world.service("boot", FAILING);
        world.service("recovery", recovery);
        let Some(mut machine) = boot(&world, &["-r"]) else { return };
        machine.expect(QUESTION);
        machine.press("r").expect("--system -r");
    }
}

#[test]
fn n5_without_a_recovery_service_the_reason_is_given_and_the_question_asked() {
    let world = World::new();
    world.service("boot", FAILING);
    let Some(mut machine) = boot(&world, &["-r"]) else { return };
    machine
        .expect("dinit: Unable to start recovery service: service description not found.")
        .expect(QUESTION);
    machine.press("r").expect("--system -r");
}

#[test]
fn n6_words_of_the_kernel_are_ignored_and_an_interrupt_reboots() {
    let world = World::new();
    world.service("boot", OK);
    let Some(machine) = boot(&world, &["auto", "foo", "-Q"]) else { return };
    machine.expect("[  OK  ] boot").signal(libc::SIGINT);
    machine.expect("--system -r");
    assert_eq!(
        machine.lines(),
        ["[  OK  ] boot", "[STOPPD] boot", "called as: /sbin/shutdown --system -r", BLOCKED]
    );
}

#[test]
fn n7_single_alone_is_started_when_the_kernel_says_so() {
    let world = World::new();
    world.service("boot", OK).service("single", OK);
    let Some(machine) = boot(&world, &["single", "-l", "F"]) else { return };
    machine.expect("[  OK  ] single").signal(libc::SIGTERM);
    machine.expect("--system -h");
    assert_eq!(
        world.read("F"),
        "dinit: Starting system\ndinit: service single started.\ndinit: service single stopped.\n\
         dinit: No more active services. Will halt.\n"
    );
}

#[test]
fn n8_quit_executes_the_shutdown_program_at_once() {
    let world = World::new();
    world.service("boot", OK);
    let Some(machine) = boot(&world, &[]) else { return };
    machine.expect("[  OK  ] boot").signal(libc::SIGQUIT);
    machine.expect("--system");
    assert_eq!(machine.lines(), ["[  OK  ] boot", "called as: /sbin/shutdown --system", BLOCKED]);
    assert!(!world.socket().exists());
}

#[track_caller]
fn shut_down(world: &World, kind: ShutdownKind) {
    assert_eq!(connect(&world.socket()).request(&Request::Shutdown { kind }).unwrap(), Reply::Ack);
}

#[test]
fn n9_a_soft_reboot_runs_the_shutdown_program_and_then_dinit_again() {
    let world = World::new();
    world.service("boot", OK);
    let Some(machine) = boot(&world, &["--console-level", "info"]) else { return };
    machine.expect("[  OK  ] boot");
    shut_down(&world, ShutdownKind::SoftReboot);
    machine.expect("called as: /sbin/dinit");
    let lines = machine.lines();
    let socket = world.socket();
    let arguments = format!("-d {} -p {}", world.services().display(), socket.display());
    assert_eq!(
        lines[1..],
        [
            "[STOPPD] boot",
            "dinit: No more active services. Will soft-reboot.",
            "called as: /sbin/shutdown --system -s",
            BLOCKED,
            &format!("called as: /sbin/dinit {arguments} --console-level info"),
            "SigBlk:\t0000000000000000",
        ]
    );
}

#[test]
fn n10_kexec_is_passed_on() {
    let world = World::new();
    world.service("boot", OK);
    let Some(machine) = boot(&world, &["--console-level", "info"]) else { return };
    machine.expect("[  OK  ] boot");
    shut_down(&world, ShutdownKind::Kexec);
    machine.expect("Will kexec.").expect("called as: /sbin/shutdown --system -k");
}

#[test]
fn n11_process_1_of_a_container_is_no_system_manager() {
    let world = World::new();
    world.service("single", OK);
    let Some(mut machine) = boot(&world, &["-o", "single"]) else { return };
    machine.expect("[  OK  ] single").signal(libc::SIGTERM);
    assert!(machine.child.wait().unwrap().success());
    assert!(!machine.console.text().contains("called as"));
}

#[test]
fn n12_process_1_goes_on_without_a_control_socket() {
    let world = World::new();
    world.service("boot", OK);
    let Some(machine) = boot(&world, &["-p", "/nonexistent/x"]) else { return };
    machine.expect("dinit: Error binding control socket: No such file or directory").expect("[  OK  ] boot");
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn process_1_that_is_started_without_a_console_and_without_devices_goes_on() {
    let world = World::new();
    world.service("boot", OK);
    File::create(world.path("no-devices")).unwrap();
    let log = world.path("log");
    let Some(machine) = boot(&world, &["-l", log.to_str().unwrap()]) else { return };
    machine.expect("dinit: service boot started.").signal(libc::SIGTERM);
    machine.expect("dinit: service boot stopped.").expect("dinit: No more active services. Will halt.");
}

#[test]
fn kill_all_on_stop_ends_every_process_without_keeping_anyone_waiting() {
    let world = World::new();
    let script = world.script("stray", "trap '' TERM; (while :; do sleep 5; done) & echo up");
    world.service("stray", &format!("type = scripted\ncommand = {script}\n"));
    let text = "type = internal\noptions = kill-all-on-stop\ndepends-on = stray\n";
    world.service("boot", text);
    let Some(machine) = boot(&world, &["--console-level", "info"]) else { return };
    machine.expect("[  OK  ] boot").signal(libc::SIGTERM);
    machine.expect("dinit: Sending TERM/KILL to all processes...");
    // The daemon answers while the second passes.
    assert_eq!(connect(&world.socket()).list().unwrap().len(), 2);
    machine.expect("[STOPPD] boot").expect("--system -h");
}

/// Gives the type, process id and id of each entry in a file of logged-in users.
fn logins(bytes: &[u8]) -> Vec<(i16, i32, String)> {
    let number = |entry: &[u8], at: usize| i32::from_ne_bytes(entry[at..at + 4].try_into().unwrap());
    bytes
        .chunks(size_of::<libc::utmpx>())
        .map(|entry| {
            let id = &entry[std::mem::offset_of!(libc::utmpx, ut_id)..][..4];
            let id = String::from_utf8_lossy(id).trim_end_matches('\0').to_owned();
            let pid = number(entry, std::mem::offset_of!(libc::utmpx, ut_pid));
            (i16::from_ne_bytes([entry[0], entry[1]]), pid, id)
        })
        .collect()
}

#[test]
fn the_boot_and_processes_for_logging_in_are_entered_and_ended() {
    let world = World::new();
    world.service("boot", "type = internal\ndepends-on = saved\noptions = starts-rwfs\n");
    let text = "type = process\ncommand = /bin/sh -c \"echo $$$$ > pid; echo >&3; exec sleep 1000\"\n";
    let more = "ready-notification = pipefd:3\ninittab-id = 1\ninittab-line = tty1\nworking-dir = .\n";
    let save = |name: &str| format!("type = scripted\ncommand = /bin/cp /run/utmp {name}\nworking-dir = .\n");
    world.service("rwfs", "type = internal\noptions = starts-rwfs\n");
    world.service("login", &format!("{text}{more}depends-on = rwfs\n"));
    // DN DIV 11: the reference enters what nobody has filled in for a daemon that has these settings.
    let launcher =
        "type = bgprocess\ncommand = /bin/sh -c \"sleep 1000 & echo $$! > bg.pid\"\npid-file = bg.pid\n";
    let more = "inittab-id = 2\ninittab-line = tty2\nworking-dir = .\ndepends-on = login\n";
    world.service("background", &format!("{launcher}{more}"));
    world.service("saved", &format!("{}depends-on = background\n", save("during")));
    world.service("after", &save("afterwards"));
    let Some(machine) = boot(&world, &["-t", "boot"]) else { return };
    machine.expect("[  OK  ] boot");
    let pid: i32 = world.read("pid").trim().parse().unwrap();
    let during = logins(&std::fs::read(world.path("during")).unwrap());
    assert_eq!(during, [(libc::BOOT_TIME, 0, String::new()), (libc::INIT_PROCESS, pid, "1".to_owned())]);
    let mut connection = connect(&world.socket());
    for (name, stops) in [("background", true), ("login", true), ("after", false)] {
        let service = crate::control::handle(&mut connection, name);
        let flags = dinit_protocol::CommandFlags::NONE;
        let request =
            if stops { Request::Stop { service, flags } } else { Request::Start { service, flags } };
        connection.request(&request).unwrap();
        machine.expect(&if stops { format!("[STOPPD] {name}") } else { format!("[  OK  ] {name}") });
    }
    let afterwards = logins(&std::fs::read(world.path("afterwards")).unwrap());
    assert_eq!(afterwards[1..], [(libc::DEAD_PROCESS, pid, "1".to_owned())]);
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn readiness_is_reported_when_a_signal_brings_the_socket() {
    let world = World::new();
    world.service("boot", OK);
    assert!(Command::new("mkfifo").arg(world.path("ready")).status().unwrap().success());
    let socket = world.path("later/socket");
    let Some(machine) = boot(&world, &["-F", "5", "-p", socket.to_str().unwrap()]) else { return };
    let mut ready = File::open(world.path("ready")).unwrap();
    machine.expect("dinit: Error binding control socket").expect("[  OK  ] boot");
    std::fs::create_dir(world.path("later")).unwrap();
    machine.signal(libc::SIGUSR1);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut ready, &mut text).unwrap();
    assert_eq!(text, format!("{}\0", socket.display()));
    assert_eq!(connect(&socket).list().unwrap().len(), 1);
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn a_socket_on_a_file_system_that_is_read_only_yet_is_worth_no_word_at_start() {
    let world = World::new();
    world.service("boot", OK);
    std::fs::create_dir(world.path("read-only")).unwrap();
    let Some(machine) = boot(&world, &["-p", world.path("read-only/socket").to_str().unwrap()]) else {
        return;
    };
    machine.expect("[  OK  ] boot");
    assert_eq!(machine.console.text(), "[  OK  ] boot\r\n");
    machine.signal(libc::SIGUSR1);
    machine.expect("dinit: Error binding control socket: Read-only file system");
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn only_a_system_manager_reads_the_environment_file_of_the_system() {
    for (words, value) in [(&["-t", "boot"][..], "of the system\n"), (&["-o"], "\n")] {
        let world = World::new();
        world.service("boot", "type = scripted\ncommand = /bin/sh -c \"echo $$A > out\"\nworking-dir = .\n");
        std::fs::write(world.path("environment"), "A=of the system\n").unwrap();
        let Some(machine) = boot(&world, words) else { return };
        machine.expect("[  OK  ] boot").signal(libc::SIGTERM);
        machine.expect("[STOPPD] boot");
        assert_eq!(world.read("out"), value, "{words:?}");
    }
}

#[test]
fn the_last_of_several_shutdowns_decides() {
    let world = World::new();
    let script = world
        .script("deaf", "trap 'echo told > told' TERM; echo >&3; while ! [ -f go ]; do sleep 0.02; done");
    let text =
        "type = process\nready-notification = pipefd:3\nworking-dir = .\nstop-timeout = 0\nrestart = no\n";
    world.service("boot", &format!("{text}command = {script}\n"));
    let Some(machine) = boot(&world, &[]) else { return };
    machine.expect("[  OK  ] boot").signal(libc::SIGTERM);
    crate::world::poll(|| world.path("told").exists().then_some(()));
    shut_down(&world, ShutdownKind::PowerOff);
    machine.signal(libc::SIGINT);
    // The second is not served before the first was.
    connect(&world.socket()).list().unwrap();
    std::fs::write(world.path("go"), "").unwrap();
    machine.expect("called as: /sbin/shutdown --system -r");
}

#[test]
fn a_log_file_that_could_not_be_opened_is_tried_again_once_the_root_can_be_written() {
    let world = World::new();
    world.service("boot", OK).service("rwfs", "type = internal\noptions = starts-rwfs\n");
    let Some(machine) = boot(&world, &["-t", "boot", "-l", "later/log"]) else { return };
    machine.expect("dinit: Opening log file failed: No such file or directory").expect("[  OK  ] boot");
    std::fs::create_dir(world.path("later")).unwrap();
    let mut connection = connect(&world.socket());
    let service = crate::control::handle(&mut connection, "rwfs");
    let flags = dinit_protocol::CommandFlags::NONE;
    assert_eq!(connection.request(&Request::Start { service, flags }).unwrap(), Reply::AlreadyThere);
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
    // What was said before the file was there is in it too.
    let log = world.read("later/log");
    let begin = "dinit: Starting system\ndinit: Opening log file failed: No such file or directory\n\
                 dinit: service boot started.\n";
    assert!(log.starts_with(begin) && log.ends_with("Will halt.\n"), "{log}");
}

#[test]
fn after_a_soft_reboot_everything_is_up_again() {
    let world = World::new();
    world.service("boot", "type = internal\ndepends-on = x\n");
    world.service("x", "type = process\ncommand = /bin/sleep 1000\n");
    std::fs::write(world.path("again"), "").unwrap();
    // The descriptor for readiness is gone the second time.
    let Some(machine) = boot(&world, &["-F", "5"]) else { return };
    machine.expect("[  OK  ] boot");
    shut_down(&world, ShutdownKind::SoftReboot);
    machine.expect("called as: /sbin/dinit").expect_times("[  OK  ] boot", 2);
    let mut connection = connect(&world.socket());
    assert_eq!(connection.list().unwrap().len(), 2);
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn a_soft_reboot_that_cannot_be_done_becomes_a_reboot() {
    let world = World::new();
    world.service("boot", OK);
    for missing in ["no-shutdown", "no-dinit"] {
        std::fs::write(world.path(missing), "").unwrap();
    }
    let Some(machine) = boot(&world, &[]) else { return };
    machine.expect("[  OK  ] boot");
    shut_down(&world, ShutdownKind::SoftReboot);
    let error = |program: &str| format!("dinit: Error executing {program}: No such file or directory\r\n");
    let said = [error("/sbin/shutdown"), error("/sbin/dinit")].concat();
    machine.expect(&format!(
        "{said}dinit: Could not soft-reboot. Will attempt reboot.\r\n{}",
        error("/sbin/shutdown")
    ));
}

#[test]
fn a_shutdown_program_that_fails_does_not_keep_dinit_from_starting_anew() {
    let world = World::new();
    world.service("boot", OK);
    std::fs::write(world.path("bad-shutdown"), "").unwrap();
    let Some(machine) = boot(&world, &[]) else { return };
    machine.expect("[  OK  ] boot");
    shut_down(&world, ShutdownKind::SoftReboot);
    machine.expect("dinit: Execution of shutdown returned non-zero status").expect("called as: /sbin/dinit");
}

#[test]
fn without_a_boot_service_to_try_again_the_machine_reboots() {
    let world = World::new();
    world.service("other", FAILING);
    let Some(mut machine) = boot(&world, &["-t", "other"]) else { return };
    machine.expect(QUESTION);
    machine.press("e").expect("Unable to start recovery service.").expect_times(QUESTION, 2);
    machine.press("s");
    machine.expect("dinit: Could not start 'boot' service. Will attempt reboot.").expect("--system -r");
}

#[test]
fn where_nobody_can_answer_a_boot_that_fails_halts() {
    let world = World::new();
    world.service("boot", FAILING);
    // The console is a file.
    std::fs::write(world.path("printed"), "").unwrap();
    let Some(machine) = boot(&world, &[]) else { return };
    machine.lines();
    let printed = world.read("printed");
    assert!(
        printed.contains("boot failure?\nHalting.\ncalled as: /sbin/shutdown --system -h\n"),
        "{printed}"
    );
}

#[test]
fn a_process_id_that_is_used_again_belongs_to_its_new_process() {
    let world = World::new();
    // The process of `x` has ended and was collected while its stop command still runs.
    let old = world.script("old", "echo $$ > old.pid; echo >&3; exec sleep 1000");
    let stop = world.script(
        "stop",
        "read pid < old.pid; kill $pid; while kill -0 $pid; do :; done; echo > ended; read line < gate",
    );
    let rewind =
        world.script("rewind", "read pid < old.pid; echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid");
    let new = world.script(
        "new",
        "echo $$ > new.pid; trap 'echo > answer' USR1; echo >&3; while :; do sleep 0.02; done",
    );
    let text = "type = process\nready-notification = pipefd:3\nworking-dir = .\nrestart = no\n";
    world.service("x", &format!("{text}command = {old}\nstop-command = {stop}\n"));
    world.service("rewind", &format!("type = scripted\ncommand = {rewind}\nworking-dir = .\n"));
    world.service("y", &format!("{text}command = {new}\ndepends-on = rewind\n"));
    world.service("boot", OK);
    assert!(Command::new("mkfifo").arg(world.path("gate")).status().unwrap().success());
    let Some(machine) = boot(&world, &["-t", "boot", "-t", "x"]) else { return };
    machine.expect("[  OK  ] x");
    let mut connection = connect(&world.socket());
    let [x, y] = ["x", "y"].map(|name| crate::control::handle(&mut connection, name));
    let flags = dinit_protocol::CommandFlags::NONE;
    connection.request(&Request::Stop { service: x, flags }).unwrap();
    crate::world::poll(|| world.path("ended").exists().then_some(()));
    connection.request(&Request::Start { service: y, flags }).unwrap();
    machine.expect("[  OK  ] y");
    assert_eq!(world.read("old.pid"), world.read("new.pid"));

    // What is meant for the old process does not reach the new one, and the end of the stop command is that of `x`.
    let kill = Request::Signal { service: x, signal: libc::SIGKILL };
    assert_eq!(connection.request(&kill).unwrap(), Reply::NoProcess);
    std::fs::write(world.path("gate"), "go\n").unwrap();
    machine.expect("[STOPPD] x");
    let ask = Request::Signal { service: y, signal: libc::SIGUSR1 };
    assert_eq!(connection.request(&ask).unwrap(), Reply::Ack);
    crate::world::poll(|| world.path("answer").exists().then_some(()));
    machine.signal(libc::SIGTERM);
    machine.expect("[STOPPD] y").expect("--system -h");
}

#[test]
fn a_key_interrupts_a_skippable_start_on_the_console() {
    let world = World::new();
    let script = world.script("check", "echo checking; exec sleep 1000");
    let options = "options = starts-on-console unmask-intr skippable";
    world.service("check", &format!("type = scripted\ncommand = {script}\n{options}\n"));
    world.service("boot", "type = internal\ndepends-on = check\n");
    let Some(mut machine) = boot(&world, &[]) else { return };
    machine.expect("checking");
    machine.press("\x03").expect("[  OK  ] check").expect("[  OK  ] boot");
    let mut connection = connect(&world.socket());
    let check = crate::control::handle(&mut connection, "check");
    assert!(connection.status(check).unwrap().skipped);
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn without_unmask_intr_a_key_interrupts_nothing() {
    let world = World::new();
    let script = world.script("check", "echo checking; read line; echo \"got $line\"");
    world.service("check", &format!("type = scripted\ncommand = {script}\noptions = starts-on-console\n"));
    world.service("boot", "type = internal\ndepends-on = check\n");
    let Some(mut machine) = boot(&world, &[]) else { return };
    machine.expect("checking");
    machine.press("\x03").press("on\n").expect("got on").expect("[  OK  ] boot");
    machine.signal(libc::SIGTERM);
    machine.expect("--system -h");
}

#[test]
fn process_1_goes_on_for_ever_when_the_shutdown_program_is_missing() {
    let world = World::new();
    world.service("boot", OK);
    std::fs::write(world.path("no-shutdown"), "").unwrap();
    let Some(machine) = boot(&world, &[]) else { return };
    let missing = "dinit: Error executing /sbin/shutdown: No such file or directory";
    machine.expect("[  OK  ] boot").signal(libc::SIGQUIT);
    machine.expect(missing).signal(libc::SIGTERM);
    machine.expect("[STOPPD] boot").expect_times(missing, 2);
    machine.signal(libc::SIGUSR1);
    let mut connection = crate::world::poll(|| dinit_client::Connection::open(&world.socket()).ok());
    assert_eq!(connection.list().unwrap().len(), 1);
}
