//! Packs a block as LZ4 and looks longer for what repeats than `lz4_flex`, for what will lie on the disk for long. Whoever
//! reads it sees no difference.
//!
//! Every place of a copy is remembered, not only where it begins, and of the places with one hash the last four are compared.
//!
//! Invariant: what comes out is an LZ4 block: sequences of literals and a copy of at least four bytes from at most 65,535
//! bytes before. The last one has literals only, at least five, and no copy begins in the last twelve bytes.
#![forbid(unsafe_code)]

use std::cell::RefCell;

/// The longest block that can be packed here: every place of it fits into 16 bits, and one more than it.
pub(super) const INPUT_BYTES_MAX: usize = u16::MAX as usize;

/// How many hashes there are.
const HASHES: usize = 1 << 13;

/// So many earlier places with the same hash are compared.
const TRIES: usize = 4;

/// After `1 << SKIP` literals in a row every second place is passed over, after twice as many two of three, and so on: what
/// doesn't repeat costs next to nothing.
const SKIP: usize = 6;

const COPY_BYTES_MIN: usize = 4;
/// So many bytes at the end are literals.
const LITERALS_AT_END: usize = 5;
/// No copy begins in so many bytes at the end.
const COPY_FREE_AT_END: usize = 12;

/// The lengths in a token go up to this; a longer one goes on in bytes of its own.
const TOKEN_LEN_MAX: usize = 15;

/// The places of a block by the hash of the four bytes there.
struct Places {
    /// For each hash one more than the last place that has it; 0 without any.
    last: [u16; HASHES],
    /// For each place the one before it with the same hash, in the same form.
    before: [u16; INPUT_BYTES_MAX + 1],
}

/// A copy that stands for the bytes from `at` on.
struct Copied {
    from: usize,
    at: usize,
    len: usize,
}

thread_local! {
    /// Blocks are packed one after the other, and this is needed for a moment only; a thread that packs none has none.
    static PLACES: RefCell<Option<Box<Places>>> = const { RefCell::new(None) };
}

/// Appends `input`, packed, to `out`.
pub(super) fn pack(input: &[u8], out: &mut Vec<u8>) {
    debug_assert!(input.len() <= INPUT_BYTES_MAX);
    PLACES.with_borrow_mut(|places| {
        let places = places
            .get_or_insert_with(|| Box::new(Places { last: [0; HASHES], before: [0; INPUT_BYTES_MAX + 1] }));
        places.last.fill(0);
        pack_with(input, places, out);
    });
}

fn pack_with(input: &[u8], places: &mut Places, out: &mut Vec<u8>) {
    let copies_end = input.len().saturating_sub(COPY_FREE_AT_END - 1);
    let (mut literals_from, mut at) = (0, 0);
    while at < copies_end {
        let Some(copied) = places.longest_at(input, at, literals_from) else {
            at += 1 + ((at - literals_from) >> SKIP);
            continue;
        };
        put_sequence(out, &input[literals_from..copied.at], Some((copied.at - copied.from, copied.len)));
        let end = copied.at + copied.len;
        for passed in at + 1..end.min(copies_end) {
            if let Some(bytes) = four_at(input, passed) {
                places.add(bytes, passed);
            }
        }
        (literals_from, at) = (end, end);
    }
    put_sequence(out, &input[literals_from..], None);
}

impl Places {
    /// The longest copy for the bytes at `at`, of those that were tried; it may begin before, but not before
    /// `literals_from`. Adds the place, which must not have been added.
    fn longest_at(&mut self, input: &[u8], at: usize, literals_from: usize) -> Option<Copied> {
        let bytes = four_at(input, at)?;
        let mut candidate = self.add(bytes, at);
        let here = &input[at..input.len() - LITERALS_AT_END];
        let mut best = Copied { from: 0, at, len: 0 };
        for _ in 0..TRIES {
            let Some(from) = candidate.checked_sub(1) else { break };
            candidate = self.before[usize::from(from)];
            let from = usize::from(from);
            if four_at(input, from) == Some(bytes) {
                let len = common_len(&input[from..], here);
                if len > best.len {
                    best = Copied { from, at, len };
                }
            }
        }
        (best.len >= COPY_BYTES_MIN).then(|| best.begun_before(input, literals_from))
    }

    /// Adds the place of `bytes`, and returns the last one of the same hash before.
    fn add(&mut self, bytes: u32, at: usize) -> u16 {
        let hash = bytes.wrapping_mul(2_654_435_761) >> (u32::BITS - HASHES.ilog2());
        let before = std::mem::replace(&mut self.last[hash as usize % HASHES], at as u16 + 1);
        self.before[usize::from(at as u16)] = before;
        before
    }
}

impl Copied {
    /// The same copy with the bytes before it that are the same in both places.
    fn begun_before(mut self, input: &[u8], literals_from: usize) -> Self {
        while self.at > literals_from && self.from > 0 && input[self.at - 1] == input[self.from - 1] {
            (self.from, self.at, self.len) = (self.from - 1, self.at - 1, self.len + 1);
        }
        self
    }
}

fn four_at(input: &[u8], at: usize) -> Option<u32> {
    input.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// How many bytes `here` and `there`, which is longer, begin with in common.
fn common_len(there: &[u8], here: &[u8]) -> usize {
    let mut len = 0;
    for (a, b) in there.as_chunks::<8>().0.iter().zip(here.as_chunks::<8>().0) {
        let difference = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if difference != 0 {
            return len + (difference.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len + there[len..].iter().zip(&here[len..]).take_while(|(a, b)| a == b).count()
}

/// Appends a sequence: literals, and the copy behind them as how far back it lies and how long it is.
fn put_sequence(out: &mut Vec<u8>, literals: &[u8], copy: Option<(usize, usize)>) {
    let copy_len = copy.map_or(0, |(_, len)| len - COPY_BYTES_MIN);
    let nibble = |len: usize| len.min(TOKEN_LEN_MAX) as u8;
    out.push(nibble(literals.len()) << 4 | nibble(copy_len));
    put_rest(out, literals.len());
    out.extend_from_slice(literals);
    if let Some((back, _)) = copy {
        out.extend_from_slice(&(back as u16).to_le_bytes());
        put_rest(out, copy_len);
    }
}

/// Appends what of a length is not in the token.
fn put_rest(out: &mut Vec<u8>, len: usize) {
    let Some(mut rest) = len.checked_sub(TOKEN_LEN_MAX) else { return };
    while rest >= 255 {
        out.push(255);
        rest -= 255;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use lz4_flex::block::{compress, decompress};

    use super::*;
    use crate::fs::split_mix;

    fn packed(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        pack(input, &mut out);
        out
    }

    #[track_caller]
    fn assert_comes_back(input: &[u8], what: &str) {
        let packed = packed(input);
        let unpacked = decompress(&packed, input.len());
        assert!(unpacked.is_ok_and(|unpacked| unpacked == input), "{what}: {} bytes", input.len());
    }

    /// Text of few words, or of few letters, so that much repeats at all distances.
    fn text(seed: u64, len: usize, letters: u64, words: usize) -> Vec<u8> {
        let mut state = seed;
        let mut random = |below: u64| split_mix(&mut state) % below;
        let words: Vec<Vec<u8>> =
            (0..words).map(|_| (0..=random(12)).map(|_| b'a' + random(letters) as u8).collect()).collect();
        let mut text = Vec::new();
        while text.len() < len {
            text.extend_from_slice(&words[random(words.len() as u64) as usize]);
        }
        text.truncate(len);
        text
    }

    #[test]
    fn every_block_comes_back_as_it_went_in() {
        for len in (0..70).chain([255, 270, 271, 4096, 20_000, INPUT_BYTES_MAX]) {
            assert_comes_back(&vec![7; len], "one byte");
            assert_comes_back(&text(len as u64, len, 26, 10_000), "hardly anything repeats");
            for (letters, words) in [(1, 3), (2, 5), (26, 10), (26, 300)] {
                for seed in 0..5 {
                    assert_comes_back(&text(seed, len, letters, words), "words");
                }
            }
        }
    }

    #[test]
    fn a_block_ends_as_the_format_wants_it() {
        for len in 13..60 {
            let packed = packed(&vec![7; len]);

            assert_eq!(packed.last_chunk::<5>(), Some(&[7; 5]), "{len}: the last five bytes are literals");
        }
        assert_eq!(packed(&[7; 12]), [[12 << 4].as_slice(), &[7; 12]].concat(), "too short for any copy");
    }

    #[test]
    fn what_is_packed_longer_is_smaller() {
        for seed in 0..20 {
            let input = text(seed, 4096, 26, 40);
            let quick = compress(&input).len();

            assert!(packed(&input).len() <= quick, "{seed}: {} and {quick}", packed(&input).len());
        }
    }
}
