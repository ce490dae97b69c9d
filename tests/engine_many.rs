//! Reads of many keys at once: that they are those of each key, and all of one moment.

mod common;

use std::sync::Arc;

use common::trials::{SeedReport, seeds};
use common::{Random, tiny_config};
use flowdb::clock::{Clock, ManualClock};
use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Engine, TRY_GET_BYTES_MAX, TryGet, WriteBatch};
use flowdb::fs::SimFs;

fn key(number: u64) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn put(engine: &Engine, key: &[u8], value: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(key, value).unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
}

/// What there is of each key, as bytes.
fn read_many(engine: &Engine, keys: &[Vec<u8>]) -> Vec<TryGet<Vec<u8>>> {
    let mut found = Vec::new();
    engine
        .try_get_many_with(
            keys.len(),
            |place| &keys[place],
            |place, given| {
                assert_eq!(place, found.len(), "in the order of the keys, each once");
                found.push(match given {
                    TryGet::Found(value) => TryGet::Found(value.bytes.to_vec()),
                    TryGet::Missing => TryGet::Missing,
                    TryGet::NeedsIo => TryGet::NeedsIo,
                });
            },
        )
        .unwrap();
    found
}

fn change(engine: &Engine, random: &mut Random, clock: &ManualClock) {
    let mut batch = WriteBatch::new();
    for _ in 0..1 + random.below(8) {
        let number = random.below(200);
        match random.below(12) {
            0 => batch.delete_range(&key(number), &key(number + random.below(30))).unwrap(),
            1 | 2 => batch.delete(&key(number)).unwrap(),
            3 => batch.put_expiring(&key(number), b"for a while", clock.now_ms() + random.below(50)).unwrap(),
            _ => batch.put(&key(number), &vec![number as u8; random.below(300) as usize]).unwrap(),
        }
    }
    engine.commit(batch, CommitOptions::default()).unwrap();
}

/// Memtables, tables of every level with and without filters and caches, deletions, values apart: however the engine is,
/// the keys are told from each other.
#[test]
fn many_keys_are_read_as_each_of_them_is_read_alone() {
    for seed in seeds(60) {
        let _report = SeedReport(seed);
        let mut random = Random::new(seed);
        let clock = Arc::new(ManualClock::new(1_000));
        let config = tiny_config(&mut random, Arc::clone(&clock));
        let engine = Engine::open_on(config, Arc::new(SimFs::in_memory())).unwrap();
        for _ in 0..60 {
            for _ in 0..random.below(8) {
                change(&engine, &mut random, &clock);
            }
            match random.below(6) {
                0 => engine.flush().unwrap(),
                1 => _ = engine.run_pending().unwrap(),
                2 => clock.set(clock.now_ms() + random.below(40)),
                _ => {}
            }
            let keys: Vec<_> = (0..random.below(70)).map(|_| key(random.below(210))).collect();
            // From the first reading on, what was read is in memory.
            let alone = keys.iter().map(|key| match engine.get(key, None).unwrap() {
                Some(value) => TryGet::Found(value.bytes),
                None => TryGet::Missing,
            });
            let alone: Vec<_> = alone.collect();

            for _ in 0..2 {
                assert_eq!(read_many(&engine, &keys), alone);
            }
        }
    }
}

#[test]
fn many_keys_are_read_as_of_one_moment_whatever_is_committed_meanwhile() {
    let engine = Engine::open(Config { auto_background: false, ..Config::in_memory() }).unwrap();
    let set_all = |value: &[u8]| {
        let mut batch = WriteBatch::new();
        (0..50).for_each(|number| batch.put(&key(number), value).unwrap());
        engine.commit(batch, CommitOptions::default()).unwrap();
    };
    set_all(b"before");
    let keys: Vec<_> = (0..50).map(key).collect();
    let mut given = Vec::new();

    engine
        .try_get_many_with(
            keys.len(),
            |place| &keys[place],
            |place, value| {
                match place {
                    0 => set_all(b"after"),
                    20 => std::thread::scope(|scope| {
                        scope.spawn(|| engine.compact_all().unwrap());
                    }),
                    _ => {}
                }
                given.push(matches!(value, TryGet::Found(value) if value.bytes == b"before"));
            },
        )
        .unwrap();

    assert_eq!(given, [true; 50]);
}

#[test]
fn what_can_not_be_told_of_one_key_is_told_of_the_others() {
    let engine =
        Engine::open_on(Config { auto_background: false, ..Config::new("/db") }, Arc::new(SimFs::new()))
            .unwrap();
    put(&engine, b"read", b"1");
    engine.flush().unwrap();
    assert_eq!(read_many(&engine, &[b"read".to_vec()]), [TryGet::NeedsIo], "the table has to be opened");
    assert!(engine.get(b"read", None).unwrap().is_some());
    put(&engine, b"long", &vec![7; TRY_GET_BYTES_MAX + 1]);
    put(&engine, b"new", b"2");

    let found = read_many(&engine, &[&b"read"[..], b"long", b"none", b"new"].map(<[u8]>::to_vec));

    let expected =
        [TryGet::Found(b"1".to_vec()), TryGet::NeedsIo, TryGet::Missing, TryGet::Found(b"2".to_vec())];
    assert_eq!(found, expected);
    engine.close().unwrap();
}
