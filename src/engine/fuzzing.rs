//! Any bytes as batches, as work for an engine, and as damage to its files.

mod batches;
mod damage;
mod histories;

use std::collections::BTreeMap;

pub(crate) use batches::read_batch;
pub(crate) use damage::open_damaged;
pub(crate) use histories::work;

use crate::config::Config;
use crate::error::Result;

use super::{Direction, Engine, ScanRange, Snapshot};

/// What a database has: the value of each key, and when it expires.
type State = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// One entry of a state.
type Entry = (Vec<u8>, (Vec<u8>, u64));

/// Everything of everything, so that a few entries are many tables, blocks and files.
fn tiny_config() -> Config {
    Config {
        memtable_size_bytes: 4 << 10,
        wal_segment_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        level_size_bytes: 16 << 10,
        value_file_size_bytes: 4 << 10,
        value_threshold_bytes: 200,
        block_size: 128,
        compaction_threshold: 2,
        block_cache_capacity_bytes: 64 << 10,
        index_memory_budget_bytes: 64 << 10,
        auto_background: false,
        ..Config::new("/db")
    }
}

/// What a scan gives up to its first error, and whether there was one.
fn scanned(
    engine: &Engine,
    range: ScanRange,
    direction: Direction,
    snapshot: Option<&Snapshot>,
) -> (Vec<Entry>, Result<()>) {
    let mut rows = Vec::new();
    let mut scan = match engine.scan(range, direction, snapshot) {
        Ok(scan) => scan,
        Err(error) => return (rows, Err(error)),
    };
    loop {
        match scan.advance() {
            Ok(true) => rows.push((scan.key().to_vec(), (scan.value().to_vec(), scan.expires_at()))),
            Ok(false) => return (rows, Ok(())),
            Err(error) => return (rows, Err(error)),
        }
    }
}
