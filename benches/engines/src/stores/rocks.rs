//! RocksDB with LZ4 on every level, whole-key bloom filters, and index and filter blocks in the cache as ours are.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Direction, IteratorMode, Options, WriteBatch,
    WriteOptions,
};

use super::{BLOOM_BITS, MEMTABLE_BYTES, Reader, Store};

pub struct Rocks(DB);

impl Rocks {
    pub fn open(dir: &Path, cache_bytes: usize) -> Self {
        let mut table = BlockBasedOptions::default();
        table.set_bloom_filter(f64::from(BLOOM_BITS), false);
        table.set_block_cache(&Cache::new_lru_cache(cache_bytes));
        table.set_cache_index_and_filter_blocks(true);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(MEMTABLE_BYTES);
        options.set_block_based_table_factory(&table);
        Self(DB::open(&options, dir).expect("opening rocksdb"))
    }
}

impl Store for Rocks {
    fn write(&self, entries: &[(Vec<u8>, Vec<u8>)], sync: bool) {
        let mut batch = WriteBatch::default();
        for (key, value) in entries {
            batch.put(key, value);
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.0.write_opt(&batch, &options).expect("writing to rocksdb");
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(RocksReader(&self.0))
    }

    fn settle(&self) {
        self.0.flush().expect("flushing rocksdb");
        self.0.wait_for_compact(&rocksdb::WaitForCompactOptions::default()).expect("waiting for rocksdb");
    }
}

struct RocksReader<'a>(&'a DB);

impl Reader for RocksReader<'_> {
    fn get(&self, key: &[u8]) -> Option<usize> {
        self.0.get_pinned(key).expect("reading rocksdb").map(|value| value.len())
    }

    fn scan(&self, start: &[u8], limit: usize, reverse: bool) -> (usize, usize) {
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        let mut rows = self.0.raw_iterator();
        match IteratorMode::From(start, direction) {
            IteratorMode::From(start, Direction::Forward) => rows.seek(start),
            _ => {
                rows.seek_for_prev(start);
                if rows.key() == Some(start) {
                    rows.prev();
                }
            }
        }
        let (mut count, mut bytes) = (0, 0);
        while count < limit && rows.valid() {
            count += 1;
            bytes += rows.key().map_or(0, <[u8]>::len) + rows.value().map_or(0, <[u8]>::len);
            if reverse { rows.prev() } else { rows.next() }
        }
        (count, bytes)
    }
}
