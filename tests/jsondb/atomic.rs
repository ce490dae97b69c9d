//! Changes under checks over several stores, numbers that are changed where they lie, and how long documents have left.

use std::sync::{Arc, Barrier};

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::error::{Code, Result};
use flowdb::jsondb::{
    Check, Document, Expires, Isolation, JsonDb, Made, Mode, PutOptions, Reckoning, Settled, Step,
};
use serde_json::{Value, json as j};

use crate::support::{code, content, json, key, out_of_line};

const NOW_MS: u64 = 1_700_000_000_000;
const STORES: [&str; 2] = ["a", "b"];

fn open(default_ttl_ms: u64) -> (JsonDb, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let db = JsonDb::open(Config { clock: clock.clone(), ..Config::in_memory() }).unwrap();
    for store in STORES {
        db.create_object_store_with_ttl(store, out_of_line(), default_ttl_ms).unwrap();
    }
    (db, clock)
}

fn check(store: &str, name: &str, version: u64, updated_at: Option<u64>) -> Check {
    Check { store: store.to_owned(), key: key(name), version, updated_at }
}

fn step(store: &str, name: &str, made: Made) -> Step {
    Step { store: store.to_owned(), key: key(name), made }
}

fn put(store: &str, name: &str, value: Value) -> Step {
    step(store, name, Made::Put(json(&value), PutOptions::default()))
}

fn sum(store: &str, name: &str, by: Value) -> Step {
    step(store, name, Made::Reckoned(Reckoning::Sum, json(&by)))
}

fn change_if(db: &JsonDb, checks: &[Check], steps: Vec<Step>) -> Result<Settled> {
    db.update(&STORES, None, |tx| tx.change_if(checks, steps.clone()))
}

fn get(db: &JsonDb, store: &str, name: &str) -> Option<Value> {
    let mut tx = db.begin(&[store], Mode::ReadOnly).unwrap();
    tx.get(store, &key(name)).unwrap().map(|row| content(&row))
}

fn time_left(db: &JsonDb, name: &str) -> Option<u64> {
    db.begin(&["a"], Mode::ReadOnly).unwrap().time_left_ms("a", &key(name)).unwrap()
}

#[test]
fn changes_in_several_stores_are_made_when_every_check_is_met_and_none_otherwise() {
    let (db, _) = open(0);
    let absent = [check("a", "x", 0, None), check("b", "y", 0, None)];
    let steps = vec![put("a", "x", j!(1)), put("a", "x", j!(2)), sum("b", "y", j!(5))];
    assert_eq!(change_if(&db, &absent, steps.clone()).unwrap(), Settled::Done(vec![2, 2, 1]));
    assert_eq!(change_if(&db, &absent, steps.clone()).unwrap(), Settled::Unmet(0));
    let second = [check("a", "x", 2, Some(NOW_MS)), check("b", "y", 7, None)];
    assert_eq!(change_if(&db, &second, steps).unwrap(), Settled::Unmet(1));

    assert_eq!((get(&db, "a", "x"), get(&db, "b", "y")), (Some(j!(2)), Some(j!(5))));
    let gone = vec![step("a", "x", Made::Deleted), step("a", "none", Made::Deleted)];
    assert_eq!(change_if(&db, &[], gone).unwrap(), Settled::Done(vec![0, 0]));
    assert_eq!(get(&db, "a", "x"), None);
}

#[test]
fn a_change_that_fails_takes_those_before_it_back_also_within_a_transaction() {
    let (db, _) = open(0);
    db.update(&STORES, None, |tx| {
        tx.put("b", Some(key("text")), json(&j!("5")))?;
        let steps = vec![put("a", "x", j!(1)), sum("b", "text", j!(1))];
        assert_eq!(code(tx.change_if(&[], steps)), Code::InvalidValue);
        assert_eq!(tx.get("a", &key("x")).unwrap(), None);
        Ok(())
    })
    .unwrap();
    assert_eq!((get(&db, "a", "x"), get(&db, "b", "text")), (None, Some(j!("5"))));
    assert_eq!(
        code(db.update(&["a"], None, |tx| tx.change_if(&[check("b", "x", 0, None)], vec![]))),
        Code::NotFound
    );
}

#[test]
fn a_document_of_the_same_version_that_was_written_later_meets_no_check_of_its_time() {
    let (db, clock) = open(0);
    change_if(&db, &[], vec![put("a", "x", j!(1))]).unwrap();
    clock.advance(1);
    change_if(&db, &[], vec![step("a", "x", Made::Deleted)]).unwrap();
    change_if(&db, &[], vec![put("a", "x", j!(1))]).unwrap();
    assert_eq!(change_if(&db, &[check("a", "x", 1, Some(NOW_MS))], vec![]).unwrap(), Settled::Unmet(0));
    assert_eq!(change_if(&db, &[check("a", "x", 1, None)], vec![]).unwrap(), Settled::Done(vec![]));
}

#[test]
fn a_check_holds_until_the_commit_at_any_isolation() {
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let (db, _) = open(0);
        let mut tx = db.begin_with(&STORES, Mode::ReadWrite, isolation).unwrap();
        let checks = [check("a", "x", 0, None)];
        assert_eq!(tx.change_if(&checks, vec![put("b", "y", j!(1))]).unwrap(), Settled::Done(vec![1]));
        change_if(&db, &[], vec![put("a", "x", j!(1))]).unwrap();
        assert_eq!(code(tx.commit(None)), Code::Conflict, "{isolation:?}");
    }
}

#[test]
fn a_document_that_expires_meets_its_checks_to_the_last_millisecond() {
    let (db, clock) = open(0);
    let options = PutOptions { expires: Expires::After(1_000), ..PutOptions::default() };
    change_if(&db, &[], vec![step("a", "x", Made::Put(json(&j!(1)), options))]).unwrap();
    assert_eq!((time_left(&db, "x"), time_left(&db, "none")), (Some(1_000), None));
    clock.advance(999);
    assert_eq!(time_left(&db, "x"), Some(1));
    assert_eq!(change_if(&db, &[check("a", "x", 1, None)], vec![]).unwrap(), Settled::Done(vec![]));
    clock.advance(1);
    assert_eq!(time_left(&db, "x"), None);
    assert_eq!(change_if(&db, &[check("a", "x", 1, None)], vec![]).unwrap(), Settled::Unmet(0));
    assert_eq!(change_if(&db, &[check("a", "x", 0, None)], vec![]).unwrap(), Settled::Done(vec![]));
    change_if(&db, &[], vec![put("a", "x", j!(1))]).unwrap();
    assert_eq!(time_left(&db, "x"), Some(0), "it never expires");
}

#[test]
fn a_number_keeps_the_expiry_that_it_has_and_a_new_one_gets_that_of_its_store() {
    let (db, clock) = open(1_000);
    change_if(&db, &[], vec![sum("a", "x", j!(1))]).unwrap();
    clock.advance(600);
    change_if(&db, &[], vec![sum("a", "x", j!(1))]).unwrap();
    assert_eq!((get(&db, "a", "x"), time_left(&db, "x")), (Some(j!(2)), Some(400)));
    clock.advance(400);
    change_if(&db, &[], vec![sum("a", "x", j!(1))]).unwrap();
    assert_eq!((get(&db, "a", "x"), time_left(&db, "x")), (Some(j!(1)), Some(1_000)));
}

#[test]
fn threads_that_count_one_number_up_lose_nothing() {
    const THREADS: usize = 4;
    const TIMES: usize = 200;
    let (db, _) = open(0);
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..TIMES {
                    db.update(&["a"], None, |tx| tx.reckon("a", &key("x"), Reckoning::Sum, &json(&j!(1))))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(get(&db, "a", "x"), Some(j!(THREADS * TIMES)));
}

#[test]
fn a_number_in_a_store_that_takes_keys_from_documents_is_refused() {
    let (db, _) = open(0);
    db.create_object_store("keyed", crate::support::keyed_by("id")).unwrap();
    let reckoned: Result<Document> =
        db.update(&["keyed"], None, |tx| tx.reckon("keyed", &key("x"), Reckoning::Sum, &json(&j!(1))));
    assert_eq!(code(reckoned), Code::InvalidKey);
}
