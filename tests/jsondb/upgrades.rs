//! Upgrades: schema, documents and version change together or not at all, whatever comes between.

use std::path::Path;
use std::sync::Arc;

use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Direction, ScanRange, WriteBatch};
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::jsondb::{
    Condition, IndexOptions, JsonDb, KeyRange, Mode, Order, QueryBuilder, StoreSchema, Transaction,
    VERSION_MAX,
};
use serde_json::{Value, json as j};

use crate::model::{Model, assert_matches, create_indexes, indexes, step};
use crate::support::{
    Random, all, change, code, documents, get, ids_by, index_on, json, key, keyed_by, open, open_with_items,
    out_of_line, put, unique_on,
};

fn begin(db: &JsonDb, version: u64) -> Transaction {
    db.begin_upgrade(version).unwrap().unwrap()
}

fn put_in(tx: &mut Transaction, value: Value) {
    tx.put("items", None, json(&value)).unwrap();
}

#[test]
fn an_upgrade_changes_stores_indexes_documents_and_version_at_once() {
    let db = open_with_items();
    db.create_object_store("old", out_of_line()).unwrap();
    put(&db, j!({ "id": 1, "n": 5 }));
    put(&db, j!({ "id": 2, "n": 3 }));
    assert_eq!(db.version().unwrap(), 0);

    let mut tx = begin(&db, 3);
    tx.create_object_store("new", out_of_line(), 5_000).unwrap();
    tx.put("new", Some(key("a")), json(&j!("first"))).unwrap();
    tx.create_index("items", "by_n", index_on("n")).unwrap();
    put_in(&mut tx, j!({ "id": 3, "n": 4 }));
    tx.delete_object_store("old").unwrap();
    assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), 3, "it sees what it does");
    assert_eq!(tx.count("new", &all()).unwrap(), 1);

    let names = |db: &JsonDb| db.schema().into_iter().map(|store| store.name).collect::<Vec<_>>();
    assert_eq!(names(&db), ["items", "old"]);
    assert!(db.schema()[0].indexes.is_empty());
    assert_eq!(get(&db, 3.0), None);
    tx.commit(None).unwrap();
    assert_eq!(names(&db), ["items", "new"]);
    assert_eq!(db.schema()[1].default_ttl_ms, 5_000);
    assert_eq!(ids_by(&db, "by_n", &all()), [2, 3, 1]);
    assert_eq!(db.begin(&["new"], Mode::ReadOnly).unwrap().count("new", &all()).unwrap(), 1);
    assert_eq!(db.version().unwrap(), 3);
}

#[test]
fn an_upgrade_that_is_dropped_changes_nothing() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 5 }));
    let before = db.schema();

    let failed = db.upgrade(1, None, |tx, old| {
        assert_eq!(old, 0);
        tx.create_object_store("new", out_of_line(), 0)?;
        tx.create_index("items", "by_n", index_on("n"))?;
        tx.delete("items", &key(1.0))?;
        tx.create_index("items", "by_n", unique_on("n"))
    });

    assert_eq!(code(failed), Code::Exists);
    assert_eq!(db.schema(), before);
    assert_eq!(db.version().unwrap(), 0);
    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "n": 5 })));
    // Nothing is left that would be in the way.
    db.create_index("items", "by_n", unique_on("n")).unwrap();
    put(&db, j!({ "id": 2, "n": 6 }));
    assert_eq!(ids_by(&db, "by_n", &all()), [1, 2]);
}

#[test]
fn a_unique_index_of_an_upgrade_that_is_dropped_binds_nobody_any_more() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 5 }));
    let mut tx = begin(&db, 1);
    tx.create_index("items", "by_n", unique_on("n")).unwrap();
    tx.abort();

    put(&db, j!({ "id": 2, "n": 5 }));

    assert_eq!(documents(&mut db.begin(&["items"], Mode::ReadOnly).unwrap()).len(), 2);
}

#[test]
fn a_lower_version_is_refused_and_the_same_needs_no_upgrade() {
    let db = open_with_items();
    assert!(db.upgrade(4, None, |_, _| Ok(())).unwrap());

    assert_eq!(code(db.begin_upgrade(3)), Code::Version);
    assert!(db.begin_upgrade(4).unwrap().is_none());
    assert_eq!(code(db.begin_upgrade(0)), Code::InvalidArgument);
    assert_eq!(code(db.begin_upgrade(VERSION_MAX + 1)), Code::InvalidArgument);
    assert!(
        db.upgrade(VERSION_MAX, None, |_, old| {
            assert_eq!(old, 4);
            Ok(())
        })
        .unwrap()
    );
    assert_eq!(db.version().unwrap(), VERSION_MAX);
}

#[test]
fn while_an_upgrade_is_under_way_nobody_else_changes_the_schema() {
    let db = open_with_items();
    let tx = begin(&db, 1);

    assert_eq!(code(db.begin_upgrade(1)), Code::Busy);
    assert_eq!(code(db.create_object_store("more", out_of_line())), Code::Busy);
    assert_eq!(code(db.delete_object_store("items")), Code::Busy);
    assert_eq!(code(db.create_index("items", "by_n", index_on("n"))), Code::Busy);
    assert_eq!(code(db.delete_index("items", "by_n")), Code::Busy);
    assert_eq!(code(db.set_default_ttl("items", 1)), Code::Busy);
    // Who asks for what is there changes nothing.
    db.create_object_store("items", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 1 }));
    tx.abort();
    db.create_object_store("more", out_of_line()).unwrap();
}

#[test]
fn only_an_upgrade_changes_the_schema_in_a_transaction() {
    let db = open_with_items();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();

    assert_eq!(code(tx.create_object_store("more", out_of_line(), 0)), Code::Unsupported);
    assert_eq!(code(tx.delete_object_store("items")), Code::Unsupported);
    assert_eq!(code(tx.create_index("items", "by_n", index_on("n"))), Code::Unsupported);
    assert_eq!(code(tx.delete_index("items", "by_n")), Code::Unsupported);
    assert_eq!(code(begin(&db, 1).savepoint()), Code::Unsupported);
}

#[test]
fn a_unique_index_is_checked_over_what_the_upgrade_has_made_of_the_documents() {
    let db = open_with_items();
    for id in 1..=4 {
        put(&db, j!({ "id": id, "n": id % 2 }));
    }

    let mut tx = begin(&db, 1);
    tx.delete("items", &key(3.0)).unwrap();
    put_in(&mut tx, j!({ "id": 4, "n": 9 }));
    tx.create_index("items", "by_n", unique_on("n")).unwrap();
    assert_eq!(code(tx.put("items", None, json(&j!({ "id": 5, "n": 9 })))), Code::Constraint);
    put_in(&mut tx, j!({ "id": 3, "n": 3 }));
    tx.commit(None).unwrap();

    assert_eq!(ids_by(&db, "by_n", &all()), [2, 1, 3, 4]);
}

#[test]
fn an_index_that_an_upgrade_builds_is_called_as_it_will_be_in_messages() {
    let db = open_with_items();
    (0..2).for_each(|id| put(&db, j!({ "id": id, "n": 1 })));
    for name in ["by_n", &"\u{20ac}".repeat(85)] {
        let mut tx = begin(&db, 1);

        let error = tx.create_index("items", name, unique_on("n")).unwrap_err();

        assert_eq!(error.code(), Code::Constraint);
        let start: String = name.chars().take(50).collect();
        assert!(error.message().contains(&format!("index \"{start}")), "{error}");
    }
}

#[test]
fn a_transaction_sees_the_version_of_its_snapshot() {
    let db = open_with_items();
    let before = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let tx = begin(&db, 3);
    assert_eq!(tx.version().unwrap(), 0);
    tx.commit(None).unwrap();

    assert_eq!(before.version().unwrap(), 0);
    assert_eq!(db.begin(&["items"], Mode::ReadOnly).unwrap().version().unwrap(), 3);
}

#[test]
fn an_index_that_can_not_be_created_leaves_the_upgrade_as_it_was() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 1 }));
    put(&db, j!({ "id": 2, "n": 1 }));

    let mut tx = begin(&db, 1);
    put_in(&mut tx, j!({ "id": 3, "n": 2 }));
    assert_eq!(code(tx.create_index("items", "by_n", unique_on("n"))), Code::Constraint);
    // Own documents, too.
    put_in(&mut tx, j!({ "id": 2, "n": 2 }));
    assert_eq!(code(tx.create_index("items", "by_n", unique_on("n"))), Code::Constraint);
    assert!(tx.schema()[0].indexes.is_empty());
    put_in(&mut tx, j!({ "id": 2, "n": 7 }));
    tx.create_index("items", "by_n", unique_on("n")).unwrap();
    tx.commit(None).unwrap();

    assert_eq!(ids_by(&db, "by_n", &all()), [1, 3, 2]);
}

#[test]
fn who_writes_what_an_upgrade_has_read_makes_it_fail_and_others_do_not() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 1 }));
    let mut tx = begin(&db, 1);
    assert!(tx.get("items", &key(1.0)).unwrap().is_some());
    put(&db, j!({ "id": 2, "n": 2 }));
    tx.create_index("items", "by_n", index_on("n")).unwrap();
    put(&db, j!({ "id": 3, "n": 3 }));
    tx.commit(None).unwrap();
    assert_eq!(ids_by(&db, "by_n", &all()), [1, 2, 3], "what others wrote meanwhile is in the index");

    let mut tx = begin(&db, 2);
    tx.get("items", &key(1.0)).unwrap();
    put(&db, j!({ "id": 1, "n": 9 }));
    assert_eq!(code(tx.create_index("items", "more", index_on("id"))), Code::Conflict);
    assert_eq!(code(tx.commit(None)), Code::Conflict);
    assert_eq!(db.version().unwrap(), 1);
    assert_eq!(db.schema()[0].indexes.len(), 1);
}

#[test]
fn who_began_before_an_upgrade_does_not_write_by_the_old_rules() {
    let db = open_with_items();
    let mut before = db.begin(&["items"], Mode::ReadWrite).unwrap();
    before.put("items", None, json(&j!({ "id": 1, "n": 1 }))).unwrap();

    db.upgrade(1, None, |tx, _| tx.create_index("items", "by_n", index_on("n"))).unwrap();

    assert_eq!(code(before.commit(None)), Code::Conflict);
}

#[test]
fn a_store_or_index_is_deleted_and_created_anew_under_its_name() {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    (1..=3).for_each(|id| put(&db, j!({ "id": id, "n": 1, "m": 9 - id })));

    let mut tx = begin(&db, 1);
    tx.delete_index("items", "by_n").unwrap();
    tx.create_index("items", "by_n", unique_on("m")).unwrap();
    assert_eq!(ids_by(&db, "by_n", &all()), [1, 2, 3], "others read the one that was");
    tx.commit(None).unwrap();
    assert_eq!(ids_by(&db, "by_n", &all()), [3, 2, 1]);

    db.upgrade(2, None, |tx, _| {
        tx.delete_object_store("items")?;
        tx.create_object_store("items", keyed_by("id"), 0)?;
        tx.create_index("items", "by_n", index_on("n"))?;
        tx.put("items", None, json(&j!({ "id": 7, "n": 7 }))).map(drop)
    })
    .unwrap();
    assert_eq!(ids_by(&db, "by_n", &all()), [7]);
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(documents(&mut tx).len(), 1);
    assert_eq!(tx.count("items", &all()).unwrap(), 1);
}

#[test]
fn what_an_upgrade_has_cleared_is_in_no_index_that_it_creates() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 1 }));
    put(&db, j!({ "id": 2, "n": 1 }));

    db.upgrade(1, None, |tx, _| {
        tx.clear("items")?;
        tx.put("items", None, json(&j!({ "id": 3, "n": 1 })))?;
        tx.create_index("items", "by_n", unique_on("n"))
    })
    .unwrap();

    assert_eq!(ids_by(&db, "by_n", &all()), [3]);
}

#[test]
fn what_an_upgrade_has_deleted_by_ranges_and_queries_is_in_no_index_and_the_rest_is() {
    let db = open_with_items();
    let many: Vec<_> =
        (0..1_500).map(|id| (None, json(&j!({ "id": id, "n": id % 7, "old": id >= 1_400 })))).collect();
    change(&db, |tx| tx.put_many("items", many.clone()).map(drop)).unwrap();
    put(&db, j!({ "id": 2_000 }));

    db.upgrade(1, None, |tx, _| {
        // So many that their rows go as one range, which begins where the store does.
        assert_eq!(tx.delete_range("items", &KeyRange::upper_bound(key(1_399.0), false))?, 1_400);
        tx.create_index("items", "by_n", index_on("n"))?;
        let some = vec![(None, json(&j!({ "id": 1, "n": 3 }))), (None, json(&j!({ "id": 2 })))];
        tx.put_many("items", some)?;
        let old = QueryBuilder::new("items").filter("old", Condition::Equals(key(true)));
        assert_eq!(old.filter("n", Condition::Equals(key(0.0))).build()?.delete(tx)?, 15);
        assert!(tx.patch("items", &key(1_401.0), br#"{"n":null}"#)?);
        Ok(())
    })
    .unwrap();

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let documents = documents(&mut tx);
    assert_eq!((documents.len(), tx.count("items", &all()).unwrap()), (88, 88));
    let with = documents.values().filter(|document| document["n"].is_number()).count() as u64;
    assert_eq!((with, tx.count_by_index("items", "by_n", &all()).unwrap()), (85, 85));
    // In the order of the index come those without an entry, too: it lists them.
    let query = QueryBuilder::new("items").order_by("n", Order::Ascending).build().unwrap();
    let keys = query.keys(&mut tx).unwrap();
    assert_eq!((keys.len(), &keys[85..]), (88, &[key(2.0), key(1_401.0), key(2_000.0)][..]));
    assert!(!query.explain(&mut tx).unwrap().sorted);
}

#[test]
fn upgrades_with_random_work_leave_what_a_model_has() {
    let mut random = Random::from_env("upgrades_with_random_work_leave_what_a_model_has");
    for round in 0..40 {
        let ids = [8, 40, 200][round % 3];
        let db = open_with_items();
        create_indexes(&db);
        let mut model = Model::new();
        for version in 1..=6 {
            change(&db, |tx| (0..10).try_for_each(|_| step(tx, &mut model, &mut random, ids))).unwrap();
            let mut after = model.clone();
            let mut tx = begin(&db, version * 2 + round as u64 % 2);
            for _ in 0..30 {
                random_change(&mut tx, &mut after, &mut random, ids);
            }
            for (name, options) in indexes() {
                tx.create_index("items", name, options).unwrap();
            }
            assert_matches(&mut tx, &after, 7);
            if random.below(3) == 0 {
                tx.abort();
            } else {
                tx.commit(None).unwrap();
                model = after;
            }
            assert_matches(&mut db.begin(&["items"], Mode::ReadOnly).unwrap(), &model, 7);
        }
    }
}

/// A write, or an index that comes or goes. The unique one is there again at once: the model counts on it.
fn random_change(tx: &mut Transaction, model: &mut Model, random: &mut Random, ids: u64) {
    let [by_n, by_u, by_tag] = indexes();
    match random.below(9) {
        0 => {
            tx.delete_index("items", by_u.0).unwrap();
            tx.create_index("items", by_u.0, by_u.1).unwrap();
        }
        1 => toggle(tx, by_n),
        2 => toggle(tx, by_tag),
        _ => step(tx, model, random, ids).unwrap(),
    }
}

fn toggle(tx: &mut Transaction, (name, options): (&str, IndexOptions)) {
    if tx.schema()[0].indexes.iter().any(|index| index.name == name) {
        tx.delete_index("items", name).unwrap();
    } else {
        tx.create_index("items", name, options).unwrap();
    }
}

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/documents-version.txt");

#[test]
fn the_rows_of_an_upgraded_database_are_written_as_ever() {
    let db = open();
    db.upgrade(300, None, |tx, _| {
        tx.create_object_store("items", keyed_by("id"), 0)?;
        tx.create_index("items", "by_n", unique_on("n"))
    })
    .unwrap();

    let mut rows = db.engine().scan(ScanRange::all(), Direction::Forward, None).unwrap();
    let mut text = String::new();
    while rows.advance().unwrap() {
        text += &format!("{} = {}\n", hex(rows.key()), hex(rows.value()));
    }

    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    let expected: String =
        golden.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert_eq!(text, expected);
}

#[test]
fn a_damaged_version_of_the_schema_is_corruption() {
    for damaged in [&[][..], &[0], &[0x80], &[1, 1], &[0xff; 11]] {
        let db = open();
        let mut batch = WriteBatch::new();
        batch.put(&[0, 1], damaged).unwrap();
        db.engine().commit(batch, CommitOptions::default()).unwrap();

        assert_eq!(code(db.version()), Code::Corruption, "{damaged:?}");
        assert_eq!(code(db.begin_upgrade(1)), Code::Corruption, "{damaged:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const DIR: &str = "db";

fn open_on(disk: &SimFs) -> Result<JsonDb> {
    let config = Config {
        // Small enough that the work is flushed several times, in this thread.
        memtable_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        auto_background: false,
        ..Config::new(Path::new(DIR))
    };
    JsonDb::open_on(config, Arc::new(disk.clone()))
}

/// What can be seen of a database: schema, version, documents.
#[derive(Debug, PartialEq)]
struct Seen {
    schema: Vec<StoreSchema>,
    version: u64,
    items: Model,
}

fn seen(db: &JsonDb) -> Seen {
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let items = documents(&mut tx);
    assert_eq!(tx.count("items", &all()).unwrap(), items.len() as u64);
    for index in &db.schema()[0].indexes {
        let rows = ids_by(db, &index.name, &all());
        assert_eq!(rows.len(), items.len(), "{}", index.name);
    }
    Seen { schema: db.schema(), version: db.version().unwrap(), items }
}

fn upgrade_on(disk: &SimFs) -> Result<()> {
    let db = open_on(disk)?;
    upgrade(&db)?;
    db.close()
}

fn upgrade(db: &JsonDb) -> Result<bool> {
    db.upgrade(2, None, |tx, _| {
        tx.delete_index("items", "by_n")?;
        for id in 0..40 {
            tx.put("items", None, json(&j!({ "id": id, "n": id + 1_000, "text": "x".repeat(100) })))?;
        }
        db.engine().run_pending()?;
        tx.create_index("items", "by_n", unique_on("n"))?;
        db.engine().run_pending()?;
        tx.create_object_store("more", out_of_line(), 0)?;
        tx.put("more", Some(key(1.0)), json(&j!({})))?;
        tx.delete("items", &key(99.0)).map(drop)
    })
}

/// A disk with a database to upgrade, and what that has.
fn to_upgrade() -> (SimFs, Seen) {
    let base = SimFs::new();
    let db = open_on(&base).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    for id in 0..120 {
        put(&db, j!({ "id": id, "n": id, "text": "y".repeat(60) }));
    }
    db.upgrade(1, None, |_, _| Ok(())).unwrap();
    let before = seen(&db);
    db.close().unwrap();
    (base, before)
}

/// Schema, documents and version are those of before or those of after, never some of both.
#[test]
fn a_crash_in_an_upgrade_leaves_all_of_it_or_nothing() {
    let (base, before) = to_upgrade();
    let disk = base.deep_copy();
    let first = disk.operations();
    upgrade_on(&disk).unwrap();
    let operations = disk.operations() - first;
    let after = seen(&open_on(&disk).unwrap());
    assert_eq!((after.version, after.items.len(), after.schema.len()), (2, 119, 2));

    let mut counts = [0, 0];
    for crash_at in 0..operations {
        let disk = base.deep_copy();
        disk.crash_at(disk.operations() + crash_at);
        let acknowledged = upgrade_on(&disk).is_ok();
        for outcome in
            [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced, CrashOutcome::Random(crash_at)]
        {
            let disk = disk.after_crash(outcome);
            let found = seen(&open_on(&disk).unwrap());
            let is_after = found == after;
            assert!(is_after || found == before, "crash_at={crash_at} {outcome:?}: {:?}", found.schema);
            assert!(
                is_after || !acknowledged,
                "crash_at={crash_at} {outcome:?}: an acknowledged one is lost"
            );
            counts[usize::from(is_after)] += 1;
            if !is_after {
                upgrade_on(&disk).unwrap();
                assert_eq!(
                    seen(&open_on(&disk).unwrap()),
                    after,
                    "crash_at={crash_at} {outcome:?}: done again"
                );
            }
        }
    }
    assert!(counts[0] > 10 && counts[1] > 0, "{counts:?}");
}

#[test]
fn an_upgrade_on_a_full_disk_changes_nothing_and_can_be_done_again_when_there_is_space() {
    let (base, before) = to_upgrade();
    let disk = base.deep_copy();
    upgrade_on(&disk).unwrap();
    let after = seen(&open_on(&disk).unwrap());

    let (mut refused, mut room) = (0, 0);
    loop {
        let disk = base.deep_copy();
        let db = open_on(&disk).unwrap();
        let used: usize = disk.files().iter().map(|file| disk.read_file(file).unwrap().len()).sum();
        disk.set_capacity(used as u64 + room);

        let upgraded = upgrade(&db);

        disk.heal();
        match upgraded {
            Ok(_) => {
                assert_eq!(seen(&db), after, "room={room}");
                break;
            }
            Err(error) => assert_eq!(error.code(), Code::Io, "room={room}: {error:?}"),
        }
        assert_eq!(seen(&db), before, "room={room}");
        put(&db, j!({ "id": 500, "n": 5 }));
        change(&db, |tx| tx.delete("items", &key(500.0))).unwrap();
        upgrade(&db).unwrap();
        assert_eq!(seen(&db), after, "room={room}: done again");
        db.close().unwrap();
        assert_eq!(seen(&open_on(&disk).unwrap()), after, "room={room}: opened again");
        refused += 1;
        room += 397;
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn openers_at_once_upgrade_once() {
    let db = open();
    let runs = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                db.upgrade(1, None, |tx, _| {
                    runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    tx.create_object_store("items", keyed_by("id"), 0)
                })
                .unwrap();
                put(&db, j!({ "id": 1 }));
            });
        }
    });
    assert_eq!(runs.into_inner(), 1);
}
