//! Taking numbers and texts off the front of bytes, and appending them; nothing here knows a packet.

use alloc::vec::Vec;

use crate::Decoded;

/// Why reading stopped before the end of a packet.
pub(crate) enum Stop<E> {
    /// There must be at least this many bytes.
    Short { need: usize },
    /// What is there cannot be the packet.
    Wrong(E),
}

/// Reads a packet from its first byte.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Makes sure that the first `total` bytes of the packet are there, so that fixed parts are asked for in one go.
    pub(crate) fn require<E>(&self, total: usize) -> Result<(), Stop<E>> {
        if self.bytes.len() < total { Err(Stop::Short { need: total }) } else { Ok(()) }
    }

    pub(crate) fn take<E>(&mut self, count: usize) -> Result<&'a [u8], Stop<E>> {
        let end = self.position.saturating_add(count);
        match self.bytes.get(self.position..end) {
            Some(taken) => {
                self.position = end;
                Ok(taken)
            }
            None => Err(Stop::Short { need: end }),
        }
    }

    pub(crate) fn u8<E>(&mut self) -> Result<u8, Stop<E>> {
        Ok(u8::from_ne_bytes(self.array()?))
    }

    pub(crate) fn u16<E>(&mut self) -> Result<u16, Stop<E>> {
        Ok(u16::from_ne_bytes(self.array()?))
    }

    pub(crate) fn u32<E>(&mut self) -> Result<u32, Stop<E>> {
        Ok(u32::from_ne_bytes(self.array()?))
    }

    pub(crate) fn i32<E>(&mut self) -> Result<i32, Stop<E>> {
        Ok(i32::from_ne_bytes(self.array()?))
    }

    pub(crate) fn i64<E>(&mut self) -> Result<i64, Stop<E>> {
        Ok(i64::from_ne_bytes(self.array()?))
    }

    /// Takes a machine word.
    pub(crate) fn word<E>(&mut self) -> Result<usize, Stop<E>> {
        Ok(usize::from_ne_bytes(self.array()?))
    }

    /// Ends the reading: a packet, or how much is missing, or what is wrong.
    pub(crate) fn finish<T, E>(self, result: Result<T, Stop<E>>) -> Result<Decoded<T>, E> {
        match result {
            Ok(packet) => Ok(Decoded::Packet { packet, used: self.position }),
            Err(Stop::Short { need }) => Ok(Decoded::Incomplete { need }),
            Err(Stop::Wrong(error)) => Err(error),
        }
    }

    fn array<const N: usize, E>(&mut self) -> Result<[u8; N], Stop<E>> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

/// Appends a 16-bit number.
pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_ne_bytes());
}

/// Appends a 32-bit number.
pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_ne_bytes());
}

/// Appends a signed 32-bit number.
pub(crate) fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_ne_bytes());
}

/// Appends a machine word.
pub(crate) fn put_word(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&value.to_ne_bytes());
}

/// Appends a length of 16 bits and the bytes, cut to what the length can say.
pub(crate) fn put_text_u16(out: &mut Vec<u8>, text: &[u8]) {
    let (length, text) = match u16::try_from(text.len()) {
        Ok(length) => (length, text),
        Err(_) => (u16::MAX, text.get(..usize::from(u16::MAX)).unwrap_or_default()),
    };
    put_u16(out, length);
    out.extend_from_slice(text);
}

/// Appends a length of 32 bits and the bytes, cut to what the length can say.
pub(crate) fn put_text_u32(out: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    put_u32(out, length);
    out.extend_from_slice(text.get(..length as usize).unwrap_or(text));
}
