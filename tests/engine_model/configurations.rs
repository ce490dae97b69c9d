//! The configurations that a history draws one of. Each fixes what it is named after; everything else is drawn.

use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::{Compression, Config, SyncMode};

use crate::common::{Random, tiny_config};

/// Name, and what it fixes.
type Configuration = (&'static str, fn(&mut Config));

pub const CONFIGURATIONS: [Configuration; 34] = [
    ("everything drawn", |_| {}),
    ("tiny blocks", |config| config.block_size = 128),
    ("large blocks", |config| config.block_size = 64 << 10),
    ("no filters", |config| config.bloom_bits_per_key = 0),
    ("poor filters", |config| config.bloom_bits_per_key = 1),
    ("rich filters", |config| config.bloom_bits_per_key = 32),
    ("no compression", |config| config.compression = Compression::None),
    ("compression", |config| config.compression = Compression::Lz4),
    ("all values in tables", |config| config.value_threshold_bytes = 0),
    ("values of 16 bytes apart", |config| config.value_threshold_bytes = 16),
    ("values of 200 bytes apart", |config| config.value_threshold_bytes = 200),
    ("values of 4096 bytes apart", |config| config.value_threshold_bytes = 4 << 10),
    ("values apart, and in the cache", |config| {
        (config.value_threshold_bytes, config.block_cache_capacity_bytes) = (16, 16 << 20);
    }),
    ("values apart, and few of them in the cache", |config| {
        (config.value_threshold_bytes, config.block_cache_capacity_bytes) = (16, 1 << 10);
    }),
    ("tiny value files", |config| {
        (config.value_threshold_bytes, config.value_file_size_bytes) = (16, 4 << 10);
    }),
    ("tiny memtables", |config| {
        (config.memtable_size_bytes, config.max_frozen_memtables) = (4 << 10, 1);
    }),
    ("many frozen memtables", |config| {
        (config.memtable_size_bytes, config.max_frozen_memtables) = (4 << 10, 32);
    }),
    ("many tables in level 0", |config| {
        (config.memtable_size_bytes, config.compaction_threshold) = (4 << 10, 16);
    }),
    ("many levels", many_levels),
    ("strict", |config| config.wal_sync_mode = SyncMode::Always),
    ("relaxed", |config| config.wal_sync_mode = SyncMode::Interval(10)),
    ("none", |config| config.wal_sync_mode = SyncMode::Never),
    ("in memory", |config| config.in_memory = true),
    ("no cache", |config| config.block_cache_capacity_bytes = 0),
    ("a cache of a few blocks", |config| config.block_cache_capacity_bytes = 2 << 10),
    ("a cache for everything", |config| config.block_cache_capacity_bytes = 16 << 20),
    ("few open files", |config| {
        (config.max_open_files, config.table_size_bytes, config.value_threshold_bytes) = (8, 4 << 10, 16);
    }),
    ("indexes and filters in the cache only", |config| config.index_memory_budget_bytes = 0),
    ("indexes and filters in neither", |config| {
        (config.index_memory_budget_bytes, config.block_cache_capacity_bytes) = (0, 0);
    }),
    ("large tables", |config| config.table_size_bytes = 32 << 20),
    ("tiny logs", |config| {
        (config.wal_segment_size_bytes, config.memtable_size_bytes) = (4 << 10, 16 << 10);
    }),
    ("one log for many memtables", |config| {
        (config.wal_segment_size_bytes, config.memtable_size_bytes) = (64 << 20, 4 << 10);
    }),
    ("compaction forced", |config| {
        (config.memtable_size_bytes, config.compaction_threshold) = (4 << 10, 2);
        config.max_frozen_memtables = 1;
    }),
    ("compaction starved", |config| {
        (config.memtable_size_bytes, config.compaction_threshold) = (4 << 10, 64);
        config.max_frozen_memtables = 64;
    }),
];

/// Enough is written there to fill one level and spill into the next.
pub const MANY_LEVELS: &str = "many levels";

fn many_levels(config: &mut Config) {
    config.memtable_size_bytes = 16 << 10;
    config.table_size_bytes = 4 << 10;
    config.level_size_bytes = 16 << 10;
    config.compression = Compression::None;
    config.value_threshold_bytes = 0;
    config.compaction_threshold = 2;
}

/// One of the configurations, by its place in the table.
pub fn draw(random: &mut Random, clock: Arc<ManualClock>) -> (usize, Config) {
    let mut config = tiny_config(random, clock);
    let at = random.below(CONFIGURATIONS.len() as u64) as usize;
    CONFIGURATIONS[at].1(&mut config);
    (at, config)
}
