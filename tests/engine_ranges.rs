//! What range deletions cost.

use std::ops::Bound;

use flowdb::config::{Compression, Config};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};

/// Each deletion covers all before it; kept apart for every pair of them, they would fill the memory and the disk.
#[test]
fn a_queue_that_is_cut_at_its_front_again_and_again_stays_small() {
    let engine = Engine::open(Config { auto_background: false, ..Config::in_memory() }).unwrap();
    let snapshot_at = 1_000;
    let mut snapshot = None;
    for number in 0..6_000u32 {
        let mut batch = WriteBatch::new();
        batch.put(&number.to_be_bytes(), b"value").unwrap();
        batch.delete_range(b"", &number.to_be_bytes()).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        if number == snapshot_at {
            snapshot = Some(engine.snapshot());
        }
    }
    assert!(engine.stats().frozen_memtables > 0, "what the fragments take counts: {:?}", engine.stats());

    engine.compact_all().unwrap();

    let stats = engine.stats();
    assert!(stats.flushed_bytes < 4 << 20, "{stats:?}");
    let is_there = |number: u32, at| engine.get(&number.to_be_bytes(), at).unwrap().is_some();
    assert!(is_there(5_999, None) && !is_there(5_998, None) && !is_there(snapshot_at, None));
    assert!(is_there(snapshot_at, snapshot.as_ref()) && !is_there(snapshot_at - 1, snapshot.as_ref()));
}

/// What lies in a deleted range and has not yet been compacted away costs a scan a leap, not a walk.
fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// 30,000 keys in many small tables of one level.
fn many_tables() -> Engine {
    let config = Config {
        memtable_size_bytes: 16 << 20,
        table_size_bytes: 64 << 10,
        compression: Compression::None,
        flush_interval_ms: 0,
        auto_background: false,
        ..Config::in_memory()
    };
    let engine = Engine::open(config).unwrap();
    let mut batch = WriteBatch::new();
    (0..30_000).for_each(|number| batch.put(&key(number), &[7; 50]).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.compact_all().unwrap();
    engine
}

#[test]
fn a_scan_leaps_over_a_deleted_range_in_both_directions() {
    let engine = many_tables();
    let tables: u64 = engine.stats().level_tables.iter().sum();
    assert!(tables > 10, "the hole must span tables: {tables}");
    let mut batch = WriteBatch::new();
    batch.delete_range(&key(10), &key(29_990)).unwrap();
    batch.put(&key(15_000), b"newer").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();

    for direction in [Direction::Forward, Direction::Reverse] {
        let read = || engine.stats().cache_hits + engine.stats().cache_misses;
        let before = read();
        let mut scan = engine.scan(ScanRange::all(), direction, None).unwrap();
        let mut keys = Vec::new();
        while scan.advance().unwrap() {
            keys.push(scan.key().to_vec());
        }
        if direction == Direction::Reverse {
            keys.reverse();
        }
        let left = (0..10).chain([15_000]).chain(29_990..30_000);
        assert_eq!(keys, left.map(|number| key(number).to_vec()).collect::<Vec<_>>(), "{direction:?}");
        let blocks = read() - before;
        assert!(blocks < 30, "{direction:?}: {blocks} blocks for 21 rows");
    }
}

/// A seek into a hole that many deletions have made goes to its end at once, in both directions.
#[test]
fn a_seek_into_a_deleted_range_costs_the_same_however_many_deletions_made_it() {
    let costs = [1, 10, 1_000].map(|deletions| {
        let engine = many_tables();
        let mut batch = WriteBatch::new();
        let part = 20_000 / deletions;
        (0..deletions)
            .map(|at| 5_000 + at * part)
            .for_each(|from| batch.delete_range(&key(from), &key(from + part)).unwrap());
        batch.put(&key(10_000), b"newer").unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();

        let blocks = || engine.stats().cache_hits + engine.stats().cache_misses;
        let seek = |start: Bound<u32>, end: Bound<u32>, direction| {
            let before = blocks();
            let (start, end) =
                (start.map(|number| key(number).to_vec()), end.map(|number| key(number).to_vec()));
            let mut scan = engine.scan(ScanRange { start, end }, direction, None).unwrap();
            assert!(scan.advance().unwrap());
            let found = u32::from_be_bytes(scan.key().try_into().unwrap());
            (found, blocks() - before)
        };
        use Bound::{Excluded, Included, Unbounded};
        let seeks = [
            (seek(Included(10_001), Unbounded, Direction::Forward), 25_000),
            (seek(Excluded(10_000), Unbounded, Direction::Forward), 25_000),
            (seek(Included(24_999), Unbounded, Direction::Forward), 25_000),
            (seek(Unbounded, Included(9_999), Direction::Reverse), 4_999),
            (seek(Unbounded, Excluded(10_000), Direction::Reverse), 4_999),
            (seek(Unbounded, Excluded(5_001), Direction::Reverse), 4_999),
        ];
        for ((found, blocks), expected) in seeks {
            assert_eq!(found, expected, "{deletions} deletions");
            assert!(blocks <= 4, "{blocks} blocks for a seek to {expected} with {deletions} deletions");
        }
        for direction in [Direction::Forward, Direction::Reverse] {
            assert_eq!(seek(Included(5_000), Excluded(25_000), direction).0, 10_000, "the newer row");
        }
        seeks.map(|((_, blocks), _)| blocks)
    });
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}

/// A snapshot between two deletions sees the hole of the first and not that of the second beside it.
#[test]
fn a_snapshot_sees_the_holes_of_its_time() {
    let engine = Engine::open(Config { auto_background: false, ..Config::in_memory() }).unwrap();
    let mut batch = WriteBatch::new();
    (0..30u8).for_each(|number| batch.put(&[number], b"value").unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.compact_all().unwrap();
    let delete = |from: u8, to: u8| {
        let mut batch = WriteBatch::new();
        batch.delete_range(&[from], &[to]).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
    };
    delete(5, 10);
    let snapshot = engine.snapshot();
    delete(10, 20);
    let check = || {
        for direction in [Direction::Forward, Direction::Reverse] {
            for (at, hole) in [(Some(&snapshot), 5..10), (None, 5..20)] {
                for start in 0..30 {
                    let range = ScanRange::between([start], [30]);
                    let mut scan = engine.scan(range, direction, at).unwrap();
                    let mut keys = Vec::new();
                    while scan.advance().unwrap() {
                        keys.push(scan.key()[0]);
                    }
                    keys.sort_unstable();
                    let left: Vec<u8> = (start..30).filter(|number| !hole.contains(number)).collect();
                    assert_eq!(keys, left, "{direction:?} from {start}");
                }
            }
        }
    };
    check();
    engine.flush().unwrap();
    check();
    engine.compact_all().unwrap();
    check();
}
