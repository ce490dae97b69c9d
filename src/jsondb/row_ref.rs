//! A row as it is read, where it lies: what pages are made of before anything is copied.
#![forbid(unsafe_code)]

use super::key::Key;
use super::rows::StoredDocument;
use super::{Document, Format, Row};
use crate::error::Result;

/// A row where it lies, lent for the time of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// The primary key, encoded.
    pub key: &'a [u8],
    /// The key by which an index has it, encoded, where it is read through one.
    pub index_key: Option<&'a [u8]>,
    /// What the bytes of the document are; `Raw` where only keys were asked for.
    pub format: Format,
    /// The document; empty where only keys were asked for.
    pub document: &'a [u8],
    /// As in [`Row::version`].
    pub version: u64,
    /// As in [`Row::updated_at`].
    pub updated_at: u64,
    /// As in [`Row::expires_at`].
    pub expires_at: u64,
}

impl<'a> RowRef<'a> {
    /// A row whose document was not asked for.
    pub(super) fn of_keys(key: &'a [u8], index_key: Option<&'a [u8]>) -> Self {
        let (format, document) = (Format::Raw, &[][..]);
        Self { key, index_key, format, document, version: 0, updated_at: 0, expires_at: 0 }
    }

    /// The row with these keys, which have been checked, and the document of `value`, which stands at `row`.
    #[inline]
    pub(super) fn decode(
        key: &'a [u8],
        index_key: Option<&'a [u8]>,
        mut value: &'a [u8],
        row: &[u8],
    ) -> Result<Self> {
        let (format, version, updated_at, expires_at) = StoredDocument::header(&mut value, row)?;
        Ok(Self { key, index_key, format, document: value, version, updated_at, expires_at })
    }

    /// What it counts for in a page.
    pub(super) fn size(&self) -> usize {
        self.key.len() + self.index_key.map_or(0, <[u8]>::len) + self.document.len()
    }

    /// A copy of it.
    #[must_use]
    pub fn to_row(self) -> Row {
        Row {
            key: Key::of_checked(self.key),
            index_key: self.index_key.map(Key::of_checked),
            document: Document { format: self.format, bytes: self.document.to_vec() },
            version: self.version,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
        }
    }
}

impl<'a> From<&'a Row> for RowRef<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            key: row.key.as_bytes(),
            index_key: row.index_key.as_ref().map(Key::as_bytes),
            format: row.document.format,
            document: &row.document.bytes,
            version: row.version,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
        }
    }
}
