//! Settings that mean something in the engine beyond a size: they do what docs/tuning.md says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Engine, WriteBatch};
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::{Document, Format, JsonDb, Key, KeyRange, Mode, StoreOptions};

const NOW_MS: u64 = 1_000_000;

fn key(text: &str) -> Key {
    Key::from_str(text).unwrap()
}

#[test]
fn the_default_expiry_is_for_batches_that_ask_for_it() {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let config = Config { default_ttl_secs: 60, clock: clock.clone(), ..Config::in_memory() };
    let engine = Engine::open(config).unwrap();
    let mut batch = engine.batch();
    batch.put(b"by default", b"value").unwrap();
    batch.put_expiring(b"its own", b"value", NOW_MS + 90_000).unwrap();
    batch.put_expiring(b"for ever", b"value", 0).unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"internal", b"value").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    let there = |key: &str| engine.get(key.as_bytes(), None).unwrap().is_some();

    clock.set(NOW_MS + 59_999);
    assert!(there("by default") && there("its own") && there("for ever") && there("internal"));
    clock.set(NOW_MS + 60_000);
    assert!(!there("by default") && there("its own") && there("for ever") && there("internal"));
    clock.set(NOW_MS + 90_000);
    assert!(!there("its own") && there("for ever") && there("internal"));
}

#[test]
fn without_a_default_expiry_nothing_expires() {
    let engine = Engine::open(Config::in_memory()).unwrap();
    let mut batch = engine.batch();
    batch.put(b"key", b"value").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();

    assert_eq!(engine.get(b"key", None).unwrap().unwrap().expires_at, 0);
}

/// Catalog, counts, documents and index rows live for ever, whatever the default.
#[test]
fn documents_and_what_belongs_to_them_never_expire_by_default() {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let config = Config { default_ttl_secs: 1, clock: clock.clone(), ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    db.create_object_store("notes", StoreOptions::default()).unwrap();
    db.update(&["notes"], None, |transaction| {
        let document = Document { format: Format::Json, bytes: b"{}".to_vec() };
        transaction.put("notes", Some(key("a")), document).map(|_| ())
    })
    .unwrap();
    clock.set(NOW_MS + 1_000_000_000);
    db.engine().compact_all().unwrap();

    let mut transaction = db.begin(&["notes"], Mode::ReadOnly).unwrap();

    assert!(transaction.get("notes", &key("a")).unwrap().is_some());
    assert_eq!(transaction.count("notes", &KeyRange::all()).unwrap(), 1);
}

#[test]
fn expired_space_is_looked_for_as_often_as_asked() {
    let expired = |gc_interval_secs: u64, patience: Duration| {
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let config = Config { gc_interval_secs, clock: clock.clone(), ..Config::in_memory() };
        let engine = Engine::open(config).unwrap();
        let mut batch = WriteBatch::expiring_at(NOW_MS + 1000);
        for number in 0..1000 {
            batch.put(format!("key {number}").as_bytes(), &[0; 100]).unwrap();
        }
        engine.commit(batch, CommitOptions::default()).unwrap();
        // In a level where nothing else asks for work.
        engine.compact_all().unwrap();
        assert!(engine.stats().table_bytes() > 0);
        // Long enough for the looks that the flush has asked for.
        std::thread::sleep(Duration::from_millis(700));
        clock.set(NOW_MS + 1000);
        let started = Instant::now();
        while engine.stats().table_bytes() > 0 && started.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        engine.stats().table_bytes() == 0
    };

    assert!(expired(1, Duration::from_secs(30)), "the space came back without a call");
    assert!(!expired(3600, Duration::from_secs(2)), "nobody looked yet");
}

/// How many files the log has.
fn logs(disk: &SimFs) -> usize {
    disk.files().iter().filter(|path| path.extension().is_some_and(|name| name == "wal")).count()
}

#[test]
fn the_log_goes_on_in_new_files_and_they_go_with_the_flush() {
    let disk = SimFs::new();
    let config = Config { wal_segment_size_bytes: 4 << 10, auto_background: false, ..Config::new("/db") };
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    for number in 0..40u32 {
        let mut batch = WriteBatch::new();
        batch.put(&number.to_le_bytes(), &[number as u8; 1000]).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
    }
    assert!((8..=12).contains(&logs(&disk)), "{} files", logs(&disk));

    let crashed = disk.after_crash(CrashOutcome::LoseUnsynced);
    let again = Engine::open_on(config, Arc::new(crashed)).unwrap();
    for number in 0..40u32 {
        let found = again.get(&number.to_le_bytes(), None).unwrap();
        assert_eq!(found.map(|found| found.bytes), Some(vec![number as u8; 1000]), "{number}");
    }

    engine.flush().unwrap();
    assert!(logs(&disk) <= 1, "{} files", logs(&disk));
}
