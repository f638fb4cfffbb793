//! What goes wrong in real systems: the boot goes on as far as it can, says what is wrong and where, and ends in a
//! login or at the recovery prompt.

use std::fs::File;

use agent_protocol::message::Shutdown;
use boot_tests::{Guest, PASSWORD, Wishes, is_clean, until};
use qemu_machine::{Disk, OnReboot, Writes};

/// Lines of fstab that cannot all be right; `/dev/vdb` is damaged by then, `/dev/vdc` is no file system at all.
const FSTAB: &str = "\
/dev/vdz /opt ext4 x-systemd.device-timeout=2 0 2
/dev/disk/by-label/nobody /mnt ext4 nofail 0 2
/dev/vdb /home ext4 defaults 0 2
/dev/vdc /media ext4 nofail 0 2
lonely
tmpfs /srv tmpfs size=1m 0 0
tmpfs /tmp/a\\040[*]/deep tmpfs size=1m 0 0
/var/lib/bound /tmp/bound none bind 0 0
share /srv/share test-net _netdev 0 0
never /srv/never test-net _netdev 0 0
/dev/vdy none swap x-systemd.device-timeout=2 0 0";

/// A file system of two servers, as mount(8) runs it: one answers and one never does. It keeps what was as it should not be.
const MOUNT_TEST_NET: &str = "#!/bin/sh
dinitctl is-started network.target || touch /run/before-the-network
mountpoint -q /srv || touch /run/before-local-ones
mkdir -p \"$2\"
[ \"$1\" = share ] || exec sleep 4713
exec mount -i -t tmpfs \"$1\" \"$2\"
";

/// Makes the root read-only whoever is writing to it.
const FREEZE: &str = "echo u > /proc/sysrq-trigger; \
    for i in $(seq 300); do grep -q ' / ext4 ro' /proc/mounts && exit; sleep 0.1; done; exit 1";

/// Resets the machine, as a loss of power would, after the answer has gone out.
const RESET: &str = "(sleep 2; echo b > /proc/sysrq-trigger) > /dev/null 2>&1 &";

/// A getty that dies at once, and when it did, in seconds since the start of the system.
const DYING_GETTY: &str = "#!/bin/sh\ncut -d ' ' -f 1 /proc/uptime >> /run/dying-getty\nexit 1\n";

/// The third of its deaths is two times `restart-delay` after the first, eight seconds; by half of that, as it does not
/// notice at once that it runs.
const SLOW_DEATHS: &str = "awk 'NR == 1 { first = $1 } NR == 3 { exit $1 - first < 4 }' /run/dying-getty";

/// A recovery that fails, and takes itself away.
const FAILING_RECOVERY: &str = "type = scripted\nrestart = no\n\
    command = /bin/sh -c \"mount -o remount,rw /; rm /etc/dinit.d/recovery; sync; mount -o remount,ro /; exit 1\"\n";

/// Two files of one file system claim the same block: no unattended check may repair that. Debugfs is told that the
/// file system needs a check.
fn damage(device: &str, folder: &str) -> String {
    format!(
        "block=$(debugfs -R 'blocks {folder}/one' {device} 2> /dev/null | tr -d ' '); \
         debugfs -w -R \"set_inode_field {folder}/two block[5] $block\" {device}; \
         debugfs -w -R 'set_super_value state 2' {device}; sync"
    )
}

#[test]
fn bad_files_and_bad_disks_are_said_and_the_boot_goes_on() {
    let wishes = Wishes { keep: true, ..Wishes::default() };
    let mut guest = Guest::start(&wishes, |config| {
        config.on_reboot = OnReboot::Restart;
        let folder = config.disks[0].path.parent().map(std::path::Path::to_owned).expect("a folder");
        for name in ["second", "third"] {
            let path = folder.join(name);
            File::create(&path).and_then(|file| file.set_len(32 << 20)).expect("a disk");
            config.disks.push(Disk { path, writes: Writes::Kept });
        }
    });
    guest.must_boot();

    // Daemons that are killed come back, and serve.
    guest.run(
        "kill -9 $(cat /run/syslog.pid) $(dinitctl status udevd | sed -n 's/.*Process ID: *//p'); sleep 0.2",
    );
    guest.run(&until("dinitctl is-started syslogd && dinitctl is-started udevd && udevadm control --ping"));
    guest.run("logger -t boot-test again");
    guest.run(&until("grep -q 'boot-test: again' /var/log/syslog"));

    // A file system with an error in it, and nonsense of every kind.
    guest.run(
        "mkfs.ext4 -q -F /dev/vdb && mount /dev/vdb /mnt && cp /etc/passwd /mnt/one && cp /etc/group /mnt/two && umount /mnt",
    );
    guest.run(&damage("/dev/vdb", ""));
    guest.run("head -c 64K /dev/urandom > /dev/vdc");
    // The last line has no end.
    guest.run(&format!("printf %s '{FSTAB}' >> /etc/fstab"));
    // What a check of /tmp has found is for a person to look at.
    guest.run("mkdir /tmp/lost+found; touch /tmp/lost+found/kept /tmp/old /tmp/.old");
    // What is mounted below it was not left there.
    guest.run("mkdir -p '/tmp/a [*]/deep' '/tmp/a bc/deep' /tmp/bound /var/lib/bound; touch '/tmp/a [*]/old' /var/lib/bound/other");
    guest.run("printf 'no_such_module a=b\\n!!! bad\\nloop max_loop=3\\n' > /etc/modules");
    guest.run("printf 'rubbish\\nkernel.panic = 7\\n' > /etc/sysctl.d/50-bad.conf");
    guest.run("printf 'd /run/bad 0755 nosuchuser root -\\nd /run/good 0755 root root -\\n' > /usr/lib/tmpfiles.d/bad.conf");
    guest.run("printf '\\200\\377binary\\n' > /etc/hostname");
    let services = [
        ("crashing", "type = process\ncommand = /bin/false\nrestart = yes\n"),
        ("bad-getty", "type = process\ncommand = /usr/sbin/agetty --local-line nosuchtty\nrestart = yes\n"),
        (
            "deaf",
            "type = process\ncommand = /bin/sh -c \"trap '' TERM; while :; do sleep 1; done\"\nstop-timeout = 1\n",
        ),
    ];
    for (name, text) in services {
        guest.run(&format!("cat > /etc/dinit.d/{name} <<'END'\n{text}END\n"));
        guest.run(&format!("ln -s ../{name} /etc/dinit.d/boot.d/{name}"));
    }
    guest.run("ln -s ../absent /etc/dinit.d/boot.d/absent");
    guest.put("/usr/local/bin/dying-getty", 0o755, DYING_GETTY);
    guest.run("sed 's|^command = .*|command = /usr/local/bin/dying-getty|' /usr/lib/dinit.d/tty5 > /etc/dinit.d/tty5");
    // Somebody's own process 1, which ends in ours.
    guest.run("rm /sbin/init && cp -p /bin/true /sbin/init && cat > /sbin/init <<'END'\n#!/bin/sh\necho \"$@\" > /run/wrapped\nexec /usr/sbin/dinit \"$@\"\nEND");

    guest.put("/usr/sbin/mount.test-net", 0o755, MOUNT_TEST_NET);
    guest.agent.shut_down(Shutdown::Reboot).expect("dinit takes the request");

    // One can log in while a server of network file systems is waited for; what mounts them comes behind the network.
    let limit = guest.machine.scaled(boot_tests::STEP);
    guest.agent.wait_restarted(limit).expect("the guest comes back");
    guest.run(&until("pgrep -fx 'sleep 4713' > /dev/null"));
    guest.run(
        "dinitctl is-started loginready; dinitctl is-started tty1; ! dinitctl is-started late-filesystems",
    );
    guest.run("mountpoint -q /srv/share; ! ls /run/before-* || exit 1; pkill -fx 'sleep 4713'");
    guest.must_boot();
    guest.run("dinitctl is-failed late-filesystems");
    guest.run("umount /srv/share; sed -i /never/d /etc/fstab; dinitctl start late-filesystems; mountpoint -q /srv/share");
    guest.run("dinitctl stop late-filesystems; ! mountpoint -q /srv/share || exit 1; mountpoint -q /srv");

    let console = guest.console();
    for said in [
        "Ignoring unresolved dependency 'absent'",
        "modules: /etc/modules names no_such_module, which cannot be loaded",
        "fscheck: the boot goes on without what /etc/fstab lists on: /dev/vdz /dev/vdy",
        "fscheck: /dev/vdz could not be checked; /opt is not mounted",
        "fscheck: errors remain on /dev/vdb; /home is not mounted; run: fsck /dev/vdb",
        "fscheck: /dev/vdc could not be checked; /media is not mounted",
        "filesystems: /etc/fstab: too few fields in the line of `lonely`",
        "filesystems: not all of /etc/fstab could be mounted",
        "filesystems: not all swap of /etc/fstab could be turned on",
        "rcboot: /etc/hostname holds no valid host name; it is localhost now",
        "50-bad.conf",
        "bad.conf:1: Failed to resolve user 'nosuchuser'",
    ] {
        assert!(console.contains(said), "`{said}` is not in\n{console}");
    }
    guest.run(&until("grep -q 'Service crashing restarting too quickly; stopping.' /var/log/syslog"));
    // What is right among it is done.
    assert_eq!(guest.run("cat /run/wrapped").trim(), "-t boot -t agent");
    assert_eq!(guest.run("cat /proc/sys/kernel/panic").trim(), "7");
    assert_eq!(guest.run("hostname").trim(), "localhost");
    assert_eq!(guest.run("cd /tmp; find . -name '*old' -o -name kept"), "./lost+found/kept\n");
    guest.run("mountpoint -q '/tmp/a [*]/deep'; test -e /tmp/bound/other; test ! -e '/tmp/a bc'");
    assert!(!console.contains("in /tmp could be removed"), "{console}");
    guest.run("test -d /run/good; mountpoint -q /srv; grep -q '^loop ' /proc/modules");
    assert_eq!(guest.run("findmnt -rno TARGET /home /opt /media || true"), "");
    guest
        .run("dinitctl is-failed filesystems; dinitctl is-failed auxfscheck; dinitctl is-started loginready");

    // A getty that dies at once is started again and again, but slowly, and keeps nothing from starting. When it is
    // mended it is there.
    guest.run(&until("test $(wc -l < /run/dying-getty) -ge 3"));
    guest.run(SLOW_DEATHS);
    guest.run("dinitctl is-started tty6; dinitctl is-started boot");
    guest.put("/usr/local/bin/dying-getty", 0o755, "#!/bin/sh\nexec sleep 4711\n");
    guest
        .run(&until("pgrep -fx 'sleep 4711' > /dev/null && dinitctl status tty5 | grep -q 'State: STARTED'"));

    // A service that does not stop holds up nothing for longer than it may.
    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
    assert!(is_clean(&guest.root()), "the root is marked clean\n{}", guest.console());
}

#[test]
fn a_damaged_root_is_repaired_or_given_to_a_person() {
    let wishes = Wishes { keep: true, ..Wishes::default() };
    let mut guest = Guest::start(&wishes, |config| {
        config.on_reboot = OnReboot::Restart;
        // The shells that wait for a person are what this is about.
        config.failures.clear();
    });
    guest.must_boot();

    // The power goes: the journal is replayed.
    guest.run("cp /etc/passwd /root/one; cp /etc/group /root/two; sync; touch /root/unwritten");
    guest.run(RESET);
    guest.must_come_back();
    assert_eq!(guest.run("wc -c < /root/one"), guest.run("wc -c < /etc/passwd"));

    // What fsck repairs by itself on a mounted root takes a reboot, and no person.
    guest.run(FREEZE);
    guest.run(
        "debugfs -w -R 'set_inode_field /root/one links_count 5' /dev/vda; \
         debugfs -w -R 'set_super_value state 2' /dev/vda; sync",
    );
    guest.run(RESET);
    guest.expect("fscheck: the root file system was repaired; rebooting.");
    guest.must_come_back();
    assert_eq!(guest.run("stat -c %h /root/one").trim(), "1");

    // What it must not repair by itself ends in a shell, for those who know the password.
    guest.run(FREEZE);
    guest.run(&damage("/dev/vda", "/root"));
    guest.run(RESET);
    guest.expect("fscheck: errors remain on the root file system; run fsck by hand: fsck /");
    guest.expect("Enter root password for system maintenance");
    guest.answer_sulogin(PASSWORD);
    guest.type_line("fsck -y / > /dev/null; echo fsck\"\"-said-$?");
    guest.expect("fsck-said-3");
    guest.type_line("exit");
    guest.must_come_back();

    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
    assert!(is_clean(&guest.root()), "the root is marked clean\n{}", guest.console());
}

#[test]
fn a_boot_that_fails_ends_at_a_prompt_that_helps_with_and_without_a_password() {
    let broken = ("dinit.d/boot", "type = internal\ndepends-on: nobody-has-this\n");
    let wishes = Wishes { keep: true, start: Some("-t boot"), seed: vec![broken], ..Wishes::default() };
    let mut guest = Guest::start(&wishes, |config| {
        config.on_reboot = OnReboot::Restart;
        config.failures.clear();
    });
    let choose = |guest: &mut Guest, key: &str| {
        guest.expect("(p)ower off?");
        guest.machine.send(key.as_bytes()).expect("the guest reads");
    };

    // The reason is there, and the recovery shell asks for the password.
    let before = guest.expect("Choose: (r)eboot");
    assert!(before.contains("nobody-has-this"), "{before}");
    choose(&mut guest, "e");
    guest.expect("Enter root password for system maintenance");
    guest.answer_sulogin(PASSWORD);
    guest.type_line("mount -o remount,rw / && passwd -d root; exit");

    // Without a password there is nothing to ask for.
    choose(&mut guest, "e");
    guest.expect("Press Enter for system maintenance");
    guest.answer_sulogin("");
    guest.type_line("passwd -l root; exit");

    // Nobody gets in where root is locked; the prompt is back.
    choose(&mut guest, "e");
    guest.expect("Press Enter to continue.");
    guest.type_until("", "(p)ower off?");

    // Once more the same failure, and then a reboot. The archive brings the broken service anew.
    guest.machine.send(b"s").expect("the guest reads");
    choose(&mut guest, "r");
    choose(&mut guest, "p");
    guest.must_end();
}

#[test]
fn recovery_starts_by_itself_where_dinit_is_told_to_and_where_it_cannot_there_is_the_prompt() {
    let boot = ("dinit.d/boot", "type = internal\ndepends-on: loginready\nwaits-for: beacon\n");
    let beacon = ("dinit.d/beacon", "type = process\ncommand = /bin/true\nrestrat = yes\n");
    let wishes =
        Wishes { keep: true, start: Some("-r -t boot"), seed: vec![boot, beacon], ..Wishes::default() };
    let mut guest = Guest::start(&wishes, |config| {
        config.on_reboot = OnReboot::Restart;
        config.failures.clear();
    });
    let before = guest.expect("Enter root password for system maintenance");
    assert!(before.contains("beacon") && before.contains("restrat"), "{before}");
    assert!(!before.contains("(r)eboot"), "{before}");
    guest.answer_sulogin(PASSWORD);
    // The control socket is there for `reboot`.
    guest.type_line(&format!(
        "mount -o remount,rw / && printf '{}' > /etc/dinit.d/recovery && mv /usr/lib/dinit.d/recovery /root && reboot",
        FAILING_RECOVERY.replace('\n', "\\n")
    ));

    // One that fails is not tried for ever.
    let choose = |guest: &mut Guest, key: &str| {
        guest.expect("(p)ower off?");
        guest.machine.send(key.as_bytes()).expect("the guest reads");
    };
    let before = guest.expect("Choose: (r)eboot");
    assert!(before.contains("recovery"), "{before}");
    choose(&mut guest, "r");

    // Neither is one that is not there.
    guest.expect("Unable to start recovery service: ");
    choose(&mut guest, "e");
    guest.expect("Unable to start recovery service.");
    choose(&mut guest, "p");
    guest.must_end();
    assert!(is_clean(&guest.root()), "the root is marked clean\n{}", guest.console());
}
