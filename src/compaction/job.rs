//! Writing tables from a stream of entries: the work that a flush and a compaction share.
//!
//! The outputs are synced, and so is the directory, before this returns; only then may an edit name them. On
//! an error before that, the files written so far are removed (what can't be removed is an orphan, which the next
//! open removes).
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Task;
use super::retention::{Fate, Retention};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fs::FileSystem;
use crate::iter::{InternalIterator, MergeIterator};
use crate::key::{EntryRef, Kind};
use crate::range_tombstone::{RangeTombstone, RangeTombstones};
use crate::sstable::{TableOptions, TableSummary, TableWriter};
use crate::version::{Garbage, KeySpan, LEVELS, LevelIterator, TableHandle, TableMeta, Version, table_path};

/// What a job needs of the engine.
pub(crate) struct JobContext<'a> {
    pub(crate) fs: &'a dyn FileSystem,
    pub(crate) dir: &'a Path,
    pub(crate) config: &'a Config,
    /// Draws a file number that was never used.
    pub(crate) next_number: &'a dyn Fn() -> u64,
    /// Whether the engine is closing, so that the job had better stop.
    pub(crate) is_cancelled: &'a dyn Fn() -> bool,
    /// Is told of bytes that have been written, and may wait, until the job is cancelled at the longest.
    pub(crate) pace: &'a dyn Fn(u64),
}

/// The pace is told of pieces of this size, in bytes.
const PACE_BYTES: u64 = 64 << 10;

/// How often a job asks whether it is cancelled, in entries.
const CANCEL_CHECK_INTERVAL: u32 = 4096;

/// Writes a memtable's entries as one table of level 0, or none where nothing of it can be seen.
pub(crate) fn flush(
    context: &JobContext<'_>,
    entries: &mut dyn InternalIterator,
    tombstones: &RangeTombstones,
    mut retention: Retention,
) -> Result<Vec<TableMeta>> {
    let tombstones = retention.tombstones_to_keep(tombstones);
    let mut outputs = Outputs::new(context, u64::MAX, tombstones);
    outputs.write_all(entries, &mut retention, &|_| false)
}

/// Merges the inputs of `task` into tables of its target level.
pub(crate) fn compact(
    context: &JobContext<'_>,
    task: &Task,
    version: &Version,
    retention: impl FnOnce(Arc<RangeTombstones>) -> Retention,
) -> Result<Vec<TableMeta>> {
    let tombstones = input_tombstones(task)?;
    let mut retention = retention(Arc::clone(&tombstones));
    let mut entries = merge_inputs(task)?;
    let bottom = Bottom { version, target: task.target };
    let kept = retention.tombstones_to_keep(&tombstones).into_iter().filter(|tombstone| {
        !(retention.may_drop_tombstone(tombstone.seqno) && bottom.is_below(&tombstone.start, &tombstone.end))
    });
    let mut outputs = Outputs::new(context, context.config.table_size_bytes, kept.collect());
    outputs.write_all(&mut entries, &mut retention, &|key| bottom.is_below_key(key))
}

fn inputs_of(task: &Task) -> impl Iterator<Item = &Arc<TableHandle>> {
    task.inputs.iter().chain(&task.overlapped)
}

fn input_tombstones(task: &Task) -> Result<Arc<RangeTombstones>> {
    let mut all: Vec<RangeTombstone> = Vec::new();
    for table in inputs_of(task).filter(|table| table.meta().range_tombstones > 0) {
        all.extend(table.open()?.range_tombstones().tombstones());
    }
    Ok(Arc::new(RangeTombstones::new(&all)))
}

fn merge_inputs(task: &Task) -> Result<MergeIterator<Box<dyn InternalIterator>>> {
    let mut children: Vec<Box<dyn InternalIterator>> = Vec::new();
    if task.level == 0 {
        for table in &task.inputs {
            children.push(Box::new(table.open()?.iter_uncached()));
        }
    } else {
        children.push(Box::new(LevelIterator::new_uncached(task.inputs.clone())));
    }
    children.push(Box::new(LevelIterator::new_uncached(task.overlapped.clone())));
    Ok(MergeIterator::new(children))
}

/// Tells whether anything older than a compaction's inputs lies below them.
struct Bottom<'a> {
    version: &'a Version,
    target: usize,
}

impl Bottom<'_> {
    fn is_below_key(&self, key: &[u8]) -> bool {
        let mut levels = self.target + 1..LEVELS;
        levels.all(|level| {
            let tables = self.version.level(level);
            let index = tables.partition_point(|table| table.ends_before(key));
            tables.get(index).is_none_or(|table| !table.may_hold(key))
        })
    }

    fn is_below(&self, start: &[u8], end: &[u8]) -> bool {
        let span = KeySpan { smallest: start.to_vec(), largest: end.to_vec(), largest_is_exclusive: true };
        (self.target + 1..LEVELS).all(|level| self.version.overlapping(level, &span).is_empty())
    }
}

/// The tables that a job writes, cut at a size and never within the versions of one key.
struct Outputs<'a> {
    context: &'a JobContext<'a>,
    size_max: u64,
    /// In key order; each output gets the part of them that lies in its range.
    tombstones: Vec<RangeTombstone>,
    /// Where the range of the current output begins: what lies before belongs to finished ones.
    from: Option<Vec<u8>>,
    writer: Option<(u64, TableWriter)>,
    /// How much of the current output the pace has been told of.
    paced_bytes: u64,
    last_key: Vec<u8>,
    finished: Vec<TableMeta>,
    written: Vec<PathBuf>,
}

impl<'a> Outputs<'a> {
    fn new(context: &'a JobContext<'a>, size_max: u64, tombstones: Vec<RangeTombstone>) -> Self {
        let (finished, written) = (Vec::new(), Vec::new());
        Self {
            context,
            size_max,
            tombstones,
            from: None,
            writer: None,
            paced_bytes: 0,
            last_key: Vec::new(),
            finished,
            written,
        }
    }

    fn write_all(
        &mut self,
        entries: &mut dyn InternalIterator,
        retention: &mut Retention,
        is_bottom: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<TableMeta>> {
        let result = self.try_write_all(entries, retention, is_bottom);
        if result.is_err() {
            self.writer = None;
            for path in &self.written {
                // What stays behind is an orphan; the error that is on its way up matters more.
                let _ = self.context.fs.remove(path);
            }
        }
        result
    }

    fn try_write_all(
        &mut self,
        entries: &mut dyn InternalIterator,
        retention: &mut Retention,
        is_bottom: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<TableMeta>> {
        entries.seek_to_first()?;
        let mut until_check = CANCEL_CHECK_INTERVAL;
        while entries.is_valid() {
            let entry = entries.entry();
            match retention.fate(&entry, is_bottom) {
                Fate::Keep => self.add(&entry)?,
                Fate::Bury => {
                    self.add(&EntryRef { kind: Kind::Tombstone, expires_at: 0, value: b"", ..entry })?;
                }
                Fate::Drop => {}
            }
            entries.next()?;
            until_check -= 1;
            if until_check == 0 {
                until_check = CANCEL_CHECK_INTERVAL;
                self.check_cancelled()?;
            }
        }
        self.finish(None)?;
        if !self.written.is_empty() {
            self.context.fs.sync_dir(self.context.dir)?;
        }
        Ok(std::mem::take(&mut self.finished))
    }

    fn add(&mut self, entry: &EntryRef<'_>) -> Result<()> {
        let size = self.writer.as_ref().map_or(0, |(_, writer)| writer.size_estimate());
        if size >= self.paced_bytes + PACE_BYTES {
            self.pace_to(size);
            self.check_cancelled()?;
        }
        if size >= self.size_max && self.last_key != entry.key {
            self.finish(Some(entry.key))?;
        }
        self.writer()?.add(*entry)?;
        self.last_key.clear();
        self.last_key.extend_from_slice(entry.key);
        Ok(())
    }

    fn check_cancelled(&self) -> Result<()> {
        if (self.context.is_cancelled)() {
            return Err(Error::new(Code::Aborted, "a flush or compaction was stopped by close"));
        }
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
            let writer = TableWriter::new(file, number, TableOptions::from(self.context.config));
            self.writer = Some((number, writer));
        }
        Ok(&mut self.writer.as_mut().expect("it was put there just now").1)
    }

    /// Ends the current output at `boundary`, the first key of the next one, or at the end of everything.
    fn finish(&mut self, boundary: Option<&[u8]>) -> Result<()> {
        let from = std::mem::replace(&mut self.from, boundary.map(<[u8]>::to_vec));
        for tombstone in clip(&self.tombstones, from.as_deref(), boundary) {
            self.writer()?.add_range_tombstone(tombstone)?;
        }
        if let Some((number, writer)) = self.writer.take() {
            let summary = writer.finish()?;
            self.pace_to(summary.size);
            self.paced_bytes = 0;
            self.finished.push(table_meta(number, &summary));
        }
        Ok(())
    }
}

/// What the manifest keeps of a table that has just been written.
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
