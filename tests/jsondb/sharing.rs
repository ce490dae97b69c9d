//! Several openers of one directory in one process, and databases on the disk.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use flowdb::config::{Config, SyncMode};
use flowdb::error::Code;
use flowdb::jsondb::{JsonDb, Mode};
use serde_json::json as j;

use crate::support::{
    TempDir, all, change, code, get, ids_by, index_on, json, key, keyed_by, out_of_line, put,
};

fn open(dir: &TempDir) -> JsonDb {
    JsonDb::open(Config::new(dir.path())).unwrap()
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let dir = TempDir::new();
    {
        let db = open(&dir);
        db.create_object_store("items", keyed_by("id")).unwrap();
        db.create_index("items", "by_n", index_on("n")).unwrap();
        (0..20).for_each(|id| put(&db, j!({ "id": id, "n": 20 - id })));
        change(&db, |tx| tx.delete("items", &key(7.0))).unwrap();
        // Not closed: dropping the last handle does that.
    }

    let db = open(&dir);

    assert_eq!(db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 19);
    assert_eq!(ids_by(&db, "by_n", &all()).len(), 19);
    assert_eq!(get(&db, 3.0), Some(j!({ "id": 3, "n": 17 })));
    put(&db, j!({ "id": 3, "n": 17 }));
    let row = db.begin(&["items"], Mode::ReadOnly).unwrap().get("items", &key(3.0)).unwrap().unwrap();
    assert_eq!(row.version, 2);
    db.create_object_store("more", out_of_line()).unwrap();
    assert_eq!(db.schema().len(), 2);
}

#[test]
fn openers_of_one_directory_share_one_database() {
    let dir = TempDir::new();
    let first = open(&dir);
    let by_another_path = dir.path().join("..").join(dir.path().file_name().unwrap());
    let second = JsonDb::open(Config::new(by_another_path)).unwrap();

    first.create_object_store("items", keyed_by("id")).unwrap();
    put(&second, j!({ "id": 1 }));
    assert_eq!(get(&first, 1.0), Some(j!({ "id": 1 })));

    // One that closes takes nothing from the other.
    first.close().unwrap();
    assert_eq!(code(first.begin(&["items"], Mode::ReadOnly)), Code::Closed);
    put(&second, j!({ "id": 2 }));
    drop(first);
    put(&second, j!({ "id": 3 }));
    second.close().unwrap();
    assert_eq!(open(&dir).begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 3);
}

#[test]
fn a_later_opener_must_want_the_same_durability() {
    let dir = TempDir::new();
    let _first = open(&dir);

    let other = JsonDb::open(Config { wal_sync_mode: SyncMode::Never, ..Config::new(dir.path()) });

    assert_eq!(code(other), Code::InvalidArgument);
    JsonDb::open(Config { block_size: 8 << 10, ..Config::new(dir.path()) }).unwrap();
}

#[test]
fn a_directory_that_is_missing_is_created_only_if_asked() {
    let dir = TempDir::new();
    let missing = dir.path().join("a").join("b");

    let refused = JsonDb::open(Config { create_if_missing: false, ..Config::new(&missing) });
    assert_eq!(code(refused), Code::NotFound);
    assert!(!missing.exists());
    drop(JsonDb::open(Config::new(&missing)).unwrap());
    drop(JsonDb::open(Config { create_if_missing: false, ..Config::new(&missing) }).unwrap());
}

#[test]
fn databases_in_memory_are_not_shared() {
    let (a, b) = (crate::support::open(), crate::support::open());
    a.create_object_store("items", out_of_line()).unwrap();
    assert!(b.schema().is_empty());
}

#[test]
fn threads_that_open_and_close_at_once_never_find_the_directory_locked() {
    let dir = TempDir::new();
    let barrier = Barrier::new(4);

    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (dir, barrier) = (&dir, &barrier);
            scope.spawn(move || {
                for round in 0..15 {
                    barrier.wait();
                    let db = open(dir);
                    db.create_object_store("items", keyed_by("id")).unwrap();
                    change(&db, |tx| tx.put("items", None, json(&j!({ "id": [thread, round] })))).unwrap();
                    if round % 2 == 0 {
                        db.close().unwrap();
                    }
                }
            });
        }
    });

    assert_eq!(open(&dir).begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap(), 60);
}

/// On a disk a commit is checked well before it is visible: what a reader knows of the schema is as old as what it sees.
#[test]
fn readers_see_a_store_whole_or_not_at_all_while_it_comes_and_goes() {
    let dir = TempDir::new();
    let db = open(&dir);
    let done = AtomicBool::new(false);

    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    match db.begin(&["items"], Mode::ReadOnly) {
                        Ok(mut tx) => assert_eq!(tx.count("items", &all()).unwrap(), 0),
                        Err(error) => assert_eq!(error.code(), Code::NotFound, "{error}"),
                    }
                }
            });
        }
        for _ in 0..60 {
            db.create_object_store("items", keyed_by("id")).unwrap();
            db.delete_object_store("items").unwrap();
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_database_that_is_only_read_refuses_writes_at_once_and_changes_no_file() {
    let dir = TempDir::new();
    let db = open(&dir);
    db.create_object_store("items", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 1 }));
    db.close().unwrap();
    let contents = || {
        let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect();
        files.sort();
        files
    };
    let before = contents();
    let to_read = || Config { read_only: true, ..Config::new(dir.path()) };

    let reader = JsonDb::open(to_read()).unwrap();
    let other = JsonDb::open(Config { wal_sync_mode: SyncMode::Never, ..to_read() }).unwrap();
    assert_eq!(get(&reader, 1.0), Some(j!({ "id": 1 })));
    assert_eq!(get(&other, 1.0), Some(j!({ "id": 1 })));
    reader.create_object_store("items", keyed_by("id")).unwrap();
    assert_eq!(code(reader.create_object_store("more", keyed_by("id"))), Code::ReadOnly);
    assert_eq!(code(reader.create_index("items", "by_n", index_on("n"))), Code::ReadOnly);
    assert_eq!(code(reader.delete_object_store("items")), Code::ReadOnly);
    assert_eq!(code(reader.begin(&["items"], Mode::ReadWrite)), Code::ReadOnly);
    assert_eq!(code(change(&reader, |tx| tx.delete("items", &key(1.0)))), Code::ReadOnly);
    assert_eq!(reader.schema().len(), 1);
    assert_eq!(code(JsonDb::open(Config::new(dir.path()))), Code::InvalidArgument);
    reader.close().unwrap();
    other.close().unwrap();
    assert!(contents() == before);

    let writer = open(&dir);
    assert_eq!(code(JsonDb::open(to_read())), Code::InvalidArgument);
    put(&writer, j!({ "id": 2 }));
}

#[test]
fn a_database_that_is_only_read_must_be_there() {
    let dir = TempDir::new();
    for missing in [dir.path().join("db"), dir.path().to_path_buf()] {
        let config = Config { read_only: true, ..Config::new(missing) };
        assert_eq!(code(JsonDb::open(config)), Code::NotFound);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
