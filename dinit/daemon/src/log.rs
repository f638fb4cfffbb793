//! The daemon's own messages: two streams (console and main log), each with a bounded buffer.
//!
//! A message becomes one line; lines are never interleaved. They are written together, once in a turn of the loop and
//! before anybody else gets to use the console. Writing never waits: what the other side does not take stays in the
//! buffer, and a message that does not fit is dropped as a whole, which is noted once. While a service has the console,
//! lines for it are kept here.

use crate::options::Level;
use dinit_sys::{Errno, descriptor, error_text, socket};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The bytes that a stream keeps while its other side does not take them.
const CAPACITY: usize = 4096;

/// How many lines are written together at most.
const TOGETHER: usize = 128;

/// How long logging must have been away from the console for its kept lines to be stale, in nanoseconds.
const STALE_AFTER: u64 = 1_000_000_000;

const DISCARDED: &[u8] = b"dinit: *** log message discarded due to full buffer ***\n";

/// The daemon facility of syslog.
const FACILITY: u8 = 3 << 3;

/// What became of a service, for the two forms in which that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Milestone {
    Started,
    Stopped,
    /// The start failed by itself.
    Failed,
    /// The start failed because that of a dependency did.
    DependencyFailed,
}

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Console,
    Main,
}

/// Where the main log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To the socket of syslog at this path.
    Syslog(PathBuf),
    /// To the end of a file.
    File(PathBuf),
}

/// Both streams.
#[derive(Debug)]
pub(crate) struct Log {
    console: Stream,
    main: Stream,
    quiet: bool,
    destination: Destination,
    tenure: Tenure,
}

/// Who has the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenure {
    Ours,
    /// The line that is being written is finished first.
    Yielding,
    /// A service has it, since that time of the monotonic clock.
    Away(u64),
}

impl Log {
    /// Makes both streams; the console stream writes to standard output from now on, the main one once opened.
    pub(crate) fn new(console: Level, main: Level, quiet: bool, destination: Destination) -> Self {
        Self {
            console: Stream::new(console, Some(Sink::Standard)),
            main: Stream::new(main, None),
            quiet,
            destination,
            tenure: Tenure::Ours,
        }
    }

    /// Makes standard output non-blocking, as the console stream needs it.
    pub(crate) fn start_console(&self) {
        let _ = descriptor::set_nonblocking(std::io::stdout(), true);
    }

    /// Writes what can be written, and makes standard output blocking again, for whoever uses it next.
    pub(crate) fn leave_console(&mut self) {
        self.write_out();
        let _ = descriptor::set_nonblocking(std::io::stdout(), false);
    }

    /// Says something on both streams.
    pub(crate) fn message(&mut self, level: Level, text: impl AsRef<[u8]>) {
        self.on_console(level, text.as_ref());
        self.in_main(level, text.as_ref());
    }

    /// Says something in the main log only.
    pub(crate) fn in_main(&mut self, level: Level, text: impl AsRef<[u8]>) {
        if level < self.main.level {
            return;
        }
        let text = text.as_ref();
        let line = if self.is_to_file() {
            [b"dinit: ", text, b"\n"].concat()
        } else {
            let severity = match level {
                Level::Debug => 7,
                Level::Notice => 5,
                Level::Warn => 4,
                Level::Error | Level::None => 3,
            };
            [format!("<{}>", FACILITY + severity).as_bytes(), b"dinit: ", text, b"\n"].concat()
        };
        self.keep(Which::Main, line);
    }

    /// Says what became of a service, in the form that each stream has for that.
    pub(crate) fn milestone(&mut self, milestone: Milestone, name: &[u8]) {
        let (mark, words, console_level, level): (&[u8], &[u8], Level, Level) = match milestone {
            Milestone::Started => (b"[  OK  ] ", b" started.", Level::Notice, Level::Notice),
            Milestone::Stopped => (b"[STOPPD] ", b" stopped.", Level::Notice, Level::Notice),
            Milestone::Failed => (b"[FAILED] ", b" failed to start.", Level::Error, Level::Error),
            Milestone::DependencyFailed => (b"[FAILED] ", b" failed to start.", Level::Warn, Level::Error),
        };
        if !self.quiet || console_level >= self.console.level {
            self.keep(Which::Console, [mark, name, b"\n"].concat());
        }
        self.in_main(level, [b"service ", name, words].concat());
    }

    /// Opens the main stream if it is not open; that nobody listens for syslog is no error.
    ///
    /// # Errors
    /// The text of the failure, for the log.
    pub(crate) fn open_main(&mut self) -> Result<(), String> {
        if self.main.sink.is_some() {
            return Ok(());
        }
        self.main.sink = match &self.destination {
            Destination::Syslog(path) => {
                let descriptor =
                    socket::datagram().map_err(|error| format!("Error creating log socket: {error}"))?;
                socket::connect_to(&descriptor, path).ok().map(|()| Sink::Datagram(descriptor))
            }
            Destination::File(path) => Some(Sink::Descriptor(open_file(path)?)),
        };
        self.pump(Which::Main);
        Ok(())
    }

    /// Says whether the main log is a file.
    pub(crate) fn is_to_file(&self) -> bool {
        matches!(self.destination, Destination::File(_))
    }

    /// Writes as much of both streams as is taken now.
    pub(crate) fn write_out(&mut self) {
        self.pump(Which::Console);
        self.pump(Which::Main);
    }

    /// Writes as much as the other side takes now.
    pub(crate) fn pump(&mut self, which: Which) {
        match which {
            Which::Main => self.main.pump(usize::MAX),
            Which::Console => match self.tenure {
                Tenure::Ours => self.console.pump(usize::MAX),
                Tenure::Yielding => self.console.pump(1),
                Tenure::Away(_) => {}
            },
        }
    }

    /// Gives the descriptor to wait for before the next `pump`, if there is something to write.
    pub(crate) fn awaited(&self, which: Which) -> Option<BorrowedFd<'_>> {
        match (which, self.tenure) {
            (Which::Main, _) => self.main.awaited(),
            (Which::Console, Tenure::Ours | Tenure::Yielding) => self.console.awaited(),
            (Which::Console, Tenure::Away(_)) => None,
        }
    }

    /// Gives the descriptor that a stream writes to.
    pub(crate) fn descriptor(&self, which: Which) -> Option<BorrowedFd<'_>> {
        match which {
            Which::Console => self.console.sink.as_ref().map(Sink::as_fd),
            Which::Main => self.main.sink.as_ref().map(Sink::as_fd),
        }
    }

    /// Begins to let go of the console: what is taken now is written, and no further line is begun.
    pub(crate) fn yield_console(&mut self) {
        if self.tenure == Tenure::Ours {
            self.pump(Which::Console);
            self.tenure = Tenure::Yielding;
        }
    }

    /// Says whether logging lets go of the console right now; true once for each `yield_console`.
    pub(crate) fn has_yielded(&mut self, now: u64) -> bool {
        if self.tenure != Tenure::Yielding || self.console.is_within_line() {
            return false;
        }
        self.tenure = Tenure::Away(now);
        let _ = descriptor::set_nonblocking(std::io::stdout(), false);
        true
    }

    /// Takes the console back; lines that were kept for long are dropped.
    pub(crate) fn resume_console(&mut self, now: u64) {
        if let Tenure::Away(since) = self.tenure {
            if now.saturating_sub(since) >= STALE_AFTER {
                self.console.clear();
            }
            self.start_console();
        }
        self.tenure = Tenure::Ours;
        self.pump(Which::Console);
    }

    /// Waits until both streams have written everything, or five seconds.
    pub(crate) fn flush(&mut self) {
        const LIMIT: u64 = 5_000_000_000;
        let end = dinit_sys::system::monotonic_nanoseconds().saturating_add(LIMIT);
        loop {
            self.write_out();
            let waiting: Vec<BorrowedFd<'_>> =
                [Which::Console, Which::Main].into_iter().filter_map(|which| self.awaited(which)).collect();
            let left = end.saturating_sub(dinit_sys::system::monotonic_nanoseconds());
            if waiting.is_empty() || left == 0 {
                return;
            }
            dinit_sys::poll::wait_writable(&waiting, left / 1_000_000);
        }
    }

    fn on_console(&mut self, level: Level, text: &[u8]) {
        if level >= self.console.level {
            self.keep(Which::Console, [b"dinit: ", text, b"\n"].concat());
        }
    }

    /// Keeps a line until it is written, which is now if there is no room for it.
    fn keep(&mut self, which: Which, line: Vec<u8>) {
        let stream = match which {
            Which::Console => &self.console,
            Which::Main => &self.main,
        };
        if !stream.has_room_for(&line) {
            self.pump(which);
        }
        match which {
            Which::Console => self.console.push(line),
            Which::Main => self.main.push(line),
        }
    }
}

#[derive(Debug)]
enum Sink {
    Standard,
    Descriptor(OwnedFd),
    Datagram(OwnedFd),
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Standard => standard_output(),
            Self::Descriptor(descriptor) | Self::Datagram(descriptor) => descriptor.as_fd(),
        }
    }
}

#[derive(Debug)]
struct Stream {
    level: Level,
    sink: Option<Sink>,
    lines: VecDeque<Vec<u8>>,
    /// The bytes of all lines that are still to be written.
    bytes: usize,
    /// How much of the first line has been written.
    written: usize,
    discarded: bool,
    /// Set once the other side is gone for good.
    broken: bool,
}

impl Stream {
    fn new(level: Level, sink: Option<Sink>) -> Self {
        Self { level, sink, lines: VecDeque::new(), bytes: 0, written: 0, discarded: false, broken: false }
    }

    fn push(&mut self, line: Vec<u8>) {
        if self.broken {
            return;
        }
        if !self.has_room_for(&line) || self.lines.try_reserve(1).is_err() {
            self.discarded = true;
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    fn has_room_for(&self, line: &[u8]) -> bool {
        self.bytes.saturating_add(line.len()) <= CAPACITY
    }

    fn is_within_line(&self) -> bool {
        self.written > 0
    }

    fn awaited(&self) -> Option<BorrowedFd<'_>> {
        if self.lines.is_empty() && !self.discarded { None } else { self.sink.as_ref().map(Sink::as_fd) }
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.bytes = 0;
        self.written = 0;
        self.discarded = false;
    }

    /// Writes lines until the other side takes no more; with `limit` 1 only finishes the one that was begun.
    fn pump(&mut self, limit: usize) {
        if limit == 1 && !self.is_within_line() {
            return;
        }
        loop {
            let Some(sink) = &self.sink else { return };
            if self.written == 0 && std::mem::take(&mut self.discarded) {
                // A note that waits already stands for these too.
                if self.lines.front().is_none_or(|line| line != DISCARDED) {
                    self.lines.push_front(DISCARDED.to_vec());
                    self.bytes += DISCARDED.len();
                }
            }
            let Some(first) = self.lines.front() else { return };
            let is_datagram = matches!(sink, Sink::Datagram(_));
            let begun = first.get(self.written..).unwrap_or_default();
            let others =
                self.lines.iter().skip(1).take(if is_datagram { 0 } else { limit.min(TOGETHER) - 1 });
            let pieces: Vec<IoSlice<'_>> =
                std::iter::once(begun).chain(others.map(Vec::as_slice)).map(IoSlice::new).collect();
            match descriptor::write_pieces(sink, &pieces) {
                Ok(count) => self.take_away(if is_datagram { begun.len() } else { count }),
                Err(Errno(libc::EINTR)) => continue,
                Err(Errno(libc::EAGAIN)) => return,
                Err(_) => return self.close(),
            }
            if limit == 1 && !self.is_within_line() {
                return;
            }
        }
    }

    /// Forgets so many bytes that were written.
    fn take_away(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        self.written += count;
        while let Some(line) = self.lines.pop_front_if(|line| line.len() <= self.written) {
            self.written -= line.len();
        }
    }

    fn close(&mut self) {
        self.broken = matches!(self.sink, Some(Sink::Standard));
        self.sink = None;
        if self.broken {
            self.clear();
        } else {
            // What was begun on the old descriptor is begun again on the next.
            self.bytes += std::mem::take(&mut self.written);
        }
    }
}

fn open_file(path: &Path) -> Result<OwnedFd, String> {
    let opened = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    match opened {
        Ok(file) => Ok(file.into()),
        Err(error) => Err(format!("Opening log file failed: {}", error_text(&error))),
    }
}

/// Standard output, which is open for as long as the program runs.
fn standard_output() -> BorrowedFd<'static> {
    dinit_sys::descriptor::standard(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixDatagram;

    /// Makes a log whose console is a pipe, of which the read end is given too.
    fn on_pipe(destination: Destination) -> (Log, std::fs::File) {
        let (reader, writer) = descriptor::pipe().unwrap();
        descriptor::set_nonblocking(&writer, true).unwrap();
        descriptor::set_nonblocking(&reader, true).unwrap();
        let mut log = Log::new(Level::Warn, Level::Notice, false, destination);
        log.console.sink = Some(Sink::Descriptor(writer));
        (log, reader.into())
    }

    fn nowhere() -> Destination {
        Destination::Syslog(PathBuf::from("/nonexistent/log"))
    }

    /// Writes out, and reads what came.
    fn printed(log: &mut Log, pipe: &mut std::fs::File) -> String {
        log.write_out();
        read(pipe)
    }

    fn read(pipe: &mut std::fs::File) -> String {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn syslog_gets_a_datagram_a_line_with_its_weight_and_what_was_said_before_it_came() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (mut log, mut pipe) = on_pipe(Destination::Syslog(path.clone()));
        log.message(Level::Debug, "no");
        log.message(Level::Notice, "notice");
        assert_eq!(log.open_main(), Ok(()));
        let syslog = UnixDatagram::bind(&path).unwrap();
        assert_eq!(log.open_main(), Ok(()));
        log.message(Level::Warn, "warn");
        log.message(Level::Error, "error");
        log.write_out();
        let mut line = [0; 100];
        for expected in ["<29>dinit: notice\n", "<28>dinit: warn\n", "<27>dinit: error\n"] {
            let length = syslog.recv(&mut line).unwrap();
            assert_eq!(&line[..length], expected.as_bytes());
        }
        assert_eq!(printed(&mut log, &mut pipe), "dinit: warn\ndinit: error\n");
    }

    #[test]
    fn what_does_not_fit_is_dropped_as_whole_lines_and_noted_once() {
        let (mut log, mut pipe) = on_pipe(nowhere());
        // The pipe is filled first, so that everything stays in the buffer.
        let sink = log.console.sink.as_ref().unwrap();
        while descriptor::write(sink, &[b'-'; 4096]).is_ok() {}
        let text = "x".repeat(1000);
        for _ in 0..6 {
            log.message(Level::Error, &text);
        }
        while !read(&mut pipe).is_empty() {}
        log.pump(Which::Console);
        let printed = read(&mut pipe);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 5, "{printed}");
        assert_eq!(lines.iter().filter(|line| line.contains("discarded due to full buffer")).count(), 1);
        assert_eq!(lines.iter().filter(|line| line.len() == 1007).count(), 4);
    }

    #[test]
    fn lines_are_kept_while_a_service_has_the_console_and_dropped_when_they_are_stale() {
        let (mut log, mut pipe) = on_pipe(nowhere());
        for (away, expected) in [(STALE_AFTER - 1, "[  OK  ] one\n"), (STALE_AFTER, "")] {
            log.yield_console();
            assert!(log.has_yielded(5) && !log.has_yielded(5));
            log.milestone(Milestone::Started, b"one");
            assert_eq!(read(&mut pipe), "");
            log.resume_console(5 + away);
            assert_eq!(read(&mut pipe), expected);
        }
    }

    #[test]
    fn a_line_that_was_begun_is_finished_before_the_console_is_given_away() {
        let (mut log, mut pipe) = on_pipe(nowhere());
        let sink = log.console.sink.take();
        log.message(Level::Error, "begun");
        log.message(Level::Error, "later");
        // As if the other side had taken a part of the first line.
        log.console.written = 3;
        log.console.bytes -= 3;
        log.yield_console();
        log.console.sink = sink;
        assert!(!log.has_yielded(0));
        log.pump(Which::Console);
        assert!(log.has_yielded(0));
        assert_eq!(read(&mut pipe), "it: begun\n");
        log.resume_console(0);
        assert_eq!(read(&mut pipe), "dinit: later\n");
    }

    #[test]
    fn a_failure_caused_by_a_dependency_weighs_less_on_a_quiet_console() {
        let (mut log, mut pipe) = on_pipe(nowhere());
        log.quiet = true;
        log.console.level = Level::Error;
        log.milestone(Milestone::DependencyFailed, b"top");
        log.milestone(Milestone::Failed, b"bad");
        log.milestone(Milestone::Stopped, b"bad");
        assert_eq!(printed(&mut log, &mut pipe), "[FAILED] bad\n");
    }
}
