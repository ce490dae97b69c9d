//! Putting, adding, reading, deleting, clearing and counting documents.

use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::engine::Direction;
use flowdb::error::{Code, Error};
use flowdb::jsondb::{Document, Format, JsonDb, KeyPath, KeyRange, Mode, StoreOptions};
use serde_json::json as j;

use crate::support::{
    all, auto_increment, change, code, content, get, index_on, json, key, keyed_by, open, open_with_items,
    out_of_line, put, read_all, unique_on,
};

#[test]
fn a_document_comes_back_with_its_key_version_and_write_time() {
    let clock = Arc::new(ManualClock::new(1_000));
    let db = JsonDb::open(Config { clock: clock.clone(), ..Config::in_memory() }).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();

    put(&db, j!({ "id": 1, "name": "first" }));
    clock.set(2_000);
    put(&db, j!({ "id": 1, "name": "second" }));

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let row = tx.get("items", &key(1.0)).unwrap().unwrap();
    assert_eq!((row.version, row.updated_at, row.expires_at), (2, 2_000, 0));
    assert_eq!((row.key.clone(), row.index_key.clone()), (key(1.0), None));
    assert_eq!(content(&row), j!({ "id": 1, "name": "second" }));
    assert!(tx.get("items", &key(2.0)).unwrap().is_none());
}

#[test]
fn json_text_is_kept_as_it_was_given() {
    let db = open_with_items();
    let text = r#" {"z":1.0,"id":7, "a":1e3,"big":12345678901234567890123} "#;

    change(&db, |tx| tx.put("items", None, Document { format: Format::Json, bytes: text.into() })).unwrap();

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.get("items", &key(7.0)).unwrap().unwrap().document.bytes, text.as_bytes());
}

#[test]
fn a_version_begins_again_after_a_deletion() {
    let db = open_with_items();
    put(&db, j!({ "id": 1 }));
    put(&db, j!({ "id": 1 }));

    assert!(change(&db, |tx| tx.delete("items", &key(1.0))).unwrap());
    assert!(!change(&db, |tx| tx.delete("items", &key(1.0))).unwrap());
    put(&db, j!({ "id": 1 }));

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.get("items", &key(1.0)).unwrap().unwrap().version, 1);
}

#[test]
fn add_refuses_a_key_that_is_there() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 1 }));

    let error = change(&db, |tx| tx.add("items", None, json(&j!({ "id": 1, "n": 2 })))).unwrap_err();

    assert_eq!(error.code(), Code::Constraint);
    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "n": 1 })));
    change(&db, |tx| tx.add("items", None, json(&j!({ "id": 2 })))).unwrap();
    // One that this transaction added itself is there too.
    let twice = change(&db, |tx| {
        tx.add("items", None, json(&j!({ "id": 3 })))?;
        tx.add("items", None, json(&j!({ "id": 3 })))
    });
    assert_eq!(code(twice), Code::Constraint);
    assert_eq!(get(&db, 3.0), None);
}

#[test]
fn a_key_that_is_missing_or_not_a_key_is_refused_by_path() {
    let db = open();
    db.create_object_store("items", keyed_by("a.id")).unwrap();

    for value in [j!({}), j!({ "a": 1 }), j!({ "a": { "id": {} } }), j!({ "a": { "id": [1, {}] } }), j!([])] {
        let error = change(&db, |tx| tx.put("items", None, json(&value))).unwrap_err();
        assert_eq!(error.code(), Code::InvalidKey, "{value}");
        assert!(error.message().contains("a.id"), "{error}");
    }
    change(&db, |tx| tx.put("items", None, json(&j!({ "a": { "id": [1, "x", null] } })))).unwrap();
}

#[test]
fn a_compound_key_path_makes_an_array_key() {
    let db = open();
    let paths = KeyPath::Many(vec!["country".to_owned(), "city.name".to_owned()]);
    db.create_object_store("items", StoreOptions { key_path: Some(paths), auto_increment: false }).unwrap();

    let stored =
        change(&db, |tx| tx.put("items", None, json(&j!({ "country": "de", "city": { "name": "Jena" } }))));

    assert_eq!(stored.unwrap(), key(["de".into(), "Jena".into()]));
    let incomplete = change(&db, |tx| tx.put("items", None, json(&j!({ "country": "de" }))));
    assert_eq!(code(incomplete), Code::InvalidKey);
}

#[test]
fn keys_are_given_beside_documents_where_the_store_has_no_key_path_and_only_there() {
    let db = open();
    db.create_object_store("items", out_of_line()).unwrap();
    db.create_object_store("keyed", keyed_by("id")).unwrap();
    let document = || json(&j!({ "id": 1 }));
    let update = |store: &'static str, key| {
        db.update(&[store], None, move |tx| tx.put(store, key_of(key), document()))
    };
    fn key_of(number: Option<f64>) -> Option<flowdb::jsondb::Key> {
        number.map(key)
    }

    assert_eq!(update("items", Some(5.0)).unwrap(), key(5.0));
    assert_eq!(code(update("items", None)), Code::InvalidKey);
    assert_eq!(code(update("keyed", Some(5.0))), Code::InvalidArgument);
    assert_eq!(update("keyed", None).unwrap(), key(1.0));
}

#[test]
fn documents_that_are_not_json_go_where_no_key_comes_from_them() {
    let db = open();
    db.create_object_store("items", out_of_line()).unwrap();
    db.create_object_store("keyed", keyed_by("id")).unwrap();
    db.create_object_store("numbered", auto_increment(Some("id"))).unwrap();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    let raw = || Document { format: Format::Raw, bytes: br#"{"id":1,"n":2}"#.to_vec() };

    change(&db, |tx| tx.put("items", Some(key(1.0)), raw())).unwrap();
    for store in ["keyed", "numbered"] {
        assert_eq!(code(db.update(&[store], None, |tx| tx.put(store, None, raw()))), Code::InvalidValue);
    }

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.get("items", &key(1.0)).unwrap().unwrap().document, raw());
    assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), 0);
}

#[test]
fn text_that_is_not_json_is_refused() {
    let db = open();
    db.create_object_store("items", out_of_line()).unwrap();
    for text in ["", "{", "{'a':1}", "{} {}", "nul"] {
        let document = Document { format: Format::Json, bytes: text.into() };
        assert_eq!(
            code(change(&db, |tx| tx.put("items", Some(key(1.0)), document.clone()))),
            Code::InvalidValue
        );
    }
}

#[test]
fn clear_empties_a_store_and_its_indexes_and_no_other() {
    let db = open_with_items();
    db.create_index("items", "by_n", unique_on("n")).unwrap();
    db.create_object_store("others", keyed_by("id")).unwrap();
    db.update(&["others"], None, |tx| tx.put("others", None, json(&j!({ "id": 1, "n": 1 })))).unwrap();
    (0..10).for_each(|id| put(&db, j!({ "id": id, "n": id })));

    change(&db, |tx| {
        tx.put("items", None, json(&j!({ "id": 77, "n": 77 })))?;
        tx.clear("items")?;
        assert_eq!(tx.count("items", &all())?, 0);
        assert_eq!(tx.get("items", &key(3.0))?, None);
        assert_eq!(tx.count_by_index("items", "by_n", &all())?, 0);
        tx.put("items", None, json(&j!({ "id": 100, "n": 3 })))?;
        assert_eq!(tx.count("items", &all())?, 1);
        Ok(())
    })
    .unwrap();

    let mut tx = db.begin(&["items", "others"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count("items", &all()).unwrap(), 1);
    assert_eq!(tx.count("items", &KeyRange::lower_bound(key(-1.0), false)).unwrap(), 1);
    let rows = read_all(&mut tx, Some("by_n"), &all(), Direction::Forward, 10);
    assert_eq!(rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [key(100.0)]);
    assert_eq!(tx.count("others", &all()).unwrap(), 1);
}

#[test]
fn the_count_is_that_of_the_snapshot_and_of_own_writes() {
    let db = open_with_items();
    (0..5).for_each(|id| put(&db, j!({ "id": id })));
    let mut before = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let mut writer = db.begin(&["items"], Mode::ReadWrite).unwrap();
    writer.put("items", None, json(&j!({ "id": 1 }))).unwrap();
    writer.put("items", None, json(&j!({ "id": 10 }))).unwrap();
    writer.delete("items", &key(0.0)).unwrap();
    writer.delete("items", &key(2.0)).unwrap();
    writer.delete("items", &key(99.0)).unwrap();

    assert_eq!(writer.count("items", &all()).unwrap(), 4);
    writer.commit(None).unwrap();

    assert_eq!(before.count("items", &all()).unwrap(), 5);
    let mut after = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(after.count("items", &all()).unwrap(), 4);
    assert_eq!(after.count("items", &KeyRange::bound(key(1.0), key(10.0), true, false).unwrap()).unwrap(), 3);
}

#[test]
fn a_failed_call_leaves_the_transaction_as_it_was() {
    let db = open_with_items();
    db.create_index("items", "by_a", index_on("a")).unwrap();
    db.create_index("items", "by_u", unique_on("u")).unwrap();
    put(&db, j!({ "id": 1, "a": "x", "u": 1 }));
    put(&db, j!({ "id": 2, "a": "y", "u": 2 }));

    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 3, "a": "z", "u": 3 }))).unwrap();
    for taken in [1, 3] {
        let result = tx.put("items", None, json(&j!({ "id": 2, "a": "changed", "u": taken })));
        assert_eq!(code(result), Code::Constraint);
    }
    assert_eq!(code(tx.add("items", None, json(&j!({ "id": 1, "a": "changed" })))), Code::Constraint);

    let rows = read_all(&mut tx, Some("by_a"), &all(), Direction::Forward, 2);
    let found: Vec<_> = rows.iter().map(content).collect();
    assert_eq!(
        found,
        [
            j!({ "id": 1, "a": "x", "u": 1 }),
            j!({ "id": 2, "a": "y", "u": 2 }),
            j!({ "id": 3, "a": "z", "u": 3 })
        ]
    );
    assert_eq!(tx.count("items", &all()).unwrap(), 3);
    tx.commit(None).unwrap();
    assert_eq!(get(&db, 2.0), Some(j!({ "id": 2, "a": "y", "u": 2 })));
}

#[test]
fn an_aborted_or_dropped_transaction_changes_nothing() {
    let db = open_with_items();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 1 }))).unwrap();
    tx.abort();
    let failed = change(&db, |tx| {
        tx.put("items", None, json(&j!({ "id": 2 })))?;
        Err::<(), _>(Error::new(Code::Aborted, "the caller changed their mind"))
    });

    assert_eq!(code(failed), Code::Aborted);
    assert_eq!(db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 0);
}

#[test]
fn a_read_only_transaction_writes_nothing() {
    let db = open_with_items();
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();

    assert_eq!(code(tx.put("items", None, json(&j!({ "id": 1 })))), Code::ReadOnly);
    assert_eq!(code(tx.add("items", None, json(&j!({ "id": 1 })))), Code::ReadOnly);
    assert_eq!(code(tx.delete("items", &key(1.0))), Code::ReadOnly);
    assert_eq!(code(tx.clear("items")), Code::ReadOnly);
    tx.commit(None).unwrap();
}

#[test]
fn a_transaction_works_on_the_stores_of_its_scope_only() {
    let db = open_with_items();
    db.create_object_store("others", keyed_by("id")).unwrap();

    assert_eq!(code(db.begin(&["items", "nothing"], Mode::ReadOnly)), Code::NotFound);
    assert_eq!(code(db.begin(&[], Mode::ReadOnly)), Code::InvalidArgument);
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    assert_eq!(code(tx.get("others", &key(1.0))), Code::NotFound);
    assert_eq!(code(tx.put("others", None, json(&j!({ "id": 1 })))), Code::NotFound);
}

#[test]
fn a_transaction_writes_several_stores_at_once() {
    let db = open_with_items();
    db.create_object_store("others", keyed_by("id")).unwrap();

    db.update(&["items", "others"], None, |tx| {
        tx.put("items", None, json(&j!({ "id": 1 })))?;
        tx.put("others", None, json(&j!({ "id": 1 })))
    })
    .unwrap();

    let mut tx = db.begin(&["items", "others"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count("items", &all()).unwrap() + tx.count("others", &all()).unwrap(), 2);
}

#[test]
fn after_close_everything_says_closed() {
    let db = open_with_items();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 1 }))).unwrap();

    db.close().unwrap();
    db.close().unwrap();

    assert_eq!(code(tx.get("items", &key(1.0))), Code::Closed);
    assert_eq!(code(tx.put("items", None, json(&j!({ "id": 2 })))), Code::Closed);
    assert_eq!(code(tx.commit(None)), Code::Closed);
    assert_eq!(code(db.begin(&["items"], Mode::ReadOnly)), Code::Closed);
    assert_eq!(code(db.create_object_store("more", out_of_line())), Code::Closed);
    assert_eq!(code(db.create_index("items", "more", index_on("a"))), Code::Closed);
    assert_eq!(code(db.delete_object_store("items")), Code::Closed);
}
