//! Crashes at every file operation, and what has to be there afterwards.

use std::path::PathBuf;
use std::sync::Arc;

use flowdb::clock::Clock;
use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Direction, Engine, WriteBatch};
use flowdb::error::Result;
use flowdb::fs::{CrashOutcome, SimFs};

use crate::common::Random;
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

/// Runs `work` once without a crash, and then once for each of its file operations, which meets the crash, and opens
/// what is left in every way. Returns what the whole run did and how many crashes there were.
pub fn crash_everywhere(setting: &Setting, seed: u64, work: Work<'_>) -> (Run, u64) {
    let whole = SimFs::new();
    let finished = run(setting, &whole, work);
    assert_eq!(finished.durable, finished.tried(), "a workload that fails without a crash");
    check(setting, &whole.deep_copy(), &finished, finished.tried(), "no crash at all");
    let mut crashes = 0;
    for operation in 0..whole.operations() {
        let disk = SimFs::crashing_after(operation);
        let run = run(setting, &disk, work);
        crashes += check_outcomes(seed, setting, &disk, &run, operation);
        check_crash_in_recovery(seed, setting, &disk, &run, operation);
        crashes += 1;
    }
    (finished, crashes)
}

fn check_outcomes(seed: u64, setting: &Setting, disk: &SimFs, run: &Run, operation: u64) -> u64 {
    let outcomes = [
        CrashOutcome::LoseUnsynced,
        CrashOutcome::KeepUnsynced,
        CrashOutcome::Random(seed.wrapping_mul(1_000) + operation),
        CrashOutcome::Random(!(seed.wrapping_mul(1_000) + operation)),
        CrashOutcome::ProcessOnly,
    ];
    for outcome in outcomes {
        let least = if outcome == CrashOutcome::ProcessOnly { run.written } else { run.durable };
        let context = format!("operation {operation}, {outcome:?}, {:?}", setting.config.wal_sync_mode);
        check(setting, &disk.after_crash(outcome), run, least, &context);
    }
    outcomes.len() as u64
}

/// A second crash, at a random operation of the recovery from the first.
fn check_crash_in_recovery(seed: u64, setting: &Setting, disk: &SimFs, run: &Run, operation: u64) {
    let mut random = Random::new(seed.wrapping_add(operation));
    let first = CrashOutcome::Random(random.next());
    let disk = disk.after_crash(first);
    disk.crash_at(random.below(14));
    let opened = Engine::open_on(setting.config.clone(), Arc::new(disk.clone()));
    drop(opened);
    let second = CrashOutcome::Random(random.next());
    let context = format!("operation {operation}, {first:?} and then {second:?}");
    check(setting, &disk.after_crash(second), run, run.durable, &context);
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
    if state.len().is_multiple_of(2) {
        engine.flush().unwrap();
        while engine.run_pending_when_quiet().unwrap() {}
    }
    engine.verify().unwrap_or_else(|error| panic!("{context}: {error:?}"));
    engine.close().unwrap();
    let again = Engine::open_on(setting.config.clone(), Arc::new(disk.clone())).unwrap();
    assert_eq!(read_all(&again, Direction::Forward), state, "{context}: after another opening");
}
