//! A crash after any operation of the disk leaves whole transactions, and no part of a structure that belongs to nothing.

use std::path::Path;
use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::error::Result;
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::{JsonDb, Mode};
use flowdb::structures::{Structures, ZAddOptions};

use crate::model::{Command, Model, read_all, run};
use crate::support::{Random, START_MS, assert_no_row_is_lost};

const DATABASES: u32 = 2;
const TRANSACTIONS: usize = 14;

fn open(disk: &SimFs, now_ms: u64) -> Result<(Structures, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::new(now_ms));
    let config = Config {
        clock: Arc::clone(&clock) as _,
        memtable_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        level_size_bytes: 16 << 10,
        auto_background: false,
        ..Config::new(Path::new("/db"))
    };
    let structures = Structures::new(JsonDb::open_on(config, Arc::new(disk.clone()))?)?;
    Ok((structures, clock))
}

/// The states of the model after each transaction, and how many of those were acknowledged.
struct History {
    states: Vec<Model>,
    acknowledged: usize,
    now_ms: u64,
}

/// Random transactions, the same for each crash; stops at the first that fails.
fn work(disk: &SimFs, seed: u64) -> History {
    let start = Model { now_ms: START_MS, ..Model::default() };
    let mut history = History { states: vec![start], acknowledged: 0, now_ms: START_MS };
    let Ok((structures, clock)) = open(disk, START_MS) else { return history };
    let structures = structures.seeded(seed);
    let mut random = Random::seeded(seed);
    for _ in 0..TRANSACTIONS {
        let mut after = history.states.last().unwrap().clone();
        after.set_time(history.now_ms);
        let Ok(mut tx) = structures.begin(Mode::ReadWrite) else { return history };
        for _ in 0..6 {
            after.database = random.below(u64::from(DATABASES)) as u32;
            tx.select(after.database).unwrap();
            let command = Command::any(&mut random);
            let found = run(&mut tx, &command, &after);
            if found.contains("FLOWDB_IO") || found.contains("FLOWDB_POISONED") {
                return history;
            }
            assert_eq!(found, after.run(&command, &found), "{command:?}");
        }
        history.states.push(after);
        if tx.commit(None).is_err() {
            return history;
        }
        history.acknowledged += 1;
        if structures.evict(u64::MAX).is_err() || structures.db().engine().run_pending().is_err() {
            return history;
        }
        clock.advance(7);
        history.now_ms += 7;
    }
    let _ = structures.db().close();
    history
}

/// What is there is one of the states, and not older than what was acknowledged.
fn check_recovered(disk: &SimFs, history: &History, context: &str) {
    let (structures, _) = open(disk, history.now_ms).unwrap();
    let found = structures.view(|tx| Ok(read_all(tx, DATABASES, history.now_ms))).unwrap();
    let states: Vec<_> = history
        .states
        .iter()
        .map(|state| {
            let mut state = state.clone();
            state.set_time(history.now_ms);
            state.keys
        })
        .collect();
    let newest = states.iter().rposition(|state| *state == found.keys);
    let newest = newest.unwrap_or_else(|| panic!("{context}: {found:?} is no state of the history"));
    let least = states.iter().position(|state| *state == states[history.acknowledged]).unwrap();
    assert!(newest >= least, "{context}: lost what was acknowledged");
    assert_no_row_is_lost(&structures, context);
    // It goes on from there, and no number is given twice.
    structures.update(None, |tx| tx.r_push(b"after", &[b"1", b"2"])).unwrap();
    assert_eq!(structures.view(|tx| tx.l_range(b"after", 0, -1)).unwrap(), [b"1", b"2"], "{context}");
    let after = structures.view(|tx| Ok(read_all(tx, DATABASES, history.now_ms))).unwrap();
    assert_eq!(after.keys.len(), found.keys.len() + 1, "{context}");
    assert_no_row_is_lost(&structures, context);
}

fn outcomes(crash_at: u64) -> [CrashOutcome; 3] {
    [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced, CrashOutcome::Random(crash_at)]
}

#[test]
fn after_a_crash_at_any_operation_there_are_whole_transactions_only() {
    let seed = Random::from_env("after_a_crash_at_any_operation_there_are_whole_transactions_only").next();
    let disk = SimFs::new();
    assert_eq!(work(&disk, seed).acknowledged, TRANSACTIONS);
    let operations = disk.operations();

    for crash_at in 0..operations {
        let disk = SimFs::crashing_after(crash_at);
        let history = work(&disk, seed);
        for outcome in outcomes(crash_at) {
            let context = format!("crash_at={crash_at} {outcome:?}");
            check_recovered(&disk.after_crash(outcome), &history, &context);
        }
    }
}

#[test]
fn after_many_random_workloads_and_crashes_there_are_whole_transactions_only() {
    let mut random =
        Random::from_env("after_many_random_workloads_and_crashes_there_are_whole_transactions_only");
    let operations = {
        let disk = SimFs::new();
        work(&disk, random.next());
        disk.operations()
    };
    for _ in 0..300 {
        // Some of them end before they would crash.
        let (seed, crash_at) = (random.next(), random.below(operations + operations / 10));
        let disk = SimFs::crashing_after(crash_at);
        let history = work(&disk, seed);
        let outcome = *random.pick(&outcomes(crash_at));
        let context = format!("seed={seed} crash_at={crash_at} {outcome:?}");
        check_recovered(&disk.after_crash(outcome), &history, &context);
    }
}

/// The rows that count are those of the members, wherever the writing of many of them was cut off.
#[test]
fn a_crash_while_a_large_sorted_set_changes_leaves_its_ranks() {
    let names: Vec<Vec<u8>> = (0..3_000).map(|number| format!("{number:04}").into_bytes()).collect();
    let change = |disk: &SimFs| -> Result<()> {
        let (structures, _) = open(disk, START_MS)?;
        for part in names.chunks(1_000) {
            let scored: Vec<(f64, &[u8])> = part.iter().map(|name| (0.0, name.as_slice())).collect();
            structures.update(None, |tx| tx.z_add(b"set", &scored, ZAddOptions::default()))?;
            structures.db().engine().run_pending()?;
        }
        structures.update(None, |tx| tx.z_pop_min(b"set", 2_500))?;
        structures.db().close()
    };
    let disk = SimFs::new();
    change(&disk).unwrap();
    for crash_at in (0..disk.operations()).step_by(7) {
        let disk = SimFs::crashing_after(crash_at);
        let _ = change(&disk);
        let (structures, _) = open(&disk.after_crash(CrashOutcome::Random(crash_at)), START_MS).unwrap();
        structures
            .view(|tx| {
                let count = tx.z_card(b"set")?;
                assert!([0, 1_000, 2_000, 3_000, 500].contains(&count), "crash_at={crash_at}");
                let first = if count == 500 { 2_500 } else { 0 };
                for rank in (0..count).step_by(97) {
                    let name = &names[first + rank as usize];
                    assert_eq!(tx.z_rank(b"set", name)?, Some(rank), "crash_at={crash_at}");
                }
                Ok(())
            })
            .unwrap();
        assert_no_row_is_lost(&structures, &format!("crash_at={crash_at}"));
    }
}
