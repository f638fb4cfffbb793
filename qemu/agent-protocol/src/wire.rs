//! Values in the payload of a frame: numbers little-endian, strings with their length before them.

/// Adds values to a payload.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn number(mut self, value: u32) -> Writer {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn string(self, value: &[u8]) -> Writer {
        let mut writer = self.number(u32::try_from(value.len()).unwrap_or(u32::MAX));
        writer.bytes.extend_from_slice(value);
        writer
    }

    /// Bytes up to the end of the payload.
    pub(crate) fn rest(mut self, value: &[u8]) -> Writer {
        self.bytes.extend_from_slice(value);
        self
    }
}

/// Takes values from a payload; `None` once it is too short.
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Option<u32> {
        let (value, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u32::from_le_bytes(*value))
    }

    pub(crate) fn string(&mut self) -> Option<Vec<u8>> {
        let length = self.number()? as usize;
        let (value, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(value.to_vec())
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.string()?).ok()
    }

    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes).to_vec()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
