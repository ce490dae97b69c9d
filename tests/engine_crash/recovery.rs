//! Crashes at every file operation, and what has to be there afterwards.

use std::path::PathBuf;
use std::sync::Arc;

use flowdb::clock::Clock;
use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Direction, Engine, WriteBatch};
use flowdb::error::Result;
use flowdb::fs::{CrashOutcome, SimFs};

use crate::common::Random;
use crate::common::trials::{assert_no_orphans, power_losses};
use crate::workload::{Run, Setting, State, Workload, read_all, visible};

/// What a workload does; an error is the crash that the test asked for.
pub type Work<'a> = &'a dyn Fn(&mut Workload<'_>) -> Result<()>;

/// Runs `work` until it ends or the disk fails.
pub fn run(setting: &Setting, disk: &SimFs, work: Work<'_>) -> Run {
    setting.clock.set(1);
    let mut run = Run::new();
    if let Ok(mut workload) = Workload::open(setting, disk, &mut run) {
        // Which operation meets the crash is not the point here.
        let _ = work(&mut workload).and_then(|()| workload.close());
    }
    run
}

/// How many draws say what a loss of power leaves, beside losing and keeping everything.
const DRAWS: u64 = 8;

/// Runs `work` once without a crash, and then once for each of its file operations, which meets the crash, and recovers
/// from what is left in every way. Returns what the whole run did and how many recoveries were checked.
pub fn crash_everywhere(setting: &Setting, seed: u64, work: Work<'_>) -> (Run, u64) {
    let whole = SimFs::new();
    let finished = run(setting, &whole, work);
    assert_eq!(finished.durable, finished.tried(), "a workload that fails without a crash");
    check(setting, &whole.deep_copy(), &finished, finished.tried(), "no crash at all");
    let mut points = 0;
    for operation in 0..whole.operations() {
        let disk = SimFs::crashing_after(operation);
        let run = run(setting, &disk, work);
        points += check_outcomes(seed, setting, &disk, &run, operation);
        points += check_crashes_in_recovery(seed, setting, &disk, &run, operation);
    }
    (finished, points)
}

fn check_outcomes(seed: u64, setting: &Setting, disk: &SimFs, run: &Run, operation: u64) -> u64 {
    let context = |outcome| format!("operation {operation}, {outcome:?}, {:?}", setting.config.wal_sync_mode);
    let left = power_losses(disk, seed.wrapping_mul(100_000) + operation, DRAWS);
    for (outcome, left) in &left {
        check(setting, left, run, run.durable, &context(*outcome));
    }
    let dead = CrashOutcome::ProcessOnly;
    check(setting, &disk.after_crash(dead), run, run.written, &context(dead));
    left.len() as u64 + 1
}

/// A second crash at some operation of the recovery from the first, and a third one in the recovery from that.
fn check_crashes_in_recovery(seed: u64, setting: &Setting, disk: &SimFs, run: &Run, operation: u64) -> u64 {
    const CRASHES: u64 = 2;
    let mut random = Random::new(seed.wrapping_mul(100_000) + operation);
    let mut outcome = CrashOutcome::Random(random.next());
    let mut context = format!("operation {operation}, {:?}, {outcome:?}", setting.config.wal_sync_mode);
    let mut disk = disk.after_crash(outcome);
    for _ in 0..CRASHES {
        let crash_at = random.below(operations_of_recovery(setting, &disk));
        disk.crash_at(crash_at);
        let _ = recover(setting, &disk);
        outcome = CrashOutcome::Random(random.next());
        context = format!("{context}, in the recovery at {crash_at}: {outcome:?}");
        disk = disk.after_crash(outcome);
        check(setting, &disk.deep_copy(), run, run.durable, &context);
    }
    CRASHES
}

/// How many operations there are to crash the recovery at, one behind its end among them.
fn operations_of_recovery(setting: &Setting, disk: &SimFs) -> u64 {
    let copy = disk.deep_copy();
    recover(setting, &copy).expect("a recovery on a disk that works");
    copy.operations() + 1
}

/// The opening, and a step of the background work that it leaves.
fn recover(setting: &Setting, disk: &SimFs) -> Result<()> {
    Engine::open_on(setting.config.clone(), Arc::new(disk.clone()))?.run_pending()?;
    Ok(())
}

/// Opens what a crash left and checks it against what the workload did.
pub fn check(setting: &Setting, disk: &SimFs, run: &Run, least: usize, context: &str) {
    let engine = match Engine::open_on(setting.config.clone(), Arc::new(disk.clone())) {
        Ok(engine) => engine,
        Err(error) => panic!("{context}: can't be opened: {error:?}"),
    };
    let state = read_all(&engine, Direction::Forward);
    assert_eq!(state, read_all(&engine, Direction::Reverse), "{context}");
    let now = setting.clock.now_ms();
    let is_found = |batches: &usize| visible(&run.states[*batches], now).eq(state.iter());
    let found = (least..=run.tried()).rev().find(is_found);
    assert!(found.is_some(), "{context}: not the state after any of batches {least}..={}", run.tried());
    for (key, (value, expires_at)) in &state {
        let found = engine.get(key, None).unwrap().expect("it was in the scan");
        assert_eq!((&found.bytes[..], found.expires_at), (&value[..], *expires_at), "{context}: {key:?}");
    }
    check_checkpoints(setting, disk, run, context);
    go_on(setting, &engine, disk, state, context);
}

/// A checkpoint that was made is there, and one that is there is whole.
fn check_checkpoints(setting: &Setting, disk: &SimFs, run: &Run, context: &str) {
    for (dir, batches, is_made) in &run.checkpoints {
        let is_there = disk.read_file(dir.join("CURRENT")).is_some();
        assert!(is_there || !is_made, "{context}: the checkpoint {} was made", dir.display());
        if is_there {
            let copy = open_checkpoint(setting, disk, dir.clone());
            let state = read_all(&copy, Direction::Forward);
            let now = setting.clock.now_ms();
            assert!(visible(&run.states[*batches], now).eq(state.iter()), "{context}: {}", dir.display());
            copy.verify().unwrap();
        }
    }
}

fn open_checkpoint(setting: &Setting, disk: &SimFs, data_dir: PathBuf) -> Engine {
    let config = Config { data_dir, read_only: true, ..setting.config.clone() };
    Engine::open_on(config, Arc::new(disk.clone())).unwrap()
}

/// The database that was recovered takes writes, and does its work or leaves it to the next opening; all is there
/// after a clean close.
fn go_on(setting: &Setting, engine: &Engine, disk: &SimFs, mut state: State, context: &str) {
    let mut batch = WriteBatch::new();
    batch.put(b"after the crash", b"written").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    state.insert(b"after the crash".to_vec(), (b"written"[..].into(), 0));
    let is_worked_off = state.len().is_multiple_of(2);
    if is_worked_off {
        engine.flush().unwrap();
        while engine.run_pending_when_quiet().unwrap() {}
    }
    engine.verify().unwrap_or_else(|error| panic!("{context}: {error:?}"));
    engine.close().unwrap();
    let again = Engine::open_on(setting.config.clone(), Arc::new(disk.clone())).unwrap();
    assert_eq!(read_all(&again, Direction::Forward), state, "{context}: after another opening");
    if is_worked_off {
        assert_no_orphans(&again, disk, "/db", context);
    }
}
