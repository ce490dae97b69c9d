//! Transactions that get in each other's way, and those that don't.

use std::sync::atomic::{AtomicU32, Ordering};

use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::jsondb::{JsonDb, KeyRange, Mode, Transaction, UPDATE_ATTEMPTS_MAX};
use serde_json::json as j;

use crate::support::{
    all, change, code, content, get, index_on, json, key, keyed_by, limits, open_with_items, put, unique_on,
};

fn writer(db: &JsonDb) -> Transaction {
    db.begin(&["items"], Mode::ReadWrite).unwrap()
}

fn write(tx: &mut Transaction, value: &serde_json::Value) {
    tx.put("items", None, json(value)).unwrap();
}

/// Runs `read` in a transaction that then writes elsewhere, while `other` happens, and says whether it could commit.
fn commits(db: &JsonDb, read: impl FnOnce(&mut Transaction), other: impl FnOnce(&mut Transaction)) -> bool {
    let mut tx = writer(db);
    read(&mut tx);
    write(&mut tx, &j!({ "id": "elsewhere" }));
    let mut meanwhile = writer(db);
    other(&mut meanwhile);
    meanwhile.commit(None).unwrap();
    match tx.commit(None) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.code(), Code::Conflict, "{error}");
            assert!(error.message().contains("items"), "{error}");
            false
        }
    }
}

fn with_ten() -> JsonDb {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    (0..10).for_each(|id| put(&db, j!({ "id": id, "n": id * 10 })));
    db
}

fn between(lower: f64, upper: f64) -> KeyRange {
    KeyRange::bound(key(lower), key(upper), false, false).unwrap()
}

#[test]
fn the_second_of_two_that_read_and_write_one_document_conflicts_and_changes_nothing() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "visits": 0 }));
    let visit = |tx: &mut Transaction| {
        let row = tx.get("items", &key(1.0)).unwrap().unwrap();
        write(tx, &j!({ "id": 1, "visits": content(&row)["visits"].as_i64().unwrap() + 1 }));
    };
    let (mut first, mut second) = (writer(&db), writer(&db));
    visit(&mut first);
    visit(&mut second);
    write(&mut second, &j!({ "id": 2 }));

    first.commit(None).unwrap();
    let error = second.commit(None).unwrap_err();

    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("items") && error.message().contains("the document 1 "), "{error}");
    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "visits": 1 })));
    assert_eq!(get(&db, 2.0), None);
}

#[test]
fn transactions_committed_together_go_in_order_and_fail_alone() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "visits": 0 }));
    let visiting = |id: u64| {
        let mut tx = writer(&db);
        tx.get("items", &key(1.0)).unwrap().unwrap();
        write(&mut tx, &j!({ "id": 1, "visits": id }));
        tx
    };
    let (first, second, reader) = (visiting(7), visiting(8), db.begin(&["items"], Mode::ReadOnly).unwrap());
    let mut third = writer(&db);
    write(&mut third, &j!({ "id": 3 }));

    let results = db.commit_all(vec![first, second, reader, third], None);

    let codes: Vec<Option<Code>> =
        results.iter().map(|result| result.as_ref().err().map(|e| e.code())).collect();
    assert_eq!(codes, [None, Some(Code::Conflict), None, None]);
    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "visits": 7 })));
    assert_eq!(get(&db, 3.0), Some(j!({ "id": 3 })));
    assert!(db.commit_all(Vec::new(), None).is_empty());
}

#[test]
fn a_transaction_of_another_database_is_not_committed_with_ours() {
    let (ours, theirs) = (open_with_items(), open_with_items());
    let (mut mine, mut foreign) = (writer(&ours), writer(&theirs));
    write(&mut mine, &j!({ "id": 1 }));
    write(&mut foreign, &j!({ "id": 2 }));

    for result in ours.commit_all(vec![mine, foreign], None) {
        assert_eq!(result.unwrap_err().code(), Code::InvalidArgument);
    }

    assert_eq!((get(&ours, 1.0), get(&theirs, 2.0)), (None, None));
}

#[test]
fn a_document_that_was_looked_for_in_vain_conflicts_when_it_comes() {
    let db = with_ten();
    let look = |tx: &mut Transaction| assert!(tx.get("items", &key(50.0)).unwrap().is_none());

    assert!(!commits(&db, look, |tx| write(tx, &j!({ "id": 50 }))));
    assert!(commits(
        &db,
        |tx| assert!(tx.get("items", &key(3.0)).unwrap().is_some()),
        |tx| write(tx, &j!({ "id": 4 }))
    ));
}

#[test]
fn a_range_conflicts_with_what_comes_into_it_and_not_beside_it() {
    let db = with_ten();
    let read = |tx: &mut Transaction| {
        tx.page("items", None, &between(2.0, 6.0), Direction::Forward, None, limits(100)).unwrap();
    };

    assert!(!commits(&db, read, |tx| write(tx, &j!({ "id": 4.5 }))), "a phantom");
    assert!(!commits(&db, read, |tx| assert!(tx.delete("items", &key(4.0)).unwrap())), "a deletion");
    assert!(!commits(&db, read, |tx| tx.clear("items").unwrap()), "a clear");
    let db = with_ten();
    assert!(commits(&db, read, |tx| write(tx, &j!({ "id": 1 }))));
    assert!(commits(&db, read, |tx| write(tx, &j!({ "id": 6.5 }))));
}

#[test]
fn a_page_that_ended_early_conflicts_only_as_far_as_it_was_read() {
    let db = with_ten();
    let first_three = |tx: &mut Transaction| {
        tx.page("items", None, &all(), Direction::Forward, None, limits(3)).unwrap();
    };
    let last_three = |tx: &mut Transaction| {
        tx.page("items", None, &all(), Direction::Reverse, None, limits(3)).unwrap();
    };

    assert!(!commits(&db, first_three, |tx| write(tx, &j!({ "id": 2 }))));
    assert!(!commits(&db, first_three, |tx| write(tx, &j!({ "id": -1 }))));
    let db = with_ten();
    assert!(commits(&db, first_three, |tx| write(tx, &j!({ "id": 2.5 }))));
    assert!(commits(&db, last_three, |tx| write(tx, &j!({ "id": 6 }))));
    let db = with_ten();
    assert!(!commits(&db, last_three, |tx| write(tx, &j!({ "id": 9.5 }))));
}

#[test]
fn an_index_range_conflicts_with_entries_that_come_go_or_change() {
    let db = with_ten();
    let read = |tx: &mut Transaction| {
        tx.page("items", Some("by_n"), &between(20.0, 40.0), Direction::Forward, None, limits(100)).unwrap();
    };
    let count = |tx: &mut Transaction| {
        tx.count_by_index("items", "by_n", &between(20.0, 40.0)).unwrap();
    };

    for read in [&read as &dyn Fn(&mut Transaction), &count] {
        assert!(!commits(&db, read, |tx| write(tx, &j!({ "id": 77, "n": 25 }))), "an entry that comes");
        assert!(
            !commits(&db, read, |tx| assert!(tx.delete("items", &key(77.0)).unwrap())),
            "an entry that goes"
        );
        assert!(commits(&db, read, |tx| write(tx, &j!({ "id": 9, "n": 95 }))), "one beside the range");
    }
    let same_key = j!({ "id": 3, "n": 30, "changed": true });
    assert!(!commits(&db, read, |tx| write(tx, &same_key)), "the document of an entry that was read");
    assert!(commits(&db, count, |tx| write(tx, &same_key)), "only the entry was counted");
}

#[test]
fn a_count_of_everything_conflicts_when_the_number_changes() {
    let db = with_ten();
    let count = |tx: &mut Transaction| assert!(tx.count("items", &all()).is_ok());

    assert!(!commits(&db, count, |tx| write(tx, &j!({ "id": 100 }))));
    assert!(commits(&db, count, |tx| write(tx, &j!({ "id": 100, "n": 5 }))));
}

#[test]
fn a_reader_and_a_writer_of_another_document_never_conflict() {
    let db = with_ten();
    let mut reader = db.begin(&["items"], Mode::ReadOnly).unwrap();
    reader.page("items", None, &all(), Direction::Forward, None, limits(100)).unwrap();
    let mut only_reads = writer(&db);
    only_reads.count("items", &all()).unwrap();
    let (mut a, mut b) = (writer(&db), writer(&db));
    write(&mut a, &j!({ "id": "a" }));
    write(&mut b, &j!({ "id": "b" }));

    a.commit(None).unwrap();
    b.commit(None).unwrap();
    reader.commit(None).unwrap();
    only_reads.commit(None).unwrap();

    assert_eq!(db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 12);
}

#[test]
fn one_who_only_clears_never_conflicts() {
    let db = with_ten();
    let mut tx = writer(&db);
    tx.clear("items").unwrap();
    write(&mut tx, &j!({ "id": 3, "n": 3 }));
    put(&db, j!({ "id": 3, "n": 4 }));
    put(&db, j!({ "id": 50, "n": 5 }));

    tx.commit(None).unwrap();

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count("items", &all()).unwrap(), 1);
    assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), 1);
    assert_eq!(get(&db, 3.0), Some(j!({ "id": 3, "n": 3 })));
}

#[test]
fn write_skew_is_refused() {
    let db = open_with_items();
    put(&db, j!({ "id": "alice", "on_call": true }));
    put(&db, j!({ "id": "bob", "on_call": true }));
    let on_call = |tx: &mut Transaction, name: &str| {
        let row = tx.get("items", &key(name)).unwrap().unwrap();
        content(&row)["on_call"].as_bool().unwrap()
    };
    let (mut a, mut b) = (writer(&db), writer(&db));
    assert!(on_call(&mut a, "bob") && on_call(&mut b, "alice"));
    write(&mut a, &j!({ "id": "alice", "on_call": false }));
    write(&mut b, &j!({ "id": "bob", "on_call": false }));

    a.commit(None).unwrap();
    assert_eq!(code(b.commit(None)), Code::Conflict);
}

#[test]
fn a_conflict_over_a_unique_key_becomes_a_constraint_when_tried_again() {
    let db = open_with_items();
    db.create_index("items", "by_name", unique_on("name")).unwrap();
    let (mut a, mut b) = (writer(&db), writer(&db));
    write(&mut a, &j!({ "id": 1, "name": "x" }));
    write(&mut b, &j!({ "id": 2, "name": "x" }));

    a.commit(None).unwrap();
    assert_eq!(code(b.commit(None)), Code::Conflict);
    let again = change(&db, |tx| tx.put("items", None, json(&j!({ "id": 2, "name": "x" }))));
    assert_eq!(code(again), Code::Constraint);
}

#[test]
fn eight_threads_that_count_up_lose_nothing() {
    const EACH: i64 = 60;
    let db = open_with_items();
    (0..2).for_each(|id| put(&db, j!({ "id": id, "n": 0 })));

    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = &db;
            scope.spawn(move || {
                for step in 0..EACH {
                    let id = ((thread + step) % 2) as f64;
                    change(db, |tx| {
                        let n = content(&tx.get("items", &key(id))?.unwrap())["n"].as_i64().unwrap();
                        tx.put("items", None, json(&j!({ "id": id, "n": n + 1 })))
                    })
                    .unwrap();
                }
            });
        }
    });

    let n = |id: f64| get(&db, id).unwrap()["n"].as_i64().unwrap();
    assert_eq!(n(0.0) + n(1.0), 8 * EACH);
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let versions: u64 = (0..2).map(|id| tx.get("items", &key(f64::from(id))).unwrap().unwrap().version).sum();
    assert_eq!(versions, 8 * EACH as u64 + 2);
}

/// Each thread moves money between accounts; the sum must hold in every snapshot and in the end.
#[test]
fn transfers_between_threads_keep_the_sum() {
    let db = open_with_items();
    (0..6).for_each(|id| put(&db, j!({ "id": id, "n": 100 })));
    let sum = |tx: &mut Transaction| {
        let page = tx.page("items", None, &all(), Direction::Forward, None, limits(100)).unwrap();
        page.rows.iter().map(|row| content(row)["n"].as_i64().unwrap()).sum::<i64>()
    };

    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let db = &db;
            scope.spawn(move || {
                for step in 0..100u64 {
                    let (from, to) = (((step + thread) % 6) as f64, ((step * 5 + thread * 2 + 1) % 6) as f64);
                    change(db, |tx| {
                        let balance = |tx: &mut Transaction, id| {
                            Ok::<_, flowdb::error::Error>(
                                content(&tx.get("items", &key(id))?.unwrap())["n"].as_i64().unwrap(),
                            )
                        };
                        let n = balance(tx, from)?;
                        tx.put("items", None, json(&j!({ "id": from, "n": n - 7 })))?;
                        let n = balance(tx, to)?;
                        tx.put("items", None, json(&j!({ "id": to, "n": n + 7 })))
                    })
                    .unwrap();
                }
            });
        }
        for _ in 0..100 {
            assert_eq!(sum(&mut db.begin(&["items"], Mode::ReadOnly).unwrap()), 600);
        }
    });

    assert_eq!(sum(&mut db.begin(&["items"], Mode::ReadOnly).unwrap()), 600);
}

#[test]
fn update_gives_up_after_its_attempts() {
    let db = open_with_items();
    put(&db, j!({ "id": 1 }));
    let attempts = AtomicU32::new(0);

    let result = change(&db, |tx| {
        attempts.fetch_add(1, Ordering::Relaxed);
        tx.put("items", None, json(&j!({ "id": 1 })))?;
        put(&db, j!({ "id": 1 }));
        Ok(())
    });

    assert_eq!(code(result), Code::Conflict);
    assert_eq!(attempts.into_inner(), UPDATE_ATTEMPTS_MAX);
}

#[test]
fn a_schema_change_conflicts_with_writers_under_way_and_update_follows_it() {
    let db = open_with_items();
    db.create_object_store("others", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 1, "n": 1 }));
    let (mut a, mut elsewhere) = (writer(&db), db.begin(&["others"], Mode::ReadWrite).unwrap());
    write(&mut a, &j!({ "id": 2, "n": 2 }));
    elsewhere.put("others", None, json(&j!({ "id": 2 }))).unwrap();
    let mut created = false;

    let updated = change(&db, |tx| {
        tx.put("items", None, json(&j!({ "id": 3, "n": 3 })))?;
        if !std::mem::replace(&mut created, true) {
            db.create_index("items", "by_n", index_on("n"))?;
        }
        Ok(())
    });

    updated.unwrap();
    assert_eq!(code(a.commit(None)), Code::Conflict);
    elsewhere.commit(None).unwrap();
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), 2);
}

/// Each writes down how many there were before: with phantoms, two would write the same number.
#[test]
fn threads_that_count_before_they_add_all_count_differently() {
    const EACH: i64 = 30;
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();

    std::thread::scope(|scope| {
        for thread in 0..6 {
            let db = &db;
            scope.spawn(move || {
                for step in 0..EACH {
                    let id = thread * EACH + step;
                    change(db, |tx| {
                        let n = match id % 3 {
                            0 => tx.count("items", &all())?,
                            1 => tx.count("items", &KeyRange::lower_bound(key(-1.0), false))?,
                            _ => tx.count_by_index("items", "by_n", &all())?,
                        };
                        tx.put("items", None, json(&j!({ "id": id, "n": n })))
                    })
                    .unwrap();
                }
            });
        }
    });

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let rows = tx.page("items", Some("by_n"), &all(), Direction::Forward, None, limits(1_000)).unwrap().rows;
    let numbers: Vec<_> = rows.iter().map(|row| content(row)["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (0..6 * EACH).collect::<Vec<_>>());
}
