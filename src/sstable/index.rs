//! Index blocks: for each block below, a separator that is at or above its last entry, and its handle.
//!
//! The same form serves twice: partitions point to data blocks, the top index points to partitions. Invariant: the last
//! entry of a block <= its separator < the first entry of the next block, in internal order. Where two blocks divide the
//! versions of one key, the separator carries the seqno of the last version; everywhere else its seqno is 0.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::sync::OnceLock;

use super::block::common_prefix_len;
use super::spots::Spots;
use super::{Damage, Decoded, Handle, put_times, take_times};
use crate::coding::{put_prefixed, put_varint, take_bytes, take_prefixed, take_u32, take_varint};
use crate::key::{SEQNO_MAX, SeqNo, compare_internal};
use crate::times::Times;

const U32_BYTES: usize = 4;

/// One entry of an index, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) seqno: SeqNo,
    pub(crate) handle: Handle,
}

/// Builds the payload of one index block.
#[derive(Default)]
pub(crate) struct IndexBlockBuilder {
    payload: Vec<u8>,
    offsets: Vec<u32>,
}

impl IndexBlockBuilder {
    /// Appends an entry that is above those before it; `times` are those of the records below, if there are any.
    pub(crate) fn add(&mut self, entry: &IndexEntry<'_>, times: Option<Times>) {
        self.offsets.push(self.payload.len() as u32);
        put_prefixed(&mut self.payload, entry.key);
        put_varint(&mut self.payload, entry.seqno);
        put_varint(&mut self.payload, entry.handle.offset);
        put_varint(&mut self.payload, u64::from(entry.handle.len));
        if let Some(times) = times {
            put_times(&mut self.payload, times);
        }
    }

    /// How many entries have been added.
    pub(crate) fn entries(&self) -> usize {
        self.offsets.len()
    }

    /// How long the payload would be if it ended here.
    pub(crate) fn len(&self) -> usize {
        self.payload.len() + (self.offsets.len() + 1) * U32_BYTES
    }

    /// The whole payload.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        for offset in &self.offsets {
            self.payload.extend_from_slice(&offset.to_le_bytes());
        }
        self.payload.extend_from_slice(&(self.offsets.len() as u32).to_le_bytes());
        self.payload
    }
}

fn take_entry<'a>(input: &mut &'a [u8]) -> Option<IndexEntry<'a>> {
    let key = take_prefixed(input)?;
    let (seqno, handle) = take_place(input)?;
    Some(IndexEntry { key, seqno, handle })
}

/// What stands behind the key of an entry.
fn take_place(input: &mut &[u8]) -> Option<(SeqNo, Handle)> {
    let seqno = take_varint(input).filter(|&seqno| seqno <= SEQNO_MAX)?;
    let offset = take_varint(input)?;
    let len = u32::try_from(take_varint(input)?).ok()?;
    Some((seqno, Handle { offset, len }))
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
    /// Where the entries end and their offsets begin.
    entries_end: usize,
    /// The bytes that all keys begin with.
    prefix: Box<[u8]>,
    /// For each entry, the eight bytes behind the prefix: most comparisons need nothing else.
    heads: Vec<u64>,
    /// For each entry its handle, so that a lookup need not wait for the entry; empty where the entry is damaged.
    handles: Vec<Handle>,
    /// Of a partition that its table has pinned.
    spots: OnceLock<Spots>,
}

impl IndexBlock {
    /// Takes a payload whose checksum was verified, and checks where its entries are. What else they say is checked
    /// when they are used: a cold lookup uses one of some hundred.
    pub(crate) fn new(payload: Vec<u8>) -> Decoded<Self> {
        const DAMAGE: Damage = Damage("the offsets of the index entries are damaged");
        let (body, count) = payload.split_last_chunk::<U32_BYTES>().ok_or(DAMAGE)?;
        let count = u32::from_le_bytes(*count) as usize;
        let entries_end =
            count.checked_mul(U32_BYTES).and_then(|len| body.len().checked_sub(len)).ok_or(DAMAGE)?;
        let (entries, offsets) = body.split_at_checked(entries_end).ok_or(DAMAGE)?;
        let (mut keys, mut handles) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut least = 0;
        for &offset in offsets.as_chunks::<U32_BYTES>().0 {
            let at = u32::from_le_bytes(offset) as usize;
            if at < least || (least == 0) != (at == 0) {
                return Err(DAMAGE);
            }
            let mut input = entries.get(at..).ok_or(DAMAGE)?;
            keys.push(take_prefixed(&mut input).ok_or(DAMAGE)?);
            handles.push(take_place(&mut input).map(|(_, handle)| handle).unwrap_or_default());
            least = at + 1;
        }
        let prefix: Box<[u8]> = match (keys.first(), keys.last()) {
            (Some(first), Some(last)) => Box::from(&first[..common_prefix_len(first, last)]),
            _ => Box::default(),
        };
        let heads = keys.iter().map(|key| head(key.get(prefix.len()..).unwrap_or_default())).collect();
        Ok(Self { entries_end, prefix, heads, handles, spots: OnceLock::new(), payload })
    }

    /// The bytes of memory that the block takes.
    pub(crate) fn charge(&self) -> usize {
        self.payload.capacity()
            + self.heads.capacity() * (size_of::<u64>() + size_of::<Handle>())
            + self.prefix.len()
            + size_of::<Self>()
    }

    /// Makes a spot for each block below; a table does so that pins the partition, and charges for them.
    pub(super) fn make_spots(&self) {
        self.spots.get_or_init(|| Spots::new(self.len()));
    }

    /// What [`IndexBlock::make_spots`] takes.
    pub(super) fn spots_charge(&self) -> usize {
        Spots::charge_of(self.len())
    }

    /// The spots of the blocks below, if there are any.
    #[inline]
    pub(super) fn spots(&self) -> Option<&Spots> {
        self.spots.get()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The entry `index`, or `None` behind the last.
    pub(crate) fn entry(&self, index: usize) -> Decoded<Option<IndexEntry<'_>>> {
        if index >= self.len() {
            return Ok(None);
        }
        self.decode(index).map(Some).ok_or(Damage("an index entry is damaged"))
    }

    /// The handle of the entry `index`, or `None` behind the last.
    #[inline]
    pub(crate) fn handle(&self, index: usize) -> Decoded<Option<Handle>> {
        match self.handles.get(index) {
            Some(handle) if handle.len > 0 => Ok(Some(*handle)),
            _ => Ok(self.entry(index)?.map(|entry| entry.handle)),
        }
    }

    fn decode(&self, index: usize) -> Option<IndexEntry<'_>> {
        let (entries, mut offsets) = self.payload.split_at_checked(self.entries_end)?;
        let _before = take_bytes(&mut offsets, index * U32_BYTES)?;
        take_entry(&mut entries.get(take_u32(&mut offsets)? as usize..)?)
    }

    /// The times of the records in the block of the entry `index`, which exists; `None` where it holds no records.
    pub(crate) fn times(&self, index: usize) -> Decoded<Option<Times>> {
        self.decode_times(index).ok_or(Damage("the times of an index entry are damaged"))
    }

    fn decode_times(&self, index: usize) -> Option<Option<Times>> {
        let (entries, mut offsets) = self.payload.split_at_checked(self.entries_end)?;
        let _before = take_bytes(&mut offsets, index * U32_BYTES)?;
        let start = take_u32(&mut offsets)? as usize;
        // The entry ends where the next one begins; the last one, where the offsets do.
        let is_last = index + 1 == self.len();
        let end = if is_last { self.entries_end } else { take_u32(&mut offsets)? as usize };
        let mut entry = entries.get(start..end)?;
        take_entry(&mut entry)?;
        if entry.is_empty() {
            return Some(None);
        }
        let times = take_times(&mut entry)?;
        entry.is_empty().then_some(Some(times))
    }

    /// The first entry whose separator is at or above `(key, seqno)`: the only one whose block may hold what a point
    /// lookup wants, and the first one whose block or whose follower holds what a seek wants. `len()` if there is none.
    pub(crate) fn find(&self, key: &[u8], seqno: SeqNo) -> Decoded<usize> {
        let rest = match key.get(..self.prefix.len()).unwrap_or(key).cmp(&self.prefix) {
            Ordering::Less => return Ok(0),
            Ordering::Greater => return Ok(self.len()),
            Ordering::Equal => key.get(self.prefix.len()..).unwrap_or_default(),
        };
        let wanted = head(rest);
        let mut at = self.heads.partition_point(|&head| head < wanted);
        if self.heads.get(at) != Some(&wanted) {
            return Ok(at);
        }
        let mut end = at + self.heads[at..].partition_point(|&head| head == wanted);
        while at < end {
            let middle = at + (end - at) / 2;
            let order = |entry: IndexEntry<'_>| compare_internal((entry.key, entry.seqno), (key, seqno));
            if self.entry(middle)?.map(order) == Some(Ordering::Less) {
                at = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(at)
    }
}

/// The first eight bytes as a number that orders like them; a shorter key is padded with zeros.
fn head(key: &[u8]) -> u64 {
    if let Some(head) = key.first_chunk::<8>() {
        return u64::from_be_bytes(*head);
    }
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

    fn payload_of(keys: &[(&[u8], SeqNo)]) -> Vec<u8> {
        let mut builder = IndexBlockBuilder::default();
        for (index, &(key, seqno)) in keys.iter().enumerate() {
            let handle = Handle { offset: index as u64 * 10, len: 10 };
            builder.add(&IndexEntry { key, seqno, handle }, None);
        }
        let len = builder.len();
        let payload = builder.finish();
        assert_eq!(payload.len(), len);
        payload
    }

    #[test]
    fn a_search_finds_the_first_separator_at_or_above() {
        let keys: [(&[u8], SeqNo); 6] = [
            (b"user:", 0),
            (b"user:1", 9),
            (b"user:1", 4),
            (b"user:1\0", 0),
            (b"user:10000000005", 0),
            (b"user:2", 0),
        ];
        let block = IndexBlock::new(payload_of(&keys)).unwrap();
        let mut probes: Vec<(&[u8], SeqNo)> = keys.to_vec();
        probes.extend([(&b""[..], 0), (b"user", 3), (b"user;", 3), (b"zzz", 1), (b"user:10000000004", 1)]);
        probes.extend([(&b"user:1"[..], 5), (b"user:1", 10), (b"user:1", 3), (b"user:3", 0), (b"user:", 7)]);

        for (key, seqno) in probes {
            let expected = keys
                .iter()
                .position(|&(k, s)| compare_internal((k, s), (key, seqno)) != Ordering::Less)
                .unwrap_or(keys.len());
            assert_eq!(block.find(key, seqno), Ok(expected), "{key:?} {seqno}");
        }
        assert_eq!(IndexBlock::new(payload_of(&[])).unwrap().find(b"any", 1), Ok(0));
    }

    #[test]
    fn an_index_without_sound_offsets_is_refused() {
        let payload = payload_of(&[(b"b", 0), (b"c", 0), (b"d", 0)]);
        let (at, entry) = (payload.len() - 16, (payload.len() - 16) / 3);
        let with = |at: usize, number: u32| {
            let mut payload = payload.clone();
            payload[at..at + 4].copy_from_slice(&number.to_le_bytes());
            IndexBlock::new(payload).is_ok()
        };

        assert!(with(at, 0));
        assert!(!with(at, 1), "the first entry doesn't begin at the start");
        assert!(!with(at + 4, 0), "the offsets don't ascend");
        assert!(!with(at + 8, entry as u32), "the offsets don't ascend");
        assert!(!with(at + 8, at as u32), "an offset is beyond the entries");
        assert!(!with(at + 12, u32::MAX), "there are more offsets than the payload holds");
        for len in 0..4 {
            assert!(IndexBlock::new(vec![0; len]).is_err());
        }
    }

    /// An entry that can't be read is damage, and not the end of the index.
    #[test]
    fn a_damaged_entry_is_told_when_it_is_used() {
        let mut payload = payload_of(&[(b"b", 0), (b"c", 0)]);
        payload[7..10].fill(0xff);
        let block = IndexBlock::new(payload).unwrap();

        assert!(block.entry(0).unwrap().is_some());
        assert!(block.entry(1).is_err());
        assert_eq!(block.entry(2), Ok(None));
    }
}
