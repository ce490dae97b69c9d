//! Calls on many documents and on ranges, and changes by what a document holds.

use std::collections::BTreeMap;

use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::jsondb::{Changed, JsonDb, Key, KeyRange, Mode, Stamp, Transaction};
use serde_json::{Value, json as j};

use crate::support::{
    Random, all, auto_increment, change, code, content, documents, get, ids_by, index_on, json, key,
    multi_entry_on, open, open_with_items, put, read_all, unique_on,
};

fn between(lower: i64, upper: i64) -> KeyRange {
    KeyRange::bound(key(lower as f64), key(upper as f64), false, true).unwrap()
}

fn with_numbers(count: i64) -> JsonDb {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    change(&db, |tx| {
        for id in 0..count {
            tx.put("items", None, json(&j!({ "id": id, "n": id % 7 })))?;
        }
        Ok(())
    })
    .unwrap();
    db
}

fn unkeyed(values: &[Value]) -> Vec<(Option<Key>, flowdb::jsondb::Document)> {
    values.iter().map(|value| (None, json(value))).collect()
}

fn count(db: &JsonDb, range: &KeyRange) -> u64 {
    db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", range).unwrap()
}

#[test]
fn many_documents_are_put_in_order_and_the_later_of_two_with_one_key_stays() {
    let db = open_with_items();
    let values = [j!({ "id": 2 }), j!({ "id": 1 }), j!({ "id": 2, "again": true })];

    let keys = change(&db, |tx| tx.put_many("items", unkeyed(&values))).unwrap();

    assert_eq!(keys, [key(2.0), key(1.0), key(2.0)]);
    assert_eq!(get(&db, 2.0), Some(j!({ "id": 2, "again": true })));
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let found = tx.get_many("items", &[key(2.0), key(9.0), key(1.0)]).unwrap();
    let versions: Vec<_> = found.iter().map(|row| row.as_ref().map(|row| row.version)).collect();
    assert_eq!(versions, [Some(2), None, Some(1)]);
    assert_eq!(tx.count("items", &all()).unwrap(), 2);
}

#[test]
fn a_call_on_many_that_fails_leaves_the_transaction_as_it_was() {
    let db = with_numbers(3);
    db.create_index("items", "by_u", unique_on("u")).unwrap();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 10, "n": 5, "u": "a" }))).unwrap();
    tx.delete("items", &key(0.0)).unwrap();
    let before = documents(&mut tx);

    let values = [
        j!({ "id": 0, "n": 1 }),
        j!({ "id": 1, "n": 6 }),
        j!({ "id": 11, "u": "b" }),
        j!({ "id": 12, "u": "a" }),
    ];
    assert_eq!(code(tx.put_many("items", unkeyed(&values))), Code::Constraint);
    assert_eq!(code(tx.add_many("items", unkeyed(&[j!({ "id": 20 }), j!({ "id": 1 })]))), Code::Constraint);
    assert_eq!(code(tx.put_many("items", unkeyed(&[j!({ "id": 20 }), j!({})]))), Code::InvalidKey);

    assert_eq!(documents(&mut tx), before);
    assert_eq!(tx.count("items", &all()).unwrap(), 3);
    tx.put_many("items", unkeyed(&[j!({ "id": 13, "u": "b" })])).unwrap();
    tx.commit(None).unwrap();
    assert_eq!(ids_by(&db, "by_n", &all()), [1, 2, 10]);
    assert_eq!(ids_by(&db, "by_u", &all()), [10, 13]);
    assert_eq!(count(&db, &all()), 4);
}

#[test]
fn generated_keys_of_many_follow_each_other_and_given_ones_move_the_generator() {
    let db = open();
    db.create_object_store("items", auto_increment(Some("id"))).unwrap();
    let values = [j!({}), j!({ "id": 7.5 }), j!({}), j!({ "id": 3 }), j!({})];

    let keys = change(&db, |tx| tx.add_many("items", unkeyed(&values))).unwrap();

    assert_eq!(keys, [1.0, 7.5, 8.0, 3.0, 9.0].map(key));
}

#[test]
fn deleting_many_counts_those_that_were_there() {
    let db = with_numbers(5);

    let keys = [1.0, 3.0, 1.0, 9.0].map(key);
    assert_eq!(change(&db, |tx| tx.delete_many("items", &keys)).unwrap(), 2);

    assert_eq!(ids_by(&db, "by_n", &all()), [0, 2, 4]);
    assert_eq!(count(&db, &all()), 3);
}

/// Below and above the number from which on the range itself is deleted, with an index and without one.
#[test]
fn a_deleted_range_takes_its_index_rows_and_its_part_of_the_count_with_it() {
    for (total, indexed) in [(50, true), (2_500, true), (50, false), (2_500, false)] {
        let db = with_numbers(total);
        if !indexed {
            db.delete_index("items", "by_n").unwrap();
        }
        let range = between(10, total - 10);

        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        tx.put("items", None, json(&j!({ "id": 10.5, "n": 3 }))).unwrap();
        assert_eq!(tx.delete_range("items", &range).unwrap(), total as u64 - 19, "{total} {indexed}");
        assert_eq!(tx.delete_range("items", &range).unwrap(), 0);
        tx.put("items", None, json(&j!({ "id": 12, "n": 100 }))).unwrap();
        let left: Vec<i64> = (0..10).chain([12]).chain(total - 10..total).collect();
        for _ in 0..2 {
            let rows = read_all(&mut tx, None, &all(), Direction::Forward, 4);
            assert_eq!(rows.iter().map(|row| content(row)["id"].as_i64().unwrap()).collect::<Vec<_>>(), left);
            let back = read_all(&mut tx, None, &all(), Direction::Reverse, 4);
            assert!(back.iter().rev().eq(rows.iter()));
            assert_eq!(tx.count("items", &all()).unwrap(), 21);
            assert_eq!(tx.count("items", &range).unwrap(), 1);
            if indexed {
                let by_n = read_all(&mut tx, Some("by_n"), &all(), Direction::Forward, 4);
                assert_eq!(by_n.len(), 21);
                assert_eq!(by_n.last().unwrap().key, key(12.0));
            }
            let next = db.begin(&["items"], Mode::ReadWrite).unwrap();
            std::mem::replace(&mut tx, next).commit(None).unwrap();
            tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        }
    }
}

#[test]
fn a_deleted_range_conflicts_with_who_writes_in_it_and_with_nobody_else() {
    for total in [50, 2_500] {
        let in_range = |id: i64| {
            let db = with_numbers(total);
            let mut deleting = db.begin(&["items"], Mode::ReadWrite).unwrap();
            deleting.delete_range("items", &between(10, total - 10)).unwrap();
            let mut writing = db.begin(&["items"], Mode::ReadWrite).unwrap();
            writing.put("items", None, json(&j!({ "id": id }))).unwrap();
            (db, deleting, writing)
        };
        let (db, deleting, writing) = in_range(15);
        writing.commit(None).unwrap();
        assert_eq!(code(deleting.commit(None)), Code::Conflict);
        assert_eq!(get(&db, 15.0), Some(j!({ "id": 15 })));

        let (_db, deleting, writing) = in_range(15);
        deleting.commit(None).unwrap();
        assert_eq!(code(writing.commit(None)), Code::Conflict, "it had read what was deleted");

        let (db, deleting, writing) = in_range(-1);
        deleting.commit(None).unwrap();
        writing.commit(None).unwrap();
        assert_eq!(count(&db, &all()), 21);
    }
}

#[test]
fn ranges_are_deleted_in_any_order_with_writes_between_them() {
    let mut random = Random::from_env("ranges_are_deleted_in_any_order_with_writes_between_them");
    for round in 0..40 {
        let db = with_numbers(if round % 4 == 0 { 3_000 } else { 60 });
        db.create_index("items", "by_t", multi_entry_on("t")).unwrap();
        let mut model: BTreeMap<i64, Value> = documents(&mut db.begin(&["items"], Mode::ReadOnly).unwrap());
        let end = model.len() as u64 + 10;
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        for _ in 0..12 {
            step(&mut tx, &mut model, &mut random, end);
            if random.below(4) == 0 {
                tx.commit(None).unwrap();
                tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
            }
            assert_eq!(documents(&mut tx), model);
            assert_eq!(tx.count("items", &all()).unwrap(), model.len() as u64);
        }
        tx.commit(None).unwrap();
        let by_n = ids_by(&db, "by_n", &all()).len();
        assert_eq!(by_n, model.values().filter(|value| value["n"].is_number()).count());
        let tags: usize = model.values().filter_map(|value| value["t"].as_array()).map(Vec::len).sum();
        assert_eq!(ids_by(&db, "by_t", &all()).len(), tags);
    }
}

fn step(tx: &mut Transaction, model: &mut BTreeMap<i64, Value>, random: &mut Random, end: u64) {
    let id = random.below(end) as i64;
    match random.below(4) {
        0 => {
            let value = j!({ "id": id, "t": ["a", "b"] });
            tx.put("items", None, json(&value)).unwrap();
            model.insert(id, value);
        }
        1 => {
            assert_eq!(tx.delete("items", &key(id as f64)).unwrap(), model.remove(&id).is_some());
        }
        _ => {
            let upper = id + 1 + random.below(end / 2) as i64;
            let deleted = tx.delete_range("items", &between(id, upper)).unwrap();
            let before = model.len();
            model.retain(|&other, _| other < id || other >= upper);
            assert_eq!(deleted, (before - model.len()) as u64);
        }
    }
}

fn stamped(db: &JsonDb, id: f64) -> (Stamp, Option<Value>) {
    let row = db.begin(&["items"], Mode::ReadOnly).unwrap().get("items", &key(id)).unwrap();
    (Stamp::of(row.as_ref()), row.as_ref().map(content))
}

#[test]
fn a_change_is_made_only_to_the_document_that_it_was_made_for() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 1 }));
    let (stamp, _) = stamped(&db, 1.0);
    let set = |stamp: Stamp, n: u64| {
        change(&db, |tx| tx.change("items", &key(1.0), stamp, Some(json(&j!({ "id": 1, "n": n }))))).unwrap()
    };

    let Changed::Done(second) = set(stamp, 2) else { panic!("the document is the same") };
    assert_eq!(second, stamped(&db, 1.0).0);
    let Changed::Otherwise(Some(row)) = set(stamp, 3) else { panic!("the document is another") };
    assert_eq!(content(&row), j!({ "id": 1, "n": 2 }));

    // A document that was deleted and made anew has the same version as the first, and is another.
    change(&db, |tx| tx.delete("items", &key(1.0))).unwrap();
    assert_eq!(set(second, 4), Changed::Otherwise(None));
    put(&db, j!({ "id": 1, "n": 9 }));
    assert!(matches!(set(stamp, 5), Changed::Otherwise(Some(_))));
    let (stamp, _) = stamped(&db, 1.0);
    let deleted = change(&db, |tx| tx.change("items", &key(1.0), stamp, None)).unwrap();
    assert_eq!(deleted, Changed::Done(Stamp::MISSING));
    assert!(matches!(set(Stamp::MISSING, 6), Changed::Done(_)));
    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "n": 6 })));
}

#[test]
fn neither_a_change_nor_a_patch_gives_a_document_another_key() {
    let db = open_with_items();
    put(&db, j!({ "id": 1 }));
    let (stamp, _) = stamped(&db, 1.0);
    for other in [j!({ "id": 2 }), j!({}), j!({ "id": null }), j!(7)] {
        let result = change(&db, |tx| tx.change("items", &key(1.0), stamp, Some(json(&other))));
        assert_eq!(code(result), Code::InvalidKey, "{other}");
    }
    for patch in [r#"{"id":2}"#, r#"{"id":null}"#, "[]"] {
        let result = change(&db, |tx| tx.patch("items", &key(1.0), patch.as_bytes()));
        assert_eq!(code(result), Code::InvalidKey, "{patch}");
    }
    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1 })));
    assert_eq!(count(&db, &all()), 1);
}

#[test]
fn a_patch_changes_what_it_names_and_the_indexes_with_it() {
    let db = with_numbers(3);

    assert!(change(&db, |tx| tx.patch("items", &key(1.0), br#"{"n":50,"a":{"b":1}}"#)).unwrap());
    assert!(change(&db, |tx| tx.patch("items", &key(1.0), br#"{"a":{"c":2,"b":null}}"#)).unwrap());
    assert!(!change(&db, |tx| tx.patch("items", &key(9.0), br#"{"n":1}"#)).unwrap());

    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "n": 50, "a": { "c": 2 } })));
    assert_eq!(ids_by(&db, "by_n", &all()), [0, 2, 1]);
    assert_eq!(code(change(&db, |tx| tx.patch("items", &key(1.0), b"{"))), Code::InvalidValue);
    let mut reader = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(code(reader.patch("items", &key(1.0), b"{}")), Code::ReadOnly);
    assert_eq!(code(reader.delete_range("items", &all())), Code::ReadOnly);
    assert_eq!(code(reader.change("items", &key(1.0), Stamp::MISSING, None)), Code::ReadOnly);
    assert_eq!(code(reader.put_many("items", unkeyed(&[j!({ "id": 1 })]))), Code::ReadOnly);
}
