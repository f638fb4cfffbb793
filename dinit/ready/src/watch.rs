//! The watcher: waits until the daemon is ready or gone.
//!
//! Standard input is the notification socket, if there is one; standard output is dinit's readiness pipe.

use std::ffi::OsStr;
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use dinit_sys::pidfd;
use nix::cmsg_space;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt};

/// How long a socket that exists and refuses is left alone, in milliseconds: between bind(2) and listen(2)
/// nothing announces that the socket has begun to accept.
const RETRY: u8 = 20;

/// What connect(2) answers when the socket there is of another kind.
const EPROTOTYPE: i32 = nix::libc::EPROTOTYPE;
/// Where the kernel lists Unix sockets (proc_net(5)).
const SOCKETS: &str = "/proc/net/unix";

/// Watches as the words say: the daemon's pid, then `notify` and the file of the socket if it has one, or `socket`
/// or `pidfile` and a path.
pub(crate) fn run(words: &[&OsStr]) -> Result<(), String> {
    let [pid, what @ ..] = words else { return Err("the watcher needs a pid".to_owned()) };
    let pid = pid.to_str().and_then(|pid| pid.parse().ok()).ok_or("the watcher needs a pid")?;
    let outcome = watch(pid, what);
    if let [word, file] = what
        && *word == "notify"
    {
        // A daemon that reports once more finds nobody, which it takes as it takes having no such socket.
        let _ = std::fs::remove_file(file);
    }
    outcome
}

fn watch(pid: i32, what: &[&OsStr]) -> Result<(), String> {
    // A daemon that is gone already has not become ready.
    let Ok(daemon) = pidfd::open(pid) else { return Ok(()) };
    let ready = match what {
        [word, ..] if *word == "notify" => notified(daemon.as_fd(), pid)?,
        [word, path] if *word == "socket" => {
            let path = Path::new(path);
            // Between bind(2) and listen(2) nothing changes that could be waited for.
            let patience = || if path.exists() { PollTimeout::from(RETRY) } else { PollTimeout::NONE };
            appears(daemon.as_fd(), path, patience, || accepts(path))?
        }
        [word, path] if *word == "pidfile" => {
            let path = Path::new(path);
            appears(daemon.as_fd(), path, || PollTimeout::NONE, || names(path, pid))?
        }
        _ => return Err("the watcher does not know what to watch".to_owned()),
    };
    if ready {
        // dinit may have given up by now; then nobody reads.
        let _ = std::io::stdout().write_all(b"\n");
        let _ = std::io::stdout().flush();
    }
    Ok(())
}

/// Waits for READY=1 from the daemon, from root, or from the user that the daemon was started as.
fn notified(daemon: BorrowedFd<'_>, pid: i32) -> Result<bool, String> {
    let input = std::io::stdin();
    setsockopt(&input.as_fd(), sockopt::PassCred, &true)
        .map_err(|e| format!("cannot ask for credentials: {e}"))?;
    let own = nix::unistd::getuid().as_raw();
    loop {
        if wait(&[daemon, input.as_fd()], PollTimeout::NONE)? == Some(0) {
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        let mut space = cmsg_space!(UnixCredentials);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let (length, trusted) = match recvmsg::<()>(input.as_raw_fd(), &mut slices, Some(&mut space), flags) {
            Ok(message) => {
                let sender = message.cmsgs().into_iter().flatten().find_map(|control| match control {
                    ControlMessageOwned::ScmCredentials(sender) => Some(sender),
                    _ => None,
                });
                let is_trusted = |s: UnixCredentials| s.pid() == pid || s.uid() == 0 || s.uid() == own;
                (message.bytes, sender.is_some_and(is_trusted))
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(format!("cannot read the notification socket: {error}")),
        };
        let text = buffer.get(..length).unwrap_or_default();
        if trusted && text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return Ok(true);
        }
    }
}

/// Waits until something can be seen at `path`: looks again when the path's folder changes, and when patience ends.
/// A folder that the daemon has yet to make is waited for in the one that it will be in.
fn appears(
    daemon: BorrowedFd<'_>,
    path: &Path,
    patience: impl Fn() -> PollTimeout,
    is_there: impl Fn() -> bool,
) -> Result<bool, String> {
    let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
        .map_err(|e| format!("cannot watch for `{}`: {e}", path.display()))?;
    let flags = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_MODIFY;
    let mut watched: Option<&Path> = None;
    loop {
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        if watched != Some(folder) {
            changes
                .add_watch(folder, flags)
                .map_err(|e| format!("cannot watch `{}`: {e}", folder.display()))?;
            // What came before it was watched is seen now.
            watched = Some(folder);
            continue;
        }
        if is_there() {
            return Ok(true);
        }
        if wait(&[daemon, changes.as_fd()], patience())? == Some(0) {
            return Ok(false);
        }
        // What has changed does not matter, only that the events are taken off the queue.
        while changes.read_events().is_ok() {}
    }
}

/// Whether the socket takes connections; asked by connecting, but for the one kind that has no other sort of message
/// than whole ones over a connection: who connects to udevd's and says nothing is complained about.
fn accepts(path: &Path) -> bool {
    match UnixDatagram::unbound().and_then(|socket| socket.connect(path)) {
        Ok(()) => true,
        Err(error) if error.raw_os_error() != Some(EPROTOTYPE) => false,
        Err(_) => match UnixStream::connect(path) {
            Ok(_) => true,
            Err(error) if error.raw_os_error() != Some(EPROTOTYPE) => false,
            Err(_) => std::fs::read(SOCKETS).is_ok_and(|list| listens(&list, path)),
        },
    }
}

/// Whether the kernel's list of sockets has a listening one with connected whole messages at this path.
fn listens(list: &[u8], path: &Path) -> bool {
    // Num RefCount Protocol Flags Type St Inode Path; the flag is the kernel's __SO_ACCEPTCON.
    list.split(|byte| *byte == b'\n').any(|line| {
        let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        let (flags, kind) = (fields.nth(3), fields.next());
        flags == Some(b"00010000".as_slice())
            && kind == Some(b"0005".as_slice())
            && fields.nth(2) == Some(path.as_os_str().as_bytes())
    })
}

/// Whether the file holds this pid; what an earlier run has left does not.
fn names(path: &Path, pid: i32) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim().parse() == Ok(pid))
}

/// Waits until one of the descriptors has something, and says which; none at a time-out or a signal.
fn wait(descriptors: &[BorrowedFd<'_>], timeout: PollTimeout) -> Result<Option<usize>, String> {
    let mut entries: Vec<PollFd<'_>> =
        descriptors.iter().map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN)).collect();
    match poll(&mut entries, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(format!("cannot wait: {error}")),
    }
    Ok(entries.iter().position(|entry| entry.revents().is_some_and(|events| !events.is_empty())))
}
