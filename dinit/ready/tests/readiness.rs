//! Real daemons (small scripts) behind the real program.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// Starts `dinit-ready` under a shell that passes a pipe as descriptor 3; returns the pipe's other end.
fn start(words: &str) -> (Child, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    let child = Command::new("/bin/sh")
        .args(["-c", &format!("exec {} {words} 3>&1 >/dev/null", env!("CARGO_BIN_EXE_dinit-ready"))])
        .stdin(Stdio::null())
        .stdout(writer)
        .spawn()
        .unwrap();
    (child, File::from(OwnedFd::from(reader)))
}

/// What comes through the pipe until every writer has closed it.
fn rest(mut pipe: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A program in Perl, which every Debian has, as the argument of a shell; `{}` is where it stands.
fn perl(script: &str) -> String {
    format!("perl -e '{script}'")
}

fn has_perl() -> bool {
    let found =
        Command::new("perl").arg("-v").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("REQUIRE_ALL").is_none(), "perl is required");
    found
}

#[test]
fn a_daemon_that_notifies_is_ready() {
    if !has_perl() {
        return;
    }
    let script = "use Socket; socket(S,AF_UNIX,SOCK_DGRAM,0); my $n=$ENV{NOTIFY_SOCKET}; $n=~s/^@/\\0/; \
                  my $a=pack(\"Sa*\",AF_UNIX,$n); send(S,\"STATUS=begun\",0,$a); send(S,\"X=1\\nREADY=1\",0,$a) or die $!; \
                  <STDIN>; sleep 1000";
    let (mut daemon, pipe) = start(&format!("notify 3 {}", perl(script)));
    assert_eq!(rest(pipe), b"\n");
    // The watcher is gone, and has left nothing behind.
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.id())).unwrap();
    let mut words = environment.split(|byte| *byte == 0);
    let socket = words.find_map(|word| word.strip_prefix(b"NOTIFY_SOCKET=")).expect("a socket");
    let socket = String::from_utf8_lossy(socket);
    assert!(!std::path::Path::new(&*socket).exists(), "{socket}");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_that_ends_without_notifying_closes_the_pipe_unwritten() {
    let (mut daemon, pipe) = start("notify 3 /bin/sh -c 'exit 3'");
    assert_eq!(rest(pipe), b"");
    assert_eq!(daemon.wait().unwrap().code(), Some(3));
}

#[test]
fn a_daemon_is_ready_when_its_socket_accepts() {
    if !has_perl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // A socket file that nobody listens on is not readiness.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let script = "use Socket; unlink $ARGV[0]; socket(S,AF_UNIX,SOCK_DGRAM,0); bind(S,pack(\"Sa*\",AF_UNIX,$ARGV[0])) \
                  or die $!; sleep 1000";
    let (mut daemon, pipe) =
        start(&format!("socket 3 {} {} {}", path.display(), perl(script), path.display()));
    assert_eq!(rest(pipe), b"\n");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_is_ready_when_its_socket_for_connected_messages_listens() {
    if !has_perl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, go) = (folder.path().join("socket"), folder.path().join("go"));
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Bound at once, as udevd's control socket is, it listens only when it is told to.
    let script = "use Socket; socket(S,AF_UNIX,SOCK_SEQPACKET,0); bind(S,pack(\"Sa*\",AF_UNIX,$ARGV[0])) or die $!; \
                  open(G,$ARGV[1]); <G>; listen(S,1); sleep 1000";
    let (mut daemon, mut pipe) =
        start(&format!("socket 3 {} {} {} {}", path.display(), perl(script), path.display(), go.display()));
    // The daemon opens its end once it is bound.
    let go = File::options().write(true).open(&go).unwrap();
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut waits = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut waits, PollTimeout::from(100u8)), Ok(0));
    drop(go);
    let mut byte = [0];
    pipe.read_exact(&mut byte).unwrap();
    assert_eq!(rest(pipe), b"");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_is_ready_when_its_pid_file_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    // What an earlier run has left is not readiness; nor is an empty file, which some write first.
    std::fs::write(&path, "1\n").unwrap();
    let script = format!("'f={}; : > $f; echo 1 > $f; echo $$ > $f; exec sleep 1000'", path.display());
    let (mut daemon, pipe) = start(&format!("pidfile 3 {} /bin/sh -c {script}", path.display()));
    assert_eq!(rest(pipe), b"\n");
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written.trim(), daemon.id().to_string());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn a_folder_that_the_daemon_makes_itself_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let own = folder.path().join("run/daemon");
    let script = format!(
        "'read line < {}; mkdir -p {1}; echo $$ > {1}/pid; exec sleep 1000'",
        go.display(),
        own.display()
    );
    let (mut daemon, pipe) = start(&format!("pidfile 3 {}/pid /bin/sh -c {script}", own.display()));
    // The daemon opens its end when the watcher is there already: dinit-ready starts it first.
    drop(File::options().write(true).open(&go).unwrap());
    assert_eq!(rest(pipe), b"\n");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_that_ends_with_anothers_pid_in_its_file_closes_the_pipe_unwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let script = format!("'echo 1 > {}'", path.display());
    let (mut daemon, pipe) = start(&format!("pidfile 3 {} /bin/sh -c {script}", path.display()));
    assert_eq!(rest(pipe), b"");
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_that_ends_before_its_socket_accepts_closes_the_pipe_unwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, pipe) = start(&format!("socket 3 {}/socket /bin/true", folder.path().display()));
    assert_eq!(rest(pipe), b"");
    daemon.wait().unwrap();
}

#[test]
fn a_descriptor_that_dinit_did_not_pass_is_an_error_that_names_the_setting() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_dinit-ready")).args(["notify", "77", "/bin/true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ready-notification = pipefd:77"), "{said}");
}
