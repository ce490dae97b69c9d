//! Data blocks: entries in internal order with prefix-compressed user keys, and restart points to search them.
//!
//! Invariant: `shared` of an entry is the whole common prefix of its key with the key before it, except at a restart
//! point, where it is 0. So a search can order an entry against the wanted key without building the entry's key.
#![forbid(unsafe_code)]

use std::cmp::Ordering;

use super::{Damage, Decoded};
use crate::coding::{put_varint, take_u32, take_varint, varint_len};
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SEQNO_MAX, SeqNo};

/// Every so many entries a key is stored whole, so that a search can begin there.
pub(crate) const RESTART_INTERVAL: usize = 16;

/// The bits of the flags byte that hold the kind.
const KIND_MASK: u8 = 0b0011;
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
        let block = Self { entries_end, restarts, payload };
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

    /// The bytes of memory that the block takes.
    pub(crate) fn charge(&self) -> usize {
        self.payload.capacity() + size_of::<Self>()
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

    /// The first entry at or after `(key, seqno)`. The first `shared` bytes of its key are those of `key`.
    pub(crate) fn find(&self, key: &[u8], seqno: SeqNo) -> Decoded<Option<Slot>> {
        let below = self.partition_restarts(|block, restart| {
            let slot = block.slot(restart)?;
            Ok(block.suffix(&slot).cmp(key).then(seqno.cmp(&slot.seqno)) == Ordering::Less)
        })?;
        let stop = if below < self.restarts { self.restart(below)? } else { self.entries_end };
        let mut at = if below == 0 { stop } else { self.restart(below - 1)? };
        // How many bytes of `key` the entry before `at` begins with.
        let mut matched = 0;
        while at < stop {
            let slot = self.slot(at)?;
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
        if at < self.entries_end { self.slot(at).map(Some) } else { Ok(None) }
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
        let shared = take_short(&mut input)? as usize;
        let unshared = take_short(&mut input)? as usize;
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
        let value_len = usize::try_from(take_short(&mut input)?).ok()?;
        let suffix = self.entries_end - input.len();
        let value = suffix.checked_add(unshared)?;
        let end = value.checked_add(value_len).filter(|&end| end <= self.entries_end)?;
        Some(Slot { at, shared, suffix, value, end, seqno, kind, expires_at })
    }
}

/// Takes a varint that mostly has one byte.
#[inline]
fn take_short(input: &mut &[u8]) -> Option<u64> {
    match input.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *input = rest;
            Some(u64::from(byte))
        }
        _ => take_varint(input),
    }
}
