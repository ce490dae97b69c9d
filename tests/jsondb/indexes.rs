//! What indexes hold, that unique ones are, and building them on what is there.

use std::sync::atomic::{AtomicBool, Ordering};

use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::jsondb::{Document, Format, KeyRange, Mode};
use serde_json::json as j;

use crate::support::{
    all, change, compound_on, content, get, ids_by, index_on, json, key, multi_entry_on, open,
    open_with_items, out_of_line, put, read_all, unique_on,
};

#[test]
fn a_document_is_found_by_its_index_key_until_it_changes() {
    let db = open_with_items();
    db.create_index("items", "by_city", index_on("address.city")).unwrap();
    put(&db, j!({ "id": 1, "address": { "city": "Jena" } }));
    put(&db, j!({ "id": 2, "address": { "city": "Ulm" } }));
    put(&db, j!({ "id": 3, "address": { "city": "Jena" } }));

    assert_eq!(ids_by(&db, "by_city", &KeyRange::only(key("Jena"))), [1, 3]);
    put(&db, j!({ "id": 1, "address": { "city": "Ulm" } }));
    change(&db, |tx| tx.delete("items", &key(2.0))).unwrap();

    assert_eq!(ids_by(&db, "by_city", &KeyRange::only(key("Jena"))), [3]);
    assert_eq!(ids_by(&db, "by_city", &KeyRange::only(key("Ulm"))), [1]);
}

#[test]
fn a_document_that_an_index_cannot_key_is_not_in_it() {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    db.create_index("items", "by_both", compound_on(&["n", "m"])).unwrap();
    put(&db, j!({ "id": 1 }));
    put(&db, j!({ "id": 2, "n": {} }));
    put(&db, j!({ "id": 3, "n": 5 }));
    put(&db, j!({ "id": 4, "n": null, "m": "x" }));
    put(&db, j!({ "id": 5, "n": "y".repeat(20_000), "m": 1 }));

    assert_eq!(ids_by(&db, "by_n", &all()), [4, 3]);
    assert_eq!(ids_by(&db, "by_both", &all()), [4]);
}

#[test]
fn a_multi_entry_index_has_each_element_once() {
    let db = open_with_items();
    db.create_index("items", "by_tag", multi_entry_on("tags")).unwrap();
    put(&db, j!({ "id": 1, "tags": ["b", "a", "b", {}, "c"] }));
    put(&db, j!({ "id": 2, "tags": "a" }));
    put(&db, j!({ "id": 3, "tags": [] }));

    assert_eq!(ids_by(&db, "by_tag", &all()), [1, 2, 1, 1]);
    put(&db, j!({ "id": 1, "tags": ["c", "d"] }));
    assert_eq!(ids_by(&db, "by_tag", &all()), [2, 1, 1]);
    assert_eq!(ids_by(&db, "by_tag", &KeyRange::only(key("b"))), Vec::<i64>::new());
}

#[test]
fn a_unique_index_refuses_a_second_document_and_names_it() {
    let db = open_with_items();
    db.create_index("items", "by_mail", unique_on("mail")).unwrap();
    put(&db, j!({ "id": 1, "mail": "a@x" }));

    let error = change(&db, |tx| tx.put("items", None, json(&j!({ "id": 2, "mail": "a@x" })))).unwrap_err();

    assert_eq!(error.code(), Code::Constraint);
    for part in ["items", "by_mail", "a@x"] {
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(get(&db, 2.0), None);
    put(&db, j!({ "id": 1, "mail": "a@x", "again": true }));
    // What a transaction gives up, it can give to another.
    change(&db, |tx| {
        tx.put("items", None, json(&j!({ "id": 1, "mail": "b@x" })))?;
        tx.put("items", None, json(&j!({ "id": 2, "mail": "a@x" })))
    })
    .unwrap();
    assert_eq!(ids_by(&db, "by_mail", &all()), [2, 1]);
}

#[test]
fn threads_that_race_for_a_unique_key_leave_one_winner() {
    const THREADS: u64 = 8;
    let db = open_with_items();
    db.create_index("items", "by_name", unique_on("name")).unwrap();
    for round in 0..20 {
        let won: usize = std::thread::scope(|scope| {
            let race = |thread: u64| {
                let db = &db;
                scope.spawn(move || {
                    let document = json(&j!({ "id": round * THREADS + thread, "name": round }));
                    match change(db, |tx| tx.put("items", None, document.clone())) {
                        Ok(_) => 1,
                        Err(error) => {
                            assert_eq!(error.code(), Code::Constraint, "{error}");
                            0
                        }
                    }
                })
            };
            let threads: Vec<_> = (0..THREADS).map(race).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(ids_by(&db, "by_name", &all()).len(), 20);
}

#[test]
fn an_index_created_late_has_what_was_there() {
    let db = open_with_items();
    change(&db, |tx| {
        for id in 0..2_500 {
            tx.put("items", None, json(&j!({ "id": id, "n": id % 7 })))?;
        }
        Ok(())
    })
    .unwrap();

    db.create_index("items", "by_n", index_on("n")).unwrap();
    db.create_index("items", "by_id", unique_on("id")).unwrap();

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), 2_500);
    assert_eq!(tx.count_by_index("items", "by_n", &KeyRange::only(key(6.0))).unwrap(), 357);
    assert_eq!(tx.count_by_index("items", "by_id", &all()).unwrap(), 2_500);
}

#[test]
fn a_unique_index_that_cannot_be_is_not_created() {
    let db = open_with_items();
    (0..10).for_each(|id| put(&db, j!({ "id": id, "n": id % 9 })));

    let error = db.create_index("items", "by_n", unique_on("n")).unwrap_err();

    assert_eq!(error.code(), Code::Constraint);
    assert!(error.message().contains("by_n") && error.message().contains("for the document 0"), "{error}");
    assert_eq!(db.schema()[0].indexes, []);
    // Nothing of it is left: the same keys can be written, and another index of the name can be made.
    put(&db, j!({ "id": 11, "n": 0 }));
    db.create_index("items", "by_n", index_on("n")).unwrap();
    assert_eq!(ids_by(&db, "by_n", &KeyRange::only(key(0.0))), [0, 9, 11]);
}

#[test]
fn a_document_that_says_it_is_json_is_indexed_late_and_others_are_left_out() {
    let db = open();
    db.create_object_store("items", out_of_line()).unwrap();
    change(&db, |tx| {
        tx.put("items", Some(key(1.0)), json(&j!({ "id": 1, "n": 1 })))?;
        let bytes = br#"{"id":2,"n":2}"#.to_vec();
        tx.put("items", Some(key(2.0)), Document { format: Format::Structured, bytes })
    })
    .unwrap();

    db.create_index("items", "by_n", index_on("n")).unwrap();

    assert_eq!(ids_by(&db, "by_n", &all()), [1]);
}

/// Writers change, add and delete documents all the while; what the index has in the end is what the documents say.
#[test]
fn an_index_built_while_others_write_matches_the_documents() {
    for unique in [false, true] {
        let db = open_with_items();
        change(&db, |tx| {
            for id in 0..4_000 {
                tx.put("items", None, json(&j!({ "id": id, "n": id })))?;
            }
            Ok(())
        })
        .unwrap();
        let done = AtomicBool::new(false);

        std::thread::scope(|scope| {
            for writer in 0..3u64 {
                let (db, done) = (&db, &done);
                scope.spawn(move || {
                    for step in 0.. {
                        let id = (step * 37 + writer * 1_000) % 5_000;
                        change(db, |tx| match step % 4 {
                            0 => tx.delete("items", &key(id as f64)).map(drop),
                            // Distinct for each document, so that it does for a unique index too.
                            1 => tx.put("items", None, json(&j!({ "id": id, "n": id }))).map(drop),
                            _ => tx.put("items", None, json(&j!({ "id": id, "n": id + 10_000 }))).map(drop),
                        })
                        .unwrap();
                        if done.load(Ordering::Acquire) {
                            break;
                        }
                    }
                });
            }
            let options = if unique { unique_on("n") } else { index_on("n") };
            let created = db.create_index("items", "by_n", options);
            done.store(true, Ordering::Release);
            created.unwrap();
        });

        let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
        let mut expected: Vec<_> = read_all(&mut tx, None, &all(), Direction::Forward, 500)
            .iter()
            .map(|row| (content(row)["n"].as_i64().unwrap(), row.key.clone()))
            .collect();
        expected.sort();
        let found: Vec<_> = read_all(&mut tx, Some("by_n"), &all(), Direction::Forward, 500)
            .iter()
            .map(|row| (content(row)["n"].as_i64().unwrap(), row.key.clone()))
            .collect();
        assert_eq!(found, expected, "unique: {unique}");
        assert_eq!(tx.count("items", &all()).unwrap(), expected.len() as u64);
    }
}

/// A reader's schema is that of its snapshot: an index is there with all its entries or not at all.
#[test]
fn readers_see_an_index_whole_or_not_at_all_while_it_comes_and_goes() {
    let db = open_with_items();
    (0..50).for_each(|id| put(&db, j!({ "id": id, "n": id })));
    let done = AtomicBool::new(false);

    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
                    match tx.count_by_index("items", "by_n", &all()) {
                        Ok(count) => assert_eq!(count, 50),
                        Err(error) => assert_eq!(error.code(), Code::NotFound, "{error}"),
                    }
                }
            });
        }
        for _ in 0..150 {
            db.create_index("items", "by_n", index_on("n")).unwrap();
            db.delete_index("items", "by_n").unwrap();
        }
        done.store(true, Ordering::Release);
    });
}
