//! Every form of a status that the specification lists.

use super::*;
use ServiceState::{Started, Starting, Stopped, Stopping};

fn status(state: ServiceState, target: TargetState) -> Status {
    Status {
        state,
        target,
        waiting_for_console: false,
        has_console: false,
        skipped: false,
        activated: false,
        reason: StopReason::Normal,
        detail: Detail::Ended(ExitInfo::default()),
        modified: None,
    }
}

fn stopped(reason: StopReason, code: i32, exit: i32) -> Status {
    let detail = Detail::Ended(ExitInfo { code, status: exit });
    Status { reason, detail, ..status(Stopped, TargetState::Stopped) }
}

#[test]
fn the_box_shows_state_and_target_and_activation() {
    let (to_stop, to_start) = (TargetState::Stopped, TargetState::Started);
    for (state, target, dependent, activated) in [
        (Stopped, to_stop, "[     {-}]", "[[ ]  {-}]"),
        (Stopped, to_start, "[{ }   - ]", "[[ ]   - ]"),
        (Starting, to_start, "[{ }<<   ]", "[[ ]<<   ]"),
        (Starting, to_stop, "[   <<{ }]", "[[ ]<<{ }]"),
        (Started, to_start, "[{+}     ]", "[[+]     ]"),
        (Started, to_stop, "[ +   { }]", "[[+]  { }]"),
        (Stopping, to_stop, "[   >>{ }]", "[[ ]>>{ }]"),
        (Stopping, to_start, "[{ }>>   ]", "[[ ]>>   ]"),
    ] {
        let mut status = status(state, target);
        assert_eq!(state_box(&status), dependent, "{state:?} {target:?}");
        status.activated = true;
        assert_eq!(state_box(&status), activated, "{state:?} {target:?}");
    }
    let skipped = Status { skipped: true, ..status(Started, to_start) };
    assert_eq!(state_box(&skipped), "[{s}     ]");
}

#[test]
fn the_box_marks_what_stopped_for_a_bad_reason() {
    for (reason, code, exit, sign) in [
        (StopReason::Normal, ExitInfo::KILLED, 15, '-'),
        (StopReason::DependencyRestarted, 0, 0, 'X'),
        (StopReason::DependencyFailed, 0, 0, 'X'),
        (StopReason::Failed, ExitInfo::EXITED, 0, 'X'),
        (StopReason::TimedOut, 0, 0, 'X'),
        (StopReason::Terminated, ExitInfo::EXITED, 0, '-'),
        (StopReason::Terminated, ExitInfo::EXITED, 1, 'X'),
        (StopReason::Terminated, ExitInfo::KILLED, 9, 'X'),
    ] {
        let drawn = state_box(&stopped(reason, code, exit));
        assert_eq!(drawn, format!("[     {{{sign}}}]"), "{reason:?} {code} {exit}");
    }
    let old = Status { detail: Detail::EndedWord(0), ..stopped(StopReason::Terminated, 0, 0) };
    assert_eq!(state_box(&old), "[     {-}]");
}

#[test]
fn suffixes_tell_of_the_process_and_the_console() {
    let running = Status { detail: Detail::Process(7), ..status(Started, TargetState::Started) };
    assert_eq!(suffixes(&running), " (pid: 7)");
    assert_eq!(
        suffixes(&Status { has_console: true, waiting_for_console: true, ..running }),
        " (pid: 7) (has console)"
    );
    assert_eq!(suffixes(&Status { waiting_for_console: true, ..running }), " (pid: 7) (waiting for console)");
    assert_eq!(suffixes(&stopped(StopReason::Terminated, ExitInfo::EXITED, 5)), " (exit status: 5)");
    assert_eq!(suffixes(&stopped(StopReason::Terminated, ExitInfo::KILLED, 9)), " (signal: 9)");
    assert_eq!(suffixes(&stopped(StopReason::Terminated, ExitInfo::DUMPED, 11)), "");
    assert_eq!(suffixes(&stopped(StopReason::Normal, ExitInfo::KILLED, 15)), "");
}

#[test]
fn the_state_is_told_with_its_reason() {
    for (reason, code, exit, text) in [
        (StopReason::Normal, ExitInfo::EXITED, 1, "STOPPED"),
        (StopReason::DependencyRestarted, 0, 0, "STOPPED (dependency restarted)"),
        (StopReason::DependencyFailed, 0, 0, "STOPPED (dependency failed/terminated)"),
        (StopReason::Failed, ExitInfo::EXITED, 0, "STOPPED (failed to start)"),
        (StopReason::Failed, ExitInfo::EXITED, 3, "STOPPED (failed to start; exited - status 3)"),
        (StopReason::Terminated, 0, 0, "STOPPED (terminated)"),
        (StopReason::Terminated, ExitInfo::KILLED, 9, "STOPPED (terminated; signalled - signal 9)"),
        (StopReason::Terminated, ExitInfo::DUMPED, 11, "STOPPED (terminated; unknown reason)"),
        (StopReason::TimedOut, ExitInfo::KILLED, 2, "STOPPED (start timed out)"),
    ] {
        assert_eq!(state_text(&stopped(reason, code, exit)), text);
    }
    let detail = Detail::ExecFailed { stage: ExecStage::CHANGE_DIRECTORY, errno: 13 };
    let failed = Status { detail, waiting_for_console: true, ..stopped(StopReason::ExecFailed, 0, 0) };
    let text = "STOPPED (could not be launched)\n        Stage: changing directory\n        Error: Permission denied \
                (waiting for console)";
    assert_eq!(state_text(&failed), text);
    let unknown = Detail::ExecFailed { stage: ExecStage(99), errno: 2 };
    let text = "        Stage: unknown stage 99\n        Error: No such file or directory";
    assert_eq!(launch_failure(&Status { detail: unknown, ..failed }), text);
}

#[test]
fn what_is_under_way_is_told_with_its_target() {
    let (to_stop, to_start) = (TargetState::Stopped, TargetState::Started);
    assert_eq!(state_text(&status(Starting, to_start)), "STARTING");
    assert_eq!(state_text(&status(Starting, to_stop)), "STARTING (target state: STOPPED)");
    assert_eq!(state_text(&status(Started, to_stop)), "STARTED");
    let skipped = Status { skipped: true, has_console: true, ..status(Started, to_start) };
    assert_eq!(state_text(&skipped), "STARTED (startup skipped) (holding console)");
    let ended = Detail::Ended(ExitInfo { code: ExitInfo::EXITED, status: 1 });
    let stopping = Status { detail: ended, ..status(Stopping, to_start) };
    assert_eq!(state_text(&stopping), "STOPPING (target state: STARTED)(terminated ;exited - status 1)");
    assert_eq!(
        state_text(&Status { detail: Detail::Process(1), ..stopping }),
        "STOPPING (target state: STARTED)"
    );
    assert_eq!(state_text(&status(Stopping, to_stop)), "STOPPING");
}

#[test]
fn a_description_has_a_line_for_each_thing_that_is_so() {
    let running = Status { detail: Detail::Process(7), ..status(Started, TargetState::Started) };
    let text = "    State: STARTED\n    Activation: start due to dependent(s)\n    Process ID: 7\n";
    assert_eq!(describe(&running), text);
    assert_eq!(describe(&stopped(StopReason::Normal, 0, 0)), "    State: STOPPED\n");
}

#[test]
fn a_failure_to_start_is_explained() {
    let killed = stopped(StopReason::Failed, ExitInfo::KILLED, 15);
    let ended = "Reason: service process terminated before ready: ";
    assert_eq!(failure_reason(&killed), format!("{ended}signalled - signal 15"));
    assert_eq!(failure_reason(&stopped(StopReason::Failed, 0, 0)), format!("{ended}exited - status 0"));
    let dumped = stopped(StopReason::Failed, ExitInfo::DUMPED, 11);
    assert_eq!(failure_reason(&dumped), format!("{ended}unknown reason"));
    let old = Status { detail: Detail::EndedWord(3 << 8), ..killed };
    assert_eq!(failure_reason(&old), format!("{ended}exited - status 3"));
    let unknown = "Reason unknown/unrecognised. Check dinit log.";
    assert_eq!(failure_reason(&stopped(StopReason::Terminated, 0, 0)), unknown);
}
