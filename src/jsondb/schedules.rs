//! Transactions in many orders of their steps: conflicts, generated keys, writes in the call, counts, watches.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::*;
use crate::sync::{explore, thread};

const RELAXED: Option<SyncMode> = Some(SyncMode::Interval(1_000));

fn database() -> JsonDb {
    let config =
        Config { auto_background: false, block_cache_capacity_bytes: 1 << 20, ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    db.create_object_store("s", StoreOptions { key_path: None, auto_increment: true }).unwrap();
    db
}

fn raw(number: u8) -> Document {
    Document { format: Format::Raw, bytes: vec![number] }
}

fn put(db: &JsonDb, key: i64, number: u8) {
    db.update(&["s"], RELAXED, |tx| tx.put("s", Some(key.into()), raw(number))).unwrap();
}

fn number(tx: &mut Transaction, key: i64) -> Result<u8> {
    Ok(tx.get("s", &key.into())?.map_or(0, |row| row.document.bytes[0]))
}

#[test]
fn no_change_that_rests_on_a_read_is_lost_at_either_isolation() {
    explore("no change that rests on a read is lost, at either isolation", 5_000, || {
        let db = database();
        let adders = [Isolation::Serializable, Isolation::Snapshot].map(|isolation| {
            let db = db.clone();
            thread::spawn(move || {
                let add = || {
                    let mut tx = db.begin_with(&["s"], Mode::ReadWrite, isolation)?;
                    let next = number(&mut tx, 1)? + 1;
                    tx.put("s", Some(1.into()), raw(next))?;
                    tx.commit(RELAXED)
                };
                for _ in 0..2 {
                    while let Err(error) = add() {
                        assert_eq!(error.code(), Code::Conflict);
                        thread::yield_now();
                    }
                }
            })
        });
        adders.into_iter().for_each(|adder| adder.join().unwrap());
        assert_eq!(number(&mut db.begin(&["s"], Mode::ReadOnly).unwrap(), 1).unwrap(), 4);
    });
}

#[test]
fn of_two_transactions_that_read_what_the_other_writes_one_fails() {
    explore("of two transactions that read what the other writes one fails", 6_000, || {
        let db = database();
        let takers = [(1, 2), (2, 1)].map(|(mine, other)| {
            let db = db.clone();
            thread::spawn(move || {
                let mut tx = db.begin(&["s"], Mode::ReadWrite).unwrap();
                // One of the two may be taken, whichever it is.
                if number(&mut tx, other).unwrap() > 0 {
                    return false;
                }
                tx.put("s", Some(mine.into()), raw(1)).unwrap();
                tx.commit(RELAXED).is_ok()
            })
        });
        let taken = takers.map(|taker| taker.join().unwrap());
        assert_eq!(taken.iter().filter(|&&taken| taken).count(), 1);
    });
}

#[test]
fn no_key_is_generated_twice_and_a_write_in_the_call_that_is_not_made_uses_none() {
    explore("no key is generated twice, and a write in the call that is not made uses none", 6_000, || {
        let (db, keys) = (database(), Arc::new(Mutex::new(BTreeSet::new())));
        let list = |keys: &Mutex<BTreeSet<_>>, key: Key| {
            assert!(keys.lock().unwrap().insert(key.into_bytes()), "a key was given twice");
        };
        let waiting = thread::spawn({
            let (db, keys) = (db.clone(), Arc::clone(&keys));
            move || {
                for _ in 0..2 {
                    list(&keys, db.update(&["s"], RELAXED, |tx| tx.put("s", None, raw(1))).unwrap());
                }
            }
        });
        let passing = thread::spawn({
            let (db, keys) = (db.clone(), Arc::clone(&keys));
            move || {
                let key = Key::from(40);
                list(&keys, db.update(&["s"], RELAXED, |tx| tx.put("s", Some(key.clone()), raw(1))).unwrap());
            }
        });
        let mut made = 0;
        for _ in 0..3 {
            if let Some(key) = db.try_update(&["s"], RELAXED, |tx| tx.put("s", None, raw(1))).unwrap() {
                made += 1;
                list(&keys, key);
            }
        }
        waiting.join().unwrap();
        passing.join().unwrap();
        let count = db.begin(&["s"], Mode::ReadOnly).unwrap().count("s", &KeyRange::all()).unwrap();
        assert_eq!((count, keys.lock().unwrap().len()), (3 + made, 3 + made as usize));
    });
}

#[test]
fn the_count_of_a_store_is_the_number_of_its_documents_at_every_moment() {
    explore("the count of a store is the number of its documents at every moment", 4_000, || {
        let db = database();
        put(&db, 1, 1);
        let changers = [2, 3].map(|key| {
            let db = db.clone();
            thread::spawn(move || {
                put(&db, key, 1);
                db.update(&["s"], RELAXED, |tx| tx.delete("s", &1.into())).unwrap();
            })
        });
        for _ in 0..2 {
            let mut tx = db.begin(&["s"], Mode::ReadOnly).unwrap();
            let there = (1..4).map(|key| number(&mut tx, key).unwrap()).filter(|&number| number > 0).count();
            assert_eq!(tx.count("s", &KeyRange::all()).unwrap(), there as u64);
        }
        changers.into_iter().for_each(|changer| changer.join().unwrap());
    });
}

#[test]
fn who_watches_is_told_of_every_change_in_the_order_of_the_commits() {
    explore("who watches is told of every change, in the order of the commits", 4_000, || {
        let db = database();
        put(&db, 1, 1);
        let watch = db.watch(WatchOptions::default()).unwrap();
        let changers = [1, 2].map(|_| {
            let db = db.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    put(&db, 1, 1);
                }
            })
        });
        // Without an end: whoever is not told waits for ever.
        let versions = (0..4).map(|_| match *watch.recv().unwrap().expect("it is open") {
            Change::Put { version, .. } => version,
            ref other => panic!("nobody did that: {other:?}"),
        });
        assert_eq!(versions.collect::<Vec<_>>(), [2, 3, 4, 5]);
        changers.into_iter().for_each(|changer| changer.join().unwrap());
        assert!(watch.try_recv().unwrap().is_none());
    });
}
