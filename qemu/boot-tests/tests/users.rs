//! Users who are logged in, and what they have of their own.

use agent_protocol::message::Shutdown;
use boot_tests::{Guest, Wishes, until};

#[test]
fn a_user_has_a_dinit_from_the_first_login_until_the_last_logout() {
    let mut guest = Guest::start(&Wishes::default(), |_| {});
    guest.must_boot();
    guest.run("useradd -m -s /bin/bash alice && echo alice:secret | chpasswd");

    guest.log_in_as("alice", "secret", "$ ");
    guest.type_line("echo D\"\"IR-$XDG_RUNTIME_DIR");
    guest.expect("DIR-/run/user/1000");
    guest.type_line("printf 'type = process\\ncommand = /bin/sleep 1000\\n' > .config/dinit.d/sleeper");
    guest.type_line("dinitctl --user enable sleeper");
    guest.expect("Service 'sleeper' started.");
    assert_eq!(guest.run("stat -c '%U %a' /run/user/1000").trim(), "alice 700");
    guest.run("pgrep -u alice -x sleep && dinitctl is-started user-instance@alice");

    // Nobody else can hold the lock that logins take.
    guest.run(
        "test -e /run/user-sessions/1000.lock; ! su alice -c 'flock -n /run/user-sessions/1000.lock true'",
    );

    // Another session comes and goes; the first one keeps what it has.
    guest.run("su - alice -c 'dinitctl list | grep -q sleeper'");
    guest.run("dinitctl is-started user-instance@alice && pgrep -u alice -x sleep");
    // Root and daemons have none.
    guest.run("su - -c true; su -s /bin/sh daemon -c true; test \"$(ls /run/user)\" = 1000");

    guest.type_line("exit");
    guest.run(&until("test ! -e /run/user/1000"));
    guest.run("! pgrep -u alice || exit 1; ! dinitctl is-started user-instance@alice");

    // What was enabled starts at the next login, and a shutdown does not wait for anybody to leave.
    guest.log_in_as("alice", "secret", "$ ");
    guest.run(&until("pgrep -u alice -x sleep"));
    guest.agent.shut_down(Shutdown::PowerOff).expect("dinit takes the request");
    guest.must_end();
}
