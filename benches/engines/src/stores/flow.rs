//! FlowDB's engine. Without sync, the log is with the operating system when a write returns, as in the others.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};

use super::{BLOOM_BITS, MEMTABLE_BYTES, Reader, Rows, Scan, Seen, Setup, Store};
use crate::data::Entries;

pub struct Flow {
    engine: Engine,
    dir: PathBuf,
}

impl Flow {
    pub fn open(dir: &Path, setup: Setup) -> Self {
        let config = Config {
            // The longest interval: the others never sync what is written without.
            wal_sync_mode: SyncMode::Interval(60_000),
            memtable_size_bytes: MEMTABLE_BYTES,
            block_cache_capacity_bytes: setup.cache_bytes,
            bloom_bits_per_key: BLOOM_BITS,
            ..Config::new(dir)
        };
        let engine = Engine::open(config).expect("opening flowdb");
        Self { engine, dir: dir.to_path_buf() }
    }

    fn commit(&self, batch: WriteBatch, sync: bool) {
        let sync = sync.then_some(SyncMode::Always);
        self.engine.commit(batch, CommitOptions { sync, check: None }).expect("writing to flowdb");
    }
}

impl Store for Flow {
    fn write(&self, entries: Entries<'_>, sync: bool) {
        let mut batch = WriteBatch::new();
        for (key, value) in entries.iter() {
            batch.put(key, value).expect("a small entry");
        }
        self.commit(batch, sync);
    }

    fn delete(&self, entries: Entries<'_>) {
        let mut batch = WriteBatch::new();
        for (key, _) in entries.iter() {
            batch.delete(key).expect("a small entry");
        }
        self.commit(batch, false);
    }

    fn delete_range(&self, start: &[u8], end: &[u8]) -> bool {
        let mut batch = WriteBatch::new();
        batch.delete_range(start, end).expect("a small entry");
        self.commit(batch, false);
        true
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(FlowReader(&self.engine))
    }

    fn settle(&self) {
        self.engine.flush().expect("flushing flowdb");
        super::wait_until_quiet(&self.dir, || self.engine.stats().compactions);
    }

    fn compact_all(&self) -> bool {
        self.engine.compact_all().expect("compacting flowdb");
        true
    }

    fn close(self: Box<Self>) {
        self.engine.close().expect("closing flowdb");
    }
}

struct FlowReader<'a>(&'a Engine);

impl Reader for FlowReader<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Seen> {
        self.0.get_with(key, None, |value| Seen::of(value.bytes)).expect("reading flowdb")
    }

    fn scan(&mut self, scan: Scan<'_>) -> Rows {
        let range = ScanRange {
            start: scan.start.map_or(Bound::Unbounded, |start| Bound::Included(start.to_vec())),
            end: scan.end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_vec())),
        };
        let direction = if scan.reverse { Direction::Reverse } else { Direction::Forward };
        let mut cursor = self.0.scan(range, direction, None).expect("scanning flowdb");
        let mut rows = Rows::default();
        while rows.rows < scan.limit && cursor.advance().expect("scanning flowdb") {
            let row = cursor.row();
            rows.add(row.key, row.value);
        }
        rows
    }
}
