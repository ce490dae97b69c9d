//! Generated workloads over stores, indexes and keyspaces, crashed at every file operation: what is found is the world after
//! one of the changes, behind all that were acknowledged.
//!
//! `FLOWDB_SEED=n` replays one workload; `FLOWDB_WORKLOADS=n` runs so many.

mod work;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowdb::clock::Clock;
use flowdb::config::Config;
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::JsonDb;

use crate::support::Random;
use crate::trials::{assert_no_orphans, count_of, power_losses, report, seeds, side_by_side};
use work::{Run, Setting, run};
use world::look;

const WORKLOADS: u64 = 60;
const CRASH_POINTS: u64 = 60_000;

/// How many draws say what a loss of power leaves, beside losing and keeping everything.
const DRAWS: u64 = 4;

#[test]
fn a_crash_at_any_operation_leaves_stores_indexes_and_keyspaces_as_after_one_of_their_changes() {
    let points = AtomicU64::new(0);
    side_by_side(&seeds(count_of("FLOWDB_WORKLOADS", WORKLOADS)), |seed| {
        let setting = Setting::draw(seed);
        let whole = SimFs::new();
        let finished = run(seed, &setting, &whole);
        assert_eq!(finished.durable, finished.tried(), "a workload that fails without a crash");
        check(&setting, &whole.deep_copy(), &finished, finished.tried(), "no crash at all");
        for operation in 0..whole.operations() {
            let disk = SimFs::crashing_after(operation);
            let run = run(seed, &setting, &disk);
            points.fetch_add(check_outcomes(seed, &setting, &disk, &run, operation), Relaxed);
        }
    });
    report("crash points", points.into_inner(), "FLOWDB_WORKLOADS", CRASH_POINTS);
}

/// Recovers from the crash in every way, and from one in the recovery.
fn check_outcomes(seed: u64, setting: &Setting, disk: &SimFs, run: &Run, operation: u64) -> u64 {
    let seed = seed.wrapping_mul(100_000) + operation;
    let context = |what: &dyn std::fmt::Debug| {
        format!("operation {operation}, {what:?}, {:?}", setting.config.wal_sync_mode)
    };
    let left = power_losses(disk, seed, DRAWS);
    for (outcome, left) in &left {
        check(setting, left, run, run.durable, &context(outcome));
    }
    let dead = CrashOutcome::ProcessOnly;
    check(setting, &disk.after_crash(dead), run, run.written, &context(&dead));
    let mut random = Random::seeded(seed);
    let [first, second] = [(); 2].map(|()| CrashOutcome::Random(random.next()));
    let disk = disk.after_crash(first);
    let crash_at = random.below(operations_of_recovery(setting, &disk));
    disk.crash_at(crash_at);
    recover(setting, &disk);
    check(setting, &disk.after_crash(second), run, run.durable, &context(&(first, crash_at, second)));
    left.len() as u64 + 2
}

/// How many operations there are to crash the recovery at, one behind its end among them.
fn operations_of_recovery(setting: &Setting, disk: &SimFs) -> u64 {
    let copy = disk.deep_copy();
    recover(setting, &copy);
    copy.operations() + 1
}

/// The opening, and a step of the background work that it leaves. The disk may stop in it.
fn recover(setting: &Setting, disk: &SimFs) {
    if let Ok(db) = setting.open(disk) {
        let _ = db.engine().run_pending();
    }
}

fn check(setting: &Setting, disk: &SimFs, run: &Run, least: usize, context: &str) {
    let db = setting.open(disk).unwrap_or_else(|error| panic!("{context}: can't be opened: {error:?}"));
    let (seen, now) = (look(&db, context), setting.clock.now_ms());
    let is_found = |changes: &usize| run.worlds[*changes].seen_at(now) == seen;
    let found = (least..=run.tried()).rev().find(is_found);
    assert!(found.is_some(), "{context}: not the world after any of {least}..={}: {seen:?}", run.tried());
    for (dir, changes, is_made) in &run.checkpoints {
        let is_there = disk.read_file(dir.join("CURRENT")).is_some();
        assert!(is_there || !is_made, "{context}: the checkpoint {} was made", dir.display());
        if is_there {
            let copy = open_checkpoint(setting, disk, dir);
            assert_eq!(
                look(&copy, context),
                run.worlds[*changes].seen_at(now),
                "{context}: {}",
                dir.display()
            );
        }
    }
    go_on(setting, &db, disk, context);
}

fn open_checkpoint(setting: &Setting, disk: &SimFs, dir: &Path) -> JsonDb {
    let config = Config { data_dir: dir.to_path_buf(), read_only: true, ..setting.config.clone() };
    JsonDb::open_on(config, Arc::new(disk.clone())).unwrap()
}

/// What was recovered takes a new store, does its work, is whole, and is the same after another opening, without a file that
/// nothing leads to.
fn go_on(setting: &Setting, db: &JsonDb, disk: &SimFs, context: &str) {
    db.create_object_store("after the crash", crate::support::keyed_by("id")).unwrap();
    let seen = look(db, context);
    db.engine().flush().unwrap();
    while db.engine().run_pending_when_quiet().unwrap() {}
    db.engine().verify().unwrap_or_else(|error| panic!("{context}: {error:?}"));
    db.close().unwrap();
    let again = setting.open(disk).unwrap();
    assert_eq!(look(&again, context), seen, "{context}: after another opening");
    assert_no_orphans(again.engine(), disk, "/db", context);
}
