//! Versions of documents, conditions on them, and times of writing.

use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::error::{Code, Result};
use flowdb::jsondb::{Expires, JsonDb, Key, Mode, PutOptions, Row};
use serde_json::json as j;

use crate::support::{change, code, get, json, key, keyed_by, open_with_items, put};

fn put_with(db: &JsonDb, value: serde_json::Value, options: PutOptions) -> Result<Key> {
    change(db, |tx| tx.put_with("items", None, json(&value), options))
}

fn if_version(version: u64) -> PutOptions {
    PutOptions { if_version: Some(version), ..PutOptions::default() }
}

fn entry(db: &JsonDb, id: f64) -> Option<Row> {
    db.begin(&["items"], Mode::ReadOnly).unwrap().get("items", &key(id)).unwrap()
}

#[test]
fn a_version_counts_the_writes_of_a_document_and_begins_again_after_a_deletion() {
    let clock = Arc::new(ManualClock::new(1_000));
    let db = JsonDb::open(Config { clock: clock.clone(), ..Config::in_memory() }).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    for turn in 1..=3 {
        clock.set(1_000 * turn);
        put(&db, j!({ "id": 1, "turn": turn }));
        let row = entry(&db, 1.0).unwrap();
        assert_eq!((row.version, row.updated_at, row.expires_at), (turn, 1_000 * turn, 0));
    }
    change(&db, |tx| tx.delete("items", &key(1.0))).unwrap();
    put(&db, j!({ "id": 1 }));
    assert_eq!(entry(&db, 1.0).unwrap().version, 1);
}

#[test]
fn a_write_with_a_condition_happens_only_where_it_is_met_and_says_what_it_found() {
    let db = open_with_items();
    put_with(&db, j!({ "id": 1, "n": 1 }), if_version(0)).unwrap();
    put_with(&db, j!({ "id": 1, "n": 2 }), if_version(1)).unwrap();
    for (options, found) in
        [(if_version(1), "version 2"), (if_version(0), "version 2"), (if_version(9), "version 2")]
    {
        let error = put_with(&db, j!({ "id": 1, "n": 3 }), options).unwrap_err();
        assert_eq!(error.code(), Code::Constraint);
        let expected = match options.if_version {
            Some(0) => "none".to_owned(),
            version => format!("version {}", version.unwrap()),
        };
        for part in ["document 1 ", "items", found, &expected] {
            assert!(error.message().contains(part), "{error} lacks {part}");
        }
    }
    let error = put_with(&db, j!({ "id": 2 }), if_version(4)).unwrap_err();
    assert!(error.message().contains("version 4") && error.message().contains("none"), "{error}");
    let absent = PutOptions { if_absent: true, ..PutOptions::default() };
    assert_eq!(code(put_with(&db, j!({ "id": 1 }), absent)), Code::Constraint);
    put_with(&db, j!({ "id": 3 }), absent).unwrap();
    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "n": 2 })));
    assert_eq!(get(&db, 2.0), None);
}

#[test]
fn of_two_who_ask_for_one_version_one_writes() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 0 }));
    let written: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let db = db.clone();
                scope.spawn(move || {
                    let tries = (1..=200).map(|version| put_with(&db, j!({ "id": 1 }), if_version(version)));
                    tries.filter(Result::is_ok).count() as u64
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(entry(&db, 1.0).unwrap().version, written + 1);
}

#[test]
fn touching_changes_neither_version_nor_time_of_writing() {
    let clock = Arc::new(ManualClock::new(1_000));
    let db = JsonDb::open(Config { clock: clock.clone(), ..Config::in_memory() }).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 1 }));
    clock.set(2_000);
    let touch = |id: f64, expires| change(&db, |tx| tx.touch("items", &key(id), expires)).unwrap();

    assert!(touch(1.0, Expires::After(500)));
    let row = entry(&db, 1.0).unwrap();
    assert_eq!((row.version, row.updated_at, row.expires_at), (1, 1_000, 2_500));
    assert!(touch(1.0, Expires::Never));
    assert_eq!(entry(&db, 1.0).unwrap().expires_at, 0);
    assert!(!touch(2.0, Expires::After(500)));
    let reader = &mut db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(code(reader.touch("items", &key(1.0), Expires::Never)), Code::ReadOnly);
    assert!(touch(1.0, Expires::At(1_999)));
    assert!(entry(&db, 1.0).is_none());
}
