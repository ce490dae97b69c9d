//! Power loss and process death at every file operation: what was acknowledged is there, and what is there is a
//! prefix of the batches in their order, each whole.
//!
//! Each operation is crashed in once, and what is left is recovered from in many ways: each of those is a crash point. Of
//! those that a loss of power leaves, no two have the same files.
//!
//! `FLOWDB_SEED=n` replays one workload; `FLOWDB_WORKLOADS=n` runs so many.

#[path = "../common/mod.rs"]
mod common;

mod compactions;
mod faults;
mod persistent;
mod records;
mod recovery;
mod workload;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::trials::{count_of, report, seeds, side_by_side};
use common::{Random, tiny_config};
use flowdb::clock::ManualClock;
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, CompactionKind, Direction, Engine, WriteBatch};
use flowdb::error::Code;
use flowdb::fs::{CrashOutcome, Fault, SimFs};

use recovery::crash_everywhere;
use workload::{Setting, random_workload, read_all};

/// So many random workloads meet most kinds of compaction, and some empty value files; [`compactions`] meets all of them.
const WORKLOADS: u64 = 540;

/// How many recoveries are checked for them.
const CRASH_POINTS: u64 = 1_000_000;

fn setting(seed: u64) -> Setting {
    let clock = Arc::new(ManualClock::new(1));
    Setting { config: tiny_config(&mut Random::new(seed), Arc::clone(&clock)), clock }
}

#[test]
fn a_crash_after_any_file_operation_leaves_a_prefix_with_everything_acknowledged() {
    let count = count_of("FLOWDB_WORKLOADS", WORKLOADS);
    let crash_points = AtomicU64::new(0);
    let with_kind: [AtomicU64; CompactionKind::ALL.len()] = Default::default();
    side_by_side(&seeds(count), |seed| {
        let (finished, points) =
            crash_everywhere(&setting(seed), seed, &|workload| random_workload(workload, seed));
        crash_points.fetch_add(points, Relaxed);
        for (with_kind, count) in with_kind.iter().zip(finished.compactions) {
            with_kind.fetch_add(u64::from(count > 0), Relaxed);
        }
    });
    for (kind, workloads) in CompactionKind::ALL.into_iter().zip(&with_kind) {
        println!("{:>4} workloads had a compaction of the kind {kind}", workloads.load(Relaxed));
    }
    report("crash points", crash_points.into_inner(), "FLOWDB_WORKLOADS", CRASH_POINTS);
    let relocating = with_kind[CompactionKind::Values as usize].load(Relaxed);
    assert!(count < WORKLOADS || relocating > 0 || std::env::var("FLOWDB_SEED").is_ok());
}

#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged_and_reads_go_on() {
    for operation in 0..78 {
        let config = Config { auto_background: false, ..Config::new("/db") };
        let disk = SimFs::new();
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let put = |number: u64| {
            let mut batch = WriteBatch::new();
            batch.put(&number.to_be_bytes(), b"value").unwrap();
            engine.commit(batch, CommitOptions::default())
        };
        // The first write begins the log; from then on there are only appends and syncs to fail.
        put(0).unwrap();
        let mut acknowledged = 1u64;
        disk.fail_at(disk.operations() + operation, Fault::once(std::io::ErrorKind::Other));
        let mut failed = false;
        for number in 1..40u64 {
            match put(number) {
                Ok(_) => {
                    assert!(!failed, "a write was acknowledged after a failure, operation {operation}");
                    acknowledged += 1;
                }
                Err(error) if failed => assert_eq!(error.code(), Code::Poisoned, "{error:?}"),
                Err(error) => {
                    assert_eq!(error.code(), Code::Io, "{error:?}");
                    failed = true;
                }
            }
        }
        assert!(failed, "operation {operation}");
        for number in 0..acknowledged {
            assert!(engine.get(&number.to_be_bytes(), None).unwrap().is_some());
        }
        engine.close().unwrap();
        drop(engine);
        let engine = Engine::open_on(config, Arc::new(disk.after_crash(CrashOutcome::LoseUnsynced))).unwrap();
        for number in 0..acknowledged {
            assert!(engine.get(&number.to_be_bytes(), None).unwrap().is_some(), "{number} of {acknowledged}");
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_and_takes_them_again_when_space_returns() {
    let config = Config { auto_background: false, ..Config::new("/db") };
    let disk = SimFs::new();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let put = |number: u64| {
        let mut batch = WriteBatch::new();
        batch.put(&number.to_be_bytes(), &[7; 100]).unwrap();
        engine.commit(batch, CommitOptions::default())
    };
    disk.set_capacity(4_000);
    let mut written: Vec<u64> = (0..100).filter(|&number| put(number).is_ok()).collect();
    assert!((1..100).contains(&written.len()), "{} writes", written.len());
    assert_eq!(put(1_000).unwrap_err().code(), Code::Io);
    for number in &written {
        assert!(engine.get(&number.to_be_bytes(), None).unwrap().is_some());
    }

    disk.heal();

    put(2_000).unwrap();
    written.push(2_000);
    let survivor = disk.after_crash(CrashOutcome::LoseUnsynced);
    let engine = Engine::open_on(config, Arc::new(survivor)).unwrap();
    let present: Vec<u64> = read_all(&engine, Direction::Forward)
        .keys()
        .map(|key| u64::from_be_bytes(key.as_slice().try_into().unwrap()))
        .collect();
    assert_eq!(present, written);
}

#[test]
fn a_quota_and_a_limit_on_the_size_of_files_refuse_writes_like_a_full_disk_and_poison_nothing() {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    for kind in [StorageFull, QuotaExceeded, FileTooLarge] {
        let config = Config { auto_background: false, ..Config::new("/db") };
        let disk = SimFs::new();
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let put = |key: &[u8]| {
            let mut batch = WriteBatch::new();
            batch.put(key, b"value").unwrap();
            engine.commit(batch, CommitOptions::default())
        };
        put(b"before").unwrap();
        disk.fail_at(disk.operations(), Fault::sticky(kind));
        for key in [b"refused", b"as well"] {
            assert_eq!(put(key).unwrap_err().code(), Code::Io, "{kind}");
        }
        assert!(engine.get(b"before", None).unwrap().is_some(), "{kind}");

        disk.heal();

        put(b"afterwards").unwrap();
        let survivor = disk.after_crash(CrashOutcome::LoseUnsynced);
        let engine = Engine::open_on(config, Arc::new(survivor)).unwrap();
        let keys: Vec<Vec<u8>> = read_all(&engine, Direction::Forward).into_keys().collect();
        assert_eq!(keys, [&b"afterwards"[..], b"before"], "{kind}");
    }
}

/// A sync of a log fails, the database is opened again and shows what the page cache still has of it, and then a sync
/// succeeds: from then on that is there for good.
#[test]
fn what_was_read_after_a_failed_sync_is_durable_after_the_next_that_succeeds() {
    let config = Config { auto_background: false, ..Config::new("/db") };
    let put = |engine: &Engine, key: &[u8]| {
        let mut batch = WriteBatch::new();
        batch.put(key, b"value").unwrap();
        engine.commit(batch, CommitOptions::default())
    };
    let mut shown = 0;
    for later in 0..10 {
        let disk = SimFs::new();
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        put(&engine, b"acknowledged").unwrap();
        let fault = Fault::once(std::io::ErrorKind::Other);
        disk.fail_at(disk.operations() + later, fault);
        if put(&engine, b"refused").is_ok() {
            break;
        }
        let disk = disk.after_crash(CrashOutcome::ProcessOnly);
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let is_shown = engine.get(b"refused", None).unwrap().is_some();
        shown += u32::from(is_shown);

        engine.sync().unwrap();

        let engine =
            Engine::open_on(config.clone(), Arc::new(disk.after_crash(CrashOutcome::LoseUnsynced))).unwrap();
        assert!(engine.get(b"acknowledged", None).unwrap().is_some(), "operation {later}");
        assert!(engine.get(b"refused", None).unwrap().is_some() || !is_shown, "operation {later}");
    }
    assert!(shown > 0, "no fault left anything to be read");
}

#[test]
fn what_was_acknowledged_before_the_disk_was_full_is_synced_by_the_interval_all_the_same() {
    let config =
        Config { wal_sync_mode: SyncMode::Interval(10), auto_background: false, ..Config::new("/db") };
    let disk = SimFs::new();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let put = |key: &[u8], len: usize| {
        let mut batch = WriteBatch::new();
        batch.put(key, &vec![7; len]).unwrap();
        engine.commit(batch, CommitOptions::default())
    };
    put(b"acknowledged", 10).unwrap();
    disk.set_capacity(2_000);
    assert_eq!(put(b"refused", 4_000).unwrap_err().code(), Code::Io);

    engine.run_pending().unwrap();

    let survivor = disk.after_crash(CrashOutcome::LoseUnsynced);
    let engine = Engine::open_on(config, Arc::new(survivor)).unwrap();
    assert!(engine.get(b"acknowledged", None).unwrap().is_some());
    assert!(engine.get(b"refused", None).unwrap().is_none());
}

/// What a crash left in the log is written to tables, and compacted, before there is a log again.
#[test]
fn a_database_that_has_no_log_between_two_crashes_opens_again() {
    let config = Config { auto_background: false, compaction_threshold: 2, ..Config::new("/db") };
    let mut disk = SimFs::new();
    for round in 0..4u8 {
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(&[round], b"value").unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        for crash in 0..3 {
            disk = disk.after_crash(CrashOutcome::Random(crash));
            let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
            for key in 0..=round {
                assert!(
                    engine.get(&[key], None).unwrap().is_some(),
                    "round {round}, crash {crash}, key {key}"
                );
            }
            if crash > 0 {
                engine.flush().unwrap();
                engine.compact_all().unwrap();
            }
        }
        disk = disk.after_crash(CrashOutcome::LoseUnsynced);
    }
}
