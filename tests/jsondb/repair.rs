//! After a repair documents, indexes and counts agree, whatever rows were lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Direction, ScanRange, WriteBatch};
use flowdb::fs::{FileSystem, SimFs};
use flowdb::jsondb::{DocumentsReport, JsonDb, Mode, repair_documents_on};
use flowdb::keyspace::{Batch, Keyspaces};
use flowdb::series::{Record, SeriesDb};

use crate::model::{Model, assert_matches, create_indexes, step};
use crate::support::{Random, all, auto_increment, documents, json, key, keyed_by};

fn config() -> Config {
    Config {
        memtable_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        level_size_bytes: 16 << 10,
        block_size: 256,
        auto_background: false,
        ..Config::new("/db")
    }
}

fn open(disk: &SimFs) -> JsonDb {
    JsonDb::open_on(config(), Arc::new(disk.clone())).unwrap()
}

fn repaired(disk: &SimFs) -> DocumentsReport {
    repair_documents_on(&config(), Arc::new(disk.clone())).unwrap()
}

/// A database of random documents in several tables.
fn make(random: &mut Random) -> (SimFs, Model) {
    let disk = SimFs::in_memory();
    let db = open(&disk);
    db.create_object_store("items", keyed_by("id")).unwrap();
    create_indexes(&db);
    let mut model = Model::new();
    for _ in 0..30 {
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        for _ in 0..12 {
            step(&mut tx, &mut model, random, 80).unwrap();
        }
        tx.commit(None).unwrap();
        db.engine().flush().unwrap();
        while random.below(4) == 0 && db.engine().run_pending().unwrap() {}
    }
    db.close().unwrap();
    (disk, model)
}

/// Everything that can be read agrees, and can be written.
fn assert_agrees(disk: &SimFs, report: &DocumentsReport) -> Option<Model> {
    let db = open(disk);
    db.engine().verify().unwrap();
    if report.stores == 0 {
        return None;
    }
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let found = documents(&mut tx);
    assert_eq!(tx.count("items", &all()).unwrap(), found.len() as u64);
    assert_eq!(report.documents, found.len() as u64);
    if report.unique_conflicts == 0 && db.schema()[0].indexes.len() == 3 {
        assert_matches(&mut tx, &found, 7);
    }
    drop(tx);
    db.create_object_store("new", auto_increment(None)).unwrap();
    db.close().unwrap();
    Some(found)
}

#[test]
fn whatever_tables_are_damaged_indexes_and_counts_are_those_of_the_documents_that_are_left() {
    let mut random = Random::from_env("whatever_tables_are_damaged");
    let (mut with_loss, mut with_work) = (0, 0);
    for _ in 0..60 {
        let (disk, model) = make(&mut random);
        let tables: Vec<PathBuf> = disk
            .files()
            .into_iter()
            .filter(|path| path.extension().is_some_and(|name| name == "tbl"))
            .collect();
        for _ in 0..1 + random.below(3) {
            let path = &tables[random.below(tables.len() as u64) as usize];
            let Some(mut bytes) = disk.read_file(path) else { continue };
            if random.below(3) == 0 && disk.exists(path).unwrap() {
                disk.remove(path).unwrap();
                continue;
            }
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
            disk.write_file(path, &bytes);
        }

        let report = repaired(&disk);

        let found = assert_agrees(&disk, &report);
        with_loss += u32::from(found.is_none_or(|found| found != model));
        with_work += u32::from(report.index_rows_added + report.index_rows_removed > 0);
        let again = repaired(&disk);
        assert_eq!((again.index_rows_added, again.index_rows_removed), (0, 0));
        assert!(again.files.is_lossless());
    }
    assert!(with_loss > 5 && with_work > 5, "{with_loss} lost something, {with_work} had rows to put right");
}

#[test]
fn a_database_that_is_whole_stays_as_it_was() {
    let mut random = Random::from_env("a_database_that_is_whole_stays_as_it_was");
    let (disk, model) = make(&mut random);

    let report = repaired(&disk);

    assert_eq!(assert_agrees(&disk, &report), Some(model));
    assert_eq!((report.stores, report.index_rows_added, report.index_rows_removed), (1, 0, 0));
}

/// Without its meta and state rows a database could not be opened, and would give ids and keys again.
#[test]
fn lost_counts_generators_and_ids_are_made_anew() {
    let disk = SimFs::in_memory();
    let db = open(&disk);
    db.create_object_store("items", auto_increment(Some("id"))).unwrap();
    db.update(&["items"], None, |tx| {
        (0..5).try_for_each(|_| tx.put("items", None, json(&serde_json::json!({}))).map(|_| ()))
    })
    .unwrap();
    let mut batch = WriteBatch::new();
    batch.delete(&[0]).unwrap();
    batch.delete_range(&[2], &[3]).unwrap();
    db.engine().commit(batch, CommitOptions::default()).unwrap();
    db.engine().flush().unwrap();
    drop(db);

    let report = repaired(&disk);

    assert_eq!((report.stores, report.documents), (1, 5));
    let db = open(&disk);
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    assert_eq!(tx.count("items", &all()).unwrap(), 5);
    let given = tx.put("items", None, json(&serde_json::json!({}))).unwrap();
    assert_eq!(given, key(6.0), "no key is given twice");
    tx.commit(None).unwrap();
    db.create_object_store("more", keyed_by("id")).unwrap();
    let mut tx = db.begin(&["more"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count("more", &all()).unwrap(), 0, "no id is given twice");
}

/// The documents of a store that is not in the catalog any more don't show up in one that is created later.
#[test]
fn the_ids_of_lost_stores_are_not_given_again() {
    let disk = SimFs::in_memory();
    let db = open(&disk);
    db.create_object_store("items", keyed_by("id")).unwrap();
    create_indexes(&db);
    db.update(&["items"], None, |tx| {
        tx.put("items", None, json(&serde_json::json!({ "id": 1, "n": 1 }))).map(|_| ())
    })
    .unwrap();
    let mut batch = WriteBatch::new();
    batch.delete_range(&[0], &[3]).unwrap();
    db.engine().commit(batch, CommitOptions::default()).unwrap();
    db.engine().flush().unwrap();
    drop(db);

    let report = repaired(&disk);

    assert_eq!(report.stores, 0);
    let db = open(&disk);
    db.create_object_store("items", keyed_by("id")).unwrap();
    create_indexes(&db);
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_matches(&mut tx, &Model::new(), 3);
}

/// Adapters keep their entries in keyspaces, beside documents.
#[test]
fn keyspaces_are_found_by_their_names_and_no_number_is_given_twice_whatever_rows_of_their_catalog_are_lost() {
    let losses: [(&[&[u8]], u64); 3] =
        [(&[b"\x08"], 0), (&[b"\x08b"], 1), (&[b"\x08", b"\x08a", b"\x08b"], 2)];
    for (lost, nameless) in losses {
        let disk = SimFs::in_memory();
        let db = open(&disk);
        for name in ["a", "b"] {
            let keyspace = Keyspaces::new(db.engine().clone()).open(name).unwrap();
            let mut batch = Batch::new(db.engine());
            batch.put(&keyspace, b"key", name.as_bytes(), None).unwrap();
            db.engine().commit(batch.into_writes(), CommitOptions::default()).unwrap();
        }
        let mut batch = WriteBatch::new();
        lost.iter().for_each(|row| batch.delete(row).unwrap());
        db.engine().commit(batch, CommitOptions::default()).unwrap();
        db.engine().flush().unwrap();
        drop(db);

        let report = repaired(&disk);

        assert_eq!((report.keyspaces, report.keyspaces_lost), (2 - nameless, nameless), "{lost:?}");
        let db = open(&disk);
        let next = db.engine().get(b"\x08", None).unwrap().unwrap();
        assert_eq!(next.bytes[..], [1, 3], "the next number is above those of all entries, {lost:?}");
        let all = Keyspaces::new(db.engine().clone());
        let value = |name: &str| all.open(name).unwrap().get_with(b"key", None, |value| value.bytes.to_vec());
        for name in ["a", "b", "new"] {
            let is_lost = name == "new" || lost.contains(&format!("\x08{name}").as_bytes());
            assert_eq!(value(name).unwrap(), (!is_lost).then(|| name.as_bytes().to_vec()), "{lost:?}");
        }
    }
}

#[test]
fn series_are_found_by_their_names_and_no_id_is_given_twice_whatever_rows_of_their_catalog_are_lost() {
    let losses: [(&[&[u8]], u64); 3] =
        [(&[b"\x05"], 0), (&[b"\x05b"], 1), (&[b"\x05", b"\x05a", b"\x05b"], 2)];
    for (lost, undefined) in losses {
        let disk = SimFs::in_memory();
        let db = open(&disk);
        let all = SeriesDb::new(db.engine().clone());
        for name in ["a", "b"] {
            all.open_or_create(name).unwrap().write_batch(&[Record::new("key", 7, name)]).unwrap();
        }
        let mut batch = WriteBatch::new();
        lost.iter().for_each(|row| batch.delete(row).unwrap());
        db.engine().commit(batch, CommitOptions::default()).unwrap();
        db.engine().flush().unwrap();
        drop((all, db));

        let report = repaired(&disk);

        assert_eq!((report.series, report.series_lost), (2 - undefined, undefined), "{lost:?}");
        let db = open(&disk);
        let next = db.engine().get(b"\x05", None).unwrap().unwrap();
        assert_eq!(next.bytes[..], [1, 3], "the next id is above those of all records, {lost:?}");
        let all = SeriesDb::new(db.engine().clone());
        let value = |name: &str| all.open_or_create(name)?.get("key", 7, None);
        for name in ["a", "b", "new"] {
            let is_lost = name == "new" || lost.contains(&format!("\x05{name}").as_bytes());
            let found = value(name).unwrap().map(|record| record.value);
            assert_eq!(found, (!is_lost).then(|| name.as_bytes().to_vec()), "{lost:?}");
        }
    }
}

#[test]
fn index_rows_come_back_and_those_of_no_document_go() {
    let disk = SimFs::in_memory();
    let db = open(&disk);
    db.create_object_store("items", keyed_by("id")).unwrap();
    create_indexes(&db);
    db.update(&["items"], None, |tx| {
        (0..6).try_for_each(|id| {
            let document = serde_json::json!({ "id": id, "n": id % 2, "u": id, "tags": [1, 2] });
            tx.put("items", None, json(&document)).map(|_| ())
        })
    })
    .unwrap();
    let rows = |first: u8| {
        let range = ScanRange::between(vec![first], vec![first + 1]);
        let mut scan = db.engine().scan(range, Direction::Forward, None).unwrap();
        let mut rows = Vec::new();
        while scan.advance().unwrap() {
            rows.push(scan.key().to_vec());
        }
        rows
    };
    let mut batch = WriteBatch::new();
    // The document 0, and every fifth row of an index.
    batch.delete(&rows(3)[0]).unwrap();
    rows(4).iter().step_by(5).for_each(|row| batch.delete(row).unwrap());
    db.engine().commit(batch, CommitOptions::default()).unwrap();
    db.engine().flush().unwrap();
    drop(db);

    let report = repaired(&disk);

    assert!(report.index_rows_added > 0 && report.index_rows_removed > 0, "{report:?}");
    assert_eq!(assert_agrees(&disk, &report).unwrap().len(), 5);
    assert!(disk.exists(Path::new("/db/CURRENT")).unwrap());
}
