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

/// Runs the plan to its end and gives what the status pipe said and what was printed.
fn run(change: impl for<'a> FnOnce(&mut Plan<'a>), command: &[&str]) -> (ExecStatus, String) {
    let (reader, writer) = descriptor::pipe().unwrap();
    let mut plan = plan(command, writer.as_fd());
    change(&mut plan);
    let mut launched = spawn(plan).unwrap();
    drop(writer);
    descriptor::set_nonblocking(&launched.status, false).unwrap();
    let status = launched.status.read();
    assert!(status.is_last() || launched.status.read() == ExecStatus::Over);
    let mut text = String::new();
    std::fs::File::from(reader).read_to_string(&mut text).unwrap();
    let mut raw = 0;
    // SAFETY: the status is writable.
    unsafe { libc::waitpid(launched.pid, &mut raw, 0) };
    assert!(std::process::ExitStatus::from_raw(raw).success(), "{text}");
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
    let launched = spawn(plan).unwrap();
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
    std::fs::write(&script, "echo from shell $1\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (status, text) = run(|_| {}, &[script.to_str().unwrap(), "x"]);
    assert_eq!((status, text.as_str()), (ExecStatus::Executed, "from shell x\n"));
}
