//! Deleting many documents as a whole: what goes with them is gathered first, and then written, or not.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Document;
use super::expiry::ExpiryChange;
use super::index::{IndexChange, OldRows, rows_of};
use super::key::Key;
use super::rows::{RowKey, RowRange, document_key};
use super::schema::StoreDef;
use super::transaction::Transaction;
use super::view::View;
use crate::error::Result;

/// So many documents of a range are deleted one by one; where there are more, the range itself is, so that neither the
/// transaction nor the list of what was written grows with them.
pub(crate) const DELETED_SINGLY_MAX: usize = 1_000;

/// A document that is to go.
pub(super) struct Doomed {
    pub(super) key: Key,
    /// `None` where the store has no indexes.
    pub(super) document: Option<Document>,
    pub(super) expires_at: u64,
}

/// Documents that are to be deleted.
pub(super) struct Deletion {
    store: Arc<StoreDef>,
    /// Where all documents of a range go.
    range: Option<RowRange>,
    /// The rows of the documents; of those of a range, while they are few.
    documents: Vec<Vec<u8>>,
    index_rows: Vec<RowKey>,
    expiries: Vec<ExpiryChange>,
    /// What all of that will cost in the overlay.
    bytes: usize,
    count: u64,
}

impl Deletion {
    /// Of documents that will be added, each once; of all in `range` where there is one.
    pub(super) fn new(store: Arc<StoreDef>, range: Option<RowRange>) -> Self {
        let (documents, index_rows, expiries) = (Vec::new(), Vec::new(), Vec::new());
        Self { store, range, documents, index_rows, expiries, bytes: 0, count: 0 }
    }

    /// Adds the document under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when the transaction would write more than it may, `Corruption`, `Io`.
    pub(super) fn add(&mut self, transaction: &mut Transaction, key: Key) -> Result<()> {
        let Some(old) = transaction.read_to_write(&self.store, &key)? else { return Ok(()) };
        let doomed = Doomed { key, document: Some(old.document), expires_at: old.expires_at };
        self.add_read(&mut transaction.view, doomed)
    }

    /// Adds a document that was read.
    ///
    /// # Errors
    ///
    /// As for [`Deletion::add`].
    pub(super) fn add_read(&mut self, view: &mut View, doomed: Doomed) -> Result<()> {
        let Doomed { key, document, expires_at } = doomed;
        let store = &self.store;
        self.count += 1;
        if self.range.is_none() || self.documents.len() <= DELETED_SINGLY_MAX {
            let row = document_key(store.id, &key);
            self.bytes += view.overlay.added_by(&row);
            self.documents.push(row);
        }
        if expires_at != 0 {
            let change = ExpiryChange::between(store, &key, expires_at, 0);
            self.bytes += change.writes().map(|(row, _)| view.overlay.added_by(row)).sum::<usize>();
            self.expiries.push(change);
        }
        if let Some(document) = document {
            let rows = rows_of(store, &key, &document)?;
            let old = OldRows { rows: &rows, expire: expires_at != 0, expire_anew: false };
            let change = IndexChange::between(view, store, &key, old, Vec::new())?;
            self.bytes += change.deletes.iter().map(|row| view.overlay.added_by(row)).sum::<usize>();
            self.index_rows.extend(change.deletes);
        }
        view.overlay.check_more(self.bytes)
    }

    /// Deletes what was added, and says how many documents that were.
    pub(super) fn apply(self, transaction: &mut Transaction) -> u64 {
        if self.count == 0 {
            return 0;
        }
        let view = &mut transaction.view;
        match self.range {
            Some(range) if self.documents.len() > DELETED_SINGLY_MAX => view.overlay.clear(range),
            _ => self.documents.into_iter().for_each(|row| view.overlay.write(row, None)),
        }
        for row in self.index_rows {
            view.overlay.write(row, None);
        }
        for change in self.expiries {
            change.apply(view);
        }
        transaction.note_written(&self.store, -i64::try_from(self.count).unwrap_or(i64::MAX));
        self.count
    }
}
