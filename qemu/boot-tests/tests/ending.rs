//! How a system ends and begins anew: by its keys and buttons, into the same dinit, into another kernel, and with
//! everything in the way that can be.

use std::fs::{self, File};

use agent_protocol::message::Shutdown;
use boot_tests::{BUTTON_IS_READ, Guest, Wishes, image, is_clean, until};
use qemu_machine::{Disk, OnReboot, Writes};

/// Tells which console a display server would be given: VT_OPENQRY of console_ioctl(2).
const FREE_CONSOLE: &str = "perl -e 'open my $any, \"<\", \"/dev/tty0\" or die; my $number = pack \"i\", 0; \
     ioctl $any, 0x5600, $number or die; print unpack \"i\", $number'";

/// The first service of all, which here waits for somebody to let it go on.
const HELD_UP: &str = "\
type = scripted
command = /bin/sh -c \"until [ -e /run/go ]; do sleep 0.1; done; exec /usr/lib/dinit/early-filesystems\"
start-timeout = 0
";

/// A service that holds up the shutdown for ever.
const STUBBORN: &str = "\
type = process
command = /bin/sh -c \"trap '' TERM; while :; do sleep 1; done\"
stop-timeout = 0
";

/// A hook of the image that waits for somebody too, and leaves the rest to the shutdown program.
const HOOK: &str = "#!/bin/sh
echo \"hook: $1\"
until [ -e /run/end ]; do sleep 0.1; done
exit 1
";

/// File systems within each other on the second disk: a swap file, a loop device, a bind mount, and memory between.
const NEST: &str = "\
modprobe loop && mkfs.ext4 -q -F /dev/vdb && mount /dev/vdb /srv && mkdir /srv/memory /srv/again && \
mount -t tmpfs memory /srv/memory && mkdir /srv/memory/loop && \
truncate -s 8M /srv/file && mkfs.ext4 -q /srv/file && mount -o loop /srv/file /srv/memory/loop && \
mount --bind /srv/memory /srv/again && \
dd if=/dev/zero of=/srv/swap bs=1M count=4 status=none && chmod 600 /srv/swap && mkswap -q /srv/swap && \
swapon /srv/swap && cp /etc/passwd /srv/memory/loop && cp /etc/passwd /srv";

#[test]
fn nothing_in_the_way_keeps_file_systems_open_and_the_debug_shell_sees_it_all() {
    let wishes = Wishes {
        keep: true,
        debug_shell: true,
        seed: vec![("dinit.d/early-filesystems", HELD_UP), ("dinit.d/stubborn", STUBBORN)],
        ..Wishes::default()
    };
    let mut second = std::path::PathBuf::new();
    let mut guest = Guest::start(&wishes, |config| {
        second = config.disks[0].path.with_file_name("second");
        File::create(&second).and_then(|file| file.set_len(64 << 20)).expect("a disk");
        config.disks.push(Disk { path: second.clone(), writes: Writes::Kept });
    });

    // It is there before the first service.
    let mut shell = guest.debug_shell();
    shell.run("touch /run/go");
    guest.must_boot();

    guest.run(NEST);
    guest.run(&format!(
        "cat > /etc/dinit/shutdown-hook <<'END'\n{HOOK}END\nchmod +x /etc/dinit/shutdown-hook"
    ));
    guest.run("dinitctl start stubborn");
    // Nobody's service, deaf, and at home in the innermost file system.
    guest.run("cd /srv/memory/loop && (trap '' TERM; exec sleep 1000) > /dev/null 2>&1 &");

    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    // It is there while dinit waits for a service that does not stop,
    shell.run("dinitctl list | grep -q stubborn");
    shell.run("pkill -9 -f ^/bin/sh.*TERM");
    guest.expect("Sending TERM/KILL to all processes...");
    guest.expect("hook: poweroff");
    // and after all processes were killed. Whoever sits in a file system keeps it from being unmounted.
    shell.run("cd /srv; touch /run/end");
    guest.expect("Turning off swap...");
    guest.expect("Unmounting disks...");
    guest.must_end();
    let console = guest.console();
    assert!(!console.contains("Warning: "), "{console}");
    assert!(is_clean(&second), "the second disk is marked clean\n{console}");
    assert!(is_clean(&guest.root()), "the root is marked clean\n{console}");
}

/// Loads a kernel with its initramfs, as kexec(8) does, by the system call that is number 320 on x86-64.
const LOAD_KERNEL: &str = "\
perl -e 'open K, \"/run/kernel\" or die; open I, \"/run/initramfs\" or die; open C, \"/proc/cmdline\" or die;
chomp($line = <C>); $line .= \" again\\0\";
syscall(320, fileno K, fileno I, length $line, $line, 0) == 0 or die \"kexec_file_load: $!\"'";

#[test]
fn keys_soft_reboot_and_kexec_begin_anew_and_the_power_button_ends() {
    let mut kernel = Vec::new();
    let mut initramfs = Vec::new();
    let mut guest = Guest::start(&Wishes::default(), |config| {
        config.on_reboot = OnReboot::Restart;
        kernel = fs::read(image().kernel()).expect("a kernel");
        for archive in &config.initramfs {
            initramfs.resize(initramfs.len().next_multiple_of(4), 0);
            initramfs.extend(fs::read(archive).expect("an archive"));
        }
    });
    guest.must_boot();

    // A console has its getty once somebody looks at it, and no other has.
    let gettys = "pgrep -x agetty -a | grep -o 'tty[1-6] ' | tr -d '\\n'";
    assert_eq!(guest.run(gettys), "tty1 ");
    // The other consoles are taken all the same.
    guest.run(&until(&format!("test \"$({FREE_CONSOLE})\" = 7")));
    guest.machine.press_keys(&["alt", "f3"]).expect("QEMU takes the keys");
    guest.run(&until("pgrep -f '^/usr/sbin/agetty.* tty3 '"));
    assert_eq!(guest.run(gettys), "tty1 tty3 ");
    guest.run("dinitctl is-started tty2 && dinitctl is-started tty3");

    guest.run("touch /run/before");
    guest.machine.press_keys(&["ctrl", "alt", "delete"]).expect("QEMU takes the keys");
    guest.must_come_back();
    guest.run("test ! -e /run/before");

    // Everything but the kernel is new, and /run is empty but for what the tests brought.
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    guest.run("touch /run/before");
    let before = guest.run(boot_id);
    guest.agent.shut_down(Shutdown::SoftReboot).expect("dinit takes the request");
    guest.expect("Unmounting disks...");
    guest.must_come_back();
    assert_eq!(guest.run(boot_id), before);
    guest.run("test ! -e /run/before; dinitctl is-started syslogd && udevadm control --ping");
    guest.run("logger -t boot-test soft");
    guest.run(&until("grep -q 'boot-test: soft' /var/log/syslog"));

    // The kernel is new, and the machine was not reset.
    guest.agent.put(b"/run/kernel", 0o600, &*kernel).expect("the guest takes it");
    guest.agent.put(b"/run/initramfs", 0o600, &*initramfs).expect("the guest takes it");
    guest.run(LOAD_KERNEL);
    guest.agent.shut_down(Shutdown::Kexec).expect("dinit takes the request");
    guest.expect("Issuing shutdown via kernel...");
    guest.must_come_back();
    guest.run("grep -q ' again$' /proc/cmdline");

    guest.run(&until(BUTTON_IS_READ));
    guest.machine.press_power_button().expect("QEMU takes it");
    guest.expect("was pressed");
    guest.must_end();
}

#[test]
fn a_system_that_is_halted_stays_there_with_its_file_systems_clean() {
    let mut guest = Guest::start(&Wishes { keep: true, ..Wishes::default() }, |_| {});
    guest.must_boot();
    guest.agent.shut_down(Shutdown::Halt).expect("dinit takes the request");
    guest.expect("reboot: System halted");
    assert!(guest.machine.status().expect("QEMU answers").contains("running"), "the power is still on");
    guest.machine.quit().expect("QEMU ends");
    assert!(is_clean(&guest.root()));
}
