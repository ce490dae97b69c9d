//! Blocked Bloom filter over the hashes of user keys (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient
//! Bloom Filters, 2007): all bits of one key lie in one line of 64 bytes, so a lookup costs one cache miss.
//!
//! At 10 bits a key about 1.0 % of absent keys pass (a classic filter lets 0.8 % through, at up to six misses). The
//! lines are stored in pages of 16 KiB, each a block of its own: what is cached and read is bounded in large tables too.
#![forbid(unsafe_code)]

use super::{Damage, Decoded};
use crate::prefetch;

/// The bytes of one line.
pub(crate) const LINE_BYTES: usize = 64;

/// The lines of one page; the last page may have fewer.
pub(crate) const PAGE_LINES: usize = 256;

/// The most probes that a filter may ask for.
pub(crate) const PROBES_MAX: u32 = 16;

const MULTIPLIER: u64 = 0xD6E8_FEB8_6659_FD93;

/// The bits of one line, as a shift of a 64-bit state: 2^9 of them.
const BIT_SHIFT: u32 = 64 - 9;

/// How many probes make the most of `bits_per_key`: about ln 2 of them, a little fewer since lines fill unevenly.
pub(crate) fn probes_for(bits_per_key: u8) -> u32 {
    (u32::from(bits_per_key) * 69 / 100).clamp(1, PROBES_MAX)
}

/// How many lines hold `keys` keys.
pub(crate) fn lines_for(keys: usize, bits_per_key: u8) -> u32 {
    let bits = (keys as u64).saturating_mul(u64::from(bits_per_key));
    u32::try_from(bits.div_ceil(LINE_BYTES as u64 * 8)).unwrap_or(u32::MAX)
}

/// The line of a filter of `lines` lines that holds the bits of `hash`.
pub(crate) fn line_of(hash: u64, lines: u32) -> usize {
    (((hash >> 32) * u64::from(lines)) >> 32) as usize
}

/// So many hashes lie in one piece of memory.
const PIECE_HASHES: usize = 4096;

/// The hashes of the keys of a filter to come: in pieces, so that millions of them are never copied as they grow, and
/// leave no large holes in the allocator's heap when they go.
#[derive(Default)]
pub(crate) struct KeyHashes {
    /// All but the last one are full.
    pieces: Vec<Vec<u64>>,
}

impl KeyHashes {
    /// Adds the hash of a further key.
    pub(crate) fn push(&mut self, hash: u64) {
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE_HASHES => piece.push(hash),
            _ => {
                let mut piece = Vec::with_capacity(PIECE_HASHES);
                piece.push(hash);
                self.pieces.push(piece);
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE_HASHES + last.len())
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().flatten().copied()
    }
}

/// Builds the bytes of a filter of `lines` lines over `hashes`.
pub(crate) fn build(hashes: &KeyHashes, lines: u32, probes: u32) -> Vec<u8> {
    let mut bytes = vec![0; lines as usize * LINE_BYTES];
    for hash in hashes.iter() {
        let line = line_of(hash, lines) * LINE_BYTES;
        for (byte, mask) in bits(hash, probes) {
            bytes[line + byte] |= mask;
        }
    }
    bytes
}

/// The places of the bits of `hash` in its line.
fn bits(hash: u64, probes: u32) -> impl Iterator<Item = (usize, u8)> {
    // The multiplication carries the low bits upwards: what is taken here is independent of the choice of the line.
    let mut state = hash;
    (0..probes).map(move |_| {
        state = state.wrapping_mul(MULTIPLIER);
        let bit = (state >> BIT_SHIFT) as usize;
        (bit / 8, 1 << (bit % 8))
    })
}

/// A verified page of a filter in memory.
pub(crate) struct FilterPage {
    lines: Vec<u8>,
}

impl FilterPage {
    /// Takes the payload of a page that must have `lines` lines.
    pub(crate) fn new(payload: Vec<u8>, lines: usize) -> Decoded<Self> {
        if payload.len() != lines * LINE_BYTES {
            return Err(Damage("the filter page has the wrong length"));
        }
        Ok(Self { lines: payload })
    }

    /// The bytes of memory that the page takes.
    pub(crate) fn charge(&self) -> usize {
        self.lines.capacity() + size_of::<Self>()
    }

    /// Lets the processor fetch the line `line`.
    #[inline]
    pub(crate) fn fetch(&self, line: usize) {
        prefetch::bytes(self.lines.get(line * LINE_BYTES..).unwrap_or_default(), LINE_BYTES);
    }

    /// Whether a key of `hash` may be in the table; `line` counts from the start of the page.
    pub(crate) fn may_contain(&self, line: usize, hash: u64, probes: u32) -> bool {
        let start = line * LINE_BYTES;
        let Some(line) = self.lines.get(start..start + LINE_BYTES) else { return true };
        bits(hash, probes).all(|(byte, mask)| line[byte] & mask != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::hash_key;

    fn false_positives(keys: usize, bits_per_key: u8) -> f64 {
        let mut hashes = KeyHashes::default();
        (0..keys).for_each(|key| hashes.push(hash_key(format!("user:{key:08}").as_bytes())));
        let (lines, probes) = (lines_for(keys, bits_per_key), probes_for(bits_per_key));
        let page = FilterPage::new(build(&hashes, lines, probes), lines as usize).unwrap();
        let passes = |hash: u64| page.may_contain(line_of(hash, lines), hash, probes);
        assert!(hashes.iter().all(passes), "a key that was added must pass");
        let absent = 200_000;
        let passed = (0..absent).filter(|key| passes(hash_key(format!("none:{key:08}").as_bytes()))).count();
        passed as f64 / f64::from(absent)
    }

    #[test]
    fn the_false_positive_rate_is_what_the_documentation_says() {
        for (bits_per_key, most) in [(5, 0.12), (10, 0.013), (16, 0.003), (20, 0.001)] {
            for keys in [1_000, 100_000] {
                let rate = false_positives(keys, bits_per_key);
                println!("{bits_per_key} bits, {keys} keys: {:.3} %", rate * 100.0);
                assert!(rate <= most, "{bits_per_key} bits, {keys} keys: {rate}");
            }
        }
    }

    #[test]
    fn hashes_come_back_in_their_order_from_however_many_pieces() {
        let mut hashes = KeyHashes::default();
        for hash in 0..3 * PIECE_HASHES as u64 + 1 {
            assert_eq!(hashes.len() as u64, hash);
            hashes.push(hash);
        }

        assert!(hashes.iter().eq(0..3 * PIECE_HASHES as u64 + 1));
    }

    #[test]
    fn a_page_of_the_wrong_length_is_refused() {
        assert!(FilterPage::new(vec![0; 63], 1).is_err());
        assert!(FilterPage::new(vec![0; 128], 1).is_err());
    }

    /// Filters are read by later versions: what is built today must be built from now on.
    #[test]
    fn the_filter_bits_are_frozen() {
        let bits = bits(hash_key(b"flow"), 6).map(|(byte, mask)| byte * 8 + mask.trailing_zeros() as usize);
        assert_eq!(bits.collect::<Vec<_>>(), [358, 254, 435, 373, 179, 308]);
    }
}
