//! Documents that are put back as they were, and the sizes of stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flowdb::clock::Clock;
use flowdb::config::Config;
use flowdb::error::Code;
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::{DOCUMENT_VERSION_MAX, Facts, JsonDb, Mode};
use serde_json::json as j;

use crate::support::{
    all, auto_increment, change, code, index_on, json, key, keyed_by, open_with_items, out_of_line, put,
};

const FACTS: Facts = Facts { version: 7, updated_at: 1_700_000_000_000, expires_at: 0 };

#[test]
fn a_restored_document_has_the_version_and_times_that_it_had() {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    put(&db, j!({ "id": 1, "n": 5 }));
    let expires_at = 9_999_999_999_999;

    let facts = Facts { expires_at, ..FACTS };
    let is_there = change(&db, |tx| tx.restore("items", &key(1.0), json(&j!({ "id": 1, "n": 6 })), facts));

    assert!(is_there.unwrap());
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let row = tx.get("items", &key(1.0)).unwrap().unwrap();
    assert_eq!((row.version, row.updated_at, row.expires_at), (7, FACTS.updated_at, expires_at));
    assert_eq!(tx.count("items", &all()).unwrap(), 1);
    assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), 1);
    put(&db, j!({ "id": 1 }));
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.get("items", &key(1.0)).unwrap().unwrap().version, 8);
}

#[test]
fn a_key_that_is_not_that_of_the_document_is_refused() {
    let db = open_with_items();
    db.create_object_store("loose", out_of_line()).unwrap();
    let restore = |store: &str, id: f64, facts| {
        db.update(&[store], None, |tx| tx.restore(store, &key(id), json(&j!({ "id": 1 })), facts))
    };

    assert_eq!(code(restore("items", 2.0, FACTS)), Code::InvalidKey);
    for version in [0, DOCUMENT_VERSION_MAX + 1, u64::MAX] {
        assert_eq!(code(restore("items", 1.0, Facts { version, ..FACTS })), Code::InvalidArgument);
    }
    assert!(restore("loose", 2.0, FACTS).unwrap());
    assert_eq!(db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 0);
}

#[test]
fn numbers_that_were_restored_are_not_generated_again() {
    let db = open_with_items();
    db.create_object_store("numbered", auto_increment(None)).unwrap();

    let added = db.update(&["numbered"], None, |tx| {
        tx.restore("numbered", &key(41.0), json(&j!({})), FACTS)?;
        tx.add("numbered", None, json(&j!({})))
    });

    assert_eq!(added.unwrap(), key(42.0));
}

#[test]
fn a_copy_gives_no_key_that_was_given_where_it_comes_from() {
    let disk = SimFs::new();
    let open = |disk: &SimFs| JsonDb::open_on(Config::new("/db"), Arc::new(disk.clone())).unwrap();
    let db = open(&disk);
    db.create_object_store("numbered", auto_increment(None)).unwrap();
    db.create_object_store("named", out_of_line()).unwrap();
    let add = |db: &JsonDb| db.update(&["numbered"], None, |tx| tx.add("numbered", None, json(&j!({}))));
    let last =
        |db: &JsonDb| db.begin(&["numbered"], Mode::ReadOnly).unwrap().last_generated("numbered").unwrap();
    assert_eq!(last(&db), 0);
    assert_eq!(add(&db).unwrap(), key(1.0));
    assert_eq!(last(&db), 1);

    db.pass_generated("numbered", 41).unwrap();
    db.pass_generated("numbered", 7).unwrap();
    db.pass_generated("named", 41).unwrap();

    assert_eq!(last(&db), 41);
    assert_eq!(code(db.pass_generated("numbered", (1 << 53) + 1)), Code::InvalidArgument);
    assert_eq!(code(db.pass_generated("none", 1)), Code::NotFound);
    // It is on the disk although no document is.
    let after_crash = open(&disk.after_crash(CrashOutcome::LoseUnsynced));
    assert_eq!(add(&after_crash).unwrap(), key(42.0));
    assert_eq!(add(&db).unwrap(), key(42.0));
}

struct StoppedClock(AtomicU64);

impl Clock for StoppedClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn what_has_expired_is_not_restored_and_takes_away_what_is_there() {
    let config = Config { clock: Arc::new(StoppedClock(AtomicU64::new(1_000))), ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 1 }));

    let facts = Facts { expires_at: 1_000, ..FACTS };
    let is_there = change(&db, |tx| tx.restore("items", &key(1.0), json(&j!({ "id": 1 })), facts)).unwrap();

    assert!(!is_there);
    assert_eq!(db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 0);
}

#[test]
fn the_sizes_of_stores_count_documents_exactly() {
    let db = open_with_items();
    db.create_object_store("empty", out_of_line()).unwrap();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    (0..30).for_each(|id| put(&db, j!({ "id": id, "n": id })));

    let stats = db.store_stats().unwrap();

    let counts: Vec<_> =
        stats.iter().map(|store| (&store.name[..], store.documents, store.indexes)).collect();
    assert_eq!(counts, [("empty", 0, 0), ("items", 30, 1)]);
}

#[test]
fn the_counts_of_stores_are_of_one_moment() {
    let db = open_with_items();
    db.create_object_store("others", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 1 }));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                for (from, to) in [("items", "others"), ("others", "items")] {
                    let moved = db.update(&["items", "others"], None, |tx| {
                        tx.delete(from, &key(1.0))?;
                        tx.put(to, None, json(&j!({ "id": 1 })))
                    });
                    moved.unwrap();
                }
            }
        });
        let sums: Vec<u64> =
            (0..2_000).map(|_| db.store_stats().unwrap().iter().map(|store| store.documents).sum()).collect();
        is_done.store(true, Ordering::Relaxed);
        assert!(sums.iter().all(|sum| *sum == 1), "{sums:?}");
    });
}
