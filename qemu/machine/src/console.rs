//! The serial console as a stream of bytes that is kept: what was printed, where the reader is, what it means.
//!
//! Pure: bytes and questions, no processes and no clocks.

use crate::config::FailureText;

/// The most that is kept; older output is forgotten, so a guest that prints for ever cannot fill the memory.
const KEPT: usize = 16 << 20;

/// Longer lines than this are few, so this much text for each is enough to find a number of them.
const LONG_LINE: usize = 400;

/// Everything printed so far, and a cursor behind what was already expected.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// The output from position `start` on.
    bytes: Vec<u8>,
    /// How much was printed before the first byte kept.
    start: u64,
    /// The position behind the last text that was expected and came.
    cursor: u64,
    /// Up to where failure texts were looked for.
    searched: u64,
    /// The first failure text behind the cursor: its position, and which.
    failure: Option<(u64, usize)>,
}

impl Transcript {
    /// Takes new output and looks for failure texts in it.
    pub(crate) fn append(&mut self, output: &[u8], failures: &[FailureText]) {
        self.bytes.extend_from_slice(output);
        if self.bytes.len() > KEPT {
            let surplus = self.bytes.len() - KEPT / 2;
            self.bytes.drain(..surplus);
            self.start += surplus as u64;
            self.cursor = self.cursor.max(self.start);
            self.searched = self.searched.max(self.start);
        }
        self.search(failures);
    }

    /// Looks for `text` behind the cursor; when it is there, gives what came before it and moves behind it.
    pub(crate) fn take_until(&mut self, text: &[u8], failures: &[FailureText]) -> Option<Vec<u8>> {
        let rest = self.from(self.cursor);
        let at = find(rest, text)?;
        let before = rest[..at].to_vec();
        self.cursor += (at + text.len()) as u64;
        if self.failure.is_some_and(|(position, _)| position < self.cursor) {
            self.failure = None;
            self.searched = self.cursor;
            self.search(failures);
        }
        Some(before)
    }

    /// Gives the failure text behind the cursor, with the line that it stands in.
    pub(crate) fn failure(&self) -> Option<(usize, String)> {
        let (position, which) = self.failure?;
        let at = self.offset(position);
        let begin = self.bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let end = self.bytes[at..].iter().position(|&b| b == b'\n').map_or(self.bytes.len(), |i| at + i);
        Some((which, plain(&self.bytes[begin..end])))
    }

    /// How much was printed in all.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// What was printed from a position on, as far as it is kept.
    pub(crate) fn from(&self, position: u64) -> &[u8] {
        &self.bytes[self.offset(position)..]
    }

    /// The last lines, without control sequences; empty lines are left out.
    pub(crate) fn last_lines(&self, count: usize) -> Vec<String> {
        let tail = self.bytes.len().saturating_sub(count * LONG_LINE);
        last_of(lines_of(&self.bytes[tail..]), count)
    }

    /// The lines before and behind the first failure text, most of them behind; the last lines if there is none.
    pub(crate) fn lines_around_failure(&self, count: usize) -> Vec<String> {
        let Some((position, _)) = self.failure else { return self.last_lines(count) };
        let at = self.offset(position);
        let line = self.bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let from = line.saturating_sub(count * LONG_LINE);
        let mut lines = last_of(lines_of(&self.bytes[from..line]), count / 3);
        let to = (line + count * LONG_LINE).min(self.bytes.len());
        lines.extend(lines_of(&self.bytes[line..to]));
        lines.truncate(count);
        lines
    }

    fn offset(&self, position: u64) -> usize {
        (position.saturating_sub(self.start) as usize).min(self.bytes.len())
    }

    fn search(&mut self, failures: &[FailureText]) {
        if self.failure.is_some() {
            return;
        }
        // A text may have come in two pieces: step back by what may be an unfinished one.
        let longest = failures.iter().map(|f| f.text.len()).max().unwrap_or(0);
        let from = self.searched.saturating_sub(longest as u64).max(self.cursor);
        let rest = self.from(from);
        self.failure = failures
            .iter()
            .enumerate()
            .filter_map(|(which, failure)| Some((from + find(rest, failure.text.as_bytes())? as u64, which)))
            .min();
        self.searched = self.end();
    }
}

/// Cuts text into its lines, without control sequences and without empty ones.
fn lines_of(text: &[u8]) -> Vec<String> {
    text.split(|&b| b == b'\n').map(plain).filter(|line| !line.trim().is_empty()).collect()
}

fn last_of(mut lines: Vec<String>, count: usize) -> Vec<String> {
    lines.drain(..lines.len().saturating_sub(count));
    lines
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|window| window == needle)
}

/// A line as text: no carriage returns, no escape sequences, no other control characters.
pub(crate) fn plain(line: &[u8]) -> String {
    let mut kept = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            0x1b => skip_sequence(&mut bytes),
            b'\t' => kept.push(byte),
            0..0x20 | 0x7f => {}
            _ => kept.push(byte),
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Skips what follows an escape character: `[` … letter, or one character.
fn skip_sequence(bytes: &mut impl Iterator<Item = u8>) {
    if bytes.next() == Some(b'[') {
        for byte in bytes {
            if (0x40..0x7f).contains(&byte) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures() -> Vec<FailureText> {
        vec![FailureText::new("Kernel panic", "panicked"), FailureText::new("recovery?", "waits")]
    }

    fn printed(pieces: &[&str]) -> Transcript {
        let mut transcript = Transcript::default();
        for piece in pieces {
            transcript.append(piece.as_bytes(), &failures());
        }
        transcript
    }

    #[test]
    fn what_came_before_an_expected_text_is_given_once() {
        let mut transcript = printed(&["one log", "in: two login: three"]);
        assert_eq!(transcript.take_until(b"login: ", &[]).as_deref(), Some(&b"one "[..]));
        assert_eq!(transcript.take_until(b"login: ", &[]).as_deref(), Some(&b"two "[..]));
        assert_eq!(transcript.take_until(b"login: ", &[]), None);
        assert_eq!(transcript.from(0), b"one login: two login: three");
    }

    #[test]
    fn a_failure_text_is_found_even_in_two_pieces_and_given_with_its_line() {
        let transcript = printed(&["fine\n[1.0] Kernel pa", "nic - not syncing\r\nmore\n"]);
        assert_eq!(transcript.failure(), Some((0, "[1.0] Kernel panic - not syncing".to_owned())));
    }

    #[test]
    fn a_failure_text_that_was_expected_is_no_failure_but_the_next_one_is() {
        let mut transcript = printed(&["recovery? "]);
        assert_eq!(transcript.failure(), Some((1, "recovery? ".to_owned())));
        assert!(transcript.take_until(b"recovery?", &failures()).is_some());
        assert_eq!(transcript.failure(), None);
        transcript.append(b"\nKernel panic\n", &failures());
        assert_eq!(transcript.failure(), Some((0, "Kernel panic".to_owned())));
    }

    #[test]
    fn the_last_lines_come_without_control_sequences() {
        let transcript = printed(&["a\r\n\r\n\x1b[1;32mb\x1b[0m\r\nc"]);
        assert_eq!(transcript.last_lines(2), ["b", "c"]);
        assert_eq!(transcript.last_lines(9), ["a", "b", "c"]);
    }

    #[test]
    fn around_a_failure_are_the_lines_that_explain_it() {
        let before: String = (0..50).map(|n| format!("before {n}\n")).collect();
        let behind: String = (0..50).map(|n| format!("behind {n}\n")).collect();
        let transcript = printed(&[&before, "Kernel panic\n", &behind]);
        let expected = ["before 48", "before 49", "Kernel panic", "behind 0", "behind 1", "behind 2"];
        assert_eq!(transcript.lines_around_failure(6), expected);
        assert_eq!(printed(&["a\nb\n"]).lines_around_failure(1), ["b"]);
    }

    #[test]
    fn a_guest_that_never_stops_printing_cannot_fill_the_memory() {
        let mut transcript = Transcript::default();
        let block = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            transcript.append(&block, &failures());
        }
        transcript.append(b"Kernel panic", &failures());
        assert!(transcript.bytes.len() <= KEPT);
        assert_eq!(transcript.end(), (40 << 20) + 12);
        assert!(transcript.failure().is_some());
    }
}
