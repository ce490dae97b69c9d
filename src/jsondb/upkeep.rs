//! Upkeep of the rows of one store: how many bytes they take, and compacting them.
#![forbid(unsafe_code)]

use std::ops::Bound;

use super::rows::{RowRange, document_prefix, expiries_range, indexes_range};
use super::{JsonDb, KeyRange};
use crate::engine::{GoOn, always};
use crate::error::Result;

impl JsonDb {
    /// Compacts the documents of `store` with primary keys in `range`, and the rows of its indexes where the range is
    /// of every key. See [`Engine::compact_range`](crate::engine::Engine::compact_range).
    ///
    /// # Errors
    ///
    /// `NotFound` for the store, `Closed`, `ReadOnly`, and what the engine gives.
    pub fn compact(&self, store: &str, range: &KeyRange) -> Result<()> {
        self.compact_while(store, range, &always)
    }

    /// As [`JsonDb::compact`], for as long as `go_on` lets it.
    pub(crate) fn compact_while(&self, store: &str, range: &KeyRange, go_on: GoOn<'_>) -> Result<()> {
        let ranges = self.rows_of(store, range)?;
        ranges.iter().try_for_each(|rows| {
            let (start, end) = (Bound::Included(&*rows.start), Bound::Excluded(&*rows.end));
            self.engine().compact_range_while(start, end, go_on)
        })
    }

    /// About how many bytes the documents of `store` with primary keys in `range` take in the files, and the rows of its
    /// indexes too where the range is of every key. See
    /// [`Engine::approximate_size`](crate::engine::Engine::approximate_size).
    ///
    /// # Errors
    ///
    /// `NotFound` for the store, `Closed`, and what the engine gives.
    pub fn approximate_size(&self, store: &str, range: &KeyRange) -> Result<u64> {
        let mut size = 0;
        for rows in self.rows_of(store, range)? {
            size +=
                self.engine().approximate_size(Bound::Included(&rows.start), Bound::Excluded(&rows.end))?;
        }
        Ok(size)
    }

    fn rows_of(&self, store: &str, range: &KeyRange) -> Result<Vec<RowRange>> {
        let id = self.database()?.schema().store(store)?.id;
        let mut ranges = vec![RowRange::keys(&document_prefix(id), range)];
        if *range == KeyRange::all() {
            ranges.push(indexes_range(id));
            ranges.push(expiries_range(id));
        }
        ranges.retain(|rows| !rows.is_empty());
        Ok(ranges)
    }
}
