//! The range tombstones of a level below 0, table by table: each is opened when somebody comes to its keys.
//!
//! A table holds the part of each tombstone that lies within its span, and the spans of a level are disjoint. So the
//! tombstones of one table are all that the level says of the keys from the table's first to the next table's first.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{TableHandle, Version};
use crate::error::Result;
use crate::iter::{Stretch, TombstoneSource};

/// The range tombstones of one level.
pub(crate) struct LevelTombstones {
    version: Arc<Version>,
    level: usize,
}

impl LevelTombstones {
    /// Those of a level of `version` below 0.
    pub(crate) fn new(version: Arc<Version>, level: usize) -> Self {
        Self { version, level }
    }
}

impl TombstoneSource for LevelTombstones {
    fn around(&mut self, key: &[u8]) -> Result<Stretch> {
        let tables = self.version.level(self.level);
        let smallest = |table: &Arc<TableHandle>| table.meta().smallest.clone();
        let behind = tables.partition_point(|table| table.meta().smallest.as_slice() <= key);
        let to = tables.get(behind).map(smallest);
        let table = behind.checked_sub(1).map(|at| &tables[at]);
        if let Some(table) = table.filter(|table| table.ends_before(key)) {
            // Behind the table's end, where it says nothing: it need not be opened for that.
            return Ok(Stretch { from: end_of(table), to, tombstones: None });
        }
        let tombstones = match table.filter(|table| table.meta().range_tombstones > 0) {
            Some(table) => Some(Arc::clone(table.open()?.range_tombstones())),
            None => None,
        };
        Ok(Stretch { from: table.map(smallest).unwrap_or_default(), to, tombstones })
    }
}

/// The first key behind the table.
fn end_of(table: &TableHandle) -> Vec<u8> {
    let mut end = table.meta().largest.clone();
    if !table.meta().largest_is_exclusive {
        end.push(0);
    }
    end
}
