//! What the database counts about itself.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::Shared;
use crate::compaction::CompactionKind;
use crate::version::LEVELS;

/// Counters that the engine's threads add to.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) wal_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) flushed_bytes: AtomicU64,
    pub(crate) compactions: AtomicU64,
    /// By [`CompactionKind`].
    pub(crate) compactions_of: [AtomicU64; CompactionKind::ALL.len()],
    pub(crate) compacted_bytes: AtomicU64,
    pub(crate) value_bytes: AtomicU64,
    pub(crate) relocated_value_bytes: AtomicU64,
    pub(crate) stalls: AtomicU64,
}

/// The state of a database at one moment. Bytes are bytes, counts begin at the opening.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// The seqno of the last visible commit.
    pub visible_seqno: u64,
    /// Snapshots that are open.
    pub snapshots: u64,
    /// Bytes in the memtable that takes writes.
    pub memtable_bytes: u64,
    /// Memtables that wait for their flush.
    pub frozen_memtables: u64,
    /// Tables of each level.
    pub level_tables: Vec<u64>,
    /// Bytes of each level.
    pub level_bytes: Vec<u64>,
    /// Bytes of batches written to the log.
    pub wal_bytes: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Memtables flushed.
    pub flushes: u64,
    /// Bytes of tables written by flushes.
    pub flushed_bytes: u64,
    /// Compactions done, trivial moves included.
    pub compactions: u64,
    /// How many of them were of each kind, in the order of [`CompactionKind::ALL`].
    pub compactions_by_kind: Vec<u64>,
    /// Bytes of tables written by compactions.
    pub compacted_bytes: u64,
    /// Value files, which hold the values that are too large for tables.
    pub value_files: u64,
    /// Bytes of value files.
    pub value_file_bytes: u64,
    /// How many of them hold values that tables lead to; the rest is garbage, overheads aside.
    pub value_file_live_bytes: u64,
    /// Bytes of value files written, by flushes and compactions.
    pub value_bytes_written: u64,
    /// How many of them were moved from other value files, to give the space of those back.
    pub value_bytes_relocated: u64,
    /// How often a writer had to wait for a flush or compaction.
    pub stalls: u64,
    /// Reads that found their block in the cache.
    pub cache_hits: u64,
    /// Reads that had to load their block.
    pub cache_misses: u64,
    /// Bytes that the cache holds.
    pub cache_bytes: u64,
    /// Bytes of indexes, filters and range tombstones that open tables hold by themselves.
    pub pinned_bytes: u64,
    /// Files that are open for reading.
    pub open_files: u64,
}

impl Stats {
    /// Bytes of all tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.level_bytes.iter().sum()
    }

    /// How many compactions were of `kind`.
    #[must_use]
    pub fn compactions_of(&self, kind: CompactionKind) -> u64 {
        self.compactions_by_kind.get(kind as usize).copied().unwrap_or(0)
    }

    /// Bytes written to log, tables and value files for each byte that was committed; 0 where nothing was.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        if self.wal_bytes == 0 {
            return 0.0;
        }
        let written = self.wal_bytes + self.flushed_bytes + self.compacted_bytes + self.value_bytes_written;
        written as f64 / self.wal_bytes as f64
    }
}

impl Shared {
    pub(crate) fn stats(&self) -> Stats {
        let view = self.view();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let cache = self.source.cache.stats();
        let values = view.version.values();
        Stats {
            visible_seqno: self.snapshots.visible(),
            snapshots: self.snapshots.open_count() as u64,
            memtable_bytes: view.active.memtable.size_bytes() as u64,
            frozen_memtables: view.frozen.len() as u64,
            level_tables: (0..LEVELS).map(|level| view.version.level(level).len() as u64).collect(),
            level_bytes: (0..LEVELS).map(|level| view.version.level_bytes(level)).collect(),
            wal_bytes: count(&counters.wal_bytes),
            syncs: count(&counters.syncs),
            flushes: count(&counters.flushes),
            flushed_bytes: count(&counters.flushed_bytes),
            compactions: count(&counters.compactions),
            compactions_by_kind: counters.compactions_of.iter().map(count).collect(),
            compacted_bytes: count(&counters.compacted_bytes),
            value_files: values.files().count() as u64,
            value_file_bytes: values.files().map(|(file, _)| file.meta().size).sum(),
            value_file_live_bytes: values.files().map(|(_, live)| live).sum(),
            value_bytes_written: count(&counters.value_bytes),
            value_bytes_relocated: count(&counters.relocated_value_bytes),
            stalls: count(&counters.stalls),
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            cache_bytes: cache.used_bytes,
            pinned_bytes: self.source.cache.pins().bytes() as u64,
            open_files: self.open_files.open_files() as u64,
        }
    }
}
