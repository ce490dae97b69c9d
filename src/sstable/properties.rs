//! What a table says of itself: counts and bounds, for reading, compaction and statistics.
#![forbid(unsafe_code)]

use super::{Damage, Decoded, put_times, take_times};
use crate::coding::{put_prefixed, put_varint, take_prefixed, take_varint};
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SEQNO_MAX, SeqNo};
use crate::range_tombstone::RangeTombstone;
use crate::times::{Times, time_of, union};

/// Counts and bounds of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Properties {
    /// Point entries, tombstones among them.
    pub(crate) entries: u64,
    /// Point tombstones.
    pub(crate) tombstones: u64,
    pub(crate) range_tombstones: u64,
    pub(crate) data_blocks: u64,
    /// The bytes of the user keys and of the values of all point entries, before compression.
    pub(crate) raw_key_bytes: u64,
    pub(crate) raw_value_bytes: u64,
    /// Over point entries and range tombstones.
    pub(crate) seqno_min: SeqNo,
    pub(crate) seqno_max: SeqNo,
    /// Point entries that expire, and the latest moment that one does (0 when none does).
    pub(crate) expiring: u64,
    pub(crate) largest_expiry: u64,
    /// The least and greatest user key of the point entries; `None` when there are only range tombstones.
    pub(crate) point_keys: Option<(Vec<u8>, Vec<u8>)>,
    /// The times of the records among the point entries; `None` without any.
    pub(crate) times: Option<Times>,
}

impl Default for Properties {
    fn default() -> Self {
        Self {
            entries: 0,
            tombstones: 0,
            range_tombstones: 0,
            data_blocks: 0,
            raw_key_bytes: 0,
            raw_value_bytes: 0,
            // Whatever is counted first becomes both bounds.
            seqno_min: SEQNO_MAX,
            seqno_max: 0,
            expiring: 0,
            largest_expiry: NEVER_EXPIRES,
            point_keys: None,
            times: None,
        }
    }
}

impl Properties {
    /// Counts a point entry. Its key as a bound is the caller's to set: it knows the first and the last.
    pub(crate) fn count(&mut self, entry: &EntryRef<'_>) {
        self.entries += 1;
        self.tombstones += u64::from(entry.kind == Kind::Tombstone);
        self.raw_key_bytes += entry.key.len() as u64;
        self.raw_value_bytes += entry.value.len() as u64;
        self.expiring += u64::from(entry.expires_at != NEVER_EXPIRES);
        self.largest_expiry = self.largest_expiry.max(entry.expires_at);
        self.times = union(self.times, time_of(entry.key).map(Times::at));
        self.count_seqno(entry.seqno);
    }

    /// Counts a range tombstone.
    pub(crate) fn count_range_tombstone(&mut self, tombstone: &RangeTombstone) {
        self.range_tombstones += 1;
        self.count_seqno(tombstone.seqno);
    }

    fn count_seqno(&mut self, seqno: SeqNo) {
        self.seqno_min = self.seqno_min.min(seqno);
        self.seqno_max = self.seqno_max.max(seqno);
    }

    /// The payload of the properties block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for value in self.numbers() {
            put_varint(&mut out, value);
        }
        if let Some((smallest, largest)) = &self.point_keys {
            put_prefixed(&mut out, smallest);
            put_prefixed(&mut out, largest);
        }
        if let Some(times) = self.times {
            put_times(&mut out, times);
        }
        out
    }

    fn numbers(&self) -> [u64; 10] {
        [
            self.entries,
            self.tombstones,
            self.range_tombstones,
            self.data_blocks,
            self.raw_key_bytes,
            self.raw_value_bytes,
            self.seqno_min,
            self.seqno_max,
            self.expiring,
            self.largest_expiry,
        ]
    }

    /// Takes the payload of a properties block whose checksum was verified.
    pub(crate) fn decode(mut input: &[u8]) -> Decoded<Self> {
        Self::take(&mut input)
            .filter(|_| input.is_empty())
            .filter(Self::is_consistent)
            .ok_or(Damage("the properties can't be read"))
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let mut properties = Self {
            entries: take_varint(input)?,
            tombstones: take_varint(input)?,
            range_tombstones: take_varint(input)?,
            data_blocks: take_varint(input)?,
            raw_key_bytes: take_varint(input)?,
            raw_value_bytes: take_varint(input)?,
            seqno_min: take_varint(input)?,
            seqno_max: take_varint(input)?,
            expiring: take_varint(input)?,
            largest_expiry: take_varint(input)?,
            point_keys: None,
            times: None,
        };
        if properties.entries > 0 {
            properties.point_keys = Some((take_prefixed(input)?.to_vec(), take_prefixed(input)?.to_vec()));
            if !input.is_empty() {
                properties.times = Some(take_times(input)?);
            }
        }
        Some(properties)
    }

    fn is_consistent(&self) -> bool {
        self.tombstones <= self.entries
            && self.expiring <= self.entries
            && self.data_blocks <= self.entries
            && (self.data_blocks > 0) == (self.entries > 0)
            && self.entries.checked_add(self.range_tombstones).is_some_and(|all| all > 0)
            && self.seqno_min <= self.seqno_max
            && self.seqno_max <= SEQNO_MAX
            && self.point_keys.as_ref().is_none_or(|(smallest, largest)| smallest <= largest)
    }
}
