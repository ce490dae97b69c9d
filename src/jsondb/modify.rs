//! Changing a document by what it holds.
//!
//! Whoever computes a change elsewhere (a function in JavaScript) reads the document with its [`Stamp`] and gives that
//! back with the change, which is made only where the document is still the same. Nothing is held in between.
//!
//! A change counts as a write of the document, and keeps its expiry: only a put begins that anew.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use super::document::merge_patch;
use super::expiry::Expires;
use super::index::DocumentKeys;
use super::key::Key;
use super::put::PutOptions;
use super::transaction::Transaction;
use super::{Document, Format, Row};
use crate::error::{Code, Error, Result};

/// Differs from process to process, so that nobody can make two documents of one stamp.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What tells one state of a document from another, in this process: its version and a hash of what it holds and of its expiry. The
/// version alone begins anew with each document under the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    version: u64,
    hash: u64,
}

impl Stamp {
    /// Of no document.
    pub const MISSING: Self = Self { version: 0, hash: 0 };

    /// Of what was read.
    #[must_use]
    pub fn of(row: Option<&Row>) -> Self {
        row.map_or(Self::MISSING, |row| {
            Self::of_parts(row.document.format, row.expires_at, &row.document.bytes, row.version)
        })
    }

    /// Of a row where it lies.
    #[cfg(feature = "node")]
    pub(crate) fn of_lent(row: &super::RowRef<'_>) -> Self {
        Self::of_parts(row.format, row.expires_at, row.document, row.version)
    }

    fn of_parts(format: Format, expires_at: u64, document: &[u8], version: u64) -> Self {
        let mut hasher = HASHER.build_hasher();
        hasher.write_u8(format as u8);
        hasher.write_u64(expires_at);
        hasher.write(document);
        Self { version, hash: hasher.finish() }
    }

    #[cfg(feature = "node")]
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.version) << 64 | u128::from(self.hash)).to_le_bytes()
    }

    #[cfg(feature = "node")]
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { version: (both >> 64) as u64, hash: both as u64 }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It was made; the stamp is that of the document as it is now.
    Done(Stamp),
    /// The document is no longer the one of the stamp, and nothing was done. This is the one that there is.
    Otherwise(Option<Row>),
}

impl Transaction {
    /// Puts `document` in the place of the one that `stamp` was read of (or of none), or deletes that. The new one
    /// expires when the old one would have; where there was none, as its store says.
    ///
    /// # Errors
    ///
    /// `InvalidKey` where the new document has another key, and as for [`Transaction::put`].
    pub fn change(
        &mut self,
        store: &str,
        key: &Key,
        stamp: Stamp,
        document: Option<Document>,
    ) -> Result<Changed> {
        self.store_to_write(store)?;
        let now = self.get(store, key)?;
        if Stamp::of(now.as_ref()) != stamp {
            return Ok(Changed::Otherwise(now));
        }
        let Some(document) = document else {
            self.delete(store, key)?;
            return Ok(Changed::Done(Stamp::MISSING));
        };
        self.replace(store, key, document, now.as_ref())?;
        Ok(Changed::Done(Stamp::of(self.get(store, key)?.as_ref())))
    }

    /// Merges a JSON merge patch (RFC 7396) into the document stored under `key`, and says whether there was one. What the
    /// patch does not name stays as it is, to the byte, and so does the expiry.
    ///
    /// # Errors
    ///
    /// `InvalidValue` where document or patch is not JSON, `InvalidKey` where the patch changes the key, and as for
    /// [`Transaction::put`].
    pub fn patch(&mut self, store: &str, key: &Key, patch: &[u8]) -> Result<bool> {
        self.store_to_write(store)?;
        let Some(row) = self.get(store, key)? else { return Ok(false) };
        if row.document.format != Format::Json {
            let message = format!("patching the document {key} of {store:?}, which is not JSON");
            return Err(Error::new(Code::InvalidValue, message));
        }
        let bytes = merge_patch(&row.document.bytes, patch)?;
        self.replace(store, key, Document { format: Format::Json, bytes }, Some(&row))?;
        Ok(true)
    }

    /// Puts a document that is to have the key, and the expiry, that it had.
    pub(super) fn replace(
        &mut self,
        store: &str,
        key: &Key,
        document: Document,
        old: Option<&Row>,
    ) -> Result<()> {
        let expires = match old {
            None => Expires::Default,
            Some(Row { expires_at: 0, .. }) => Expires::Never,
            Some(old) => Expires::At(old.expires_at),
        };
        let options = PutOptions { expires, ..PutOptions::default() };
        let definition = self.store(store)?;
        let Some(path) = &definition.options.key_path else {
            return self.put_with(store, Some(key.clone()), document, options).map(drop);
        };
        let found =
            DocumentKeys::read(&definition, document.format, &document.bytes)?.primary(&definition)?;
        if found.as_ref() != Some(key) {
            let found = found.map_or_else(|| "none".to_owned(), |found| found.to_string());
            let message = format!(
                "changing the document {key} of {:?}: the new one has {found} at {path}, and a change keeps the key",
                definition.name
            );
            return Err(Error::new(Code::InvalidKey, message));
        }
        self.put_with(store, None, document, options).map(drop)
    }
}
