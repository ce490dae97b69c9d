//! What the tests of the document layer share: short ways to open, write and read, and a random source with a seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flowdb::config::Config;
use flowdb::engine::Direction;
use flowdb::error::{Code, Result};
use flowdb::jsondb::{
    Document, Format, IndexOptions, JsonDb, Key, KeyPath, KeyRange, KeyValue, Mode, Page, PageLimits, Row,
    StoreOptions, Transaction,
};
use serde_json::Value;

/// A database in memory.
pub(crate) fn open() -> JsonDb {
    JsonDb::open(Config::in_memory()).unwrap()
}

/// A database in memory with one store called `items`, whose keys are at `id`.
pub(crate) fn open_with_items() -> JsonDb {
    let db = open();
    db.create_object_store("items", keyed_by("id")).unwrap();
    db
}

pub(crate) fn keyed_by(path: &str) -> StoreOptions {
    StoreOptions { key_path: Some(KeyPath::One(path.to_owned())), auto_increment: false }
}

pub(crate) fn out_of_line() -> StoreOptions {
    StoreOptions::default()
}

pub(crate) fn auto_increment(path: Option<&str>) -> StoreOptions {
    StoreOptions { key_path: path.map(|path| KeyPath::One(path.to_owned())), auto_increment: true }
}

pub(crate) fn index_on(path: &str) -> IndexOptions {
    IndexOptions { key_path: KeyPath::One(path.to_owned()), unique: false, multi_entry: false }
}

pub(crate) fn unique_on(path: &str) -> IndexOptions {
    IndexOptions { unique: true, ..index_on(path) }
}

pub(crate) fn multi_entry_on(path: &str) -> IndexOptions {
    IndexOptions { multi_entry: true, ..index_on(path) }
}

pub(crate) fn compound_on(paths: &[&str]) -> IndexOptions {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    IndexOptions { key_path: KeyPath::Many(paths), unique: false, multi_entry: false }
}

pub(crate) fn json(value: &Value) -> Document {
    Document { format: Format::Json, bytes: value.to_string().into_bytes() }
}

pub(crate) fn key(value: impl Into<KeyValue>) -> Key {
    Key::encode(&value.into()).unwrap()
}

pub(crate) fn all() -> KeyRange {
    KeyRange::all()
}

pub(crate) fn content(row: &Row) -> Value {
    assert_eq!(row.document.format, Format::Json);
    serde_json::from_slice(&row.document.bytes).unwrap()
}

/// Runs `change` in a transaction of its own on `items`.
pub(crate) fn change<T>(db: &JsonDb, change: impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
    db.update(&["items"], None, change)
}

pub(crate) fn put(db: &JsonDb, value: Value) {
    change(db, |tx| tx.put("items", None, json(&value))).unwrap();
}

pub(crate) fn get(db: &JsonDb, id: impl Into<KeyValue>) -> Option<Value> {
    let id = key(id);
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    tx.get("items", &id).unwrap().map(|row| content(&row))
}

pub(crate) fn code<T>(result: Result<T>) -> Code {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error.code(),
    }
}

pub(crate) fn limits(rows: usize) -> PageLimits {
    PageLimits { rows, bytes: usize::MAX, keys_only: false }
}

/// Every row of a range, read in pages of `rows`.
pub(crate) fn read_all(
    tx: &mut Transaction,
    index: Option<&str>,
    range: &KeyRange,
    direction: Direction,
    rows: usize,
) -> Vec<Row> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let Page { rows, next } =
            tx.page("items", index, range, direction, after.as_ref(), limits(rows)).unwrap();
        found.extend(rows);
        after = next;
        if after.is_none() {
            return found;
        }
    }
}

/// The ids of the documents of an index, in its order.
pub(crate) fn ids_by(db: &JsonDb, index: &str, range: &KeyRange) -> Vec<i64> {
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let rows = read_all(&mut tx, Some(index), range, Direction::Forward, 3);
    rows.iter().map(|row| content(row)["id"].as_i64().unwrap()).collect()
}

/// The documents of `items` by id.
pub(crate) fn documents(tx: &mut Transaction) -> BTreeMap<i64, Value> {
    let rows = read_all(tx, None, &all(), Direction::Forward, 50);
    rows.iter().map(|row| (content(row)["id"].as_i64().unwrap(), content(row))).collect()
}

/// Numbers that look random and come again with the same seed.
pub(crate) struct Random(u64);

impl Random {
    /// The seed of the environment, or one that differs from run to run; printed, so that a failure can be had again.
    pub(crate) fn from_env(test: &str) -> Self {
        let seed =
            std::env::var("FLOWDB_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
                now.as_nanos() as u64
            });
        println!("{test}: FLOWDB_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A directory that goes when the test ends.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("flowdb-jsondb-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
