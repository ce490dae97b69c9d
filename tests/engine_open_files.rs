//! The bounds on what open tables cost: file descriptors, and memory beside the cache.

mod common;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::watched::{Watch, Watched, is_a};
use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::{Code, Error, Result};
use flowdb::fs::SimFs;

/// The files that are open, of which there are no more than the system's limit.
#[derive(Clone)]
struct Limit(Arc<Counts>);

struct Counts {
    limit: usize,
    open: AtomicUsize,
    /// Of tables that were opened for reading.
    reading: AtomicUsize,
    reading_most: AtomicUsize,
}

/// The place of one open file, counted as long as it lives.
struct Place {
    counts: Arc<Counts>,
    is_reading: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::SeqCst);
        if self.is_reading {
            self.counts.reading.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Limit {
    fn of(limit: usize) -> Self {
        let (open, reading, reading_most) = Default::default();
        Self(Arc::new(Counts { limit, open, reading, reading_most }))
    }

    fn reading_most(&self) -> usize {
        self.0.reading_most.load(Ordering::SeqCst)
    }
}

impl Watch for Limit {
    fn opens(&self, path: &Path, is_new: bool) -> Result<Box<dyn Any + Send + Sync>> {
        let counts = &self.0;
        let before = counts.open.fetch_add(1, Ordering::SeqCst);
        if before >= counts.limit {
            counts.open.fetch_sub(1, Ordering::SeqCst);
            // EMFILE, or its like on Windows.
            let code = if cfg!(windows) { 4 } else { 24 };
            return Err(Error::io("opening", path, io::Error::from_raw_os_error(code)));
        }
        let is_reading = !is_new && is_a("tbl", path);
        if is_reading {
            let reading = counts.reading.fetch_add(1, Ordering::SeqCst) + 1;
            counts.reading_most.fetch_max(reading, Ordering::SeqCst);
        }
        Ok(Box::new(Place { counts: Arc::clone(counts), is_reading }))
    }
}

/// A disk with such a limit.
type LimitedFs = Watched<Limit>;

const TABLES: usize = 200;
const KEYS_PER_TABLE: usize = 20;

/// Reads go to the files: nothing is cached.
fn config(max_open_files: usize) -> Config {
    Config {
        auto_background: false,
        block_cache_capacity_bytes: 0,
        block_size: 128,
        // No table is compacted while the database is made, and none needs to be.
        compaction_threshold: 64,
        max_open_files,
        ..Config::new("/db")
    }
}

fn key(table: usize, at: usize) -> Vec<u8> {
    format!("key {table:03} {at:03}").into_bytes()
}

fn value(table: usize, at: usize) -> Vec<u8> {
    format!("value of {table} and {at}, and more so that a table has several blocks").into_bytes()
}

/// A disk with a database of 200 tables. Compaction is off, so that level 0 keeps them all.
fn disk() -> SimFs {
    let disk = SimFs::in_memory();
    let engine = Engine::open_on(config(1000), Arc::new(disk.clone())).unwrap();
    for table in 0..TABLES {
        let mut batch = WriteBatch::new();
        (0..KEYS_PER_TABLE).for_each(|at| batch.put(&key(table, at), &value(table, at)).unwrap());
        engine.commit(batch, CommitOptions::default()).unwrap();
        engine.flush().unwrap();
    }
    assert_eq!(engine.stats().level_tables[0], TABLES as u64);
    engine.close().unwrap();
    disk
}

/// Reads everything by four threads at once, by key and in both directions, in an order of each thread's own.
fn read_everything(engine: &Engine) {
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            scope.spawn(move || {
                for step in 0..TABLES * KEYS_PER_TABLE {
                    let place = (step * [7, 11, 13, 17][thread] + thread) % (TABLES * KEYS_PER_TABLE);
                    let (table, at) = (place / KEYS_PER_TABLE, place % KEYS_PER_TABLE);
                    let found = engine.get(&key(table, at), None).unwrap();
                    assert_eq!(found.map(|found| found.bytes), Some(value(table, at)));
                }
                let direction = if thread % 2 == 0 { Direction::Forward } else { Direction::Reverse };
                let mut scan = engine.scan(ScanRange::all(), direction, None).unwrap();
                let mut rows = 0;
                while scan.advance().unwrap() {
                    let step = if thread % 2 == 0 { rows } else { TABLES * KEYS_PER_TABLE - 1 - rows };
                    assert_eq!(scan.key(), key(step / KEYS_PER_TABLE, step % KEYS_PER_TABLE));
                    assert_eq!(scan.value(), value(step / KEYS_PER_TABLE, step % KEYS_PER_TABLE));
                    rows += 1;
                }
                assert_eq!(rows, TABLES * KEYS_PER_TABLE);
            });
        }
    });
}

#[test]
fn two_hundred_tables_are_read_right_with_eight_open_files() {
    let fs = LimitedFs::new(disk(), Limit::of(usize::MAX));
    let engine = Engine::open_on(config(8), Arc::new(fs.clone())).unwrap();

    read_everything(&engine);

    assert!(fs.watch.reading_most() <= 8, "{} files were open at once", fs.watch.reading_most());
    assert!(engine.stats().open_files <= 8, "{:?}", engine.stats());
    engine.verify().unwrap();
    engine.compact_all().unwrap();
    assert!(fs.watch.reading_most() <= 8, "{} files were open at once", fs.watch.reading_most());
    read_everything(&engine);
}

#[test]
fn a_database_lives_with_the_limit_of_its_process() {
    let fs = LimitedFs::new(disk(), Limit::of(64));
    let engine = Engine::open_on(config(1000), Arc::new(fs.clone())).unwrap();

    read_everything(&engine);

    assert!(engine.stats().open_files < 64, "some were left to others: {:?}", engine.stats());
    // What opens other files finds room too.
    let mut batch = WriteBatch::new();
    batch.put(b"more", b"value").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.compact_all().unwrap();
    engine.checkpoint(Path::new("/copy")).unwrap();
    engine.close().unwrap();
}

#[test]
fn a_process_without_any_file_left_gives_a_typed_error_and_works_again_later() {
    let fs = LimitedFs::new(disk(), Limit::of(32));
    let engine = Engine::open_on(config(1000), Arc::new(fs.clone())).unwrap();
    // Others in the process have taken all.
    fs.watch.0.open.fetch_add(32, Ordering::SeqCst);

    let error = engine.get(&key(3, 3), None).unwrap_err();

    assert_eq!(error.code(), Code::Io, "{error:?}");
    assert!(error.message().contains("/db/"), "{error:?}");
    fs.watch.0.open.fetch_sub(32, Ordering::SeqCst);
    read_everything(&engine);
}

#[test]
fn what_tables_pin_stays_within_its_budget_and_they_are_read_all_the_same() {
    let disk = disk();
    let pinned = |budget: usize, cache: usize| {
        let config =
            Config { index_memory_budget_bytes: budget, block_cache_capacity_bytes: cache, ..config(1000) };
        let engine = Engine::open_on(config, Arc::new(disk.clone())).unwrap();
        read_everything(&engine);
        let stats = engine.stats();
        engine.close().unwrap();
        stats.pinned_bytes
    };

    let all = pinned(1 << 30, 1 << 20);

    assert!(all >= TABLES as u64 * 50, "{all} bytes for all");
    let half = pinned(all as usize / 2, 1 << 20);
    assert!(half > 0 && half <= all / 2, "{half} of {all} bytes");
    assert_eq!(pinned(0, 1 << 20), 0);
    assert_eq!(pinned(0, 0), 0);
}
