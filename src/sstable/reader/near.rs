//! Coming near to what lookups will read: the way to it is gone step by step for many keys at once, and each step lets the
//! processor fetch what the next one reads, so that the waits for memory of many keys are one.
//!
//! Invariant: nothing is decided here. Who isn't near a key, because something on the way is not held in memory, looks it
//! up as ever.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use super::{Table, TableEntry, found_in};
use crate::error::Result;
use crate::key::SeqNo;
use crate::sstable::data_block::DataBlock;
use crate::sstable::filter::{self, FilterPage, PAGE_LINES};
use crate::sstable::spots::Spots;

/// The spot of the only block of a table that may hold what is wanted, and then that block.
pub(crate) struct Near<'a> {
    table: &'a Table,
    spots: &'a Spots,
    at: usize,
    block: Option<DataBlock>,
}

impl Table {
    /// Fetches what tells whether a key of this [`crate::key::hash_key`] may be here.
    #[inline]
    pub(crate) fn fetch_filter(&self, hash: u64) {
        if let Some((page, line)) = self.pinned_line(hash) {
            page.fetch(line);
        }
    }

    /// Goes as far as the spot, which is fetched; `None` where the key isn't here or a part of the way is not pinned.
    pub(crate) fn approach(&self, key: &[u8], hash: u64, seqno: SeqNo) -> Option<Near<'_>> {
        let (smallest, largest) = self.properties.point_keys.as_ref()?;
        if key < &smallest[..] || key > &largest[..] {
            return None;
        }
        let (page, line) = self.pinned_line(hash)?;
        if !page.may_contain(line, hash, self.footer.filter.probes) {
            return None;
        }
        let at = self.pinned_top.as_ref()?.find(key, seqno).ok()?;
        let partition = self.partitions.get(at).and_then(OnceLock::get)?;
        let (at, spots) = (partition.find(key, seqno).ok()?, partition.spots()?);
        spots.fetch(at);
        Some(Near { table: self, spots, at, block: None })
    }

    fn pinned_line(&self, hash: u64) -> Option<(&FilterPage, usize)> {
        let lines = self.footer.filter.lines;
        if lines == 0 {
            return None;
        }
        let line = filter::line_of(hash, lines);
        let page = self.filter_pages.get(line / PAGE_LINES)?.get()?;
        Some((page, line % PAGE_LINES))
    }
}

impl Near<'_> {
    /// The second step, when the spot has come: fetches the beginning of its block.
    #[inline]
    pub(crate) fn fetch_block(&self) {
        self.spots.fetch_block(self.at);
    }

    /// The third step, when that has come: takes the block, and fetches the entry.
    #[inline]
    pub(crate) fn fetch_entry(&mut self, key: &[u8]) {
        self.block = self.table.cache.at_spot(self.spots, self.at);
        if let Some(block) = &self.block {
            block.fetch_entry(key);
        }
    }

    /// Whether this is near a key in `table`.
    #[inline]
    pub(crate) fn is_in(&self, table: &Table) -> bool {
        std::ptr::eq(self.table, table)
    }

    /// The last step: as [`Table::get`].
    pub(crate) fn get(self, key: &[u8], hash: u64, seqno: SeqNo) -> Result<Option<TableEntry>> {
        match self.block {
            Some(block) => Ok(found_in(block, key, seqno)),
            None => self.table.get(key, hash, seqno),
        }
    }
}
