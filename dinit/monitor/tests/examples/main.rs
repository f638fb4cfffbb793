//! The examples of the specification (MO 4), and what else only shows against a daemon that really runs.

mod actions;
mod relay;
mod world;

use dinit_protocol::{CommandFlags, Request, ServiceEvent, ServiceName};

use actions::wait_for;
use world::{Ended, World, run};

const VERSION: &str = concat!("Dinit version ", env!("CARGO_PKG_VERSION"), ".\n");

/// The examples that need no daemon: the arguments, and all that comes of them.
macro_rules! without_daemon {
    ($($name:ident: [$($argument:literal),*] => $out:expr, $err:expr, $status:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let ended = run(&[$($argument),*], "/nonexistent/socket".as_ref());
                assert_eq!(ended, Ended { out: $out.into(), err: $err.into(), status: $status });
            }
        )+
    };
}

without_daemon! {
    e01_the_version_is_printed: ["--version"] => VERSION, "", 0;
    e04_a_command_alone_is_not_enough: ["-c", "echo"] =>
        "", "dinit-monitor: specify at least one service name\n", 1;
    e05_a_service_alone_is_not_enough: ["svc"] => "", "dinit-monitor: command must specified\n", 1;
    e06_a_command_must_not_be_empty: ["svc", "-c", ""] => "", "dinit-monitor: specified command is empty\n", 1;
    e07_a_command_must_have_a_word: ["svc", "-c", "  "] => "", "dinit-monitor: specified command is empty\n", 1;
    e08_a_socket_option_needs_a_path: ["-p"] =>
        "", "dinit-monitor: --socket-path/-p should be followed by socket path\n", 1;
    e09_a_command_option_needs_a_command: ["-c"] =>
        "", "dinit-monitor: --command/-c should be followed by command\n", 1;
    e10_a_text_option_needs_a_text: ["--str-set"] =>
        "", "dinit-monitor: --str-set should be followed by an argument\n", 1;
    e11_an_unknown_option_is_passed_over: ["--bogus", "svc", "-c", "x", "-p", "/nonexistent/s"] =>
        "", "dinit-monitor: connecting to socket /nonexistent/s: No such file or directory\n", 1;
    e35_without_a_daemon_the_socket_is_named: ["-c", "echo", "svc"] =>
        "", "dinit-monitor: connecting to socket /nonexistent/socket: No such file or directory\n", 1;
}

#[test]
fn e02_help_is_printed_and_is_no_success() {
    let ended = run(&["--help", "-c"], "/nonexistent/socket".as_ref());
    assert!(ended.out.starts_with("dinit-monitor:   monitor Dinit services\n\nUsage:\n"), "{}", ended.out);
    assert_eq!((ended.err.as_str(), ended.status), ("", 1));
}

#[test]
fn e03_without_arguments_help_is_printed() {
    let nothing = run(&[], "/nonexistent/socket".as_ref());
    assert_eq!(nothing, run(&["--help"], "/nonexistent/socket".as_ref()));
}

/// The examples with a daemon: what was done before; the arguments, with the number of requests that the monitor
/// makes of the daemon before it waits; what is done then; and all that comes of it.
///
/// `ended` in place of an exit status: the monitor goes on, until its connection is ended by the test.
macro_rules! with_daemon {
    ($($name:ident: [$($before:literal),*] [$($argument:literal),*] $requests:literal
        [$($action:literal),*] => $out:expr, $err:expr, $status:tt;)+) => {
        $(
            #[test]
            fn $name() {
                let world = World::new();
                [$($before),*].into_iter().for_each(|action: &str| world.act(action));
                let monitor = world.monitor(&[$($argument),*], $requests);
                [$($action),*].into_iter().for_each(|action: &str| world.act(action));
                with_daemon!(@check monitor, $out, $err, $status);
            }
        )+
    };
    (@check $monitor:ident, $out:expr, $err:expr, ended) => {
        assert_eq!($monitor.end(), ($out.into(), $err.into()));
    };
    (@check $monitor:ident, $out:expr, $err:expr, $status:literal) => {
        assert_eq!($monitor.wait(), Ended { out: $out.into(), err: $err.into(), status: $status });
    };
}

with_daemon! {
    e12_a_start_and_a_stop_are_told: [] ["-c", "echo n=%n s=%s v=%v", "int1"] 1 ["start int1", "stop int1"] =>
        "n=int1 s=started v=\nn=int1 s=stopped v=\n", "", ended;
    e13_a_failed_start_is_told_as_failed_and_stopped: [] ["-c", "echo %n %s", "int1", "proc", "scrfail"] 3
        ["start int1", "start proc", "start scrfail"] =>
        "int1 started\nproc started\nscrfail failed\nscrfail stopped\n", "", ended;
    e14_a_restart_is_told_as_stopped_and_started: ["start proc"] ["-c", "echo %n %s", "proc"] 1 ["restart proc"] =>
        "proc stopped\nproc started\n", "", ended;
    e15_the_initial_state_of_each_is_told: [] ["-i", "-c", "echo %n %s", "int1", "proc"] 2 [] =>
        "int1 stopped\nproc stopped\n", "", ended;
    e16_one_initial_state_may_be_enough: [] ["-i", "-e", "-c", "echo %n %s", "int1", "proc"] 2 [] =>
        "int1 stopped\n", "", 0;
    e17_one_event_may_be_enough: [] ["-e", "-c", "echo %n %s", "int1", "proc"] 2 ["start proc"] =>
        "proc started\n", "", 0;
    e18_the_texts_may_be_given: ["start int1", "start proc"]
        ["-i", "--str-started", "UP", "--str-stopped", "DOWN", "--str-failed", "BAD", "-c", "echo %n %s",
            "int1", "proc", "scrfail"] 3 ["start scrfail", "stop int1"] =>
        "int1 UP\nproc UP\nscrfail DOWN\nscrfail BAD\nscrfail DOWN\nint1 DOWN\n", "", ended;
    e19_quotes_hold_words_together_and_are_removed: []
        ["-c", "echo \"a b\" x\"%n y\"z", "int1"] 1 ["start int1"] => "a b xint1 yz\n", "", ended;
    e20_a_percent_sign_at_the_end_is_one: [] ["-c", "echo 100%", "int1"] 1 ["start int1"] => "100%\n", "", ended;
    e21_two_percent_signs_are_one: [] ["-c", "echo 100%%", "int1"] 1 ["start int1"] => "100%\n", "", ended;
    e22_a_backslash_is_left_to_the_command: []
        ["-c", "printf [%s]\\n", "int1"] 1 ["start int1"] => "[started]\n", "", ended;
    e23_the_exit_status_of_a_failed_command_is_told: [] ["-c", "false", "int1"] 1 ["start int1"] =>
        "", "dinit-monitor: notification command terminated with exit status 1\n", ended;
    e24_the_signal_that_ended_a_command_is_told: []
        ["-c", "sh -c \"kill -9 $$\"", "int1"] 1 ["start int1"] =>
        "", "dinit-monitor: notification command terminated due to signal 9\n", ended;
    e25_a_program_that_is_not_there_is_told: [] ["-e", "-c", "/nonexistent/prog %n", "int1"] 1 ["start int1"] =>
        "", "dinit-monitor: exec: No such file or directory\n\
             dinit-monitor: notification command terminated with exit status 127\n", 0;
    e26_a_service_without_a_description_cannot_be_watched: [] ["-c", "echo x", "nosuch"] 1 [] =>
        "", "dinit-monitor: cannot load service: nosuch\n", 1;
    e27_a_service_with_a_wrong_description_cannot_be_watched: [] ["-c", "echo x", "bad"] 1 [] =>
        "", "dinit-monitor: protocol error\n", 1;
    e28_changes_of_the_environment_are_told: [] ["-E", "-c", "echo %n=%v %s"] 1
        ["setenv Q=1", "setenv Q=2", "unsetenv Q", "unsetenv Q"] =>
        "Q=1 set\nQ=2 set\nQ= unset\nQ= unset\n", "", ended;
    e29_variables_may_be_selected: [] ["-E", "-c", "echo %n=%v %s", "Q", "R"] 1
        ["setenv Q=1", "setenv X=2", "unsetenv Q", "setenv R="] =>
        "Q=1 set\nQ= unset\nR= set\n", "", ended;
    e33_a_service_named_twice_is_told_twice: [] ["-c", "echo %n %s", "int1", "int1"] 2 ["start int1"] =>
        "int1 started\nint1 started\n", "", ended;
    e34_the_end_of_the_daemon_ends_the_monitor: ["start int1"] ["-c", "echo %n %s", "int1"] 1 ["shutdown"] =>
        "int1 stopped\n", "dinit-monitor: connection closed by server\n", 1;
    what_cannot_be_a_name_is_an_error_of_the_protocol: [] ["-c", "echo x", ".x"] 0 [] =>
        "", "dinit-monitor: protocol error\n", 1;
    a_service_whose_dependency_is_missing_is_an_error_of_the_protocol: [] ["-c", "echo x", "needs"] 1 [] =>
        "", "dinit-monitor: protocol error\n", 1;
    a_service_with_an_argument_is_told_with_it: [] ["-c", "echo %n %s", "int1@a"] 1 ["start int1@a"] =>
        "int1@a started\n", "", ended;
    an_unset_variable_may_be_told_in_other_words: []
        ["-E", "--str-set", "+", "--str-unset", "-", "-c", "echo %n%s", "Q"] 1 ["setenv Q=1", "unsetenv Q"] =>
        "Q+\nQ-\n", "", ended;
    what_is_put_in_is_not_split_and_keeps_its_quotes: [] ["-E", "-c", "printf (%%s) a%v", "Q"] 1
        ["setenv Q=  \"b c\" %n"] => "(a  \"b c\" %n)", "", ended;
    a_broken_pipe_ends_a_command: [] ["-c", "sh -c \"kill -13 $$\"", "int1"] 1 ["start int1"] =>
        "", "dinit-monitor: notification command terminated due to signal 13\n", ended;
}

#[test]
fn e30_the_initial_values_of_variables_are_told_in_the_daemons_order() {
    let world = World::new();
    let monitor = world.monitor(&["-E", "-i", "-c", "echo %n=%v %s", "FOO", "HOME", "NOPE"], 2);
    let expected: Vec<_> = world.foo_and_home().iter().map(|variable| format!("{variable} set\n")).collect();
    assert_eq!(monitor.end(), (expected.concat(), String::new()));
}

#[test]
fn e31_one_initial_value_may_be_enough() {
    let world = World::new();
    let monitor =
        world.monitor(&["-E", "-i", "-e", "--str-set", "S", "-c", "echo %n=%v %s", "FOO", "HOME"], 2);
    let out = format!("{} S\n", world.foo_and_home()[0]);
    assert_eq!(monitor.wait(), Ended { out, err: String::new(), status: 0 });
}

#[test]
fn e32_a_start_that_is_to_be_stopped_is_told_before_the_stop() {
    let world = World::new();
    let monitor = world.monitor(&["-c", "echo %n %s", "slow"], 1);
    let mut daemon = world.connect();
    let service = daemon.load(&ServiceName::new(b"slow").unwrap()).unwrap().unwrap().handle;
    let flags = CommandFlags::NONE;
    for request in [Request::Start { service, flags }, Request::Stop { service, flags }] {
        daemon.request(&request).unwrap();
    }
    for event in [ServiceEvent::Started, ServiceEvent::Stopped] {
        world.open_gate();
        wait_for(&mut daemon, event);
    }
    assert_eq!(monitor.end(), ("slow started\nslow stopped\n".into(), String::new()));
}

#[test]
fn a_script_that_names_no_interpreter_is_given_to_the_shell() {
    let world = World::new();
    let script = world.path("script");
    // By another process: open for writing here, it would be so in what other tests start, and could not be executed.
    let write = "echo 'echo \"$1 has $2\"' > \"$1\" && chmod 755 \"$1\"";
    let written = std::process::Command::new("sh").args(["-c", write, "sh"]).arg(&script).status().unwrap();
    assert!(written.success());
    let monitor = world.monitor(&["-c", &format!("{} %n %s", script.display()), "int1"], 1);
    world.act("start int1");
    assert_eq!(monitor.end(), ("int1 has started\n".into(), String::new()));
}

#[test]
fn commands_are_waited_for_even_if_the_parent_of_the_monitor_ignores_the_ends_of_children() {
    let world = World::new();
    let words = ["-i", "-e", "-c", "false", "int1"];
    let ended = world.run_by("trap '' CHLD; exec \"$@\"", &words);
    let err = "dinit-monitor: notification command terminated with exit status 1\n".into();
    assert_eq!(ended, Ended { out: String::new(), err, status: 0 });
}
