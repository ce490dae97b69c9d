//! A crash after every operation of the disk: what was acknowledged is there, nothing is there by half, indexes and
//! counts are those of the documents.

use std::path::Path;
use std::sync::Arc;

use flowdb::config::{Config, SyncMode};
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::{JsonDb, Mode};
use serde_json::json as j;

use crate::model::{Model, assert_matches, create_indexes, step};
use crate::support::{Random, all, auto_increment, index_on, json, key, keyed_by};

const DIR: &str = "db";

fn config() -> Config {
    Config {
        // Small enough that the work is flushed and compacted several times, in this thread.
        memtable_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        level_size_bytes: 16 << 10,
        auto_background: false,
        ..Config::new(Path::new(DIR))
    }
}

fn open(disk: &SimFs) -> Result<JsonDb> {
    JsonDb::open_on(config(), Arc::new(disk.clone()))
}

fn outcomes(crash_at: u64) -> [CrashOutcome; 3] {
    [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced, CrashOutcome::Random(crash_at)]
}

/// The states of the model after each transaction of the workload, and how many transactions were acknowledged.
struct History {
    states: Vec<Model>,
    acknowledged: usize,
}

/// Random transactions, the same for each crash; stops at the first that fails.
fn work(disk: &SimFs, seed: u64) -> History {
    let mut history = History { states: vec![Model::new()], acknowledged: 0 };
    let Ok(db) = open(disk) else { return history };
    if db.create_object_store("items", keyed_by("id")).is_err() {
        return history;
    }
    let mut random = Random::seeded(seed);
    for round in 0..12 {
        if round == 0 {
            for (name, options) in crate::model::indexes() {
                if db.create_index("items", name, options).is_err() {
                    return history;
                }
            }
        }
        let mut after = history.states.last().unwrap().clone();
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        for _ in 0..6 {
            if step(&mut tx, &mut after, &mut random, 30).is_err() {
                return history;
            }
        }
        history.states.push(after);
        if tx.commit(None).is_err() {
            return history;
        }
        history.acknowledged += 1;
        if db.engine().run_pending().is_err() {
            return history;
        }
    }
    let _ = db.close();
    history
}

#[test]
fn after_a_crash_at_any_operation_the_database_is_one_of_its_states() {
    let seed = Random::from_env("after_a_crash_at_any_operation_the_database_is_one_of_its_states").next();
    let disk = SimFs::new();
    assert_eq!(work(&disk, seed).acknowledged, 12);
    let operations = disk.operations();

    for crash_at in 0..operations {
        let disk = SimFs::crashing_after(crash_at);
        let history = work(&disk, seed);
        for outcome in outcomes(crash_at) {
            check_recovered(
                &disk.after_crash(outcome),
                &history,
                &format!("crash_at={crash_at} {outcome:?}"),
            );
        }
    }
}

/// The disk has a state of the history with everything acknowledged, and index rows and counts are those of its documents.
fn check_recovered(disk: &SimFs, history: &History, context: &str) {
    let db = open(disk).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    create_indexes(&db);
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let count = tx.count("items", &all()).unwrap() as usize;
    let found = crate::support::documents(&mut tx);
    assert_eq!(found.len(), count, "{context}");
    let state = history
        .states
        .iter()
        .rposition(|state| *state == found)
        .unwrap_or_else(|| panic!("{context}: {found:?} is no state of the history"));
    let least = history.states.iter().position(|state| *state == history.states[history.acknowledged]);
    assert!(state >= least.unwrap(), "{context}: lost what was acknowledged");
    assert_matches(&mut tx, &found, 7);
}

#[test]
fn after_a_thousand_random_workloads_and_crashes_indexes_and_documents_agree() {
    let mut random =
        Random::from_env("after_a_thousand_random_workloads_and_crashes_indexes_and_documents_agree");
    let operations = {
        let disk = SimFs::new();
        work(&disk, random.next());
        disk.operations()
    };
    for _ in 0..1_000 {
        // Some of them end before they would crash.
        let (seed, crash_at) = (random.next(), random.below(operations + operations / 10));
        let disk = SimFs::crashing_after(crash_at);
        let history = work(&disk, seed);
        let outcome = outcomes(crash_at)[random.below(3) as usize];
        check_recovered(
            &disk.after_crash(outcome),
            &history,
            &format!("seed={seed} crash_at={crash_at} {outcome:?}"),
        );
    }
}

/// What can be seen of an index is whole, wherever its build was cut off, and it can be created again.
#[test]
fn a_crash_while_an_index_is_built_leaves_none_or_a_whole_one() {
    let prepare = || {
        let disk = SimFs::new();
        let db = open(&disk).unwrap();
        db.create_object_store("items", keyed_by("id")).unwrap();
        db.update(&["items"], None, |tx| {
            for id in 0..2_300 {
                tx.put("items", None, json(&j!({ "id": id, "n": id % 100 })))?;
            }
            Ok(())
        })
        .unwrap();
        db.close().unwrap();
        disk
    };
    let base = prepare();
    let build = |disk: &SimFs| -> Result<()> {
        let db = open(disk)?;
        db.create_index("items", "by_n", index_on("n"))
    };
    let disk = base.deep_copy();
    let before = disk.operations();
    build(&disk).unwrap();
    let operations = disk.operations() - before;

    for crash_at in 0..operations {
        let disk = base.deep_copy();
        disk.crash_at(disk.operations() + crash_at);
        let acknowledged = build(&disk).is_ok();
        for outcome in outcomes(crash_at) {
            let db = open(&disk.after_crash(outcome)).unwrap();
            let has_index = !db.schema()[0].indexes.is_empty();
            assert!(has_index || !acknowledged, "crash_at={crash_at} {outcome:?}");
            let count = |db: &JsonDb| {
                db.begin(&["items"], Mode::ReadOnly).unwrap().count_by_index("items", "by_n", &all()).unwrap()
            };
            if has_index {
                assert_eq!(count(&db), 2_300, "crash_at={crash_at} {outcome:?}");
            }
            db.create_index("items", "by_n", index_on("n")).unwrap();
            assert_eq!(count(&db), 2_300, "crash_at={crash_at} {outcome:?}");
        }
    }
}

#[test]
fn a_key_of_a_committed_document_is_not_generated_again_after_a_crash() {
    let work = |disk: &SimFs| -> Result<u64> {
        let db = open(disk)?;
        db.create_object_store("items", auto_increment(Some("id")))?;
        for _ in 0..6 {
            db.update(&["items"], None, |tx| tx.add("items", None, json(&j!({}))))?;
        }
        Ok(0)
    };
    let disk = SimFs::new();
    work(&disk).unwrap();
    for crash_at in 0..disk.operations() {
        let disk = SimFs::crashing_after(crash_at);
        let _ = work(&disk);
        for outcome in outcomes(crash_at) {
            let db = open(&disk.after_crash(outcome)).unwrap();
            db.create_object_store("items", auto_increment(Some("id"))).unwrap();
            let count = db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap();
            let added = db.update(&["items"], None, |tx| tx.add("items", None, json(&j!({})))).unwrap();
            assert_eq!(added, key(count as f64 + 1.0), "crash_at={crash_at} {outcome:?}");
        }
    }
}

/// Failed writes leave counts, generators and the schema as if they had never been tried.
#[test]
fn a_full_disk_refuses_writes_and_takes_them_again_when_there_is_space() {
    let disk = SimFs::new();
    // Nothing is flushed, so that no log goes and makes space; nothing is synced, so that there are no zeros ahead of the
    // records, which take no more space when they are written over.
    let wal_sync_mode = SyncMode::Interval(60_000);
    let config = Config { memtable_size_bytes: 64 << 20, wal_sync_mode, ..config() };
    let db = JsonDb::open_on(config, Arc::new(disk.clone())).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    db.create_object_store("numbered", auto_increment(None)).unwrap();
    create_indexes(&db);
    let put = |id: u64| {
        let document = json(&j!({ "id": id, "n": id, "text": "x".repeat(200) }));
        db.update(&["items"], None, |tx| tx.put("items", None, document.clone()))
    };
    let mut stored = 0;
    for round in 0..5 {
        let used: usize = disk.files().iter().map(|file| disk.read_file(file).unwrap().len()).sum();
        disk.set_capacity(used as u64 + 2_000);
        let mut refused = 0;
        for id in 0..20 {
            match put(round * 100 + id) {
                Ok(_) => stored += 1,
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.code(), Code::Io, "{error:?}");
                }
            }
        }
        assert!(refused > 0);
        assert!(db.create_object_store("more", keyed_by("id")).is_err());
        assert!(db.delete_object_store("numbered").is_err());
        let count =
            |db: &JsonDb| db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap();
        assert_eq!(count(&db), stored, "reads go on");
        disk.set_capacity(u64::MAX);
        put(round * 100 + 50).unwrap();
        stored += 1;
        let names: Vec<_> = db.schema().into_iter().map(|store| store.name).collect();
        assert_eq!(names, ["items", "numbered"]);
        let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
        assert_eq!(crate::support::documents(&mut tx).len() as u64, stored);
        assert_eq!(tx.count("items", &all()).unwrap(), stored);
        assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), stored);
    }
    db.update(&["numbered"], None, |tx| tx.add("numbered", None, json(&j!({})))).unwrap();
}
