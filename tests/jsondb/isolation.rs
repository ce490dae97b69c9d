//! What transactions at snapshot isolation may do and what they may not.

use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::jsondb::{Isolation, JsonDb, Mode, Transaction};
use serde_json::json as j;

use crate::support::{all, code, content, get, json, key, limits, open_with_items, put, unique_on};

fn begin(db: &JsonDb, isolation: Isolation) -> Transaction {
    db.begin_with(&["items"], Mode::ReadWrite, isolation).unwrap()
}

fn write(tx: &mut Transaction, value: serde_json::Value) {
    tx.put("items", None, json(&value)).unwrap();
}

/// Two doctors on call: each goes off duty because the other is on.
fn doctors_on_duty_after(isolation: Isolation) -> Vec<bool> {
    let db = open_with_items();
    (1..=2).for_each(|id| put(&db, j!({ "id": id, "on": true })));
    let (mut one, mut two) = (begin(&db, isolation), begin(&db, isolation));
    for (tx, id) in [(&mut one, 1), (&mut two, 2)] {
        let page = tx.page("items", None, &all(), Direction::Forward, None, limits(9)).unwrap();
        if page.rows.iter().filter(|row| content(row)["on"] == true).count() == 2 {
            write(tx, j!({ "id": id, "on": false }));
        }
    }
    let (first, second) = (one.commit(None), two.commit(None));
    first.unwrap();
    if isolation == Isolation::Serializable {
        assert_eq!(code(second), Code::Conflict);
    } else {
        second.unwrap();
    }
    (1..=2).map(|id| get(&db, f64::from(id)).unwrap()["on"] == true).collect()
}

#[test]
fn write_skew_is_possible_at_snapshot_isolation_only() {
    assert_eq!(doctors_on_duty_after(Isolation::Serializable), [false, true]);
    assert_eq!(doctors_on_duty_after(Isolation::Snapshot), [false, false]);
}

#[test]
fn of_two_that_write_one_document_the_first_wins_at_snapshot_isolation_too() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 0 }));
    let second_loses = |first: &dyn Fn(&mut Transaction), second: &dyn Fn(&mut Transaction)| {
        let (mut one, mut two) = (begin(&db, Isolation::Snapshot), begin(&db, Isolation::Snapshot));
        first(&mut one);
        second(&mut two);
        one.commit(None).unwrap();
        assert_eq!(code(two.commit(None)), Code::Conflict);
    };
    let putting = |tx: &mut Transaction| write(tx, j!({ "id": 1, "n": 1 }));
    let deleting = |tx: &mut Transaction| _ = tx.delete("items", &key(1.0)).unwrap();
    let clearing = |tx: &mut Transaction| tx.clear("items").unwrap();
    let adding = |tx: &mut Transaction| write(tx, j!({ "id": 2 }));

    second_loses(&putting, &putting);
    second_loses(&putting, &deleting);
    second_loses(&deleting, &putting);
    second_loses(&adding, &adding);
    second_loses(&putting, &clearing);
    second_loses(&clearing, &putting);
}

#[test]
fn unique_indexes_hold_at_snapshot_isolation() {
    let db = open_with_items();
    db.create_index("items", "by_u", unique_on("u")).unwrap();
    let (mut one, mut two) = (begin(&db, Isolation::Snapshot), begin(&db, Isolation::Snapshot));
    write(&mut one, j!({ "id": 1, "u": "same" }));
    write(&mut two, j!({ "id": 2, "u": "same" }));

    one.commit(None).unwrap();
    assert_eq!(code(two.commit(None)), Code::Conflict);
}

#[test]
fn a_snapshot_is_read_whatever_commits_meanwhile() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 0 }));
    let mut tx = begin(&db, Isolation::Snapshot);
    put(&db, j!({ "id": 1, "n": 1 }));
    put(&db, j!({ "id": 2 }));

    assert_eq!(content(&tx.get("items", &key(1.0)).unwrap().unwrap()), j!({ "id": 1, "n": 0 }));
    assert_eq!(tx.count("items", &all()).unwrap(), 1);
    write(&mut tx, j!({ "id": 3 }));
    tx.commit(None).unwrap();
    assert!(get(&db, 3.0).is_some());
}

#[test]
fn commits_have_their_place_in_the_order_of_all() {
    let db = open_with_items();
    let (mut one, mut two) = (begin(&db, Isolation::Serializable), begin(&db, Isolation::Serializable));
    write(&mut one, j!({ "id": 1 }));
    write(&mut two, j!({ "id": 2 }));
    let first = two.commit_at(None).unwrap().unwrap();
    let second = one.commit_at(None).unwrap().unwrap();

    assert!(first < second);
    let reader = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert!(reader.snapshot_seqno() >= second);
    assert_eq!(reader.commit_at(None).unwrap(), None);
}
