//! Stores that come into being with their first write.

use std::sync::Arc;

use flowdb::config::{Config, SyncMode};
use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::{Isolation, JsonDb, KeyRange, Mode, TryRow};
use serde_json::json as j;

use crate::support::{all, code, content, json, key, keyed_by, limits, open};

fn open_declared() -> JsonDb {
    let db = open();
    db.declare_stores("flash").unwrap();
    db
}

fn put(db: &JsonDb, store: &str, n: f64) {
    db.update(&[store], None, |tx| tx.put(store, Some(key(n)), json(&j!(n)))).unwrap();
}

fn count(db: &JsonDb, store: &str) -> u64 {
    db.begin(&[store], Mode::ReadOnly).unwrap().count(store, &all()).unwrap()
}

fn names(db: &JsonDb) -> Vec<String> {
    db.schema().into_iter().map(|store| store.name).collect()
}

#[test]
fn a_declared_store_is_read_as_empty_and_made_by_the_first_write() {
    let db = open_declared();
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let mut tx = db.begin(&["flash", "flash/a"], mode).unwrap();
        assert_eq!(tx.get("flash/a", &key(1.0)).unwrap(), None);
        assert_eq!(tx.count("flash", &all()).unwrap(), 0);
        assert_eq!(tx.count("flash/a", &KeyRange::prefix(key("a")).unwrap()).unwrap(), 0);
        assert!(
            tx.page("flash/a", None, &all(), Direction::Reverse, None, limits(9)).unwrap().rows.is_empty()
        );
    }
    assert_eq!(db.try_get("flash/a", &key(1.0)).unwrap(), TryRow::Missing);
    assert_eq!(db.purge_expired(Some("flash/a")).unwrap(), 0);
    db.update(&["flash/a"], None, |tx| {
        assert!(!tx.delete("flash/a", &key(1.0))?);
        assert_eq!(tx.delete_range("flash/a", &all())?, 0);
        assert_eq!(tx.pop("flash/a", &all(), Direction::Forward)?, None);
        tx.clear("flash/a")
    })
    .unwrap();
    assert_eq!(names(&db), [""; 0]);

    put(&db, "flash/a", 1.0);

    assert_eq!(names(&db), ["flash/a"]);
    assert_eq!(count(&db, "flash/a"), 1);
    for undeclared in ["flas", "flashy", "other/flash"] {
        assert_eq!(code(db.begin(&[undeclared], Mode::ReadOnly)), Code::NotFound);
        assert_eq!(code(db.begin(&[undeclared], Mode::ReadWrite)), Code::NotFound);
        assert_eq!(code(db.declare_default_ttl(undeclared, 1)), Code::InvalidArgument);
    }
}

#[test]
fn a_transaction_that_makes_a_store_reads_what_it_writes_and_keeps_what_it_has_read() {
    let db = open_declared();
    let mut tx = db.begin(&["flash/a"], Mode::ReadWrite).unwrap();
    let savepoint = tx.savepoint().unwrap();
    assert_eq!(tx.count("flash/a", &all()).unwrap(), 0);
    for n in [1.0, 2.0] {
        tx.put("flash/a", Some(key(n)), json(&j!(n))).unwrap();
    }
    assert_eq!(tx.count("flash/a", &all()).unwrap(), 2);
    tx.rollback_to(savepoint).unwrap();
    assert_eq!(tx.count("flash/a", &all()).unwrap(), 0);
    tx.put("flash/a", Some(key(3.0)), json(&j!(3))).unwrap();
    assert_eq!(count(&db, "flash/a"), 0, "others see it with the commit");
    tx.commit(None).unwrap();

    let row = db.begin(&["flash/a"], Mode::ReadOnly).unwrap().get("flash/a", &key(3.0)).unwrap().unwrap();
    assert_eq!((content(&row), row.version, count(&db, "flash/a")), (j!(3), 1, 1));
}

#[test]
fn who_has_read_a_store_that_was_not_there_conflicts_with_who_makes_it() {
    for (writes, isolation) in [
        ("flash/a", Isolation::Serializable),
        ("flash/b", Isolation::Serializable),
        ("flash/a", Isolation::Snapshot),
    ] {
        let db = open_declared();
        let mut tx = db.begin_with(&["flash/a", "flash/b"], Mode::ReadWrite, isolation).unwrap();
        assert_eq!(tx.count("flash/a", &all()).unwrap(), 0);
        put(&db, "flash/a", 7.0);
        tx.put(writes, Some(key(1.0)), json(&j!(1))).unwrap();
        assert_eq!(tx.count("flash/a", &all()).unwrap(), u64::from(writes == "flash/a"));
        assert_eq!(code(tx.commit(None)), Code::Conflict, "{writes} {isolation:?}");
        assert_eq!(count(&db, "flash/a"), 1);
    }
}

/// It has read a store that was not there, and nothing of that may be forgotten when it makes the store: two that both
/// find no document would both count theirs.
#[test]
fn who_makes_a_store_conflicts_with_who_writes_into_it_before_the_commit() {
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let db = open_declared();
        let mut tx = db.begin_with(&["flash/a"], Mode::ReadWrite, isolation).unwrap();
        tx.put("flash/a", Some(key(1.0)), json(&j!("mine"))).unwrap();
        put(&db, "flash/a", 1.0);
        assert_eq!(code(tx.commit(None)), Code::Conflict, "{isolation:?}");
        assert_eq!(count(&db, "flash/a"), 1);
    }

    let db = open_declared();
    let mut tx = db.begin(&["flash/a"], Mode::ReadWrite).unwrap();
    assert_eq!(tx.get("flash/a", &key(2.0)).unwrap(), None);
    tx.put("flash/a", Some(key(1.0)), json(&j!("two is missing"))).unwrap();
    put(&db, "flash/a", 2.0);
    assert_eq!(code(tx.commit(None)), Code::Conflict);
}

/// Stores that are made and deleted all the time by several threads: a write finds its store or makes it anew, and what is
/// counted is what is there.
#[test]
fn who_writes_beside_those_who_drop_is_not_told_of_it_and_counts_right() {
    let db = open_declared();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let db = &db;
            scope.spawn(move || {
                for n in 0..4_000_u16 {
                    if thread % 2 == 0 {
                        db.delete_stores_within("flash/a").unwrap();
                    } else {
                        put(db, "flash/a", f64::from(n % 5));
                    }
                }
            });
        }
    });
    (0..3).for_each(|n| put(&db, "flash/a", f64::from(n)));
    let mut tx = db.begin(&["flash/a"], Mode::ReadOnly).unwrap();
    let page = tx.page("flash/a", None, &all(), Direction::Forward, None, limits(9)).unwrap();
    assert_eq!(tx.count("flash/a", &all()).unwrap(), page.rows.len() as u64);
}

#[test]
fn a_reader_goes_on_without_a_store_that_is_made_meanwhile() {
    let db = open_declared();
    let mut reader = db.begin(&["flash/a"], Mode::ReadOnly).unwrap();
    put(&db, "flash/a", 1.0);
    assert_eq!(reader.count("flash/a", &all()).unwrap(), 0);
    assert_eq!(reader.get("flash/a", &key(1.0)).unwrap(), None);
}

#[test]
fn a_store_of_another_kind_under_a_declared_name_is_refused() {
    let db = open_declared();
    db.create_object_store("flash/a", keyed_by("id")).unwrap();
    assert_eq!(code(db.begin(&["flash/a"], Mode::ReadOnly)), Code::Exists);
    assert_eq!(code(db.begin(&["flash/a"], Mode::ReadWrite)), Code::Exists);
    assert_eq!(code(db.try_get("flash/a", &key(1.0))), Code::Exists);
}

#[test]
fn a_declared_default_ttl_comes_with_the_next_write() {
    let db = open_declared();
    let ttl_of =
        |name: &str| db.schema().into_iter().find(|store| store.name == name).map(|s| s.default_ttl_ms);
    put(&db, "flash/old", 1.0);
    for name in ["flash/old", "flash/new"] {
        db.declare_default_ttl(name, 5_000).unwrap();
    }
    assert_eq!(count(&db, "flash/old"), 1);
    assert_eq!((ttl_of("flash/old"), ttl_of("flash/new")), (Some(0), None), "to read changes nothing");

    put(&db, "flash/old", 2.0);
    put(&db, "flash/new", 2.0);

    assert_eq!((ttl_of("flash/old"), ttl_of("flash/new")), (Some(5_000), Some(5_000)));
    for (name, n, expires) in [("flash/old", 1.0, false), ("flash/old", 2.0, true), ("flash/new", 2.0, true)]
    {
        let row = db.begin(&[name], Mode::ReadOnly).unwrap().get(name, &key(n)).unwrap().unwrap();
        assert_eq!(row.expires_at != 0, expires, "{name} {n}");
    }
    // What is said after it is not taken back by each write, and a store that is made anew gets it again.
    db.set_default_ttl("flash/old", 0).unwrap();
    put(&db, "flash/old", 3.0);
    assert_eq!(ttl_of("flash/old"), Some(0));
    db.delete_stores_within("flash/new").unwrap();
    put(&db, "flash/new", 4.0);
    assert_eq!(ttl_of("flash/new"), Some(5_000));
}

#[test]
fn stores_within_others_are_named_and_deleted_by_one_write() {
    let db = open_declared();
    for name in
        ["flash", "flash/a", "flash/a!", "flash/a/b", "flash/a/b/c", "flash/ab", "flash/c/d", "flash//x"]
    {
        put(&db, name, 1.0);
    }
    assert_eq!(db.store_names_within("flash").unwrap(), ["", "a", "a!", "ab", "c"]);
    assert_eq!(db.store_names_within("flash/a").unwrap(), ["b"]);
    assert_eq!(db.store_names_within("flash/").unwrap(), ["x"]);
    assert_eq!(db.store_names_within("flash/ab").unwrap(), [""; 0]);

    assert_eq!(db.delete_stores_within("flash/a").unwrap(), 3);
    assert_eq!(db.delete_stores_within("flash/a").unwrap(), 0);
    assert_eq!(db.delete_stores_within("flash/c").unwrap(), 1);

    assert_eq!(names(&db), ["flash", "flash//x", "flash/a!", "flash/ab"]);
    put(&db, "flash/a", 2.0);
    assert_eq!(count(&db, "flash/a"), 1);
}

#[test]
fn writers_on_many_threads_make_each_store_once() {
    let db = open_declared();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let db = &db;
            scope.spawn(move || {
                for n in 0..200_u32 {
                    put(db, &format!("flash/{}", n % 20), f64::from(thread * 1_000 + n));
                }
            });
        }
    });
    assert_eq!(names(&db).len(), 20);
    let total: u64 = names(&db).iter().map(|name| count(&db, name)).sum();
    assert_eq!(total, 800);
}

/// The store is made by a commit that nobody syncs, and the log has it before what is written into it.
#[test]
fn a_document_that_was_acknowledged_is_there_after_a_crash_with_the_store_that_it_made() {
    let config = || Config { auto_background: false, ..Config::new("db") };
    for n in 0..20 {
        let disk = SimFs::new();
        let db = JsonDb::open_on(config(), Arc::new(disk.clone())).unwrap();
        db.declare_stores("flash").unwrap();
        for store in 0..=n {
            let name = format!("flash/{store}");
            db.update(&[&name], Some(SyncMode::Always), |tx| tx.put(&name, Some(key(1.0)), json(&j!(1))))
                .unwrap();
        }

        let after =
            JsonDb::open_on(config(), Arc::new(disk.after_crash(CrashOutcome::LoseUnsynced))).unwrap();

        assert_eq!(names(&after).len(), n + 1);
        assert!(names(&after).iter().all(|name| count(&after, name) == 1));
    }
}
