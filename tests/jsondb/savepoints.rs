//! Going back within a transaction.

use flowdb::error::Code;
use flowdb::jsondb::{Mode, SAVEPOINTS_MAX};
use serde_json::json as j;

use crate::model::{Model, assert_matches, create_indexes, step};
use crate::support::{
    Random, all, auto_increment, code, documents, get, json, key, keyed_by, open_with_items, put,
};

#[test]
fn going_back_takes_back_what_came_after_and_may_be_done_again() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 0 }));
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 2 }))).unwrap();
    let outer = tx.savepoint().unwrap();
    tx.delete("items", &key(1.0)).unwrap();
    let inner = tx.savepoint().unwrap();
    tx.clear("items").unwrap();
    tx.put("items", None, json(&j!({ "id": 9 }))).unwrap();
    assert_eq!(tx.count("items", &all()).unwrap(), 1);

    tx.rollback_to(inner).unwrap();
    assert_eq!(documents(&mut tx).into_keys().collect::<Vec<_>>(), [2]);
    assert_eq!(tx.count("items", &all()).unwrap(), 1);
    tx.put("items", None, json(&j!({ "id": 7 }))).unwrap();
    tx.rollback_to(outer).unwrap();
    assert_eq!(documents(&mut tx).into_keys().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(code(tx.rollback_to(inner)), Code::InvalidArgument);
    tx.put("items", None, json(&j!({ "id": 3 }))).unwrap();
    tx.rollback_to(outer).unwrap();
    tx.put("items", None, json(&j!({ "id": 4 }))).unwrap();
    tx.commit(None).unwrap();

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(documents(&mut tx).into_keys().collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(tx.count("items", &all()).unwrap(), 3);
}

#[test]
fn a_transaction_that_went_back_to_its_beginning_writes_nothing() {
    let db = open_with_items();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    let start = tx.savepoint().unwrap();
    tx.put("items", None, json(&j!({ "id": 1 }))).unwrap();
    tx.rollback_to(start).unwrap();

    assert_eq!(tx.commit_at(None).unwrap(), None);
    assert_eq!(get(&db, 1.0), None);
}

#[test]
fn what_was_read_before_going_back_still_conflicts() {
    let db = open_with_items();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    let start = tx.savepoint().unwrap();
    assert!(tx.get("items", &key(1.0)).unwrap().is_none());
    tx.rollback_to(start).unwrap();
    tx.put("items", None, json(&j!({ "id": 2 }))).unwrap();
    put(&db, j!({ "id": 1 }));

    assert_eq!(code(tx.commit(None)), Code::Conflict);
}

#[test]
fn generated_keys_are_not_given_again_after_going_back() {
    let db = open_with_items();
    db.create_object_store("notes", auto_increment(None)).unwrap();
    let mut tx = db.begin(&["notes"], Mode::ReadWrite).unwrap();
    let start = tx.savepoint().unwrap();
    assert_eq!(tx.put("notes", None, json(&j!("a"))).unwrap(), key(1.0));
    tx.rollback_to(start).unwrap();

    assert_eq!(tx.put("notes", None, json(&j!("b"))).unwrap(), key(2.0));
}

#[test]
fn savepoints_have_their_limits_and_belong_to_their_transaction() {
    let db = open_with_items();
    let mut reader = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(code(reader.savepoint()), Code::ReadOnly);
    let (mut one, mut two) =
        (db.begin(&["items"], Mode::ReadWrite).unwrap(), db.begin(&["items"], Mode::ReadWrite).unwrap());
    let first = one.savepoint().unwrap();
    assert_eq!(code(two.rollback_to(first)), Code::InvalidArgument);
    assert_eq!(code(reader.rollback_to(first)), Code::ReadOnly);
    for _ in 1..SAVEPOINTS_MAX {
        one.savepoint().unwrap();
    }
    assert_eq!(code(one.savepoint()), Code::InvalidArgument);
    one.rollback_to(first).unwrap();
    one.savepoint().unwrap();
}

#[test]
fn documents_indexes_and_counts_are_those_of_the_savepoint_after_random_work() {
    let mut random = Random::from_env("documents_indexes_and_counts_are_those_of_the_savepoint");
    for _ in 0..40 {
        let db = open_with_items();
        db.create_object_store("other", keyed_by("id")).unwrap();
        create_indexes(&db);
        let mut committed = Model::new();
        for _ in 0..4 {
            let mut tx = db.begin(&["other", "items"], Mode::ReadWrite).unwrap();
            let mut model = committed.clone();
            let mut saved = Vec::new();
            for _ in 0..40 {
                match random.below(8) {
                    0 => saved.push((tx.savepoint().unwrap(), model.clone())),
                    1 if !saved.is_empty() => {
                        saved.truncate(random.below(saved.len() as u64) as usize + 1);
                        let (savepoint, then) = saved.last().unwrap();
                        tx.rollback_to(*savepoint).unwrap();
                        model.clone_from(then);
                        assert_matches(&mut tx, &model, 3);
                    }
                    _ => step(&mut tx, &mut model, &mut random, 12).unwrap(),
                }
            }
            assert_matches(&mut tx, &model, 7);
            tx.commit(None).unwrap();
            committed = model;
            let mut reader = db.begin(&["items"], Mode::ReadOnly).unwrap();
            assert_matches(&mut reader, &committed, 5);
        }
    }
}
