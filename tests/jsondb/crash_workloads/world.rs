//! What a database with several stores, their indexes and keyspaces should hold, and what one is found to hold.

use std::collections::BTreeMap;
use std::ops::Bound;

use flowdb::engine::Direction;
use flowdb::jsondb::{IndexOptions, JsonDb, KeyValue, Mode, Page, PageLimits, Transaction};
use flowdb::keyspace::Keyspaces;
use serde_json::Value;

use crate::model::{self, Model};
use crate::support::{all, content, key};

pub(crate) const STORES: [&str; 3] = ["accounts", "items", "notes"];
pub(crate) const KEYSPACES: [&str; 3] = ["", "places", "times"];

/// Rows of a keyspace, by key.
pub(crate) type Bytes = BTreeMap<Vec<u8>, Vec<u8>>;

/// A document or value, and when it expires: 0 is never.
type Until<T> = (T, u64);

#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) documents: BTreeMap<i64, Until<Value>>,
    pub(crate) indexes: Vec<&'static str>,
}

#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) stores: BTreeMap<&'static str, Store>,
    pub(crate) keyspaces: BTreeMap<&'static str, BTreeMap<Vec<u8>, Until<Vec<u8>>>>,
}

/// What can be seen of a world at a time: documents and names of indexes by store, and rows by keyspace.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) stores: BTreeMap<String, (Model, Vec<String>)>,
    pub(crate) keyspaces: BTreeMap<String, Bytes>,
}

/// The definition of an index and the field that it is on.
pub(crate) fn definition(index: &str) -> (IndexOptions, &'static str) {
    let (_, options) = model::indexes().into_iter().find(|(name, _)| *name == index).unwrap();
    let field = match index {
        "by_n" => "n",
        "by_u" => "u",
        _ => "tags",
    };
    (options, field)
}

impl World {
    /// What should be seen of it. (A keyspace without rows can't be told from one that nobody has written to.)
    pub(crate) fn seen_at(&self, now: u64) -> Seen {
        let is_there = |until: u64| until == 0 || until > now;
        let stores = self.stores.iter().map(|(name, store)| {
            let documents = store.documents.iter().filter(|(_, (_, until))| is_there(*until));
            let documents = documents.map(|(id, (document, _))| (*id, document.clone())).collect();
            let mut indexes: Vec<String> = store.indexes.iter().map(|&name| name.to_owned()).collect();
            indexes.sort_unstable();
            ((*name).to_owned(), (documents, indexes))
        });
        let keyspaces = self.keyspaces.iter().filter_map(|(name, rows)| {
            let rows = rows.iter().filter(|(_, (_, until))| is_there(*until));
            let rows: Bytes = rows.map(|(key, (value, _))| (key.clone(), value.clone())).collect();
            (!rows.is_empty()).then(|| ((*name).to_owned(), rows))
        });
        Seen { stores: stores.collect(), keyspaces: keyspaces.collect() }
    }
}

/// Everything that `db` has. Counts and the entries of every index have to be those of the documents.
pub(crate) fn look(db: &JsonDb, context: &str) -> Seen {
    let mut seen = Seen::default();
    for store in db.schema() {
        let mut tx = db.begin(&[&store.name], Mode::ReadOnly).unwrap();
        let documents: Model = rows(&mut tx, &store.name, None)
            .iter()
            .map(|row| (content(row)["id"].as_i64().unwrap(), content(row)))
            .collect();
        assert_eq!(
            tx.count(&store.name, &all()).unwrap(),
            documents.len() as u64,
            "{context}: {}",
            store.name
        );
        let indexes: Vec<String> = store.indexes.iter().map(|index| index.name.clone()).collect();
        for index in &indexes {
            let expected: Vec<_> = model::entries(&documents, definition(index).1)
                .into_iter()
                .map(|(value, id)| (Some(key(value as f64)), key(id as f64)))
                .collect();
            let found: Vec<_> = rows(&mut tx, &store.name, Some(index))
                .into_iter()
                .map(|row| (row.index_key, row.key))
                .collect();
            assert_eq!(found, expected, "{context}: {} of {}", index, store.name);
            let count = tx.count_by_index(&store.name, index, &all()).unwrap();
            assert_eq!(count, expected.len() as u64, "{context}: {} of {}", index, store.name);
        }
        seen.stores.insert(store.name, (documents, indexes));
    }
    let keyspaces = Keyspaces::new(db.engine().clone());
    for name in KEYSPACES {
        let Some(keyspace) = keyspaces.find(name).unwrap() else { continue };
        let mut found = Bytes::new();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let mut scan = keyspace.scan(everything, Direction::Forward, None).unwrap();
        while scan.advance().unwrap() {
            found.insert(scan.row().key.to_vec(), scan.row().value.to_vec());
        }
        if !found.is_empty() {
            seen.keyspaces.insert(name.to_owned(), found);
        }
    }
    seen
}

fn rows(tx: &mut Transaction, store: &str, index: Option<&str>) -> Vec<flowdb::jsondb::Row> {
    let limits = PageLimits { rows: 1_000, bytes: usize::MAX, keys_only: false };
    let Page { rows, next } = tx.page(store, index, &all(), Direction::Forward, None, limits).unwrap();
    assert!(next.is_none(), "a workload with more rows than a page");
    rows
}

/// The key of a document.
pub(crate) fn id_of(id: i64) -> flowdb::jsondb::Key {
    key(KeyValue::from(id as f64))
}
