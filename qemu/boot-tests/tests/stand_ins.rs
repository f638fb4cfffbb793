//! eudev and sysklogd, which come from elsewhere: with stand-ins for their packages, that take the options and have the
//! files of the real ones.

use std::fs::File;

use agent_protocol::message::Shutdown;
use boot_tests::{BUTTON_IS_READ, Guest, Wishes, is_clean, stand_ins_image, until};
use qemu_machine::{Disk, Network, OnReboot, Writes};

/// One device that is known only by a link of the device manager's, and one that never comes.
const FSTAB: &str = "\
/dev/disk/by-label/second /srv ext4 x-systemd.device-timeout=10 0 2
/dev/disk/by-label/nobody /mnt ext4 x-systemd.device-timeout=1 0 0
";

#[test]
fn packages_of_eudev_and_sysklogd_displace_the_archives_and_serve() {
    let image = stand_ins_image();
    let wishes = Wishes { keep: true, ..Wishes::default() };
    let mut guest = Guest::start_image(image, &wishes, |config| {
        config.on_reboot = OnReboot::Restart;
        config.network = Network::User;
        let path = config.disks[0].path.with_file_name("second");
        File::create(&path).and_then(|file| file.set_len(32 << 20)).expect("a disk");
        config.disks.push(Disk { path, writes: Writes::Kept });
    });
    let report = guest.must_boot();
    // An interface that is there makes its service known, which starts only for those who need it.
    let missing: Vec<_> = report.not_started.iter().filter(|it| !it.name.starts_with("netdev@")).collect();
    assert!(missing.is_empty(), "{missing:#?}\n{}", guest.console());

    // They are there, whole, and the archive's are not.
    let packages = guest.run("dpkg --audit; dpkg-query -W -f '${binary:Package} ${db:Status-Abbrev}\\n'");
    let has = |name: &str| packages.lines().any(|line| line == format!("{name} ii "));
    for (name, is_there) in [
        ("eudev", true),
        ("libeudev1:amd64", true),
        ("syslogd", true),
        ("udev", false),
        ("libudev1:amd64", false),
        ("inetutils-syslogd", false),
    ] {
        assert_eq!(has(name), is_there, "{name}:\n{packages}");
    }
    guest.run("test -s /usr/lib/udev/hwdb.bin; getent group input");

    // Devices have their links and owners; an interface starts its service.
    let uuid = &image.contents.root_uuid;
    guest.run(&until(&format!("test /dev/vda -ef /dev/disk/by-uuid/{uuid}")));
    assert_eq!(guest.run("stat -c %U:%G:%a /dev/vda /dev/loop-control"), "root:disk:660\nroot:disk:660\n");
    guest.run(&until("dinitctl list | grep -q 'netdev@[a-z]*[0-9]'"));
    guest.run("dinitctl start $(dinitctl list | grep -o 'netdev@[a-z]*[0-9][a-z0-9]*')");

    // A device that comes is handled, and what is said is in the log; with new daemons as with the first ones.
    let handle = |guest: &mut Guest, number: u32| {
        guest.run(&format!(
            "mkdir -p /run/udev/rules.d && echo 'KERNEL==\"loop{number}\", SYMLINK+=\"handled-{number}\"' > /run/udev/rules.d/50-test.rules && \
             udevadm control --reload && modprobe loop max_loop=4 && udevadm trigger --action=add --sysname-match=loop{number}"
        ));
        guest.run(&until(&format!("test /dev/loop{number} -ef /dev/handled-{number}")));
        guest.run(&format!("logger -t boot-test said-{number}"));
        guest.run(&until(&format!("grep -q 'boot-test: said-{number}' /var/log/syslog")));
    };
    handle(&mut guest, 1);
    guest.run(&until("grep -q 'dinit: service boot started' /var/log/syslog"));
    for (service, program) in [("udevd", "udevd"), ("syslogd", "syslogd")] {
        guest.run(&format!(
            "old=$(pgrep -o -x {program}); kill -9 $old; {}",
            until(&format!(
                "new=$(pgrep -o -x {program}) && [ \"$new\" != \"$old\" ] && dinitctl is-started {service}"
            ))
        ));
    }
    handle(&mut guest, 2);
    guest.run("dinitctl start udev-settle");

    // What fstab names is waited for, though eudev's udevadm cannot wait for a device.
    guest.run("mkfs.ext4 -q -F -L second /dev/vdb");
    guest.run(&format!("cat >> /etc/fstab <<'END'\n{FSTAB}END\n"));
    guest.agent.shut_down(Shutdown::Reboot).expect("dinit takes the request");
    guest.must_come_back();
    guest.run("mountpoint -q /srv; ! mountpoint -q /mnt");
    let console = guest.console();
    assert!(console.contains("; Ctrl+C goes on without"), "{console}");
    let said = "fscheck: the boot goes on without what /etc/fstab lists on: /dev/disk/by-label/nobody";
    assert!(console.contains(said), "{console}");
    assert!(!console.contains("udevadm: "), "{console}");

    guest.run(&until(BUTTON_IS_READ));
    guest.machine.press_power_button().expect("QEMU takes it");
    guest.must_end();
    assert!(is_clean(&guest.root()), "the root is marked clean\n{}", guest.console());
}
