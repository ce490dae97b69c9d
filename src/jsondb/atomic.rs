//! Changes in several stores that happen together, and only where documents are as they were read.
#![forbid(unsafe_code)]

use super::key::Key;
use super::number::Reckoning;
use super::transaction::Transaction;
use super::{Document, PutOptions};
use crate::error::Result;

/// What a document has to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The store that it is in.
    pub store: String,
    /// Its key.
    pub key: Key,
    /// Its version; 0 is where there is none.
    pub version: u64,
    /// When it was written, in milliseconds since 1970, if that matters, too: the version begins anew with each document
    /// under the key.
    pub updated_at: Option<u64>,
}

/// One of the changes, of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The store of the document.
    pub store: String,
    /// Its key.
    pub key: Key,
    /// What becomes of it.
    pub made: Made,
}

/// What becomes of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// As [`Transaction::put_with`].
    Put(Document, PutOptions),
    /// As [`Transaction::delete`].
    Deleted,
    /// As [`Transaction::reckon`].
    Reckoned(Reckoning, Document),
}

/// What became of changes under checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// They were made; the version that each document has then, in their order, or 0 where there is none.
    Done(Vec<u64>),
    /// The first check that is not met, by its place. Nothing was changed.
    Unmet(usize),
}

impl Transaction {
    /// Makes the changes in their order, if every check is met before the first of them: all of them or none.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put_with`], [`Transaction::delete`] and [`Transaction::reckon`], for the first that fails.
    pub fn change_if(&mut self, checks: &[Check], changes: Vec<Step>) -> Result<Settled> {
        for (place, check) in checks.iter().enumerate() {
            if !self.is_met(check)? {
                return Ok(Settled::Unmet(place));
            }
        }
        self.all_or_none(|transaction| {
            let changed: Vec<(String, Key)> =
                changes.iter().map(|change| (change.store.clone(), change.key.clone())).collect();
            changes.into_iter().try_for_each(|change| transaction.make(change))?;
            let versions = changed.iter().map(|(store, key)| transaction.version_of(store, key));
            versions.collect::<Result<_>>().map(Settled::Done)
        })
    }

    /// Reads as a write does, so that at any isolation the commit depends on it.
    fn is_met(&mut self, check: &Check) -> Result<bool> {
        let store = self.store_to_write(&check.store)?;
        let found = self.read_to_write(&store, &check.key)?;
        let version = found.as_ref().map_or(0, |found| found.version);
        let is_same_time = match (check.updated_at, &found) {
            (Some(updated_at), Some(found)) => found.updated_at == updated_at,
            _ => true,
        };
        Ok(version == check.version && is_same_time)
    }

    fn make(&mut self, Step { store, key, made }: Step) -> Result<()> {
        match made {
            Made::Put(document, options) => self.put_with(&store, Some(key), document, options).map(drop),
            Made::Deleted => self.delete(&store, &key).map(drop),
            Made::Reckoned(reckoning, given) => self.reckon(&store, &key, reckoning, &given).map(drop),
        }
    }

    fn version_of(&mut self, store: &str, key: &Key) -> Result<u64> {
        let store = self.store(store)?;
        Ok(self.read_to_write(&store, key)?.map_or(0, |found| found.version))
    }
}
