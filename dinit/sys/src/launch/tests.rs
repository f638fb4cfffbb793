use super::*;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;

fn words(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

fn plan<'a>(command: &[&str], output: BorrowedFd<'a>) -> Plan<'a> {
    Plan {
        arguments: words(command),
        environment: words(&["PATH=/bin:/usr/bin", "FOO=bar"]),
        directory: None,
        standard: Standard::Detached { input: None, output: Output::Pipe(output) },
        readiness: None,
        activation: None,
        control: None,
        limits: Vec::new(),
        nice: None,
        io_priority: None,
        oom_score_adjustment: None,
        cgroup: None,
        identity: None,
        capabilities: None,
        securebits: None,
        no_new_privileges: false,
        login_record: None,
        signal_mask: Mask(0),
    }
}

/// Makes the child of a plan and gives it with what the status pipe said.
fn launch(plan: Plan<'_>) -> (Pid, ExecStatus) {
    let mut launched = spawn(plan, |_| Ok(())).unwrap();
    descriptor::set_nonblocking(&launched.status, false).unwrap();
    let status = launched.status.read();
    assert!(status.is_last() || launched.status.read() == ExecStatus::Over);
    (launched.pid, status)
}

fn await_success(pid: Pid) {
    let mut raw = 0;
    // SAFETY: the status is writable.
    unsafe { libc::waitpid(pid, &mut raw, 0) };
    assert!(std::process::ExitStatus::from_raw(raw).success());
}

/// Runs the plan to its end and gives what the status pipe said and what was printed.
fn run(change: impl for<'a> FnOnce(&mut Plan<'a>), command: &[&str]) -> (ExecStatus, String) {
    let (reader, writer) = descriptor::pipe().unwrap();
    let mut plan = plan(command, writer.as_fd());
    change(&mut plan);
    let (pid, status) = launch(plan);
    drop(writer);
    let mut text = String::new();
    std::fs::File::from(reader).read_to_string(&mut text).unwrap();
    await_success(pid);
    (status, text)
}

#[test]
fn a_command_is_searched_in_the_path_and_gets_its_environment() {
    let (status, text) = run(|_| {}, &["sh", "-c", "echo $FOO"]);
    assert_eq!((status, text.as_str()), (ExecStatus::Executed, "bar\n"));
}

#[test]
fn a_command_that_is_not_there_fails_at_the_last_stage() {
    let (status, _) = run(|_| {}, &["/nonexistent/x"]);
    assert_eq!(status, ExecStatus::Failed(Stage::Execute, Errno(libc::ENOENT)));
    let (status, _) = run(|plan| plan.arguments.clear(), &[]);
    assert_eq!(status, ExecStatus::Failed(Stage::Execute, Errno(libc::ENOENT)));
}

#[test]
fn each_failing_step_names_its_stage() {
    let (status, _) = run(|plan| plan.directory = Some(c"/nonexistent".into()), &["true"]);
    assert_eq!(status, ExecStatus::Failed(Stage::ChangeDirectory, Errno(libc::ENOENT)));
    let (status, _) = run(|plan| plan.cgroup = Some(Cgroup::NoBase), &["true"]);
    assert_eq!(status, ExecStatus::Failed(Stage::EnterCgroup, Errno(libc::ENOENT)));
    let file = LogFile { path: c"/nonexistent/x".into(), uid: None, gid: None, mode: 0o600 };
    let (status, _) =
        run(|plan| plan.standard = Standard::Detached { input: None, output: Output::File(file) }, &["true"]);
    assert_eq!(status, ExecStatus::Failed(Stage::OpenLogFile, Errno(libc::ENOENT)));
    let limit = Limit { resource: Resource::OpenFiles, soft: Some(u64::MAX), hard: Some(3) };
    let (status, _) = run(|plan| plan.limits = vec![limit], &["true"]);
    assert_eq!(status, ExecStatus::Failed(Stage::ResourceLimits, Errno(libc::EINVAL)));
}

#[test]
fn a_process_leads_its_session_with_the_mask_and_limits_it_was_given() {
    let limit = Limit { resource: Resource::CoreSize, soft: Some(0), hard: None };
    let change = |plan: &mut Plan<'_>| {
        plan.limits = vec![limit];
        plan.signal_mask = Mask::of(&[libc::SIGHUP]);
        plan.nice = Some(5);
        plan.directory = Some(c"/".into());
    };
    let script = "ulimit -S -c; pwd; ps -o pid=,sid=,ni= -p $$ | { read p s n; [ $p = $s ] && echo leader $n; }; \
                  while read k v; do [ $k = SigBlk: ] && echo $v; done < /proc/self/status; true";
    let (_, text) = run(change, &["sh", "-c", script]);
    assert_eq!(text, "0\n/\nleader 5\n0000000000000001\n");
}

#[test]
fn readiness_activation_and_control_descriptors_reach_their_numbers() {
    let (_reader, ready) = descriptor::pipe().unwrap();
    let (control, socket) = crate::socket::pair().unwrap();
    let (reader, writer) = descriptor::pipe().unwrap();
    let script = "echo $R $LISTEN_FDS $DINIT_CS_FD; [ $LISTEN_PID = $$ ] && echo mine; \
                  for n in 3 7 $DINIT_CS_FD; do readlink /proc/$$/fd/$n | cut -d: -f1; done";
    let mut plan = plan(&["sh", "-c", script], writer.as_fd());
    plan.readiness = Some(Readiness { pipe: ready.as_fd(), number: Some(7), variable: Some(b"R".to_vec()) });
    plan.activation = Some(socket.as_fd());
    plan.control = Some(control.as_fd());
    plan.environment.push(c"LISTEN_PID=1".into());
    let launched = spawn(plan, |_| Ok(())).unwrap();
    drop(writer);
    let mut text = String::new();
    std::fs::File::from(reader).read_to_string(&mut text).unwrap();
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(launched.pid, std::ptr::null_mut(), 0) };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(&lines[1..], ["mine", "socket", "pipe", "socket"], "{text}");
    assert!(lines[0].starts_with("7 1 "), "{text}");
    assert!(lines[0]["7 1 ".len()..].parse::<i32>().unwrap() > 3, "{text}");
}

#[test]
fn a_script_without_interpreter_line_is_run_by_the_shell() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    // By another process: open for writing here, it would be so in what other tests start, and could not be executed.
    let write = "echo 'echo from shell $1' > \"$1\" && chmod 755 \"$1\"";
    let written = std::process::Command::new("sh").args(["-c", write, "sh"]).arg(&script).status().unwrap();
    assert!(written.success());
    let (status, text) = run(|_| {}, &[script.to_str().unwrap(), "x"]);
    assert_eq!((status, text.as_str()), (ExecStatus::Executed, "from shell x\n"));
}

#[test]
fn no_child_is_made_whose_launch_cannot_be_watched() {
    let (reader, writer) = descriptor::pipe().unwrap();
    let refused = spawn(plan(&["echo", "here"], writer.as_fd()), |_| Err(FAULT));
    assert_eq!(refused.err(), Some(SpawnError::StatusPipe(FAULT)));
    drop(writer);
    assert_eq!(std::io::read_to_string(std::fs::File::from(reader)).unwrap(), "");
}

/// A system call, and what one of its arguments must be.
type Call = (libc::c_long, Option<(u32, i32)>);

/// What a case has different in its plan.
type Change = fn(&mut Plan<'_>);

/// What the tests have system calls fail with: no step of a launch fails so by itself.
const FAULT: Errno = Errno(libc::EXFULL);

/// Has a system call of this thread and its children fail.
fn break_call((number, argument): Call) {
    let statement = |code, operand| libc::sock_filter { code, jt: 0, jf: 0, k: operand };
    let skip_unless = |operand, jf| libc::sock_filter { code: 0x15, jt: 0, jf, k: operand };
    let mut filter = vec![statement(0x20, 0), skip_unless(number as u32, 1)];
    if let Some((index, value)) = argument {
        filter[1].jf = 3;
        filter.extend([statement(0x20, 16 + 8 * index), skip_unless(value as u32, 1)]);
    }
    filter.push(statement(0x06, libc::SECCOMP_RET_ERRNO | FAULT.0 as u32));
    filter.push(statement(0x06, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: this only keeps the thread from gaining privileges, without which it may not have a filter.
    let kept = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program points to `len` instructions that live until the call returns.
    let set =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!((kept, set), (0, 0), "{}", last());
}

/// Nothing can fail at the stages `ReadEnvironment` and `SetVariable`: the environment is composed beforehand.
#[test]
fn whatever_system_call_of_the_child_fails_is_told_with_its_stage() {
    use libc::*;
    const READ: Option<(u32, i32)> = Some((2, O_RDONLY | O_CLOEXEC));
    const WRITTEN: Option<(u32, i32)> = Some((2, O_WRONLY | O_CLOEXEC));
    const CREATED: Option<(u32, i32)> = Some((3, 0o600));
    let as_it_is = |_: &mut Plan<'_>| {};
    let cases: [(Stage, Call, Change); 23] = [
        (Stage::ArrangeDescriptors, (SYS_dup3, Some((1, 0))), as_it_is),
        (Stage::ArrangeDescriptors, (SYS_dup3, Some((1, 7))), as_it_is),
        (Stage::ActivationSocket, (SYS_dup3, Some((1, 3))), as_it_is),
        (Stage::ControlSocket, (SYS_fcntl, Some((1, F_SETFD))), as_it_is),
        (Stage::ChangeDirectory, (SYS_chdir, None), as_it_is),
        (Stage::OpenLogFile, (SYS_openat, CREATED), as_it_is),
        (Stage::StandardDescriptors, (SYS_fchown, None), as_it_is),
        (Stage::StandardDescriptors, (SYS_fchmod, None), as_it_is),
        (Stage::StandardDescriptors, (SYS_dup3, Some((1, 1))), as_it_is),
        (Stage::StandardDescriptors, (SYS_dup3, Some((1, 2))), as_it_is),
        (Stage::StandardDescriptors, (SYS_openat, READ), |plan| {
            plan.standard = Standard::Detached { input: None, output: Output::Discard };
        }),
        (Stage::StandardDescriptors, (SYS_setsid, None), as_it_is),
        (Stage::ResourceLimits, (SYS_prlimit64, None), as_it_is),
        (Stage::SetPriority, (SYS_setpriority, None), as_it_is),
        (Stage::SetPriority, (SYS_ioprio_set, None), as_it_is),
        (Stage::SetPriority, (SYS_openat, WRITTEN), as_it_is),
        (Stage::EnterCgroup, (SYS_openat, WRITTEN), |plan| {
            (plan.nice, plan.oom_score_adjustment) = (None, None);
        }),
        (Stage::SetIdentity, (SYS_setgroups, None), |plan| {
            plan.identity = Some(Identity { uid: 0, gid: 0, groups: Vec::new() });
        }),
        (Stage::SetCapabilities, (SYS_capget, None), as_it_is),
        (Stage::SetCapabilities, (SYS_capset, None), as_it_is),
        (Stage::SetCapabilities, (SYS_prctl, Some((0, PR_SET_SECUREBITS))), as_it_is),
        (Stage::SetCapabilities, (SYS_prctl, Some((0, PR_SET_NO_NEW_PRIVS))), |plan| plan.securebits = None),
        (Stage::Execute, (SYS_execve, None), |plan| plan.securebits = None),
    ];
    let directory = tempfile::tempdir().unwrap();
    let log = CString::new(directory.path().join("log").to_str().unwrap()).unwrap();
    let (reader, writer) = descriptor::pipe().unwrap();
    let (ours, theirs) = crate::socket::pair().unwrap();
    for (stage, call, change) in cases {
        // All that a plan can ask for, but what only root may have.
        let log = LogFile { path: log.clone(), uid: Some(u32::MAX), gid: Some(u32::MAX), mode: 0o600 };
        let mut plan = Plan {
            directory: Some(c"/".into()),
            standard: Standard::Detached { input: Some(reader.as_fd()), output: Output::File(log) },
            readiness: Some(Readiness { pipe: writer.as_fd(), number: Some(7), variable: None }),
            activation: Some(theirs.as_fd()),
            control: Some(ours.as_fd()),
            limits: vec![Limit { resource: Resource::CoreSize, soft: Some(0), hard: None }],
            nice: Some(5),
            io_priority: Some(2 << 13 | 5),
            oom_score_adjustment: Some(1000),
            cgroup: Some(Cgroup::Procs(c"/dev/null".into())),
            securebits: Some(0),
            no_new_privileges: true,
            ..plan(&["true"], writer.as_fd())
        };
        change(&mut plan);
        let (pid, status) = std::thread::scope(|scope| {
            let broken = move || {
                break_call(call);
                launch(plan)
            };
            scope.spawn(broken).join().unwrap()
        });
        await_success(pid);
        assert_eq!(status, ExecStatus::Failed(stage, FAULT), "{call:?}");
    }
}
