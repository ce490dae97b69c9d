//! What a database can be told when it is opened, with the limits of each setting.
//!
//! docs/tuning.md says when to change one. Names and limits stand in one table, `settings`.
#![forbid(unsafe_code)]

mod nearest;
mod settings;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::error::{Code, Error, Result};

pub(crate) use settings::settings;
#[cfg(feature = "node")]
pub(crate) use settings::{Kind, nearest_name};

/// How often the log is synced in [`SyncMode::Interval`] where nobody says.
pub(crate) const SYNC_INTERVAL_MS: u64 = 100;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncMode {
    /// When its record is synced to the disk (`durability: 'strict'`). Survives power loss.
    Always,
    /// When its record is in the log file, which is synced every so many milliseconds (`'relaxed'`).
    /// Survives the death of the process; power loss takes at most the last interval.
    Interval(u64),
    /// When it is in the memtable; the log is written in the background (`'none'`).
    Never,
}

/// The durability word, as JavaScript has it.
impl fmt::Display for SyncMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("'strict'"),
            Self::Interval(ms) => write!(f, "'relaxed' (synced every {ms} ms)"),
            Self::Never => f.write_str("'none'"),
        }
    }
}

/// How data blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Blocks are stored as they are.
    None,
    /// Blocks are compressed with LZ4 where that saves at least an eighth.
    Lz4,
}

/// The settings of a database. `Config::new(dir)` gives the defaults; [`Config::check`] holds the limits.
#[derive(Clone)]
pub struct Config {
    /// The directory that holds the database's files. Not used when `in_memory` is set.
    pub data_dir: PathBuf,
    /// Create the directory and the database where there is none. Default true.
    pub create_if_missing: bool,
    /// Keep everything in memory, in no files at all. Default false.
    pub in_memory: bool,
    /// Only read: nothing in the directory is written or removed, but `LOCK` where it is missing, and there must be
    /// a database. It is locked all the same. Default false.
    pub read_only: bool,
    /// Open the database although a log, or the end of the manifest, is damaged: with everything that was written before
    /// the damage, and nothing behind it. What was lost is told by `Engine::salvage_report`. Nothing is changed until
    /// something is written or flushed; with `read_only` nothing at all. Default false: damage is `Corruption`.
    pub salvage: bool,
    /// When a write is acknowledged. Default [`SyncMode::Always`].
    pub wal_sync_mode: SyncMode,
    /// A memtable is sealed and flushed at this size, in bytes. Default 64 MiB; 4 KiB to 4 GiB.
    pub memtable_size_bytes: usize,
    /// A memtable that has not reached its size in so many milliseconds is flushed all the same if it deletes, or
    /// will let expire, a twentieth of the database or a range of keys: only a flush lets that space come back.
    /// Default 10,000; 0 never; at most an hour.
    pub flush_interval_ms: u64,
    /// The log goes on in a new file once one has reached this size, in bytes. A sealed memtable ends a file too, and a
    /// file is removed when every memtable that has entries in it has been flushed; so this bounds the files where
    /// little stays in memory of much that is written, as by overwriting. Default 64 MiB; 4 KiB to 4 GiB.
    pub wal_segment_size_bytes: u64,
    /// So many sealed memtables may wait for their flush before writers wait too. Default 2; 1 to 64.
    pub max_frozen_memtables: usize,
    /// The size at which a data block is closed, in bytes before compression. Default 4 KiB; 128 B to 1 MiB.
    pub block_size: usize,
    /// The size at which compaction closes a table, in bytes. Default 32 MiB; 4 KiB to 1 GiB.
    pub table_size_bytes: u64,
    /// What the cache of blocks may hold, in bytes. Default 64 MiB; 0 to 1 TiB.
    pub block_cache_capacity_bytes: usize,
    /// Values of at least so many bytes are written to value files instead of tables, so that compaction doesn't
    /// rewrite them. Default 4 KiB; 0 keeps all values in tables; at most 1 GiB.
    pub value_threshold_bytes: usize,
    /// The size at which a value file is closed, in bytes; one larger value has a file of its own. Default 64 MiB;
    /// 4 KiB to 1 TiB.
    pub value_file_size_bytes: u64,
    /// What open tables may hold of their indexes and filters by themselves, so that a read finds it without a search, all
    /// together, in bytes; the rest is in the cache. All but the tops of indexes is part of the cache's capacity, of
    /// which it takes half at the most. Default 256 MiB; 0 to 1 TiB.
    pub index_memory_budget_bytes: usize,
    /// So many tables and logs may be open for reading at once; one that is read and not open is opened again, and the
    /// one that was not read for long is closed for it. Where the system allows fewer, that many. Default 1,000;
    /// 8 to 1,000,000.
    pub max_open_files: usize,
    /// Bits of filter for each key; 0 writes no filters. Default 10; 0 to 32.
    pub bloom_bits_per_key: u8,
    /// How data blocks are compressed. Default LZ4.
    pub compression: Compression,
    /// Level 0 is compacted once it has this many tables, or up to twice as many where level 1 is more than twice as large
    /// as they are. Default 4; 2 to 64.
    pub compaction_threshold: usize,
    /// The size of level 1 in bytes; each further level holds ten times more. Default 64 MiB; 16 KiB to 1 TiB.
    pub level_size_bytes: u64,
    /// Flushes and compactions together write at most so many bytes in a second, over time. Compactions do the
    /// waiting, since writers would have to wait for flushes. A limit below what compaction needs to keep up
    /// slows writers down in the end. Default 0, no limit: what a disk can do is not known here; at most 1 TiB.
    pub write_limit_bytes_per_sec: u64,
    /// How often the tables are looked through for entries that have expired since, in seconds. Space that deletions free
    /// does not wait for it. Default 2; 1 to 86,400.
    pub gc_interval_secs: u64,
    /// How long a value lives that is put by a batch of [`Engine::batch`](crate::engine::Engine::batch), or is a record in
    /// time, without an expiry of its own, in seconds. Documents and everything internal never expire by it. Default
    /// 0, for ever; at most a hundred years.
    pub default_ttl_secs: u64,
    /// The width of the windows that records in time are gathered in where nobody names another, in seconds. Default
    /// 3,600; 1 to a year.
    pub time_bucket_secs: u64,
    /// Flush and compact in threads of the database. When off, only `run_pending` does. Default true.
    pub auto_background: bool,
    /// Where the time for expiry comes from.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// The default settings for a database in `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            create_if_missing: true,
            in_memory: false,
            read_only: false,
            salvage: false,
            wal_sync_mode: SyncMode::Always,
            memtable_size_bytes: 64 << 20,
            flush_interval_ms: 10_000,
            wal_segment_size_bytes: 64 << 20,
            max_frozen_memtables: 1,
            block_size: 4 << 10,
            table_size_bytes: 32 << 20,
            block_cache_capacity_bytes: 64 << 20,
            value_threshold_bytes: 4 << 10,
            value_file_size_bytes: 64 << 20,
            index_memory_budget_bytes: 256 << 20,
            max_open_files: 1000,
            bloom_bits_per_key: 10,
            compression: Compression::Lz4,
            compaction_threshold: 4,
            level_size_bytes: 64 << 20,
            write_limit_bytes_per_sec: 0,
            gc_interval_secs: 2,
            default_ttl_secs: 0,
            time_bucket_secs: 3600,
            auto_background: true,
            clock: Arc::new(SystemClock),
        }
    }

    /// The default settings for a database that lives in memory only.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { in_memory: true, ..Self::new("") }
    }

    /// Checks every setting against its limits.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, naming the setting and its limits.
    pub fn check(&self) -> Result<()> {
        if !self.in_memory && self.data_dir.as_os_str().is_empty() {
            return Err(Error::new(
                Code::InvalidArgument,
                "data_dir is empty: name a directory, or set in_memory",
            ));
        }
        if self.in_memory && self.read_only {
            let message =
                "in_memory and read_only are both set: a new database in memory has nothing to read";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        settings().try_for_each(|setting| setting.check(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_limits() {
        Config::new("somewhere").check().unwrap();
        Config::in_memory().check().unwrap();
    }

    #[test]
    fn a_setting_beyond_its_limit_is_refused_by_name() {
        let config = Config { block_size: 1, ..Config::new("somewhere") };

        let error = config.check().unwrap_err();

        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains("block_size"), "{error}");
    }
}
