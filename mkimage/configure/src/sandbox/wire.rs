//! What the builder and its sandbox say to each other over two pipes: messages that are lists of byte strings.
//!
//! Both ends are the same program, so there is no version and numbers are in the machine's own order. A length
//! that no message has ends the conversation rather than the memory.

use std::io::{self, Read, Write};

/// No message is longer; what scripts print is cut before.
const LONGEST: usize = 256 << 20;

/// A message: what it is, and what comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) parts: Vec<Vec<u8>>,
}

impl Message {
    pub(super) fn new(kind: u8, parts: Vec<Vec<u8>>) -> Self {
        Self { kind, parts }
    }

    /// Writes the message and sends it off.
    pub(super) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let mut body = vec![self.kind];
        for part in &self.parts {
            body.extend_from_slice(&length_of(part)?);
            body.extend_from_slice(part);
        }
        to.write_all(&length_of(&body)?)?;
        to.write_all(&body)?;
        to.flush()
    }

    /// Reads the next message; nothing if the other end is gone.
    pub(super) fn receive(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_ne_bytes(length) as usize;
        if length == 0 || length > LONGEST {
            return Err(malformed());
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let (kind, mut rest) = body.split_first().ok_or_else(malformed)?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
            let (part, after) =
                after.split_at_checked(u32::from_ne_bytes(*length) as usize).ok_or_else(malformed)?;
            parts.push(part.to_vec());
            rest = after;
        }
        Ok(Some(Self { kind: *kind, parts }))
    }
}

fn length_of(bytes: &[u8]) -> io::Result<[u8; 4]> {
    match u32::try_from(bytes.len()) {
        Ok(length) if bytes.len() <= LONGEST => Ok(length.to_ne_bytes()),
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message between the builder and its sandbox is malformed")
}

/// Packs numbers into one part.
pub(super) fn numbers<const N: usize>(values: [u64; N]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// Unpacks a part that [`numbers`] packed.
pub(super) fn unpack<const N: usize>(part: &[u8]) -> io::Result<[u64; N]> {
    let mut values = [0; N];
    if part.len() != N * 8 {
        return Err(malformed());
    }
    for (value, bytes) in values.iter_mut().zip(part.chunks_exact(8)) {
        *value = u64::from_ne_bytes(bytes.try_into().map_err(|_| malformed())?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let message = Message::new(7, vec![b"one".to_vec(), Vec::new(), numbers([1, u64::MAX])]);
        let mut bytes = Vec::new();
        message.send(&mut bytes).expect("send");
        let mut reader = bytes.as_slice();
        let received = Message::receive(&mut reader).expect("receive").expect("a message");
        assert_eq!(received, message);
        assert_eq!(unpack::<2>(&received.parts[2]).expect("numbers"), [1, u64::MAX]);
        assert_eq!(Message::receive(&mut reader).expect("end"), None);
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error_and_never_a_shorter_message() {
        let mut bytes = Vec::new();
        Message::new(1, vec![b"part".to_vec()]).send(&mut bytes).expect("send");
        for cut in 4..bytes.len() {
            assert!(Message::receive(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
