//! Auto-increment: what numbers are given, where they go, and that none is given twice.

use std::collections::BTreeSet;

use flowdb::config::Config;
use flowdb::error::Code;
use flowdb::jsondb::{Document, Format, JsonDb, Key, KeyValue, Mode};
use serde_json::json as j;

use crate::support::{TempDir, all, auto_increment, change, code, content, json, key, open};

fn number(key: &Key) -> f64 {
    match key.decode().unwrap() {
        KeyValue::Number(number) => number,
        other => panic!("{other} is no number"),
    }
}

fn add(db: &JsonDb) -> f64 {
    number(&change(db, |tx| tx.add("items", None, json(&j!({})))).unwrap())
}

#[test]
fn keys_rise_from_one_and_pass_those_that_are_given() {
    let db = open();
    db.create_object_store("items", auto_increment(None)).unwrap();
    let given = |value: KeyValue| {
        change(&db, |tx| tx.put("items", Some(key(value.clone())), json(&j!({})))).unwrap();
    };

    assert_eq!((add(&db), add(&db)), (1.0, 2.0));
    given(10.5.into());
    assert_eq!(add(&db), 11.0);
    given(3.0.into());
    given("100".into());
    given((-7.0).into());
    assert_eq!(add(&db), 12.0);
    given(f64::INFINITY.into());
    assert_eq!(code(change(&db, |tx| tx.add("items", None, json(&j!({}))))), Code::Constraint);
}

#[test]
fn a_generated_key_is_written_into_the_document() {
    let db = open();
    db.create_object_store("items", auto_increment(Some("meta.id"))).unwrap();
    db.create_index("items", "by_id", crate::support::unique_on("meta.id")).unwrap();
    let put = |value| change(&db, |tx| tx.put("items", None, json(&value)));

    assert_eq!(put(j!({ "a": 1 })).unwrap(), key(1.0));
    assert_eq!(put(j!({ "meta": { "x": [] } })).unwrap(), key(2.0));
    assert_eq!(put(j!({ "meta": { "id": 7 } })).unwrap(), key(7.0));
    assert_eq!(put(j!({ "meta": { "id": "x" } })).unwrap(), key("x"));
    assert_eq!(put(j!({})).unwrap(), key(8.0));
    assert_eq!(code(put(j!({ "meta": { "id": {} } }))), Code::InvalidKey);
    assert_eq!(code(put(j!({ "meta": 3 }))), Code::InvalidValue);

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let row = tx.get("items", &key(1.0)).unwrap().unwrap();
    assert_eq!(content(&row), j!({ "a": 1, "meta": { "id": 1 } }));
    let row = tx.get("items", &key(2.0)).unwrap().unwrap();
    assert_eq!(content(&row), j!({ "meta": { "x": [], "id": 2 } }));
    assert_eq!(tx.count_by_index("items", "by_id", &all()).unwrap(), 5);
}

#[test]
fn documents_of_every_format_get_keys_beside_them() {
    let db = open();
    db.create_object_store("items", auto_increment(None)).unwrap();
    for (index, format) in [Format::Json, Format::Structured, Format::Raw].into_iter().enumerate() {
        let document = Document { format, bytes: b"{}".to_vec() };
        let stored = change(&db, |tx| tx.put("items", None, document.clone())).unwrap();
        assert_eq!(number(&stored), index as f64 + 1.0);
    }
}

#[test]
fn threads_get_distinct_keys() {
    let db = open();
    db.create_object_store("items", auto_increment(Some("id"))).unwrap();

    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..50 {
                    add(&db);
                }
            });
        }
    });

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count("items", &all()).unwrap(), 300);
}

#[test]
fn a_number_is_never_given_twice_across_aborts_and_reopening() {
    let dir = TempDir::new();
    let mut given = BTreeSet::new();
    for _ in 0..4 {
        let db = JsonDb::open(Config::new(dir.path())).unwrap();
        db.create_object_store("items", auto_increment(None)).unwrap();
        for _ in 0..3 {
            assert!(given.insert(add(&db) as u64), "{given:?}");
        }
        let mut aborted = db.begin(&["items"], Mode::ReadWrite).unwrap();
        let skipped = aborted.put("items", None, json(&j!({}))).unwrap();
        assert!(given.insert(number(&skipped) as u64), "{given:?}");
        aborted.abort();
        db.close().unwrap();
    }
    let db = JsonDb::open(Config::new(dir.path())).unwrap();
    assert_eq!(db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 12);
}

#[test]
fn a_store_that_is_cleared_goes_on_counting_and_one_that_is_new_begins() {
    let db = open();
    db.create_object_store("items", auto_increment(None)).unwrap();
    assert_eq!(add(&db), 1.0);
    change(&db, |tx| tx.clear("items")).unwrap();
    assert_eq!(add(&db), 2.0);

    db.delete_object_store("items").unwrap();
    db.create_object_store("items", auto_increment(None)).unwrap();

    assert_eq!(add(&db), 1.0);
}
