//! What is asked about ranges of keys beside their rows: compacting them, and how large they are.
//!
//! `FLOWDB_SEED=n` replays one history.

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use common::trials::{SeedReport, seeds};
use common::{Random, tiny_config};
use flowdb::clock::ManualClock;
use flowdb::config::{Compression, Config};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, Snapshot, WriteBatch};
use flowdb::error::Code;
use flowdb::fs::SimFs;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

const BLOCK: u64 = 1 << 10;

/// Tables of 16 KiB with blocks of 1 KiB, uncompressed, so that sizes can be told from the data.
fn config() -> Config {
    Config {
        auto_background: false,
        memtable_size_bytes: 64 << 10,
        table_size_bytes: 16 << 10,
        block_size: BLOCK as usize,
        level_size_bytes: 64 << 10,
        compression: Compression::None,
        ..Config::new("/db")
    }
}

fn create(config: &Config) -> Engine {
    Engine::open_on(config.clone(), Arc::new(SimFs::new())).unwrap()
}

fn key(number: u64) -> Vec<u8> {
    format!("{number:06}").into_bytes()
}

fn put(engine: &Engine, numbers: impl Iterator<Item = u64>, value: &[u8]) {
    let mut batch = WriteBatch::new();
    numbers.for_each(|number| batch.put(&key(number), value).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
}

fn delete(engine: &Engine, numbers: impl Iterator<Item = u64>) {
    let mut batch = WriteBatch::new();
    numbers.for_each(|number| batch.delete(&key(number)).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
}

fn read_all(engine: &Engine, snapshot: Option<&Snapshot>) -> State {
    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, snapshot).unwrap();
    let mut state = State::new();
    while scan.advance().unwrap() {
        state.insert(scan.key().to_vec(), scan.value().to_vec());
    }
    state
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn size(engine: &Engine, from: u64, to: u64) -> u64 {
    engine.approximate_size(Bound::Included(&key(from)), Bound::Excluded(&key(to))).unwrap()
}

fn whole_size(engine: &Engine) -> u64 {
    engine.approximate_size(Bound::Unbounded, Bound::Unbounded).unwrap()
}

#[test]
fn compacting_a_range_gives_back_what_was_deleted_there_and_leaves_the_rest_alone() {
    let engine = create(&config());
    put(&engine, 0..2_000, &[7; 100]);
    engine.compact_all().unwrap();
    delete(&engine, 0..500);
    delete(&engine, 1_500..2_000);
    engine.flush().unwrap();
    let (before, written) = (whole_size(&engine), engine.stats().compacted_bytes);

    engine.compact_range(Bound::Unbounded, Bound::Excluded(&key(500))).unwrap();

    assert!(size(&engine, 0, 500) <= BLOCK + 200, "{} bytes of what was deleted", size(&engine, 0, 500));
    // The tombstones of both ends were in one table, and went down together.
    let rewritten = engine.stats().compacted_bytes - written;
    assert!(rewritten < before, "{rewritten} bytes were written to compact a quarter of {before}");
    assert_eq!(read_all(&engine, None).len(), 1_000);
    let quiet = engine.stats().compacted_bytes;
    engine.compact_range(Bound::Included(b"x"), Bound::Unbounded).unwrap();
    engine.compact_range(Bound::Included(&key(9)), Bound::Excluded(&key(3))).unwrap();
    assert_eq!(engine.stats().compacted_bytes, quiet, "there is nothing in these ranges");
}

#[test]
fn compacting_any_range_changes_no_answer() {
    for seed in seeds(300) {
        let _report = SeedReport(seed);
        let mut random = Random::new(seed);
        let engine = create(&tiny_config(&mut random, Arc::new(ManualClock::new(1_000))));
        let mut state = State::new();
        let mut snapshots = Vec::new();
        for _ in 0..12 {
            let mut batch = WriteBatch::new();
            for _ in 0..random.below(60) {
                let number = random.below(80);
                match random.below(12) {
                    0 => {
                        let end = key(random.below(80));
                        batch.delete_range(&key(number), &end).unwrap();
                        state.retain(|other, _| !(key(number) <= *other && *other < end));
                    }
                    1..4 => {
                        batch.delete(&key(number)).unwrap();
                        state.remove(&key(number));
                    }
                    _ => {
                        let value = vec![random.next() as u8; random.below(300) as usize];
                        batch.put(&key(number), &value).unwrap();
                        state.insert(key(number), value);
                    }
                }
            }
            engine.commit(batch, CommitOptions::default()).unwrap();
            if random.one_in(2) {
                engine.flush().unwrap();
            }
            if random.one_in(3) {
                engine.run_pending().unwrap();
            }
            if random.one_in(4) {
                snapshots.push((engine.snapshot(), state.clone()));
            }
            if random.one_in(5) && !snapshots.is_empty() {
                snapshots.remove(0);
            }
            let keys = [key(random.below(80)), key(random.below(80))];
            let [start, end] = keys.each_ref().map(|key| match random.below(3) {
                0 => Bound::Unbounded,
                1 => Bound::Included(key.as_slice()),
                _ => Bound::Excluded(key.as_slice()),
            });
            engine.compact_range(start, end).unwrap();

            assert_eq!(read_all(&engine, None), state, "{start:?} {end:?}");
            for (snapshot, expected) in &snapshots {
                assert_eq!(&read_all(&engine, Some(snapshot)), expected, "{start:?} {end:?}");
            }
        }
        engine.verify().unwrap();
    }
}

#[test]
fn the_size_of_a_range_is_right_to_a_block_and_the_index_at_each_end() {
    let engine = create(&config());
    put(&engine, 0..5_000, &[7; 100]);
    engine.compact_all().unwrap();
    let whole = whole_size(&engine);
    assert_eq!(whole, engine.stats().table_bytes());
    assert!(engine.stats().level_tables.iter().sum::<u64>() > 20);
    let each = whole as f64 / 5_000.0;
    // Of a table of 16 KiB, filter, index and footer have less than a tenth.
    let error_max = (2 * (BLOCK + 1_600)) as f64;

    let mut random = Random::new(5);
    for _ in 0..500 {
        let (from, to) = (random.below(5_000), random.below(5_000));
        let expected = to.saturating_sub(from) as f64 * each;
        let found = size(&engine, from, to) as f64;
        assert!((found - expected).abs() <= error_max, "{from}..{to}: {found} instead of {expected}");
    }
    assert_eq!(size(&engine, 5_000, 9_000), 0);
    assert_eq!(size(&engine, 0, 9_000), whole);
}

#[test]
fn the_sizes_of_adjoining_ranges_add_up() {
    for seed in seeds(60) {
        let _report = SeedReport(seed);
        let mut random = Random::new(seed);
        let engine = create(&tiny_config(&mut random, Arc::new(ManualClock::new(1_000))));
        for _ in 0..6 {
            put(&engine, (0..40).map(|_| random.below(300)), &[1; 90]);
            let mut batch = WriteBatch::new();
            batch.delete_range(&key(random.below(300)), &key(random.below(300))).unwrap();
            engine.commit(batch, CommitOptions::default()).unwrap();
            engine.flush().unwrap();
            engine.run_pending().unwrap();
        }
        let mut cuts: Vec<u64> = (0..8).map(|_| random.below(320)).collect();
        cuts.sort_unstable();
        for is_behind in [false, true] {
            let mut start = Bound::Unbounded;
            let mut sum = 0;
            for cut in &cuts {
                let cut = key(*cut);
                let end = if is_behind { Bound::Included(cut.clone()) } else { Bound::Excluded(cut.clone()) };
                sum += engine.approximate_size(as_slice(&start), as_slice(&end)).unwrap();
                start = if is_behind { Bound::Excluded(cut) } else { Bound::Included(cut) };
            }
            sum += engine.approximate_size(as_slice(&start), Bound::Unbounded).unwrap();
            let stats = engine.stats();
            assert_eq!(sum, stats.table_bytes() + stats.value_file_live_bytes);
        }
    }
}

#[test]
fn a_closed_database_has_no_sizes_and_compacts_nothing() {
    let engine = create(&config());
    engine.close().unwrap();
    let size = engine.approximate_size(Bound::Unbounded, Bound::Unbounded);
    assert_eq!(size.unwrap_err().code(), Code::Closed);
    let compacted = engine.compact_range(Bound::Unbounded, Bound::Unbounded);
    assert_eq!(compacted.unwrap_err().code(), Code::Closed);
}
