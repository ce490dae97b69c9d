//! What a database does with level 0 when nobody writes, and what it leaves.

mod common;

use std::sync::Arc;

use common::Random;
use flowdb::config::{Compression, Config};
use flowdb::engine::{CommitOptions, CompactionKind, Engine, WriteBatch};
use flowdb::fs::SimFs;

fn config() -> Config {
    Config {
        memtable_size_bytes: 256 << 10,
        table_size_bytes: 32 << 10,
        level_size_bytes: 64 << 10,
        block_size: 1024,
        compression: Compression::None,
        auto_background: false,
        ..Config::new("/db")
    }
}

fn put(engine: &Engine, key: u64, value: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(format!("key {key:06}").as_bytes(), value).unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
}

fn random_value(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.below(256) as u8).collect()
}

fn rest(engine: &Engine) {
    while engine.run_pending_when_quiet().unwrap() {}
}

/// A large table that stays in level 0, and a program that writes a little and rests, again and again.
#[test]
fn a_little_that_is_written_between_quiet_times_has_no_large_table_written_anew() {
    let engine = Engine::open_on(config(), Arc::new(SimFs::new())).unwrap();
    let mut random = Random::new(1);
    (0..4_000).for_each(|key| put(&engine, key, &random_value(&mut random, 100)));
    engine.flush().unwrap();
    engine.compact_all().unwrap();
    (0..1_700).for_each(|_| put(&engine, random.below(4_000), &random_value(&mut random, 100)));
    engine.flush().unwrap();
    rest(&engine);
    let before = engine.stats();
    assert!(before.level_bytes[0] > 100 << 10, "{:?}", before.level_bytes);

    for _ in 0..8 {
        put(&engine, random.below(4_000), &random_value(&mut random, 100));
        engine.flush().unwrap();
        rest(&engine);
    }

    let after = engine.stats();
    assert_eq!(after.compacted_bytes, before.compacted_bytes, "{:?}", after.level_tables);
}

/// A merge within level 0 drops what was overwritten, and with it what leads to its value.
#[test]
fn values_that_merges_within_level_0_leave_behind_give_their_space_back() {
    let config = Config {
        value_threshold_bytes: 500,
        value_file_size_bytes: 32 << 10,
        level_size_bytes: 16 << 10,
        ..config()
    };
    let engine = Engine::open_on(config, Arc::new(SimFs::new())).unwrap();
    (0..4_000).for_each(|key| put(&engine, key, &[7; 20]));
    engine.flush().unwrap();
    engine.compact_all().unwrap();
    let mut random = Random::new(1);
    for round in 0..10 {
        for key in (0..150).map(|key| key * 20) {
            if round == 0 || random.below(10) < 3 {
                put(&engine, key, &random_value(&mut random, 1_000));
            }
        }
        engine.flush().unwrap();
    }

    rest(&engine);

    let stats = engine.stats();
    assert!(stats.compactions_of(CompactionKind::WithinLevel0) > 0);
    let garbage = stats.value_file_bytes - stats.value_file_live_bytes;
    let at_most = stats.value_file_live_bytes + stats.table_bytes();
    assert!(garbage <= at_most, "{garbage} bytes of garbage, {at_most} of values and tables");
}
