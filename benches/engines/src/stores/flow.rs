//! FlowDB's engine. Without sync, the log is with the operating system when a write returns, as in the others.

use std::path::Path;
use std::time::Duration;

use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};

use super::{BLOOM_BITS, MEMTABLE_BYTES, Reader, Store};

pub struct Flow(Engine);

impl Flow {
    pub fn open(dir: &Path, cache_bytes: usize) -> Self {
        let config = Config {
            wal_sync_mode: SyncMode::Interval(1_000),
            memtable_size_bytes: MEMTABLE_BYTES,
            block_cache_capacity_bytes: cache_bytes,
            bloom_bits_per_key: BLOOM_BITS,
            ..Config::new(dir)
        };
        Self(Engine::open(config).expect("opening flowdb"))
    }
}

impl Store for Flow {
    fn write(&self, entries: &[(Vec<u8>, Vec<u8>)], sync: bool) {
        let mut batch = WriteBatch::new();
        for (key, value) in entries {
            batch.put(key, value).expect("a small entry");
        }
        let sync = sync.then_some(SyncMode::Always);
        self.0.commit(batch, CommitOptions { sync, check: None }).expect("writing to flowdb");
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(FlowReader(&self.0))
    }

    fn settle(&self) {
        self.0.flush().expect("flushing flowdb");
        let mut compactions = u64::MAX;
        // Quiet for a while means that no level is over its target.
        while std::mem::replace(&mut compactions, self.0.stats().compactions) != self.0.stats().compactions {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

struct FlowReader<'a>(&'a Engine);

impl Reader for FlowReader<'_> {
    fn get(&self, key: &[u8]) -> Option<usize> {
        self.0.get(key, None).expect("reading flowdb").map(|value| value.bytes.len())
    }

    fn scan(&self, start: &[u8], limit: usize, reverse: bool) -> (usize, usize) {
        let (range, direction) = if reverse {
            let end = std::ops::Bound::Excluded(start.to_vec());
            (ScanRange { start: std::ops::Bound::Unbounded, end }, Direction::Reverse)
        } else {
            let start = std::ops::Bound::Included(start.to_vec());
            (ScanRange { start, end: std::ops::Bound::Unbounded }, Direction::Forward)
        };
        let mut scan = self.0.scan(range, direction, None).expect("scanning flowdb");
        let (mut rows, mut bytes) = (0, 0);
        while rows < limit && scan.advance().expect("scanning flowdb") {
            rows += 1;
            bytes += scan.key().len() + scan.value().len();
        }
        (rows, bytes)
    }
}
