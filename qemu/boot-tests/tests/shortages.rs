//! What a system may lack: memory, room on the disk, room in /run, patience, the time, and its users.

use std::fs::File;

use agent_protocol::message::Shutdown;
use boot_tests::{Guest, Wishes, is_clean, until};
use qemu_machine::{Disk, OnReboot, Writes};

/// Takes all the memory there is, once.
const HOG: &str = "type = process\ncommand = /usr/bin/tail /dev/zero\nrestart = no\n";

/// Leaves no block of the root free.
const FILL: &str = "\
for size in 64M 8M 1M 64K 4K; do \
    number=0; while fallocate -l $size /filler-$size-$number 2> /dev/null; do number=$((number + 1)); done; \
done; ! sh -c 'echo more > /more'";

/// A check that takes longer than anybody waits.
const SLOW_CHECK: &str = "#!/bin/sh\necho checking for ever\nexec sleep 100000\n";

/// Leaves no room in /run for anything more. The device manager must be idle: it would make room again.
const FULL_RUN: &str = "\
#!/bin/sh
udevadm settle --timeout=120
mount -o remount,size=8m /run
head -c 16m /dev/zero > /run/filler
mount -o remount,nr_inodes=$(($(df --output=iused /run | tail -1) + 8)) /run
number=0
while touch /run/filler-$number 2> /dev/null; do number=$((number + 1)); done
";

/// What does so.
const FULL_RUN_SERVICE: &str = "type = scripted\ncommand = /usr/local/sbin/full-run\nstart-timeout = 300\ndepends-on: rootrw\n\
    depends-on: udev-trigger\nafter: modules\nbefore: auxfscheck\n";

/// A check that finds errors, which nobody repairs.
const FAILING_CHECK: &str = "#!/bin/sh\nexit 4\n";

/// Resets the machine, as a loss of power would, after the answer has gone out.
const RESET: &str = "sync; (sleep 2; echo b > /proc/sysrq-trigger) > /dev/null 2>&1 &";

/// A process 1 that lays memory over a root that cannot be written to, and hands over to dinit.
const OVERLAY_INIT: &str = "\
#!/bin/sh -e
modprobe overlay
mount -t tmpfs overlay /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
exec switch_root /mnt/root /usr/sbin/dinit \"$@\"
";

#[test]
fn a_disk_that_cannot_be_written_to_gives_a_login_and_with_an_overlay_a_root_as_usual() {
    let mut guest = Guest::start(&Wishes::default(), |config| config.disks[0].writes = Writes::Refused);
    guest.must_boot();
    guest.log_in();
    let console = guest.console();
    assert!(console.contains("rootrw: the root file system stays read-only: "), "{console}");
    guest.run("dinitctl is-started loginready; ! touch /written");
    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
    let console = guest.console();
    assert!(console.contains("hwclock: the time was not kept in /var/lib/dinit/clock"), "{console}");
    drop(guest);

    let wishes = Wishes {
        append: "init=/run/overlay-init".to_owned(),
        seed: vec![("overlay-init", OVERLAY_INIT)],
        ..Wishes::default()
    };
    let mut guest = Guest::start(&wishes, |config| config.disks[0].writes = Writes::Refused);
    guest.must_boot();
    guest.run("touch /written; dinitctl is-started syslogd; test -s /etc/machine-id");
    let console = guest.console();
    assert!(!console.contains("read-only"), "{console}");
    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
}

#[test]
fn what_is_missing_is_said_and_the_boot_goes_on() {
    // There is no hardware clock that Linux knows of. What it starts with, it reads past all drivers.
    let append = "initcall_blacklist=cmos_init".to_owned();
    let wishes = Wishes { keep: true, append, ..Wishes::default() };
    let mut guest = Guest::start(&wishes, |config| {
        config.on_reboot = OnReboot::Restart;
        let path = config.disks[0].path.with_file_name("second");
        File::create(&path).and_then(|file| file.set_len(32 << 20)).expect("a disk");
        config.disks.push(Disk { path, writes: Writes::Kept });
    });
    guest.must_boot();
    guest.run("test ! -e /dev/rtc0; dinitctl is-started hwclock");

    // Memory: the service that takes it is killed, and nothing else.
    guest.put("/etc/dinit.d/hog", 0o644, HOG);
    guest.run("dinitctl start hog");
    guest.run(&until("! dinitctl is-started hog"));
    let status = guest.try_run("dinitctl status hog");
    let status = String::from_utf8_lossy(&status.out).into_owned();
    assert!(status.contains("signal") && status.contains('9'), "{status}");
    guest.run("dmesg | grep -q 'Out of memory: Killed process .*(tail)'");
    guest.run("dinitctl is-started syslogd && dinitctl is-started udevd && dinitctl is-started tty1");

    // Patience, and room on the disk.
    guest.run("dinitctl stop syslogd; rm -f /etc/machine-id");
    guest.run("mv /usr/sbin/fsck.ext4 /usr/sbin/fsck.kept");
    guest.put("/usr/sbin/fsck.ext4", 0o755, SLOW_CHECK);
    guest.run("echo '/dev/vdz /opt ext4 x-systemd.device-timeout=100000 0 2' >> /etc/fstab");
    guest.run(FILL);
    guest.agent.shut_down(Shutdown::Reboot).expect("dinit takes the request");
    guest.expect("rcboot: random seed not saved");
    guest.expect("checking for ever");
    guest.machine.send(b"\x03").expect("the guest reads");
    guest.expect("fscheck: waiting for /dev/vdz; Ctrl+C goes on without");
    guest.machine.send(b"\x03").expect("the guest reads");
    guest.must_come_back();
    assert!(guest.console().contains("rcboot: no machine id could be written"), "{}", guest.console());
    guest.run("dinitctl is-started loginready");
    guest.log_in();

    // The time, room in /run, and all users. What a check has found cannot be written down then, and is not forgotten.
    guest.run("rm /filler-*; mv /usr/sbin/fsck.kept /usr/sbin/fsck.ext4; sed -i /vdz/d /etc/fstab");
    guest.run("rm /usr/sbin/fsck.ext2; mkfs.ext2 -q -F /dev/vdb; printf '%s\\n' '/dev/vdb /home ext2 defaults 0 2' 'tmpfs /srv tmpfs size=1m 0 0' >> /etc/fstab");
    guest.put("/usr/sbin/fsck.ext2", 0o755, FAILING_CHECK);
    guest.put("/usr/local/sbin/full-run", 0o755, FULL_RUN);
    guest.put("/etc/dinit.d/full-run", 0o644, FULL_RUN_SERVICE);
    guest.run("ln -s ../full-run /etc/dinit.d/boot.d");
    guest.run("touch /var/lib/dinit/clock; mv /etc/passwd /etc/passwd.away; : > /etc/hostname");
    // On a busy machine it has been seen to go on as it was.
    guest.run(&until(
        "hwclock --directisa --set --date '2001-02-03 04:05:06' && hwclock --directisa --get | grep -q ^2001",
    ));
    guest.run(RESET);
    guest.must_come_back();
    let console = guest.console();
    for said in [
        "hwclock: the clock is behind /var/lib/dinit/clock; it goes on from there",
        "rcboot: /etc/passwd is missing or empty: nobody can log in.",
        "rcboot: /etc/hostname holds no valid host name; it is localhost now",
        "No space left on device",
        "fscheck: errors remain on /dev/vdb; /home is not mounted; run: fsck /dev/vdb",
        "fscheck: cannot write that down in /run: nothing that was to be checked is mounted",
        "filesystems: what the checks found is not known; not mounted: /home",
    ] {
        assert!(console.contains(said), "`{said}` is not in\n{console}");
    }
    guest.run("mountpoint -q /srv; ! mountpoint -q /home || exit 1; dinitctl is-failed filesystems");
    guest.run("test $(date +%s) -ge $(stat -c %Y /var/lib/dinit/clock)");
    guest.run("! touch /run/more || exit 1; test $(cat /proc/sys/kernel/hostname) = localhost");
    guest.expect("login: ");
    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
    assert!(is_clean(&guest.root()), "the root is marked clean\n{}", guest.console());
}
