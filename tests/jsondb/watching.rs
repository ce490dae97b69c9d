//! Watching: what is committed is given in commit order, once, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flowdb::config::{Config, SyncMode};
use flowdb::error::{Code, Result};
use flowdb::fs::{Fault, SimFs};
use flowdb::jsondb::{
    Change, Expires, JsonDb, Key, KeyRange, KeyValue, Mode, Overflow, PutOptions, Transaction, Watch,
    WatchOptions,
};
use serde_json::{Value, json as j};

use crate::support::{
    Random, TempDir, change, code, documents, index_on, json, key, keyed_by, open_with_items, put,
};

fn watch(db: &JsonDb, options: WatchOptions) -> Watch {
    db.watch(options).unwrap()
}

/// What waits, without waiting for more.
fn waiting(watch: &Watch) -> Vec<Arc<Change>> {
    std::iter::from_fn(|| watch.try_recv().unwrap()).collect()
}

fn number(key: &Key) -> f64 {
    match key.decode().unwrap() {
        KeyValue::Number(number) => number,
        other => panic!("{other}"),
    }
}

fn shown_document(document: Option<&Arc<flowdb::jsondb::Document>>) -> String {
    document.map_or("-".to_owned(), |document| String::from_utf8(document.bytes.clone()).unwrap())
}

/// A change in short.
fn shown(change: &Change) -> String {
    match change {
        Change::Put { store, key, version, .. } => format!("{store} put {} v{version}", number(key)),
        Change::Delete { store, key, .. } => format!("{store} delete {}", number(key)),
        Change::DeleteRange { store, range } => format!("{store} delete {range:?}"),
        Change::Clear { store } => format!("{store} clear"),
        Change::Drop { store } => format!("{store} drop"),
        Change::Lost { changes } => format!("lost {changes}"),
    }
}

fn shown_all(watch: &Watch) -> Vec<String> {
    waiting(watch).iter().map(|change| shown(change)).collect()
}

fn delete(tx: &mut Transaction, id: f64) -> Result<bool> {
    tx.delete("items", &key(id))
}

#[test]
fn what_is_committed_is_given_in_its_order_and_nothing_else() {
    let db = open_with_items();
    db.create_object_store("others", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 9 }));
    let watch = watch(&db, WatchOptions::default());

    put(&db, j!({ "id": 2 }));
    change(&db, |tx| {
        tx.put("items", None, json(&j!({ "id": 3 })))?;
        tx.put("items", None, json(&j!({ "id": 1 })))?;
        tx.put("items", None, json(&j!({ "id": 3, "again": true })))?;
        delete(tx, 9.0)
    })
    .unwrap();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    let place = change(&db, |tx| {
        let place = tx.savepoint()?;
        tx.put("items", None, json(&j!({ "id": 4 })))?;
        tx.rollback_to(place)
    });
    place.unwrap();
    change(&db, |tx| delete(tx, 77.0)).unwrap();
    let mut aborted = db.begin(&["items"], Mode::ReadWrite).unwrap();
    aborted.put("items", None, json(&j!({ "id": 5 }))).unwrap();
    aborted.abort();
    let mut refused = db.begin(&["items"], Mode::ReadWrite).unwrap();
    refused.get("items", &key(2.0)).unwrap();
    refused.put("items", None, json(&j!({ "id": 6 }))).unwrap();
    put(&db, j!({ "id": 2 }));
    assert_eq!(code(refused.commit(None)), Code::Conflict);
    change(&db, |tx| {
        tx.put("items", None, json(&j!({ "id": 7 })))?;
        tx.clear("items")?;
        tx.put("items", None, json(&j!({ "id": 8 }))).map(drop)
    })
    .unwrap();
    db.delete_index("items", "by_n").unwrap();
    db.update(&["others"], None, |tx| tx.put("others", None, json(&j!({ "id": 1 })))).unwrap();
    db.delete_object_store("others").unwrap();

    assert_eq!(
        shown_all(&watch),
        [
            "items put 2 v1",
            "items put 1 v1",
            "items put 3 v2",
            "items delete 9",
            "items put 2 v2",
            "items clear",
            "items put 8 v1",
            "others put 1 v1",
            "others drop"
        ]
    );
}

#[test]
fn documents_come_where_they_are_asked_for() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 1 }));
    let plain = watch(&db, WatchOptions::default());
    let news = watch(&db, WatchOptions { values: true, ..WatchOptions::default() });
    let both = watch(&db, WatchOptions { values: true, old_values: true, ..WatchOptions::default() });

    put(&db, j!({ "id": 1, "n": 2 }));
    put(&db, j!({ "id": 2, "n": 3 }));
    change(&db, |tx| delete(tx, 1.0)).unwrap();
    change(&db, |tx| {
        tx.clear("items")?;
        tx.put("items", None, json(&j!({ "id": 2, "n": 4 }))).map(drop)
    })
    .unwrap();

    let documents = |watch: &Watch| -> Vec<String> {
        let shown = |change: &Arc<Change>| match &**change {
            Change::Put { value, old_value, .. } => {
                format!("{} {}", shown_document(value.as_ref()), shown_document(old_value.as_ref()))
            }
            Change::Delete { old_value, .. } => shown_document(old_value.as_ref()),
            _ => "range".to_owned(),
        };
        waiting(watch).iter().map(shown).collect()
    };
    let all = [
        r#"{"id":1,"n":2} {"id":1,"n":1}"#,
        r#"{"id":2,"n":3} -"#,
        r#"{"id":1,"n":2}"#,
        "range",
        r#"{"id":2,"n":4} -"#,
    ];
    assert_eq!(documents(&both), all);
    assert_eq!(
        documents(&news),
        [r#"{"id":1,"n":2} -"#, r#"{"id":2,"n":3} -"#, "-", "range", r#"{"id":2,"n":4} -"#]
    );
    assert_eq!(documents(&plain), ["- -", "- -", "-", "range", "- -"]);
}

#[test]
fn only_what_is_in_the_range_and_the_store_comes() {
    let db = open_with_items();
    db.create_object_store("others", keyed_by("id")).unwrap();
    let from_three_to_five = KeyRange::bound(key(3.0), key(5.0), false, true).unwrap();
    let ranged = watch(
        &db,
        WatchOptions {
            store: Some("items".to_owned()),
            range: from_three_to_five,
            ..WatchOptions::default()
        },
    );
    let others = watch(&db, WatchOptions { store: Some("others".to_owned()), ..WatchOptions::default() });

    (1..8).for_each(|id| put(&db, j!({ "id": id })));
    db.update(&["others"], None, |tx| tx.put("others", None, json(&j!({ "id": 4 })))).unwrap();
    change(&db, |tx| delete(tx, 2.0)).unwrap();
    change(&db, |tx| delete(tx, 4.0)).unwrap();
    change(&db, |tx| tx.clear("items")).unwrap();

    assert_eq!(shown_all(&ranged), ["items put 3 v1", "items put 4 v1", "items delete 4", "items clear"]);
    assert_eq!(shown_all(&others), ["others put 4 v1"]);
}

#[test]
fn a_store_that_comes_again_is_watched_on() {
    let db = open_with_items();
    let watch = watch(&db, WatchOptions { store: Some("items".to_owned()), ..WatchOptions::default() });
    db.delete_object_store("items").unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 1 }));

    assert_eq!(shown_all(&watch), ["items drop", "items put 1 v1"]);
}

#[test]
fn too_many_changes_end_a_watch_behind_those_that_wait() {
    let db = open_with_items();
    let small = watch(&db, WatchOptions { buffer: 2, ..WatchOptions::default() });
    (1..6).for_each(|id| put(&db, j!({ "id": id })));

    assert_eq!(shown(&small.recv().unwrap().unwrap()), "items put 1 v1");
    assert_eq!(shown(&small.recv().unwrap().unwrap()), "items put 2 v1");
    for _ in 0..2 {
        assert_eq!(code(small.recv()), Code::Overflow);
    }
}

#[test]
fn the_oldest_changes_go_and_are_counted() {
    let db = open_with_items();
    let options = WatchOptions { buffer: 2, overflow: Overflow::DropOldest, ..WatchOptions::default() };
    let small = watch(&db, options);
    (1..6).for_each(|id| put(&db, j!({ "id": id })));

    assert_eq!(shown_all(&small), ["lost 3", "items put 4 v1", "items put 5 v1"]);
    put(&db, j!({ "id": 6 }));
    assert_eq!(shown_all(&small), ["items put 6 v1"]);
}

#[test]
fn coalesced_changes_say_what_all_of_them_did() {
    let db = open_with_items();
    put(&db, j!({ "id": 1, "n": 0 }));
    let coalesce = WatchOptions { overflow: Overflow::Coalesce, ..WatchOptions::default() };
    let watched = watch(&db, WatchOptions { old_values: true, buffer: 3, ..coalesce.clone() });
    let narrow = watch(&db, WatchOptions { buffer: 1, ..coalesce });
    for n in 1..100 {
        put(&db, j!({ "id": 1, "n": n }));
        put(&db, j!({ "id": 2, "n": n }));
    }
    change(&db, |tx| delete(tx, 2.0)).unwrap();

    let changes = waiting(&watched);
    let Change::Put { version: 100, old_value: Some(old), .. } = &*changes[0] else { panic!("{changes:?}") };
    assert_eq!(old.bytes, br#"{"id":1,"n":0}"#);
    assert!(matches!(&*changes[1], Change::Delete { old_value: None, .. }), "{changes:?}");
    assert_eq!(changes.len(), 2);
    // Two documents are too many for it, however often they change.
    assert_eq!(shown(&narrow.recv().unwrap().unwrap()), "items put 1 v2");
    assert_eq!(code(narrow.recv()), Code::Overflow);

    (3..6).for_each(|id| put(&db, j!({ "id": id })));
    change(&db, |tx| tx.clear("items")).unwrap();
    put(&db, j!({ "id": 4 }));
    put(&db, j!({ "id": 4 }));
    assert_eq!(shown_all(&watched), ["items clear", "items put 4 v2"]);
}

#[test]
fn large_documents_fill_a_watch_by_their_bytes() {
    let db = open_with_items();
    let watch = watch(&db, WatchOptions { values: true, ..WatchOptions::default() });
    let text = "x".repeat(40 << 20);
    put(&db, j!({ "id": 1, "text": text }));
    put(&db, j!({ "id": 2, "text": text }));

    assert_eq!(shown(&watch.recv().unwrap().unwrap()), "items put 1 v1");
    assert_eq!(code(watch.recv()), Code::Overflow);
}

/// Every change that comes until nothing does for a while after `done`.
fn collect(watch: &Watch, done: &AtomicBool) -> Vec<Arc<Change>> {
    let mut changes = Vec::new();
    loop {
        let was_done = done.load(Ordering::SeqCst);
        match watch.recv_timeout(Duration::from_millis(20)).unwrap() {
            Some(change) => changes.push(change),
            None if was_done => return changes,
            None => {}
        }
    }
}

/// Random transactions on few documents; each also counts in the document 0.
fn write_at_random(db: &JsonDb, random: &mut Random, turns: usize) {
    for _ in 0..turns {
        // Each once: a commit says only what it did to a document in all.
        let ids: BTreeSet<u64> = (0..random.below(4)).map(|_| 1 + random.below(12)).collect();
        let (deletes, n) = (random.below(4) == 0, random.next());
        let sync = if random.below(3) == 0 { SyncMode::Always } else { SyncMode::Never };
        let counts = random.below(2) == 0;
        // Conflicts are common here: each retry is a transaction of its own.
        let written = db.update(&["items"], Some(sync), |tx| {
            if counts {
                let count = tx.get("items", &key(0.0))?.map_or(0, |row| row.version);
                tx.put("items", None, json(&j!({ "id": 0, "count": count + 1 })))?;
            }
            for &id in &ids {
                if deletes {
                    tx.delete("items", &key(id as f64))?;
                } else {
                    tx.put("items", None, json(&j!({ "id": id, "n": n })))?;
                }
            }
            Ok(())
        });
        assert!(written.is_ok() || code(written) == Code::Conflict);
    }
}

/// Follows versions: a put is one more than the one before it, or the first after a deletion.
fn replay(changes: &[Arc<Change>], documents: &mut BTreeMap<i64, Value>, versions: &mut BTreeMap<i64, u64>) {
    for change in changes {
        match &**change {
            Change::Put { key, version, value, old_value, .. } => {
                let id = number(key) as i64;
                let before = versions.get(&id).copied().unwrap_or(0);
                assert_eq!(*version, before + 1, "of {id}");
                let old = old_value.as_ref().map(|old| serde_json::from_slice::<Value>(&old.bytes).unwrap());
                assert_eq!(old.as_ref(), documents.get(&id), "of {id}");
                versions.insert(id, *version);
                documents.insert(id, serde_json::from_slice(&value.as_ref().unwrap().bytes).unwrap());
            }
            Change::Delete { key, .. } => {
                let id = number(key) as i64;
                versions.remove(&id);
                documents.remove(&id);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// However a test ends: one that fails must not wait for threads that go on.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn changes_of_eight_concurrent_writers_come_in_commit_order_each_once() {
    let mut random = Random::from_env("changes_of_eight_concurrent_writers_come_in_commit_order_each_once");
    let dir = TempDir::new();
    let db = JsonDb::open(Config::new(dir.path())).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    let options =
        WatchOptions { values: true, old_values: true, buffer: 1_000_000, ..WatchOptions::default() };
    let watch = watch(&db, options);
    let seeds: Vec<u64> = (0..8).map(|_| random.next()).collect();
    let done = AtomicBool::new(false);
    let changes = std::thread::scope(|scope| {
        let collector = scope.spawn(|| collect(&watch, &done));
        let ends = SetOnDrop(&done);
        let write = |seed| {
            let db = JsonDb::open(Config::new(dir.path())).unwrap();
            write_at_random(&db, &mut Random::seeded(seed), 100);
        };
        let writers: Vec<_> = seeds.into_iter().map(|seed| scope.spawn(move || write(seed))).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        drop(ends);
        collector.join().unwrap()
    });

    assert!(changes.len() > 300, "{} changes are too few to show an order", changes.len());
    let (mut mirror, mut versions) = (BTreeMap::new(), BTreeMap::new());
    replay(&changes, &mut mirror, &mut versions);
    assert_eq!(mirror, documents(&mut db.begin(&["items"], Mode::ReadOnly).unwrap()));
}

/// Who reads first and then follows the changes, or subscribes first and then reads, misses nothing.
#[test]
fn there_is_no_gap_around_a_subscription() {
    let mut random = Random::from_env("there_is_no_gap_around_a_subscription");
    let dir = TempDir::new();
    let db = JsonDb::open(Config::new(dir.path())).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 0 }));
    let stop = AtomicBool::new(false);
    let version_of = |tx: &mut Transaction| tx.get("items", &key(0.0)).unwrap().unwrap().version;
    let now = || version_of(&mut db.begin(&["items"], Mode::ReadOnly).unwrap());
    std::thread::scope(|scope| {
        let _stops = SetOnDrop(&stop);
        for seed in [random.next(), random.next(), random.next()] {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                let mut random = Random::seeded(seed);
                while !stop.load(Ordering::SeqCst) {
                    let sync = if random.below(2) == 0 { SyncMode::Always } else { SyncMode::Never };
                    let count = |tx: &mut Transaction| tx.put("items", None, json(&j!({ "id": 0 })));
                    // Given up after many conflicts, it is tried again.
                    let _ = db.update(&["items"], Some(sync), count);
                }
            });
        }
        for _ in 0..150 {
            let before = now();
            let watch = watch(&db, WatchOptions { buffer: 1_000_000, ..WatchOptions::default() });
            let after = now();
            let mut last = None;
            while last.is_none_or(|last| last < after + 3) {
                let change = watch.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
                let Change::Put { version, .. } = &*change else { panic!("{change:?}") };
                match last {
                    // Nothing that was visible before, and nothing missing that is newer than what was read after.
                    None => assert!(before < *version && *version <= after + 1, "{before} {version} {after}"),
                    Some(last) => assert_eq!(*version, last + 1),
                }
                last = Some(*version);
            }
        }
    });
}

#[test]
fn what_the_disk_refuses_is_never_given_and_the_order_goes_on_behind_it() {
    let disk = SimFs::new();
    let config = Config { auto_background: false, ..Config::new("db") };
    let db = JsonDb::open_on(config, Arc::new(disk.clone())).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    let watch = watch(&db, WatchOptions::default());
    put(&db, j!({ "id": 1 }));

    disk.fail_at(disk.operations(), Fault::sticky(std::io::ErrorKind::Other));
    let failed = change(&db, |tx| tx.put("items", None, json(&j!({ "id": 2 }))));

    assert!(failed.is_err());
    assert_eq!(shown_all(&watch), ["items put 1 v1"]);
    disk.heal();
    assert_eq!(code(db.watch(WatchOptions::default())), Code::Poisoned);
}

#[test]
fn a_watch_ends_with_its_handle_and_no_other_does() {
    let dir = TempDir::new();
    let (first, second) =
        (JsonDb::open(Config::new(dir.path())).unwrap(), JsonDb::open(Config::new(dir.path())).unwrap());
    first.create_object_store("items", keyed_by("id")).unwrap();
    let (ends, goes_on) = (watch(&first, WatchOptions::default()), watch(&second, WatchOptions::default()));
    put(&first, j!({ "id": 1 }));
    let ended = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(ends.recv().unwrap().is_some());
            assert!(ends.recv().unwrap().is_none());
            ended.fetch_add(1, Ordering::SeqCst);
        });
        std::thread::sleep(Duration::from_millis(20));
        first.close().unwrap();
    });
    put(&second, j!({ "id": 2 }));

    assert_eq!(ended.load(Ordering::SeqCst), 1);
    assert_eq!(code(first.watch(WatchOptions::default())), Code::Closed);
    assert_eq!(shown_all(&goes_on), ["items put 1 v1", "items put 2 v1"]);
    assert!(goes_on.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
    drop(goes_on);
    second.close().unwrap();
}

#[test]
fn expiry_and_purging_are_no_changes_and_another_expiry_is_one() {
    let db = open_with_items();
    let watch = watch(&db, WatchOptions::default());
    let options = PutOptions { expires: Expires::After(1), ..PutOptions::default() };
    change(&db, |tx| tx.put_with("items", None, json(&j!({ "id": 1 })), options)).unwrap();
    put(&db, j!({ "id": 2 }));
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(db.purge_expired(None).unwrap(), 1);
    change(&db, |tx| tx.touch("items", &key(2.0), Expires::After(60_000))).unwrap();
    change(&db, |tx| tx.touch("items", &key(2.0), Expires::At(1))).unwrap();

    let changes = waiting(&watch);
    let all: Vec<String> = changes.iter().map(|change| shown(change)).collect();
    assert_eq!(all, ["items put 1 v1", "items put 2 v1", "items put 2 v1", "items delete 2"]);
    let expires_at = |change: &Change| match change {
        Change::Put { expires_at, updated_at, .. } => expires_at.saturating_sub(*updated_at),
        _ => panic!(),
    };
    assert_eq!((expires_at(&changes[0]), expires_at(&changes[1])), (1, 0));
    assert!(expires_at(&changes[2]) >= 60_000);
}

#[test]
fn a_watch_is_refused_where_it_could_never_be_right() {
    let db = open_with_items();
    let nowhere = WatchOptions { store: Some("nowhere".to_owned()), ..WatchOptions::default() };
    assert_eq!(code(db.watch(nowhere)), Code::NotFound);
    for buffer in [0, 1_000_001] {
        assert_eq!(code(db.watch(WatchOptions { buffer, ..WatchOptions::default() })), Code::InvalidArgument);
    }
}

#[test]
fn a_database_that_only_reads_can_be_watched_and_nothing_comes() {
    let dir = TempDir::new();
    drop(JsonDb::open(Config::new(dir.path())).unwrap());
    let db = JsonDb::open(Config { read_only: true, ..Config::new(dir.path()) }).unwrap();
    let watch = watch(&db, WatchOptions::default());

    assert!(watch.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
}
