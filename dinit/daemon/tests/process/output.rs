//! What services print: rows B36 and B37.

use crate::control::{handle, request};
use crate::world::World;
use dinit_protocol::{CommandFlags, Reply, Request};

#[test]
fn b36_a_buffer_keeps_what_was_printed_over_restarts_with_a_note_between() {
    let world = World::new();
    let text =
        "type = process\ncommand = /bin/echo hello\nlog-type = buffer\nrestart-delay = 0.01\nrestart = yes\n";
    world.service("x", text).service("ok", "type = internal\n");
    let daemon = world.start(&["ok", "x"]);
    daemon.expect("restarting too quickly").expect_times("[STOPPD] x", 4);
    let mut connection = world.connect();
    let service = handle(&mut connection, "x");
    let note = "(dinit: note: service restarted)\n";
    let expected = format!("hello\n{note}hello\n{note}hello\n{note}hello\n");
    assert_eq!(
        request(&mut connection, &Request::QueryLog { service, clear: true }),
        Reply::Log(expected.into_bytes())
    );
    assert_eq!(
        request(&mut connection, &Request::QueryLog { service, clear: false }),
        Reply::Log(Vec::new())
    );
    let service = handle(&mut connection, "ok");
    assert_eq!(request(&mut connection, &Request::QueryLog { service, clear: false }), Reply::Nak);
    daemon.stop();
}

#[test]
fn b37_a_consumer_receives_what_the_producer_prints() {
    let world = World::new();
    let producer =
        "type = process\ncommand = /bin/sh -c \"echo one; echo two; exec sleep 1000\"\nlog-type = pipe\n";
    world.service("producer", producer);
    let consumer = world.script("consumer", "read a; read b; echo \"$a $b\" > got; exec sleep 1000");
    let text = "type = process\nconsumer-of = producer\nworking-dir = .\n";
    world.service("consumer", &format!("{text}command = {consumer}\n"));
    let wait = world.script("wait", "while ! grep -q two got 2>/dev/null; do sleep 0.02; done");
    let text = format!("type = scripted\ncommand = {wait}\nworking-dir = .\n");
    world.service("got", &format!("{text}waits-for = producer\nwaits-for = consumer\n"));
    let daemon = world.start(&["got"]);
    daemon.expect("[  OK  ] got");
    daemon.stop();
    assert_eq!(world.read("got"), "one two\n");
}

#[test]
fn a_consumer_on_the_console_shows_what_the_producer_prints() {
    for option in ["shares-console", "runs-on-console"] {
        let world = World::new();
        world.service("producer", "type = scripted\ncommand = /bin/echo \"to be seen\"\nlog-type = pipe\n");
        let text =
            format!("type = process\ncommand = /bin/cat\nconsumer-of = producer\noptions = {option}\n");
        world.service("consumer", &text);
        let daemon = world.start(&["producer", "consumer"]);
        daemon.expect("to be seen");
        daemon.stop();
    }
}

#[test]
fn a_pipe_keeps_what_was_printed_until_a_later_consumer_comes() {
    let world = World::new();
    world.service("producer", "type = scripted\ncommand = /bin/echo early\nlog-type = pipe\n");
    let text = "type = process\nconsumer-of = producer\nworking-dir = .\nready-notification = pipefd:3\n";
    let consumer = world.script("consumer", "read line; echo \"$line\" > got; echo >&3; exec sleep 1000");
    world.service("consumer", &format!("{text}command = {consumer}\nafter = producer\n"));
    let daemon = world.start(&["producer"]);
    daemon.expect("[  OK  ] producer");
    let mut connection = world.connect();
    let service = handle(&mut connection, "consumer");
    request(&mut connection, &Request::Start { service, flags: CommandFlags::NONE });
    daemon.expect("[  OK  ] consumer");
    daemon.stop();
    assert_eq!(world.read("got"), "early\n");
}

#[test]
fn a_flood_of_output_fills_the_buffer_and_blocks_nobody() {
    let world = World::new();
    let text = "type = scripted\ncommand = /usr/bin/head -c 20000000 /dev/zero\nlog-type = buffer\n";
    world.service("x", &format!("{text}log-buffer-size = 1000\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    let mut connection = world.connect();
    let service = handle(&mut connection, "x");
    let reply = request(&mut connection, &Request::QueryLog { service, clear: false });
    assert_eq!(reply, Reply::Log(vec![0; 1000]));
    daemon.stop();
}

#[test]
fn a_process_that_closes_its_output_goes_on() {
    let world = World::new();
    let script = world.script("quiet", "echo said; exec >&- 2>&-; echo >&3; exec sleep 1000");
    let text = "type = process\nlog-type = buffer\nready-notification = pipefd:3\n";
    world.service("x", &format!("{text}command = {script}\n"));
    let daemon = world.start(&["x"]);
    daemon.expect("[  OK  ] x");
    let mut connection = world.connect();
    let service = handle(&mut connection, "x");
    let reply = request(&mut connection, &Request::QueryLog { service, clear: false });
    assert_eq!(reply, Reply::Log(b"said\n".to_vec()));
    assert_eq!(connection.status(service).unwrap().state, dinit_protocol::ServiceState::Started);
    daemon.stop().assert_lines(&["[  OK  ] x", "[STOPPD] x"]);
}
