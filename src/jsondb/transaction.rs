//! Transactions: documents read from one snapshot and written all at once, or not at all.
//!
//! Invariant: a call that fails leaves the transaction as it was. So every write is prepared whole (keys, index rows,
//! unique checks, room) before the first row goes into the overlay.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::Arc;

use super::commit::{commit_view, commit_views};
use super::conflict::ReadSet;
use super::document::set_top_level_path;
use super::expiry::ExpiryChange;
use super::generator::GENERATED_KEY_MAX;
use super::handle::Handle;
use super::index::{DocumentKeys, IndexChange, IndexRow, OldRows, keys_of_stored, rows_of};
use super::key::{Key, KeyRange, KeyValue};
use super::ledger::CountChange;
use super::overlay::Value;
use super::put::PutOptions;
use super::rows::{
    RowKey, RowRange, StoreState, StoredDocument, damaged, document_key, document_prefix, expired_range,
    expiries_range, indexes_range, state_key,
};
use super::savepoint::Saved;
use super::schema::{KeyPath, StoreDef};
use super::scope::Scope;
use super::upgrade::{self, Upgrade};
use super::view::View;
use super::{Document, DocumentRef, Format, Isolation, Mode, Row};
use crate::config::SyncMode;
use crate::engine::VALUE_BYTES_MAX;
use crate::error::{Code, Error, Result, shown};

/// The longest document, in bytes: the longest value of the engine less room for the header.
pub const DOCUMENT_BYTES_MAX: usize = VALUE_BYTES_MAX - 64;

/// A consistent view of some stores and, in [`Mode::ReadWrite`], changes to them. Dropping it aborts it.
pub struct Transaction {
    pub(super) handle: Arc<Handle>,
    pub(super) mode: Mode,
    pub(super) view: View,
    pub(super) stores: Scope,
    pub(super) savepoints: Vec<Saved>,
    /// What it changes in the schema, where it is an upgrade.
    pub(super) upgrade: Option<Box<Upgrade>>,
}

impl Transaction {
    pub(super) fn begin(
        handle: &Arc<Handle>,
        scope: &[&str],
        mode: Mode,
        isolation: Isolation,
    ) -> Result<Self> {
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
        if mode == Mode::ReadWrite {
            handle.settle_default_ttls(scope)?;
        }
        let (view, schema) = View::begin_with(&handle.database, mode == Mode::ReadWrite, isolation);
        let mut stores = Scope::with_capacity(scope.len());
        for &name in scope {
            stores.insert(handle.involved(&schema, name)?);
        }
        Ok(Self { handle: Arc::clone(handle), mode, view, stores, savepoints: Vec::new(), upgrade: None })
    }

    /// Stores `document`, in the place of one with the same key, and returns its key: the one given, the one in the
    /// document, or a generated one.
    ///
    /// # Errors
    ///
    /// `InvalidKey` when there is no valid key, `InvalidArgument` for a key beside a document that has its own,
    /// `InvalidValue` for a document that is not JSON where keys come from it, or too long, `Constraint` when a
    /// unique index has its key for another document, `ReadOnly`, `NotFound` for a store that is not in the scope.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the document is given away; whether it is copied is our business"
    )]
    pub fn put(&mut self, store: &str, key: Option<Key>, document: Document) -> Result<Key> {
        self.store_document(store, key, document.lent(), PutOptions::default())
    }

    /// As [`Transaction::put`], but only where there is no document with the key.
    ///
    /// # Errors
    ///
    /// `Constraint` when there is one, and as for [`Transaction::put`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the document is given away; whether it is copied is our business"
    )]
    pub fn add(&mut self, store: &str, key: Option<Key>, document: Document) -> Result<Key> {
        let options = PutOptions { if_absent: true, ..PutOptions::default() };
        self.store_document(store, key, document.lent(), options)
    }

    /// The document stored under `key`.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that is not in the scope, `Corruption`, `Io`.
    pub fn get(&mut self, store: &str, key: &Key) -> Result<Option<Row>> {
        let store = self.store(store)?;
        let row = document_key(store.id, key);
        let stored =
            self.view.read(&row)?.map(|value| StoredDocument::decode_in_place(value, &row)).transpose()?;
        Ok(stored.map(|stored| row_of(key.clone(), None, stored)))
    }

    /// Deletes the document stored under `key`, and says whether there was one.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, and as for [`Transaction::get`].
    pub fn delete(&mut self, store: &str, key: &Key) -> Result<bool> {
        let store = self.store_to_write(store)?;
        let Some(old) = self.read_to_write(&store, key)? else { return Ok(false) };
        self.remove_document(&store, key, &old)?;
        Ok(true)
    }

    /// Deletes every document of a store, however many they are, by one small write.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, `NotFound` for a store that is not in the scope.
    pub fn clear(&mut self, store: &str) -> Result<()> {
        let store = self.store_to_write(store)?;
        if store.is_absent() {
            return Ok(());
        }
        let documents = RowRange::prefix(document_prefix(store.id));
        if self.view.base.checks_only_writes() {
            // Who clears a store writes every document in it: whoever else did so first wins.
            self.view.reads.range(documents.clone());
        }
        self.view.overlay.clear(documents);
        self.view.overlay.clear(indexes_range(store.id));
        self.view.overlay.clear(expiries_range(store.id));
        self.note_written(&store, 0);
        if let Some(involved) = self.stores.get_mut(&store.name) {
            involved.change = CountChange { cleared: true, ..CountChange::default() };
        }
        Ok(())
    }

    /// How many documents have their key in `range`. For the whole range the cost does not depend on the number, only on
    /// how many have expired since they were last purged.
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
        self.commit_at(sync).map(drop)
    }

    /// As [`Transaction::commit`]; returns the place of the commit in the order of all commits, or `None` where nothing
    /// was written.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::commit`].
    pub fn commit_at(self, sync: Option<SyncMode>) -> Result<Option<u64>> {
        commit_alone(self, sync)
    }

    /// The place of the last commit that the transaction sees, in the order of all commits.
    #[must_use]
    pub fn snapshot_seqno(&self) -> u64 {
        self.view.base.snapshot.seqno()
    }

    /// Leaves out of the check at the commit what was read so far, so that tests of isolation can show that they would
    /// find it missing. Whoever calls this gives up every promise about conflicts.
    #[doc(hidden)]
    pub fn forget_reads_for_tests(&mut self) {
        self.view.reads = ReadSet::default();
    }

    /// Drops the writes.
    pub fn abort(self) {
        drop(self);
    }

    /// The store of the scope called `name`.
    pub(super) fn store(&self, name: &str) -> Result<Arc<StoreDef>> {
        self.handle.check_open()?;
        let involved = self.stores.get(name).ok_or_else(|| {
            let message = match self.upgrade {
                Some(_) => format!("there is no object store {}", shown(name)),
                None => format!("the object store {} is not in the transaction's scope", shown(name)),
            };
            Error::new(Code::NotFound, message)
        })?;
        Ok(Arc::clone(&involved.store))
    }

    pub(super) fn store_to_write(&self, name: &str) -> Result<Arc<StoreDef>> {
        if self.mode == Mode::ReadOnly {
            let message = format!("writing to the object store {name:?} in a read-only transaction");
            return Err(Error::new(Code::ReadOnly, message));
        }
        self.store(name)
    }

    pub(super) fn store_document(
        &mut self,
        store: &str,
        key: Option<Key>,
        document: DocumentRef<'_>,
        options: PutOptions,
    ) -> Result<Key> {
        let store = self.store_to_write(store)?;
        let Keyed { key, keys, bytes, generated } = keyed(&store, key, document)?;
        if let Some(number) = generated
            && let Some(involved) = self.stores.get_mut(&store.name)
        {
            involved.note_generated(number);
        }
        let mut row = RowKey::from(document_key(store.id, &key));
        let mut old = self.replaced(&store, &key, &row, (&keys, document.format, &bytes))?;
        options.check(&store, &key, old.as_ref().map(|old| old.version))?;
        let now_ms = self.view.base.now_ms();
        let expires_at = options.expires.at(&store, now_ms);
        if expires_at != 0 && expires_at <= now_ms {
            if let Some(old) = self.read_to_write(&store, &key)? {
                self.remove_document(&store, &key, &old)?;
            }
        } else {
            let there = self.existing(Arc::clone(&store))?;
            if there.id != store.id {
                row = RowKey::from(document_key(there.id, &key));
            }
            let version = old.as_ref().map_or(1, |old| old.version + 1);
            let bytes = StoredDocument::encoded(document.format, version, now_ms, expires_at, &bytes);
            let rows = match &mut old {
                Some(old) if old.rows.is_none() && old.expires_at == expires_at && !there.is_building() => {
                    Vec::new()
                }
                Some(old) => {
                    let rows = keys.index_rows(&there, &key);
                    old.rows.get_or_insert_with(|| rows.clone());
                    rows
                }
                None => keys.index_rows(&there, &key),
            };
            self.replace_row(&there, &key, row, old, Value { bytes, expires_at }, rows)?;
        }
        if generated.is_none() {
            pass_generator(&store, &key);
        }
        Ok(key)
    }

    /// What a write has to know of the document at `row` that it replaces by one of these keys, format and bytes.
    fn replaced(
        &mut self,
        store: &StoreDef,
        key: &Key,
        row: &RowKey,
        (new, new_format, bytes): (&DocumentKeys, Format, &[u8]),
    ) -> Result<Option<Replaced>> {
        let read = |mut value: &[u8]| {
            let (format, version, _, expires_at) = StoredDocument::header(&mut value, row)?;
            // Most changes leave alone what is indexed, and then nothing has to be known of the rows.
            let is_same = store.indexes.is_empty() || (format == new_format && value == bytes);
            if is_same {
                return Ok(Replaced { version, expires_at, rows: None });
            }
            let keys = keys_of_stored(store, key, format, value)?;
            let rows = (!keys.has_rows_of(new, store)).then(|| keys.index_rows(store, key));
            Ok(Replaced { version, expires_at, rows })
        };
        self.view.get_with(row, read)?.transpose()
    }

    /// The document under `key`, as a write depends on it.
    pub(super) fn read_to_write(&mut self, store: &StoreDef, key: &Key) -> Result<Option<StoredDocument>> {
        let row = document_key(store.id, key);
        self.view.get(&row)?.map(|value| StoredDocument::decode_in_place(value, &row)).transpose()
    }

    /// Writes `new`, with its index rows, in the place of `old`.
    pub(super) fn replace_document(
        &mut self,
        store: &StoreDef,
        key: &Key,
        old: Option<&StoredDocument>,
        new: &StoredDocument,
        new_rows: Vec<IndexRow>,
    ) -> Result<()> {
        let old = old.map(|old| {
            let rows = rows_of(store, key, &old.document)?;
            Ok(Replaced { version: old.version, expires_at: old.expires_at, rows: Some(rows) })
        });
        let row = RowKey::from(document_key(store.id, key));
        let value = Value { bytes: new.encode(), expires_at: new.expires_at };
        self.replace_row(store, key, row, old.transpose()?, value, new_rows)
    }

    /// As [`Transaction::replace_document`], with the row of the document and what it will hold.
    fn replace_row(
        &mut self,
        store: &StoreDef,
        key: &Key,
        row: RowKey,
        old: Option<Replaced>,
        value: Value,
        new_rows: Vec<IndexRow>,
    ) -> Result<()> {
        let is_new = old.is_none();
        let Replaced { expires_at: old_expiry, rows, .. } = old.unwrap_or_default();
        let rows = rows.unwrap_or_default();
        let expires_at = value.expires_at;
        let old_rows =
            OldRows { rows: &rows, expire: old_expiry != 0, expire_anew: old_expiry != expires_at };
        let change = IndexChange::between(&mut self.view, store, key, old_rows, new_rows)?;
        let expiry = ExpiryChange::between(store, key, old_expiry, expires_at);
        let writes = change.writes().chain(expiry.writes());
        self.view.overlay.check_room(writes.chain([(&row[..], value.bytes.len())]))?;
        self.view.overlay.write(row, Some(value));
        change.apply(&mut self.view.overlay, expires_at);
        expiry.apply(&mut self.view);
        self.note_written(store, i64::from(is_new));
        Ok(())
    }

    /// Removes `old` with its index rows.
    pub(super) fn remove_document(
        &mut self,
        store: &StoreDef,
        key: &Key,
        old: &StoredDocument,
    ) -> Result<()> {
        let rows = rows_of(store, key, &old.document)?;
        let old_rows = OldRows { rows: &rows, expire: old.expires_at != 0, expire_anew: false };
        let change = IndexChange::between(&mut self.view, store, key, old_rows, Vec::new())?;
        let expiry = ExpiryChange::between(store, key, old.expires_at, 0);
        let row = document_key(store.id, key);
        let writes = change.writes().chain(expiry.writes());
        self.view.overlay.check_room(writes.chain([(&row[..], 0)]))?;
        self.view.overlay.write(row, None);
        change.apply(&mut self.view.overlay, 0);
        expiry.apply(&mut self.view);
        self.note_written(store, -1);
        Ok(())
    }

    pub(super) fn note_written(&mut self, store: &StoreDef, added: i64) {
        if let Some(involved) = self.stores.get_mut(&store.name) {
            involved.written = true;
            involved.change.added += added;
            involved.change.moves |= added != 0;
        }
    }

    fn count_all(&mut self, store: &StoreDef) -> Result<u64> {
        let involved = self.stores.get(&store.name);
        let change = involved.map_or(CountChange::default(), |involved| involved.change);
        let may_be_missing = store.is_absent() || involved.is_some_and(|involved| involved.is_new);
        let mut stored = 0;
        if !change.cleared {
            let row = state_key(store.id);
            stored = match self.view.read(&row)? {
                Some(value) => StoreState::decode(&value, &row)?.count,
                None if may_be_missing => 0,
                None => return Err(damaged("a store's state row", &row, "it is missing")),
            };
        }
        let expired = self.count_rows(&expired_range(store.id, self.view.base.now_ms()))?;
        Ok(change.apply(stored).saturating_sub(expired))
    }
}

/// Commits transactions of one database in their order; see [`super::JsonDb::commit_all`]. Gives the seqno of each.
pub(super) fn commit_all(transactions: Vec<Transaction>, sync: Option<SyncMode>) -> Vec<Result<Option<u64>>> {
    if transactions.iter().any(|one| one.upgrade.is_some()) {
        return transactions.into_iter().map(|one| commit_alone(one, sync)).collect();
    }
    let closed: Vec<Result<()>> = transactions.iter().map(|one| one.handle.check_open()).collect();
    let open = transactions.into_iter().zip(&closed).filter(|(_, closed)| closed.is_ok());
    let views = open.map(|(one, _)| (one.view, one.stores.into_vec())).collect();
    let mut committed = commit_views(views, sync).into_iter();
    closed.into_iter().map(|closed| closed.and_then(|()| committed.next().unwrap_or(Ok(None)))).collect()
}

fn commit_alone(mut transaction: Transaction, sync: Option<SyncMode>) -> Result<Option<u64>> {
    match transaction.upgrade.take() {
        Some(upgrade) => upgrade::commit(transaction, *upgrade, sync).map(Some),
        None => {
            transaction.handle.check_open()?;
            commit_view(transaction.view, transaction.stores.into_vec(), sync)
        }
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.stores.as_slice().iter().map(|one| one.store.name.as_str()).collect();
        f.debug_struct("Transaction").field("mode", &self.mode).field("scope", &names).finish_non_exhaustive()
    }
}

/// What a write has to know of a document that it replaces.
#[derive(Default)]
struct Replaced {
    version: u64,
    expires_at: u64,
    /// Its rows in indexes; `None` where they are those of the document that replaces it.
    rows: Option<Vec<IndexRow>>,
}

/// A document with its key.
pub(super) struct Keyed<'a> {
    pub(super) key: Key,
    pub(super) keys: DocumentKeys,
    /// The document, with its key in it where that was generated.
    pub(super) bytes: Cow<'a, [u8]>,
    /// The number that was generated as its key.
    generated: Option<u64>,
}

/// Finds the key of `document`: given, in it, or generated (and then put into it where the store has a key path).
pub(super) fn keyed<'a>(
    store: &StoreDef,
    given: Option<Key>,
    document: DocumentRef<'a>,
) -> Result<Keyed<'a>> {
    let DocumentRef { format, bytes } = document;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let message = format!("a document of {} bytes: the most is {DOCUMENT_BYTES_MAX}", bytes.len());
        return Err(Error::new(Code::InvalidValue, message));
    }
    let Some(path) = &store.options.key_path else {
        let keys = DocumentKeys::read(store, format, bytes)?;
        let mut generated = None;
        let key = match given {
            Some(key) => key,
            None if store.options.auto_increment => generated_key(*generated.insert(generate(store)?))?,
            None => {
                let message = format!("the object store {:?} takes a key beside each document", store.name);
                return Err(Error::new(Code::InvalidKey, message));
            }
        };
        return Ok(Keyed { key, keys, bytes: bytes.into(), generated });
    };
    if given.is_some() {
        let message = format!(
            "a key was given for the object store {:?}, whose documents have theirs at {path}",
            store.name
        );
        return Err(Error::new(Code::InvalidArgument, message));
    }
    if format != Format::Json {
        let message = format!(
            "the object store {:?} finds keys at {path}, so its documents have to be JSON",
            store.name
        );
        return Err(Error::new(Code::InvalidValue, message));
    }
    let keys = DocumentKeys::read(store, format, bytes)?;
    match (keys.primary(store)?, path) {
        (Some(key), _) => Ok(Keyed { key, keys, bytes: bytes.into(), generated: None }),
        (None, KeyPath::One(path)) if store.options.auto_increment => {
            with_generated_key(store, path, keys, bytes)
        }
        (None, _) => {
            let message = format!("the document has no key at {path}, the key path of {:?}", store.name);
            Err(Error::new(Code::InvalidKey, message))
        }
    }
}

/// A generated key, written into the document at `path`, which is JSON and had `keys` without it.
fn with_generated_key(
    store: &StoreDef,
    path: &str,
    keys: DocumentKeys,
    json: &[u8],
) -> Result<Keyed<'static>> {
    let number = generate(store)?;
    let bytes = set_top_level_path(json, path, number)?;
    // Those that were read before lack the primary key, which is known. Only an index may find the number in the document.
    let keys = if store.indexes.is_empty() { keys } else { DocumentKeys::read(store, Format::Json, &bytes)? };
    Ok(Keyed { key: generated_key(number)?, keys, bytes: bytes.into(), generated: Some(number) })
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
pub(super) fn pass_generator(store: &StoreDef, key: &Key) {
    if store.options.auto_increment
        && let Ok(KeyValue::Number(number)) = key.decode()
    {
        store.generator.pass(number);
    }
}

pub(super) fn row_of(key: Key, index_key: Option<Key>, stored: StoredDocument) -> Row {
    let StoredDocument { document, version, updated_at, expires_at } = stored;
    Row { key, index_key, document, version, updated_at, expires_at }
}
