//! RocksDB with LZ4 on every level, whole-key filters, and index and filter blocks in the cache as ours are, but for a
//! cache far smaller than the data, which they would fill. Tuned, it has in addition what its guides advise for point
//! reads and for writing on two cores.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, DB, DBCompressionType,
    DBRawIterator, DataBlockIndexType, Options, ReadOptions, WaitForCompactOptions, WriteBatch, WriteOptions,
};

use super::{BLOOM_BITS, MEMTABLE_BYTES, Reader, Rows, Scan, Seen, Setup, Store};
use crate::data::Entries;

pub struct Rocks {
    db: DB,
    unsynced: WriteOptions,
    synced: WriteOptions,
}

impl Rocks {
    pub fn open(dir: &Path, setup: Setup, tuned: bool) -> Self {
        let mut table = BlockBasedOptions::default();
        table.set_bloom_filter(f64::from(BLOOM_BITS), false);
        table.set_cache_index_and_filter_blocks(!setup.short_cache);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(MEMTABLE_BYTES);
        if tuned {
            tune(&mut options, &mut table, setup);
        } else {
            table.set_block_cache(&Cache::new_lru_cache(setup.cache_bytes));
        }
        options.set_block_based_table_factory(&table);
        let db = DB::open(&options, dir).expect("opening rocksdb");
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Self { db, unsynced: WriteOptions::default(), synced }
    }

    fn options(&self, sync: bool) -> &WriteOptions {
        if sync { &self.synced } else { &self.unsynced }
    }
}

fn tune(options: &mut Options, table: &mut BlockBasedOptions, setup: Setup) {
    table.set_block_cache(&Cache::new_hyper_clock_cache(setup.cache_bytes, 0));
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_optimize_filters_for_memory(true);
    options.set_max_background_jobs(4);
    options.set_max_write_buffer_number(4);
    options.set_memtable_prefix_bloom_ratio(0.1);
    options.set_memtable_whole_key_filtering(true);
    options.set_enable_pipelined_write(true);
    options.set_bytes_per_sync(1 << 20);
}

impl Store for Rocks {
    fn write(&self, entries: Entries<'_>, sync: bool) {
        let options = self.options(sync);
        if entries.len() == 1 {
            for (key, value) in entries.iter() {
                self.db.put_opt(key, value, options).expect("writing to rocksdb");
            }
            return;
        }
        let mut batch = WriteBatch::with_capacity_bytes(entries.bytes() + entries.len() * 8);
        for (key, value) in entries.iter() {
            batch.put(key, value);
        }
        self.db.write_opt(batch, options).expect("writing to rocksdb");
    }

    fn delete(&self, entries: Entries<'_>) {
        let mut batch = WriteBatch::default();
        for (key, _) in entries.iter() {
            batch.delete(key);
        }
        self.db.write_opt(batch, &self.unsynced).expect("deleting from rocksdb");
    }

    fn delete_range(&self, start: &[u8], end: &[u8]) -> bool {
        let mut batch = WriteBatch::default();
        batch.delete_range(start, end);
        self.db.write_opt(batch, &self.unsynced).expect("deleting from rocksdb");
        true
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(RocksReader { db: &self.db, rows: None })
    }

    fn settle(&self) {
        self.db.flush().expect("flushing rocksdb");
        self.db.wait_for_compact(&WaitForCompactOptions::default()).expect("waiting for rocksdb");
    }

    fn compact_all(&self) -> bool {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        true
    }

    fn close(self: Box<Self>) {}
}

struct RocksReader<'a> {
    db: &'a DB,
    /// Used again for every scan that has no bounds to give.
    rows: Option<DBRawIterator<'a>>,
}

impl Reader for RocksReader<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Seen> {
        self.db.get_pinned(key).expect("reading rocksdb").map(|value| Seen::of(&value))
    }

    fn scan(&mut self, scan: Scan<'_>) -> Rows {
        // Its documentation advises a bound for scans that have an end. It has to be given when the iterator is made.
        if let (false, Some(end)) = (scan.reverse, scan.end) {
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound(end);
            return walk(&mut self.db.raw_iterator_opt(options), scan);
        }
        walk(self.rows.get_or_insert_with(|| self.db.raw_iterator()), scan)
    }
}

fn walk(cursor: &mut DBRawIterator<'_>, scan: Scan<'_>) -> Rows {
    match (scan.reverse, scan.start, scan.end) {
        (false, None, _) => cursor.seek_to_first(),
        (false, Some(start), _) => cursor.seek(start),
        (true, _, None) => cursor.seek_to_last(),
        (true, _, Some(end)) => {
            cursor.seek_for_prev(end);
            if cursor.key() == Some(end) {
                cursor.prev();
            }
        }
    }
    let mut rows = Rows::default();
    while rows.rows < scan.limit
        && let Some((key, value)) = cursor.item()
    {
        rows.add(key, value);
        if scan.reverse { cursor.prev() } else { cursor.next() }
    }
    cursor.status().expect("scanning rocksdb");
    rows
}
