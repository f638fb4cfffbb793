//! What must hold whenever bytes are read, whatever they are.

use std::fmt::Debug;

use dinit_protocol::{
    Decoded, MAX_REPLY, PacketError, REQUEST_BUFFER, ReplyPacket, Request, RequestError, StatusLayout,
    Version, decode_packet, decode_request,
};

/// The layouts that a status can come in.
pub(crate) const LAYOUTS: [StatusLayout; 3] = [StatusLayout::V1, StatusLayout::V5, StatusLayout::V6];

/// The longest input for which all that must hold is tried: the time it takes grows with the square.
pub(crate) const LONGEST: usize = 4096;

/// What was read from a stream of bytes, and what became of the rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading<P, E> {
    pub(crate) packets: Vec<P>,
    pub(crate) end: End<E>,
}

/// Why a stream of bytes was not read further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End<E> {
    /// There was nothing more.
    Complete,
    /// The last packet is not complete.
    Short,
    /// What followed was no packet.
    Wrong(E),
}

/// Reads requests as a daemon does that gets them in pieces.
pub(crate) fn requests<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    version: Version,
) -> Reading<Request, RequestError> {
    read(pieces, |part| decode_request(part, version))
}

/// Reads answers as a client does that gets them in pieces.
pub(crate) fn answers<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    layout: StatusLayout,
) -> Reading<ReplyPacket, PacketError> {
    read(pieces, |part| decode_packet(part, layout))
}

/// Checks what must hold when a daemon reads some bytes, and gives what it read.
pub(crate) fn check_requests(bytes: &[u8], version: Version) -> Reading<Request, RequestError> {
    let decode = |part: &[u8]| decode_request(part, version);
    check(bytes, REQUEST_BUFFER, decode, |request, out| request.encode(out))
}

/// Checks what must hold when a client reads some bytes, and gives what it read.
pub(crate) fn check_answers(bytes: &[u8], layout: StatusLayout) -> Reading<ReplyPacket, PacketError> {
    // No header has more than 16 bytes before what its length counts.
    let decode = |part: &[u8]| decode_packet(part, layout);
    check(bytes, MAX_REPLY + 16, decode, |packet, out| match packet {
        ReplyPacket::Reply(reply) => reply.encode(out),
        ReplyPacket::Info(info) => info.encode(out),
    })
}

/// Reads bytes that come in pieces, looking at them only when there are as many as were asked for.
fn read<'a, P, E>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    decode: impl Fn(&[u8]) -> Result<Decoded<P>, E>,
) -> Reading<P, E> {
    let (mut arrived, mut needed, mut packets) = (Vec::new(), 1, Vec::new());
    for piece in pieces {
        arrived.extend_from_slice(piece);
        while arrived.len() >= needed {
            match decode(&arrived) {
                Ok(Decoded::Packet { packet, used }) => {
                    packets.push(packet);
                    arrived.drain(..used);
                    needed = 1;
                }
                Ok(Decoded::Incomplete { need }) => needed = need,
                Err(wrong) => return Reading { packets, end: End::Wrong(wrong) },
            }
        }
    }
    let end = if arrived.is_empty() { End::Complete } else { End::Short };
    Reading { packets, end }
}

fn check<P: Debug + PartialEq, E: Debug + PartialEq>(
    bytes: &[u8],
    most: usize,
    decode: impl Fn(&[u8]) -> Result<Decoded<P>, E>,
    encode: impl Fn(&P, &mut Vec<u8>),
) -> Reading<P, E> {
    let (mut rest, mut packets) = (bytes, Vec::new());
    while !rest.is_empty() {
        let found = decode(rest);
        match found {
            Ok(Decoded::Packet { packet, used }) => {
                assert!((1..=rest.len()).contains(&used), "{used} of {} bytes were used", rest.len());
                assert_short_before(&rest[..used], used, &decode);
                let mut again = Vec::new();
                encode(&packet, &mut again);
                assert!(again.len() <= used, "{packet:?} has grown from {used} to {} bytes", again.len());
                let used_again = again.len();
                let Ok(Decoded::Packet { packet: same, used: all }) = decode(&again) else {
                    panic!("{packet:?} cannot be read again")
                };
                assert_eq!((&same, all), (&packet, used_again));
                packets.push(packet);
                rest = &rest[used..];
            }
            Ok(Decoded::Incomplete { need }) => {
                assert!(need > rest.len() && need <= most, "{need} bytes are asked for with {}", rest.len());
                assert_short_before(rest, need, &decode);
                return Reading { packets, end: End::Short };
            }
            Err(wrong) => {
                assert_wrong_or_short_before(rest, &wrong, &decode);
                return Reading { packets, end: End::Wrong(wrong) };
            }
        }
    }
    Reading { packets, end: End::Complete }
}

/// Checks that every beginning of a packet asks for more than there is, and for no more than the packet needs.
fn assert_short_before<P: Debug, E: Debug>(
    packet: &[u8],
    most: usize,
    decode: impl Fn(&[u8]) -> Result<Decoded<P>, E>,
) {
    for length in 0..packet.len() {
        match decode(&packet[..length]) {
            Ok(Decoded::Incomplete { need }) => {
                assert!(need > length && need <= most, "{need} bytes are asked for with {length} of {most}");
            }
            other => panic!("{length} bytes of {packet:02x?} gave {other:?}"),
        }
    }
}

/// Checks that what is wrong is not taken for anything else before it is seen.
fn assert_wrong_or_short_before<P: Debug, E: Debug + PartialEq>(
    bytes: &[u8],
    wrong: &E,
    decode: impl Fn(&[u8]) -> Result<Decoded<P>, E>,
) {
    let mut seen = false;
    for length in 0..bytes.len() {
        match decode(&bytes[..length]) {
            Ok(Decoded::Incomplete { need }) => {
                assert!(!seen && need > length, "{need} bytes are asked for with {length} of {bytes:02x?}");
            }
            Err(earlier) => {
                assert_eq!(&earlier, wrong, "{length} bytes of {bytes:02x?}");
                seen = true;
            }
            Ok(other) => panic!("{length} bytes of {bytes:02x?} gave {other:?}"),
        }
    }
}
