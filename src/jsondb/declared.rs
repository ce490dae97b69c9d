//! Stores that come into being with their first write.
//!
//! An opener says once below which name. A store there that does not exist is an empty one to its readers; to write a
//! document into it creates it, by a commit of its own just before that of the transaction. So a name costs nothing until
//! there is something under it, and to read makes nothing.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use super::catalog::exists;
use super::handle::Handle;
use super::ledger::Database;
use super::rows::{RowRange, document_prefix};
use super::schema::{Schema, StoreDef, StoreOptions, check_name};
use super::scope::Involved;
use super::{JsonDb, Transaction};
use crate::config::SyncMode;
use crate::error::{Code, Error, Result};
use crate::sync::RwLock;

/// Stands between the names of which that of a declared store is made.
pub const DECLARED_SEPARATOR: char = '/';

/// The id of a store that does not exist. No row has it.
const ABSENT_ID: u64 = 0;

/// The version of a store that did not exist when a transaction began, and that somebody else has made since: no schema
/// has it, so that the transaction conflicts.
const MADE_BY_ANOTHER: u64 = u64::MAX;

/// What an opener has declared.
#[derive(Default)]
pub(super) struct Declared(RwLock<Names>);

#[derive(Default)]
struct Names {
    /// The stores are this one and those below it.
    root: Option<String>,
    /// The default expiries that stores are to have.
    default_ttls: HashMap<String, DefaultTtl>,
}

#[derive(Clone, Copy)]
struct DefaultTtl {
    ms: u64,
    /// The store has been given it: what another opener says later is not taken back by each write of this one.
    is_settled: bool,
}

impl Declared {
    fn holds(&self, name: &str) -> bool {
        self.0.read().root.as_deref().is_some_and(|root| is_within(root, name))
    }

    fn default_ttl(&self, name: &str) -> Option<DefaultTtl> {
        self.0.read().default_ttls.get(name).copied()
    }

    fn settle(&self, name: &str) {
        if let Some(ttl) = self.0.write().default_ttls.get_mut(name) {
            ttl.is_settled = true;
        }
    }
}

fn is_within(root: &str, name: &str) -> bool {
    name.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(DECLARED_SEPARATOR))
}

impl JsonDb {
    /// From now on, the store `root` and those whose name begins with it and a [`DECLARED_SEPARATOR`] come into being with
    /// their first write by this handle, with keys outside the documents. One that does not exist is read as an empty one.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no name of a store, `Closed`.
    pub fn declare_stores(&self, root: &str) -> Result<()> {
        check_name("store", root)?;
        self.handle.check_open()?;
        self.handle.declared.0.write().root = Some(root.to_owned());
        Ok(())
    }

    /// Gives a store that this handle has declared a default expiry, with the next write into it by this handle; 0 is none.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a store that it has not declared, `Closed`.
    pub fn declare_default_ttl(&self, store: &str, default_ttl_ms: u64) -> Result<()> {
        self.handle.check_open()?;
        if !self.handle.declared.holds(store) {
            let message = format!("a default expiry for the object store {store:?}, which was not declared");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let ttl = DefaultTtl { ms: default_ttl_ms, is_settled: false };
        self.handle.declared.0.write().default_ttls.insert(store.to_owned(), ttl);
        Ok(())
    }

    /// Deletes the store called `name` and all those below it, by one write, however many documents they hold. Returns how
    /// many there were.
    ///
    /// # Errors
    ///
    /// `Busy` while an upgrade is under way, `ReadOnly`, `Closed`, and what the engine gives.
    pub fn delete_stores_within(&self, name: &str) -> Result<u64> {
        self.handle.check_open()?;
        self.handle.database.delete_stores(|schema| {
            let below = format!("{name}{DECLARED_SEPARATOR}");
            schema.stores.get(name).into_iter().chain(schema.stores.below(&below)).cloned().collect()
        })
    }

    /// The next parts of the names of stores below the store called `name`, in order: also that of one that does not exist
    /// and has others below it.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn store_names_within(&self, name: &str) -> Result<Vec<String>> {
        self.handle.check_open()?;
        let below = format!("{name}{DECLARED_SEPARATOR}");
        let schema = self.handle.database.schema();
        let mut names: Vec<String> = Vec::new();
        for store in schema.stores.below(&below) {
            let rest = &store.name[below.len()..];
            let next = rest.split(DECLARED_SEPARATOR).next().unwrap_or(rest);
            if names.last().is_none_or(|last| last != next) {
                names.push(next.to_owned());
            }
        }
        // "a", "a!" and "a/b" are in the order of the whole names.
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

impl Handle {
    /// The store called `name` as a transaction that begins with `schema` has it.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Exists` where it was declared and is a store of another kind.
    pub(super) fn involved(&self, schema: &Schema, name: &str) -> Result<Involved> {
        let is_declared = self.declared.holds(name);
        let store = match schema.stores.get(name) {
            Some(store) if is_declared && store.options != StoreOptions::default() => {
                return Err(exists("store", name));
            }
            Some(store) => Arc::clone(store),
            None if is_declared => Arc::new(self.absent(name)?),
            None => return schema.store(name).map(|store| Involved::new(Arc::clone(store))),
        };
        Ok(Involved::new(store))
    }

    fn absent(&self, name: &str) -> Result<StoreDef> {
        let default_ttl_ms = self.declared.default_ttl(name).map_or(0, |ttl| ttl.ms);
        Ok(StoreDef { default_ttl_ms, ..StoreDef::new(ABSENT_ID, name, StoreOptions::default(), 1)? })
    }

    /// Whether the store called `name` is there, or is read as an empty one where it is not.
    pub(super) fn may_be_read(&self, schema: &Schema, name: &str) -> Result<()> {
        if self.declared.holds(name) { Ok(()) } else { schema.store(name).map(drop) }
    }

    /// Whether [`Handle::settle_default_ttls`] has something to do.
    pub(super) fn has_default_ttls_to_settle(&self, scope: &[&str]) -> bool {
        scope.iter().any(|name| self.declared.default_ttl(name).is_some_and(|ttl| !ttl.is_settled))
    }

    /// Gives the stores that a transaction is about to write to the default expiry that was declared for them. Those that
    /// do not exist get it when they are made.
    pub(super) fn settle_default_ttls(&self, scope: &[&str]) -> Result<()> {
        for &name in scope {
            let ttl = self.declared.default_ttl(name).filter(|ttl| !ttl.is_settled);
            let Some(DefaultTtl { ms, .. }) = ttl else { continue };
            match self.database.set_default_ttl(name, ms) {
                Ok(()) => self.declared.settle(name),
                Err(error) if error.code() == Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl StoreDef {
    /// Whether the store does not exist.
    pub(super) fn is_absent(&self) -> bool {
        self.id == ABSENT_ID
    }
}

impl Involved {
    /// Whether, in the schema that the commit follows, the store is still what the transaction takes it for.
    pub(super) fn is_still_in(&self, schema: &Schema) -> bool {
        match schema.stores.get(&self.store.name) {
            Some(now) => now.id == self.store.id && now.version == self.store.version,
            None => self.store.is_absent(),
        }
    }
}

impl Transaction {
    /// The store, to put a document into: it is made where it does not exist.
    ///
    /// Nobody else can have written into it before it was made; what others write into it from then on conflicts with the
    /// transaction, because it has read the store when that had no id to remember its rows by.
    pub(super) fn existing(&mut self, store: Arc<StoreDef>) -> Result<Arc<StoreDef>> {
        if !store.is_absent() {
            return Ok(store);
        }
        self.view.base.check_may_wait()?;
        let absent = store;
        let made = self.view.base.database.make_declared(&absent.name, absent.default_ttl_ms)?;
        let store = match made {
            (store, true) => store,
            (store, false) => Arc::new(StoreDef { version: MADE_BY_ANOTHER, ..StoreDef::clone(&store) }),
        };
        if let Some(involved) = self.stores.get_mut(&absent.name) {
            involved.store = Arc::clone(&store);
            involved.is_new = true;
        }
        self.view.reads.range(RowRange::prefix(document_prefix(store.id)));
        Ok(store)
    }
}

impl Database {
    /// Makes a store, and says whether it did not exist. It is in the log before anything that is written into it, so it
    /// needs no sync of its own.
    fn make_declared(&self, name: &str, default_ttl_ms: u64) -> Result<(Arc<StoreDef>, bool)> {
        let options = StoreOptions::default();
        let is_new = self.create_store_with(name, options, default_ttl_ms, Some(SyncMode::Never));
        let is_new = match is_new {
            Err(error) if error.code() == Code::Exists => false,
            is_new => is_new?,
        };
        match self.schema().stores.get(name) {
            Some(store) => Ok((Arc::clone(store), is_new)),
            None => {
                let message = format!("the object store {name:?} was deleted as soon as it was made");
                Err(Error::new(Code::Conflict, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_within_another_only_behind_a_separator() {
        assert!(
            is_within("flash", "flash") && is_within("flash", "flash/") && is_within("flash", "flash/a/b")
        );
        assert!(
            !is_within("flash", "flashy") && !is_within("flash", "flas") && !is_within("flash", "/flash")
        );
    }
}
