//! Recorded exchanges of the protocol's specification (CP 12), byte for byte, with the daemon itself.
//!
//! In what is expected, `..` stands for a byte that differs from run to run: of a process id or of a time.

use crate::world::{Running, World};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const OK: &str = "type = internal\n";
const SLEEP: &str = "type = process\ncommand = /bin/sleep 1000\n";

/// A daemon with a connection to it.
struct Talk {
    world: World,
    daemon: Running,
    stream: UnixStream,
}

impl Talk {
    /// Starts a daemon with `boot` and these services loaded in this order, so that their handles are 0, 1, ….
    fn new(services: &[(&str, &str)]) -> Self {
        let world = World::new();
        world.service("boot", OK);
        for (name, text) in services {
            world.service(name, text);
        }
        let daemon = world.start(&["boot"]);
        daemon.expect("[  OK  ] boot");
        let stream = UnixStream::connect(world.socket()).unwrap();
        let mut talk = Self { world, daemon, stream };
        for (number, (name, _)) in services.iter().enumerate() {
            talk.load(name);
            talk.hear(&format!("3b 00 {number:02x} 00 00 00 00"));
        }
        talk
    }

    /// Sends bytes.
    fn say(&mut self, bytes: &str) -> &mut Self {
        let bytes: Vec<u8> = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        self.stream.write_all(&bytes).unwrap();
        self
    }

    /// Sends LOADSERVICE.
    fn load(&mut self, name: &str) -> &mut Self {
        let length = u16::try_from(name.len()).unwrap().to_ne_bytes();
        self.stream.write_all(&[&[2], &length[..], name.as_bytes()].concat()).unwrap();
        self
    }

    /// Receives exactly these bytes.
    #[track_caller]
    fn hear(&mut self, expected: &str) -> &mut Self {
        let expected: Vec<&str> = expected.split_whitespace().collect();
        let mut bytes = vec![0; expected.len()];
        self.stream.read_exact(&mut bytes).unwrap();
        let heard: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let fits =
            heard.iter().zip(&expected).all(|(heard, expected)| *expected == ".." || heard == expected);
        assert!(fits, "heard\n{}\nnot\n{}", heard.join(" "), expected.join(" "));
        self
    }

    /// Receives both packets of an event: its number, and the status block of version 5 in its three parts.
    #[track_caller]
    fn hear_event(&mut self, handle: u8, event: &str, head: &str, data: &str, old_data: &str) -> &mut Self {
        self.hear(&format!("65 15 {handle:02x} 00 00 00 {event} {head} {data}"));
        self.hear(&format!("64 11 {handle:02x} 00 00 00 {event} {head} {old_data}"))
    }

    /// Receives the events of a service that has started without a process.
    #[track_caller]
    fn hear_started(&mut self, handle: u8, flags: &str) -> &mut Self {
        self.hear_event(handle, "00", &format!("02 02 {flags} 00 00 00"), ZERO8, ZERO4)
    }

    /// Receives the events of a process that was ended by TERM.
    #[track_caller]
    fn hear_terminated(&mut self, handle: u8) -> &mut Self {
        self.hear_event(handle, "01", "00 00 00 00 00 00", "02 00 00 00 0f 00 00 00", MINUS_ONE)
    }

    /// Receives the events of a process that has started.
    #[track_caller]
    fn hear_running(&mut self, handle: u8) -> &mut Self {
        self.hear_event(handle, "00", "02 02 18 00 00 00", ".. .. .. .. 00 00 00 00", ".. .. .. ..")
    }

    #[track_caller]
    fn end(self) {
        self.daemon.signal(libc::SIGTERM);
        self.daemon.finish().assert_success();
    }
}

const ZERO4: &str = "00 00 00 00";
const ZERO8: &str = "00 00 00 00 00 00 00 00";
const MINUS_ONE: &str = "ff ff ff ff";

#[test]
fn exchanges_2_to_8_find_load_status_and_start() {
    let mut talk = Talk::new(&[("proc", SLEEP), ("int1", OK)]);
    talk.say("01 04 00 6e 6f 70 65").hear("3c");
    talk.say("12 00 00 00 00").hear("46 00 00 00 00 00 00 00 00 00 00 00");
    talk.say("1a 00 00 00 00").hear("46 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
    talk.say("1c 00 00 00 00").hear("46 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
    talk.hear(".. .. .. .. 00 00 00 00 .. .. .. .. 00 00 00 00");
    talk.say("03 00 00 00 00 00").hear("32").hear_running(0);
    talk.say("03 00 00 00 00 00").hear("3d");
    talk.say("03 00 01 00 00 00").hear_started(1, "08").hear("3d");
    talk.end();
}

#[test]
fn exchanges_9_11_16_and_33_stop_with_dependents_and_lists() {
    let mut talk = Talk::new(&[("proc", SLEEP), ("dep", "type = internal\ndepends-on = proc\n")]);
    talk.say("03 00 01 00 00 00").hear("32");
    talk.hear_event(0, "00", "02 02 10 00 00 00", ".. .. .. .. 00 00 00 00", ".. .. .. ..")
        .hear_started(1, "08");
    talk.say("04 82 00 00 00 00").hear("4f 41 01 00 00 00 00 00 00 00 02 00 00 00");
    talk.say("0f 00 02 00 00 00").hear("42 00 03 00 64 65 70");
    talk.say("17 02 00 00 00").hear("32");
    talk.say("03 81 01 00 00 00").hear("4f 3d");
    talk.say("04 80 00 00 00 00").hear("4f 44");
    talk.say("07 01 00 00 00").hear("32");
    talk.say("04 00 00 00 00 00");
    talk.hear_event(1, "01", "00 00 00 02 00 00", ZERO8, ZERO4).hear("32").hear_terminated(0);
    talk.say("08").hear("3e 04 02 02 08 00 00 00 00 00 00 00 62 6f 6f 74");
    talk.hear("3e 04 00 00 00 00 00 00 ff ff ff ff 70 72 6f 63");
    talk.hear("3e 03 00 00 00 02 00 00 00 00 00 00 64 65 70 3f");
    talk.say("19").hear("3e 04 02 02 08 00 00 00 00 00 00 00 00 00 00 00 62 6f 6f 74");
    talk.hear("3e 04 00 00 00 00 00 00 02 00 00 00 0f 00 00 00 70 72 6f 63");
    talk.hear("3e 03 00 00 00 02 00 00 00 00 00 00 00 00 00 00 64 65 70 3f");
    talk.end();
}

#[test]
fn exchanges_13_to_15_failed_late_and_ended_processes() {
    let mut talk = Talk::new(&[
        ("slow", "type = scripted\ncommand = /bin/sleep 1000\nstart-timeout = 0.2\n"),
        ("proc", "type = process\ncommand = /bin/sh -c \"exit 5\"\nrestart = no\n"),
        ("none", OK),
        ("bad", "type = scripted\ncommand = /bin/sh -c \"exit 3\"\n"),
    ]);
    let ended = "01 00 00 00 03 00 00 00";
    talk.say("03 00 03 00 00 00").hear("32");
    talk.hear_event(3, "02", "01 00 00 03 00 00", ended, MINUS_ONE);
    talk.hear_event(3, "01", "00 00 00 03 00 00", ended, MINUS_ONE);
    talk.say("03 00 00 00 00 00").hear("32");
    talk.hear_event(0, "02", "03 00 10 05 00 00", ".. .. .. .. 00 00 00 00", ".. .. .. ..");
    talk.hear_event(0, "01", "00 00 00 05 00 00", "02 00 00 00 02 00 00 00", MINUS_ONE);
    talk.say("03 00 01 00 00 00").hear("32");
    talk.hear_event(1, "00", "02 02 .. 00 00 00", ".. .. .. .. .. .. .. ..", ".. .. .. ..");
    talk.hear_event(1, "01", "00 00 00 06 00 00", "01 00 00 00 05 00 00 00", MINUS_ONE);
    talk.end();
}

#[test]
fn exchange_17_directories() {
    let mut talk = Talk::new(&[("int1", OK)]);
    let hexadecimal = |text: &str| text.bytes().map(|byte| format!("{byte:02x} ")).collect::<String>();
    let number = |number: usize| hexadecimal_number(number);
    let services = talk.world.services();
    let services = services.to_str().unwrap();
    let here = talk.world.path("").canonicalize().unwrap();
    let here = here.to_str().unwrap();
    talk.say("16 00 00 00 00 00").hear(&format!("4d {} {}", number(services.len()), hexadecimal(services)));
    talk.say("16 01 00 00 00 00").hear("33");
    let size = 14 + here.len() + 4 + services.len();
    let head = format!("40 01 {} {} {}", number(size), number(1), number(here.len()));
    let list = format!("{} {}", number(services.len()), hexadecimal(services));
    talk.say("0d").hear(&format!("{head} {} {list}", hexadecimal(here)));
    talk.end();
}

fn hexadecimal_number(number: usize) -> String {
    let bytes = u32::try_from(number).unwrap().to_ne_bytes();
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

#[test]
fn exchanges_19_to_21_triggers_logs_and_signals() {
    let mut talk = Talk::new(&[
        ("trig", "type = triggered\n"),
        ("int", OK),
        ("log", "type = scripted\ncommand = /bin/sh -c \"echo hello; echo world\"\nlog-type = buffer\n"),
        ("proc", SLEEP),
    ]);
    talk.say("03 00 00 00 00 00").hear("32");
    talk.say("13 00 00 00 00 01").hear_started(0, "08").hear("32");
    talk.say("13 01 00 00 00 01").hear("33");
    talk.say("03 00 02 00 00 00").hear("32");
    talk.hear_event(2, "00", "02 02 08 00 00 00", "01 00 00 00 00 00 00 00", ZERO4);
    talk.say("14 01 02 00 00 00").hear("49 00 0c 00 00 00 68 65 6c 6c 6f 0a 77 6f 72 6c 64 0a");
    talk.say("14 00 02 00 00 00").hear("49 00 00 00 00 00");
    talk.say("14 00 01 00 00 00").hear("33");
    talk.say("03 00 03 00 00 00").hear("32").hear_running(3);
    talk.say("15 0f 00 00 00 01 00 00 00").hear("4a");
    talk.say("15 00 00 00 00 03 00 00 00").hear("32");
    talk.say("15 e7 03 00 00 03 00 00 00").hear("4b");
    talk.end();
}

#[test]
fn exchange_22_pins() {
    let mut talk = Talk::new(&[("a", OK), ("b", OK), ("c", OK), ("proc", SLEEP)]);
    talk.say("03 01 03 00 00 00").hear("32").hear_running(3);
    talk.say("04 02 03 00 00 00").hear("44");
    talk.say("07 03 00 00 00").hear("32");
    talk.say("06 00 03 00 00 00").hear("32").hear_terminated(3);
    talk.say("05 00 03 00 00 00").hear("33");
    talk.say("04 01 03 00 00 00").hear("3d");
    talk.say("03 00 03 00 00 00").hear("43");
    talk.say("07 03 00 00 00").hear("32");
    talk.say("04 06 03 00 00 00").hear("33");
    talk.end();
}

#[test]
fn exchanges_23_to_25_dependencies_unload_and_reload() {
    let mut talk = Talk::new(&[("proc", SLEEP), ("int1", OK), ("x", OK), ("y", OK), ("int2", OK)]);
    talk.load("boot").hear("3b 02 05 00 00 00 02");
    talk.say("0b 00 01 00 00 00 04 00 00 00").hear("32");
    talk.say("0b 00 04 00 00 00 01 00 00 00").hear("33");
    talk.say("0c 00 01 00 00 00 04 00 00 00").hear("32");
    talk.say("0c 00 01 00 00 00 04 00 00 00").hear("33");
    talk.say("0e 02 05 00 00 00 01 00 00 00").hear_started(1, "00").hear("32");
    talk.say("1d 02 05 00 00 00 04 00 00 00").hear_started(4, "00");
    let status = "02 02 00 00 00 00 00 00 00 00 00 00 00 00";
    let time = ".. .. .. .. 00 00 00 00 .. .. .. .. 00 00 00 00";
    talk.hear(&format!("46 00 {status} {time}"));
    talk.say("1d 02 05 00 00 00 04 00 00 00").hear(&format!("46 01 {status} {time}"));
    talk.say("09 04 00 00 00").hear("33");
    talk.say("0c 02 05 00 00 00 04 00 00 00");
    talk.hear_event(4, "01", "00 00 00 00 00 00", ZERO8, ZERO4).hear("32");
    talk.say("09 04 00 00 00").hear("32");
    talk.say("10 01 00 00 00").hear("32");
    talk.load("int1").hear("3b 02 01 00 00 00 02");
    talk.load("int1").hear("3b 02 04 00 00 00 02");
    talk.say("0b 02 00 00 00 00 00 00 00 00").hear("34");
    talk.end();
}

#[test]
fn exchanges_27_and_31_bad_handles_and_several_of_one_service() {
    let mut talk = Talk::new(&[("int", OK)]);
    for bad in [
        "1a 09 00 00 00",
        "16 00 09 00 00 00",
        "0f 00 09 00 00 00",
        "15 0f 00 00 00 09 00 00 00",
        "14 00 09 00 00 00",
        "13 09 00 00 00 01",
    ] {
        talk.say(bad).hear("33");
    }
    talk.load("int").hear("3b 00 01 00 00 00 00");
    talk.say("03 00 01 00 00 00");
    // The order of the copies is not promised; ours is that of the handles.
    talk.hear_started(0, "08").hear_started(1, "08").hear("3d");
    talk.end();
}

#[test]
fn exchange_30_shutdown_lets_a_start_finish_and_ends_the_stream() {
    let world_gate = "type = scripted\ncommand = /bin/sh -c \"read line < gate\"\nworking-dir = .\n";
    let mut talk = Talk::new(&[("slow", world_gate), ("proc", SLEEP)]);
    let gate = talk.world.path("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    talk.say("03 00 01 00 00 00").hear("32").hear_running(1);
    talk.say("03 00 00 00 00 00").hear("32");
    talk.say("0a 02").hear("32").hear_terminated(1);
    talk.say("03 00 01 00 00 00").hear("45");
    std::fs::write(gate, "go\n").unwrap();
    let ended = "01 00 00 00 00 00 00 00";
    talk.hear_event(0, "00", "02 00 00 00 00 00", ended, ZERO4);
    talk.hear_event(0, "01", "00 00 00 00 00 00", ended, ZERO4);
    assert_eq!(talk.stream.read(&mut [0]).unwrap(), 0);
    talk.daemon.finish().assert_success();
}
