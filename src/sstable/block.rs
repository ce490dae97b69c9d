//! Data blocks: entries in internal order with prefix-compressed user keys, and restart points to search them.
//!
//! Invariant: `shared` of an entry is the whole common prefix of its key with the key before it, except at a restart
//! point, where it is 0. So a search can order an entry against the wanted key without building the entry's key.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering as AtomicOrdering};

use super::directory::{Directory, Located};
use super::{Damage, Decoded};
use crate::coding::{put_varint, take_u32, take_varint, varint_len};
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SEQNO_MAX, SeqNo};

/// Every so many entries a key is stored whole, so that a search can begin there.
pub(crate) const RESTART_INTERVAL: usize = 16;

/// The bits of the flags byte that hold the kind.
const KIND_MASK: u8 = 0b1011;
/// The flag of an entry that carries an expiry.
const EXPIRES: u8 = 0b0100;

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

/// Where the parts of one entry lie in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The offset of the entry.
    pub(crate) at: usize,
    /// How many bytes of its key are those of the key before it.
    pub(crate) shared: usize,
    /// The offset of the rest of its key.
    suffix: usize,
    /// The offset of its value.
    value: usize,
    /// The offset of the entry behind it.
    pub(crate) end: usize,
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
    pub(crate) expires_at: u64,
}

/// A verified data block in memory.
pub(crate) struct DataBlock {
    payload: Vec<u8>,
    /// Where the entries end and the restart points begin.
    entries_end: usize,
    restarts: usize,
    searched: AtomicBool,
    directory: OnceLock<Directory>,
}

impl DataBlock {
    /// Takes a payload whose checksum was verified, and checks its restart points.
    pub(crate) fn new(payload: Vec<u8>) -> Decoded<Self> {
        const DAMAGE: Damage = Damage("the restart points are damaged");
        let (body, mut count) =
            payload.split_last_chunk::<U32_BYTES>().map(|(b, c)| (b, &c[..])).ok_or(DAMAGE)?;
        let restarts = take_u32(&mut count).ok_or(DAMAGE)? as usize;
        let entries_end =
            restarts.checked_mul(U32_BYTES).and_then(|len| body.len().checked_sub(len)).ok_or(DAMAGE)?;
        let block = Self {
            payload,
            entries_end,
            restarts,
            searched: AtomicBool::new(false),
            directory: OnceLock::new(),
        };
        let mut least = 0;
        for index in 0..restarts {
            let at = block.restart(index)?;
            if at < least || at >= entries_end || (index == 0 && at != 0) {
                return Err(DAMAGE);
            }
            least = at + 1;
        }
        if restarts == 0 {
            return Err(DAMAGE);
        }
        Ok(block)
    }

    /// The bytes of memory that the block takes, or will take once it has a directory.
    pub(crate) fn charge(&self) -> usize {
        self.payload.capacity()
            + self.restarts * RESTART_INTERVAL * Directory::ENTRY_BYTES
            + size_of::<Self>()
    }

    /// Where the entries end.
    pub(crate) fn entries_end(&self) -> usize {
        self.entries_end
    }

    /// The offset of the last restart point before `at`, if there is an entry before `at`.
    pub(crate) fn restart_before(&self, at: usize) -> Decoded<Option<usize>> {
        let index = self.partition_restarts(|_, restart| Ok(restart < at))?;
        index.checked_sub(1).map(|index| self.restart(index)).transpose()
    }

    /// The entry at the offset `at`.
    pub(crate) fn slot(&self, at: usize) -> Decoded<Slot> {
        self.decode(at).ok_or(Damage("an entry is damaged"))
    }

    /// The part of the entry's key that it doesn't share with the key before it.
    pub(crate) fn suffix(&self, slot: &Slot) -> &[u8] {
        self.payload.get(slot.suffix..slot.value).unwrap_or_default()
    }

    /// The entry's value.
    pub(crate) fn value(&self, slot: &Slot) -> &[u8] {
        self.payload.get(slot.value..slot.end).unwrap_or_default()
    }

    /// The entry of `key` itself that is the first at or after `(key, seqno)`.
    pub(crate) fn get(&self, key: &[u8], seqno: SeqNo) -> Decoded<Option<Slot>> {
        let found = match self.directory().map(|directory| directory.locate(key)) {
            Some(Located::At(_) | Located::End) => None,
            Some(Located::Candidate(at)) => self.find_from(at as usize, key, seqno)?,
            Some(Located::Unknown) | None => self.find_by_restarts(key, seqno)?,
        };
        Ok(found.filter(|slot| key.get(slot.shared..) == Some(self.suffix(slot))))
    }

    /// The first entry at or after `(key, seqno)`. The first `shared` bytes of its key are those of `key`.
    pub(crate) fn find(&self, key: &[u8], seqno: SeqNo) -> Decoded<Option<Slot>> {
        match self.directory().map(|directory| directory.locate(key)) {
            Some(Located::At(at)) => self.slot(at as usize).map(Some),
            Some(Located::Candidate(at)) => self.find_from(at as usize, key, seqno),
            Some(Located::End) => Ok(None),
            Some(Located::Unknown) | None => self.find_by_restarts(key, seqno),
        }
    }

    fn find_by_restarts(&self, key: &[u8], seqno: SeqNo) -> Decoded<Option<Slot>> {
        let below = self.partition_restarts(|block, restart| {
            let slot = block.slot(restart)?;
            Ok(block.suffix(&slot).cmp(key).then(seqno.cmp(&slot.seqno)) == Ordering::Less)
        })?;
        self.scan(self.restart(below.saturating_sub(1))?, 0, key, seqno)
    }

    /// As `find`, where the entry at `at` is the first whose head is that of `key`. The entry before it has a lesser
    /// head, so that what the two entries share ends within the head, and `key` shares it too.
    fn find_from(&self, at: usize, key: &[u8], seqno: SeqNo) -> Decoded<Option<Slot>> {
        self.scan(at, self.slot(at)?.shared, key, seqno)
    }

    /// The first entry from `at` on that is at or after `(key, seqno)`. The key before `at` begins with at least the
    /// first `matched` bytes of `key` if the entry at `at` shares any.
    fn scan(&self, mut at: usize, mut matched: usize, key: &[u8], seqno: SeqNo) -> Decoded<Option<Slot>> {
        while at < self.entries_end {
            let slot = self.slot(at)?;
            if slot.shared == 0 {
                // The key is whole, as it is at a restart point: `shared` says nothing about the key before.
                matched = 0;
            }
            if slot.shared < matched {
                // It differs from the entry before it, upwards, where that entry still equals `key`.
                return Ok(Some(slot));
            }
            if slot.shared == matched {
                let (suffix, rest) = (self.suffix(&slot), key.get(matched..).unwrap_or_default());
                let common = common_prefix_len(suffix, rest);
                let order = suffix[common..].cmp(&rest[common..]).then(seqno.cmp(&slot.seqno));
                if order != Ordering::Less {
                    return Ok(Some(slot));
                }
                matched += common;
            }
            // Else it differs from `key` where the entry before it does, downwards.
            at = slot.end;
        }
        Ok(None)
    }

    /// The directory, from the second search on: a block that is searched once and then dropped never pays for it.
    fn directory(&self) -> Option<&Directory> {
        if !self.searched.load(AtomicOrdering::Relaxed) {
            self.searched.store(true, AtomicOrdering::Relaxed);
            return None;
        }
        Some(self.directory.get_or_init(|| Directory::of(self).unwrap_or_default()))
    }

    /// How many restart points come before the first for which `is_before` is false.
    fn partition_restarts(&self, is_before: impl Fn(&Self, usize) -> Decoded<bool>) -> Decoded<usize> {
        let (mut low, mut high) = (0, self.restarts);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self, self.restart(middle)?)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn restart(&self, index: usize) -> Decoded<usize> {
        let mut bytes = self.payload.get(self.entries_end + index * U32_BYTES..).unwrap_or_default();
        take_u32(&mut bytes).map(|at| at as usize).ok_or(Damage("the restart points are damaged"))
    }

    fn decode(&self, at: usize) -> Option<Slot> {
        let entries = self.payload.get(..self.entries_end)?;
        let mut input = entries.get(at..)?;
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
        let suffix = self.entries_end - input.len();
        let value = suffix.checked_add(unshared)?;
        let end = value.checked_add(value_len).filter(|&end| end <= self.entries_end)?;
        Some(Slot { at, shared, suffix, value, end, seqno, kind, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::compare_internal;
    use crate::sstable::testing::{Random, Row};

    fn payload_of(rows: &[Row]) -> Vec<u8> {
        let mut builder = DataBlockBuilder::default();
        let mut last: &[u8] = b"";
        for row in rows {
            let most = builder.len_with(&row.entry());
            builder.add(last, &row.entry());
            assert!(builder.len() <= most, "the estimate was too low");
            last = &row.key;
        }
        builder.finish().to_vec()
    }

    /// The first search of a block goes by its restart points, all others by its directory.
    fn check_searches(payload: &[u8], rows: &[Row], key: &[u8], seqno: SeqNo) {
        let wanted = rows
            .iter()
            .position(|row| compare_internal((&row.key, row.seqno), (key, seqno)) != Ordering::Less);
        let block = DataBlock::new(payload.to_vec()).unwrap();
        for search in 0..3 {
            let found = block.find(key, seqno).unwrap();
            let value = found.as_ref().map(|slot| block.value(slot));
            let expected = wanted.map(|at| &rows[at].value[..]);
            assert_eq!(value, expected, "search {search} for {key:?} at {seqno}");
            if let Some(slot) = found {
                let whole = [&key[..slot.shared], block.suffix(&slot)].concat();
                assert_eq!(Some(&whole), wanted.map(|at| &rows[at].key), "search {search} for {key:?}");
            }
            let same = block.get(key, seqno).unwrap().map(|slot| block.value(&slot).to_vec());
            let expected = wanted.filter(|&at| rows[at].key == key).map(|at| rows[at].value.clone());
            assert_eq!(same, expected, "get {search} of {key:?} at {seqno}");
        }
    }

    /// Keys that share far more than a directory knows of them, and many versions of each.
    #[test]
    fn both_ways_of_searching_find_the_same_entry() {
        let mut random = Random::from_env();
        for round in 0..60 {
            let prefix = vec![b'p'; [0, 1, 7, 9, 300][round % 5]];
            let mut keys: Vec<(Vec<u8>, SeqNo)> = (0..1 + random.below(60))
                .map(|_| {
                    let middle = [&b""[..], b"middle", b"middle of the key"][random.below(3) as usize];
                    ([&prefix[..], middle, &random.key(3), &random.key(12)].concat(), random.below(9))
                })
                .collect();
            keys.sort_by(|a, b| compare_internal((&a.0, a.1), (&b.0, b.1)));
            keys.dedup();
            let rows: Vec<Row> = keys
                .iter()
                .map(|(key, seqno)| Row::value(&key[..], *seqno, format!("{key:?}{seqno}")))
                .collect();
            let payload = payload_of(&rows);
            for (key, _) in &keys {
                for seqno in [0, 4, 8, SEQNO_MAX] {
                    check_searches(&payload, &rows, key, seqno);
                }
                check_searches(&payload, &rows, &[key, &b"\0"[..]].concat(), 3);
                check_searches(&payload, &rows, &key[..key.len() / 2], 3);
            }
            check_searches(&payload, &rows, b"", 3);
            check_searches(&payload, &rows, b"\xff", 3);
        }
    }

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
            DataBlock::new(payload).is_ok()
        };

        assert!(with(at, 0));
        assert!(!with(at, 1), "the first entry is not a restart point");
        assert!(!with(at + 8, 5), "the restart points don't ascend");
        assert!(!with(at + 8, at as u32), "a restart point is beyond the entries");
        assert!(!with(at + 12, 0), "there are none");
        assert!(!with(at + 12, u32::MAX), "there are more than the payload holds");
        for len in 0..8 {
            assert!(DataBlock::new(vec![0; len]).is_err());
        }
    }
}
