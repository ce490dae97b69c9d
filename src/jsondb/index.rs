//! The rows that a document has in its store's indexes, and what changes in them when the document does.
//!
//! Invariant: for every document and every index that is not being built, exactly the rows of [`rows_of`] exist.
//! Documents that are not JSON, and documents whose value at the index's path can't be a key, have no entry. Unless the
//! index is multi-entry, they are listed in its gaps instead, so that a query knows what an index does not lead to.
#![forbid(unsafe_code)]

use super::document::Extracted;
use super::key::Key;
use super::overlay::{Overlay, Value};
use super::rows::{Gap, RowKey, decode_key, gap_key, index_prefix, index_prefix_with_room};
use super::schema::{IndexDef, StoreDef};
use super::view::View;
use super::{Document, Format};
use crate::error::{Code, Error, Result};

/// A row of an index, and the value that it has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IndexRow {
    pub(crate) row: RowKey,
    pub(crate) value: Vec<u8>,
    /// Which of the store's indexes it belongs to.
    position: usize,
    /// It lists the document as one without an entry.
    is_gap: bool,
}

/// What a document has at a store's key path and at those of its indexes.
pub(crate) struct DocumentKeys {
    /// In the order of the store's extractor; empty for a document that is not JSON.
    found: Vec<Extracted>,
}

impl DocumentKeys {
    /// Reads what the store needs from a document, in one pass that also checks that it is what it says.
    ///
    /// # Errors
    ///
    /// `InvalidValue` for a document that says it is JSON and is not.
    pub(crate) fn read(store: &StoreDef, format: Format, bytes: &[u8]) -> Result<Self> {
        let found = match format {
            Format::Json => store.extractor.extract(bytes)?,
            Format::Structured | Format::Raw | Format::Text => Vec::new(),
        };
        Ok(Self { found })
    }

    /// The primary key in the document; `None` where nothing stands at the key path.
    ///
    /// # Errors
    ///
    /// `InvalidKey` where something stands there that can't be a key.
    pub(crate) fn primary(&self, store: &StoreDef) -> Result<Option<Key>> {
        let Some(path) = &store.options.key_path else { return Ok(None) };
        match self.found.first() {
            Some(Extracted::One(key)) => Ok(Some(key.clone())),
            Some(Extracted::Missing) | None => Ok(None),
            Some(Extracted::Unusable | Extracted::TooLong | Extracted::Many(_)) => {
                let message = format!(
                    "what the document has at {path}, the key path of the object store {:?}, can't be a key",
                    store.name
                );
                Err(Error::new(Code::InvalidKey, message))
            }
        }
    }

    /// Whether the document has the same rows in the indexes of the store as one that has these keys, under the same
    /// primary key.
    pub(crate) fn has_rows_of(&self, other: &Self, store: &StoreDef) -> bool {
        let first = usize::from(store.options.key_path.is_some());
        self.found.get(first..) == other.found.get(first..)
    }

    /// The rows of the document in all indexes of the store, in order and each once.
    pub(crate) fn index_rows(&self, store: &StoreDef, primary: &Key) -> Vec<IndexRow> {
        let first = usize::from(store.options.key_path.is_some());
        let found = self.found.get(first..).unwrap_or_default();
        let mut rows = Vec::with_capacity(store.indexes.len());
        for (position, index) in store.indexes.iter().enumerate() {
            let keys = match found.get(position).unwrap_or(&Extracted::Missing) {
                Extracted::Missing | Extracted::Unusable => {
                    rows.extend(gap_row(store, index, position, Gap::NoKey, primary));
                    continue;
                }
                Extracted::TooLong => {
                    rows.extend(gap_row(store, index, position, Gap::KeyTooLong, primary));
                    continue;
                }
                Extracted::One(key) => std::slice::from_ref(key),
                Extracted::Many(keys) => keys,
            };
            rows.extend(keys.iter().map(|key| index_row(store, index, position, key, primary)));
        }
        rows.sort_unstable();
        rows
    }
}

/// The rows that a document had before a change.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OldRows<'a> {
    pub(crate) rows: &'a [IndexRow],
    /// They expire: once that has come, another document may have their place in a unique index.
    pub(crate) expire: bool,
    /// They will expire at another time than before, so that all of them have to be written again.
    pub(crate) expire_anew: bool,
}

/// What has to be done to the indexes when a document changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexChange {
    pub(crate) puts: Vec<IndexRow>,
    pub(crate) deletes: Vec<RowKey>,
}

impl IndexChange {
    /// The difference between the rows that the document under `primary` had and those that it is to have.
    ///
    /// In an index that is being built, a row that the document should have had may be missing, and in a unique
    /// one another document may still have it: there, every row is written anew, and only own rows are removed. The
    /// same goes for a document that expires.
    ///
    /// # Errors
    ///
    /// `Constraint` when another document has the same key in a unique index.
    pub(crate) fn between(
        view: &mut View,
        store: &StoreDef,
        primary: &Key,
        old: OldRows<'_>,
        new: Vec<IndexRow>,
    ) -> Result<Self> {
        let OldRows { rows: old, expire, expire_anew } = old;
        let mut change = Self { puts: Vec::with_capacity(new.len()), deletes: Vec::new() };
        for row in old.iter().filter(|row| new.binary_search(row).is_err()) {
            let index = &store.indexes[row.position];
            let may_be_anothers = (index.building || expire) && index.options.unique && !row.is_gap;
            if !may_be_anothers || view.get(&row.row)?.as_ref() == Some(&row.value) {
                change.deletes.push(row.row.clone());
            }
        }
        for row in new {
            let index = &store.indexes[row.position];
            if !index.building && !expire_anew && old.binary_search(&row).is_ok() {
                continue;
            }
            if index.options.unique && !row.is_gap {
                check_unique(view, store, index, primary, &row)?;
            }
            change.puts.push(row);
        }
        Ok(change)
    }

    /// The rows that [`IndexChange::apply`] will write, for [`Overlay::check_room`].
    pub(crate) fn writes(&self) -> impl Iterator<Item = (&[u8], usize)> + Clone {
        let puts = self.puts.iter().map(|put| (&put.row[..], put.value.len()));
        puts.chain(self.deletes.iter().map(|row| (&row[..], 0)))
    }

    /// Writes the change for a document that expires at `expires_at`.
    pub(crate) fn apply(self, overlay: &mut Overlay, expires_at: u64) {
        for row in self.deletes {
            overlay.write(row, None);
        }
        for put in self.puts {
            overlay.write(put.row, Some(Value { bytes: put.value, expires_at }));
        }
    }
}

fn check_unique(
    view: &mut View,
    store: &StoreDef,
    index: &IndexDef,
    primary: &Key,
    row: &IndexRow,
) -> Result<()> {
    let another = |taken_by: &[u8]| (taken_by != primary.as_bytes()).then(|| taken_by.to_vec());
    let Some(taken_by) = view.get_with(&row.row, another)?.flatten() else { return Ok(()) };
    let taken_by = decode_key(taken_by, &row.row)?;
    let prefix = index_prefix(store.id, index.id);
    let key = decode_key(row.row.get(prefix.len()..).unwrap_or_default().to_vec(), &row.row)?;
    let message = format!(
        "the unique index {:?} of the object store {:?} already has {key}, for the document {taken_by}: the \
         document {primary} can't have it too",
        index.name, store.name
    );
    Err(Error::new(Code::Constraint, message))
}

/// The rows of a document that is stored under `primary`. It was checked when it was stored: what is wrong with it now
/// is damage.
pub(crate) fn rows_of(store: &StoreDef, primary: &Key, document: &Document) -> Result<Vec<IndexRow>> {
    rows_of_stored(store, primary, document.format, &document.bytes)
}

/// As [`rows_of`], where the document lies in the row that it is stored in.
pub(crate) fn rows_of_stored(
    store: &StoreDef,
    primary: &Key,
    format: Format,
    document: &[u8],
) -> Result<Vec<IndexRow>> {
    if store.indexes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(keys_of_stored(store, primary, format, document)?.index_rows(store, primary))
}

/// What a document that is stored has at the paths of its store.
///
/// # Errors
///
/// `Corruption`: it was checked when it was stored.
pub(crate) fn keys_of_stored(
    store: &StoreDef,
    primary: &Key,
    format: Format,
    document: &[u8],
) -> Result<DocumentKeys> {
    DocumentKeys::read(store, format, document).map_err(|error| {
        let message = format!("the document {primary} of the object store {:?}: {error}", store.name);
        error.wrap(Code::Corruption, message)
    })
}

fn index_row(store: &StoreDef, index: &IndexDef, position: usize, key: &Key, primary: &Key) -> IndexRow {
    let more = key.as_bytes().len() + primary.as_bytes().len();
    let mut row = index_prefix_with_room(store.id, index.id, more);
    row.extend_from_slice(key.as_bytes());
    if index.options.unique {
        return IndexRow { row: row.into(), value: primary.as_bytes().to_vec(), position, is_gap: false };
    }
    row.extend_from_slice(primary.as_bytes());
    IndexRow { row: row.into(), value: Vec::new(), position, is_gap: false }
}

fn gap_row(store: &StoreDef, index: &IndexDef, position: usize, gap: Gap, primary: &Key) -> Option<IndexRow> {
    let row = || gap_key(store.id, index.id, gap, primary).into();
    index.lists_gaps.then(|| IndexRow { row: row(), value: Vec::new(), position, is_gap: true })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::engine::{Direction, Engine};
    use crate::jsondb::expiry::Expires;
    use crate::jsondb::ledger::Database;
    use crate::jsondb::rows::RowRange;
    use crate::jsondb::{IndexOptions, JsonDb, KeyPath, KeyRange, Mode, PutOptions, StoreOptions};

    fn store(building: bool) -> StoreDef {
        let options = IndexOptions { key_path: KeyPath::One("u".into()), unique: true, multi_entry: false };
        let index = IndexDef { id: 2, name: "by_u".into(), options, building, lists_gaps: true };
        StoreDef::new(1, "items", StoreOptions::default(), 1).unwrap().with_indexes(vec![index], 1).unwrap()
    }

    fn rows(store: &StoreDef, id: i64, json: &str) -> Vec<IndexRow> {
        let document = Document { format: Format::Json, bytes: json.into() };
        rows_of(store, &id.into(), &document).unwrap()
    }

    fn view() -> View {
        let database = Arc::new(Database::open(Engine::open(Config::in_memory()).unwrap()).unwrap());
        View::begin(&database, true).0
    }

    /// Documents from before a unique index may have the same key until the build finds out: the one that is indexed
    /// must stay so when the other goes, or the index would lack it in the end.
    #[test]
    fn a_document_that_goes_during_a_build_takes_only_its_own_entry() {
        let store = store(true);
        let mut view = view();
        let (first, second) = (rows(&store, 1, r#"{"u":5}"#), rows(&store, 2, r#"{"u":5}"#));
        let indexed = IndexChange::between(&mut view, &store, &1.into(), OldRows::default(), first.clone());
        indexed.unwrap().apply(&mut view.overlay, 0);
        let old = |rows| OldRows { rows, ..OldRows::default() };

        let second_goes =
            IndexChange::between(&mut view, &store, &2.into(), old(&second), Vec::new()).unwrap();
        let first_goes = IndexChange::between(&mut view, &store, &1.into(), old(&first), Vec::new()).unwrap();

        assert_eq!(second_goes, IndexChange::default());
        assert_eq!(first_goes.deletes, [first[0].row.clone()]);
    }

    /// How many rows are written where `json` is put in the place of `before`, in a store with an index on `u`; and how often
    /// 5 and 6 are in the index then.
    fn put_over(before: &str, json: &str, expires: Expires) -> (usize, u64, u64) {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        db.create_object_store("items", StoreOptions::default()).unwrap();
        let options = IndexOptions { key_path: KeyPath::One("u".into()), unique: false, multi_entry: false };
        db.create_index("items", "by_u", options).unwrap();
        let put = |json: &str, expires| {
            let mut transaction = db.begin(&["items"], Mode::ReadWrite).unwrap();
            let document = Document { format: Format::Json, bytes: json.into() };
            let options = PutOptions { expires, ..PutOptions::default() };
            transaction.put_with("items", Some(1.into()), document, options).unwrap();
            let all = RowRange { start: Vec::new(), end: vec![0xff] };
            let written = transaction.view.overlay.walk(&all, Direction::Forward).count();
            transaction.commit(None).unwrap();
            written
        };
        put(before, Expires::Never);
        let written = put(json, expires);
        let mut after = db.begin(&["items"], Mode::ReadOnly).unwrap();
        let mut entries =
            |key: i64| after.count_by_index("items", "by_u", &KeyRange::only(key.into())).unwrap();
        (written, entries(5), entries(6))
    }

    #[test]
    fn a_change_of_what_is_not_indexed_writes_the_document_only() {
        let before = r#"{"u":5,"v":1}"#;

        assert_eq!(put_over(before, before, Expires::Never), (1, 1, 0));
        assert_eq!(put_over(before, r#"{"v":2,"u":5.0}"#, Expires::Never), (1, 1, 0));
        assert_eq!(put_over(before, r#"{"u":6,"v":1}"#, Expires::Never), (3, 0, 1));
        assert_eq!(put_over(before, r#"{"v":1}"#, Expires::Never), (3, 0, 0), "it is listed in the gaps");
        // The entry expires with its document, whose expiry has a row of its own.
        assert_eq!(put_over(before, before, Expires::After(1_000_000)), (3, 1, 0));
    }

    #[test]
    fn only_an_index_that_is_being_built_has_unchanged_entries_written_again() {
        for building in [false, true] {
            let store = store(building);
            let same = rows(&store, 1, r#"{"u":5}"#);
            let old = OldRows { rows: &same, ..OldRows::default() };
            let change = IndexChange::between(&mut view(), &store, &1.into(), old, same.clone()).unwrap();
            assert_eq!((change.puts.len(), change.deletes.len()), (usize::from(building), 0));
        }
    }
}
