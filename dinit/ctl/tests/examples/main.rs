//! The examples of the specification (CT 8), and what else only shows against a daemon that really runs.

mod documents;
mod world;

use world::World;

/// One example: its number, what it shows, what was done before, the command, and what came of it.
///
/// Among what is done before, `await SERVICE STATE` waits for a state, and `await SERVICE: TEXT` for a text in
/// the service's output. In the command and in what came of it `$S` is the socket and `$D` the directory of the
/// services; a process id is `N`.
macro_rules! examples {
    ($($name:ident: [$($before:literal),*] $command:literal => $out:expr, $err:expr, $status:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let world = World::with_daemon();
                $(world.prepare($before);)*
                world.check($command, $out, $err, $status);
            }
        )+
    };
}

examples! {
    e01_the_version_is_printed: [] "--version" => concat!("Dinit version ", env!("CARGO_PKG_VERSION"), ".\n"), "", 0;
    e02_an_unknown_command_is_named: [] "bogus" =>
        "", "dinitctl: unrecognized command: bogus (use --help for help)\n", 1;
    e03_two_services_cannot_be_started_at_once: [] "start a b" =>
        "", "dinitctl: Invalid command line.\nTry 'dinitctl --help' for more information.\n", 1;
    e05_the_list_has_boot: [] "list" => "[[+]     ] boot\n", "", 0;
    e06_the_status_of_what_is_not_loaded_is_an_error: [] "status proc" =>
        "", "dinitctl: service not loaded.\n", 1;
    e07_what_is_not_loaded_is_not_started: [] "is-started proc" => "", "", 1;
    e08_a_service_without_a_description_cannot_be_started: [] "start nosuch" =>
        "", "dinitctl: failed to find service description.\n\
             dinitctl: check service description file exists / service name spelling.\n", 1;
    e09_a_service_with_a_wrong_description_cannot_be_started: [] "start bad" =>
        "", "dinitctl: error in service description.\n\
             dinitctl: try 'dinit-check <service-name>' or check log for more information.\n", 1;
    e10_what_cannot_be_a_name_is_an_error_of_the_protocol: [] "start .x" => "", "dinitctl: protocol error\n", 1;
    e11_a_process_is_started: [] "start proc" => "Service 'proc' started.\n", "", 0;
    e12_a_started_process_is_already_started: ["start proc"] "start proc" =>
        "Service (already) started.\n", "", 0;
    e13_an_internal_service_starts_at_once: [] "start int1" => "Service started.\n", "", 0;
    e14_the_status_of_a_process_has_its_id: ["start proc"] "status proc" =>
        "Service: proc\n    File: $D/proc\n    State: STARTED\n    Activation: explicitly started\n    \
         Process ID: N\n", "", 0;
    e15_what_others_need_is_not_stopped: ["start dep"] "stop proc" =>
        "", "dinitctl: cannot stop service 'proc' due to the following dependents:\n\
             (only direct dependents are listed. Exercise caution before using '--force' !!)\n  dep\n", 1;
    e16_what_others_need_is_not_restarted: ["start dep"] "restart proc" =>
        "", "dinitctl: cannot stop service 'proc' due to the following dependents:\n  dep\n", 1;
    e17_what_others_need_is_restarted_by_force: ["start dep"] "restart --force proc" =>
        "Service 'proc' stopped.\nService 'proc' started.\n", "", 0;
    e18_a_service_that_was_stopped_with_its_dependency_is_marked:
        ["start proc", "start dep", "stop --force proc"] "list" =>
        "[[+]     ] boot\n[     {-}] proc\n[     {X}] dep\n", "", 0;
    e19_the_status_tells_of_the_dependency: ["start proc", "start dep", "stop --force proc"] "status dep" =>
        "Service: dep\n    File: $D/dep\n    State: STOPPED (dependency failed/terminated)\n", "", 0;
    e20_a_start_need_not_be_waited_for: [] "start --no-wait slow" =>
        "Issued start command successfully for service 'slow'.\n", "", 0;
    e21_a_service_that_is_to_stop_before_it_started_is_drawn_so:
        ["start --no-wait slow", "stop --no-wait slow"] "list" =>
        "[[+]     ] boot\n[   <<{ }] slow (pid: N)\n", "", 0;
    e22_a_start_command_that_fails_is_told_with_its_status: [] "start scrfail" =>
        "Service 'scrfail' failed to start.\n\
         Reason: service process terminated before ready: exited - status 3\n", "", 1;
    e23_what_failed_to_start_has_failed: ["fail scrfail"] "is-failed scrfail" => "STOPPED\n", "", 0;
    e24_a_program_that_is_not_there_is_told_with_stage_and_error: [] "start execfail" =>
        "Service 'execfail' failed to start.\nReason: execution of service process failed:\n        \
         Stage: executing command\n        Error: No such file or directory\n", "", 1;
    e25_the_status_tells_of_stage_and_error: ["fail execfail"] "status execfail" =>
        "Service: execfail\n    File: $D/execfail\n    State: STOPPED (could not be launched)\n        \
         Stage: executing command\n        Error: No such file or directory\n", "", 0;
    e26_a_start_that_takes_too_long_is_told: [] "start timeo" =>
        "Service 'timeo' failed to start.\nReason: start timed out.\n", "", 1;
    e27_a_dependency_that_fails_is_told: [] "start depfail" =>
        "Service 'depfail' failed to start.\n\
         Reason: a dependency of the service failed to start. Check dinit log.\n", "", 1;
    e28_the_status_tells_how_a_process_ended: ["start term", "await term STOPPED"] "status term" =>
        "Service: term\n    File: $D/term\n    State: STOPPED (terminated; exited - status 5)\n", "", 0;
    e29_the_list_tells_how_a_process_ended: ["start term", "await term STOPPED"] "list" =>
        "[[+]     ] boot\n[     {X}] term (exit status: 5)\n", "", 0;
    e30_a_process_that_ended_later_did_not_fail_to_start: ["start term", "await term STOPPED"] "is-failed term" =>
        "STOPPED\n", "", 1;
    e31_what_is_pinned_started_is_not_stopped: ["start --pin proc"] "stop proc" =>
        "", "dinitctl: cannot stop service 'proc' as it is pinned started\n", 1;
    e32_what_is_released_but_pinned_stays_started: ["start --pin proc", "release --no-wait proc"] "list" =>
        "[[+]     ] boot\n[ +   { }] proc (pid: N)\n", "", 0;
    e33_what_is_pinned_stopped_is_not_started: ["stop --pin proc"] "start proc" =>
        "", "dinitctl: cannot start service 'proc' as it is pinned stopped\n", 1;
    e34_what_is_not_started_is_not_restarted: [] "restart proc" =>
        "", "dinitctl: cannot restart service; service not started.\n", 1;
    e35_a_restart_may_ignore_that: [] "restart --ignore-unstarted proc" =>
        "Service 'proc' is not currently started.\n", "", 0;
    e36_a_stop_may_ignore_that_there_is_no_such_service: [] "stop --ignore-unstarted nosuch" => "", "", 0;
    e37_what_is_stopped_is_already_stopped: [] "stop proc" => "Service (already) stopped.\n", "", 0;
    e38_a_stopped_dependency_is_woken_for_its_dependents: ["start soft", "stop int2"] "wake int2" =>
        "Service started.\n", "", 0;
    e39_without_dependents_there_is_nothing_to_wake_for: [] "wake proc" =>
        "", "dinitctl: service has no active dependents, cannot wake.\n", 1;
    e40_a_changed_description_is_warned_of: ["start soft", "touch soft"] "start soft" =>
        "Service (already) started.\n",
        "dinitctl: warning: service description may have changed; use 'dinitctl reload soft' to apply changes.\n", 0;
    e41_an_internal_service_is_enabled: [] "enable int1" => "Service 'int1' has been enabled.\n", "", 0;
    e42_what_is_enabled_is_not_enabled_again: ["enable int1"] "enable int1" =>
        "", "dinitctl: service already enabled.\n", 1;
    e43_what_is_enabled_runs_for_its_dependent: ["enable int1"] "list" =>
        "[[+]     ] boot\n[{+}     ] int1\n", "", 0;
    e44_an_enabled_process_is_waited_for: [] "enable proc" =>
        "Service 'proc' has been enabled.\nService 'proc' started.\n", "", 0;
    e45_an_enabled_service_may_fail_to_start: [] "enable scrfail" =>
        "Service 'scrfail' has been enabled.\nService 'scrfail' failed to start.\n\
         Reason: service process terminated before ready: exited - status 3\n", "", 1;
    e46_what_is_not_enabled_is_not_disabled: [] "disable int1" =>
        "", "dinitctl: service not currently enabled\n", 1;
    e47_what_is_disabled_may_go_on: ["enable proc", "start proc"] "disable proc" =>
        "Service 'proc' has been disabled.\n",
        "dinitctl: note: disabled service may have other dependents\n", 0;
    e48_without_a_directory_nothing_can_be_enabled: [] "enable --from nowfd int1" =>
        "", "dinitctl: service 'nowfd' has no waits-for.d directory specified\n", 1;
    e53_only_a_triggered_service_has_a_trigger: ["start int1"] "trigger int1" =>
        "", "dinitctl: cannot trigger a service that is not of 'triggered' type.\n", 1;
    e54_the_output_of_a_service_is_shown: ["start buf", "await buf: partial"] "catlog buf" =>
        "hello\npartial\n(last line is truncated or incomplete)\n", "", 0;
    e55_output_that_was_cleared_is_gone: ["start buf", "await buf: partial", "catlog --clear buf"] "catlog buf" =>
        "", "", 0;
    e56_a_service_without_a_buffer_has_no_output: [] "catlog int1" =>
        "", "dinitctl: cannot cat log for service not configured to buffer output.\n", 1;
    e57_a_variable_is_unset_by_its_name: [] "unsetenv A=1" =>
        "", "dinitctl: environment variable 'A=1' must not contain the '=' sign.\n", 1;
    e58_a_variable_without_a_name_is_refused: [] "setenv =x" =>
        "", "dinitctl: failed to export environment.\n", 1;
    e59_a_service_without_a_process_gets_no_signal: ["start int1"] "signal TERM int1" =>
        "", "dinitctl: could not get valid PID of service; service is not process-based or is in wrong state.\n", 1;
    e60_a_signal_that_does_not_exist_is_refused: ["start proc"] "signal 999 proc" =>
        "", "dinitctl: provided signal was invalid.\n", 1;
    e61_a_dependency_is_added: ["reload soft", "reload int1"] "add-dep need soft int1" =>
        "Service 'soft': dependency 'int1' added\n", "", 0;
    e62_a_circle_of_dependencies_is_refused: ["reload soft", "reload int1", "add-dep need soft int1"]
        "add-dep need int1 soft" =>
        "", "dinitctl: could not add dependency: circular dependency or wrong state\n", 1;
    e63_a_service_cannot_depend_on_itself: [] "add-dep need soft soft" =>
        "", "dinitctl: control socket protocol error\n", 1;
    e64_what_is_started_is_not_unloaded: [] "unload boot" =>
        "", "dinitctl: could not unload service; service not stopped, or is a dependency of another service.\n", 1;
    e65_a_shutdown_lasts_until_the_connection_closes: [] "shutdown" =>
        "Shutting down dinit...\nConnection closed.\n", "", 0;

    a_stop_is_waited_for: ["start proc"] "stop proc" => "Service 'proc' stopped.\n", "", 0;
    a_restart_shows_both_halves: ["start proc"] "restart proc" =>
        "Service 'proc' stopped.\nService 'proc' started.\n", "", 0;
    a_restart_that_is_over_at_once_says_so: ["start int1"] "restart int1" => "Service restarted.\n", "", 0;
    a_released_service_that_others_need_says_so: ["start proc", "start dep"] "release proc" =>
        "Service 'proc' released; still required by dependents.\n", "", 0;
    a_released_service_that_is_pinned_says_so: ["start --pin proc"] "release proc" =>
        "Service 'proc' released; pinned started.\n", "", 0;
    a_released_service_that_nobody_needs_is_waited_for: ["start proc"] "release proc" =>
        "Service 'proc' stopped.\n", "", 0;
    a_start_that_fails_at_once_does_not_hang: ["stop --pin proc"] "start dep" =>
        "Service 'dep' failed to start.\n\
         Reason: a dependency of the service failed to start. Check dinit log.\n", "", 1;
    nothing_is_said_about_what_was_done_if_quiet_is_asked_for: [] "--quiet start proc" => "", "", 0;
    a_quiet_question_is_answered_by_its_status_alone: ["start proc"] "is-started --quiet proc" => "", "", 0;
    a_service_is_unpinned: ["start --pin proc"] "unpin proc" => "Service 'proc' unpinned.\n", "", 0;
    a_service_is_unloaded: ["reload int1"] "unload int1" => "Service 'int1' unloaded.\n", "", 0;
    what_is_not_loaded_cannot_be_unloaded: [] "unload int1" => "", "dinitctl: service not loaded.\n", 1;
    a_service_that_is_not_loaded_is_loaded_by_a_reload: [] "reload int1" => "Service 'int1' reloaded.\n", "", 0;
    a_dependency_is_removed: ["reload soft"] "rm-dep waits-for soft int2" =>
        "Service 'soft': dependency 'int2' removed\n", "", 0;
    a_dependency_that_is_not_there_is_not_removed: [] "rm-dep need soft int1" =>
        "", "dinitctl: no such dependency to remove\n", 1;
    a_fixed_dependency_is_not_enabled: ["reload int2"] "enable --from soft int2" =>
        "", "dinitctl: there is a fixed dependency to service 'int2' in the service description of 'soft'.\n", 1;
    a_service_names_its_own_dependent: [] "enable via" =>
        "", "dinitctl: service 'nowfd' has no waits-for.d directory specified\n", 1;
    a_service_with_an_argument_enables_nothing: [] "enable --from boot@x int1" =>
        "", "dinitctl: cannot enable/disable from a service with argument (service@arg).\n", 1;
    a_signal_reaches_its_process: ["start proc", "signal KILL proc", "await proc STOPPED"] "list" =>
        "[[+]     ] boot\n[     {X}] proc (signal: 9)\n", "", 0;
}

#[test]
fn e04_without_a_daemon_the_socket_is_named() {
    let world = World::without_daemon();
    let refused = "dinitctl: connecting to socket: $S: No such file or directory\n";
    world.check("-s list", "", refused, 1);
    let hint = format!("{refused}dinitctl: perhaps no user instance is running?\n");
    world.check("-u list", "", &hint, 1);
    world.check("-u -p $S list", "", refused, 1);
}

#[test]
fn a_socket_that_nobody_listens_at_is_told_from_one_that_is_missing() {
    let world = World::without_daemon();
    drop(world.dead_socket());
    let failure = "dinitctl: connecting to socket: $S: Connection refused\n\
                   dinitctl: perhaps the daemon has ended and left its socket behind? \
                   A daemon that is started makes a new one.\n";
    world.check("list", "", failure, 1);
    world.check("--json list", "", failure, 1);
}

#[test]
fn e49_to_e51_links_are_made_and_removed_without_a_daemon() {
    let world = World::without_daemon();
    let missing = "dinitctl: could not unlink dependency entry $D/boot.d/int1: No such file or directory\n";
    world.check("-u -o -d $D disable int1", "", missing, 1);
    world.check("-u -o -d $D enable int1", "Service 'int1' has been enabled.\n", "", 0);
    assert_eq!(world.link("boot.d/int1"), Some("../int1".into()));
    world.check("-u -o -d $D enable int1", "", "dinitctl: service already enabled.\n", 1);
    world.check("-u -o -d $D disable int1", "Service 'int1' has been disabled.\n", "", 0);
    assert_eq!(world.link("boot.d/int1"), None);
    let nosuch = "dinitctl: could not locate service file for target service 'nosuch'\n";
    world.check("-u -o -d $D enable nosuch", "", nosuch, 1);
    let no_dependent = "dinitctl: could not locate service file for service 'nosuch'\n";
    world.check("-u -o -d $D enable --from nosuch int1", "", no_dependent, 1);
}

#[test]
fn what_is_wrong_with_a_description_is_told_before_anything_is_linked() {
    let world = World::without_daemon();
    world.describe("several", "type = internal\nwaits-for.d = boot.d\nwaits-for.d = more.d\n");
    world.describe("malformed", "type = internal\n@meta enable-via a b\n");
    std::fs::create_dir(world.services().join("directory")).unwrap();
    for (command, failure) in [
        (
            "enable --from several int1",
            "service 'several' has multiple waits-for.d directories specified in service description",
        ),
        ("enable --from bad int1", "error in service description: unknown setting: 'comand'."),
        ("enable malformed", "error loading malformed: '@meta enable-via' argument missing or malformed"),
        ("enable directory", "could not read service description file '$D/directory': Is a directory"),
        ("enable --from directory int1", "$D/directory: Is a directory"),
    ] {
        world.check(&format!("-u -o -d $D {command}"), "", &format!("dinitctl: {failure}\n"), 1);
    }
    assert_eq!(world.link("boot.d/int1"), None);
}

#[test]
fn a_wrong_value_of_a_setting_that_links_do_not_need_is_left_to_the_daemon() {
    let world = World::without_daemon();
    world.describe("wrong", "type = bogus\nrestart = perhaps\nwaits-for.d = boot.d\n");
    world.describe("unset", "type = internal\nwaits-for.d = ${NOWHERE?\n");
    world.describe("settings", "comand = \"\nrestart = $1\n@meta enable-via wrong\n");
    world.check("-u -o -d $D enable settings@x", "Service 'settings@x' has been enabled.\n", "", 0);
    assert_eq!(world.link("boot.d/settings@x"), Some("../settings".into()));
    let failure = "dinitctl: error in service description: unmatched '{' in variable substitution\n";
    world.check("-u -o -d $D enable --from unset int1", "", failure, 1);
}

#[test]
fn an_include_path_of_what_is_enabled_has_no_argument() {
    let world = World::without_daemon();
    world.describe("part-x", "type = internal\n");
    world.describe("whole", "@include part-$1\n");
    let failure = "dinitctl: error loading whole@x: missing value in argument substitution\n";
    world.check("-u -o -d $D enable whole@x", "", failure, 1);
    world.check("-u -o -d $D enable --from boot whole@x", "Service 'whole@x' has been enabled.\n", "", 0);
}

#[test]
fn what_the_daemon_refuses_is_told_with_its_reason() {
    let world = World::with_daemon();
    world.describe("idle", "type = internal\nwaits-for.d = boot.d\n");
    world.describe("circle", "type = internal\ndepends-on = boot\n");
    world.describe("alone", "type = internal\ndepends-on = nosuch\n");
    let circle = "dinitctl: could not enable service: possible circular dependency\n";
    world.check("enable circle", "", circle, 1);
    let alone = "dinitctl: error loading service (or dependency of service).\n\
                 dinitctl: try 'dinit-check <service-name>' or check log for more information.\n";
    world.check("start alone", "", alone, 1);
    let warning = "dinitctl: warning: enabling dependency for non-started service\n";
    world.check("enable --from idle int1", "Service 'int1' has been enabled.\n", warning, 0);
    world.check("is-started int1", "STOPPED\n", "", 1);
    world.describe("int1", "type = internal\nbogus = 1\n");
    let reload = "dinitctl: could not reload service; service in wrong state, incompatible change, or bad service \
                  description.\n";
    world.check("reload int1", "", reload, 1);
}

#[test]
fn a_link_that_cannot_be_removed_leaves_the_service_disabled_for_now() {
    let world = World::with_daemon();
    world.prepare("enable int1");
    std::fs::remove_file(world.services().join("boot.d/int1")).unwrap();
    let failure = "dinitctl: could not unlink dependency entry $D/boot.d/int1: No such file or directory\n\
                   dinitctl: note: service was disabled for now; persistent disable failed.\n";
    world.check("disable int1", "", failure, 1);
    world.check("is-started int1", "STOPPED\n", "", 1);
}

#[test]
fn e52_a_triggered_service_starts_with_its_trigger() {
    let world = World::with_daemon();
    world.prepare("start --no-wait trig");
    world.check("trigger trig", "", "", 0);
    world.check("is-started trig", "STARTED\n", "", 0);
    world.check("untrigger trig", "", "", 0);
}

#[test]
fn enabling_makes_a_link_that_disabling_removes() {
    let world = World::with_daemon();
    world.prepare("enable int1");
    assert_eq!(world.link("boot.d/int1"), Some("../int1".into()));
    world.check("disable int1", "Service 'int1' has been disabled.\n", "", 0);
    assert_eq!(world.link("boot.d/int1"), None);
    world.check("is-started int1", "STOPPED\n", "", 1);
}

#[test]
fn a_description_that_is_a_link_gets_its_links_where_the_daemon_looks() {
    let world = World::without_daemon();
    let (services, elsewhere) = (world.services(), world.services().join("elsewhere"));
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(services.join("boot"), elsewhere.join("boot")).unwrap();
    std::os::unix::fs::symlink("elsewhere/boot", services.join("boot")).unwrap();
    world.check("-u -o -d $D enable int1", "Service 'int1' has been enabled.\n", "", 0);
    assert_eq!(world.link("boot.d/int1"), Some("../int1".into()));
}

#[test]
fn a_link_that_cannot_be_made_leaves_the_service_enabled_for_now() {
    let world = World::with_daemon();
    std::fs::remove_dir(world.services().join("boot.d")).unwrap();
    let failure = "dinitctl: could not create symlink at $D/boot.d/int1: No such file or directory\n\
                   dinitctl: note: service was enabled for now; persistent enable failed.\n";
    world.check("enable int1", "", failure, 1);
    world.check("is-started int1", "STARTED\n", "", 0);
}

#[test]
fn a_variable_without_a_value_takes_that_of_the_client_or_none() {
    let world = World::with_daemon();
    world.prepare("setenv DINITCTL_TEST_UNSET OTHER=1 HOME");
    world.prepare("unsetenv OTHER");
    let environment = world.environment();
    assert!(environment.contains(&"DINITCTL_TEST_UNSET=".to_owned()), "{environment:?}");
    assert!(environment.contains(&format!("HOME={}", world.services().display())), "{environment:?}");
    assert!(!environment.iter().any(|variable| variable.starts_with("OTHER=")), "{environment:?}");
    let long = "x".repeat(1020);
    let failure = format!("dinitctl: environment variable '{long}' too long.\n");
    world.check(&format!("setenv {long}=y"), "", &failure, 1);
}
