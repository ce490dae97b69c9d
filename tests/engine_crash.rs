//! Power loss and process death at every file operation: what was acknowledged is there, and what is there is a
//! prefix of the batches in their order, each whole.
//!
//! `FLOWDB_SEED=n` replays one workload; `FLOWDB_WORKLOADS=n` runs so many.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Random, SeedReport, seeds, tiny_config};
use flowdb::clock::ManualClock;
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, Fault, SimFs};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a workload did before the disk stopped.
struct Run {
    /// The state after each batch that was tried, the empty one first.
    states: Vec<State>,
    /// So many batches must survive the loss of power …
    durable: usize,
    /// … and so many the death of the process.
    written: usize,
    /// So many bytes of values were moved between value files.
    relocated_bytes: u64,
}

impl Run {
    fn tried(&self) -> usize {
        self.states.len() - 1
    }
}

/// Runs the workload of `seed` until it ends or the disk fails.
fn run(seed: u64, config: &Config, disk: &SimFs) -> Run {
    let mut run = Run { states: vec![State::new()], durable: 0, written: 0, relocated_bytes: 0 };
    // An error is the crash that the test asked for; which operation meets it is not the point here.
    let _ = try_run(seed, config, disk, &mut run);
    run
}

fn try_run(seed: u64, config: &Config, disk: &SimFs, run: &mut Run) -> Result<()> {
    let mut random = Random::new(seed ^ 0xC0FFEE);
    let mut engine = Engine::open_on(config.clone(), Arc::new(disk.clone()))?;
    for _ in 0..28 {
        match random.below(12) {
            0..7 => write(&mut random, config, &engine, run)?,
            7 => engine.flush()?,
            8 | 9 => {
                engine.run_pending()?;
            }
            10 => {
                engine.sync()?;
                run.written = run.tried();
                run.durable = run.tried();
            }
            _ if random.one_in(3) => engine.compact_all()?,
            _ => {
                run.relocated_bytes += engine.stats().value_bytes_relocated;
                engine.close()?;
                run.written = run.tried();
                run.durable = run.tried();
                engine = Engine::open_on(config.clone(), Arc::new(disk.clone()))?;
            }
        }
    }
    run.relocated_bytes += engine.stats().value_bytes_relocated;
    engine.close()?;
    run.durable = run.tried();
    run.written = run.tried();
    Ok(())
}

fn write(random: &mut Random, config: &Config, engine: &Engine, run: &mut Run) -> Result<()> {
    let mut state = run.states[run.tried()].clone();
    let mut batch = WriteBatch::new();
    for _ in 0..1 + random.below(6) {
        let key = format!("{:02}", random.below(30)).into_bytes();
        match random.below(8) {
            0 => {
                batch.delete(&key)?;
                state.remove(&key);
            }
            1 => {
                let end = format!("{:02}", random.below(30)).into_bytes();
                batch.delete_range(&key, &end)?;
                state.retain(|other, _| !(&key <= other && other < &end));
            }
            _ => {
                let value = vec![random.next() as u8; random.below(600) as usize];
                batch.put(&key, &value)?;
                state.insert(key, value);
            }
        }
    }
    let batch_number = (run.tried() as u64 + 1).to_be_bytes().to_vec();
    batch.put(b"the number of this batch", &batch_number)?;
    state.insert(b"the number of this batch".to_vec(), batch_number);
    run.states.push(state);
    engine.commit(batch, CommitOptions::default())?;
    match config.wal_sync_mode {
        SyncMode::Always => {
            run.durable = run.tried();
            run.written = run.tried();
        }
        SyncMode::Interval(_) => run.written = run.tried(),
        SyncMode::Never => {}
    }
    Ok(())
}

fn read_all(engine: &Engine, direction: Direction) -> State {
    let mut scan = engine.scan(ScanRange::all(), direction, None).unwrap();
    let mut state = State::new();
    while scan.advance().unwrap() {
        state.insert(scan.key().to_vec(), scan.value().to_vec());
    }
    state
}

/// Opens what a crash left and checks it against what the workload did.
fn check(config: &Config, disk: &SimFs, run: &Run, least: usize, context: &str) {
    let engine = match Engine::open_on(config.clone(), Arc::new(disk.clone())) {
        Ok(engine) => engine,
        Err(error) => panic!("{context}: can't be opened: {error:?}"),
    };
    let state = read_all(&engine, Direction::Forward);
    assert_eq!(state, read_all(&engine, Direction::Reverse), "{context}");
    let batches = (least..=run.tried()).rev().find(|&batches| run.states[batches] == state);
    assert!(batches.is_some(), "{context}: not the state after any of batches {least}..={}", run.tried());
    for (key, value) in &state {
        assert_eq!(
            engine.get(key, None).unwrap().map(|found| found.bytes).as_ref(),
            Some(value),
            "{context}"
        );
    }
    go_on(config, &engine, disk, state, context);
}

/// The database that was recovered takes writes, and they are there after a clean close.
fn go_on(config: &Config, engine: &Engine, disk: &SimFs, mut state: State, context: &str) {
    let mut batch = WriteBatch::new();
    batch.put(b"after the crash", b"written").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    state.insert(b"after the crash".to_vec(), b"written".to_vec());
    engine.close().unwrap();
    let again = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    assert_eq!(read_all(&again, Direction::Forward), state, "{context}: after another opening");
}

fn check_outcomes(seed: u64, config: &Config, disk: &SimFs, run: &Run, operation: u64) -> u64 {
    let outcomes = [
        CrashOutcome::LoseUnsynced,
        CrashOutcome::KeepUnsynced,
        CrashOutcome::Random(seed.wrapping_mul(1_000) + operation),
        CrashOutcome::Random(!(seed.wrapping_mul(1_000) + operation)),
        CrashOutcome::ProcessOnly,
    ];
    for outcome in outcomes {
        let least = if outcome == CrashOutcome::ProcessOnly { run.written } else { run.durable };
        let context = format!("operation {operation}, {outcome:?}, {:?}", config.wal_sync_mode);
        check(config, &disk.after_crash(outcome), run, least, &context);
    }
    outcomes.len() as u64
}

/// A second crash, at a random operation of the recovery from the first.
fn check_crash_in_recovery(seed: u64, config: &Config, disk: &SimFs, run: &Run, operation: u64) {
    let mut random = Random::new(seed.wrapping_add(operation));
    let first = CrashOutcome::Random(random.next());
    let disk = disk.after_crash(first);
    disk.crash_at(random.below(14));
    let opened = Engine::open_on(config.clone(), Arc::new(disk.clone()));
    drop(opened);
    let second = CrashOutcome::Random(random.next());
    let context = format!("operation {operation}, {first:?} and then {second:?}");
    check(config, &disk.after_crash(second), run, run.durable, &context);
}

#[test]
fn a_crash_after_any_file_operation_leaves_a_prefix_with_everything_acknowledged() {
    let count = std::env::var("FLOWDB_WORKLOADS").map_or(40, |count| count.parse().expect("a number"));
    let (mut crashes, mut relocating) = (0, 0);
    for seed in seeds(count) {
        let _report = SeedReport(seed);
        let config = tiny_config(&mut Random::new(seed), Arc::new(ManualClock::new(1)));
        let whole = SimFs::new();
        let finished = run(seed, &config, &whole);
        check(&config, &whole.deep_copy(), &finished, finished.tried(), "no crash at all");
        relocating += u64::from(finished.relocated_bytes > 0);
        for operation in 0..whole.operations() {
            let disk = SimFs::crashing_after(operation);
            let run = run(seed, &config, &disk);
            crashes += check_outcomes(seed, &config, &disk, &run, operation);
            check_crash_in_recovery(seed, &config, &disk, &run, operation);
            crashes += 1;
        }
    }
    println!(
        "{crashes} crashes, every one recovered; {relocating} workloads moved values between value files"
    );
    assert!(count < 40 || relocating > 0 || std::env::var("FLOWDB_SEED").is_ok());
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

/// A workload that goes on where an operation fails, as a program would that hopes for better times.
struct Persistent<'a> {
    config: &'a Config,
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
        match write(random, self.config, &self.engine, &mut self.run) {
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
        assert_eq!(Some(&state), self.run.states.last(), "{}: what is visible", self.context);
    }

    /// Closes the database, which may fail, and goes on from what is found at the next opening.
    fn reopen(&mut self) {
        if self.engine.close().is_ok() && self.failed.is_none() {
            self.run.written = self.run.written.max(self.run.durable);
        }
        let open = || Engine::open_on(self.config.clone(), Arc::new(self.disk.clone()));
        self.engine = match open() {
            Err(error) if error.code() == Code::Io => open(),
            opened => opened,
        }
        .unwrap_or_else(|error| panic!("{}: can't be opened: {error:?}", self.context));
        let state = read_all(&self.engine, Direction::Forward);
        let least = self.run.written;
        self.run.states.extend(self.failed.take());
        let found = (least..=self.run.tried()).rev().find(|&batches| self.run.states[batches] == state);
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
    for_each_operation(9, |seed, config, operation| {
        for (kind, partial) in [
            (std::io::ErrorKind::Other, false),
            (std::io::ErrorKind::StorageFull, false),
            (std::io::ErrorKind::StorageFull, true),
        ] {
            fail_and_crash(seed, config, operation, Fault { kind, sticky: false, partial });
        }
    });
}

/// A sync of a log fails, the database is opened again and shows what the page cache still has of it, and then a sync
/// succeeds: from then on that is there for good.
#[test]
fn what_was_read_after_a_failed_sync_is_durable_after_the_next_that_succeeds() {
    let seed = 33;
    let config = tiny_config(&mut Random::new(seed), Arc::new(ManualClock::new(1)));
    fail_and_crash(
        seed,
        &config,
        29,
        Fault { kind: std::io::ErrorKind::Other, sticky: false, partial: false },
    );
}

/// Calls `test` for every file operation from `first` on of each workload.
fn for_each_operation(first: u64, test: impl Fn(u64, &Config, u64)) {
    let count = std::env::var("FLOWDB_WORKLOADS").map_or(12, |count| count.parse().expect("a number"));
    for seed in seeds(count) {
        let _report = SeedReport(seed);
        let config = tiny_config(&mut Random::new(seed), Arc::new(ManualClock::new(1)));
        let whole = SimFs::new();
        run(seed, &config, &whole);
        assert!(whole.operations() > first, "a workload without an operation to fail");
        (first..whole.operations()).for_each(|operation| test(seed, &config, operation));
    }
}

fn fail_and_crash(seed: u64, config: &Config, operation: u64, fault: Fault) {
    let disk = SimFs::new();
    let mut random = Random::new(seed ^ 0xFA17);
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    disk.fail_at(operation, fault);
    let run = Run { states: vec![State::new()], durable: 0, written: 0, relocated_bytes: 0 };
    let context = format!("operation {operation}, {fault:?}, {:?}", config.wal_sync_mode);
    let mut workload = Persistent { config, disk: &disk, engine, run, failed: None, context };
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
        check(config, &disk.after_crash(outcome), &run, least, &format!("{context}, {outcome:?}"));
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
    for_each_operation(0, |seed, config, operation| {
        let disk = SimFs::new();
        disk.fail_at(operation, Fault::once(std::io::ErrorKind::Other));
        disk.crash_at(operation + 1);
        let run = run(seed, config, &disk);
        let dead = disk.after_crash(CrashOutcome::ProcessOnly);
        for writes in [false, true] {
            reopen_and_lose_power(config, &dead.deep_copy(), &run, writes, operation);
        }
    });
}

/// Opens what a dead process left, writes one more batch if asked to, and loses power.
fn reopen_and_lose_power(config: &Config, disk: &SimFs, run: &Run, writes: bool, operation: u64) {
    let context = format!("operation {operation}, writes: {writes}, {:?}", config.wal_sync_mode);
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let mut state = read_all(&engine, Direction::Forward);
    if writes {
        let mut batch = WriteBatch::new();
        batch.put(b"written by the survivor", b"and synced").unwrap();
        let options = CommitOptions { sync: Some(SyncMode::Always), ..CommitOptions::default() };
        engine.commit(batch, options).unwrap();
        state.insert(b"written by the survivor".to_vec(), b"and synced".to_vec());
    }
    disk.crash();
    drop(engine);
    for outcome in [CrashOutcome::LoseUnsynced, CrashOutcome::Random(operation)] {
        let survivor = disk.after_crash(outcome);
        if !writes {
            check(config, &survivor, run, run.durable, &format!("{context}, {outcome:?}"));
            continue;
        }
        // What was synced last was built on everything that could be read before it.
        let engine = Engine::open_on(config.clone(), Arc::new(survivor));
        let engine = engine.unwrap_or_else(|error| panic!("{context}, {outcome:?}: {error:?}"));
        assert_eq!(read_all(&engine, Direction::Forward), state, "{context}, {outcome:?}");
    }
}
