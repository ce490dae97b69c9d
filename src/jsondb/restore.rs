//! Putting a document back as it was elsewhere: with its version, its time of writing and its expiry. And generators, so
//! that they go on where they were.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::Arc;

use super::generator::GENERATED_KEY_MAX;
use super::key::Key;
use super::rows::StoredDocument;
use super::transaction::{Keyed, Transaction, keyed, pass_generator};
use super::{Document, JsonDb};
use crate::error::{Code, Error, Result};

/// The highest version that a document can be put back with: all that reads it as a double reads it as it is.
pub const DOCUMENT_VERSION_MAX: u64 = (1 << 53) - 1;

/// What is known of a document beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// How often it was written; from 1 to [`DOCUMENT_VERSION_MAX`].
    pub version: u64,
    /// When it was written, in milliseconds since 1970.
    pub updated_at: u64,
    /// When it expires, in milliseconds since 1970; 0 is never.
    pub expires_at: u64,
}

impl Transaction {
    /// Stores `document` under `key` with `facts`, in the place of what is there, and says whether it is there now. One
    /// that has expired is not stored, and what was under its key is deleted.
    ///
    /// # Errors
    ///
    /// `InvalidKey` where the store finds another key in the document, `InvalidArgument` for a version of 0 or more than
    /// [`DOCUMENT_VERSION_MAX`], and as for [`Transaction::put`].
    pub fn restore(&mut self, store: &str, key: &Key, document: Document, facts: Facts) -> Result<bool> {
        let store = self.store_to_write(store)?;
        let Facts { version, updated_at, expires_at } = facts;
        if version == 0 || version > DOCUMENT_VERSION_MAX {
            let message = format!("a document of version {version}: it is from 1 to {DOCUMENT_VERSION_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let given = store.options.key_path.is_none().then(|| key.clone());
        let Keyed { key: found, keys, bytes, .. } = keyed(&store, given, document.lent())?;
        if found != *key {
            let message = format!("the document {key} of {:?} has the key {found} in it", store.name);
            return Err(Error::new(Code::InvalidKey, message));
        }
        let old = self.read_to_write(&store, key)?;
        if expires_at != 0 && expires_at <= self.view.base.now_ms() {
            if let Some(old) = &old {
                self.remove_document(&store, key, old)?;
            }
            return Ok(false);
        }
        let store = self.existing(store)?;
        // Another one only where a key was generated into it.
        let changed = if let Cow::Owned(bytes) = bytes { Some(bytes) } else { None };
        let document = Document { format: document.format, bytes: changed.unwrap_or(document.bytes) };
        let stored = StoredDocument { document, version, updated_at, expires_at };
        let rows = keys.index_rows(&store, key);
        self.replace_document(&store, key, old.as_ref(), &stored, rows)?;
        pass_generator(&store, key);
        Ok(true)
    }

    /// The last number that `store` has given to a document as its key, or has passed because it was given one; 0 for
    /// none, and where it generates no keys. Numbers of transactions that have not committed count.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that is not in the scope, `Closed`.
    pub fn last_generated(&self, store: &str) -> Result<u64> {
        let store = self.store(store)?;
        Ok(if store.options.auto_increment { store.generator.next().saturating_sub(1) } else { 0 })
    }
}

impl JsonDb {
    /// Has `store` generate no key up to `last` any more, as if a document had had that key. So a copy never gives a key that
    /// was a document's where it comes from, be it that this was deleted. Nothing where the store generates no keys.
    ///
    /// # Errors
    ///
    /// `NotFound` for the store, `InvalidArgument` for more than 2^53, `ReadOnly`, `Closed`, and what the engine gives.
    pub fn pass_generated(&self, store: &str, last: u64) -> Result<()> {
        let database = self.database()?;
        let store = Arc::clone(database.schema().store(store)?);
        if last > GENERATED_KEY_MAX {
            let message = format!("passing the generated key {last}: the highest is {GENERATED_KEY_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if store.options.auto_increment && last >= store.generator.next() {
            if database.engine.is_read_only() {
                let message = "passing generated keys in a database that was opened read-only";
                return Err(Error::new(Code::ReadOnly, message));
            }
            store.generator.pass(last as f64);
            database.write_generators()?;
        }
        Ok(())
    }
}
