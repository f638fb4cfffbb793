//! What services print: pipes that outlive their processes, and buffers that clients can read.
//!
//! They belong to names, not to loaded services, because a pipe follows its service through reload, unload and
//! loading again. The daemon holds both ends of each pipe, so neither side sees the other restart.

use dinit_sys::{Errno, descriptor};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The pipe of one service.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    /// Makes one.
    pub(crate) fn new() -> Result<Self, Errno> {
        let (reader, writer) = descriptor::pipe()?;
        Ok(Self { reader, writer })
    }

    /// Gives the end that a consumer reads.
    pub(crate) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Gives the end that a producer writes.
    pub(crate) fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

/// Output kept in memory, up to a limit; what comes beyond it is read and dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) pipe: Pipe,
    text: Vec<u8>,
    limit: usize,
}

/// What reading into a buffer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing more for now.
    Empty,
    /// There may be more.
    More,
    /// There is no memory for it, so that the buffer is full as it is until it is made for the next process.
    NoMemory,
    /// The pipe cannot be read.
    Unreadable(Errno),
}

/// How many reads empty a full pipe.
const PIPE_READS: usize = 16;

const RESTARTED: &[u8] = b"\n(dinit: note: service restarted)\n";

impl Buffer {
    /// Makes one; nothing is allocated before there is output.
    pub(crate) fn new(limit: usize) -> Result<Self, Errno> {
        let pipe = Pipe::new()?;
        descriptor::set_nonblocking(&pipe.reader, true)?;
        Ok(Self { pipe, text: Vec::new(), limit })
    }

    /// Changes the limit; what is there already stays.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Gives what was printed.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Forgets what was printed.
    pub(crate) fn clear(&mut self) {
        self.text = Vec::new();
    }

    /// Notes that the service starts again, if something was printed before and the note fits.
    ///
    /// What the process before has printed may still be in the pipe; it is read first.
    pub(crate) fn note_restart(&mut self) {
        for _ in 0..PIPE_READS {
            if self.drain() != Drained::More {
                break;
            }
        }
        let Some(last) = self.text.last() else { return };
        let note = if *last == b'\n' { RESTARTED.get(1..).unwrap_or_default() } else { RESTARTED };
        if self.text.len().saturating_add(note.len()) < self.limit
            && self.text.try_reserve(note.len()).is_ok()
        {
            self.text.extend_from_slice(note);
        }
    }

    /// Reads once from the pipe.
    pub(crate) fn drain(&mut self) -> Drained {
        const DISCARD: usize = 16 * 1024;
        const CHUNK: usize = 4096;
        let free = self.limit.saturating_sub(self.text.len());
        let mut chunk = [0u8; DISCARD];
        let wanted = if free == 0 { DISCARD } else { free.min(CHUNK) };
        match descriptor::read(&self.pipe.reader, chunk.get_mut(..wanted).unwrap_or_default()) {
            Ok(0) | Err(Errno(libc::EAGAIN)) => Drained::Empty,
            Err(Errno(libc::EINTR)) => Drained::More,
            Err(error) => Drained::Unreadable(error),
            Ok(_) if free == 0 => Drained::More,
            Ok(count) => {
                if self.text.try_reserve(count).is_err() {
                    self.limit = self.text.len();
                    return Drained::NoMemory;
                }
                self.text.extend_from_slice(chunk.get(..count).unwrap_or_default());
                Drained::More
            }
        }
    }
}

/// The output of all services, by name.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pipes: BTreeMap<Vec<u8>, Pipe>,
    buffers: BTreeMap<Vec<u8>, Buffer>,
    by_number: BTreeMap<u64, Vec<u8>>,
}

impl Outputs {
    /// Gives the pipe of a service, making it if need be.
    pub(crate) fn pipe(&mut self, name: &[u8]) -> Result<&Pipe, Errno> {
        if !self.pipes.contains_key(name) {
            self.pipes.insert(name.to_vec(), Pipe::new()?);
        }
        self.pipes.get(name).ok_or(Errno(libc::ENOMEM))
    }

    /// Gives the buffer of a service, making it if need be; `register` is told of a new one by its number.
    pub(crate) fn buffer(
        &mut self,
        name: &[u8],
        limit: usize,
        register: impl FnOnce(BorrowedFd<'_>) -> Result<u64, Errno>,
    ) -> Result<&mut Buffer, Errno> {
        if !self.buffers.contains_key(name) {
            let buffer = Buffer::new(limit)?;
            let number = register(buffer.pipe.reader())?;
            self.by_number.insert(number, name.to_vec());
            self.buffers.insert(name.to_vec(), buffer);
        }
        let buffer = self.buffers.get_mut(name).ok_or(Errno(libc::ENOMEM))?;
        buffer.set_limit(limit);
        Ok(buffer)
    }

    /// Gives the end of a service's pipe that its consumer reads, if there is a pipe.
    pub(crate) fn reader_of(&self, name: &[u8]) -> Option<BorrowedFd<'_>> {
        self.pipes.get(name).map(Pipe::reader)
    }

    /// Gives the end of a service's pipe that it writes, if there is a pipe.
    pub(crate) fn pipe_writer(&self, name: &[u8]) -> Option<BorrowedFd<'_>> {
        self.pipes.get(name).map(Pipe::writer)
    }

    /// Gives the end of a service's buffer that it writes, if there is a buffer.
    pub(crate) fn buffer_writer(&self, name: &[u8]) -> Option<BorrowedFd<'_>> {
        self.buffers.get(name).map(|buffer| buffer.pipe.writer())
    }

    /// Gives the end of a service's buffer that the daemon reads, if there is a buffer.
    pub(crate) fn buffer_reader(&self, name: &[u8]) -> Option<BorrowedFd<'_>> {
        self.buffers.get(name).map(|buffer| buffer.pipe.reader())
    }

    /// Gives the buffer of a service, if it has printed into one.
    pub(crate) fn existing_buffer(&mut self, name: &[u8]) -> Option<&mut Buffer> {
        self.buffers.get_mut(name)
    }

    /// Reads what a service has printed; gives its name if that went wrong.
    pub(crate) fn drain(&mut self, number: u64) -> (Drained, Option<Vec<u8>>) {
        let Some(name) = self.by_number.get(&number) else { return (Drained::Empty, None) };
        let Some(buffer) = self.buffers.get_mut(name) else { return (Drained::Empty, None) };
        (buffer.drain(), Some(name.clone()))
    }

    /// Gives the read end that belongs to a number.
    pub(crate) fn reader(&self, number: u64) -> Option<BorrowedFd<'_>> {
        Some(self.buffers.get(self.by_number.get(&number)?)?.pipe.reader())
    }

    /// Forgets a buffer whose service was unloaded.
    pub(crate) fn forget_buffer(&mut self, name: &[u8]) {
        self.buffers.remove(name);
        self.by_number.retain(|_, owner| owner != name);
    }

    /// Forgets a pipe that neither producer nor consumer is left for.
    pub(crate) fn forget_pipe(&mut self, name: &[u8]) {
        self.pipes.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(buffer: &mut Buffer, text: &[u8]) {
        descriptor::write(buffer.pipe.writer(), text).unwrap();
        while buffer.drain() == Drained::More {}
    }

    #[test]
    fn a_restart_is_noted_with_exactly_one_newline_before_it() {
        let mut buffer = Buffer::new(4096).unwrap();
        buffer.note_restart();
        assert_eq!(buffer.text(), b"");
        print(&mut buffer, b"hello\n");
        buffer.note_restart();
        print(&mut buffer, b"more");
        buffer.note_restart();
        let expected = "hello\n(dinit: note: service restarted)\nmore\n(dinit: note: service restarted)\n";
        assert_eq!(String::from_utf8_lossy(buffer.text()), expected);
    }

    #[test]
    fn what_was_printed_before_a_restart_is_read_before_it_is_noted() {
        let mut buffer = Buffer::new(4096).unwrap();
        descriptor::write(buffer.pipe.writer(), b"unread\n").unwrap();
        buffer.note_restart();
        assert_eq!(buffer.text(), b"unread\n(dinit: note: service restarted)\n");
    }

    #[test]
    fn a_full_buffer_goes_on_reading_and_a_note_that_does_not_fit_is_left_out() {
        let mut buffer = Buffer::new(10).unwrap();
        print(&mut buffer, &[b'x'; 30_000]);
        assert_eq!(buffer.text(), [b'x'; 10]);
        buffer.note_restart();
        assert_eq!(buffer.text().len(), 10);
        buffer.clear();
        print(&mut buffer, b"again");
        assert_eq!(buffer.text(), b"again");
    }
}
