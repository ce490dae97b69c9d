//! Versions: which tables and value files make up the database at one moment.
//!
//! A version is immutable and shared; a reader holds one and sees its tables for as long as it likes. An edit makes
//! the next version. A table's file goes when it has been marked obsolete and no version holds it any more; so does a
//! value file, which leaves with the edit that takes the last table that led to it.
//! Level 0 holds tables as they were flushed, newest first, and they may overlap; in each deeper level the tables
//! are in key order and don't.
#![forbid(unsafe_code)]

mod edit;
mod file_name;
mod foreign;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod iterator;
mod manifest;
mod table_handle;
mod tombstones;
mod value_file_handle;
mod value_set;

use std::ops::Bound;
use std::sync::Arc;

use crate::error::{Code, Error, Result};

pub(crate) use edit::{CleanEnd, Garbage, TableMeta, ValueFileMeta, ValueShare, VersionEdit};
pub(crate) use file_name::{FileKind, current_path, lock_path, log_path, parse, table_path, values_path};
pub(crate) use iterator::LevelIterator;
pub(crate) use manifest::{Manifest, ManifestLoss};
pub(crate) use table_handle::{TableHandle, TableSource};
pub(crate) use tombstones::LevelTombstones;
pub(crate) use value_file_handle::ValueFileHandle;
pub(crate) use value_set::ValueSet;

/// How many levels there are. Each holds ten times the one above, so that seven are enough for any disk.
pub(crate) const LEVELS: usize = 7;

/// The tables of the database at one moment.
#[derive(Default)]
pub(crate) struct Version {
    levels: [Vec<Arc<TableHandle>>; LEVELS],
    values: ValueSet,
    /// Whether any table of a level has range tombstones, or any table entries that expire, so that scans need not ask.
    has_range_tombstones: [bool; LEVELS],
    has_expiring: bool,
}

impl Version {
    /// The tables of `level`: for level 0 the newest first, for deeper levels in key order.
    pub(crate) fn level(&self, level: usize) -> &[Arc<TableHandle>] {
        &self.levels[level]
    }

    /// The value files that the tables lead to.
    pub(crate) fn values(&self) -> &ValueSet {
        &self.values
    }

    /// Every table with its level.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (usize, &Arc<TableHandle>)> {
        self.levels
            .iter()
            .enumerate()
            .flat_map(|(level, tables)| tables.iter().map(move |table| (level, table)))
    }

    /// The bytes of all tables of `level`.
    pub(crate) fn level_bytes(&self, level: usize) -> u64 {
        self.levels[level].iter().map(|table| table.meta().size).fold(0, u64::saturating_add)
    }

    /// The version after `edit`. Tables that the edit removes are not marked obsolete here: that has to wait
    /// until the edit is durable.
    pub(crate) fn apply(&self, edit: &VersionEdit, source: &Arc<TableSource>) -> Result<Version> {
        let (mut levels, mut values) = (self.levels.clone(), self.values.clone());
        for &meta in &edit.values_added {
            values.add(meta, source)?;
        }
        for &(level, number) in &edit.removed {
            let tables = level_of(&mut levels, level)?;
            let Some(at) = tables.iter().position(|table| table.meta().number == number) else {
                let message =
                    format!("a version edit removes table {number} from level {level}, where it is not");
                return Err(Error::new(Code::Corruption, message));
            };
            values.discount(tables.remove(at).meta());
        }
        for (level, meta) in &edit.added {
            let moved = self.tables().find(|(_, table)| table.meta().number == meta.number);
            let handle = match moved {
                Some((_, table)) => Arc::clone(table),
                None => Arc::new(TableHandle::new(meta.clone(), Arc::clone(source))),
            };
            values.count(handle.meta(), source)?;
            level_of(&mut levels, *level)?.push(handle);
        }
        values.drop_dead();
        levels[0].sort_by_key(|table| std::cmp::Reverse((table.meta().seqno_max, table.meta().number)));
        for tables in &mut levels[1..] {
            tables.sort_by(|a, b| a.meta().smallest.cmp(&b.meta().smallest));
        }
        let any = |is: fn(&TableMeta) -> bool| levels.iter().flatten().any(|table| is(table.meta()));
        let has_range_tombstones =
            std::array::from_fn(|level| levels[level].iter().any(|table| table.meta().range_tombstones > 0));
        let has_expiring = any(|meta| meta.largest_expiry > 0);
        let version = Version { levels, values, has_range_tombstones, has_expiring };
        version.check_order()?;
        Ok(version)
    }

    fn check_order(&self) -> Result<()> {
        for (level, tables) in self.levels.iter().enumerate().skip(1) {
            for pair in tables.windows(2) {
                if !pair[0].ends_before(&pair[1].meta().smallest) {
                    let (a, b) = (pair[0].meta().number, pair[1].meta().number);
                    let message = format!("tables {a} and {b} of level {level} overlap");
                    return Err(Error::new(Code::Corruption, message));
                }
            }
        }
        Ok(())
    }

    /// The tables that may hold `key`, newest data first.
    pub(crate) fn tables_with<'a>(&'a self, key: &[u8]) -> impl Iterator<Item = &'a Arc<TableHandle>> {
        let flushed = self.levels[0].iter().filter(move |table| table.may_hold(key));
        let deeper = self.levels[1..].iter().filter_map(move |tables| {
            let index = tables.partition_point(|table| table.ends_before(key));
            tables.get(index).filter(|table| table.may_hold(key))
        });
        flushed.chain(deeper)
    }

    /// The tables of `level` that may hold keys from `smallest` to `largest`.
    pub(crate) fn overlapping(&self, level: usize, range: &KeySpan) -> Vec<Arc<TableHandle>> {
        let tables = &self.levels[level];
        if level == 0 {
            return tables.iter().filter(|table| range.overlaps(&table.span())).cloned().collect();
        }
        let first = tables.partition_point(|table| table.ends_before(&range.smallest));
        let overlapping =
            tables[first..].iter().take_while(|table| !range.ends_before(&table.meta().smallest));
        overlapping.cloned().collect()
    }

    /// The tables of `level` that may hold keys within `bounds`, in the order of the level.
    pub(crate) fn within(&self, level: usize, bounds: KeyBounds<'_>) -> Vec<Arc<TableHandle>> {
        let tables = &self.levels[level];
        let (start, end) = bounds;
        if level == 0 {
            let touches = |table: &&Arc<TableHandle>| !table.is_below(start) && !table.is_above(end);
            return tables.iter().filter(touches).cloned().collect();
        }
        let first = tables.partition_point(|table| table.is_below(start));
        let behind = tables.partition_point(|table| !table.is_above(end));
        tables.get(first..behind).unwrap_or_default().to_vec()
    }

    /// Whether any table has entries that expire.
    pub(crate) fn has_expiring(&self) -> bool {
        self.has_expiring
    }

    /// Whether any table of `level` has range tombstones.
    pub(crate) fn has_range_tombstones(&self, level: usize) -> bool {
        self.has_range_tombstones[level]
    }
}

fn level_of(levels: &mut [Vec<Arc<TableHandle>>; LEVELS], level: u8) -> Result<&mut Vec<Arc<TableHandle>>> {
    levels.get_mut(usize::from(level)).ok_or_else(|| {
        Error::new(
            Code::Corruption,
            format!("a version edit names level {level}: the deepest is {}", LEVELS - 1),
        )
    })
}

/// Where a range of keys begins and ends.
pub(crate) type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys from `smallest` (inclusive) to `largest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySpan {
    pub(crate) smallest: Vec<u8>,
    pub(crate) largest: Vec<u8>,
    /// Set where `largest` is the exclusive end of a range tombstone.
    pub(crate) largest_is_exclusive: bool,
}

impl KeySpan {
    /// Whether every key of the span is below `key`.
    pub(crate) fn ends_before(&self, key: &[u8]) -> bool {
        if self.largest_is_exclusive { self.largest.as_slice() <= key } else { self.largest.as_slice() < key }
    }

    /// Whether the spans have a key in common.
    pub(crate) fn overlaps(&self, other: &KeySpan) -> bool {
        !self.ends_before(&other.smallest) && !other.ends_before(&self.smallest)
    }

    /// The smallest span that holds both.
    pub(crate) fn union(mut self, other: &KeySpan) -> KeySpan {
        if other.smallest < self.smallest {
            self.smallest.clone_from(&other.smallest);
        }
        // At equal keys the inclusive end reaches further.
        if (&self.largest, !self.largest_is_exclusive) < (&other.largest, !other.largest_is_exclusive) {
            self.largest.clone_from(&other.largest);
            self.largest_is_exclusive = other.largest_is_exclusive;
        }
        self
    }

    /// The span of all `tables`, or `None` where there are none.
    pub(crate) fn of(tables: &[Arc<TableHandle>]) -> Option<KeySpan> {
        tables.iter().map(|table| table.span()).reduce(|all, span| all.union(&span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A merge within level 0 takes a later number than a table that is flushed meanwhile, and holds what is older.
    #[test]
    fn level_0_is_read_from_the_newest_seqno_down_whatever_the_numbers_are() {
        let fs = Arc::new(crate::fs::SimFs::in_memory());
        let cache = Arc::new(crate::sstable::BlockCache::new(0));
        let source = Arc::new(TableSource { fs, dir: "/db".into(), cache });
        let table = |number: u64, seqno_max: u64| TableMeta {
            number,
            seqno_max,
            values: Vec::new(),
            ..edit::tests::table(3)
        };
        let added = [(9, 10), (7, 30), (8, 20)].map(|(number, seqno)| (0, table(number, seqno))).to_vec();
        let edit = VersionEdit { added, ..VersionEdit::default() };

        let version = Version::default().apply(&edit, &source).unwrap();

        let numbers: Vec<u64> = version.levels[0].iter().map(|table| table.meta().number).collect();
        assert_eq!(numbers, [7, 8, 9]);
    }

    #[test]
    fn spans_that_touch_overlap_where_both_hold_the_key() {
        let span = |smallest: &str, largest: &str, largest_is_exclusive| KeySpan {
            smallest: smallest.into(),
            largest: largest.into(),
            largest_is_exclusive,
        };
        let (inclusive, exclusive, next) =
            (span("a", "c", false), span("a", "c", true), span("c", "d", false));

        assert!(inclusive.overlaps(&next) && next.overlaps(&inclusive));
        assert!(!exclusive.overlaps(&next) && !next.overlaps(&exclusive));
        assert!(!exclusive.clone().union(&inclusive).largest_is_exclusive);
        assert!(!inclusive.union(&exclusive).largest_is_exclusive);
    }
}
