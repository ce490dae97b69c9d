//! Data blocks as they lie on disk: entries in internal order with prefix-compressed user keys, and restart points.
//!
//! Here they are built and taken apart. In memory a block has another form, made for reading: [`DataBlock`].
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::cmp::Ordering;

use super::data_block::DataBlock;
use super::{Damage, Decoded};
use crate::coding::{put_varint, take_u32, take_varint, varint_len};
use crate::key::{EntryRef, KEY_BYTES_MAX, Kind, NEVER_EXPIRES, SEQNO_MAX, SeqNo, compare_internal};

/// Every so many entries a key is stored whole, so that a search can begin there.
pub(crate) const RESTART_INTERVAL: usize = 16;

/// The bits of the flags byte that hold the kind.
const KIND_MASK: u8 = 0b1011;
/// The flag of an entry that carries an expiry.
const EXPIRES: u8 = 0b0100;

/// The largest block of more than one entry: that of the largest `block_size`.
const SEVERAL_BYTES_MAX: usize = 1 << 20;

/// What the keys of a block may share, all together: sixteen times the largest block of more than one entry.
const SHARED_BYTES_MAX: usize = RESTART_INTERVAL * SEVERAL_BYTES_MAX;

const U32_BYTES: usize = 4;

/// The length of the common prefix of `a` and `b`.
pub(crate) fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Builds the payload of one data block.
#[derive(Default)]
pub(crate) struct DataBlockBuilder {
    payload: Vec<u8>,
    restarts: Vec<u32>,
    entries: usize,
}

impl DataBlockBuilder {
    /// Appends `entry`, which follows the entry of `last_key` in internal order.
    pub(crate) fn add(&mut self, last_key: &[u8], entry: &EntryRef<'_>) {
        let shared = if self.entries.is_multiple_of(RESTART_INTERVAL) {
            self.restarts.push(self.payload.len() as u32);
            0
        } else {
            common_prefix_len(last_key, entry.key)
        };
        let suffix = &entry.key[shared..];
        let expires = entry.expires_at != NEVER_EXPIRES;
        put_varint(&mut self.payload, shared as u64);
        put_varint(&mut self.payload, suffix.len() as u64);
        self.payload.push(entry.kind as u8 | if expires { EXPIRES } else { 0 });
        put_varint(&mut self.payload, entry.seqno);
        if expires {
            put_varint(&mut self.payload, entry.expires_at);
        }
        put_varint(&mut self.payload, entry.value.len() as u64);
        self.payload.extend_from_slice(suffix);
        self.payload.extend_from_slice(entry.value);
        self.entries += 1;
    }

    /// How long the payload would be if it ended here.
    pub(crate) fn len(&self) -> usize {
        self.payload.len() + (self.restarts.len() + 1) * U32_BYTES
    }

    /// How long the payload could be with `entry` in it: as if the entry shared nothing and were a restart point.
    pub(crate) fn len_with(&self, entry: &EntryRef<'_>) -> usize {
        let lengths = 1 + varint_len(entry.key.len() as u64) + varint_len(entry.value.len() as u64);
        let numbers = 1 + varint_len(entry.seqno) + varint_len(entry.expires_at);
        self.len() + U32_BYTES + lengths + numbers + entry.key.len() + entry.value.len()
    }

    /// Whether no entry has been added since the last [`Self::clear`].
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The whole payload. Nothing may be added until [`Self::clear`].
    pub(crate) fn finish(&mut self) -> &[u8] {
        for restart in &self.restarts {
            self.payload.extend_from_slice(&restart.to_le_bytes());
        }
        self.payload.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        &self.payload
    }

    /// Makes room for the next block.
    pub(crate) fn clear(&mut self) {
        self.payload.clear();
        self.restarts.clear();
        self.entries = 0;
    }
}

/// What one packed entry says, and where the rest of its key and its value lie in the payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedEntry {
    /// How many bytes of its key are those of the key before it.
    pub(super) shared: usize,
    /// The offset of the rest of its key.
    pub(super) suffix: usize,
    /// The offset of its value.
    pub(super) value: usize,
    /// The offset of the entry behind it.
    pub(super) end: usize,
    pub(super) seqno: SeqNo,
    pub(super) kind: Kind,
    pub(super) expires_at: u64,
}

/// How many entries are remembered from one block to the next; a block of very many must not hold its memory for ever.
const ENTRIES_KEPT: usize = 4096;

thread_local! {
    /// Blocks are unpacked all the time, and a list of their entries is needed for a moment only.
    static ENTRIES: RefCell<Vec<PackedEntry>> = const { RefCell::new(Vec::new()) };
}

/// Takes a payload whose checksum was verified, and makes the block for reading of it.
pub(crate) fn unpack(payload: &[u8]) -> Decoded<DataBlock> {
    ENTRIES.with_borrow_mut(|entries| {
        entries.clear();
        let unpacked = list_entries(payload, entries).map(|()| DataBlock::of(payload, entries));
        entries.shrink_to(ENTRIES_KEPT);
        unpacked
    })
}

thread_local! {
    /// The key of the entry that a search stands on.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The first version of `key` at or below `seqno` in a payload whose checksum was verified, as a block of its own: for who
/// wants one entry of a block that is not kept. Of the others only those on the way are looked at.
pub(super) fn find_packed(payload: &[u8], key: &[u8], seqno: SeqNo) -> Decoded<Option<DataBlock>> {
    let end = entries_end(payload)?;
    let packed = payload.get(..end).unwrap_or_default();
    KEY.with_borrow_mut(|last_key| {
        last_key.clear();
        let mut at = restart_before(payload, end, (key, seqno))?;
        while at < end {
            let entry = decode(packed, at).ok_or(Damage("an entry is damaged"))?;
            if entry.shared > last_key.len() {
                return Err(Damage("an entry shares more than there is"));
            }
            last_key.truncate(entry.shared);
            last_key.extend_from_slice(&packed[entry.suffix..entry.value]);
            if compare_internal((last_key, entry.seqno), (key, seqno)) != Ordering::Less {
                return Ok((last_key == key).then(|| alone(key, packed, &entry)));
            }
            at = entry.end;
        }
        Ok(None)
    })
}

/// The last restart point whose entry is below `wanted`, or the first one. The entries end at `end`.
fn restart_before(payload: &[u8], end: usize, wanted: (&[u8], SeqNo)) -> Decoded<usize> {
    let packed = payload.get(..end).unwrap_or_default();
    let restarts = payload.get(end..).unwrap_or_default().as_chunks::<U32_BYTES>().0;
    // Behind the last of them stands how many they are.
    let (mut low, mut high) = (0, restarts.len().saturating_sub(1));
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let entry = decode(packed, u32::from_le_bytes(restarts[middle]) as usize);
        let entry = entry.filter(|entry| entry.shared == 0).ok_or(Damage("an entry is damaged"))?;
        match compare_internal((&packed[entry.suffix..entry.value], entry.seqno), wanted) {
            Ordering::Less => low = middle,
            _ => high = middle,
        }
    }
    Ok(u32::from_le_bytes(restarts[low]) as usize)
}

/// A block of nothing but `entry` of `packed`, whose key is `key`.
fn alone(key: &[u8], packed: &[u8], entry: &PackedEntry) -> DataBlock {
    let payload = [key, &packed[entry.value..entry.end]].concat();
    let (value, end) = (key.len(), payload.len());
    DataBlock::of(&payload, &[PackedEntry { shared: 0, suffix: 0, value, end, ..*entry }])
}

/// Appends every entry of `payload` to `entries`. When this returns, all their offsets lie in the payload, in order.
///
/// Since every sixteenth key is whole, the keys together are at most sixteen times as long as the payload.
fn list_entries(payload: &[u8], entries: &mut Vec<PackedEntry>) -> Decoded<()> {
    let end = entries_end(payload)?;
    let packed = payload.get(..end).unwrap_or_default();
    let (mut at, mut last_key_len, mut shared) = (0, 0, 0);
    while at < end {
        let entry = decode(packed, at).ok_or(Damage("an entry is damaged"))?;
        let is_restart = entries.len().is_multiple_of(RESTART_INTERVAL);
        if entry.shared > if is_restart { 0 } else { last_key_len } {
            return Err(Damage("an entry shares more than there is"));
        }
        last_key_len = entry.shared + (entry.value - entry.suffix);
        shared += entry.shared;
        at = entry.end;
        entries.push(entry);
        // Listed, an entry takes many times the few bytes that it may have.
        if at < end && payload.len() > SEVERAL_BYTES_MAX {
            return Err(Damage("it is longer than any block of several entries"));
        }
    }
    if shared > SHARED_BYTES_MAX { Err(Damage("its keys are longer than any block's")) } else { Ok(()) }
}

/// Where the entries end and the restart points begin, which are checked. There is at least one entry.
fn entries_end(payload: &[u8]) -> Decoded<usize> {
    const DAMAGE: Damage = Damage("the restart points are damaged");
    let (body, mut count) =
        payload.split_last_chunk::<U32_BYTES>().map(|(b, c)| (b, &c[..])).ok_or(DAMAGE)?;
    let count = take_u32(&mut count).ok_or(DAMAGE)? as usize;
    let end = count.checked_mul(U32_BYTES).and_then(|len| body.len().checked_sub(len)).ok_or(DAMAGE)?;
    let restarts = body.get(end..).unwrap_or_default().as_chunks::<U32_BYTES>().0;
    let mut least = 0;
    for (index, restart) in restarts.iter().enumerate() {
        let at = u32::from_le_bytes(*restart) as usize;
        if at < least || at >= end || (index == 0 && at != 0) {
            return Err(DAMAGE);
        }
        least = at + 1;
    }
    if restarts.is_empty() { Err(DAMAGE) } else { Ok(end) }
}

fn decode(packed: &[u8], at: usize) -> Option<PackedEntry> {
    let mut input = packed.get(at..)?;
    let shared = take_varint(&mut input)? as usize;
    let unshared = take_varint(&mut input)? as usize;
    let (&flags, rest) = input.split_first()?;
    input = rest;
    let kind = match Kind::from_u8(flags & KIND_MASK)? {
        Kind::RangeTombstone => return None,
        kind => kind,
    };
    let seqno = take_varint(&mut input).filter(|&seqno| seqno <= SEQNO_MAX)?;
    let expires_at = match flags & !KIND_MASK {
        0 => NEVER_EXPIRES,
        EXPIRES => take_varint(&mut input).filter(|&at| at != NEVER_EXPIRES)?,
        _ => return None,
    };
    let value_len = usize::try_from(take_varint(&mut input)?).ok()?;
    let suffix = packed.len() - input.len();
    let value = suffix.checked_add(unshared)?;
    let end = value.checked_add(value_len).filter(|&end| end <= packed.len())?;
    // No key is longer, so that a damaged length can't make the key of the next entry grow without a bound.
    (shared.checked_add(unshared)? <= KEY_BYTES_MAX).then_some(PackedEntry {
        shared,
        suffix,
        value,
        end,
        seqno,
        kind,
        expires_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sstable::testing::{Random, Row};

    #[test]
    fn a_payload_without_sound_restart_points_is_refused() {
        let rows: Vec<_> = (0..40).map(|i| Row::value(format!("{i:03}"), 1, "value")).collect();
        let mut builder = DataBlockBuilder::default();
        rows.iter().for_each(|row| builder.add(b"", &row.entry()));
        let payload = builder.finish().to_vec();
        let at = payload.len() - 4 * U32_BYTES;
        let with = |at: usize, number: u32| {
            let mut payload = payload.clone();
            payload[at..at + U32_BYTES].copy_from_slice(&number.to_le_bytes());
            unpack(&payload).is_ok()
        };

        assert!(with(at, 0));
        assert!(!with(at, 1), "the first entry is not a restart point");
        assert!(!with(at + 8, 5), "the restart points don't ascend");
        assert!(!with(at + 8, at as u32), "a restart point is beyond the entries");
        assert!(!with(at + 12, 0), "there are none");
        assert!(!with(at + 12, u32::MAX), "there are more than the payload holds");
        for len in 0..8 {
            assert!(unpack(&vec![0; len]).is_err());
        }
    }

    /// A search of the packed form finds what one of the unpacked form does.
    #[test]
    fn a_packed_block_is_searched_as_an_unpacked_one_is() {
        let mut random = Random::from_env();
        for round in 0..60 {
            let mut keys: Vec<(Vec<u8>, SeqNo)> = (0..1 + random.below([3, 40, 200][round % 3]))
                .map(|_| ([&b"user:"[..], &random.key(2), &random.key(3)].concat(), random.below(6)))
                .collect();
            keys.sort_by(|a, b| compare_internal((&a.0, a.1), (&b.0, b.1)));
            keys.dedup();
            let mut builder = DataBlockBuilder::default();
            let mut last: &[u8] = b"";
            for (key, seqno) in &keys {
                let row = Row::value(&key[..], *seqno, format!("{key:?}{seqno}"));
                let row = if random.one_in(3) { row.expiring(1 + random.below(1 << 40)) } else { row };
                builder.add(last, &row.entry());
                last = key;
            }
            let payload = builder.finish();
            let block = unpack(payload).unwrap();
            let mut wanted: Vec<Vec<u8>> = vec![b"".to_vec(), b"user".to_vec(), b"v".to_vec()];
            wanted.extend(keys.iter().flat_map(|(key, _)| [key.clone(), [key, &b"\0"[..]].concat()]));

            for key in &wanted {
                for seqno in 0..7 {
                    let found = find_packed(payload, key, seqno).unwrap();
                    let expected = block.get(key, seqno).map(|index| block.entry(index));
                    assert_eq!(found.as_ref().map(|found| found.entry(0)), expected, "{key:?} at {seqno}");
                }
            }
        }
    }

    /// Whatever the bytes are, a search of them ends and stays within them.
    #[test]
    fn a_damaged_packed_block_is_refused_or_searched() {
        let mut builder = DataBlockBuilder::default();
        let keys: Vec<Vec<u8>> = (0..50).map(|i| format!("key{i:03}").into_bytes()).collect();
        let mut last: &[u8] = b"";
        for key in &keys {
            builder.add(last, &Row::value(&key[..], 5, "value").entry());
            last = key;
        }
        let payload = builder.finish().to_vec();
        for at in 0..payload.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = payload.clone();
                damaged[at] ^= flip;
                let _ = find_packed(&damaged, b"key027", 9);
                let _ = find_packed(&damaged[..at], b"key027", 9);
            }
        }
    }

    /// Keys that share ever more of the key before would make a few bytes on disk gigabytes in memory.
    #[test]
    fn a_key_beyond_the_limit_is_refused() {
        let mut builder = DataBlockBuilder::default();
        let long = vec![b'k'; KEY_BYTES_MAX];
        builder.add(b"", &Row::value(&long[..], 9, "").entry());
        builder.add(&long, &Row::value([&long[..], b"k"].concat(), 9, "").entry());

        assert!(unpack(builder.finish()).is_err());
    }

    /// A few megabytes can decompress to a gigabyte of the smallest entries, and those would be many gigabytes in memory.
    #[test]
    fn a_block_of_more_entries_than_any_writer_puts_into_one_is_refused() {
        let block_of = |entries: usize, value_len: usize| {
            let mut builder = DataBlockBuilder::default();
            let value = vec![b'v'; value_len];
            (0..entries)
                .for_each(|i| builder.add(b"", &Row::value(format!("{i:07}"), 1, &value[..]).entry()));
            builder.finish().to_vec()
        };

        assert!(unpack(&block_of(2, (SEVERAL_BYTES_MAX - 40) / 2)).is_ok());
        assert!(unpack(&block_of(1, 3 * SEVERAL_BYTES_MAX)).is_ok(), "one entry may be of any length");
        assert!(unpack(&block_of(2, SEVERAL_BYTES_MAX / 2)).is_err());
        assert!(unpack(&block_of(SEVERAL_BYTES_MAX / 8, 0)).is_err());
    }
}
