//! The default image in QEMU: comes up, serves, reboots, powers off; and says why when it cannot.

use std::process::Command;

use agent_protocol::message::Shutdown;
use boot_tests::{Guest, PASSWORD, Wishes, image, is_clean, mkimage, turn};
use qemu_machine::OnReboot;

/// What the default image starts at boot.
const SERVICES: [&str; 31] = [
    "auxfscheck",
    "boot",
    "early-filesystems",
    "filesystems",
    "hwclock",
    "late-filesystems",
    "login",
    "login.target",
    "loginready",
    "modules",
    "network",
    "network.target",
    "power-button",
    "pre-network.target",
    "rcboot",
    "rootfscheck",
    "rootrw",
    "serial-getty@ttyS0",
    "serial-gettys",
    "syslogd",
    "system",
    "tty1",
    "tty2",
    "tty3",
    "tty4",
    "tty5",
    "tty6",
    "udev-coldplug",
    "udev-trigger",
    "udevd",
    "agent",
];

/// Tells its control group.
const GROUPED: &str = "\
type = scripted
command = /bin/sh -c \"cat /proc/self/cgroup > /run/grouped\"
run-in-cgroup = jobs
";

#[test]
fn the_default_image_comes_up_serves_reboots_and_powers_off_clean() {
    let wishes = Wishes { keep: true, ..Wishes::default() };
    let mut guest = Guest::start(&wishes, |config| config.on_reboot = OnReboot::Restart);
    let report = guest.must_boot();
    assert_eq!(report.not_started, [], "services loaded and not started");

    // Every service of the default set, and no other, is started.
    guest.run("dinitctl start --no-wait serial-getty@ttyS0; for i in $(seq 300); do dinitctl is-started serial-getty@ttyS0 && exit; sleep 0.1; done; exit 1");
    let listed = guest.run("dinitctl list");
    let mut started: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with("[[+]") || line.starts_with("[{+}"))
        .filter_map(|line| line.get("[[+]     ] ".len()..)?.split_whitespace().next())
        .collect();
    started.sort_unstable();
    let mut wanted = SERVICES;
    wanted.sort_unstable();
    assert_eq!(started, wanted, "{listed}");

    // dinit is PID 1, the root is writable, and the device manager has made its links.
    assert_eq!(guest.run("readlink /proc/1/exe").trim(), "/usr/sbin/dinit");
    let uuid = &image().contents.root_uuid;
    guest.run(&format!("udevadm wait --timeout=120 /dev/disk/by-uuid/{uuid}"));
    assert_eq!(guest.run(&format!("readlink -f /dev/disk/by-uuid/{uuid}")).trim(), "/dev/vda");

    // A node that loads its module when it is used.
    guest.run("truncate -s 1M /tmp/disk && losetup -f /tmp/disk && losetup -D");
    assert_eq!(guest.run("stat -c '%A %U:%G' /dev/loop-control").trim(), "crw-rw---- root:disk");
    guest.run("touch /written");
    assert_eq!(guest.run("hostname").trim(), "base");

    // The log takes messages, those of dinit among them.
    guest.run("logger -t boot-test marked");
    let wait = |text: &str| {
        format!("for i in $(seq 300); do grep -q '{text}' /var/log/syslog && exit; sleep 0.1; done; exit 1")
    };
    guest.run(&wait("boot-test: marked"));
    guest.run(&wait("dinit: service boot started"));

    // The package database is whole.
    assert_eq!(guest.run("dpkg --audit"), "");
    let packages = guest.run("dpkg -l | tail -n +6");
    assert!(packages.lines().count() > 60, "{packages}");
    assert!(packages.lines().all(|line| line.starts_with("ii ")), "{packages}");
    assert_eq!(guest.run("stat -c '%U:%G %a' /etc/shadow").trim(), "root:shadow 640");
    assert_eq!(guest.run("stat -c '%U:%G %a' /usr/bin/passwd").trim(), "root:root 4755");

    // A user can log in on the serial console. The token is split, so that its echo does not match.
    guest.type_line("");
    guest.expect("login: ");
    guest.type_line("root");
    guest.expect("Password: ");
    guest.type_line(PASSWORD);
    guest.expect("# ");
    guest.type_line("echo E\"\"ND-$(id -u)-$(tty)");
    guest.expect("END-0-/dev/ttyS0");

    // dinit takes an orphan in and reaps it: its number is gone once it has ended. The two pipes hold it until
    // its parent has ended.
    guest.run("mkfifo /tmp/go; sh -c '(read line < /tmp/go) > /dev/null 2>&1 & echo $! > /tmp/orphan'");
    guest.run("grep -q '^PPid:[[:space:]]*1$' /proc/$(cat /tmp/orphan)/status && echo > /tmp/go");
    guest.run("for i in $(seq 300); do test -e /proc/$(cat /tmp/orphan) || exit 0; sleep 0.1; done; exit 1");

    // A process enters its control group; where there is none, the reason is told.
    guest.run("mkdir /sys/fs/cgroup/jobs");
    guest.put("/etc/dinit.d/grouped", 0o644, GROUPED);
    guest.run("dinitctl start grouped && grep -qx '0::/jobs' /run/grouped && rmdir /sys/fs/cgroup/jobs");
    guest.run("dinitctl stop grouped; ! dinitctl start grouped");
    let status = guest.try_run("dinitctl status grouped");
    let status = String::from_utf8_lossy(&status.out).into_owned();
    assert!(
        status.contains("Stage: entering cgroup\n        Error: No such file or directory\n"),
        "{status}"
    );

    // What the administrator enables starts now, and at the next boot.
    guest.run("printf 'type = process\\ncommand = /bin/sleep 1000\\n' > /etc/dinit.d/beacon; dinitctl enable beacon");
    guest.run("dinitctl is-started beacon");

    // A reboot comes back, with what was written.
    guest.agent.shut_down(Shutdown::Reboot).expect("dinit takes the request");
    let limit = guest.machine.scaled(boot_tests::STEP);
    guest.agent.wait_restarted(limit).expect("the guest comes back");
    guest.must_boot();
    guest.run("test -e /written; dinitctl is-started beacon");

    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
    assert!(is_clean(&guest.root()), "the root is marked clean\n{}", guest.console());
}

#[test]
fn single_asks_for_the_password_there_is_and_then_continues_and_lets_nobody_in_where_root_is_locked() {
    let wishes = Wishes { keep: true, start: Some("single -t agent"), ..Wishes::default() };
    let mut guest = Guest::start(&wishes, |config| config.on_reboot = OnReboot::Restart);
    guest.expect("Enter root password for system maintenance");
    guest.answer_sulogin(PASSWORD);
    guest.type_line("mount -o remount,rw / && passwd -d root && reboot");

    // Without a password there is nothing to ask for.
    guest.expect("Press Enter for system maintenance");
    guest.answer_sulogin("");
    guest.type_line("echo S\"\"INGLE-$(id -u)");
    guest.expect("SINGLE-0");
    guest.type_line("exit");
    guest.expect("login: ");
    guest.must_come_back();

    guest.run("passwd -l root");
    guest.agent.shut_down(Shutdown::Reboot).expect("dinit takes the request");
    guest.expect("root account is locked");
    guest.expect("Press Enter to continue");
    guest.type_until("", "login: ");
    guest.must_come_back();
    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
}

#[test]
fn a_command_runs_in_the_guest_and_its_output_and_status_come_through() {
    let _turn = turn();
    let output = Command::new(mkimage())
        .args(["boot", "--quiet", "--debug-shell", "--init", "/usr/sbin/dinit", "--exec"])
        // The shells on the serial port and on tty6; the words of process 1 begin with its path.
        .arg(
            "echo to-out; echo to-err >&2; id -u; pgrep -c '^debug-shell$'; tr '\\0' '\\n' < /proc/1/cmdline | head -1; exit 7",
        )
        .output()
        .expect("mkimage can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "to-out\n0\n2\n/usr/sbin/dinit\n");
    assert_eq!(error, "to-err\n");
}

#[test]
fn a_guest_that_cannot_find_its_root_fails_at_once_with_the_reason() {
    let _turn = turn();
    let output = Command::new(mkimage())
        .args(["boot", "--quiet", "--exec", "true", "--append", "root=UUID=nonsense"])
        .output()
        .expect("mkimage can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("initramfs: cannot "), "{error}");
    assert!(error.contains("the console's last lines"), "{error}");
}
