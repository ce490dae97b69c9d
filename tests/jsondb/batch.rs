//! Puts and deletes together, and taking documents out at the ends of ranges.

use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::jsondb::{BatchWrite, JsonDb, Key, KeyRange, Mode, PutOptions};
use serde_json::json as j;

use crate::support::{all, code, json, key, open, out_of_line};

fn with_numbers(count: u32) -> JsonDb {
    let db = open();
    db.create_object_store("queue", out_of_line()).unwrap();
    fill(&db, count);
    db
}

fn fill(db: &JsonDb, count: u32) {
    db.update(&["queue"], None, |tx| {
        (0..count).try_for_each(|n| tx.put("queue", Some(key(f64::from(n))), json(&j!(n))).map(drop))
    })
    .unwrap();
}

fn pop(db: &JsonDb, range: &KeyRange, direction: Direction) -> Option<Key> {
    db.update(&["queue"], None, |tx| tx.pop("queue", range, direction)).unwrap().map(|row| row.key)
}

fn keys(db: &JsonDb) -> Vec<Key> {
    let mut tx = db.begin(&["queue"], Mode::ReadOnly).unwrap();
    let limits = crate::support::limits(usize::MAX);
    let page = tx.page("queue", None, &all(), Direction::Forward, None, limits).unwrap();
    assert_eq!(page.rows.len() as u64, tx.count("queue", &all()).unwrap());
    page.rows.into_iter().map(|row| row.key).collect()
}

#[test]
fn a_batch_is_written_in_its_order_and_whole_or_not_at_all() {
    let db = with_numbers(3);
    let put = |n: f64, options| BatchWrite::Put(Some(key(n)), json(&j!(n)), options);
    let plain = PutOptions::default;
    let absent = || PutOptions { if_absent: true, ..PutOptions::default() };
    let write =
        |writes: Vec<BatchWrite>| db.update(&["queue"], None, |tx| tx.write_batch("queue", writes.clone()));

    let refused = vec![put(7.0, plain()), BatchWrite::Delete(key(0.0)), put(1.0, absent())];
    assert_eq!(code(write(refused)), Code::Constraint);
    assert_eq!(keys(&db), [key(0.0), key(1.0), key(2.0)]);

    let deleted = vec![BatchWrite::Delete(key(1.0)), BatchWrite::Delete(key(9.0)), put(1.0, absent())];
    assert_eq!(write(deleted).unwrap(), 1);
    assert_eq!(write(vec![put(5.0, plain()), BatchWrite::Delete(key(5.0))]).unwrap(), 1);
    assert_eq!(keys(&db), [key(0.0), key(1.0), key(2.0)]);
}

#[test]
fn pops_take_the_ends_of_a_range() {
    let db = with_numbers(6);
    let middle = KeyRange::bound(key(1.0), key(4.0), false, false).unwrap();

    assert_eq!(pop(&db, &middle, Direction::Reverse), Some(key(4.0)));
    assert_eq!(pop(&db, &middle, Direction::Forward), Some(key(1.0)));
    assert_eq!(pop(&db, &all(), Direction::Forward), Some(key(0.0)));
    assert_eq!(pop(&db, &all(), Direction::Reverse), Some(key(5.0)));

    assert_eq!(keys(&db), [key(2.0), key(3.0)]);
    let mut tx = db.begin(&["queue"], Mode::ReadOnly).unwrap();
    assert_eq!(code(tx.pop("queue", &all(), Direction::Forward)), Code::ReadOnly);
}

#[test]
fn a_pop_conflicts_with_who_takes_the_same_and_with_who_puts_something_before_it() {
    for other in [key(0.0), key(-1.0)] {
        let db = with_numbers(3);
        let mut popping = db.begin(&["queue"], Mode::ReadWrite).unwrap();
        assert_eq!(popping.pop("queue", &all(), Direction::Forward).unwrap().unwrap().key, key(0.0));
        db.update(&["queue"], None, |tx| tx.put("queue", Some(other.clone()), json(&j!(1)))).unwrap();
        assert_eq!(code(popping.commit(None)), Code::Conflict);
    }
}

#[test]
fn pops_in_one_transaction_see_each_other_and_a_rollback_brings_all_back() {
    let db = with_numbers(1_000);
    let mut tx = db.begin(&["queue"], Mode::ReadWrite).unwrap();
    let savepoint = tx.savepoint().unwrap();
    for n in 0..900 {
        assert_eq!(tx.pop("queue", &all(), Direction::Forward).unwrap().unwrap().key, key(f64::from(n)));
    }
    assert_eq!(tx.count("queue", &all()).unwrap(), 100);
    tx.rollback_to(savepoint).unwrap();
    assert_eq!(tx.count("queue", &all()).unwrap(), 1_000);
    assert_eq!(tx.pop("queue", &all(), Direction::Forward).unwrap().unwrap().key, key(0.0));
    tx.commit(None).unwrap();
    assert_eq!(keys(&db).len(), 999);
}
