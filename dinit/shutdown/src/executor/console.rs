//! What waits to be shown: whole lines, and no more of them than fit.

use std::collections::VecDeque;

/// How much may wait.
const CAPACITY: usize = 4096;

/// What stands in place of lines that were dropped; there is always room for it.
const OVERFLOW: &[u8] = b"[Some output has not been shown due to buffer overflow]\n";

/// The lines that the console has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Console {
    waiting: VecDeque<u8>,
    /// The line that is being received.
    line: Vec<u8>,
    /// Whether the line being received is too long to be shown.
    is_dropped: bool,
    /// Whether the last line waiting says that something was dropped.
    says_so: bool,
}

impl Console {
    /// Adds a line without its newline, behind the end of whatever line was being received.
    pub(crate) fn append_line(&mut self, line: &[u8]) {
        self.end_line();
        self.append(line);
        self.append(b"\n");
    }

    /// Adds output as it comes; what is not yet a line is held back.
    pub(crate) fn append(&mut self, output: &[u8]) {
        for byte in output {
            if self.line.len() < CAPACITY {
                self.line.push(*byte);
            } else {
                self.is_dropped = true;
            }
            if *byte == b'\n' {
                self.take_line();
            }
        }
    }

    /// Ends the line that is being received, if there is one.
    pub(crate) fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.append(b"\n");
        }
    }

    fn take_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let fits = self.waiting.len() + line.len() + OVERFLOW.len() <= CAPACITY;
        if fits && !self.is_dropped {
            self.waiting.extend(line);
            self.says_so = false;
        } else if !self.says_so {
            self.waiting.extend(OVERFLOW);
            self.says_so = true;
        }
        self.is_dropped = false;
    }

    /// Says whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands what waits to `write`, which gives how many bytes it took, until it takes none.
    pub(crate) fn pump(&mut self, mut write: impl FnMut(&[u8]) -> usize) {
        loop {
            let (front, _) = self.waiting.as_slices();
            let taken = if front.is_empty() { 0 } else { write(front) };
            if taken == 0 {
                break;
            }
            self.waiting.drain(..taken);
        }
        if self.waiting.is_empty() {
            self.says_so = false;
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
    fn lines_come_out_whole_and_in_order() {
        let mut console = Console::default();
        console.append(b"one\ntw");
        assert_eq!(shown(&mut console), "one\n");
        console.append(b"o\nthree");
        console.append_line(b"four");
        assert_eq!(shown(&mut console), "two\nthree\nfour\n");
    }

    #[test]
    fn what_does_not_fit_is_dropped_by_whole_lines_with_one_line_in_its_place() {
        let mut console = Console::default();
        for number in 0..1000 {
            console.append(format!("line {number:03}\n").as_bytes());
        }
        let text = shown(&mut console);
        assert!(text.len() <= CAPACITY);
        let lines: Vec<_> = text.lines().collect();
        let (last, kept) = lines.split_last().unwrap();
        assert_eq!(format!("{last}\n").as_bytes(), OVERFLOW);
        assert!(kept.len() > 400);
        assert!(kept.iter().enumerate().all(|(number, line)| *line == format!("line {number:03}")));
        console.append(b"after\n");
        assert_eq!(shown(&mut console), "after\n");
    }

    #[test]
    fn a_line_that_could_never_fit_is_dropped_without_growing() {
        let mut console = Console::default();
        console.append(&vec![b'x'; 100_000]);
        assert!(console.line.len() <= CAPACITY);
        console.append(b"\nnext\n");
        assert_eq!(shown(&mut console), format!("{}next\n", str::from_utf8(OVERFLOW).unwrap()));
    }

    #[test]
    fn a_console_that_takes_a_little_at_a_time_gets_everything() {
        let mut console = Console::default();
        console.append(b"abc\ndef\n");
        let mut shown = Vec::new();
        for _ in 0..20 {
            let mut room = 1;
            console.pump(|bytes| {
                let taken = room.min(bytes.len());
                shown.extend_from_slice(&bytes[..taken]);
                room = 0;
                taken
            });
        }
        assert_eq!(shown, b"abc\ndef\n");
        assert!(console.is_empty());
    }
}
