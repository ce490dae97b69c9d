//! Documents that expire: to the millisecond, with their index rows, and counted rightly all the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowdb::clock::{Clock, ManualClock};
use flowdb::config::Config;
use flowdb::engine::{Direction, ScanRange};
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::{
    Expires, IndexOptions, JsonDb, Key, KeyRange, Mode, PutOptions, Transaction, repair_documents_on,
};
use serde_json::{Value, json as j};

use crate::model::{assert_matches, create_indexes};
use crate::support::{
    Random, all, change, code, get, ids_by, index_on, json, key, keyed_by, put, read_all, unique_on,
};

const NOW_MS: u64 = 1_700_000_000_000;

/// A database in memory with `items`, and the clock that it goes by.
fn open() -> (JsonDb, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let config = Config { clock: clock.clone(), auto_background: false, ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    (db, clock)
}

/// The same, with an index over `items`.
fn open_with(index: &str, options: IndexOptions) -> (JsonDb, Arc<ManualClock>) {
    let (db, clock) = open();
    db.create_index("items", index, options).unwrap();
    (db, clock)
}

fn expiring(expires: Expires) -> PutOptions {
    PutOptions { expires, ..PutOptions::default() }
}

fn put_until(tx: &mut Transaction, value: &Value, expires: Expires) -> Result<Key> {
    tx.put_with("items", None, json(value), expiring(expires))
}

fn put_for(db: &JsonDb, value: Value, ms: u64) {
    change(db, |tx| put_until(tx, &value, Expires::After(ms))).unwrap();
}

fn count(db: &JsonDb) -> u64 {
    db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap()
}

/// How many rows of a kind the engine has, those that have expired left out.
fn rows_of_kind(db: &JsonDb, kind: u8) -> usize {
    let mut rows = db.engine().scan(ScanRange::prefix([kind]), Direction::Forward, None).unwrap();
    let mut count = 0;
    while rows.advance().unwrap() {
        count += 1;
    }
    count
}

const DOCUMENT: u8 = 3;
const INDEX: u8 = 4;
const EXPIRY: u8 = 7;

#[test]
fn a_document_is_there_until_its_millisecond_in_every_read() {
    let (db, clock) = open_with("by_n", index_on("n"));
    db.create_index("items", "by_u", unique_on("u")).unwrap();
    put_for(&db, j!({ "id": 1, "n": 5, "u": 5 }), 1_000);
    put(&db, j!({ "id": 2, "n": 5, "u": 6 }));
    let shown = || {
        let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
        let ids = |index| {
            read_all(&mut db.begin(&["items"], Mode::ReadOnly).unwrap(), index, &all(), Direction::Reverse, 1)
                .len()
        };
        (
            get(&db, 1.0).is_some(),
            tx.count("items", &all()).unwrap(),
            tx.count("items", &KeyRange::only(key(1.0))).unwrap(),
            tx.count_by_index("items", "by_n", &all()).unwrap(),
            (ids(None), ids(Some("by_n")), ids(Some("by_u"))),
        )
    };

    clock.set(NOW_MS + 999);
    assert_eq!(shown(), (true, 2, 1, 2, (2, 2, 2)));
    clock.set(NOW_MS + 1_000);
    assert_eq!(shown(), (false, 1, 0, 1, (1, 1, 1)));
    assert!(!change(&db, |tx| tx.delete("items", &key(1.0))).unwrap());
    assert_eq!(count(&db), 1);
}

#[test]
fn what_has_expired_does_not_come_back_with_a_clock_that_is_set_back() {
    let (db, clock) = open_with("by_n", index_on("n"));
    put_for(&db, j!({ "id": 1, "n": 1 }), 1_000);
    put_for(&db, j!({ "id": 2, "n": 2 }), 1_000);
    clock.advance(1_000);
    put(&db, j!({ "id": 1, "n": 3 }));
    assert_eq!(db.purge_expired(None).unwrap(), 2);
    clock.set(NOW_MS);

    assert_eq!((count(&db), ids_by(&db, "by_n", &all())), (1, vec![1]));
    assert!(get(&db, 2.0).is_none());
    clock.set(NOW_MS + 2_000);
    assert_eq!((count(&db), ids_by(&db, "by_n", &all())), (1, vec![1]));
}

#[test]
fn a_unique_key_is_free_when_its_document_has_expired() {
    let (db, clock) = open_with("by_u", unique_on("u"));
    put_for(&db, j!({ "id": 1, "u": 5 }), 1_000);
    let other = |tx: &mut Transaction| tx.put("items", None, json(&j!({ "id": 2, "u": 5 })));
    assert_eq!(code(change(&db, other)), Code::Constraint);
    clock.advance(1_000);

    change(&db, other).unwrap();
    assert_eq!(ids_by(&db, "by_u", &all()), [2]);
    put(&db, j!({ "id": 1, "u": 7 }));
    assert_eq!(ids_by(&db, "by_u", &all()), [2, 1]);
    assert_eq!(count(&db), 2);
}

/// The writer saw the document before it expired, and commits after another one took its unique key.
#[test]
fn an_index_row_that_another_document_took_over_is_not_taken_away() {
    let (db, clock) = open_with("by_u", unique_on("u"));
    put_for(&db, j!({ "id": 1, "u": 5 }), 1_000);
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 1 }))).unwrap();
    clock.advance(1_000);
    put(&db, j!({ "id": 2, "u": 5 }));

    assert_eq!(code(tx.commit(None)), Code::Conflict);
    assert_eq!(ids_by(&db, "by_u", &all()), [2]);
}

#[test]
fn a_plain_put_makes_a_document_last_and_takes_its_index_rows_along() {
    let (db, clock) = open_with("by_n", index_on("n"));
    put_for(&db, j!({ "id": 1, "n": 5 }), 1_000);
    put(&db, j!({ "id": 1, "n": 5 }));
    put(&db, j!({ "id": 2, "n": 6 }));
    put_for(&db, j!({ "id": 2, "n": 6 }), 2_000);
    clock.advance(2_000);

    assert_eq!(ids_by(&db, "by_n", &all()), [1]);
    assert_eq!((count(&db), rows_of_kind(&db, EXPIRY)), (1, 1));
    assert!(get(&db, 2.0).is_none());
}

#[test]
fn an_expiry_in_the_past_is_a_deletion() {
    let (db, _clock) = open();
    put(&db, j!({ "id": 1 }));
    for moment in [0, 1, NOW_MS - 1, NOW_MS] {
        put(&db, j!({ "id": 1 }));
        let value = j!({ "id": 1 });
        assert_eq!(change(&db, |tx| put_until(tx, &value, Expires::At(moment))).unwrap(), key(1.0));
        assert_eq!((get(&db, 1.0), count(&db), rows_of_kind(&db, EXPIRY)), (None, 0, 0));
    }
    change(&db, |tx| put_until(tx, &j!({ "id": 1 }), Expires::At(NOW_MS + 1))).unwrap();
    assert_eq!(count(&db), 1);
}

#[test]
fn a_store_has_a_default_that_a_document_may_overrule_and_that_outlives_the_process() {
    let disk = SimFs::new();
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let open = || {
        let config = Config { clock: clock.clone(), auto_background: false, ..Config::new("/db") };
        JsonDb::open_on(config, Arc::new(disk.clone())).unwrap()
    };
    let db = open();
    db.create_object_store_with_ttl("items", keyed_by("id"), 1_000).unwrap();
    db.create_object_store_with_ttl("items", keyed_by("id"), 1_000).unwrap();
    assert_eq!(code(db.create_object_store("items", keyed_by("id"))), Code::Exists);
    db.close().unwrap();
    let db = open();
    assert_eq!(db.schema()[0].default_ttl_ms, 1_000);
    put(&db, j!({ "id": 1 }));
    change(&db, |tx| put_until(tx, &j!({ "id": 2 }), Expires::Never)).unwrap();
    put_for(&db, j!({ "id": 3 }), 5_000);
    db.set_default_ttl("items", 2_000).unwrap();
    put(&db, j!({ "id": 4 }));
    db.set_default_ttl("items", 0).unwrap();
    put(&db, j!({ "id": 5 }));
    let left = |after: u64| {
        clock.set(NOW_MS + after);
        (1..=5).filter(|id| get(&db, f64::from(*id)).is_some()).collect::<Vec<_>>()
    };

    assert_eq!(left(999), [1, 2, 3, 4, 5]);
    assert_eq!(left(1_000), [2, 3, 4, 5]);
    assert_eq!(left(2_000), [2, 3, 5]);
    assert_eq!(left(1 << 40), [2, 5]);
    assert_eq!(code(db.set_default_ttl("nowhere", 5)), Code::NotFound);
}

#[test]
fn a_transaction_sees_its_own_documents_expire() {
    let (db, clock) = open_with("by_n", index_on("n"));
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    put_until(&mut tx, &j!({ "id": 1, "n": 1 }), Expires::After(1_000)).unwrap();
    tx.put("items", None, json(&j!({ "id": 2, "n": 2 }))).unwrap();
    assert_eq!(
        (
            tx.count("items", &all()).unwrap(),
            read_all(&mut tx, Some("by_n"), &all(), Direction::Forward, 9).len()
        ),
        (2, 2)
    );
    clock.advance(1_000);

    assert!(tx.get("items", &key(1.0)).unwrap().is_none());
    assert_eq!(
        (
            tx.count("items", &all()).unwrap(),
            read_all(&mut tx, Some("by_n"), &all(), Direction::Forward, 9).len()
        ),
        (1, 1)
    );
    tx.add("items", None, json(&j!({ "id": 1, "n": 1 }))).unwrap();
    tx.commit(None).unwrap();
    assert_eq!((count(&db), ids_by(&db, "by_n", &all())), (2, vec![1, 2]));
    assert_eq!(db.purge_expired(None).unwrap(), 1);
    assert_eq!(count(&db), 2);
}

#[test]
fn purging_takes_what_has_expired_and_nothing_else() {
    let (db, clock) = open();
    db.create_object_store("other", keyed_by("id")).unwrap();
    (0..100).for_each(|id| put_for(&db, j!({ "id": id }), 1_000 + id % 2));
    let value = json(&j!({ "id": 1 }));
    db.update(&["other"], None, |tx| tx.put_with("other", None, value.clone(), expiring(Expires::After(5))))
        .unwrap();
    assert_eq!(db.purge_expired(None).unwrap(), 0);
    clock.advance(1_000);

    assert_eq!(count(&db), 50);
    assert_eq!(db.purge_expired(Some("items")).unwrap(), 50);
    assert_eq!((count(&db), rows_of_kind(&db, EXPIRY)), (50, 51));
    clock.advance(1);
    assert_eq!(count(&db), 0);
    assert_eq!(db.purge_expired(None).unwrap(), 51);
    assert_eq!((count(&db), rows_of_kind(&db, EXPIRY)), (0, 0));
    assert_eq!(code(db.purge_expired(Some("nowhere"))), Code::NotFound);
    db.close().unwrap();
    assert_eq!(code(db.purge_expired(None)), Code::Closed);
}

/// Both would take the document off the count.
#[test]
fn a_purge_and_a_writer_that_saw_the_document_never_both_commit() {
    let (db, clock) = open();
    for writes in [
        |tx: &mut Transaction| _ = tx.put("items", None, json(&j!({ "id": 1 }))).unwrap(),
        |tx: &mut Transaction| assert!(tx.delete("items", &key(1.0)).unwrap()),
        |tx: &mut Transaction| assert!(tx.touch("items", &key(1.0), Expires::Never).unwrap()),
    ] {
        put_for(&db, j!({ "id": 1 }), 1_000);
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        writes(&mut tx);
        clock.advance(1_000);
        assert_eq!(db.purge_expired(None).unwrap(), 1);
        assert_eq!(code(tx.commit(None)), Code::Conflict);
        assert_eq!(count(&db), 0);
    }
}

#[test]
fn clearing_and_deleting_a_store_takes_its_expiries_along() {
    let (db, _clock) = open();
    put_for(&db, j!({ "id": 1 }), 1_000);
    change(&db, |tx| tx.clear("items")).unwrap();
    assert_eq!((count(&db), rows_of_kind(&db, EXPIRY)), (0, 0));
    put_for(&db, j!({ "id": 1 }), 1_000);
    db.delete_object_store("items").unwrap();
    assert_eq!(rows_of_kind(&db, EXPIRY), 0);
}

#[test]
fn compaction_gives_the_space_of_expired_documents_back() {
    let (db, clock) = open_with("by_n", index_on("n"));
    let text = "x".repeat(1_000);
    for id in 0..2_000 {
        put_for(&db, j!({ "id": id, "n": id, "text": text }), 1_000);
    }
    db.engine().flush().unwrap();
    let before = db.engine().stats().table_bytes();
    clock.advance(1_000);
    assert_eq!((rows_of_kind(&db, DOCUMENT), rows_of_kind(&db, INDEX)), (0, 0));

    assert_eq!(db.purge_expired(None).unwrap(), 2_000);
    db.engine().compact_range(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded).unwrap();
    let after = db.engine().stats().table_bytes();
    assert!(after < before / 50, "{before} bytes became {after}");
}

#[test]
fn a_thread_in_the_background_purges() {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let config = Config { clock: clock.clone(), gc_interval_secs: 1, ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    put_for(&db, j!({ "id": 1 }), 1_000);
    put_for(&db, j!({ "id": 2 }), 2_000);
    clock.advance(1_000);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while rows_of_kind(&db, EXPIRY) > 1 {
        assert!(std::time::Instant::now() < patience, "nobody purges");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(count(&db), 1);
    db.close().unwrap();
}

type Model = BTreeMap<i64, (Value, u64)>;

fn there(model: &Model, now_ms: u64) -> BTreeMap<i64, Value> {
    let lives = |expires_at: u64| expires_at == 0 || expires_at > now_ms;
    model.iter().filter(|(_, (_, at))| lives(*at)).map(|(id, (value, _))| (*id, value.clone())).collect()
}

/// A random write in the database and in the model.
fn step(tx: &mut Transaction, model: &mut Model, random: &mut Random, now_ms: u64) {
    let id = random.below(12) as i64;
    let was_there = there(model, now_ms).contains_key(&id);
    let expires = match random.below(5) {
        0 | 1 => Expires::Never,
        2 => Expires::At(now_ms + 20 - random.below(25)),
        _ => Expires::After(1 + random.below(30)),
    };
    let expires_at = match expires {
        Expires::At(at) => at,
        Expires::After(ms) => now_ms + ms,
        Expires::Default | Expires::Never => 0,
    };
    let is_past = expires_at != 0 && expires_at <= now_ms;
    match random.below(20) {
        0 => {
            tx.clear("items").unwrap();
            model.clear();
        }
        1..=3 => {
            assert_eq!(tx.delete("items", &key(id as f64)).unwrap(), was_there);
            model.remove(&id);
        }
        4..=7 => {
            assert_eq!(tx.touch("items", &key(id as f64), expires).unwrap(), was_there);
            if let Some((_, at)) = model.get_mut(&id).filter(|_| was_there) {
                *at = expires_at;
            }
        }
        _ => {
            let value =
                j!({ "id": id, "n": random.below(4), "u": random.below(15), "tags": [random.below(3), 7] });
            let is_taken =
                there(model, now_ms).iter().any(|(other, has)| *other != id && has["u"] == value["u"]);
            match put_until(tx, &value, expires) {
                Ok(_) if is_past => _ = model.remove(&id),
                Ok(_) => {
                    assert!(!is_taken, "{value} was stored");
                    model.insert(id, (value, expires_at));
                }
                Err(error) => assert!(is_taken && error.code() == Code::Constraint, "{error}"),
            }
        }
    }
}

#[test]
fn documents_indexes_and_counts_follow_random_work_and_time() {
    let mut random = Random::from_env("documents_indexes_and_counts_follow_random_work_and_time");
    for _ in 0..30 {
        let disk = SimFs::new();
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let config = Config {
            clock: clock.clone(),
            auto_background: false,
            memtable_size_bytes: 4 << 10,
            ..Config::new("/db")
        };
        let open = || JsonDb::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let mut db = open();
        db.create_object_store("items", keyed_by("id")).unwrap();
        create_indexes(&db);
        let mut model = Model::new();
        for _ in 0..40 {
            let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
            let mut changed = model.clone();
            for _ in 0..random.below(8) {
                step(&mut tx, &mut changed, &mut random, clock.now_ms());
                if random.below(3) == 0 {
                    clock.advance(random.below(6));
                }
            }
            assert_matches(&mut tx, &there(&changed, clock.now_ms()), 3);
            if random.below(5) > 0 {
                tx.commit(None).unwrap();
                model = changed;
            } else {
                tx.abort();
            }
            clock.advance(random.below(10));
            match random.below(12) {
                0 => _ = db.purge_expired(None).unwrap(),
                1 => db.engine().flush().unwrap(),
                2 => while db.engine().run_pending().unwrap() {},
                3 => {
                    db.delete_index("items", "by_n").unwrap();
                    db.create_index("items", "by_n", index_on("n")).unwrap();
                }
                4 => {
                    db.close().unwrap();
                    if random.below(2) == 0 {
                        repair_documents_on(&config, Arc::new(disk.clone())).unwrap();
                    }
                    db = open();
                }
                _ => {}
            }
            let mut reader = db.begin(&["items"], Mode::ReadOnly).unwrap();
            assert_matches(&mut reader, &there(&model, clock.now_ms()), 5);
        }
        db.close().unwrap();
    }
}

/// Writes, purges and lets time pass, the same for each crash; stops at the first operation that fails.
fn work_until_a_crash(config: &Config, clock: &ManualClock, disk: &SimFs, seed: u64) -> Result<()> {
    clock.set(NOW_MS);
    let db = JsonDb::open_on(config.clone(), Arc::new(disk.clone()))?;
    db.create_object_store_with_ttl("items", keyed_by("id"), 40)?;
    db.create_index("items", "by_n", index_on("n"))?;
    let mut random = Random::seeded(seed);
    for round in 0..8 {
        let mut tx = db.begin(&["items"], Mode::ReadWrite)?;
        for _ in 0..6 {
            let expires = [Expires::Default, Expires::Never, Expires::After(1 + random.below(60))];
            let expires = expires[random.below(3) as usize];
            put_until(&mut tx, &j!({ "id": random.below(12), "n": random.below(4) }), expires)?;
        }
        tx.delete("items", &key(random.below(12) as f64))?;
        tx.commit(None)?;
        clock.advance(10);
        if round % 3 == 2 {
            db.purge_expired(None)?;
        }
        db.engine().run_pending()?;
    }
    db.close()
}

#[test]
fn after_a_crash_at_any_operation_counts_and_indexes_are_those_of_the_documents_at_any_time() {
    let seed = Random::from_env("after_a_crash_at_any_operation_counts_and_indexes").next();
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let config = Config {
        clock: clock.clone(),
        auto_background: false,
        memtable_size_bytes: 4 << 10,
        ..Config::new("/db")
    };
    let disk = SimFs::new();
    work_until_a_crash(&config, &clock, &disk, seed).unwrap();
    for crash_at in 0..disk.operations() {
        let disk = SimFs::crashing_after(crash_at);
        let _ = work_until_a_crash(&config, &clock, &disk, seed);
        let crashed_at = clock.now_ms();
        for outcome in
            [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced, CrashOutcome::Random(crash_at)]
        {
            clock.set(crashed_at);
            let db = JsonDb::open_on(config.clone(), Arc::new(disk.after_crash(outcome))).unwrap();
            db.create_object_store_with_ttl("items", keyed_by("id"), 40).unwrap();
            db.create_index("items", "by_n", index_on("n")).unwrap();
            for turn in 0..6 {
                let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
                let rows = read_all(&mut tx, None, &all(), Direction::Forward, 5).len() as u64;
                let by_index = read_all(&mut tx, Some("by_n"), &all(), Direction::Forward, 5).len() as u64;
                let counted = tx.count("items", &all()).unwrap();
                assert_eq!((counted, by_index), (rows, rows), "crash_at={crash_at} {outcome:?} turn {turn}");
                clock.advance(15);
                if turn == 3 {
                    db.purge_expired(None).unwrap();
                }
            }
        }
    }
}

#[test]
fn who_counted_before_a_document_expired_conflicts_with_who_put_another_in_its_place() {
    let (db, clock) = open();
    put_for(&db, j!({ "id": 1 }), 10);
    put(&db, j!({ "id": 2 }));
    let mut counting = db.begin(&["items"], Mode::ReadWrite).unwrap();
    assert_eq!(counting.count("items", &all()).unwrap(), 2);
    counting.put("items", None, json(&j!({ "id": "elsewhere" }))).unwrap();

    clock.advance(10);
    // The number that is stored stays what it is: one comes and one goes.
    change(&db, |tx| {
        put_until(tx, &j!({ "id": 1 }), Expires::Never)?;
        tx.delete("items", &key(2.0))
    })
    .unwrap();

    assert_eq!(counting.commit(None).unwrap_err().code(), Code::Conflict);
    assert_eq!(count(&db), 1);
}
