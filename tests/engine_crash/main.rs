//! Power loss and process death at every file operation: what was acknowledged is there, and what is there is a
//! prefix of the batches in their order, each whole.
//!
//! `FLOWDB_SEED=n` replays one workload; `FLOWDB_WORKLOADS=n` runs so many.

#[path = "../common/mod.rs"]
mod common;

mod compactions;
mod records;
mod recovery;
mod workload;

use std::sync::Arc;

use common::{Random, SeedReport, seeds, tiny_config};
use flowdb::clock::{Clock, ManualClock};
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, CompactionKind, Direction, Engine, WriteBatch};
use flowdb::error::Code;
use flowdb::fs::{CrashOutcome, Fault, SimFs};

use recovery::{check, crash_everywhere, run};
use workload::{Run, Setting, State, random_batch, random_workload, read_all, visible};

/// So many random workloads meet most kinds of compaction, and some empty value files; [`compactions`] meets all of them.
const WORKLOADS: u64 = 40;

fn setting(seed: u64) -> Setting {
    let clock = Arc::new(ManualClock::new(1));
    Setting { config: tiny_config(&mut Random::new(seed), Arc::clone(&clock)), clock }
}

#[test]
fn a_crash_after_any_file_operation_leaves_a_prefix_with_everything_acknowledged() {
    let count = std::env::var("FLOWDB_WORKLOADS").map_or(WORKLOADS, |count| count.parse().expect("a number"));
    let mut crashes = 0;
    let mut with_kind = [0; CompactionKind::ALL.len()];
    for seed in seeds(count) {
        let _report = SeedReport(seed);
        let (finished, crashed) =
            crash_everywhere(&setting(seed), seed, &|workload| random_workload(workload, seed));
        crashes += crashed;
        for (with_kind, count) in with_kind.iter_mut().zip(finished.compactions) {
            *with_kind += u64::from(count > 0);
        }
    }
    println!("{crashes} crashes, every one recovered");
    for (kind, workloads) in CompactionKind::ALL.into_iter().zip(with_kind) {
        println!("{workloads:>4} workloads had a compaction of the kind {kind}");
    }
    let relocating = with_kind[CompactionKind::Values as usize];
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

/// A workload that goes on where an operation fails, as a program would that hopes for better times.
struct Persistent<'a> {
    setting: &'a Setting,
    disk: &'a SimFs,
    engine: Engine,
    run: Run,
    /// The state with the batch that failed last, which may be there when the database is opened again. (Behind a
    /// batch that was acknowledged later it may not.)
    failed: Option<State>,
    context: String,
}

impl Persistent<'_> {
    fn step(&mut self, random: &mut Random) {
        let acknowledged = match random.below(12) {
            0..8 => return self.write(random),
            8 => self.engine.flush().map(|()| false),
            9 | 10 => self.engine.run_pending().map(|_| false),
            11 if random.one_in(4) => {
                self.setting.clock.advance(random.below(60));
                return;
            }
            _ if random.one_in(2) => self.engine.sync().map(|()| true),
            _ => return self.reopen(),
        };
        match acknowledged {
            Ok(true) => (self.run.durable, self.run.written) = (self.run.tried(), self.run.tried()),
            Ok(false) => {}
            Err(error) => assert_ne!(error.code(), Code::Corruption, "{}: {error:?}", self.context),
        }
    }

    fn write(&mut self, random: &mut Random) {
        let now = self.setting.clock.now_ms();
        let (batch, state, _) = random_batch(random, self.run.last(), now).unwrap();
        match self.run.commit_numbered(&self.engine, self.setting.config.wal_sync_mode, batch, state) {
            Ok(()) => self.failed = None,
            Err(error) => {
                assert_ne!(error.code(), Code::Corruption, "{}: {error:?}", self.context);
                let state = self.run.states.pop();
                if error.code() == Code::Poisoned {
                    self.reopen();
                } else {
                    self.failed = state;
                }
            }
        }
        let state = read_all(&self.engine, Direction::Forward);
        assert!(self.is_state(self.run.tried(), &state), "{}: what is visible", self.context);
    }

    /// Whether `state` is what can be seen after so many batches.
    fn is_state(&self, batches: usize, state: &State) -> bool {
        visible(&self.run.states[batches], self.setting.clock.now_ms()).eq(state.iter())
    }

    /// Closes the database, which may fail, and goes on from what is found at the next opening.
    fn reopen(&mut self) {
        if self.engine.close().is_ok() && self.failed.is_none() {
            self.run.written = self.run.written.max(self.run.durable);
        }
        let open = || Engine::open_on(self.setting.config.clone(), Arc::new(self.disk.clone()));
        self.engine = match open() {
            Err(error) if error.code() == Code::Io => open(),
            opened => opened,
        }
        .unwrap_or_else(|error| panic!("{}: can't be opened: {error:?}", self.context));
        let state = read_all(&self.engine, Direction::Forward);
        let least = self.run.written;
        self.run.states.extend(self.failed.take());
        let found = (least..=self.run.tried()).rev().find(|&batches| self.is_state(batches, &state));
        let Some(found) = found else {
            panic!("{}: reopened, and not the state after any of {least}..", self.context)
        };
        self.run.states.truncate(found + 1);
        self.run.written = found;
    }
}

/// One operation fails once, the workload goes on, and then the power goes.
#[test]
fn a_fault_and_then_a_crash_leave_a_prefix_with_everything_acknowledged() {
    for_each_operation(9, |seed, setting, operation| {
        for (kind, partial) in [
            (std::io::ErrorKind::Other, false),
            (std::io::ErrorKind::StorageFull, false),
            (std::io::ErrorKind::StorageFull, true),
        ] {
            fail_and_crash(seed, setting, operation, Fault { kind, sticky: false, partial });
        }
    });
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
        let fault = Fault { kind: std::io::ErrorKind::Other, sticky: false, partial: false };
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

/// Calls `test` for every file operation from `first` on of each workload.
fn for_each_operation(first: u64, test: impl Fn(u64, &Setting, u64)) {
    let count = std::env::var("FLOWDB_WORKLOADS").map_or(12, |count| count.parse().expect("a number"));
    for seed in seeds(count) {
        let _report = SeedReport(seed);
        let setting = setting(seed);
        let whole = SimFs::new();
        run(&setting, &whole, &|workload| random_workload(workload, seed));
        assert!(whole.operations() > first, "a workload without an operation to fail");
        (first..whole.operations()).for_each(|operation| test(seed, &setting, operation));
    }
}

fn fail_and_crash(seed: u64, setting: &Setting, operation: u64, fault: Fault) {
    setting.clock.set(1);
    let config = &setting.config;
    let disk = SimFs::new();
    let mut random = Random::new(seed ^ 0xFA17);
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    disk.fail_at(operation, fault);
    let run = Run::new();
    let context = format!("operation {operation}, {fault:?}, {:?}", config.wal_sync_mode);
    let mut workload = Persistent { setting, disk: &disk, engine, run, failed: None, context };
    let end = operation + 1 + Random::new(seed.wrapping_add(operation)).below(40);
    // Bounded, because with the durability `none` many steps write nothing.
    for _ in 0..200 {
        workload.step(&mut random);
        if disk.operations() > end {
            break;
        }
    }
    let Persistent { mut run, failed, context, engine, .. } = workload;
    run.states.extend(failed);
    for outcome in
        [CrashOutcome::LoseUnsynced, CrashOutcome::Random(seed + operation), CrashOutcome::ProcessOnly]
    {
        let least = if outcome == CrashOutcome::ProcessOnly { run.written } else { run.durable };
        check(setting, &disk.after_crash(outcome), &run, least, &format!("{context}, {outcome:?}"));
    }
    drop(engine);
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

/// What a failed sync left in the page cache can be read after the process has died, and a power loss takes it: an
/// opening in between must neither build on it nor remove what it seems to make needless.
#[test]
fn a_fault_a_dead_process_and_then_a_power_loss_leave_everything_acknowledged() {
    for_each_operation(0, |seed, setting, operation| {
        let disk = SimFs::new();
        disk.fail_at(operation, Fault::once(std::io::ErrorKind::Other));
        disk.crash_at(operation + 1);
        let run = run(setting, &disk, &|workload| random_workload(workload, seed));
        let dead = disk.after_crash(CrashOutcome::ProcessOnly);
        for writes in [false, true] {
            reopen_and_lose_power(setting, &dead.deep_copy(), &run, writes, operation);
        }
    });
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
