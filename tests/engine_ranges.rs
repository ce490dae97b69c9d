//! What range deletions cost.

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
#[test]
fn a_scan_leaps_over_a_deleted_range_in_both_directions() {
    let config = Config {
        memtable_size_bytes: 16 << 20,
        table_size_bytes: 64 << 10,
        compression: Compression::None,
        flush_interval_ms: 0,
        auto_background: false,
        ..Config::in_memory()
    };
    let engine = Engine::open(config).unwrap();
    let key = |number: u32| number.to_be_bytes();
    let mut batch = WriteBatch::new();
    (0..30_000).for_each(|number| batch.put(&key(number), &[7; 50]).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.compact_all().unwrap();
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
