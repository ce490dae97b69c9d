//! The crate `flowdb` 0.8.3, as a map: its records have a time besides their key, which is 0 here.

use std::ops::Bound;
use std::path::Path;

use flowdb_083::{Config, Engine, Record, ScanRange, SyncMode};

use super::{BLOOM_BITS, MEMTABLE_BYTES, Reader, Rows, Scan, Seen, Setup, Store};
use crate::data::Entries;

pub struct Flow083(Engine);

impl Flow083 {
    pub fn open(dir: &Path, setup: Setup) -> Self {
        let config = Config {
            data_dir: dir.to_path_buf(),
            memtable_size_mb: MEMTABLE_BYTES >> 20,
            block_cache_capacity_mb: (setup.cache_bytes >> 20).max(1),
            bloom_bits_per_key: usize::from(BLOOM_BITS),
            // A memtable is flushed when it is full, as in the others, and not each second.
            flush_interval_ms: 60_000,
            wal_sync_mode: if setup.synced { SyncMode::Always } else { SyncMode::IntervalMs(60_000) },
            ..Config::default()
        };
        Self(Engine::open(config).expect("opening flowdb 0.8.3"))
    }
}

fn text(key: &[u8]) -> &str {
    std::str::from_utf8(key).expect("keys are digits")
}

impl Store for Flow083 {
    fn write(&self, entries: Entries<'_>, _sync: bool) {
        let records = entries.iter().map(|(key, value)| Record::new(key, 0, value.to_vec())).collect();
        self.0.write_batch_owned(records).expect("writing to flowdb 0.8.3");
    }

    fn delete(&self, entries: Entries<'_>) {
        let keys: Vec<_> = entries.iter().map(|(key, _)| (text(key).to_owned(), 0)).collect();
        self.0.delete_batch(&keys).expect("deleting from flowdb 0.8.3");
    }

    fn delete_range(&self, start: &[u8], end: &[u8]) -> bool {
        self.0.delete_range(text(start), text(end)).expect("deleting from flowdb 0.8.3");
        true
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(Flow083Reader(&self.0))
    }

    fn settle(&self) {
        self.0.flush().expect("flushing flowdb 0.8.3");
    }

    fn compact_all(&self) -> bool {
        self.0.flush().expect("flushing flowdb 0.8.3");
        while self.0.trigger_compaction().expect("compacting flowdb 0.8.3") {}
        true
    }

    fn scans_backwards(&self) -> bool {
        false
    }

    fn close(self: Box<Self>) {
        self.0.shutdown().expect("closing flowdb 0.8.3");
    }
}

struct Flow083Reader<'a>(&'a Engine);

impl Reader for Flow083Reader<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Seen> {
        self.0.get(text(key), 0).expect("reading flowdb 0.8.3").map(|record| Seen::of(&record.value))
    }

    fn scan(&mut self, scan: Scan<'_>) -> Rows {
        // It knows no bound but both. No key is above "~".
        let range = ScanRange {
            key_start: Bound::Included(scan.start.unwrap_or_default().to_vec()),
            key_end: Bound::Excluded(scan.end.unwrap_or(b"~").to_vec()),
            ..ScanRange::all()
        };
        let mut rows = Rows::default();
        let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
        for record in self.0.scan(range).expect("scanning flowdb 0.8.3").take(limit) {
            let record = record.expect("scanning flowdb 0.8.3");
            rows.add(&record.key, &record.value);
        }
        rows
    }
}
