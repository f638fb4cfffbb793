//! Children that do not outlive us, for programs that run others on a person's behalf.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd;

/// Makes the child be killed when the thread that spawns it ends, however it ends.
///
/// The kernel watches the spawning **thread**: spawn from one that lives as long as the child is wanted.
pub fn die_with_spawner(command: &mut Command) -> &mut Command {
    let spawner = unistd::getpid();
    let tie = move || -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // Whoever ended before the call above was not noticed by it.
        if unistd::getppid() == spawner { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: between fork and exec the closure makes two system calls and neither allocates nor takes a lock.
    unsafe { command.pre_exec(tie) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;
    use std::thread;

    #[test]
    fn a_tied_child_ends_with_the_thread_that_spawned_it() {
        let spawned = thread::spawn(|| {
            // The child holds the only writing end, so the reader sees the end of the stream when it is dead.
            die_with_spawner(&mut Command::new("sleep"))
                .arg("1000")
                .stdout(Stdio::piped())
                .spawn()
                .expect("`sleep` can be run")
        });
        let mut child = spawned.join().expect("the thread does not panic");
        let mut rest = Vec::new();
        child.stdout.take().expect("piped").read_to_end(&mut rest).expect("readable");
        let status = child.wait().expect("not reaped yet");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
    }
}
