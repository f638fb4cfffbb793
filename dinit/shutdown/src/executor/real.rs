//! The machine as it is.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dinit_sys::signal::{self, Mask, SignalDescriptor};
use dinit_sys::system::{self, KernelEnd};
use dinit_sys::{Errno, descriptor, error_text, pidfd, process, swap};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::mounts::unescape;
use super::{Console, Machine, Mount, Run};

const CONSOLE: &str = "/dev/console";
/// Another way to standard output, with flags of its own.
const STANDARD_OUTPUT: &str = "/proc/self/fd/1";
const MOUNTS: &str = "/proc/self/mounts";
const SWAPS: &str = "/proc/swaps";

const O_NONBLOCK: i32 = nix::libc::O_NONBLOCK;
const O_NOCTTY: i32 = nix::libc::O_NOCTTY;

/// The machine that this program runs on.
pub(crate) struct RealMachine {
    /// Where messages go; never waited for.
    console: Option<File>,
}

impl RealMachine {
    pub(crate) fn new() -> Self {
        Self { console: None }
    }

    /// Waits until one of the descriptors has something, the console takes something that waits for it, or the
    /// time is over.
    fn wait(&self, readable: &[BorrowedFd<'_>], console: &Console, time: Option<Duration>) {
        let mut watched: Vec<_> = readable.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        if let (Some(file), false) = (&self.console, console.is_empty()) {
            watched.push(PollFd::new(file.as_fd(), PollFlags::POLLOUT));
        }
        let timeout = time.map_or(PollTimeout::NONE, |time| {
            let milliseconds = time.as_micros().div_ceil(1000);
            PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
        });
        // A signal cannot interrupt this, since all are blocked; and if polling fails, whoever asked tries again.
        let _ = poll(&mut watched, timeout);
    }

    /// Keeps the console going until the time is over, or something is so, which a signal may have made so.
    fn wait_until(
        &mut self,
        time: Duration,
        console: &mut Console,
        signals: Option<&SignalDescriptor>,
        mut is_so: impl FnMut() -> bool,
    ) {
        let end = Instant::now() + time;
        loop {
            self.pump(console);
            // A signal that comes after the question has been answered ends the wait for it.
            while let Some(Ok(Some(_))) = signals.map(SignalDescriptor::next) {}
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || is_so() {
                return;
            }
            let watched: Vec<_> = signals.into_iter().map(AsFd::as_fd).collect();
            self.wait(&watched, console, Some(left));
        }
    }

    /// Shows the output of a child until it has ended.
    fn show_output(&mut self, child: &mut Child, output: &mut File, watch: &OwnedFd, console: &mut Console) {
        let mut is_open = true;
        loop {
            let ended = matches!(child.try_wait(), Ok(Some(_)) | Err(_));
            is_open = is_open && receive(output, console);
            self.pump(console);
            if ended {
                return;
            }
            let both = [watch.as_fd(), output.as_fd()];
            self.wait(if is_open { &both } else { &both[..1] }, console, None);
        }
    }
}

/// Takes what a child has written so far; says whether more may come.
fn receive(output: &mut File, console: &mut Console) -> bool {
    let mut chunk = [0; 1024];
    // A bound, so that a child that never stops writing cannot keep us from looking at anything else.
    for _ in 0..16 {
        match output.read(&mut chunk) {
            Ok(0) => return false,
            Ok(count) => console.append(chunk.get(..count).unwrap_or_default()),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}

impl Machine for RealMachine {
    fn block_signals(&mut self) {
        let _ = signal::block(Mask::ALL);
    }

    fn open_console(&mut self) {
        let open = |path: &str, append| {
            let flags = O_NONBLOCK | O_NOCTTY;
            OpenOptions::new().write(true).append(append).custom_flags(flags).open(path).ok()
        };
        if let Some(console) = open(CONSOLE, false) {
            let _ = descriptor::replace_standard(console.as_fd(), 1);
            self.console = Some(console);
        } else {
            let duplicate = || descriptor::duplicate_standard(1).ok().map(File::from);
            self.console = open(STANDARD_OUTPUT, true).or_else(duplicate);
        }
    }

    fn pump(&mut self, console: &mut Console) {
        let Some(file) = &mut self.console else { return };
        let mut is_broken = false;
        console.pump(|bytes| match file.write(bytes) {
            Ok(count) => count,
            Err(error) => {
                is_broken = !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                0
            }
        });
        if is_broken {
            // It would always be ready for more, and whoever waits for it would never rest.
            self.console = None;
        }
    }

    fn signal_all(&mut self, signal: i32) {
        // That there is nobody to signal is no failure.
        let _ = process::send_signal_to_all(signal);
    }

    fn pass_time(&mut self, time: Duration, console: &mut Console) {
        self.wait_until(time, console, None, || false);
    }

    fn outlast_processes(&mut self, time: Duration, console: &mut Console) {
        // Only process 1 becomes the parent of all that are left, and can tell that there are none.
        let ends = (process::own_pid() == 1).then(|| SignalDescriptor::new(Mask::of(&[nix::libc::SIGCHLD])));
        match ends {
            Some(Ok(ends)) => self.wait_until(time, console, Some(&ends), || {
                while let Ok(Some(_)) = process::reap() {}
                process::is_childless()
            }),
            _ => self.pass_time(time, console),
        }
    }

    fn is_executable(&mut self, path: &str) -> Option<bool> {
        fs::symlink_metadata(path).ok().map(|file| file.mode() & 0o111 != 0)
    }

    fn run(&mut self, program: &str, arguments: &[&str], console: &mut Console) -> Run {
        let mut command = Command::new(program);
        command.args(arguments);
        let reader = match io::pipe() {
            Ok((reader, writer)) => {
                if let Ok(copy) = writer.try_clone() {
                    command.stdout(Stdio::from(writer)).stderr(Stdio::from(copy));
                }
                Some(File::from(OwnedFd::from(reader)))
            }
            Err(_) => {
                let warning = format!("Warning: {program}: could not create pipe for subprocess output");
                console.append_line(warning.as_bytes());
                None
            }
        };
        self.pump(console);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return refused(program, &error, console),
        };
        // Only the child may hold the end that is written to, or the output never ends.
        drop(command);
        let watch = i32::try_from(child.id()).ok().and_then(|pid| pidfd::open(pid).ok());
        match (reader, watch) {
            (Some(mut output), Some(watch)) if descriptor::set_nonblocking(&output, true).is_ok() => {
                self.show_output(&mut child, &mut output, &watch, console);
            }
            (Some(mut output), _) => {
                // Without a way to see the child's end, the end of its output must do.
                let _ = descriptor::set_nonblocking(&output, false);
                let mut chunk = [0; 1024];
                while let Ok(count @ 1..) = output.read(&mut chunk) {
                    console.append(chunk.get(..count).unwrap_or_default());
                    self.pump(console);
                }
            }
            (None, _) => {}
        }
        let status = child.wait();
        console.end_line();
        self.pump(console);
        if status.is_ok_and(|status| status.success()) { Run::Succeeded } else { Run::Failed }
    }

    fn swap_areas(&mut self) -> Vec<Vec<u8>> {
        let text = fs::read(SWAPS).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter_map(|line| line.split(|byte| byte.is_ascii_whitespace()).next())
            .filter(|area| area.starts_with(b"/"))
            .map(unescape)
            .collect()
    }

    fn turn_swap_off(&mut self, area: &[u8]) -> Result<(), Errno> {
        let area = CString::new(area).map_err(|_| Errno(nix::libc::EINVAL))?;
        swap::turn_off(&area)
    }

    fn mounts(&mut self) -> Option<Vec<Mount>> {
        fs::read(MOUNTS).ok().map(|text| Mount::parse_all(&text))
    }

    fn unmount(&mut self, point: &[u8]) -> Result<(), Errno> {
        Ok(umount2(path(point), MntFlags::UMOUNT_NOFOLLOW)?)
    }

    fn make_read_only(&mut self, point: &[u8]) -> Result<(), Errno> {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        Ok(mount::<Path, Path, Path, Path>(None, path(point), None, flags, None)?)
    }

    fn sync(&mut self) {
        system::sync();
    }

    fn end_kernel(&mut self, how: KernelEnd) -> Errno {
        system::end_kernel(how)
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Says why a program did not come to run.
fn refused(program: &str, error: &io::Error, console: &mut Console) -> Run {
    match Errno::of(error) {
        // What a new process lacks; anything else has to do with the program.
        no_process @ Errno(nix::libc::EAGAIN | nix::libc::ENOMEM) => Run::NotForked(no_process),
        _ => {
            console.append_line(b"Failed to execute subprocess: ");
            console.append_line(format!("{program}: {}", error_text(error)).as_bytes());
            Run::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(console: &mut Console) -> String {
        let mut shown = Vec::new();
        console.pump(|bytes| {
            shown.extend_from_slice(bytes);
            bytes.len()
        });
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn a_program_is_run_to_its_end_with_both_its_outputs() {
        let (mut machine, mut console) = (RealMachine::new(), Console::default());
        let script = "echo out; echo err >&2; printf unfinished; exit 3";
        assert_eq!(machine.run("/bin/sh", &["-c", script], &mut console), Run::Failed);
        assert_eq!(shown(&mut console), "out\nerr\nunfinished\n");
        assert_eq!(machine.run("/bin/sh", &["-c", "exit 0"], &mut console), Run::Succeeded);
    }

    #[test]
    fn a_program_that_floods_a_console_that_takes_nothing_is_not_held_up() {
        let (mut machine, mut console) = (RealMachine::new(), Console::default());
        let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";
        assert_eq!(machine.run("/bin/sh", &["-c", script], &mut console), Run::Succeeded);
        let text = shown(&mut console);
        assert!(text.starts_with("line 0\nline 1\n") && text.len() <= 4096, "{} bytes", text.len());
    }

    #[test]
    fn a_console_that_is_gone_is_given_up() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut machine = RealMachine { console: Some(File::from(OwnedFd::from(writer))) };
        let mut console = Console::default();
        console.append_line(b"nobody reads this");
        machine.pump(&mut console);
        assert!(machine.console.is_none());
    }

    #[test]
    fn a_console_that_is_full_is_kept() {
        let (reader, writer) = io::pipe().unwrap();
        descriptor::set_nonblocking(&writer, true).unwrap();
        let mut machine = RealMachine { console: Some(File::from(OwnedFd::from(writer))) };
        let mut console = Console::default();
        while console.is_empty() {
            console.append_line(&[b'x'; 1000]);
            machine.pump(&mut console);
        }
        assert!(machine.console.is_some());
        drop(reader);
    }

    #[test]
    fn a_child_that_leaves_its_output_open_behind_is_not_waited_for() {
        let (mut machine, mut console) = (RealMachine::new(), Console::default());
        let before = Instant::now();
        let script = "sleep 60 & echo $!; exit 0";
        assert_eq!(machine.run("/bin/sh", &["-c", script], &mut console), Run::Succeeded);
        assert!(before.elapsed() < Duration::from_secs(30));
        let left_behind: i32 = shown(&mut console).trim().parse().unwrap();
        process::send_signal(left_behind, 9).unwrap();
    }

    #[test]
    fn a_wait_is_over_as_soon_as_a_signal_has_made_so_what_was_waited_for() {
        use nix::sys::{pthread, signal::Signal};
        let mask = Mask::of(&[Signal::SIGUSR1 as i32]);
        signal::block(mask).unwrap();
        let (signals, mut asked) = (SignalDescriptor::new(mask).unwrap(), 0);
        let year = Duration::from_secs(365 * 86_400);
        RealMachine::new().wait_until(year, &mut Console::default(), Some(&signals), || {
            asked += 1;
            pthread::pthread_kill(pthread::pthread_self(), Signal::SIGUSR1).unwrap();
            asked == 3
        });
        assert_eq!(asked, 3);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_the_reason() {
        let (mut machine, mut console) = (RealMachine::new(), Console::default());
        assert_eq!(machine.run("/nonexistent/swapoff", &["-a"], &mut console), Run::Failed);
        let expected = "Failed to execute subprocess: \n/nonexistent/swapoff: No such file or directory\n";
        assert_eq!(shown(&mut console), expected);
    }
}
