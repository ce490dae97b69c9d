//! Upgrades: stores, indexes, documents and the version that users give to their schema change together, or not at all.
//!
//! An upgrade is a transaction on every store whose definitions are its own: it changes them as it goes, and its commit
//! makes catalog, version and documents visible in one batch. An index on documents that are there is filled ahead, under
//! an id and a name that the catalog has only as "being built". Nobody sees such an index; where the upgrade ends
//! otherwise, it is removed, by the next open if need be.
//!
//! Invariant: while an upgrade is under way nobody else changes the schema. Others read and write documents as before;
//! those whose documents the upgrade has read or written make it fail with `Conflict`.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::catalog::{exists, no_index};
use super::commit::{NEW_STORE, SchemaChange, commit_with_schema, conflict};
use super::index::{IndexChange, OldRows, rows_of};
use super::ledger::Database;
use super::overlay::Value;
use super::rows::{
    META_KEY, RowRange, SCHEMA_VERSION_KEY, StoredDocument, catalog_key, decode_document_key,
    decode_schema_version, document_prefix, encode_schema_version, expiries_range, index_range,
    indexes_range, state_key,
};
use super::schema::{INDEXES_MAX, IndexDef, NAME_BYTES_MAX, STORES_MAX, Schema, StoreDef, check_name};
use super::scope::{Involved, Scope};
use super::view::View;
use super::{IndexOptions, JsonDb, Mode, StoreOptions, StoreSchema, Transaction};
use crate::config::SyncMode;
use crate::engine::{Direction, Snapshot, WriteBatch};
use crate::error::{Code, Error, Result, shown};
use crate::sync::atomic::Ordering;
use crate::sync::thread;

/// The highest version of a schema.
pub const VERSION_MAX: u64 = (1 << 53) - 1;

/// Stands behind the name of an index that an upgrade builds.
const BUILT: &str = " (upgrade)";

/// How often it is looked whether the upgrade of another has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// What an upgrade changes in the schema. Dropping it takes back what is on disk of that.
pub(super) struct Upgrade {
    database: Arc<Database>,
    version: u64,
    /// Ids of stores that there were not before.
    created: BTreeSet<u64>,
    /// Ids of stores whose definition is another than before.
    changed: BTreeSet<u64>,
    /// Ids of stores that there were.
    deleted: Vec<u64>,
    /// The indexes that the catalog has as being built: the name of the store, and the id.
    pending: Vec<(String, u64)>,
}

impl JsonDb {
    /// The version that its users have given to the schema; 0 where they never did.
    ///
    /// # Errors
    ///
    /// `Closed`, `Corruption`, `Io`.
    pub fn version(&self) -> Result<u64> {
        self.database()?.schema_version(None)
    }

    /// Begins an upgrade of the schema to `version`: a transaction on all stores in which stores and indexes can be
    /// created and deleted, too. Its commit makes all of that visible and durable at once, with the version. `None` where
    /// the schema has this version already.
    ///
    /// # Errors
    ///
    /// `Version` where the schema has a later version, `Busy` while another upgrade is under way or an index is being
    /// built, `InvalidArgument` for 0 or more than [`VERSION_MAX`], `ReadOnly`, `Closed`, and what the engine gives.
    pub fn begin_upgrade(&self, version: u64) -> Result<Option<Transaction>> {
        let database = self.database()?;
        if version == 0 || version > VERSION_MAX {
            let message = format!("version {version} of the schema: it is from 1 to {VERSION_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let changing = database.changing_schema.try_lock();
        if database.is_upgrading.load(Ordering::Acquire) {
            return Err(busy());
        }
        let stored = database.schema_version(None)?;
        if stored > version {
            let message = format!(
                "the schema of the database has version {stored}, and version {version} was asked for: use a newer \
                 program"
            );
            return Err(Error::new(Code::Version, message));
        }
        if stored == version {
            return Ok(None);
        }
        if database.engine.is_read_only() {
            let message = format!(
                "upgrading the schema from version {stored} to {version} in a database that was opened read-only"
            );
            return Err(Error::new(Code::ReadOnly, message));
        }
        let Some(_changing) = changing else { return Err(busy()) };
        // What is left of an index that could not be built would be taken for one of the upgrade's.
        database.remove_unfinished_indexes()?;
        database.is_upgrading.store(true, Ordering::Release);
        let upgrade = Upgrade {
            database: Arc::clone(database),
            version,
            created: BTreeSet::new(),
            changed: BTreeSet::new(),
            deleted: Vec::new(),
            pending: Vec::new(),
        };
        let (view, schema) = View::begin(database, true);
        let mut stores = Scope::with_capacity(schema.stores.len());
        schema.stores.values().for_each(|store| stores.insert(Involved::new(Arc::clone(store))));
        Ok(Some(Transaction {
            handle: Arc::clone(&self.handle),
            mode: Mode::ReadWrite,
            view,
            stores,
            savepoints: Vec::new(),
            upgrade: Some(Box::new(upgrade)),
        }))
    }

    /// Runs `change` in an upgrade to `version` with the version before, and commits it; says whether there was anything
    /// to upgrade. Waits for an upgrade of another that is under way.
    ///
    /// # Errors
    ///
    /// What `change` gives, after which nothing is changed; `Conflict` where others wrote what the upgrade has read or
    /// written; and as for [`JsonDb::begin_upgrade`].
    pub fn upgrade(
        &self,
        version: u64,
        sync: Option<SyncMode>,
        change: impl FnOnce(&mut Transaction, u64) -> Result<()>,
    ) -> Result<bool> {
        let begun = loop {
            match self.begin_upgrade(version) {
                Err(error) if error.code() == Code::Busy => thread::sleep(BETWEEN_LOOKS),
                begun => break begun?,
            }
        };
        let Some(mut transaction) = begun else { return Ok(false) };
        change(&mut transaction, self.version()?)?;
        transaction.commit(sync)?;
        Ok(true)
    }
}

impl Transaction {
    /// The stores of the transaction and their indexes, each in the order of their names: as it has changed them, where
    /// it is an upgrade.
    #[must_use]
    pub fn schema(&self) -> Vec<StoreSchema> {
        self.stores.as_slice().iter().map(|involved| involved.store.to_schema()).collect()
    }

    /// The version of the schema that the transaction sees; in an upgrade, the one before it. 0 where there is none.
    ///
    /// # Errors
    ///
    /// `Closed`, `Corruption`, `Io`.
    pub fn version(&self) -> Result<u64> {
        self.handle.check_open()?;
        let base = &self.view.base;
        base.database.schema_version(Some(&base.snapshot))
    }

    /// In an upgrade, as [`JsonDb::create_object_store_with_ttl`].
    ///
    /// # Errors
    ///
    /// `Unsupported` in a transaction that is no upgrade, and as for [`JsonDb::create_object_store_with_ttl`].
    pub fn create_object_store(
        &mut self,
        name: &str,
        options: StoreOptions,
        default_ttl_ms: u64,
    ) -> Result<()> {
        self.handle.check_open()?;
        check_name("store", name)?;
        options.check()?;
        let upgrade = self.upgrade.as_mut().ok_or_else(no_upgrade)?;
        if let Some(Involved { store, .. }) = self.stores.get(name) {
            let is_same = store.options == options && store.default_ttl_ms == default_ttl_ms;
            return if is_same { Ok(()) } else { Err(exists("store", name)) };
        }
        if self.stores.len() >= STORES_MAX {
            let message = format!("creating store {name:?}: a database has at most {STORES_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let id = upgrade.database.draw_id();
        let generator = NEW_STORE.generator;
        let store = StoreDef { default_ttl_ms, ..StoreDef::new(id, name, options, generator)? };
        let (row, bytes) = (state_key(id), NEW_STORE.encode());
        self.view.overlay.check_room([(&row[..], bytes.len())].into_iter())?;
        self.view.overlay.write(row, Some(Value::lasting(bytes)));
        upgrade.created.insert(id);
        upgrade.changed.insert(id);
        self.stores.insert(Involved { written: true, ..Involved::new(Arc::new(store)) });
        Ok(())
    }

    /// In an upgrade, as [`JsonDb::delete_object_store`].
    ///
    /// # Errors
    ///
    /// `Unsupported` in a transaction that is no upgrade, `NotFound`, `Closed`.
    pub fn delete_object_store(&mut self, name: &str) -> Result<()> {
        let id = self.store_to_change(name)?.id;
        let upgrade = self.upgrade.as_mut().ok_or_else(no_upgrade)?;
        for rows in [RowRange::prefix(document_prefix(id)), indexes_range(id), expiries_range(id)] {
            self.view.overlay.clear(rows);
        }
        self.view.overlay.write(state_key(id), None);
        self.stores.remove(name);
        upgrade.changed.remove(&id);
        if !upgrade.created.remove(&id) {
            upgrade.deleted.push(id);
        }
        Ok(())
    }

    /// In an upgrade, as [`JsonDb::create_index`], over the documents as the upgrade has changed them.
    ///
    /// # Errors
    ///
    /// `Unsupported` in a transaction that is no upgrade, `Conflict` where others wrote what the upgrade has read, and as
    /// for [`JsonDb::create_index`]. The transaction stays as it was, then.
    pub fn create_index(&mut self, store: &str, name: &str, options: IndexOptions) -> Result<()> {
        check_name("index", name)?;
        options.check()?;
        let store = self.store_to_change(store)?;
        match store.index(name) {
            Some(index) if index.options != options => return Err(exists("index", name)),
            Some(_) => return Ok(()),
            None => {}
        }
        if store.indexes.len() >= INDEXES_MAX {
            return Err(too_many_indexes(name));
        }
        let upgrade = self.upgrade.as_ref().ok_or_else(no_upgrade)?;
        let id = upgrade.database.draw_id();
        let index = IndexDef { building: false, ..IndexDef::new(id, name, options) };
        if let Err(error) = self.fill_index(&store, &index) {
            self.view.overlay.clear(index_range(store.id, id));
            // Where this fails too, the end of the upgrade or the next open removes it.
            let _ = self.upgrade.as_mut().map_or(Ok(()), |upgrade| upgrade.remove_pending(Some(id)));
            return Err(error);
        }
        let mut indexes = store.indexes.clone();
        indexes.push(index);
        self.change_store(store.with_indexes(indexes, store.version)?);
        Ok(())
    }

    /// In an upgrade, as [`JsonDb::delete_index`].
    ///
    /// # Errors
    ///
    /// `Unsupported` in a transaction that is no upgrade, `NotFound`, `Closed`.
    pub fn delete_index(&mut self, store: &str, name: &str) -> Result<()> {
        let store = self.store_to_change(store)?;
        let id = store.index(name).ok_or_else(|| no_index(&store.name, name))?.id;
        let indexes = store.indexes.iter().filter(|index| index.id != id).cloned().collect();
        let changed = store.with_indexes(indexes, store.version)?;
        self.view.overlay.clear(index_range(store.id, id));
        self.change_store(changed);
        Ok(())
    }

    fn store_to_change(&self, name: &str) -> Result<Arc<StoreDef>> {
        self.handle.check_open()?;
        if self.upgrade.is_none() {
            return Err(no_upgrade());
        }
        let missing = || Error::new(Code::NotFound, format!("there is no object store {}", shown(name)));
        Ok(Arc::clone(&self.stores.get(name).ok_or_else(missing)?.store))
    }

    fn change_store(&mut self, store: StoreDef) {
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.changed.insert(store.id);
        }
        if let Some(involved) = self.stores.get_mut(&store.name) {
            involved.store = Arc::new(store);
        }
    }

    /// Writes the rows of a new index: those of documents that the upgrade has not written to disk, batch by batch, and
    /// those of its own into the overlay.
    fn fill_index(&mut self, store: &Arc<StoreDef>, index: &IndexDef) -> Result<()> {
        let upgrade = self.upgrade.as_mut().ok_or_else(no_upgrade)?;
        let documents = RowRange::prefix(document_prefix(store.id));
        let overlay = &self.view.overlay;
        let is_cleared = overlay.cleared_at(&documents.start).is_some_and(|all| all.end >= documents.end);
        if !upgrade.created.contains(&store.id) && !is_cleared {
            upgrade.build_ahead(store, index, &|row| overlay.get(row).is_some())?;
            // What was just written must be seen from here on.
            self.view.move_on().map_err(|clash| conflict(&clash, self.stores.as_slice()))?;
        }
        let only = store.with_indexes(vec![index.clone()], store.version)?;
        let written = self.view.overlay.walk(&documents, Direction::Forward);
        let rows: Vec<Vec<u8>> =
            written.filter(|(_, value)| value.is_some()).map(|(row, _)| row.to_vec()).collect();
        for row in rows {
            let Some(Some(value)) = self.view.overlay.get(&row) else { continue };
            let (stored, expires_at) = (StoredDocument::decode(&value.bytes, &row)?, value.expires_at);
            let primary = decode_document_key(&row, &documents.start)?;
            let rows = rows_of(&only, &primary, &stored.document)?;
            let change = IndexChange::between(&mut self.view, &only, &primary, OldRows::default(), rows)?;
            self.view.overlay.check_room(change.writes())?;
            change.apply(&mut self.view.overlay, expires_at);
        }
        Ok(())
    }
}

impl Upgrade {
    /// Has every writer maintain the index from now on, and writes its rows for the documents that are there.
    fn build_ahead(
        &mut self,
        store: &StoreDef,
        index: &IndexDef,
        is_left_out: &dyn Fn(&[u8]) -> bool,
    ) -> Result<()> {
        let (index, started) = {
            let next_id = self.database.changing_schema.lock();
            let published = Arc::clone(self.database.schema().store(&store.name)?);
            if published.indexes.len() >= INDEXES_MAX {
                return Err(too_many_indexes(&index.name));
            }
            let name = name_while_built(&published, &index.name);
            let index = IndexDef { name, building: true, ..index.clone() };
            let mut indexes = published.indexes.clone();
            indexes.push(index.clone());
            let mut batch = WriteBatch::new();
            batch.put(META_KEY, &self.database.ledger.lock().meta_row(*next_id))?;
            self.pending.push((store.name.clone(), index.id));
            let next = published.with_indexes(indexes, published.version + 1)?;
            let started = self.database.replace_store(batch, next)?;
            (index, started)
        };
        self.database.build_index_without(&store.name, &index, started, is_left_out)
    }

    /// Removes one index from those that are being built, or all of them.
    fn remove_pending(&mut self, id: Option<u64>) -> Result<()> {
        let _changing = self.database.changing_schema.lock();
        let mut removed = Ok(());
        for (name, index) in std::mem::take(&mut self.pending) {
            if id.is_some_and(|id| id != index) {
                self.pending.push((name, index));
                continue;
            }
            let schema = self.database.schema();
            let Ok(store) = schema.store(&name) else { continue };
            if let Err(error) = self.database.remove_index(store, index) {
                self.pending.push((name, index));
                removed = Err(error);
            }
        }
        removed
    }

    /// How the schema changes to that of `stores`, where it was `before`.
    fn to_change(&self, stores: &[Involved], before: &Schema, next_id: u64) -> SchemaChange {
        let mut next = Schema::default();
        let mut rows = vec![(SCHEMA_VERSION_KEY.to_vec(), Some(encode_schema_version(self.version)))];
        rows.extend(self.deleted.iter().map(|id| (catalog_key(*id), None)));
        for Involved { store, .. } in stores {
            let mut store = Arc::clone(store);
            if self.changed.contains(&store.id) {
                let is_same = |other: &&Arc<StoreDef>| other.id == store.id;
                let version = before.stores.get(&store.name).filter(is_same).map_or(0, |old| old.version + 1);
                store = Arc::new(StoreDef { version, ..StoreDef::clone(&store) });
                rows.push((catalog_key(store.id), Some(store.encode())));
            }
            next.stores.insert(store);
        }
        let is_deleted = |store: &&Arc<StoreDef>| self.deleted.contains(&store.id);
        let deleted =
            before.stores.values().filter(is_deleted).map(|store| Arc::from(&*store.name)).collect();
        SchemaChange { next, rows, created: self.created.iter().copied().collect(), deleted, next_id }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        // Where this fails, the next open removes them.
        let _ = self.remove_pending(None);
        self.database.is_upgrading.store(false, Ordering::Release);
    }
}

/// Makes everything that an upgrade has changed visible and durable at once. Returns the place of the commit in the order
/// of all commits.
pub(super) fn commit(transaction: Transaction, mut upgrade: Upgrade, sync: Option<SyncMode>) -> Result<u64> {
    transaction.handle.check_open()?;
    let database = Arc::clone(&upgrade.database);
    let stores = transaction.stores.into_vec();
    let committed = {
        let next_id = database.changing_schema.lock();
        let change = upgrade.to_change(&stores, &database.schema(), *next_id);
        commit_with_schema(transaction.view, stores, change, sync)?
    };
    upgrade.pending.clear();
    let mut ledger = database.ledger.lock();
    upgrade.deleted.iter().for_each(|store| ledger.remove_store(*store));
    drop(ledger);
    Ok(committed)
}

impl Database {
    fn schema_version(&self, snapshot: Option<&Snapshot>) -> Result<u64> {
        let row = self.engine.get(SCHEMA_VERSION_KEY, snapshot)?;
        row.map_or(Ok(0), |row| decode_schema_version(&row.bytes))
    }

    /// An id that no store or index has or had.
    fn draw_id(&self) -> u64 {
        let mut next_id = self.changing_schema.lock();
        let id = *next_id;
        *next_id += 1;
        id
    }
}

/// What an index is called while it is built: much as it will be, because messages name it, and as no other one of the store.
/// The upgrade may have deleted one of the same name, which others still read.
fn name_while_built(store: &StoreDef, name: &str) -> String {
    // What is put behind it has to have room, too.
    let room = NAME_BYTES_MAX - BUILT.len() - INDEXES_MAX;
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= room;
    let mut built: String = name.char_indices().take_while(fits).map(|(_, c)| c).collect();
    built.push_str(BUILT);
    while store.index(&built).is_some() {
        built.push('+');
    }
    built
}

fn busy() -> Error {
    Error::new(Code::Busy, "another upgrade is under way, or an index is being built: wait for it")
}

fn no_upgrade() -> Error {
    Error::new(
        Code::Unsupported,
        "stores and indexes are changed on the database or in an upgrade, not in a transaction",
    )
}

fn too_many_indexes(name: &str) -> Error {
    let message = format!(
        "creating index {name:?}: a store has at most {INDEXES_MAX}, with those that the upgrade has deleted"
    );
    Error::new(Code::InvalidArgument, message)
}
