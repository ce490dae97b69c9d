//! What reading costs beside many tables, in reads that are counted and not in time.

mod common;

use std::any::Any;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::watched::{Watch, Watched, is_a};
use flowdb::config::{Compression, Config};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::Result;
use flowdb::fs::SimFs;

/// What was asked of the files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Reads {
    /// Tables that were opened.
    tables_opened: u64,
    /// Reads of tables.
    table_reads: u64,
    /// Reads of any file, and their bytes.
    reads: u64,
    bytes: u64,
}

impl Reads {
    /// Numbers are written with more or fewer bytes as they are larger or smaller, so that blocks differ by a few.
    fn without_bytes(self) -> Self {
        Self { bytes: 0, ..self }
    }
}

#[derive(Default)]
struct Counts {
    tables_opened: AtomicU64,
    table_reads: AtomicU64,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Watch for Counts {
    fn opens(&self, path: &Path, is_new: bool) -> Result<Box<dyn Any + Send + Sync>> {
        self.tables_opened.fetch_add(u64::from(is_a("tbl", path) && !is_new), Ordering::Relaxed);
        Ok(Box::new(()))
    }

    fn has_read(&self, path: &Path, bytes: usize) {
        self.table_reads.fetch_add(u64::from(is_a("tbl", path)), Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Counts {
    /// What `work` reads.
    fn reads_of<T>(&self, work: impl FnOnce() -> T) -> (Reads, T) {
        let before = self.reads();
        let done = work();
        let after = self.reads();
        let reads = Reads {
            tables_opened: after.tables_opened - before.tables_opened,
            table_reads: after.table_reads - before.table_reads,
            reads: after.reads - before.reads,
            bytes: after.bytes - before.bytes,
        };
        (reads, done)
    }

    fn reads(&self) -> Reads {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Reads {
            tables_opened: count(&self.tables_opened),
            table_reads: count(&self.table_reads),
            reads: count(&self.reads),
            bytes: count(&self.bytes),
        }
    }
}

/// A simulated disk that counts what is read from it.
type CountingFs = Watched<Counts>;

fn counting() -> CountingFs {
    Watched::new(SimFs::new(), Counts::default())
}

/// How many keys a table has.
const TABLE_KEYS: u64 = 40;

fn config(bloom_bits_per_key: u8) -> Config {
    Config {
        auto_background: false,
        compression: Compression::None,
        block_size: 512,
        bloom_bits_per_key,
        ..Config::new("/db")
    }
}

fn open(config: Config, disk: &CountingFs) -> Engine {
    Engine::open_on(config, Arc::new(disk.clone())).unwrap()
}

fn key(number: u64) -> Vec<u8> {
    format!("{number:08}").into_bytes()
}

/// Writes keys to a table of their own in level 0.
fn flush_table(engine: &Engine, keys: impl Iterator<Item = u64>) {
    let mut batch = WriteBatch::new();
    keys.for_each(|number| batch.put(&key(number), &[7; 50]).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.flush().unwrap();
}

/// `tables` tables side by side, in level 0 or in level 1.
fn side_by_side(disk: &CountingFs, tables: u64, level: usize) -> Engine {
    let engine = open(config(10), disk);
    for table in 0..tables {
        let first = table * TABLE_KEYS;
        flush_table(&engine, (first..first + TABLE_KEYS).map(|number| number * 2));
        if level > 0 {
            let (start, end) = (key(first * 2), key((first + TABLE_KEYS) * 2));
            engine.compact_range(Bound::Included(&start), Bound::Excluded(&end)).unwrap();
        }
    }
    assert_eq!(engine.stats().level_tables[level], tables);
    engine
}

/// Lookups in the block cache, found or not.
fn lookups(engine: &Engine) -> u64 {
    let stats = engine.stats();
    stats.cache_hits + stats.cache_misses
}

#[test]
fn a_get_costs_the_same_however_many_tables_cant_hold_the_key() {
    for level in [0, 1] {
        let costs = [1, 10, 100].map(|tables| {
            let disk = counting();
            let engine = side_by_side(&disk, tables, level);
            // A key of the table in the middle, and one between its keys; first with nothing in memory of that table.
            let at = (tables / 2 * TABLE_KEYS + TABLE_KEYS / 2) * 2;
            [(at, true), (at, true), (at + 1, false), (at + 1, false)].map(|(number, is_there)| {
                let before = lookups(&engine);
                let (reads, found) = disk.watch.reads_of(|| engine.get(&key(number), None).unwrap());
                assert_eq!(found.is_some(), is_there);
                (reads.without_bytes(), lookups(&engine) - before)
            })
        });
        println!("level {level}: {:?}", costs[0]);

        assert_eq!(costs[0], costs[1], "level {level}, 1 table and 10");
        assert_eq!(costs[0], costs[2], "level {level}, 1 table and 100");
        let (first, _) = costs[0][0];
        assert!(first.reads > 0, "the first get reads the file: or this test counts nothing");
        let (again, _) = costs[0][1];
        assert_eq!(again, Reads::default(), "the second get reads no file");
    }
}

/// `tables` tables of level 0 that all span the same keys, in each of which every key is one that no other has.
fn overlapping(disk: &CountingFs, tables: u64, bloom_bits_per_key: u8) -> Engine {
    let engine = open(config(bloom_bits_per_key), disk);
    for table in 0..tables {
        flush_table(&engine, (0..TABLE_KEYS).map(|number| number * 1_000 + table));
    }
    assert_eq!(engine.stats().level_tables[0], tables);
    engine
}

/// Blocks looked up for 1,000 keys that are not there, but within what every table spans; everything is in memory.
fn lookups_of_misses(engine: &Engine, disk: &CountingFs) -> u64 {
    let misses =
        || (0..1_000).map(|at| key(at % (TABLE_KEYS - 1) * 1_000 + 200 + at / (TABLE_KEYS - 1) * 10));
    let get_all = || misses().for_each(|key| assert_eq!(engine.get(&key, None).unwrap(), None));
    get_all();
    let before = lookups(engine);
    let (reads, ()) = disk.watch.reads_of(get_all);
    assert_eq!(reads, Reads::default());
    lookups(engine) - before
}

#[test]
fn a_miss_in_overlapping_tables_costs_filters_and_no_blocks() {
    let counts = [1, 10, 50].map(|tables| {
        let disk = counting();
        lookups_of_misses(&overlapping(&disk, tables, 10), &disk)
    });
    println!("blocks looked up for 1,000 misses in 1, 10 and 50 overlapping tables: {counts:?}");
    for (tables, count) in [1, 10, 50].into_iter().zip(counts) {
        // A filter of ten bits lets about one key in a hundred pass, for which a block or two are looked up.
        assert!(count <= tables * 1_000 * 2 / 50, "{count} blocks for 1,000 misses in {tables} tables");
    }

    // What it is without filters, so that the test is known to count.
    let disk = counting();
    assert!(lookups_of_misses(&overlapping(&disk, 10, 0), &disk) >= 10 * 1_000);
}

#[test]
fn opening_a_get_and_the_start_of_a_scan_read_nothing_in_proportion_to_the_tables() {
    const FEW: u64 = 10;
    const MANY: u64 = 200;
    let costs = [FEW, MANY].map(|tables| {
        let disk = counting();
        side_by_side(&disk, tables, 1).close().unwrap();
        let (opening, engine) = disk.watch.reads_of(|| open(config(10), &disk));
        let middle = tables / 2 * TABLE_KEYS * 2;
        let (get, found) = disk.watch.reads_of(|| engine.get(&key(middle), None).unwrap());
        assert!(found.is_some());
        let scans = [Direction::Forward, Direction::Reverse].map(|direction| {
            let range = ScanRange { start: Bound::Included(key(6)), end: Bound::Unbounded };
            let start = || {
                let mut scan = engine.scan(range, direction, None).unwrap();
                assert!(scan.advance().unwrap());
            };
            disk.watch.reads_of(start).0.without_bytes()
        });
        (opening, get.without_bytes(), scans)
    });
    println!("reads of opening, a get, and scans, beside {FEW} tables: {:?}", costs[0]);
    println!("beside {MANY}: {:?}", costs[1]);

    let [(few_opening, ..), (many_opening, ..)] = costs;
    assert_eq!(many_opening.tables_opened, 0, "an opening opens no table");
    // The manifest says of each table where its keys begin and end, here three times: as it was flushed, moved and
    // rewritten. It is one file.
    assert_eq!(many_opening.reads, few_opening.reads);
    let per_table = (many_opening.bytes - few_opening.bytes) / (MANY - FEW);
    assert!(per_table < 512, "{per_table} bytes of the manifest for each table");
    assert_eq!(costs[0].1, costs[1].1, "a get");
    assert_eq!(costs[0].2, costs[1].2, "the start of a scan");
    assert!(costs[0].2[1].tables_opened == 1 && costs[0].1.tables_opened == 1);
}

/// Range tombstones are read with the table that has them, when a scan comes to its keys.
#[test]
fn the_first_scan_of_a_version_reads_nothing_in_proportion_to_the_tables_with_range_tombstones() {
    let costs = [10, 200].map(|tables| {
        let disk = counting();
        let engine = open(config(10), &disk);
        // What a snapshot sees can't be dropped, so the deletion stays in the table.
        let mut snapshots = Vec::new();
        for table in 0..tables {
            let first = table * TABLE_KEYS;
            flush_table(&engine, (first..first + TABLE_KEYS).map(|number| number * 2));
            snapshots.push(engine.snapshot());
            let mut batch = WriteBatch::new();
            batch.delete_range(&key(first * 2 + 4), &key(first * 2 + 8)).unwrap();
            engine.commit(batch, CommitOptions::default()).unwrap();
            let (start, end) = (key(first * 2), key((first + TABLE_KEYS) * 2));
            engine.compact_range(Bound::Included(&start), Bound::Excluded(&end)).unwrap();
        }
        assert_eq!(engine.stats().level_tables[1], tables);
        drop(snapshots);
        engine.close().unwrap();
        let engine = open(config(10), &disk);
        [Direction::Forward, Direction::Reverse].map(|direction| {
            let range = ScanRange { start: Bound::Included(key(4)), end: Bound::Unbounded };
            let start = || {
                let mut scan = engine.scan(range, direction, None).unwrap();
                assert!(scan.advance().unwrap());
                assert!(direction == Direction::Reverse || scan.key() == key(8), "the deletion is seen");
            };
            disk.watch.reads_of(start).0.without_bytes()
        })
    });
    println!("reads of the first scans beside 10 and 200 tables with range tombstones: {costs:?}");
    assert_eq!(costs[0], costs[1]);
    assert!(costs[0].iter().all(|cost| cost.tables_opened == 1));
}
