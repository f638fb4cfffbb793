//! What becomes of the corpus by chance: the same chance every time, unless more is asked for.
//!
//! `MUTATIONS=N cargo test -p dinit-protocol --release --test wire` tries more of them.

use dinit_protocol::Version;

use crate::corpus::inputs;
use crate::recorded;
use crate::streams::{LAYOUTS, LONGEST, answers, check_answers, check_requests, requests};

/// How many inputs are made of each part of the corpus.
const MUTATIONS: u64 = 50_000;

/// Numbers at which things change.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    5,
    7,
    14,
    254,
    255,
    256,
    1020,
    1021,
    1022,
    u16::MAX as u64,
    u32::MAX as u64,
    256 << 20,
    u64::MAX,
];

/// Chance that can be repeated (xorshift64*).
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Gives a number below a limit, or 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() >> 16).unwrap_or_default() % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.number().to_be_bytes()[0]
    }

    fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }

    /// Gives the ends of a part of something.
    fn part(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        (start, start + self.below((length - start).min(40) + 1))
    }
}

/// Makes an input of those there are.
fn mutated(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = chance.one_of(corpus).clone();
    for _ in 0..=chance.below(4) {
        mutate(&mut bytes, corpus, chance);
    }
    bytes.truncate(LONGEST / 4);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], chance: &mut Chance) {
    let length = bytes.len();
    let place = chance.below(length);
    match chance.below(8) {
        0 if length > 0 => bytes[place] ^= 1 << chance.below(8),
        1 if length > 0 => bytes[place] = chance.byte(),
        2 => bytes.insert(place, chance.byte()),
        3 => {
            let (start, end) = chance.part(length);
            bytes.drain(start..end);
        }
        4 => {
            let (start, end) = chance.part(length);
            let part = bytes[start..end].to_vec();
            bytes.splice(place..place, part);
        }
        5 => bytes.truncate(chance.below(length + 1)),
        6 => {
            let number = chance.one_of(&EDGES).to_le_bytes();
            let width = *chance.one_of(&[1, 2, 4, 8]);
            let end = length.min(place + width);
            bytes.splice(place..end, number[..width].iter().copied());
        }
        _ => {
            let other = chance.one_of(corpus);
            let (start, end) = chance.part(other.len());
            let end_of_old = place + chance.below(length - place + 1);
            bytes.splice(place..end_of_old, other[start..end].iter().copied());
        }
    }
}

/// Cuts bytes into pieces.
fn pieces<'a>(mut bytes: &'a [u8], chance: &mut Chance) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(1 + chance.below(bytes.len().min(24)));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn count() -> u64 {
    std::env::var("MUTATIONS").map_or(MUTATIONS, |count| count.parse().expect("MUTATIONS is a number"))
}

#[test]
fn requests_changed_by_chance_are_read_alike_however_they_are_split() {
    let mut corpus: Vec<_> = inputs("requests").into_values().collect();
    corpus.extend(recorded::streams().into_iter().map(|(_, client, _)| client));
    let mut chance = Chance(0x6469_6e69_7400_0001);
    for _ in 0..count() {
        let bytes = mutated(&corpus, &mut chance);
        let version = Version(1 + chance.number() as u16 % Version::CURRENT.0);
        let whole = check_requests(&bytes, version);
        assert_eq!(requests(pieces(&bytes, &mut chance), version), whole, "{bytes:02x?}");
    }
}

#[test]
fn answers_changed_by_chance_are_read_alike_however_they_are_split() {
    let mut corpus: Vec<_> = inputs("answers").into_values().collect();
    corpus.extend(recorded::streams().into_iter().map(|(_, _, daemon)| daemon));
    let mut chance = Chance(0x6469_6e69_7400_0002);
    for _ in 0..count() {
        let bytes = mutated(&corpus, &mut chance);
        let layout = *chance.one_of(&LAYOUTS);
        let whole = check_answers(&bytes, layout);
        assert_eq!(answers(pieces(&bytes, &mut chance), layout), whole, "{bytes:02x?}");
    }
}
