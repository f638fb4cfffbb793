//! System call filters whose verdict another thread may give: seccomp with user notification.
//!
//! The image builder runs maintainer scripts under such a filter. It writes the program; here is only what takes
//! `unsafe`: putting a filter on the calling thread, and the three requests that its listener understands.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction of a filter, in the classic BPF encoding of `bpf(4)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do: class, size and mode or operation, or-ed together.
    pub code: u16,
    /// How many instructions a true condition skips.
    pub if_true: u8,
    /// How many instructions a false condition skips.
    pub if_false: u8,
    /// The constant, offset or verdict of the instruction.
    pub operand: u32,
}

/// A system call that waits for its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Names this one call; given back with the answer.
    pub id: u64,
    /// The thread that calls, as numbered in the process namespace of whoever receives this.
    pub thread: u32,
    /// The number of the call on this architecture.
    pub call: i64,
    /// The six arguments as they stood in the registers.
    pub arguments: [u64; 6],
}

/// The verdict on a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The call does not happen and returns this value.
    Value(i64),
    /// The call does not happen and fails with this error number, such as 2 for `ENOENT`.
    Error(i32),
    /// The call happens as if there were no filter.
    Proceed,
}

/// Puts a filter on the calling thread and all it will start; gives the descriptor that notifications come from.
///
/// The thread needs `CAP_SYS_ADMIN` in its user namespace, or must have set no-new-privileges.
///
/// # Errors
/// What the kernel answers: `EINVAL` for a program it does not accept, `EBUSY` if a filter with a listener is
/// already in force, `ENOSYS` on a kernel without seccomp.
pub fn install(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut instructions: Vec<libc::sock_filter> = program
        .iter()
        .map(|i| libc::sock_filter { code: i.code, jt: i.if_true, jf: i.if_false, k: i.operand })
        .collect();
    let length = u16::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len: length, filter: instructions.as_mut_ptr() };
    // SAFETY: the program points to `length` instructions that live until the call returns; the kernel copies them.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener as i32) })
}

/// Takes the next call that waits; blocks until there is one.
///
/// # Errors
/// `ENOENT` when the caller ended before its call could be taken, `EINTR` when a signal came first.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    let mut notification = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
    };
    // SAFETY: the request writes one `seccomp_notif`, which must be zeroed before, to where the pointer points.
    let status =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification) };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Notification {
        id: notification.id,
        thread: notification.pid,
        call: i64::from(notification.data.nr),
        arguments: notification.data.args,
    })
}

/// Gives the verdict on a call, which then returns to its caller.
///
/// # Errors
/// `ENOENT` when the caller has ended meanwhile.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    let (val, error, flags) = match answer {
        Answer::Value(value) => (value, 0, 0),
        Answer::Error(number) => (0, -number, 0),
        Answer::Proceed => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
    };
    let mut response = libc::seccomp_notif_resp { id, val, error, flags };
    // SAFETY: the request reads one `seccomp_notif_resp` from where the pointer points.
    let status =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets answers wake the caller on the processor of whoever answers, which halves the cost of a notification.
///
/// # Errors
/// `EINVAL` on kernels before 6.6, which do not know this; nothing but speed depends on it.
pub fn wake_synchronously(listener: BorrowedFd<'_>) -> io::Result<()> {
    const SYNCHRONOUS_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: this request takes its flags as the argument itself, and no pointer.
    let status = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNCHRONOUS_WAKE_UP)
    };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::sync::mpsc;
    use std::thread;

    /// Notifies of `chroot`, which a test never makes otherwise, and allows everything else.
    fn notify_of_chroot() -> [Instruction; 4] {
        let instruction = |code, if_true, if_false, operand| Instruction { code, if_true, if_false, operand };
        [
            instruction(0x20, 0, 0, 0),
            instruction(0x15, 0, 1, libc::SYS_chroot as u32),
            instruction(0x06, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
            instruction(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
        ]
    }

    #[test]
    fn a_filtered_call_gets_the_answer_that_the_listener_gives() {
        let (send, listener) = mpsc::channel();
        let caller = thread::spawn(move || {
            forbid_new_privileges();
            send.send(install(&notify_of_chroot()).expect("install")).expect("send");
            let calls = [std::os::unix::fs::chroot("/nowhere"), std::os::unix::fs::chroot("/nowhere")];
            calls.map(|result| result.err().and_then(|error| error.raw_os_error()))
        });
        let listener = listener.recv().expect("listener");
        for verdict in [Answer::Value(0), Answer::Error(libc::EDOM)] {
            let notification = receive(listener.as_fd()).expect("receive");
            assert_eq!(notification.call, libc::SYS_chroot);
            assert_ne!(notification.arguments[0], 0);
            answer(listener.as_fd(), notification.id, verdict).expect("answer");
        }
        assert_eq!(caller.join().expect("join"), [None, Some(libc::EDOM)]);
    }

    fn forbid_new_privileges() {
        // SAFETY: the call takes plain numbers and only affects the calling thread.
        let status = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        assert_eq!(status, 0);
    }
}
