//! Index blocks: for each block below, a separator that is at or above its last entry, and its handle.
//!
//! The same form serves twice: partitions point to data blocks, the top index points to partitions. Invariant: the last
//! entry of a block <= its separator < the first entry of the next block, in internal order. Where two blocks divide the
//! versions of one key, the separator carries the seqno of the last version; everywhere else its seqno is 0.
#![forbid(unsafe_code)]

use std::cmp::Ordering;

use super::block::common_prefix_len;
use super::{Damage, Decoded, Handle};
use crate::coding::{put_prefixed, put_varint, take_prefixed, take_varint};
use crate::key::{SEQNO_MAX, SeqNo, compare_internal};

/// One entry of an index, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) seqno: SeqNo,
    pub(crate) handle: Handle,
}

/// Appends an entry to the payload of an index block.
pub(crate) fn put_entry(payload: &mut Vec<u8>, entry: &IndexEntry<'_>) {
    put_prefixed(payload, entry.key);
    put_varint(payload, entry.seqno);
    put_varint(payload, entry.handle.offset);
    put_varint(payload, u64::from(entry.handle.len));
}

fn take_entry<'a>(input: &mut &'a [u8]) -> Option<IndexEntry<'a>> {
    let key = take_prefixed(input)?;
    let seqno = take_varint(input).filter(|&seqno| seqno <= SEQNO_MAX)?;
    let offset = take_varint(input)?;
    let len = u32::try_from(take_varint(input)?).ok()?;
    Some(IndexEntry { key, seqno, handle: Handle { offset, len } })
}

/// The shortest key at or above `last` and below `next`, where `last < next`.
pub(crate) fn shortest_separator<'a>(last: &'a [u8], next: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let common = common_prefix_len(last, next);
    // One byte more of `next` than they share is above `last`, and below `next` if `next` goes on.
    if common + 1 < next.len().min(last.len()) {
        return &next[..=common];
    }
    // Else some byte of `last` behind the first difference is raised; at the difference itself only if that stays
    // below `next`.
    for at in common..last.len().saturating_sub(1) {
        let raised = last[at].checked_add(1).filter(|&raised| at > common || raised < next[at]);
        if let Some(raised) = raised {
            scratch.clear();
            scratch.extend_from_slice(&last[..at]);
            scratch.push(raised);
            return scratch;
        }
    }
    last
}

/// A verified index block in memory.
pub(crate) struct IndexBlock {
    payload: Vec<u8>,
    /// How many bytes all keys begin with.
    prefix: usize,
    /// For each entry, the eight bytes behind the prefix: most comparisons need nothing else.
    heads: Vec<u64>,
    /// For each entry, where it begins.
    offsets: Vec<u32>,
}

impl IndexBlock {
    /// Takes a payload whose checksum was verified, and checks every entry and their order.
    pub(crate) fn new(payload: Vec<u8>) -> Decoded<Self> {
        const DAMAGE: Damage = Damage("an index entry is damaged");
        let mut input = &payload[..];
        let mut offsets = Vec::new();
        let mut keys: Option<(&[u8], IndexEntry<'_>)> = None;
        while !input.is_empty() {
            offsets.push(u32::try_from(payload.len() - input.len()).map_err(|_| DAMAGE)?);
            let entry = take_entry(&mut input).ok_or(DAMAGE)?;
            if let Some((_, last)) = &keys {
                let order = compare_internal((last.key, last.seqno), (entry.key, entry.seqno));
                if order != Ordering::Less || last.handle.end() > entry.handle.offset {
                    return Err(Damage("the index is out of order"));
                }
            }
            keys = Some((keys.map_or(entry.key, |(first, _)| first), entry));
        }
        let prefix = keys.map_or(0, |(first, last)| common_prefix_len(first, last.key));
        offsets.shrink_to_fit();
        let mut block = Self { payload, prefix, heads: Vec::with_capacity(offsets.len()), offsets };
        for index in 0..block.offsets.len() {
            let key = block.entry(index).ok_or(DAMAGE)?.key;
            block.heads.push(head(key.get(prefix..).unwrap_or_default()));
        }
        Ok(block)
    }

    /// The bytes of memory that the block takes.
    pub(crate) fn charge(&self) -> usize {
        self.payload.capacity()
            + self.heads.capacity() * size_of::<u64>()
            + self.offsets.capacity() * size_of::<u32>()
            + size_of::<Self>()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The entry `index`, or `None` behind the last.
    pub(crate) fn entry(&self, index: usize) -> Option<IndexEntry<'_>> {
        let at = *self.offsets.get(index)? as usize;
        take_entry(&mut self.payload.get(at..)?)
    }

    /// The first entry whose separator is at or above `(key, seqno)`: the only one whose block may hold what a point
    /// lookup wants, and the first one whose block or whose follower holds what a seek wants. `len()` if there is none.
    pub(crate) fn find(&self, key: &[u8], seqno: SeqNo) -> usize {
        let Some(first) = self.entry(0) else { return 0 };
        let prefix = first.key.get(..self.prefix).unwrap_or_default();
        let rest = match key.get(..self.prefix).unwrap_or(key).cmp(prefix) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.len(),
            Ordering::Equal => key.get(self.prefix..).unwrap_or_default(),
        };
        let wanted = head(rest);
        let mut low = self.heads.partition_point(|&head| head < wanted);
        let mut high = low + self.heads[low..].partition_point(|&head| head == wanted);
        while low < high {
            let middle = low + (high - low) / 2;
            let below = self.entry(middle).is_some_and(|entry| {
                compare_internal((entry.key, entry.seqno), (key, seqno)) == Ordering::Less
            });
            if below {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The first eight bytes as a number that orders like them; a shorter key is padded with zeros.
fn head(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separator(last: &[u8], next: &[u8]) -> Vec<u8> {
        shortest_separator(last, next, &mut Vec::new()).to_vec()
    }

    #[test]
    fn a_separator_is_at_or_above_the_last_key_and_below_the_next_and_no_longer() {
        let alphabet = [0u8, 1, 0x7f, 0xfe, 0xff];
        let mut keys = vec![vec![]];
        for len in 1..=3 {
            for at in 0..alphabet.len().pow(len) {
                let mut rest = at;
                let key = (0..len).map(|_| {
                    let byte = alphabet[rest % alphabet.len()];
                    rest /= alphabet.len();
                    byte
                });
                keys.push(key.collect());
            }
        }
        keys.sort();
        for last in &keys {
            for next in keys.iter().filter(|next| *next > last) {
                let between = separator(last, next);
                assert!(*last <= between && between < *next, "{last:?} {between:?} {next:?}");
                assert!(between.len() <= last.len(), "{last:?} {between:?} {next:?}");
            }
        }
    }

    #[test]
    fn separators_are_short_where_keys_allow_it() {
        assert_eq!(separator(b"abcdefgh", b"abxyz"), b"abx");
        assert_eq!(separator(b"abcdefgh", b"abd"), b"abce");
        assert_eq!(separator(b"abc", b"abcd"), b"abc");
        assert_eq!(separator(b"", b"a"), b"");
    }

    #[test]
    fn a_search_finds_the_first_separator_at_or_above() {
        let mut payload = Vec::new();
        let keys: [(&[u8], SeqNo); 6] = [
            (b"user:", 0),
            (b"user:1", 9),
            (b"user:1", 4),
            (b"user:1\0", 0),
            (b"user:10000000005", 0),
            (b"user:2", 0),
        ];
        for (index, (key, seqno)) in keys.into_iter().enumerate() {
            let handle = Handle { offset: index as u64 * 10, len: 10 };
            put_entry(&mut payload, &IndexEntry { key, seqno, handle });
        }
        let block = IndexBlock::new(payload).unwrap();
        let mut probes: Vec<(&[u8], SeqNo)> = keys.to_vec();
        probes.extend([(&b""[..], 0), (b"user", 3), (b"user;", 3), (b"zzz", 1), (b"user:10000000004", 1)]);
        probes.extend([(&b"user:1"[..], 5), (b"user:1", 10), (b"user:1", 3), (b"user:3", 0), (b"user:", 7)]);

        for (key, seqno) in probes {
            let expected = keys
                .iter()
                .position(|&(k, s)| compare_internal((k, s), (key, seqno)) != Ordering::Less)
                .unwrap_or(keys.len());
            assert_eq!(block.find(key, seqno), expected, "{key:?} {seqno}");
        }
    }

    #[test]
    fn an_index_that_is_cut_or_out_of_order_is_refused() {
        let mut payload = Vec::new();
        for (index, key) in [b"b", b"c"].into_iter().enumerate() {
            let handle = Handle { offset: index as u64 * 10, len: 10 };
            put_entry(&mut payload, &IndexEntry { key, seqno: 0, handle });
        }
        let entry = payload.len() / 2;
        assert!(IndexBlock::new(payload.clone()).is_ok());
        for cut in (0..payload.len()).filter(|cut| cut % entry != 0) {
            assert!(IndexBlock::new(payload[..cut].to_vec()).is_err(), "cut at {cut}");
        }
        payload.rotate_left(entry);
        assert!(IndexBlock::new(payload).is_err());
    }
}
