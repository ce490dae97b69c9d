//! A data block in memory, made for reading: whole keys, the place of each entry, and two small tables to find them.
//!
//! One piece of memory holds everything, the tables first, because each further piece would be one more wait for
//! memory in every read:
//!
//! | what | bytes |
//! |---|---|
//! | entries *n*, length of the prefix that all keys share | 4, 4 |
//! | a fingerprint of each key | *n*, padded to a multiple of eight |
//! | the offset of each entry | 4 *n* |
//! | the head of each key: its four bytes behind the prefix | 4 *n* |
//! | the entries: tag, length of a long value, seqno and expiry where there is one, key, value | |
//!
//! A point read compares fingerprints eight at a time and touches the entries that match; a seek searches the heads.
//! Who walks on reads keys and values where they lie. Nothing of this is ever written to disk.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::cmp::Ordering;

use super::block::{PackedEntry, common_prefix_len};
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SETTLED, SeqNo, compare_internal};
use crate::prefetch;
use crate::shared_bytes::SharedBytes;

const U32_BYTES: usize = 4;

/// Where the fingerprints begin.
const FINGERPRINTS_AT: usize = 2 * U32_BYTES;

/// Fingerprints are compared so many at a time.
const LANES: usize = 8;

/// Beyond so many entries, a search of the heads finds a key sooner than all the fingerprints do.
const FINGERPRINTED_MAX: usize = 256;

/// A seqno, or an expiry.
const NUMBER_BYTES: usize = 8;

/// The bits of a tag: the kind, whether the entry expires, whether its key is that of the entry before, whether it has a
/// seqno that is not [`SETTLED`], and whether key and value are short. From [`KEY_LEN_SHIFT`] on comes the length of the key,
/// and if both are short that of the value from [`VALUE_LEN_SHIFT`] on; otherwise it has four bytes of its own.
const KIND_MASK: u32 = 0b1111;
const EXPIRES: u32 = 0b1_0000;
const CONTINUES: u32 = 0b10_0000;
const NUMBERED: u32 = 0b100_0000;
const SHORT: u32 = 0b1000_0000;
const KEY_LEN_SHIFT: u32 = 8;
const VALUE_LEN_SHIFT: u32 = 16;

/// The lengths up to which keys and values are short.
const SHORT_KEY_MAX: usize = 0xFF;
const SHORT_VALUE_MAX: usize = 0xFFFF;

/// What [`DataBlock::warm`] touches at the most, and how much of it comes from memory at once.
const WARMED_BYTES_MAX: usize = 8 << 10;
const CACHE_LINE_BYTES: usize = prefetch::LINE_BYTES;

/// So much is fetched ahead of a point read: the header, fingerprints and offsets of an ordinary block, and then an
/// ordinary entry.
const FETCHED_BYTES: usize = 4 * CACHE_LINE_BYTES;

/// What [`DataBlock::warm_from`] touches at the most.
const SHORT_SCAN_BYTES: usize = 2 << 10;

/// What is kept of the memory in which blocks are put together.
const SCRATCH_BYTES_KEPT: usize = 1 << 20;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A verified data block; a clone is the same block.
#[derive(Clone)]
pub(crate) struct DataBlock(SharedBytes);

/// One entry of a block: what it says, and where its key and value lie. Who stands on an entry keeps this, so that
/// looking at it again costs nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    tag: u32,
    key: u32,
    value: u32,
    /// Where the next entry begins.
    end: u32,
    seqno: SeqNo,
    expires_at: u64,
}

impl Slot {
    /// Whether the entry is an older version of the key of the entry before it in the block.
    #[inline]
    pub(crate) fn continues(&self) -> bool {
        self.tag & CONTINUES != 0
    }
}

impl DataBlock {
    /// The block of `entries`, of which there is at least one and whose places lie in `payload`.
    pub(super) fn of(payload: &[u8], entries: &[PackedEntry]) -> Self {
        SCRATCH.with_borrow_mut(|out| {
            out.clear();
            lay_out(payload, entries, out);
            let block = Self(SharedBytes::new(out));
            out.clear();
            out.shrink_to(SCRATCH_BYTES_KEPT);
            block
        })
    }

    /// The bytes of memory that the block takes.
    pub(crate) fn charge(&self) -> usize {
        self.0.charge()
    }

    /// Touches the whole block, if it is of an ordinary size, so that its parts come from memory side by side and not
    /// one after the other as a scan reaches them.
    pub(crate) fn warm(&self) {
        let touched = &self.0[..self.0.len().min(WARMED_BYTES_MAX)];
        std::hint::black_box(touched.iter().step_by(CACHE_LINE_BYTES).fold(0, |all, byte| all ^ byte));
    }

    /// As [`DataBlock::warm`], but only what a short scan from the entry at `slot` on will reach.
    pub(crate) fn warm_from(&self, slot: &Slot) {
        let touched = &self.0[slot.key as usize..];
        let touched = &touched[..touched.len().min(SHORT_SCAN_BYTES)];
        std::hint::black_box(touched.iter().step_by(CACHE_LINE_BYTES).fold(0, |all, byte| all ^ byte));
    }

    /// How many entries there are; at least one.
    pub(crate) fn len(&self) -> usize {
        read_u32(&self.0, 0) as usize
    }

    /// The entry `index`, which is below [`DataBlock::len`].
    #[inline]
    pub(crate) fn slot(&self, index: usize) -> Slot {
        self.slot_at(self.offset(index))
    }

    /// The entry behind `slot`, which is not the last.
    #[inline]
    pub(crate) fn slot_behind(&self, slot: &Slot) -> Slot {
        self.slot_at(slot.end as usize)
    }

    #[inline]
    fn slot_at(&self, at: usize) -> Slot {
        let tag = read_u32(&self.0, at);
        let mut key = at + header_bytes(tag);
        let mut number = |is_there: u32, otherwise: u64| match tag & is_there {
            0 => otherwise,
            _ => {
                key += NUMBER_BYTES;
                read_u64(&self.0, key - NUMBER_BYTES)
            }
        };
        let (seqno, expires_at) = (number(NUMBERED, SETTLED), number(EXPIRES, NEVER_EXPIRES));
        let value_len = match tag & SHORT {
            0 => read_u32(&self.0, at + U32_BYTES),
            _ => tag >> VALUE_LEN_SHIFT,
        };
        let value = (key + key_len(tag)) as u32;
        let end = value + value_len;
        Slot { tag, key: key as u32, value, end, seqno, expires_at }
    }

    /// What the entry at `slot`, which is one of this block, says.
    #[inline]
    pub(crate) fn entry_of(&self, slot: &Slot) -> EntryRef<'_> {
        let (key, value) = (slot.key as usize, slot.value as usize);
        EntryRef {
            key: &self.0[key..value],
            seqno: slot.seqno,
            kind: kind_of(slot.tag),
            expires_at: slot.expires_at,
            value: &self.0[value..slot.end as usize],
        }
    }

    /// The entry `index`, which is below [`DataBlock::len`].
    #[inline]
    pub(crate) fn entry(&self, index: usize) -> EntryRef<'_> {
        self.entry_of(&self.slot(index))
    }

    /// The key of the entry `index`.
    #[inline]
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        self.entry(index).key
    }

    /// The first version of `key` in this block at or below `seqno`.
    pub(crate) fn get(&self, key: &[u8], seqno: SeqNo) -> Option<usize> {
        let len = self.len();
        let is_wanted = |index: usize| {
            let entry = self.entry(index);
            entry.seqno <= seqno && entry.key == key
        };
        if len > FINGERPRINTED_MAX {
            return Some(self.find(key, seqno)).filter(|&index| index < len && is_wanted(index));
        }
        self.find_like(key, len, |index| {
            self.fetch_entry_at(index);
            is_wanted(index)
        })
    }

    /// The first of the `len` entries with the fingerprint of `key` that `is_wanted`.
    #[inline]
    fn find_like(&self, key: &[u8], len: usize, is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let wanted = u64::from(fingerprint(key)).wrapping_mul(0x0101_0101_0101_0101);
        let groups = self.0[FINGERPRINTS_AT..offsets_at(len)].as_chunks::<LANES>().0;
        for (group, lanes) in groups.iter().enumerate() {
            let differing = u64::from_le_bytes(*lanes) ^ wanted;
            // The high bit of each byte that is zero, as Mycroft found in 1987; behind such a byte, of others too.
            let mut equal =
                differing.wrapping_sub(0x0101_0101_0101_0101) & !differing & 0x8080_8080_8080_8080;
            while equal != 0 {
                let index = group * LANES + equal.trailing_zeros() as usize / 8;
                if index < len && is_wanted(index) {
                    return Some(index);
                }
                equal &= equal - 1;
            }
        }
        None
    }

    /// Lets the processor fetch what a point read begins with.
    #[inline]
    pub(super) fn fetch(&self) {
        prefetch::bytes(&self.0, FETCHED_BYTES);
    }

    /// Lets the processor fetch the entry that a point read of `key` will look at first, if the search is one of
    /// fingerprints.
    #[inline]
    pub(super) fn fetch_entry(&self, key: &[u8]) {
        let len = self.len();
        if len > FINGERPRINTED_MAX {
            return;
        }
        if let Some(index) = self.find_like(key, len, |_| true) {
            self.fetch_entry_at(index);
        }
    }

    #[inline]
    fn fetch_entry_at(&self, index: usize) {
        prefetch::bytes(&self.0[self.offset(index)..], FETCHED_BYTES);
    }

    /// The first entry at or after `(key, seqno)`; [`DataBlock::len`] where there is none.
    pub(crate) fn find(&self, key: &[u8], seqno: SeqNo) -> usize {
        let len = self.len();
        let prefix_len = read_u32(&self.0, U32_BYTES) as usize;
        if prefix_len > 0 {
            match key.get(..prefix_len).unwrap_or(key).cmp(&self.key(0)[..prefix_len]) {
                Ordering::Less => return 0,
                Ordering::Greater => return len,
                Ordering::Equal => {}
            }
        }
        let heads = self.0[heads_at(len)..entries_at(len)].as_chunks::<U32_BYTES>().0;
        let wanted = head(&key[prefix_len..]);
        let mut at = heads.partition_point(|&head| u32::from_le_bytes(head) < wanted);
        let mut end = at + heads[at..].partition_point(|&head| u32::from_le_bytes(head) == wanted);
        while at < end {
            let middle = at + (end - at) / 2;
            let entry = self.entry(middle);
            match compare_internal((entry.key, entry.seqno), (key, seqno)) {
                Ordering::Less => at = middle + 1,
                _ => end = middle,
            }
        }
        at
    }

    fn offset(&self, index: usize) -> usize {
        let len = self.len();
        assert!(index < len, "an entry of the block");
        read_u32(&self.0, offsets_at(len) + index * U32_BYTES) as usize
    }
}

/// Where the offsets begin in a block of `len` entries: close to the fingerprints, for point reads.
fn offsets_at(len: usize) -> usize {
    FINGERPRINTS_AT + len.next_multiple_of(LANES)
}

/// Where the heads begin in a block of `len` entries.
fn heads_at(len: usize) -> usize {
    offsets_at(len) + len * U32_BYTES
}

/// Where the entries begin in a block of `len` entries.
fn entries_at(len: usize) -> usize {
    heads_at(len) + len * U32_BYTES
}

fn lay_out(payload: &[u8], entries: &[PackedEntry], out: &mut Vec<u8>) {
    let len = entries.len();
    out.resize(entries_at(len), 0);
    write_u32(out, 0, len);
    let mut last_key = 0..0;
    for (index, packed) in entries.iter().enumerate() {
        let at = out.len();
        write_u32(out, offsets_at(len) + index * U32_BYTES, at);
        let (suffix, value) = (&payload[packed.suffix..packed.value], &payload[packed.value..packed.end]);
        let key_len = packed.shared + suffix.len();
        // At a restart point the key is whole, whatever the one before it was.
        let continues = index > 0
            && key_len == last_key.len()
            && *suffix == out[last_key.start + packed.shared..last_key.end];
        let expires = packed.expires_at != NEVER_EXPIRES;
        let is_numbered = packed.seqno != SETTLED;
        let flags = if expires { EXPIRES } else { 0 }
            | if continues { CONTINUES } else { 0 }
            | if is_numbered { NUMBERED } else { 0 };
        let tag = packed.kind as u32 | flags | (key_len as u32) << KEY_LEN_SHIFT;
        if key_len <= SHORT_KEY_MAX && value.len() <= SHORT_VALUE_MAX {
            let tag = tag | SHORT | (value.len() as u32) << VALUE_LEN_SHIFT;
            out.extend_from_slice(&tag.to_le_bytes());
        } else {
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        if is_numbered {
            out.extend_from_slice(&packed.seqno.to_le_bytes());
        }
        if expires {
            out.extend_from_slice(&packed.expires_at.to_le_bytes());
        }
        let key = out.len()..out.len() + key_len;
        out.extend_from_within(last_key.start..last_key.start + packed.shared);
        out.extend_from_slice(suffix);
        out.extend_from_slice(value);
        out[FINGERPRINTS_AT + index] = fingerprint(&out[key.clone()]);
        last_key = key;
    }
    write_heads(out, len, last_key);
}

/// Notes the prefix that the first key and `last_key`, and so all keys, share, and the head of each key behind it.
fn write_heads(out: &mut [u8], len: usize, last_key: std::ops::Range<usize>) {
    let key_of = |out: &[u8], index: usize| {
        let at = read_u32(out, offsets_at(len) + index * U32_BYTES) as usize;
        let tag = read_u32(out, at);
        let key_at =
            at + header_bytes(tag) + (tag & (EXPIRES | NUMBERED)).count_ones() as usize * NUMBER_BYTES;
        key_at..key_at + key_len(tag)
    };
    let prefix_len = common_prefix_len(&out[key_of(out, 0)], &out[last_key]);
    write_u32(out, U32_BYTES, prefix_len);
    for index in 0..len {
        let key = key_of(out, index);
        // Keys that are out of order may be shorter than the prefix; a search then finds something else or nothing.
        let head = head(&out[(key.start + prefix_len).min(key.end)..key.end]);
        out[heads_at(len) + index * U32_BYTES..][..U32_BYTES].copy_from_slice(&head.to_le_bytes());
    }
}

/// A number of few bits that differs for most keys that differ: out of the last sixteen bytes of the key.
fn fingerprint(key: &[u8]) -> u8 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let (rest, last) = last_word(key);
    let (_, before) = last_word(rest);
    let mixed = (last ^ before.rotate_left(29) ^ key.len() as u64).wrapping_mul(MULTIPLIER);
    ((mixed ^ (mixed >> 29)).wrapping_mul(MULTIPLIER) >> 56) as u8
}

/// The last eight bytes as a number, and what stands before them; fewer are padded with zeros.
fn last_word(key: &[u8]) -> (&[u8], u64) {
    if let Some((rest, last)) = key.split_last_chunk::<8>() {
        return (rest, u64::from_le_bytes(*last));
    }
    let mut bytes = [0; 8];
    bytes[..key.len()].copy_from_slice(key);
    (&[], u64::from_le_bytes(bytes))
}

/// The first four bytes as a number that orders like them; fewer are padded with zeros.
fn head(key: &[u8]) -> u32 {
    if let Some(head) = key.first_chunk::<4>() {
        return u32::from_be_bytes(*head);
    }
    let mut bytes = [0; 4];
    bytes[..key.len()].copy_from_slice(key);
    u32::from_be_bytes(bytes)
}

/// The bytes of the tag and of the length behind it.
#[inline]
fn header_bytes(tag: u32) -> usize {
    if tag & SHORT == 0 { 2 * U32_BYTES } else { U32_BYTES }
}

#[inline]
fn key_len(tag: u32) -> usize {
    let len = (tag >> KEY_LEN_SHIFT) as usize;
    if tag & SHORT == 0 { len } else { len & SHORT_KEY_MAX }
}

#[inline]
fn kind_of(tag: u32) -> Kind {
    Kind::from_u8((tag & KIND_MASK) as u8).expect("a tag is made from a kind")
}

fn write_u32(out: &mut [u8], at: usize, number: usize) {
    let number = u32::try_from(number).expect("a block is far below 4 GiB");
    out[at..at + U32_BYTES].copy_from_slice(&number.to_le_bytes());
}

#[inline]
fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the block was laid out whole"))
}

#[inline]
fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the block was laid out whole"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SEQNO_MAX;
    use crate::sstable::block::{DataBlockBuilder, unpack};
    use crate::sstable::testing::{Random, Row};

    fn block_of(rows: &[Row]) -> DataBlock {
        let mut builder = DataBlockBuilder::default();
        let mut last: &[u8] = b"";
        for row in rows {
            let most = builder.len_with(&row.entry());
            builder.add(last, &row.entry());
            assert!(builder.len() <= most, "the estimate was too low");
            last = &row.key;
        }
        unpack(builder.finish()).unwrap()
    }

    fn check_searches(block: &DataBlock, rows: &[Row], key: &[u8], seqno: SeqNo) {
        let wanted = rows
            .iter()
            .position(|row| compare_internal((&row.key, row.seqno), (key, seqno)) != Ordering::Less);
        assert_eq!(block.find(key, seqno), wanted.unwrap_or(rows.len()), "{key:?} at {seqno}");
        let same = wanted.filter(|&at| rows[at].key == key);
        assert_eq!(block.get(key, seqno), same, "get of {key:?} at {seqno}");
    }

    /// Keys that share far more than the heads show, many versions of each, and more than the fingerprints serve.
    #[test]
    fn what_was_packed_is_there_and_both_ways_of_searching_find_it() {
        let mut random = Random::from_env();
        for round in 0..80 {
            let prefix = vec![b'p'; [0, 1, 3, 9, 300][round % 5]];
            let most = if round % 20 == 7 { 900 } else { 60 };
            let mut keys: Vec<(Vec<u8>, SeqNo)> = (0..1 + random.below(most))
                .map(|_| {
                    let middle = [&b""[..], b"middle", b"middle of the key"][random.below(3) as usize];
                    ([&prefix[..], middle, &random.key(3), &random.key(12)].concat(), random.below(9))
                })
                .collect();
            keys.sort_by(|a, b| compare_internal((&a.0, a.1), (&b.0, b.1)));
            keys.dedup();
            let rows: Vec<Row> = keys
                .iter()
                .map(|(key, seqno)| match random.below(4) {
                    0 => Row::tombstone(&key[..], *seqno),
                    1 => Row::value(&key[..], *seqno, "short").expiring(1 + random.below(1 << 40)),
                    2 if round % 20 == 9 && random.below(8) == 0 => {
                        let len = SHORT_VALUE_MAX - 2 + random.below(5) as usize;
                        Row::value(&key[..], *seqno, vec![7; len])
                    }
                    _ => Row::value(&key[..], *seqno, format!("{key:?}{seqno}")),
                })
                .collect();

            let block = block_of(&rows);

            assert_eq!(block.len(), rows.len());
            for (index, row) in rows.iter().enumerate() {
                assert_eq!(Row::from(block.entry(index)), *row);
                assert_eq!(block.slot(index).continues(), index > 0 && rows[index - 1].key == row.key);
            }
            for (key, _) in &keys {
                for seqno in [0, 4, 8, SEQNO_MAX] {
                    check_searches(&block, &rows, key, seqno);
                }
                check_searches(&block, &rows, &[key, &b"\0"[..]].concat(), 3);
                check_searches(&block, &rows, &key[..key.len() / 2], 3);
            }
            check_searches(&block, &rows, b"", 3);
            check_searches(&block, &rows, b"\xff", 3);
        }
    }

    #[test]
    fn keys_of_one_fingerprint_are_told_apart() {
        let same: Vec<Vec<u8>> = (0u32..100_000)
            .map(|number| number.to_be_bytes().to_vec())
            .filter(|key| fingerprint(key) == fingerprint(b"flow"))
            .take(200)
            .collect();
        let rows: Vec<Row> = same.iter().step_by(2).map(|key| Row::value(&key[..], 5, &key[..])).collect();
        let block = block_of(&rows);

        for (at, key) in same.iter().enumerate() {
            assert_eq!(block.get(key, 9), (at % 2 == 0).then_some(at / 2));
            assert_eq!(block.get(key, 4), None);
        }
    }
}
