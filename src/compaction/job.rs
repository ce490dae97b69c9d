//! Flushing a memtable and merging tables: what goes in, and what may be dropped on the way.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use super::outputs::{Outputs, Written};
use super::retention::Retention;
use super::value_outputs::ValueOutputs;
use super::{Task, value_garbage};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fs::FileSystem;
use crate::iter::{InternalIterator, MergeIterator};
use crate::range_tombstone::{RangeTombstone, RangeTombstones};
use crate::sstable::Effort;
use crate::version::{KeySpan, LEVELS, LevelIterator, TableHandle, Version};

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

impl JobContext<'_> {
    /// Fails where the job had better stop.
    pub(super) fn check_cancelled(&self) -> Result<()> {
        if (self.is_cancelled)() {
            return Err(Error::new(Code::Aborted, "a flush or compaction was stopped by close"));
        }
        Ok(())
    }
}

/// The pace is told of pieces of this size, in bytes.
pub(super) const PACE_BYTES: u64 = 64 << 10;

/// Writes a memtable's entries as one table of level 0, or none where nothing of it can be seen.
pub(crate) fn flush(
    context: &JobContext<'_>,
    entries: &mut dyn InternalIterator,
    tombstones: &RangeTombstones,
    mut retention: Retention,
) -> Result<Written> {
    let tombstones = retention.tombstones_to_keep(tombstones);
    Outputs::new(context, u64::MAX, ValueOutputs::new(context), Effort::Quick)
        .write(|outputs| outputs.write_part(entries, tombstones, &mut retention, &|_| false))
}

/// Writes the entries of a database without tables as tables of level 1, as a flush and a compaction together would: what
/// hides nothing is dropped, and entries need no seqno any more.
pub(crate) fn flush_first(
    context: &JobContext<'_>,
    entries: &mut dyn InternalIterator,
    tombstones: &RangeTombstones,
    retention: Retention,
) -> Result<Written> {
    let mut retention = retention.settling();
    let mut tombstones = retention.tombstones_to_keep(tombstones);
    tombstones.retain(|tombstone| !retention.may_drop_tombstone(tombstone.seqno));
    Outputs::new(context, context.config.table_size_bytes, ValueOutputs::new(context), Effort::Thorough)
        .write(|outputs| outputs.write_part(entries, tombstones, &mut retention, &|_| true))
}

/// Writes entries and range tombstones as they are, nothing dropped, as tables that don't overlap. Values that come with
/// their entries and are large go to value files; those that lie in one stay there.
pub(crate) fn rewrite(
    context: &JobContext<'_>,
    entries: &mut dyn InternalIterator,
    tombstones: &RangeTombstones,
) -> Result<Written> {
    // Without a snapshot to cut them apart, all versions are kept.
    let mut everything = Retention::new(Vec::new(), Arc::default(), 0);
    let tombstones = tombstones.tombstones().collect();
    Outputs::new(context, context.config.table_size_bytes, ValueOutputs::new(context), Effort::Thorough)
        .write(|outputs| outputs.write_part(entries, tombstones, &mut everything, &|_| false))
}

/// Merges the inputs of `task` into tables of its target level.
pub(crate) fn compact(
    context: &JobContext<'_>,
    task: &Task,
    version: &Version,
    retention: impl Fn(Arc<RangeTombstones>) -> Retention,
) -> Result<Written> {
    let moved = value_garbage::files_to_empty(task, version, context.config);
    let values = ValueOutputs::moving(context, version, moved);
    // Each table of level 0 counts, so that what is merged there becomes one.
    let size_max = if task.target == 0 { u64::MAX } else { context.config.table_size_bytes };
    // What stays in level 0 will be merged again soon.
    let effort = if task.target == 0 { Effort::Quick } else { Effort::Thorough };
    Outputs::new(context, size_max, values, effort).write(|outputs| {
        let parts = if task.is_scattered { 1 } else { task.inputs.len().max(1) };
        for inputs in task.inputs.chunks(parts) {
            let tombstones = input_tombstones(inputs, &task.overlapped)?;
            let retention = retention(Arc::clone(&tombstones));
            let mut retention = if task.target > 0 { retention.settling() } else { retention };
            let bottom = Bottom::new(version, task.target);
            let mut entries = merge_inputs(task.level, inputs, &task.overlapped)?;
            let kept = retention.tombstones_to_keep(&tombstones).into_iter().filter(|tombstone| {
                !(retention.may_drop_tombstone(tombstone.seqno)
                    && bottom.is_below(&tombstone.start, &tombstone.end))
            });
            let kept = kept.collect();
            outputs.write_part(&mut entries, kept, &mut retention, &|key| bottom.is_below_key(key))?;
        }
        Ok(())
    })
}

fn input_tombstones(
    inputs: &[Arc<TableHandle>],
    overlapped: &[Arc<TableHandle>],
) -> Result<Arc<RangeTombstones>> {
    let mut all: Vec<RangeTombstone> = Vec::new();
    let tables = inputs.iter().chain(overlapped);
    for table in tables.filter(|table| table.meta().range_tombstones > 0) {
        all.extend(table.open()?.range_tombstones().tombstones());
    }
    Ok(Arc::new(RangeTombstones::new(&all)))
}

fn merge_inputs(
    level: usize,
    inputs: &[Arc<TableHandle>],
    overlapped: &[Arc<TableHandle>],
) -> Result<MergeIterator<Box<dyn InternalIterator>>> {
    let mut children: Vec<Box<dyn InternalIterator>> = Vec::new();
    if level == 0 {
        for table in inputs {
            children.push(Box::new(table.open()?.iter_uncached()));
        }
    } else {
        children.push(Box::new(LevelIterator::new_uncached(inputs.to_vec())));
    }
    children.push(Box::new(LevelIterator::new_uncached(overlapped.to_vec())));
    Ok(MergeIterator::new(children))
}

/// Tells whether anything older than a compaction's inputs lies below them.
struct Bottom<'a> {
    version: &'a Version,
    target: usize,
    /// For each level the first table that does not end before the key that was asked for last.
    places: RefCell<[usize; LEVELS]>,
}

impl<'a> Bottom<'a> {
    fn new(version: &'a Version, target: usize) -> Self {
        Self { version, target, places: RefCell::default() }
    }

    /// Keys are asked for in ascending order, so that each table is passed once.
    fn is_below_key(&self, key: &[u8]) -> bool {
        let mut places = self.places.borrow_mut();
        (self.target + 1..LEVELS).all(|level| {
            let tables = self.version.level(level);
            let place = &mut places[level];
            while tables.get(*place).is_some_and(|table| table.ends_before(key)) {
                *place += 1;
            }
            tables.get(*place).is_none_or(|table| !table.may_hold(key))
        })
    }

    fn is_below(&self, start: &[u8], end: &[u8]) -> bool {
        let span = KeySpan { smallest: start.to_vec(), largest: end.to_vec(), largest_is_exclusive: true };
        (self.target + 1..LEVELS).all(|level| self.version.overlapping(level, &span).is_empty())
    }
}
