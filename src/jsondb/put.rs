//! Writing a document under a condition or with an expiry, and changing the expiry alone.
#![forbid(unsafe_code)]

use super::Document;
#[cfg(feature = "node")]
use super::DocumentRef;
use super::expiry::Expires;
use super::index::rows_of;
use super::key::Key;
use super::rows::StoredDocument;
use super::schema::StoreDef;
use super::transaction::Transaction;
use crate::error::{Code, Error, Result};

/// How a document is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PutOptions {
    /// When it expires.
    pub expires: Expires,
    /// Only where the document under the key has this version; 0 is where there is none.
    pub if_version: Option<u64>,
    /// Only where there is no document under the key.
    pub if_absent: bool,
}

impl PutOptions {
    /// Fails where what is there is not what was asked for: `old` is the version of the document.
    pub(super) fn check(&self, store: &StoreDef, key: &Key, old: Option<u64>) -> Result<()> {
        let found = old.unwrap_or(0);
        let store = &store.name;
        let message = match self.if_version {
            Some(expected) if expected != found => {
                let name = |version| match version {
                    0 => "none".to_owned(),
                    version => format!("version {version}"),
                };
                let (expected, found) = (name(expected), name(found));
                format!(
                    "writing the document {key} of {store:?}: {expected} was expected, and there is {found}"
                )
            }
            _ if self.if_absent && old.is_some() => {
                format!(
                    "adding the document {key} to {store:?}: there is one with this key, of version {found}"
                )
            }
            _ => return Ok(()),
        };
        Err(Error::new(Code::Constraint, message))
    }
}

impl Transaction {
    /// As [`Transaction::put`], under the conditions and with the expiry of `options`. A document whose expiry has come
    /// already is not stored, and what was under its key is deleted.
    ///
    /// # Errors
    ///
    /// `Constraint` where a condition of `options` is not met, and as for [`Transaction::put`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the document is given away; whether it is copied is our business"
    )]
    pub fn put_with(
        &mut self,
        store: &str,
        key: Option<Key>,
        document: Document,
        options: PutOptions,
    ) -> Result<Key> {
        self.store_document(store, key, document.lent(), options)
    }

    /// As [`Transaction::put_with`], with a document that lies elsewhere.
    #[cfg(feature = "node")]
    pub(crate) fn put_lent(
        &mut self,
        store: &str,
        key: Option<Key>,
        document: DocumentRef<'_>,
        options: PutOptions,
    ) -> Result<Key> {
        self.store_document(store, key, document, options)
    }

    /// For how many milliseconds the document under `key` will still be there: 0 where it never expires, `None` where there
    /// is no document.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::get`].
    pub fn time_left_ms(&mut self, store: &str, key: &Key) -> Result<Option<u64>> {
        let expires_at = self.get(store, key)?.map(|row| row.expires_at);
        // One that is there expires later than now.
        Ok(expires_at.map(|moment| moment.saturating_sub(self.view.base.now_ms())))
    }

    /// Changes when the document under `key` expires, and says whether there is one. Its version and its time of
    /// writing stay. In the past, it is deleted.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, and as for [`Transaction::get`].
    pub fn touch(&mut self, store: &str, key: &Key, expires: Expires) -> Result<bool> {
        let store = self.store_to_write(store)?;
        let Some(old) = self.read_to_write(&store, key)? else { return Ok(false) };
        let now_ms = self.view.base.now_ms();
        let expires_at = expires.at(&store, now_ms);
        if expires_at == old.expires_at {
            return Ok(true);
        }
        if expires_at != 0 && expires_at <= now_ms {
            self.remove_document(&store, key, &old)?;
            return Ok(true);
        }
        let rows = rows_of(&store, key, &old.document)?;
        let touched = StoredDocument { expires_at, ..old.clone() };
        self.replace_document(&store, key, Some(&old), &touched, rows)?;
        Ok(true)
    }
}
