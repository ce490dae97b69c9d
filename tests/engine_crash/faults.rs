//! A disk that fails: every operation once and for ever, with every error, and what a crash leaves after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowdb::clock::Clock;
use flowdb::config::SyncMode;
use flowdb::engine::{CommitOptions, Direction, Engine, WriteBatch};
use flowdb::error::Code;
use flowdb::fs::{CrashOutcome, Fault, SimFs};

use crate::common::Random;
use crate::common::trials::{count_of, report, seeds, side_by_side};
use crate::persistent::Persistent;
use crate::recovery::{check, run};
use crate::workload::{Run, Setting, Workload, random_workload, read_all, visible};
use crate::{WORKLOADS, setting};

/// A workload is run for each of its operations and faults: of the workloads whose crashes are tried, one of so many is.
const WORKLOADS_FOR_ONE: u64 = 90;

/// The first operation behind the creation of the database: where that fails, there is nothing to go on with.
const FIRST: u64 = 9;

/// What operating systems say of a disk that is broken, full, or not theirs to write to, and of too many open files.
const FAULTS: [fn() -> Fault; 5] = [
    || Fault::of_os(5),
    || Fault::once(std::io::ErrorKind::StorageFull),
    || Fault { partial: true, ..Fault::once(std::io::ErrorKind::StorageFull) },
    || Fault::of_os(if cfg!(windows) { 4 } else { 24 }),
    || Fault::once(std::io::ErrorKind::PermissionDenied),
];

fn workloads() -> Vec<u64> {
    seeds(count_of("FLOWDB_WORKLOADS", WORKLOADS).div_ceil(WORKLOADS_FOR_ONE))
}

/// Calls `test` for every file operation from `first` on of each workload, and adds up what it counts.
fn for_each_operation(first: u64, test: impl Fn(u64, &Setting, u64) -> u64 + Sync) -> u64 {
    let count = AtomicU64::new(0);
    side_by_side(&workloads(), |seed| {
        let setting = setting(seed);
        let whole = SimFs::new();
        run(&setting, &whole, &|workload| random_workload(workload, seed));
        assert!(whole.operations() > first, "a workload without an operation to fail");
        for operation in first..whole.operations() {
            count.fetch_add(test(seed, &setting, operation), Relaxed);
        }
    });
    count.into_inner()
}

/// A workload on a new disk, of which an operation meets a fault.
fn begin<'a>(setting: &'a Setting, disk: &'a SimFs, operation: u64, fault: Fault) -> Persistent<'a> {
    setting.clock.set(1);
    let engine = Engine::open_on(setting.config.clone(), Arc::new(disk.clone())).unwrap();
    disk.fail_at(operation, fault);
    let context = format!("operation {operation}, {fault:?}, {:?}", setting.config.wal_sync_mode);
    Persistent { setting, disk, engine, run: Run::new(), failed: None, is_for_ever: fault.sticky, context }
}

/// Goes on for some operations behind the one that fails.
fn go_beyond(workload: &mut Persistent<'_>, seed: u64, operation: u64) {
    let mut random = Random::new(seed ^ 0xFA17);
    let end = operation + 1 + Random::new(seed.wrapping_add(operation)).below(40);
    // Bounded, because with the durability `none` many steps write nothing.
    for _ in 0..200 {
        workload.step(&mut random);
        if workload.disk.operations() > end {
            break;
        }
    }
}

/// One operation fails once, the workload goes on, and then the power goes.
#[test]
fn a_fault_and_then_a_crash_leave_a_prefix_with_everything_acknowledged() {
    let faults = AtomicU64::new(0);
    let points = for_each_operation(FIRST, |seed, setting, operation| {
        let points = FAULTS.iter().map(|fault| fail_and_crash(seed, setting, operation, fault()));
        faults.fetch_add(FAULTS.len() as u64, Relaxed);
        points.sum()
    });
    report("faults injected", faults.into_inner(), "FLOWDB_WORKLOADS", 5_000);
    report("crash points", points, "FLOWDB_WORKLOADS", 20_000);
}

fn fail_and_crash(seed: u64, setting: &Setting, operation: u64, fault: Fault) -> u64 {
    let disk = SimFs::new();
    let mut workload = begin(setting, &disk, operation, fault);
    go_beyond(&mut workload, seed, operation);
    let Persistent { mut run, failed, context, engine, .. } = workload;
    run.states.extend(failed);
    let outcomes = [
        CrashOutcome::LoseUnsynced,
        CrashOutcome::Random(seed + operation),
        CrashOutcome::Random(!(seed + operation)),
        CrashOutcome::ProcessOnly,
    ];
    for outcome in outcomes {
        let least = if outcome == CrashOutcome::ProcessOnly { run.written } else { run.durable };
        check(setting, &disk.after_crash(outcome), &run, least, &format!("{context}, {outcome:?}"));
    }
    drop(engine);
    outcomes.len() as u64
}

/// From one operation on all fail: what was acknowledged can be read all the time, and when the disk is well again, writes go
/// on in the same process.
#[test]
fn a_disk_that_fails_for_ever_stops_no_read_and_takes_writes_when_it_is_well_again() {
    let faults = for_each_operation(FIRST, |seed, setting, operation| {
        for fault in FAULTS {
            let disk = SimFs::new();
            let fault = Fault { sticky: true, ..fault() };
            let mut workload = begin(setting, &disk, operation, fault);
            go_beyond(&mut workload, seed, operation);
            disk.heal();
            workload.assert_takes_writes();
            let Persistent { run, context, .. } = workload;
            let left = disk.after_crash(CrashOutcome::LoseUnsynced);
            check(setting, &left, &run, run.durable, &context);
        }
        FAULTS.len() as u64
    });
    report("faults injected", faults, "FLOWDB_WORKLOADS", 5_000);
}

/// Every read of a workload fails, once or with all behind it: that is an error and no wrong data, and nothing is lost by it.
#[test]
fn a_read_that_fails_is_an_error_and_costs_nothing_else() {
    let faults = AtomicU64::new(0);
    side_by_side(&workloads(), |seed| {
        let setting = setting(seed);
        let whole = SimFs::new();
        run(&setting, &whole, &|workload| random_workload(workload, seed));
        for read in 0..whole.reads() {
            for (fault, sticky) in FAULTS.iter().flat_map(|fault| [(fault(), false), (fault(), true)]) {
                fail_a_read(seed, &setting, read, Fault { sticky, ..fault });
                faults.fetch_add(1, Relaxed);
            }
        }
    });
    report("faults injected", faults.into_inner(), "FLOWDB_WORKLOADS", 1_000);
}

fn fail_a_read(seed: u64, setting: &Setting, read: u64, fault: Fault) {
    let context = format!("read {read}, {fault:?}, {:?}", setting.config.wal_sync_mode);
    setting.clock.set(1);
    let (disk, mut run) = (SimFs::new(), Run::new());
    disk.fail_read_at(read, fault);
    if let Ok(mut workload) = Workload::open(setting, &disk, &mut run) {
        let ended = random_workload(&mut workload, seed).and_then(|()| workload.close());
        disk.heal();
        if let Err(error) = ended {
            assert!(matches!(error.code(), Code::Io | Code::Poisoned), "{context}: {error:?}");
            assert_is_there(&workload, setting, &context);
        }
    }
    disk.heal();
    for outcome in [CrashOutcome::LoseUnsynced, CrashOutcome::ProcessOnly] {
        let least = if outcome == CrashOutcome::ProcessOnly { run.written } else { run.durable };
        check(setting, &disk.after_crash(outcome), &run, least, &format!("{context}, {outcome:?}"));
    }
}

/// Whoever still has the database open reads what was committed; the last batch may be the one that failed. (A reopening that
/// failed has left a database that is closed.)
fn assert_is_there(workload: &Workload<'_>, setting: &Setting, context: &str) {
    if workload.engine.get(b"", None).is_err_and(|error| error.code() == Code::Closed) {
        return;
    }
    let (state, now) = (read_all(&workload.engine, Direction::Forward), setting.clock.now_ms());
    let run = &*workload.run;
    let last = (run.tried().saturating_sub(1)..=run.tried()).rev();
    let is_there = last.into_iter().any(|batches| visible(&run.states[batches], now).eq(state.iter()));
    assert!(is_there, "{context}: what can be read after the fault");
}

/// What a failed sync left in the page cache can be read after the process has died, and a power loss takes it: an
/// opening in between must neither build on it nor remove what it seems to make needless.
#[test]
fn a_fault_a_dead_process_and_then_a_power_loss_leave_everything_acknowledged() {
    let points = for_each_operation(0, |seed, setting, operation| {
        let disk = SimFs::new();
        disk.fail_at(operation, Fault::once(std::io::ErrorKind::Other));
        disk.crash_at(operation + 1);
        let run = run(setting, &disk, &|workload| random_workload(workload, seed));
        let dead = disk.after_crash(CrashOutcome::ProcessOnly);
        for writes in [false, true] {
            reopen_and_lose_power(setting, &dead.deep_copy(), &run, writes, operation);
        }
        4
    });
    report("crash points", points, "FLOWDB_WORKLOADS", 4_000);
}

/// Opens what a dead process left, writes one more batch if asked to, and loses power.
fn reopen_and_lose_power(setting: &Setting, disk: &SimFs, run: &Run, writes: bool, operation: u64) {
    let config = &setting.config;
    let context = format!("operation {operation}, writes: {writes}, {:?}", config.wal_sync_mode);
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let mut state = read_all(&engine, Direction::Forward);
    if writes {
        let mut batch = WriteBatch::new();
        batch.put(b"written by the survivor", b"and synced").unwrap();
        let options = CommitOptions { sync: Some(SyncMode::Always), ..CommitOptions::default() };
        engine.commit(batch, options).unwrap();
        state.insert(b"written by the survivor".to_vec(), (b"and synced"[..].into(), 0));
    }
    disk.crash();
    drop(engine);
    for outcome in [CrashOutcome::LoseUnsynced, CrashOutcome::Random(operation)] {
        let survivor = disk.after_crash(outcome);
        if !writes {
            check(setting, &survivor, run, run.durable, &format!("{context}, {outcome:?}"));
            continue;
        }
        // What was synced last was built on everything that could be read before it.
        let engine = Engine::open_on(config.clone(), Arc::new(survivor));
        let engine = engine.unwrap_or_else(|error| panic!("{context}, {outcome:?}: {error:?}"));
        assert_eq!(read_all(&engine, Direction::Forward), state, "{context}, {outcome:?}");
    }
}
