//! Sorted tables: immutable files of entries in internal order, written once and never changed.
//!
//! A table is data blocks, index partitions over them, filter pages, range tombstones, a top index over the
//! partitions, properties and a footer, in this order (docs/format/tables.md has every byte). Invariant: every
//! byte that a reader acts on has been verified by a checksum that is bound to the file's number and the byte's
//! offset, so that a stale, misplaced or damaged block gives `Corruption` and never a wrong answer.
//!
//! [`TableWriter`] makes a table from entries in order (flush and compaction); [`Table`] reads one, its blocks
//! held by the [`BlockCache`] that all tables share; [`TableIterator`] walks one in both directions.
#![forbid(unsafe_code)]

mod block;
mod cache;
mod data_block;
mod expiry;
mod filter;
mod footer;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod index;
mod iterator;
mod pins;
mod properties;
mod readahead;
mod reader;
mod salvage;
mod spots;
mod verify;
mod writer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use cache::BlockCache;
pub(crate) use iterator::TableIterator;
pub(crate) use properties::Properties;
pub(crate) use reader::{Near, Table, TableEntry};
pub(crate) use salvage::Salvage;
pub(crate) use writer::{TableOptions, TableSummary, TableWriter};

use crate::coding::{put_varint, take_varint};
use crate::frame;
pub(crate) use crate::frame::{Damage, Decoded, Effort};
use crate::times::Times;

/// Where a block lies: its offset in the file, and its length there with its trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Handle {
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl Handle {
    /// The offset of the first byte behind the block.
    pub(crate) fn end(self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }
}

/// Appends a span of time that is not empty: its first moment, zigzag, and how far the last one is from that.
fn put_times(out: &mut Vec<u8>, times: Times) {
    let zigzag = ((times.first << 1) ^ (times.first >> 63)) as u64;
    put_varint(out, zigzag);
    put_varint(out, times.last.wrapping_sub(times.first) as u64);
}

/// Takes a span of time.
fn take_times(input: &mut &[u8]) -> Option<Times> {
    let zigzag = take_varint(input)?;
    let first = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    let last = first.checked_add_unsigned(take_varint(input)?)?;
    Some(Times { first, last })
}
