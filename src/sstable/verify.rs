//! Reads a whole table and checks everything that its format promises.
//!
//! Checksums show what the disk did; this also shows what a defective writer or memory did before the checksum was
//! made: entries out of order, keys that their index or filter would not find, counts that are not true.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::sync::Arc;

use super::cache::{Block, BlockCache};
use super::data_block::DataBlock;
use super::filter::{FilterPage, PAGE_LINES, line_of};
use super::index::IndexEntry;
use super::reader::{Role, Table, as_data, as_index};
use super::{Damage, Decoded, Properties};
use crate::error::Result;
use crate::key::{EntryRef, SeqNo, compare_internal, hash_key};
use crate::times::{Times, time_of, union};

const ORDER: Damage = Damage("its entries are out of order");
const SEARCH: Damage = Damage("it has an entry that a search doesn't find");
const SEPARATOR: Damage = Damage("its entries are not where the index above puts them");
const FILTER: Damage = Damage("it has a key that the filter denies");
const TIMES: Damage = Damage("its records are not of the times that the index above gives them");
const GAP: Damage = Damage("it doesn't follow the block before it");
const COUNTS: Damage = Damage("they don't agree with the entries");

impl Table {
    /// Reads every block from the file, around the cache, and checks it against all others.
    ///
    /// # Errors
    ///
    /// `Corruption` that names the first part found wrong, `Io` from the file.
    pub(crate) fn verify(&self) -> Result<()> {
        self.verify_while(&|| Ok(()))
    }

    /// As [`Table::verify`]; ends with the first error that `go_on` gives, which is asked often.
    pub(crate) fn verify_while(&self, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        let uncached = Arc::new(BlockCache::new(0));
        let table = Self::open(Arc::clone(self.file()), self.number(), self.size(), uncached)?;
        let filter = read_filter(&table)?;
        let mut walk = Walk {
            table: &table,
            filter,
            counted: Properties::default(),
            last: Position::default(),
            separator: None,
            data_end: 0,
            partitions: None,
        };
        let top = table.top_index()?;
        let damaged = |damage| table.damaged(damage, Role::TopIndex, table.footer().top_index);
        let mut at = 0;
        while let Some(entry) = top.entry(at).map_err(damaged)? {
            go_on()?;
            walk.partition(&entry, top.times(at).map_err(damaged)?)?;
            at += 1;
        }
        walk.finish()
    }
}

fn read_filter(table: &Table) -> Result<Vec<Arc<FilterPage>>> {
    let place = table.footer().filter;
    let mut pages = Vec::new();
    for page in 0..place.pages() {
        let (handle, lines) = place.page(page);
        if let Block::Filter(page) = table.read(handle, Role::FilterPage(lines))? {
            pages.push(page);
        }
    }
    Ok(pages)
}

/// A place in internal order.
#[derive(Default)]
struct Position {
    key: Vec<u8>,
    seqno: SeqNo,
}

impl Position {
    fn compare(&self, key: &[u8], seqno: SeqNo) -> Ordering {
        compare_internal((&self.key, self.seqno), (key, seqno))
    }

    fn set(&mut self, key: &[u8], seqno: SeqNo) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.seqno = seqno;
    }
}

/// What has been seen on the way through a table.
struct Walk<'a> {
    table: &'a Table,
    filter: Vec<Arc<FilterPage>>,
    counted: Properties,
    /// The last entry, once one has been counted.
    last: Position,
    /// The separator behind the last block.
    separator: Option<Position>,
    /// Where the data blocks seen so far end.
    data_end: u64,
    /// Where the partitions seen so far begin and end.
    partitions: Option<(u64, u64)>,
}

impl Walk<'_> {
    fn partition(&mut self, above: &IndexEntry<'_>, stated: Option<Times>) -> Result<()> {
        let table = self.table;
        let damaged = |damage| table.damaged(damage, Role::IndexPartition, above.handle);
        let (start, end) = self.partitions.unwrap_or((above.handle.offset, above.handle.offset));
        if end != above.handle.offset {
            return Err(damaged(GAP));
        }
        self.partitions = Some((start, above.handle.end()));
        let block = table.read(above.handle, Role::IndexPartition)?;
        let partition = as_index(&block)?;
        let (mut at, mut last, mut times) = (0, None, None);
        while let Some(entry) = partition.entry(at).map_err(damaged)? {
            let below = partition.times(at).map_err(damaged)?;
            self.data_block(&entry, below)?;
            times = union(times, below);
            last = Some((entry.key, entry.seqno));
            at += 1;
        }
        if times != stated {
            return Err(damaged(TIMES));
        }
        if last == Some((above.key, above.seqno)) { Ok(()) } else { Err(damaged(SEPARATOR)) }
    }

    fn data_block(&mut self, above: &IndexEntry<'_>, stated: Option<Times>) -> Result<()> {
        let table = self.table;
        let damaged = |damage| table.damaged(damage, Role::Data, above.handle);
        if self.data_end != above.handle.offset {
            return Err(damaged(GAP));
        }
        self.data_end = above.handle.end();
        self.counted.data_blocks += 1;
        let block = table.read(above.handle, Role::Data)?;
        let block = as_data(&block)?;
        let mut times = None;
        for index in 0..block.len() {
            let entry = block.entry(index);
            times = union(times, time_of(entry.key).map(Times::at));
            self.entry(&entry, index, block).map_err(damaged)?;
        }
        if times != stated {
            return Err(damaged(TIMES));
        }
        if self.last.compare(above.key, above.seqno) == Ordering::Greater {
            return Err(damaged(SEPARATOR));
        }
        self.separator.get_or_insert_default().set(above.key, above.seqno);
        Ok(())
    }

    fn entry(&mut self, entry: &EntryRef<'_>, index: usize, block: &DataBlock) -> Decoded<()> {
        let (key, seqno) = (entry.key, entry.seqno);
        if self.counted.entries > 0 && self.last.compare(key, seqno) != Ordering::Less {
            return Err(ORDER);
        }
        if self.separator.as_ref().is_some_and(|separator| separator.compare(key, seqno) != Ordering::Less) {
            return Err(SEPARATOR);
        }
        if block.find(key, seqno) != index || block.get(key, seqno) != Some(index) {
            return Err(SEARCH);
        }
        if !self.passes_filter(hash_key(key)) {
            return Err(FILTER);
        }
        match &mut self.counted.point_keys {
            None => self.counted.point_keys = Some((key.to_vec(), key.to_vec())),
            Some((_, largest)) => {
                largest.clear();
                largest.extend_from_slice(key);
            }
        }
        self.counted.count(entry);
        self.last.set(key, seqno);
        Ok(())
    }

    fn passes_filter(&self, hash: u64) -> bool {
        let place = self.table.footer().filter;
        let line = line_of(hash, place.lines);
        match self.filter.get(line / PAGE_LINES) {
            Some(page) => page.may_contain(line % PAGE_LINES, hash, place.probes),
            None => place.lines == 0,
        }
    }

    /// Checks what only the end can tell: that the parts leave no gap, and the properties.
    fn finish(mut self) -> Result<()> {
        let footer = self.table.footer();
        let (start, end) = self.partitions.unwrap_or((0, 0));
        if start != self.data_end || end != footer.filter.offset {
            return Err(self.table.damaged(GAP, Role::TopIndex, footer.top_index));
        }
        for tombstone in self.table.range_tombstones().tombstones() {
            self.counted.count_range_tombstone(&tombstone);
        }
        let stated = self.table.properties();
        // The tombstones are held in fragments, of which there may be more or fewer; opening compared their count.
        self.counted.range_tombstones = stated.range_tombstones;
        if self.counted != *stated {
            return Err(COUNTS.at(self.table.file().path(), "the properties", footer.properties.offset));
        }
        Ok(())
    }
}
