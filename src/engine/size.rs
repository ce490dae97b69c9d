//! How many bytes the tables have within a range of keys.
//!
//! A bound is a cut between two keys, and a table has an offset for each cut: 0 for one before its keys, its size for
//! one behind them, else the offset of a data block, by its index. The bytes that the table has in value files are spread
//! evenly over its own, so that a cut has its share of them. The size within a range is the distance of two
//! cuts. So the sizes of ranges that follow one another add up, and what is wrong about a cut is less than a block
//! for each table that it goes through.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::sync::Arc;

use super::shared::Shared;
use crate::error::Result;
use crate::key::{SEQNO_MAX, SeqNo};
use crate::version::{KeyBounds, LEVELS, TableHandle};

impl Shared {
    /// The bytes of the tables within `bounds`.
    pub(crate) fn approximate_size(&self, bounds: KeyBounds<'_>) -> Result<u64> {
        self.check_open()?;
        let version = Arc::clone(&self.view().version);
        let mut size = 0;
        for table in (0..LEVELS).flat_map(|level| version.within(level, bounds)) {
            size += size_within(&table, bounds)?;
        }
        Ok(size)
    }
}

fn size_within(table: &TableHandle, (start, end): KeyBounds<'_>) -> Result<u64> {
    let before = match start {
        Bound::Unbounded => 0,
        Bound::Included(key) => offset_of_cut(table, key, SEQNO_MAX)?,
        Bound::Excluded(key) => offset_of_cut(table, key, 0)?,
    };
    let up_to = match end {
        Bound::Unbounded => whole_size(table),
        Bound::Included(key) => offset_of_cut(table, key, 0)?,
        Bound::Excluded(key) => offset_of_cut(table, key, SEQNO_MAX)?,
    };
    Ok(up_to.saturating_sub(before))
}

/// The bytes of a table and of the values that it leads to.
fn whole_size(table: &TableHandle) -> u64 {
    table.meta().size + table.meta().value_bytes()
}

/// The offset of the cut before (`SEQNO_MAX`) or behind (0) the versions of `key`.
fn offset_of_cut(table: &TableHandle, key: &[u8], seqno: SeqNo) -> Result<u64> {
    let meta = table.meta();
    let is_before = key < &meta.smallest[..] || (key == &meta.smallest[..] && seqno == SEQNO_MAX);
    let is_behind = table.ends_before(key) || (key == &meta.largest[..] && seqno == 0);
    if is_before {
        Ok(0)
    } else if is_behind {
        Ok(whole_size(table))
    } else {
        let offset = table.open()?.offset_of(key, seqno)?;
        let values = u128::from(offset) * u128::from(meta.value_bytes()) / u128::from(meta.size.max(1));
        Ok(offset + values as u64)
    }
}
