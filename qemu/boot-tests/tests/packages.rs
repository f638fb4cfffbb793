//! The services that come along with packages: each daemon is started, and answers.

use agent_protocol::message::Shutdown;
use boot_tests::{Guest, Wishes, packages_image};
use qemu_machine::Network;

#[test]
fn every_daemon_that_comes_with_a_package_is_started_and_answers() {
    let image = packages_image();
    let mut guest = Guest::start_image(image, &Wishes::default(), |config| config.network = Network::User);
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

    // Every daemon is supervised: it comes back when it is killed.
    for (service, program) in
        [("sshd", "sshd"), ("dbusd", "dbus-daemon"), ("chronyd", "chronyd"), ("cron", "cron")]
    {
        guest.run(&format!(
            "old=$(pidof -s {program}); kill -9 $(pidof {program}); \
             for i in $(seq 300); do new=$(pidof -s {program}); [ -n \"$new\" ] && [ \"$new\" != \"$old\" ] && \
             dinitctl is-started {service} && exit; sleep 0.1; done; dinitctl status {service}; exit 1"
        ));
    }

    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
}
