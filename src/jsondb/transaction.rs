//! Transactions: documents read from one snapshot and written all at once, or not at all.
//!
//! Invariant: a call that fails leaves the transaction as it was. So every write is prepared whole (keys, index rows,
//! unique checks, room) before the first row goes into the overlay.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commit::{Involved, commit_views};
use super::document::set_top_level_path;
use super::generator::GENERATED_KEY_MAX;
use super::handle::Handle;
use super::index::{DocumentKeys, IndexChange, rows_of};
use super::key::{Key, KeyRange, KeyValue};
use super::ledger::CountChange;
use super::rows::{
    RowRange, StoreState, StoredDocument, damaged, document_key, document_prefix, indexes_range, state_key,
};
use super::schema::{KeyPath, StoreDef};
use super::view::View;
use super::{Document, Format, Mode, Row};
use crate::config::SyncMode;
use crate::engine::VALUE_BYTES_MAX;
use crate::error::{Code, Error, Result, shown};

/// The longest document, in bytes: the longest value of the engine less room for the header.
pub const DOCUMENT_BYTES_MAX: usize = VALUE_BYTES_MAX - 64;

/// A consistent view of some stores and, in [`Mode::ReadWrite`], changes to them. Dropping it aborts it.
pub struct Transaction {
    handle: Arc<Handle>,
    mode: Mode,
    pub(super) view: View,
    stores: BTreeMap<String, Involved>,
}

impl Transaction {
    pub(super) fn begin(handle: &Arc<Handle>, scope: &[&str], mode: Mode) -> Result<Self> {
        handle.check_open()?;
        if scope.is_empty() {
            return Err(Error::new(
                Code::InvalidArgument,
                "a transaction without a store: name those it works on",
            ));
        }
        if mode == Mode::ReadWrite && handle.database.engine.is_read_only() {
            // At once, before a generator gives numbers that no commit would keep.
            let message = "the database was opened read-only: open it without that to write";
            return Err(Error::new(Code::ReadOnly, message));
        }
        let (view, schema) = View::begin(&handle.database, mode == Mode::ReadWrite);
        let mut stores = BTreeMap::new();
        for &name in scope {
            let store = Arc::clone(schema.store(name)?);
            stores
                .insert(name.to_owned(), Involved { store, change: CountChange::default(), written: false });
        }
        Ok(Self { handle: Arc::clone(handle), mode, view, stores })
    }

    /// Stores `document`, in the place of one with the same key, and returns its key: the one given, the one in the
    /// document, or a generated one.
    ///
    /// # Errors
    ///
    /// `InvalidKey` when there is no valid key, `InvalidArgument` for a key beside a document that has its own,
    /// `InvalidValue` for a document that is not JSON where keys come from it, or too long, `Constraint` when a
    /// unique index has its key for another document, `ReadOnly`, `NotFound` for a store that is not in the scope.
    pub fn put(&mut self, store: &str, key: Option<Key>, document: Document) -> Result<Key> {
        self.store_document(store, key, document, false)
    }

    /// As [`Transaction::put`], but only where there is no document with the key.
    ///
    /// # Errors
    ///
    /// `Constraint` when there is one, and as for [`Transaction::put`].
    pub fn add(&mut self, store: &str, key: Option<Key>, document: Document) -> Result<Key> {
        self.store_document(store, key, document, true)
    }

    /// The document stored under `key`.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that is not in the scope, `Corruption`, `Io`.
    pub fn get(&mut self, store: &str, key: &Key) -> Result<Option<Row>> {
        let store = self.store(store)?;
        let stored = read_document(&mut self.view, &store, key)?;
        Ok(stored.map(|stored| row_of(key.clone(), None, stored)))
    }

    /// Deletes the document stored under `key`, and says whether there was one.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, and as for [`Transaction::get`].
    pub fn delete(&mut self, store: &str, key: &Key) -> Result<bool> {
        let mut deletion = self.deletion(store)?;
        deletion.add(self, key)?;
        Ok(deletion.apply(self) > 0)
    }

    /// A deletion of several documents, which happens as a whole or not at all.
    pub(super) fn deletion(&self, store: &str) -> Result<Deletion> {
        Ok(Deletion { store: self.store_to_write(store)?, rows: Vec::new(), bytes: 0, documents: 0 })
    }

    /// Deletes every document of a store, however many they are, by one small write.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, `NotFound` for a store that is not in the scope.
    pub fn clear(&mut self, store: &str) -> Result<()> {
        let store = self.store_to_write(store)?;
        self.view.overlay.clear(RowRange::prefix(document_prefix(store.id)));
        self.view.overlay.clear(indexes_range(store.id));
        self.note_written(&store, 0);
        if let Some(involved) = self.stores.get_mut(&store.name) {
            involved.change = CountChange { cleared: true, added: 0 };
        }
        Ok(())
    }

    /// How many documents have their key in `range`. The cost does not depend on the number for the whole range.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::get`].
    pub fn count(&mut self, store: &str, range: &KeyRange) -> Result<u64> {
        let store = self.store(store)?;
        if *range == KeyRange::all() {
            return self.count_all(&store);
        }
        self.count_rows(&RowRange::keys(&document_prefix(store.id), range))
    }

    /// Makes the writes visible to others, all at once, as durable as `sync` says (the database's mode if `None`).
    ///
    /// # Errors
    ///
    /// `Conflict` when a later commit changed something that this transaction had read; nothing is written then.
    /// `Closed` after the database was closed, and what the engine gives.
    pub fn commit(self, sync: Option<SyncMode>) -> Result<()> {
        commit_all(vec![self], sync).pop().unwrap_or(Ok(()))
    }

    /// Drops the writes.
    pub fn abort(self) {
        drop(self);
    }

    /// The store of the scope called `name`.
    pub(super) fn store(&self, name: &str) -> Result<Arc<StoreDef>> {
        self.handle.check_open()?;
        let involved = self.stores.get(name).ok_or_else(|| {
            Error::new(
                Code::NotFound,
                format!("the object store {} is not in the transaction's scope", shown(name)),
            )
        })?;
        Ok(Arc::clone(&involved.store))
    }

    fn store_to_write(&self, name: &str) -> Result<Arc<StoreDef>> {
        if self.mode == Mode::ReadOnly {
            let message = format!("writing to the object store {name:?} in a read-only transaction");
            return Err(Error::new(Code::ReadOnly, message));
        }
        self.store(name)
    }

    fn store_document(
        &mut self,
        store: &str,
        key: Option<Key>,
        document: Document,
        only_new: bool,
    ) -> Result<Key> {
        let store = self.store_to_write(store)?;
        let Keyed { key, keys, document } = keyed(&store, key, document)?;
        let old = read_document(&mut self.view, &store, &key)?;
        if only_new && old.is_some() {
            let message =
                format!("adding the document {key} to {:?}: there is one with this key", store.name);
            return Err(Error::new(Code::Constraint, message));
        }
        let old_rows = match &old {
            Some(old) => rows_of(&store, &key, &old.document)?,
            None => Vec::new(),
        };
        let new_rows = keys.index_rows(&store, &key);
        let change = IndexChange::between(&mut self.view, &store, &key, &old_rows, new_rows)?;
        let stored = StoredDocument {
            document,
            version: old.as_ref().map_or(1, |old| old.version + 1),
            updated_at: self.handle.database.engine.now_ms(),
            expires_at: 0,
        };
        let row = document_key(store.id, &key);
        let value = stored.encode();
        self.view.overlay.check_room(change.writes().chain([(&row, value.len())]))?;
        self.view.overlay.write(row, Some(value));
        change.apply(&mut self.view.overlay);
        pass_generator(&store, &key);
        self.note_written(&store, i64::from(old.is_none()));
        Ok(key)
    }

    fn note_written(&mut self, store: &StoreDef, added: i64) {
        if let Some(involved) = self.stores.get_mut(&store.name) {
            involved.written = true;
            involved.change.added += added;
        }
    }

    fn count_all(&mut self, store: &StoreDef) -> Result<u64> {
        let change = self.stores.get(&store.name).map_or(CountChange::default(), |involved| involved.change);
        if change.cleared {
            return Ok(change.apply(0));
        }
        let row = state_key(store.id);
        let value = self.view.get(&row)?;
        let value = value.ok_or_else(|| damaged("a store's state row", &row, "it is missing"))?;
        Ok(change.apply(StoreState::decode(&value, &row)?.count))
    }
}

/// Documents that are to be deleted.
pub(super) struct Deletion {
    store: Arc<StoreDef>,
    /// The rows that go with them.
    rows: Vec<Vec<u8>>,
    bytes: usize,
    documents: u32,
}

impl Deletion {
    /// Adds the document under `key`, if there is one. A document is added once.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when the transaction would write more than it may, `Corruption`, `Io`.
    pub(super) fn add(&mut self, transaction: &mut Transaction, key: &Key) -> Result<()> {
        let (store, view) = (&self.store, &mut transaction.view);
        let Some(old) = read_document(view, store, key)? else { return Ok(()) };
        let rows = rows_of(store, key, &old.document)?;
        let change = IndexChange::between(view, store, key, &rows, Vec::new())?;
        let document = document_key(store.id, key);
        for row in change.deletes.into_iter().chain([document]) {
            self.bytes += view.overlay.added_by(&row);
            self.rows.push(row);
        }
        self.documents += 1;
        view.overlay.check_more(self.bytes)
    }

    /// Deletes what was added, and says how many documents that were.
    pub(super) fn apply(self, transaction: &mut Transaction) -> u64 {
        for row in self.rows {
            transaction.view.overlay.write(row, None);
        }
        if self.documents > 0 {
            transaction.note_written(&self.store, -i64::from(self.documents));
        }
        self.documents.into()
    }
}

/// Commits transactions of one database in their order; see [`super::JsonDb::commit_all`].
pub(super) fn commit_all(transactions: Vec<Transaction>, sync: Option<SyncMode>) -> Vec<Result<()>> {
    let closed: Vec<Result<()>> = transactions.iter().map(|one| one.handle.check_open()).collect();
    let open = transactions.into_iter().zip(&closed).filter(|(_, closed)| closed.is_ok());
    let views = open.map(|(one, _)| (one.view, one.stores.into_values().collect())).collect();
    let mut committed = commit_views(views, sync).into_iter();
    closed.into_iter().map(|closed| closed.and_then(|()| committed.next().unwrap_or(Ok(())))).collect()
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.stores.keys().map(String::as_str).collect();
        f.debug_struct("Transaction").field("mode", &self.mode).field("scope", &names).finish_non_exhaustive()
    }
}

/// A document with its key.
struct Keyed {
    key: Key,
    keys: DocumentKeys,
    document: Document,
}

/// Finds the key of `document`: given, in it, or generated (and then put into it where the store has a key path).
fn keyed(store: &StoreDef, given: Option<Key>, document: Document) -> Result<Keyed> {
    if document.bytes.len() > DOCUMENT_BYTES_MAX {
        let message =
            format!("a document of {} bytes: the most is {DOCUMENT_BYTES_MAX}", document.bytes.len());
        return Err(Error::new(Code::InvalidValue, message));
    }
    let Some(path) = &store.options.key_path else {
        let keys = DocumentKeys::read(store, &document)?;
        let key = match given {
            Some(key) => key,
            None if store.options.auto_increment => generated_key(generate(store)?)?,
            None => {
                let message = format!("the object store {:?} takes a key beside each document", store.name);
                return Err(Error::new(Code::InvalidKey, message));
            }
        };
        return Ok(Keyed { key, keys, document });
    };
    if given.is_some() {
        let message = format!(
            "a key was given for the object store {:?}, whose documents have theirs at {path}",
            store.name
        );
        return Err(Error::new(Code::InvalidArgument, message));
    }
    if document.format != Format::Json {
        let message = format!(
            "the object store {:?} finds keys at {path}, so its documents have to be JSON",
            store.name
        );
        return Err(Error::new(Code::InvalidValue, message));
    }
    let keys = DocumentKeys::read(store, &document)?;
    match (keys.primary(store)?, path) {
        (Some(key), _) => Ok(Keyed { key, keys, document }),
        (None, KeyPath::One(path)) if store.options.auto_increment => {
            with_generated_key(store, path, &document)
        }
        (None, _) => {
            let message = format!("the document has no key at {path}, the key path of {:?}", store.name);
            Err(Error::new(Code::InvalidKey, message))
        }
    }
}

/// A generated key, written into the document at `path`.
fn with_generated_key(store: &StoreDef, path: &str, document: &Document) -> Result<Keyed> {
    let number = generate(store)?;
    let bytes = set_top_level_path(&document.bytes, path, number)?;
    let document = Document { format: Format::Json, bytes };
    let keys = DocumentKeys::read(store, &document)?;
    Ok(Keyed { key: generated_key(number)?, keys, document })
}

fn generate(store: &StoreDef) -> Result<u64> {
    store.generator.take().ok_or_else(|| {
        let message =
            format!("the key generator of {:?} has reached its end, {GENERATED_KEY_MAX}", store.name);
        Error::new(Code::Constraint, message)
    })
}

fn generated_key(number: u64) -> Result<Key> {
    // Every whole number up to 2^53 is a double.
    Key::from_f64(number as f64)
}

/// Keeps a key that was given as a number from being generated later.
fn pass_generator(store: &StoreDef, key: &Key) {
    if store.options.auto_increment
        && let Ok(KeyValue::Number(number)) = key.decode()
    {
        store.generator.pass(number);
    }
}

/// The document stored under `key`.
fn read_document(view: &mut View, store: &StoreDef, key: &Key) -> Result<Option<StoredDocument>> {
    let row = document_key(store.id, key);
    view.get(&row)?.map(|value| StoredDocument::decode(&value, &row)).transpose()
}

pub(super) fn row_of(key: Key, index_key: Option<Key>, stored: StoredDocument) -> Row {
    let StoredDocument { document, version, updated_at, expires_at } = stored;
    Row { key, index_key, document, version, updated_at, expires_at }
}
