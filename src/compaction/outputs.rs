//! Writing tables from a stream of entries: the work that a flush and a compaction share.
//!
//! The outputs are synced, and so is the directory, before this returns; only then may an edit name them. On
//! an error before that, the files written so far are removed (what can't be removed is an orphan, which the next
//! open removes).
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::job::{JobContext, PACE_BYTES};
use super::retention::{Fate, Retention};
use super::value_outputs::ValueOutputs;
use crate::error::Result;
use crate::iter::InternalIterator;
use crate::key::{EntryRef, Kind, SETTLED};
use crate::range_tombstone::RangeTombstone;
use crate::sstable::{Effort, TableOptions, TableSummary, TableWriter};
use crate::version::{Garbage, TableMeta, ValueFileMeta, ValueShare, table_path};

/// How often a job asks whether it is cancelled, in entries.
const CANCEL_CHECK_INTERVAL: u32 = 4096;

/// What a job has written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) tables: Vec<TableMeta>,
    pub(crate) values: Vec<ValueFileMeta>,
    /// The bytes of values that were moved from one value file to another.
    pub(crate) relocated_bytes: u64,
}

/// The tables that a job writes, cut at a size and never within the versions of one key.
pub(super) struct Outputs<'a> {
    context: &'a JobContext<'a>,
    size_max: u64,
    values: ValueOutputs<'a>,
    effort: Effort,
    /// In key order; each output gets the part of them that lies in its range.
    tombstones: Vec<RangeTombstone>,
    /// Where the range of the current output begins: what lies before belongs to finished ones.
    from: Option<Vec<u8>>,
    writer: Option<(u64, TableWriter)>,
    /// What the entries of the current output have in value files.
    shares: BTreeMap<u64, u64>,
    /// How much of the current output the pace has been told of.
    paced_bytes: u64,
    last_key: Vec<u8>,
    /// Room for the pointer of an entry.
    pointer: Vec<u8>,
    finished: Vec<TableMeta>,
    written: Vec<PathBuf>,
}

impl<'a> Outputs<'a> {
    pub(super) fn new(
        context: &'a JobContext<'a>,
        size_max: u64,
        values: ValueOutputs<'a>,
        effort: Effort,
    ) -> Self {
        Self {
            context,
            size_max,
            values,
            effort,
            tombstones: Vec::new(),
            from: None,
            writer: None,
            shares: BTreeMap::new(),
            paced_bytes: 0,
            last_key: Vec::new(),
            pointer: Vec::new(),
            finished: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Has `parts` write everything, and makes it durable.
    pub(super) fn write(mut self, parts: impl FnOnce(&mut Self) -> Result<()>) -> Result<Written> {
        let result = parts(&mut self).and_then(|()| self.complete());
        if result.is_err() {
            self.writer = None;
            for path in self.written.iter().chain(self.values.abandon()) {
                // What stays behind is an orphan; the error that is on its way up matters more.
                let _ = self.context.fs.remove(path);
            }
        }
        result
    }

    /// Writes what `retention` keeps of `entries`, and `tombstones`, as tables of their own.
    pub(super) fn write_part(
        &mut self,
        entries: &mut dyn InternalIterator,
        tombstones: Vec<RangeTombstone>,
        retention: &mut Retention,
        is_bottom: &dyn Fn(&[u8]) -> bool,
    ) -> Result<()> {
        self.tombstones = tombstones;
        entries.seek_to_first()?;
        let mut until_check = CANCEL_CHECK_INTERVAL;
        while entries.is_valid() {
            let entry = entries.entry();
            match retention.fate(&entry, is_bottom) {
                Fate::Keep => self.add(&entry)?,
                Fate::Settle => self.add(&EntryRef { seqno: SETTLED, ..entry })?,
                Fate::Bury => {
                    self.add(&EntryRef { kind: Kind::Tombstone, expires_at: 0, value: b"", ..entry })?;
                }
                Fate::Drop => {}
            }
            entries.next()?;
            until_check -= 1;
            if until_check == 0 {
                until_check = CANCEL_CHECK_INTERVAL;
                self.context.check_cancelled()?;
            }
        }
        self.finish(None)
    }

    fn complete(&mut self) -> Result<Written> {
        let (values, relocated_bytes) = self.values.finish()?;
        if !self.written.is_empty() {
            self.context.fs.sync_dir(self.context.dir)?;
        }
        Ok(Written { tables: std::mem::take(&mut self.finished), values, relocated_bytes })
    }

    fn add(&mut self, entry: &EntryRef<'_>) -> Result<()> {
        let size = self.writer.as_ref().map_or(0, |(_, writer)| writer.size_estimate());
        if size >= self.paced_bytes + PACE_BYTES {
            self.pace_to(size);
            self.context.check_cancelled()?;
        }
        if size >= self.size_max && self.last_key != entry.key {
            self.finish(Some(entry.key))?;
        }
        match self.values.place(entry)? {
            None => self.writer()?.add(*entry)?,
            Some(pointer) => {
                let mut value = std::mem::take(&mut self.pointer);
                value.clear();
                pointer.encode(&mut value);
                let entry = EntryRef { kind: Kind::Separated, value: &value, ..*entry };
                self.writer()?.add_weighing(entry, pointer.record_len)?;
                self.pointer = value;
                *self.shares.entry(pointer.file).or_default() += pointer.record_len;
            }
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(entry.key);
        Ok(())
    }

    /// Tells the pace that the current output has `size` bytes.
    fn pace_to(&mut self, size: u64) {
        (self.context.pace)(size.saturating_sub(self.paced_bytes));
        self.paced_bytes = size;
    }

    /// The writer of the current output, begun where there is none.
    fn writer(&mut self) -> Result<&mut TableWriter> {
        if self.writer.is_none() {
            let number = (self.context.next_number)();
            let path = table_path(self.context.dir, number);
            let file = self.context.fs.create(&path)?;
            self.written.push(path);
            let writer = TableWriter::new(file, number, TableOptions::new(self.context.config, self.effort));
            self.writer = Some((number, writer));
        }
        Ok(&mut self.writer.as_mut().expect("it was put there just now").1)
    }

    /// Ends the current output at `boundary`, the first key of the next one, or at the end of its part.
    fn finish(&mut self, boundary: Option<&[u8]>) -> Result<()> {
        let from = std::mem::replace(&mut self.from, boundary.map(<[u8]>::to_vec));
        for tombstone in clip(&self.tombstones, from.as_deref(), boundary) {
            self.writer()?.add_range_tombstone(tombstone)?;
        }
        if let Some((number, writer)) = self.writer.take() {
            let summary = writer.finish()?;
            self.pace_to(summary.size);
            self.paced_bytes = 0;
            let shares = std::mem::take(&mut self.shares);
            let values = shares.into_iter().map(|(file, bytes)| ValueShare { file, bytes }).collect();
            self.finished.push(TableMeta { values, ..table_meta(number, &summary) });
        }
        Ok(())
    }
}

/// What the manifest keeps of a table that has just been written, but for its value files.
fn table_meta(number: u64, summary: &TableSummary) -> TableMeta {
    TableMeta {
        number,
        size: summary.size,
        entries: summary.entries,
        smallest: summary.smallest.clone(),
        largest: summary.largest.clone(),
        largest_is_exclusive: summary.largest_is_exclusive,
        seqno_min: summary.seqno_min,
        seqno_max: summary.seqno_max,
        tombstones: summary.tombstones,
        range_tombstones: summary.range_tombstones,
        largest_expiry: summary.largest_expiry,
        garbage: Garbage {
            superseded: summary.superseded,
            quarter_expired_at: summary.quarter_expired_at,
            all_expired_at: if summary.expiring == summary.entries { summary.largest_expiry } else { 0 },
        },
        values: Vec::new(),
    }
}

/// The parts of `tombstones` from `from` (inclusive) to `to` (exclusive).
fn clip(tombstones: &[RangeTombstone], from: Option<&[u8]>, to: Option<&[u8]>) -> Vec<RangeTombstone> {
    tombstones
        .iter()
        .map(|tombstone| {
            let mut part = tombstone.clone();
            if let Some(from) = from.filter(|from| *from > part.start.as_slice()) {
                part.start = from.to_vec();
            }
            if let Some(to) = to.filter(|to| *to < part.end.as_slice()) {
                part.end = to.to_vec();
            }
            part
        })
        .filter(|part| part.start < part.end)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_cuts_at_both_ends_and_leaves_nothing_empty() {
        let tombstones = [RangeTombstone { start: b"c".to_vec(), end: b"m".to_vec(), seqno: 4 }];

        let clipped = |from: Option<&str>, to: Option<&str>| -> Vec<(Vec<u8>, Vec<u8>)> {
            clip(&tombstones, from.map(str::as_bytes), to.map(str::as_bytes))
                .into_iter()
                .map(|part| (part.start, part.end))
                .collect()
        };

        assert_eq!(clipped(None, Some("f")), [(b"c".to_vec(), b"f".to_vec())]);
        assert_eq!(clipped(Some("f"), None), [(b"f".to_vec(), b"m".to_vec())]);
        assert_eq!(clipped(Some("m"), None), []);
        assert_eq!(clipped(None, Some("c")), []);
    }
}
