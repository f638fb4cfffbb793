//! Frames: `AGT1`, session, request, kind, length, then that many bytes; numbers little-endian.

/// How a frame begins.
const MARK: &[u8; 4] = b"AGT1";
/// Mark, session (4 bytes), request (4), kind (1), length (3).
const HEADER: usize = 16;
/// The most bytes a frame may carry.
pub const PAYLOAD_LIMIT: usize = 32 << 10;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which start of the agent this belongs to.
    pub session: u32,
    /// Which request this belongs to; 0 for none.
    pub request: u32,
    /// Which message this is.
    pub kind: u8,
    /// What the message holds, at most [`PAYLOAD_LIMIT`] bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Makes the bytes that travel.
    ///
    /// # Panics
    /// The payload is longer than [`PAYLOAD_LIMIT`]; whoever makes a frame cuts it.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.payload.len() <= PAYLOAD_LIMIT, "a frame is cut to the limit by whoever makes it");
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.extend_from_slice(MARK);
        bytes.extend_from_slice(&self.session.to_le_bytes());
        bytes.extend_from_slice(&self.request.to_le_bytes());
        bytes.push(self.kind);
        bytes.extend_from_slice(&(self.payload.len() as u32).to_le_bytes()[..3]);
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// Finds frames in a stream of bytes that may begin, or be torn, anywhere.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives the next whole frame; `None` asks for more bytes.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            self.skip_to_mark();
            let header: &[u8; HEADER] = self.bytes.first_chunk()?;
            let &[_, _, _, _, s0, s1, s2, s3, r0, r1, r2, r3, kind, l0, l1, l2] = header;
            let length = u32::from_le_bytes([l0, l1, l2, 0]) as usize;
            if length > PAYLOAD_LIMIT {
                // No frame of ours: step behind the mark and look for the next.
                self.bytes.drain(..MARK.len());
                continue;
            }
            let payload = self.bytes.get(HEADER..HEADER + length)?.to_vec();
            self.bytes.drain(..HEADER + length);
            let session = u32::from_le_bytes([s0, s1, s2, s3]);
            return Some(Frame { session, request: u32::from_le_bytes([r0, r1, r2, r3]), kind, payload });
        }
    }

    /// Drops what comes before the first mark, or before what may become one.
    fn skip_to_mark(&mut self) {
        let may_begin =
            |at: &usize| MARK.starts_with(&self.bytes[*at..(*at + MARK.len()).min(self.bytes.len())]);
        let keep_from = (0..self.bytes.len()).find(may_begin).unwrap_or(self.bytes.len());
        self.bytes.drain(..keep_from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(request: u32, payload: &[u8]) -> Frame {
        Frame { session: 0x0102_0304, request, kind: 7, payload: payload.to_vec() }
    }

    #[test]
    fn a_frame_has_this_form_on_the_wire() {
        let expected = b"AGT1\x04\x03\x02\x01\x05\0\0\0\x07\x02\0\0hi";
        assert_eq!(frame(5, b"hi").encode(), expected);
    }

    #[test]
    fn a_frame_torn_by_a_restart_costs_at_most_what_it_announced() {
        let mut decoder = Decoder::default();
        let torn = frame(1, &[0; 60]).encode();
        decoder.push(&torn[..20]);
        assert_eq!(decoder.next_frame(), None);
        // The next session begins: its first frames vanish into the torn one, then the reader is in step again.
        for _ in 0..4 {
            decoder.push(&frame(2, b"beat").encode());
        }
        assert_eq!(decoder.next_frame().map(|f| f.request), Some(1));
        assert_eq!(decoder.next_frame(), Some(frame(2, b"beat")));
    }

    #[test]
    fn a_length_over_the_limit_is_no_frame() {
        let mut decoder = Decoder::default();
        decoder.push(b"AGT1\0\0\0\0\0\0\0\0\0\xff\xff\xff");
        decoder.push(&frame(3, b"x").encode());
        assert_eq!(decoder.next_frame(), Some(frame(3, b"x")));
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_however_the_stream_is_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
            noise in "[A-GT1x]{0,9}",
            cut in 1..20usize,
        ) {
            let sent: Vec<Frame> = payloads.iter().map(|payload| frame(9, payload)).collect();
            let mut stream = noise.replace("AGT1", "").into_bytes();
            // Noise that ends like the beginning of a mark must not glue itself to the real one.
            stream.push(b'-');
            stream.extend(sent.iter().flat_map(Frame::encode));
            let mut decoder = Decoder::default();
            let mut received = Vec::new();
            for piece in stream.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame() {
                    received.push(frame);
                }
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while decoder.next_frame().is_some() {}
        }
    }
}
