//! The catalog: reading the stores on open, and changing them.
//!
//! A schema change is one batch: the catalog row and, where something goes, the ranges of its rows. It conflicts
//! with the transactions that are under way in its store, which follow the schema they began with.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use super::generator::GENERATED_KEY_FIRST;
use super::ledger::{CountChange, Database, Ledger};
use super::purger::Purger;
use super::rows::{
    META_KEY, ROWS_VERSION_FIRST, RowRange, StoreState, catalog_key, catalog_range, damaged,
    decode_catalog_key, decode_meta, document_prefix, expiries_range, index_range, indexes_range, state_key,
};
use super::schema::{
    INDEXES_MAX, IndexDef, IndexOptions, STORES_MAX, Schema, StoreDef, StoreOptions, check_name,
};
use crate::config::SyncMode;
use crate::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use crate::error::{Code, Error, Result, shown};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// The first id of a store or index.
const FIRST_ID: u64 = 1;

impl Database {
    /// Reads the catalog of the database in `engine`; what a crash left of an index build is removed.
    pub(crate) fn open(engine: Engine) -> Result<Self> {
        let (version, next_id) = match engine.get(META_KEY, None)? {
            Some(meta) => decode_meta(&meta.bytes)?,
            None => (ROWS_VERSION_FIRST, FIRST_ID),
        };
        let mut schema = Schema::default();
        let mut states = HashMap::new();
        let RowRange { start, end } = catalog_range();
        let mut rows = engine.scan(ScanRange::between(start, end), Direction::Forward, None)?;
        while rows.advance()? {
            let store = load_store(&engine, rows.key(), rows.value(), next_id, &mut states)?;
            if schema.stores.insert(Arc::new(store)).is_some() {
                return Err(damaged("a catalog row", rows.key(), "another store has the same name"));
            }
        }
        drop(rows);
        let ledger = Arc::new(Mutex::new(Ledger::new(schema, states, version, next_id)));
        let schema_epoch = Arc::clone(&ledger.lock().schema_epoch);
        let (changing_schema, purger) = (Mutex::new(next_id), Purger::default());
        let is_upgrading = AtomicBool::new(false);
        let feed = Arc::default();
        let database = Self { engine, ledger, schema_epoch, changing_schema, purger, is_upgrading, feed };
        // A full disk must not keep a database from being read: an index that stays goes with the next attempt to
        // create it, and until then is maintained, and not read.
        let _ = database.remove_unfinished_indexes();
        Ok(database)
    }

    /// Closes the engine. How far generators got in transactions that did not commit is written first.
    pub(crate) fn close(&self) -> Result<()> {
        self.purger.stop();
        // Where this fails, numbers that nobody has seen in the database may be given again: closing goes on.
        let _ = self.write_generators();
        self.engine.close()
    }

    pub(super) fn write_generators(&self) -> Result<()> {
        let stores = self.ledger.lock().unwritten_generators(self.engine.visible_seqno());
        if stores.is_empty() {
            return Ok(());
        }
        let ledger = Arc::clone(&self.ledger);
        let check = Box::new(move |batch: &mut WriteBatch, seqno: u64| {
            let mut ledger = ledger.lock();
            ledger.retract(seqno);
            let schema = Arc::clone(ledger.schema_next());
            let mut current = stores.iter().filter_map(|store| schema.stores.get(&store.name));
            current.try_for_each(|store| ledger.update_state(seqno, store, CountChange::default(), batch))
        });
        self.engine.commit(WriteBatch::new(), CommitOptions { sync: None, check: Some(check) })?;
        Ok(())
    }

    /// Creates a store, or finds that it exists as described.
    pub(crate) fn create_store(&self, name: &str, options: StoreOptions, default_ttl_ms: u64) -> Result<()> {
        self.create_store_with(name, options, default_ttl_ms, None).map(drop)
    }

    /// As [`Database::create_store`], as durable as `sync` says. Says whether the store is new.
    pub(super) fn create_store_with(
        &self,
        name: &str,
        options: StoreOptions,
        default_ttl_ms: u64,
        sync: Option<SyncMode>,
    ) -> Result<bool> {
        check_name("store", name)?;
        options.check()?;
        let is_same = |store: &StoreDef| store.options == options && store.default_ttl_ms == default_ttl_ms;
        // Nothing has to change, so that nobody has to be waited for.
        if self.schema().stores.get(name).is_some_and(|store| is_same(store)) {
            return Ok(false);
        }
        let mut next_id = self.change_schema()?;
        let schema = self.schema();
        if let Some(store) = schema.stores.get(name) {
            return if is_same(store) { Ok(false) } else { Err(exists("store", name)) };
        }
        if schema.stores.len() >= STORES_MAX {
            let message = format!("creating store {name:?}: a database has at most {STORES_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let id = *next_id;
        let store = StoreDef { default_ttl_ms, ..StoreDef::new(id, name, options, GENERATED_KEY_FIRST)? };
        let state = StoreState { count: 0, generator: GENERATED_KEY_FIRST };
        let mut batch = WriteBatch::new();
        batch.put(META_KEY, &self.ledger.lock().meta_row(id + 1))?;
        batch.put(&catalog_key(id), &store.encode())?;
        batch.put(&state_key(id), &state.encode())?;
        // Counted before the commit, so that the store is known wherever the schema with it is.
        self.ledger.lock().add_store(id, state);
        let committed = self.commit_schema_as(batch, schema.with(store), &[], sync);
        if committed.is_err() {
            self.ledger.lock().remove_store(id);
        }
        committed?;
        *next_id = id + 1;
        Ok(true)
    }

    /// Changes the expiry of documents to come. Those who write by the old rule conflict.
    pub(crate) fn set_default_ttl(&self, name: &str, default_ttl_ms: u64) -> Result<()> {
        let _changing = self.change_schema()?;
        let store = Arc::clone(self.schema().store(name)?);
        if store.default_ttl_ms == default_ttl_ms {
            return Ok(());
        }
        let changed = StoreDef { default_ttl_ms, version: store.version + 1, ..StoreDef::clone(&store) };
        self.replace_store(WriteBatch::new(), changed).map(drop)
    }

    /// Removes a store with its documents and indexes, however many they are, in one small batch.
    pub(crate) fn delete_store(&self, name: &str) -> Result<()> {
        let found = self.delete_stores(|schema| schema.stores.get(name).cloned().into_iter().collect())?;
        if found == 0 { self.schema().store(name).map(drop) } else { Ok(()) }
    }

    /// Removes the stores that `choose` finds, as [`Database::delete_store`] does one, and returns how many they are.
    pub(super) fn delete_stores(&self, choose: impl FnOnce(&Schema) -> Vec<Arc<StoreDef>>) -> Result<u64> {
        let _changing = self.change_schema()?;
        let schema = self.schema();
        let stores = choose(&schema);
        if stores.is_empty() {
            return Ok(0);
        }
        let mut batch = WriteBatch::new();
        for store in &stores {
            batch.delete(&catalog_key(store.id))?;
            batch.delete(&state_key(store.id))?;
            delete_rows(&mut batch, &RowRange::prefix(document_prefix(store.id)))?;
            if !store.indexes.is_empty() {
                delete_rows(&mut batch, &indexes_range(store.id))?;
            }
            delete_rows(&mut batch, &expiries_range(store.id))?;
        }
        let names: Vec<Arc<str>> = stores.iter().map(|store| Arc::from(&*store.name)).collect();
        self.commit_schema_as(batch, schema.without(&stores), &names, None)?;
        let mut ledger = self.ledger.lock();
        stores.iter().for_each(|store| ledger.remove_store(store.id));
        Ok(stores.len() as u64)
    }

    /// Creates an index and fills it from the documents that are there, or finds that it exists as described.
    pub(crate) fn create_index(
        self: &Arc<Self>,
        store: &str,
        name: &str,
        options: IndexOptions,
    ) -> Result<()> {
        check_name("index", name)?;
        options.check()?;
        let mut next_id = self.change_schema()?;
        let store = Arc::clone(self.schema().store(store)?);
        match store.index(name) {
            Some(index) if index.options != options => return Err(exists("index", name)),
            // Nobody is building it, or the lock would be held: its build failed and could not clean up.
            Some(index) if index.building => self.remove_index(&store, index.id)?,
            Some(_) => return Ok(()),
            None => {}
        }
        let store = Arc::clone(self.schema().store(&store.name)?);
        if store.indexes.len() >= INDEXES_MAX {
            let message = format!("creating index {name:?}: a store has at most {INDEXES_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let id = *next_id;
        let index = IndexDef::new(id, name, options);
        let mut indexes = store.indexes.clone();
        indexes.push(index.clone());
        let mut batch = WriteBatch::new();
        batch.put(META_KEY, &self.ledger.lock().meta_row(id + 1))?;
        let started = self.replace_store(batch, store.with_indexes(indexes, store.version + 1)?)?;
        *next_id = id + 1;
        self.finish_index(&store.name, &index, started)
    }

    /// Removes an index with its rows, however many they are, in one small batch.
    pub(crate) fn delete_index(&self, store: &str, name: &str) -> Result<()> {
        let _changing = self.change_schema()?;
        let store = Arc::clone(self.schema().store(store)?);
        let index = store.index(name).ok_or_else(|| no_index(&store.name, name))?;
        self.remove_index(&store, index.id)
    }

    /// The right to change the schema, with the next id.
    ///
    /// # Errors
    ///
    /// `Busy` while an upgrade is under way. It may take as long as it likes, so nobody waits for it here.
    fn change_schema(&self) -> Result<MutexGuard<'_, u64>> {
        let next_id = self.changing_schema.lock();
        if self.is_upgrading.load(Ordering::Acquire) {
            let message = "an upgrade of the schema is under way: try again when it is done";
            return Err(Error::new(Code::Busy, message));
        }
        Ok(next_id)
    }

    /// Builds the index and opens it to readers; one that can't be built is removed again.
    fn finish_index(self: &Arc<Self>, store: &str, index: &IndexDef, started: u64) -> Result<()> {
        let built = self.build_index(store, index, started);
        let store = Arc::clone(self.schema().store(store)?);
        let ready =
            built.and_then(|()| self.replace_store(WriteBatch::new(), store.with_index_ready(index.id)));
        if let Err(error) = ready {
            // Where this fails too, the next open or the next attempt to create the index removes it.
            let _ = self.remove_index(&store, index.id);
            return Err(error);
        }
        Ok(())
    }

    pub(super) fn remove_index(&self, store: &StoreDef, index: u64) -> Result<()> {
        let indexes = store.indexes.iter().filter(|other| other.id != index).cloned().collect();
        let mut batch = WriteBatch::new();
        delete_rows(&mut batch, &index_range(store.id, index))?;
        self.replace_store(batch, store.with_indexes(indexes, store.version + 1)?)?;
        Ok(())
    }

    pub(super) fn remove_unfinished_indexes(&self) -> Result<()> {
        for store in self.schema().stores.values() {
            for index in store.indexes.iter().filter(|index| index.building) {
                let current = Arc::clone(self.schema().store(&store.name)?);
                self.remove_index(&current, index.id)?;
            }
        }
        Ok(())
    }

    /// Commits `batch` with the catalog row of `store`, in the place of the store of the same name.
    pub(super) fn replace_store(&self, mut batch: WriteBatch, store: StoreDef) -> Result<u64> {
        batch.put(&catalog_key(store.id), &store.encode())?;
        self.commit_schema(batch, self.schema().with(store))
    }

    /// Commits `batch`, from which on `next` is the schema. Returns the batch's last seqno.
    fn commit_schema(&self, batch: WriteBatch, next: Schema) -> Result<u64> {
        self.commit_schema_as(batch, next, &[], None)
    }

    /// As [`Database::commit_schema`], with the stores that the batch deletes, and as durable as `sync` says.
    fn commit_schema_as(
        &self,
        batch: WriteBatch,
        next: Schema,
        deleted: &[Arc<str>],
        sync: Option<SyncMode>,
    ) -> Result<u64> {
        let next = Arc::new(next);
        let ledger = Arc::clone(&self.ledger);
        let engine = self.engine.clone();
        let ticket = self.feed.ticket();
        let number = ticket.number();
        let (feed, deleted) = (Arc::clone(&self.feed), deleted.to_vec());
        let check = Box::new(move |batch: &mut WriteBatch, seqno: u64| {
            let mut ledger = ledger.lock();
            ledger.retract(seqno);
            if ledger.has_expiry() {
                // The version may have gone up since the batch was made.
                batch.put(META_KEY, &ledger.meta_row(0))?;
            }
            if feed.is_watched() {
                feed.list(number, batch, &[], &deleted)?;
            }
            ledger.publish(seqno, next, engine.visible_seqno());
            Ok(())
        });
        let committed = self.engine.commit(batch, CommitOptions { sync, check: Some(check) })?;
        ticket.settle_plain();
        Ok(committed)
    }
}

fn load_store(
    engine: &Engine,
    row: &[u8],
    value: &[u8],
    next_id: u64,
    states: &mut HashMap<u64, StoreState>,
) -> Result<StoreDef> {
    let id = decode_catalog_key(row)?;
    let state_row = state_key(id);
    let state = engine.get(&state_row, None)?;
    let state = state.ok_or_else(|| damaged("a store's state row", &state_row, "it is missing"))?;
    let state = StoreState::decode(&state.bytes, &state_row)?;
    let store = StoreDef::decode(id, value, state.generator)?;
    if id >= next_id || store.indexes.iter().any(|index| index.id >= next_id) {
        return Err(damaged("a catalog row", row, "it has an id that was not given yet"));
    }
    if states.len() >= STORES_MAX {
        return Err(damaged("a catalog row", row, "there are more stores than a database may have"));
    }
    states.insert(id, state);
    Ok(store)
}

fn delete_rows(batch: &mut WriteBatch, rows: &RowRange) -> Result<()> {
    batch.delete_range(&rows.start, &rows.end)
}

/// An `Exists` that names the store or index.
pub(super) fn exists(what: &str, name: &str) -> Error {
    Error::new(Code::Exists, format!("the {what} {name:?} exists with another definition"))
}

/// A `NotFound` that names the index.
pub(crate) fn no_index(store: &str, name: &str) -> Error {
    Error::new(Code::NotFound, format!("the object store {store:?} has no index {}", shown(name)))
}
