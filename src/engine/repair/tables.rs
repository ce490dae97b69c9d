//! The tables of a damaged database: which count, which are whole, and what is left of the others.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::sync::Arc;

use super::arrange::Distinct;
use super::values::WithValues;
use super::{ManifestFound, Repair, unless_damaged};
use crate::error::Result;
use crate::iter::InternalIterator;
use crate::range_tombstone::RangeTombstones;
use crate::sstable::{Salvage, Table};
use crate::sync::atomic::AtomicU64;
use crate::version::{FileKind, Garbage, TableMeta, table_path};

impl Repair<'_> {
    /// The tables to go on with, each whole and with its level as far as that is known.
    pub(super) fn save_tables(&mut self) -> Result<Vec<(u8, TableMeta)>> {
        let mut saved = Vec::new();
        for (level, number, meta) in self.candidates() {
            (self.go_on)()?;
            match self.open_whole(number, meta.as_ref())? {
                Opened::Whole(table) => {
                    self.report.tables_whole += 1;
                    let meta = match meta {
                        Some(meta) => meta,
                        None => TableMeta { values: self.shares_of(&table)?, ..meta_of(&table) },
                    };
                    if meta.values.iter().all(|share| self.values.is_whole(share.file)) {
                        saved.push((level, meta));
                        continue;
                    }
                    let parts = self.write_with_values(table.iter_uncached(), table.range_tombstones())?;
                    saved.extend(parts.into_iter().map(|part| (level, part)));
                }
                Opened::Missing => {
                    self.report.tables_lost += 1;
                    self.report.entries_lost += meta.map_or(0, |meta| meta.entries);
                }
                Opened::Damaged => {
                    self.is_damaged(FileKind::Table(number));
                    let parts = self.salvage_table(number, meta.as_ref())?;
                    saved.extend(parts.into_iter().map(|part| (level, part)));
                }
            }
        }
        Ok(saved)
    }

    /// The tables that count: those that a whole manifest names, else all that are there and were not removed for sure.
    fn candidates(&self) -> Vec<(u8, u64, Option<TableMeta>)> {
        let live = self.known.live.iter();
        if self.report.manifest == ManifestFound::Whole {
            return live.map(|(level, meta)| (*level, meta.number, Some(meta.clone()))).collect();
        }
        let there = self.files.iter().filter_map(|kind| match *kind {
            FileKind::Table(number) => Some(number),
            _ => None,
        });
        let counted = there.filter(|number| !self.known.removed.contains(number)).map(|number| {
            let meta = self.known.live.iter().find(|(_, meta)| meta.number == number);
            (0, number, meta.map(|(_, meta)| meta.clone()))
        });
        counted.collect()
    }

    fn open_whole(&self, number: u64, meta: Option<&TableMeta>) -> Result<Opened> {
        let file = match self.fs().open(&table_path(self.dir(), number)) {
            Ok(file) => file,
            Err(error) if error.io_cause().is_some_and(|cause| cause.kind() == ErrorKind::NotFound) => {
                return Ok(Opened::Missing);
            }
            Err(error) => return Err(error),
        };
        let size = match meta {
            Some(meta) => meta.size,
            None => file.len()?,
        };
        let opened = Table::open(file, number, size, Arc::clone(&self.source.cache));
        let verified = opened.and_then(|table| table.verify().map(|()| table));
        Ok(unless_damaged(verified)?.map_or(Opened::Damaged, Opened::Whole))
    }

    /// Writes what is whole of a damaged table to new ones.
    fn salvage_table(&mut self, number: u64, meta: Option<&TableMeta>) -> Result<Vec<TableMeta>> {
        let file = self.fs().open(&table_path(self.dir(), number))?;
        let salvage = Salvage::of(file, number)?;
        let tombstones = RangeTombstones::new(&salvage.tombstones);
        let parts = self.write_with_values(salvage.iter(), &tombstones)?;
        let had = meta.map(|meta| meta.entries).or(salvage.stated_entries).unwrap_or(salvage.entries);
        self.report.entries_lost += had.saturating_sub(salvage.entries);
        self.report.entries_salvaged += salvage.entries;
        self.report.table_bytes_lost += salvage.lost_bytes;
        let kind =
            if parts.is_empty() { &mut self.report.tables_lost } else { &mut self.report.tables_salvaged };
        *kind += 1;
        Ok(parts)
    }
}

impl Repair<'_> {
    /// Writes entries to new tables, with the values that are in damaged value files.
    fn write_with_values(
        &mut self,
        entries: impl InternalIterator,
        tombstones: &RangeTombstones,
    ) -> Result<Vec<TableMeta>> {
        let (files, lost) = (std::mem::take(&mut self.values), AtomicU64::new(0));
        let mut entries = Distinct::new(WithValues::new(entries, &files, &lost));
        let written = self.write(&mut entries, tombstones);
        self.values = files;
        let written = written?;
        self.report.values_lost += lost.into_inner();
        self.values.add_written(&written.values);
        Ok(written.tables)
    }
}

/// How a table was found.
enum Opened {
    Whole(Arc<Table>),
    Damaged,
    Missing,
}

/// What a manifest would keep of a table, made of what the table says itself. What compaction could drop in it is not
/// known, so nothing is dropped for it.
fn meta_of(table: &Table) -> TableMeta {
    let properties = table.properties();
    let tombstones: Vec<_> = table.range_tombstones().tombstones().collect();
    let deleted_from = tombstones.iter().map(|tombstone| &tombstone.start).min();
    let deleted_to = tombstones.iter().map(|tombstone| &tombstone.end).max();
    let first = properties.point_keys.as_ref().map(|(first, _)| first);
    let last = properties.point_keys.as_ref().map(|(_, last)| last);
    // `None` is below every key, and an end equal to the last key covers less than the key itself.
    let largest_is_exclusive = deleted_to > last;
    let largest = if largest_is_exclusive { deleted_to } else { last };
    TableMeta {
        number: table.number(),
        size: table.size(),
        entries: properties.entries,
        smallest: first.into_iter().chain(deleted_from).min().cloned().unwrap_or_default(),
        largest: largest.cloned().unwrap_or_default(),
        largest_is_exclusive,
        seqno_min: properties.seqno_min,
        seqno_max: properties.seqno_max,
        tombstones: properties.tombstones,
        range_tombstones: properties.range_tombstones,
        largest_expiry: properties.largest_expiry,
        garbage: Garbage::default(),
        values: Vec::new(),
    }
}
