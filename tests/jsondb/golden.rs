//! The rows on disk: that they stay as `docs/format/documents.md` shows them, and that damaged ones are refused.

use std::ops::Bound;
use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::{Code, Result};
use flowdb::fs::SimFs;
use flowdb::jsondb::{Condition, Document, Expires, Format, JsonDb, Mode, Order, PutOptions, QueryBuilder};
use serde_json::json as j;

use crate::support::{
    all, auto_increment, compound_on, content, index_on, json, key, keyed_by, limits, multi_entry_on,
    out_of_line, unique_on,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/documents.txt");

/// The same from before indexes listed the documents that they have no entry for.
const GOLDEN_V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/documents-v1.txt");

/// Those of FlashStore: its own entries and those of namespaces, in every format.
const GOLDEN_FLASH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/documents-flash.txt");

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn config() -> Config {
    Config {
        clock: Arc::new(ManualClock::new(1_700_000_000_000)),
        auto_background: false,
        ..Config::new("db")
    }
}

/// A database with every kind of row.
fn make(db: &JsonDb) -> Result<()> {
    db.create_object_store("people", keyed_by("id"))?;
    db.create_index("people", "by_city", index_on("city"))?;
    db.create_index("people", "by_mail", unique_on("mail"))?;
    db.create_object_store("notes", auto_increment(None))?;
    db.create_object_store("gone", out_of_line())?;
    db.delete_object_store("gone")?;
    db.create_object_store("tagged", auto_increment(Some("meta.id")))?;
    db.create_index("tagged", "by_tag", multi_entry_on("tags"))?;
    db.create_index("tagged", "by_both", compound_on(&["a", "b"]))?;
    db.update(&["people", "notes", "tagged"], None, |tx| {
        tx.put("people", None, json(&j!({ "id": 1, "city": "Ulm", "mail": "a@b" })))?;
        tx.put("people", None, json(&j!({ "id": 2, "city": "Ulm" })))?;
        tx.put("notes", None, Document { format: Format::Raw, bytes: vec![0, 1, 2] })?;
        tx.put("notes", Some(key("x")), Document { format: Format::Structured, bytes: vec![0xff, 0x0f] })?;
        tx.put("tagged", None, json(&j!({ "tags": ["p", 7], "a": true, "b": null })))
    })?;
    db.update(&["people"], None, |tx| tx.put("people", None, json(&j!({ "id": 2, "city": "Jena" }))))
        .map(drop)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn rows_of(engine: &Engine) -> Rows {
    let range = ScanRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let mut scan = engine.scan(range, Direction::Forward, None).unwrap();
    let mut rows = Rows::new();
    while scan.advance().unwrap() {
        rows.push((scan.key().to_vec(), scan.value().to_vec()));
    }
    rows
}

fn golden_rows() -> Rows {
    rows_in(GOLDEN)
}

fn rows_in(path: &str) -> Rows {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(" = ").unwrap()).map(|(key, value)| (unhex(key), unhex(value))).collect()
}

/// A disk with a database that holds these rows.
fn disk_with(rows: &Rows) -> SimFs {
    let disk = SimFs::new();
    let engine = Engine::open_on(config(), Arc::new(disk.clone())).unwrap();
    let mut batch = WriteBatch::new();
    rows.iter().for_each(|(key, value)| batch.put(key, value).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.close().unwrap();
    disk
}

#[test]
fn the_rows_are_written_as_ever() {
    let db = JsonDb::open_on(config(), Arc::new(SimFs::new())).unwrap();
    make(&db).unwrap();
    assert_written(&db, GOLDEN);
}

fn assert_written(db: &JsonDb, golden: &str) {
    let text_of = |rows: Rows| -> String {
        rows.iter().map(|(key, value)| format!("{} = {}\n", hex(key), hex(value))).collect()
    };
    assert_eq!(
        text_of(rows_of(db.engine())),
        text_of(rows_in(golden)),
        "the format of the rows has changed: it needs a new version, or it breaks databases"
    );
}

/// What FlashStore writes of each `valueEncoding`.
fn flash_documents() -> [Document; 4] {
    let document = |format, bytes: &[u8]| Document { format, bytes: bytes.to_vec() };
    [
        document(Format::Json, b"{\"a\":1}"),
        document(Format::Structured, &[0xff, 0x0f, b'_']),
        document(Format::Raw, &[0, 0xff]),
        document(Format::Text, "f\u{fc}r".as_bytes()),
    ]
}

#[test]
fn the_rows_of_namespaces_and_of_every_format_are_written_as_ever() {
    let db = JsonDb::open_on(config(), Arc::new(SimFs::new())).unwrap();
    db.declare_stores("flash").unwrap();
    for store in ["flash", "flash/users/a%002fb"] {
        db.update(&[store], None, |tx| {
            flash_documents()
                .into_iter()
                .zip([1.0, 2.0, 3.0, 4.0])
                .try_for_each(|(document, number)| tx.put(store, Some(key(number)), document).map(drop))
        })
        .unwrap();
    }
    assert_written(&db, GOLDEN_FLASH);
}

#[test]
fn the_rows_of_namespaces_and_of_every_format_are_read() {
    let db = JsonDb::open_on(config(), Arc::new(disk_with(&rows_in(GOLDEN_FLASH)))).unwrap();
    db.declare_stores("flash").unwrap();
    assert_eq!(db.store_names_within("flash").unwrap(), ["users"]);
    for store in ["flash", "flash/users/a%002fb"] {
        let mut tx = db.begin(&[store], Mode::ReadOnly).unwrap();
        let keys = [1.0, 2.0, 3.0, 4.0].map(key);
        let documents = tx.get_many(store, &keys).unwrap().into_iter().map(|row| row.unwrap().document);
        assert_eq!(documents.collect::<Vec<_>>(), flash_documents());
        assert_eq!(tx.count(store, &all()).unwrap(), 4);
    }
}

#[test]
fn rows_of_old_are_read() {
    for path in [GOLDEN_V1, GOLDEN] {
        rows_are_read(&rows_in(path));
    }
}

fn rows_are_read(rows: &Rows) {
    let db = JsonDb::open_on(config(), Arc::new(disk_with(rows))).unwrap();

    let mut tx = db.begin(&["people", "notes", "tagged"], Mode::ReadOnly).unwrap();
    let row = tx.get("people", &key(2.0)).unwrap().unwrap();
    assert_eq!(
        (content(&row), row.version, row.updated_at),
        (j!({ "id": 2, "city": "Jena" }), 2, 1_700_000_000_000)
    );
    let row = tx.get("notes", &key("x")).unwrap().unwrap();
    assert_eq!(row.document, Document { format: Format::Structured, bytes: vec![0xff, 0x0f] });
    for (store, index, count) in [
        ("people", "by_city", 2),
        ("people", "by_mail", 1),
        ("tagged", "by_tag", 2),
        ("tagged", "by_both", 1),
    ] {
        assert_eq!(tx.count_by_index(store, index, &all()).unwrap(), count);
    }
    let added = db.update(&["tagged"], None, |tx| tx.add("tagged", None, json(&j!({})))).unwrap();
    assert_eq!(added, key(2.0));
}

/// An upgrade leaves indexes of old as they are: their definition says that they list no gaps, beside one that does.
#[test]
fn an_upgrade_of_old_rows_leaves_indexes_of_old_without_gaps() {
    let disk = disk_with(&rows_in(GOLDEN_V1));
    let db = JsonDb::open_on(config(), Arc::new(disk.clone())).unwrap();
    db.upgrade(1, None, |tx, _| {
        tx.create_index("people", "by_size", index_on("size"))?;
        tx.put("people", None, json(&j!({ "id": 3 }))).map(drop)
    })
    .unwrap();
    db.close().unwrap();

    let db = JsonDb::open_on(config(), Arc::new(disk)).unwrap();
    let mut tx = db.begin(&["people"], Mode::ReadOnly).unwrap();
    for (path, sorted) in [("city", true), ("size", false)] {
        let query = QueryBuilder::new("people").order_by(path, Order::Ascending).build().unwrap();
        assert_eq!(query.keys(&mut tx).unwrap().len(), 3, "{path}");
        assert_eq!(query.explain(&mut tx).unwrap().sorted, sorted, "{path}");
    }
    let rows = rows_of(db.engine());
    let gaps = rows.iter().filter(|(row, _)| row.starts_with(&[4, 1]) && row[3] == 0xff);
    assert_eq!(gaps.map(|(row, _)| row[2]).collect::<Vec<_>>(), [9, 9, 9], "those of the new index");
}

/// An index from before then has to serve where it can, and must not where documents would be missing.
#[test]
fn queries_find_what_indexes_of_old_do_not_lead_to() {
    let db = JsonDb::open_on(config(), Arc::new(disk_with(&rows_in(GOLDEN_V1)))).unwrap();
    db.create_index("people", "by_id_city", compound_on(&["id", "city"])).unwrap();
    let mut tx = db.begin(&["people"], Mode::ReadOnly).unwrap();
    let mut run = |query: QueryBuilder| {
        let query = query.build().unwrap();
        (query.keys(&mut tx).unwrap(), query.explain(&mut tx).unwrap().indexes)
    };
    let people = || QueryBuilder::new("people");
    let none: [&str; 0] = [];
    let (keys, indexes) = run(people().order_by("mail", Order::Descending));
    assert_eq!((keys, &indexes[..]), (vec![key(1.0), key(2.0)], &none.map(str::to_owned)[..]));
    let (keys, indexes) = run(people().filter("mail", Condition::Equals(key("a@b"))));
    assert_eq!((keys, &indexes[..]), (vec![key(1.0)], &["by_mail".to_owned()][..]));
}

/// Reads everything there is.
fn read_everything(disk: &SimFs) -> Result<()> {
    let db = JsonDb::open_on(config(), Arc::new(disk.clone()))?;
    for store in db.schema() {
        let mut tx = db.begin(&[&store.name], Mode::ReadWrite)?;
        tx.count(&store.name, &all())?;
        for path in store.indexes.iter().flat_map(|index| index.key_path.parts()) {
            let query = QueryBuilder::new(&store.name).order_by(path, Order::Ascending);
            query.build()?.rows(&mut tx)?;
        }
        let indexes = store.indexes.iter().map(|index| Some(index.name.as_str()));
        for index in indexes.chain([None]) {
            for direction in [Direction::Forward, Direction::Reverse] {
                tx.page(&store.name, index, &all(), direction, None, limits(100))?;
            }
        }
    }
    Ok(())
}

#[test]
fn damaged_rows_are_corruption_or_another_valid_row_and_never_a_panic() {
    let golden = golden_rows();
    let mut refused = 0;
    for (at, (key, value)) in golden.iter().enumerate() {
        for position in 0..key.len() + value.len() {
            for bits in [0x01, 0x40, 0xff] {
                let mut rows = golden.clone();
                let row = &mut rows[at];
                match position.checked_sub(key.len()) {
                    None => row.0[position] ^= bits,
                    Some(position) => row.1[position] ^= bits,
                }
                if let Err(error) = read_everything(&disk_with(&rows)) {
                    refused += 1;
                    assert!(
                        matches!(error.code(), Code::Corruption | Code::Version),
                        "row {}, position {position}: {error:?}",
                        hex(key)
                    );
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn rows_that_are_cut_or_missing_are_seen() {
    let golden = golden_rows();
    for (at, (key, value)) in golden.iter().enumerate() {
        for len in 0..value.len() {
            let mut rows = golden.clone();
            rows[at].1.truncate(len);
            if let Err(error) = read_everything(&disk_with(&rows)) {
                assert!(matches!(error.code(), Code::Corruption), "row {}: {error:?}", hex(key));
            }
        }
        let mut rows = golden.clone();
        rows.remove(at);
        // A document without its index rows can only be seen by comparing them all.
        let is_index_or_unindexed = matches!(key[0], 1 | 4) || key.starts_with(&[3, 4]);
        let result = read_everything(&disk_with(&rows));
        assert!(result.is_err() || is_index_or_unindexed, "row {} is missing", hex(key));
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let mut rows = golden_rows();
    rows[0].1[0] = 3;
    assert_eq!(read_everything(&disk_with(&rows)).unwrap_err().code(), Code::Version);
    let mut rows = golden_rows();
    rows[1].1[0] = 3;
    assert_eq!(read_everything(&disk_with(&rows)).unwrap_err().code(), Code::Version);
}

const GOLDEN_EXPIRY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/documents-expiry.txt");

/// Rows with their expiry in the engine, each a line; the first row is the meta row.
fn rows_with_expiry(engine: &Engine) -> String {
    let range = ScanRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let mut scan = engine.scan(range, Direction::Forward, None).unwrap();
    let mut text = String::new();
    while scan.advance().unwrap() {
        text += &format!("{} = {} until {}\n", hex(scan.key()), hex(scan.value()), scan.expires_at());
    }
    text
}

/// Documents that expire: the format's version goes up with the first of them, and with it alone.
fn make_expiring(db: &JsonDb) -> Result<()> {
    db.create_object_store("sessions", keyed_by("id"))?;
    db.create_index("sessions", "by_user", unique_on("user"))?;
    db.update(&["sessions"], None, |tx| tx.put("sessions", None, json(&j!({ "id": 1, "user": "a" }))))?;
    assert!(rows_with_expiry(db.engine()).starts_with("00 = 0103 "), "nothing expires yet");
    let options = PutOptions { expires: Expires::After(60_000), ..PutOptions::default() };
    db.update(&["sessions"], None, |tx| {
        tx.put_with("sessions", None, json(&j!({ "id": 2, "user": "b" })), options)
    })?;
    db.create_object_store_with_ttl("hourly", out_of_line(), 3_600_000)?;
    db.update(&["hourly"], None, |tx| tx.put("hourly", Some(key("k")), json(&j!(true)))).map(drop)
}

#[test]
fn rows_that_expire_are_written_as_ever_and_read() {
    let disk = SimFs::new();
    let db = JsonDb::open_on(config(), Arc::new(disk.clone())).unwrap();
    make_expiring(&db).unwrap();
    let golden = std::fs::read_to_string(GOLDEN_EXPIRY).unwrap();
    let lines = golden.lines().filter(|line| !line.starts_with('#'));
    let expected: String = lines.clone().map(|line| format!("{line}\n")).collect();
    assert_eq!(rows_with_expiry(db.engine()), expected, "the format of rows that expire has changed");

    let disk = SimFs::new();
    let engine = Engine::open_on(config(), Arc::new(disk.clone())).unwrap();
    let mut batch = WriteBatch::new();
    for line in lines {
        let (row, expires_at) = line.split_once(" until ").unwrap();
        let (key, value) = row.split_once(" = ").unwrap();
        batch.put_expiring(&unhex(key), &unhex(value), expires_at.parse().unwrap()).unwrap();
    }
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.close().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_060_000));
    let db = JsonDb::open_on(Config { clock, ..config() }, Arc::new(disk)).unwrap();
    let mut tx = db.begin(&["sessions", "hourly"], Mode::ReadOnly).unwrap();
    assert_eq!((tx.count("sessions", &all()).unwrap(), tx.count("hourly", &all()).unwrap()), (1, 1));
    assert_eq!(db.schema()[0].default_ttl_ms, 3_600_000);
    assert_eq!(db.purge_expired(None).unwrap(), 1);
}
