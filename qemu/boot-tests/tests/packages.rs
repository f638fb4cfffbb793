//! The services that come along with packages: each daemon is started, and answers.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use agent_protocol::message::Shutdown;
use boot_tests::{BUTTON_IS_READ, Guest, Wishes, packages_image, until, variants_image};
use qemu_machine::{Config, Network};

/// The channel of QEMU's guest agent, whose other end is a service of the guest.
const GUEST_AGENT: &str = "org.qemu.guest_agent.0";

/// A process 1 that adds a network file system, whose mounting keeps what addresses there were, and hands over to dinit.
const NETWORK_MOUNT_INIT: &str = r#"#!/bin/sh -e
mount -o remount,rw /
cat > /usr/sbin/mount.test-net <<'END'
#!/bin/sh
ip -4 -o address show scope global > /run/addresses
exec mount -i -t tmpfs "$1" "$2"
END
chmod 0755 /usr/sbin/mount.test-net
echo 'share /srv test-net _netdev 0 0' >> /etc/fstab
mount -o remount,ro /
exec /usr/sbin/dinit "$@"
"#;

/// A machine with everything that the daemons want.
fn equip(config: &mut Config) {
    config.network = Network::User;
    config.channels.push(GUEST_AGENT.to_owned());
}

/// Asks QEMU's guest agent, which answers in a line. Where it does not run yet, the question waits in the channel.
fn ask(guest: &Guest, channel: &UnixStream, question: &str) -> String {
    let limit = guest.machine.scaled(boot_tests::STEP);
    channel.set_read_timeout(Some(limit)).expect("a time limit");
    let mut writer = channel;
    writer.write_all(format!("{question}\n").as_bytes()).expect("the channel takes a line");
    let mut answer = String::new();
    let read = BufReader::new(channel).read_line(&mut answer);
    read.unwrap_or_else(|error| panic!("{question}: {error}\n{}", guest.console()));
    answer
}

#[test]
fn every_daemon_that_comes_with_a_package_is_started_and_answers() {
    let wishes = Wishes {
        append: "init=/run/network-mount-init".to_owned(),
        seed: vec![("network-mount-init", NETWORK_MOUNT_INIT)],
        ..Wishes::default()
    };
    let mut guest = Guest::start_image(packages_image(), &wishes, equip);
    let report = guest.must_boot();
    // An interface that is there makes its service known, which starts only for those who need it.
    let missing: Vec<_> = report.not_started.iter().filter(|it| !it.name.starts_with("netdev@")).collect();
    assert!(missing.is_empty(), "{missing:#?}\n{}", guest.console());

    // The device manager has started the interface's service, and DHCP given it an address of QEMU's network.
    let name = guest.run(
        "for i in $(seq 600); do dinitctl list | grep -o 'netdev@[a-z0-9]*' | grep -v @lo && exit; sleep 0.1; done; exit 1",
    );
    let interface = name.trim().trim_start_matches("netdev@");
    guest.run(&format!("dinitctl start netdev@{interface}"));
    guest.run(&format!(
        "for i in $(seq 600); do ip -4 addr show dev {interface} | grep -q 'inet 10.0.2.' && exit; sleep 0.1; done; exit 1"
    ));
    guest.run("dinitctl is-started dhcpcd");
    // A network file system was mounted when there was an address.
    guest.run("mountpoint -q /srv; grep -q 'inet 10.0.2.' /run/addresses");

    // Not everybody may read who has logged in.
    assert_eq!(guest.run("stat -c %U:%G:%a /var/log/auth.log"), "root:adm:640\n");

    // Remote login: it listens, with keys of this system's own, and says what it is.
    let greeting = guest.run("bash -c 'exec 3<>/dev/tcp/127.0.0.1/22; read -r line <&3; echo \"$line\"'");
    assert!(greeting.starts_with("SSH-2.0-"), "{greeting}");
    guest.run("test -s /etc/ssh/ssh_host_ed25519_key");

    // The message bus, the clock, and cron.
    let names = "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.ListNames";
    let answer = guest.run(&format!("dbus-send --system --print-reply --dest={names}"));
    assert!(answer.contains("org.freedesktop.DBus"), "{answer}");
    guest.run("chronyc -n tracking");
    guest.run(
        "echo '* * * * * root touch /run/by-cron' > /etc/cron.d/test; date -s '2031-01-01 00:00:55'; \
         for i in $(seq 1200); do test -e /run/by-cron && exit; sleep 0.1; done; exit 1",
    );

    // Servers: the page that the package brings, a value kept, a sum.
    let request = "printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; read -r line <&3; echo \"$line\"";
    let status = guest.run(&format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/80; {request}'"));
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    assert_eq!(guest.run("redis-cli set key value && redis-cli get key"), "OK\nvalue\n");
    assert_eq!(guest.run("su postgres -c \"psql -Atc 'select 6 * 7'\""), "42\n");
    guest.run("dinitctl is-started postgresql-cluster@17-main");

    // The host's questions, and seats.
    let channel = guest.machine.channel(GUEST_AGENT).expect("a channel");
    assert_eq!(ask(&guest, &channel, "{\"execute\": \"guest-ping\"}"), "{\"return\": {}}\n");
    assert!(guest.run("loginctl list-seats --no-legend").contains("seat0"));

    // Every daemon is supervised: it comes back when it is killed.
    for (service, program) in [
        ("sshd", "sshd"),
        ("dbusd", "dbus-daemon"),
        ("chronyd", "chronyd"),
        ("cron", "cron"),
        ("nginx", "nginx"),
        ("redis-server", "redis-server"),
        ("qemu-guest-agent", "qemu-ga"),
        ("elogind", "elogind"),
    ] {
        guest.run(&format!(
            "old=$(pidof -s {program}); kill -9 $(pidof {program}); \
             for i in $(seq 300); do new=$(pidof -s {program}) && [ \"$new\" != \"$old\" ] && \
             dinitctl is-started {service} && exit; sleep 0.1; done; dinitctl status {service}; exit 1"
        ));
    }

    assert_eq!(guest.run("su postgres -c \"psql -Atc 'select 6 * 7'\""), "42\n");

    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
}

#[test]
fn the_other_variants_manage_devices_log_ask_for_an_address_and_pass_messages() {
    let mut guest = Guest::start_image(variants_image(), &Wishes::default(), equip);
    let report = guest.must_boot();
    let missing: Vec<_> = report.not_started.iter().filter(|it| !it.name.starts_with("netdev@")).collect();
    assert!(missing.is_empty(), "{missing:#?}\n{}", guest.console());

    // Devices have their owners, and the names that fstab uses.
    assert_eq!(guest.run("stat -c %U:%G:%a /dev/vda /dev/null"), "root:disk:660\nroot:root:666\n");
    assert_eq!(guest.run("readlink -f /dev/disk/by-label/variants"), "/dev/vda\n");
    assert_eq!(guest.run("busybox mdev -s 2>&1"), "");

    // The driver of the network interface is loaded behind the login prompt; that it is there starts DHCP.
    guest.run(
        "for i in $(seq 600); do ip -4 addr show dev eth0 | grep -q 'inet 10.0.2.' && exit; sleep 0.1; done; exit 1",
    );
    guest.run("dinitctl start netdev@eth0 && dinitctl start udhcpc@eth0 && dinitctl is-started dhcpcd");
    assert!(guest.run("cat /etc/resolv.conf").contains("nameserver 10.0.2."));

    // What programs and the kernel say is in the log, which is not for everybody.
    assert_eq!(guest.run("stat -c %U:%G:%a /var/log/auth.log"), "root:adm:640\n");
    guest.run(
        "logger -t test said; for i in $(seq 600); do \
         grep -q 'test: said' /var/log/syslog && grep -q 'Linux version' /var/log/kern.log && exit; sleep 0.1; done; exit 1",
    );

    // The message bus, to which one may speak as anybody.
    let names = "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.ListNames";
    let answer = guest.run(&format!(
        "setpriv --reuid nobody --regid nogroup --clear-groups dbus-send --system --print-reply --dest={names}"
    ));
    assert!(answer.contains("org.freedesktop.DBus"), "{answer}");

    // Every daemon is supervised; a new device manager finds what the old one did.
    for (service, program) in [
        ("udevd", "busybox"),
        ("syslogd", "syslogd"),
        ("klogd", "klogd"),
        ("udhcpc@eth0", "udhcpc"),
        ("dbusd", "dbus-broker-lau"),
    ] {
        guest.run(&format!(
            "old=$(pgrep -x {program}); kill -9 $old; \
             for i in $(seq 300); do new=$(pgrep -x {program}) && [ \"$new\" != \"$old\" ] && \
             dinitctl is-started {service} && exit; sleep 0.1; done; dinitctl status {service}; exit 1"
        ));
    }

    // The host's agent finds its channel by its name.
    let channel = guest.machine.channel(GUEST_AGENT).expect("a channel");
    assert_eq!(ask(&guest, &channel, "{\"execute\": \"guest-ping\"}"), "{\"return\": {}}\n");

    // The power button is found as well.
    guest.run(&until(BUTTON_IS_READ));
    guest.machine.press_power_button().expect("QEMU takes it");
    guest.must_end();
}
