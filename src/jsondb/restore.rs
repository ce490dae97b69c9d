//! Putting a document back as it was elsewhere: with its version, its time of writing and its expiry.
#![forbid(unsafe_code)]

use super::Document;
use super::key::Key;
use super::rows::StoredDocument;
use super::transaction::{Keyed, Transaction, keyed, pass_generator};
use crate::error::{Code, Error, Result};

/// What is known of a document beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// How often it was written; 1 or more.
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
    /// `InvalidKey` where the store finds another key in the document, `InvalidArgument` for a version of 0, and as for
    /// [`Transaction::put`].
    pub fn restore(&mut self, store: &str, key: &Key, document: Document, facts: Facts) -> Result<bool> {
        let store = self.store_to_write(store)?;
        let Facts { version, updated_at, expires_at } = facts;
        if version == 0 {
            return Err(Error::new(Code::InvalidArgument, "a document of version 0: the first is 1"));
        }
        let given = store.options.key_path.is_none().then(|| key.clone());
        let Keyed { key: found, keys, document } = keyed(&store, given, document)?;
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
        let stored = StoredDocument { document, version, updated_at, expires_at };
        let rows = keys.index_rows(&store, key);
        self.replace_document(&store, key, old.as_ref(), &stored, rows)?;
        pass_generator(&store, key);
        Ok(true)
    }
}
