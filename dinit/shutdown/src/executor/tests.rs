//! The order of the steps, against a machine that only writes down what is done to it.

use std::collections::BTreeMap;

use super::*;

const TERM_KILL: &str = "Sending TERM/KILL to all processes...";
const HOOK: &str = "Executing shutdown hook...";
const SWAP: &str = "Turning off swap...";
const DISKS: &str = "Unmounting disks...";
const KERNEL: &str = "Issuing shutdown via kernel...";

#[derive(Default)]
struct FakeMachine {
    done: Vec<String>,
    shown: Vec<u8>,
    /// Whether the console takes nothing until the kernel has been called.
    is_stuck: bool,
    hooks: BTreeMap<&'static str, bool>,
    outputs: BTreeMap<&'static str, (String, bool)>,
    swap_areas: Vec<Vec<u8>>,
    mounts: Option<Vec<Mount>>,
    /// How often each path refuses to be unmounted or made read-only.
    busy: BTreeMap<String, usize>,
}

impl FakeMachine {
    fn new() -> Self {
        Self { mounts: Some(Vec::new()), ..Self::default() }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    fn lines(&self) -> Vec<&str> {
        str::from_utf8(&self.shown).unwrap().lines().collect()
    }

    fn try_closing(&mut self, what: &str, point: &[u8]) -> Result<(), Errno> {
        let call = format!("{what} {}", String::from_utf8_lossy(point));
        self.note(&call);
        match self.busy.get_mut(&call) {
            Some(0) | None => {
                let closed = |mount: &Mount| mount.point == point && mount.is_writable;
                for mount in self.mounts.iter_mut().flatten().filter(|mount| closed(mount)) {
                    mount.is_writable = false;
                }
                Ok(())
            }
            Some(times) => {
                *times -= 1;
                Err(Errno(16))
            }
        }
    }
}

impl Machine for FakeMachine {
    fn block_signals(&mut self) {
        self.note("block signals");
    }

    fn open_console(&mut self) {
        self.note("open console");
    }

    fn pump(&mut self, console: &mut Console) {
        if !self.is_stuck {
            let shown = &mut self.shown;
            console.pump(|bytes| {
                shown.extend_from_slice(bytes);
                bytes.len()
            });
        }
    }

    fn signal_all(&mut self, signal: i32) {
        self.note(format!("signal all {signal}"));
    }

    fn pass_time(&mut self, time: Duration, console: &mut Console) {
        self.note(format!("{} ms", time.as_millis()));
        self.pump(console);
    }

    fn outlast_processes(&mut self, time: Duration, console: &mut Console) {
        self.pass_time(time, console);
    }

    fn is_executable(&mut self, path: &str) -> Option<bool> {
        self.hooks.get(path).copied()
    }

    fn run(&mut self, program: &str, arguments: &[&str], console: &mut Console) -> Run {
        self.note(format!("{program} {}", arguments.join(" ")));
        match self.outputs.get(program) {
            Some((output, succeeds)) => {
                console.append(output.as_bytes());
                let succeeds = *succeeds;
                self.pump(console);
                if succeeds { Run::Succeeded } else { Run::Failed }
            }
            None => Run::Succeeded,
        }
    }

    fn swap_areas(&mut self) -> Vec<Vec<u8>> {
        self.swap_areas.clone()
    }

    fn turn_swap_off(&mut self, area: &[u8]) -> Result<(), Errno> {
        self.try_closing("swapoff", area)
    }

    fn mounts(&mut self) -> Option<Vec<Mount>> {
        self.mounts.clone()
    }

    fn unmount(&mut self, point: &[u8]) -> Result<(), Errno> {
        self.try_closing("unmount", point)
    }

    fn make_read_only(&mut self, point: &[u8]) -> Result<(), Errno> {
        self.try_closing("read-only", point)
    }

    fn sync(&mut self) {
        self.note("sync");
    }

    fn end_kernel(&mut self, how: KernelEnd) -> Errno {
        self.note(format!("kernel {how:?}"));
        self.is_stuck = false;
        Errno(22)
    }
}

const BEGINNING: [&str; 5] = ["block signals", "open console", "signal all 15", "1000 ms", "signal all 9"];
const ALL_OF_IT: [&str; 3] = ["/sbin/swapoff -a", "/bin/umount -a -r", "sync"];

/// Checks what was done up to the call of the kernel; what follows that is for when it refuses.
fn assert_done(machine: &FakeMachine, steps: &[&str], kernel: &str) {
    let expected: Vec<&str> = [&BEGINNING, steps, &[kernel]].concat();
    assert_eq!(machine.done[..expected.len()], expected);
}

#[test]
fn without_a_hook_swap_and_disks_are_closed_before_the_kernel_is_called() {
    for (kind, kernel) in [
        (ShutdownKind::Reboot, "kernel Restart"),
        (ShutdownKind::PowerOff, "kernel PowerOff"),
        (ShutdownKind::Halt, "kernel Halt"),
        (ShutdownKind::Kexec, "kernel Kexec"),
    ] {
        let mut machine = FakeMachine::new();
        assert_eq!(execute(kind, &mut machine), Ending::Sleep);
        assert_done(&machine, &ALL_OF_IT, kernel);
        assert_eq!(machine.lines()[..4], [TERM_KILL, SWAP, DISKS, KERNEL]);
    }
}

#[test]
fn a_hook_that_succeeds_has_dealt_with_swap_and_disks() {
    for (kind, argument, kernel) in [
        (ShutdownKind::Halt, "halt", "kernel Halt"),
        (ShutdownKind::PowerOff, "poweroff", "kernel PowerOff"),
        (ShutdownKind::Reboot, "reboot", "kernel Restart"),
        (ShutdownKind::Kexec, "reboot", "kernel Kexec"),
    ] {
        let mut machine = FakeMachine::new();
        machine.hooks.insert(HOOKS[0], true);
        execute(kind, &mut machine);
        assert_done(&machine, &[&format!("{} {argument}", HOOKS[0]), "sync"], kernel);
        assert_eq!(machine.lines()[..3], [TERM_KILL, HOOK, KERNEL]);
    }
}

#[test]
fn after_a_hook_that_fails_the_second_is_not_tried_and_all_is_done_here() {
    let mut machine = FakeMachine::new();
    machine.hooks.extend([(HOOKS[0], true), (HOOKS[1], true)]);
    machine.outputs.insert(HOOKS[0], (String::new(), false));
    execute(ShutdownKind::Kexec, &mut machine);
    let hook = format!("{} reboot", HOOKS[0]);
    assert_done(&machine, &[&[hook.as_str()], &ALL_OF_IT[..]].concat(), "kernel Kexec");
    assert_eq!(machine.lines()[..5], [TERM_KILL, HOOK, SWAP, DISKS, KERNEL]);
}

#[test]
fn a_hook_that_nobody_may_execute_makes_room_for_the_second() {
    let mut machine = FakeMachine::new();
    machine.hooks.extend([(HOOKS[0], false), (HOOKS[1], true)]);
    execute(ShutdownKind::PowerOff, &mut machine);
    assert_done(&machine, &[&format!("{} poweroff", HOOKS[1]), "sync"], "kernel PowerOff");
    assert_eq!(machine.lines()[..3], [TERM_KILL, HOOK, KERNEL]);
}

#[test]
fn the_hook_of_the_running_system_comes_before_those_on_disk() {
    let mut machine = FakeMachine::new();
    let places = ["/lib/dinit/shutdown-hook", "/run/dinit/shutdown-hook", "/etc/dinit/shutdown-hook"];
    machine.hooks.extend(places.map(|place| (place, true)));
    execute(ShutdownKind::Halt, &mut machine);
    assert_done(&machine, &["/run/dinit/shutdown-hook halt", "sync"], "kernel Halt");
}

#[test]
fn a_soft_reboot_ends_without_calling_the_kernel() {
    let mut machine = FakeMachine::new();
    assert_eq!(execute(ShutdownKind::SoftReboot, &mut machine), Ending::Exit(0));
    assert_eq!(machine.done, [&BEGINNING[..], &ALL_OF_IT].concat());
    assert_eq!(machine.lines(), [TERM_KILL, SWAP, DISKS]);

    let mut machine = FakeMachine::new();
    machine.hooks.insert(HOOKS[0], true);
    machine.outputs.insert(HOOKS[0], ("said the hook\n".into(), true));
    assert_eq!(execute(ShutdownKind::SoftReboot, &mut machine), Ending::Exit(0));
    let hook = format!("{} soft", HOOKS[0]);
    assert_eq!(machine.done, [&BEGINNING[..], &[hook.as_str(), "sync"]].concat());
    assert_eq!(machine.lines(), [TERM_KILL, HOOK, "said the hook"]);
}

#[test]
fn a_kernel_that_refuses_is_quoted_and_the_process_stays() {
    let mut machine = FakeMachine::new();
    assert_eq!(execute(ShutdownKind::Kexec, &mut machine), Ending::Sleep);
    let lines = machine.lines();
    assert_eq!(
        lines[lines.len() - 3..],
        [
            "reboot: Invalid argument",
            "It is possible that no suitable kernel image was loaded before",
            "reboot with kexec was attempted.",
        ]
    );
    let mut machine = FakeMachine::new();
    execute(ShutdownKind::Reboot, &mut machine);
    assert_eq!(machine.lines().last(), Some(&"reboot: Invalid argument"));
}

#[test]
fn a_console_that_takes_nothing_holds_nothing_up_and_gets_whole_lines_later() {
    let mut machine = FakeMachine::new();
    machine.hooks.insert(HOOKS[0], true);
    let output: String = (0..1000).map(|number| format!("line {number:04}\n")).collect();
    machine.outputs.insert(HOOKS[0], (output, true));
    machine.is_stuck = true;
    execute(ShutdownKind::Reboot, &mut machine);
    assert_done(&machine, &[&format!("{} reboot", HOOKS[0]), "sync"], "kernel Restart");
    let lines = machine.lines();
    assert_eq!(lines[..2], [TERM_KILL, HOOK]);
    let overflow = lines.iter().position(|line| line.starts_with("[Some output has not been shown")).unwrap();
    assert!(overflow > 300);
    for (number, line) in lines[2..overflow].iter().enumerate() {
        assert_eq!(*line, format!("line {number:04}"));
    }
}

fn mounted(point: &str, kind: &str) -> Mount {
    Mount { point: point.into(), kind: kind.into(), is_writable: true }
}

#[test]
fn what_umount_leaves_open_is_unmounted_deepest_first_and_the_root_made_read_only() {
    let mut machine = FakeMachine::new();
    machine.mounts = Some(vec![
        mounted("/", "ext4"),
        mounted("/proc", "proc"),
        mounted("/run", "tmpfs"),
        mounted("/home", "ext4"),
        mounted("/home/a b", "xfs"),
    ]);
    machine.outputs.insert(UMOUNT, (String::new(), false));
    execute(ShutdownKind::Reboot, &mut machine);
    let steps = [
        "/sbin/swapoff -a",
        "/bin/umount -a -r",
        "unmount /home/a b",
        "unmount /home",
        "read-only /",
        "sync",
    ];
    assert_done(&machine, &steps, "kernel Restart");
}

#[test]
fn a_file_system_that_is_busy_for_a_moment_is_tried_again() {
    let mut machine = FakeMachine::new();
    machine.mounts = Some(vec![mounted("/", "ext4"), mounted("/var", "ext4")]);
    machine.busy.extend([("unmount /var".to_owned(), 9), ("read-only /".to_owned(), 1)]);
    execute(ShutdownKind::Reboot, &mut machine);
    let steps = [
        "/sbin/swapoff -a",
        "/bin/umount -a -r",
        "unmount /var",
        "read-only /var",
        "read-only /",
        "100 ms",
        "read-only /",
        "sync",
    ];
    assert_done(&machine, &steps, "kernel Restart");
}

#[test]
fn a_file_system_that_stays_busy_is_named_and_does_not_stop_the_shutdown() {
    let mut machine = FakeMachine::new();
    machine.mounts = Some(vec![mounted("/", "ext4")]);
    machine.busy.insert("read-only /".to_owned(), usize::MAX);
    execute(ShutdownKind::PowerOff, &mut machine);
    let warning = "Warning: cannot close the file system at `/`: Device or resource busy";
    assert_eq!(machine.lines()[..5], [TERM_KILL, SWAP, DISKS, warning, KERNEL]);
}

#[test]
fn without_a_list_of_mounts_the_root_is_made_read_only_all_the_same() {
    let mut machine = FakeMachine::new();
    machine.mounts = None;
    execute(ShutdownKind::PowerOff, &mut machine);
    let steps = ["/sbin/swapoff -a", "/bin/umount -a -r", "read-only /", "sync"];
    assert_done(&machine, &steps, "kernel PowerOff");
}

#[test]
fn swap_that_swapoff_leaves_in_use_is_turned_off_here() {
    let mut machine = FakeMachine::new();
    machine.swap_areas = vec![b"/swapfile".to_vec()];
    execute(ShutdownKind::PowerOff, &mut machine);
    let steps = ["/sbin/swapoff -a", "swapoff /swapfile", "/bin/umount -a -r", "sync"];
    assert_done(&machine, &steps, "kernel PowerOff");
}
