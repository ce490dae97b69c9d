//! What range deletions cost.

use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Engine, WriteBatch};

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
