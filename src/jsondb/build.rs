//! Filling a new index from the documents that were there before it.
//!
//! The index is in the catalog as "building" from before the first batch: every transaction that commits after that
//! maintains it, and readers and writers go on. So only documents that were written no later than `started` are of
//! interest here, and one that is changed meanwhile needs nothing any more; one whose row has lost its seqno since is taken for an
//! old one, and gets the rows that it has. Each batch is a small transaction that
//! conflicts with changes of its own documents only; a conflict takes at least one document off the work, so that the
//! build ends however much is written.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::commit::{Involved, commit_view};
use super::conflict::successor;
use super::index::{IndexChange, OldRows, rows_of};
use super::ledger::Database;
use super::rows::{RowRange, StoredDocument, decode_document_key, document_prefix};
use super::schema::{IndexDef, StoreDef};
use super::view::View;
use crate::config::SyncMode;
use crate::engine::{Direction, ScanRange};
use crate::error::{Code, Result};

/// A batch ends after so many documents.
const BATCH_DOCUMENTS_MAX: usize = 1_000;

/// A batch ends after so many bytes of documents.
const BATCH_BYTES_MAX: usize = 1 << 20;

impl Database {
    /// Writes the rows of `index` for every document that was last written at or below the seqno `started`.
    ///
    /// # Errors
    ///
    /// `Constraint` when two documents have the same key and the index is unique.
    pub(crate) fn build_index(self: &Arc<Self>, store: &str, index: &IndexDef, started: u64) -> Result<()> {
        self.build_index_without(store, index, started, &|_| false)
    }

    /// As [`Database::build_index`], without the documents of whose rows `is_left_out` says so.
    pub(crate) fn build_index_without(
        self: &Arc<Self>,
        store: &str,
        index: &IndexDef,
        started: u64,
        is_left_out: &dyn Fn(&[u8]) -> bool,
    ) -> Result<()> {
        let store = Arc::clone(self.schema().store(store)?);
        // The store as if it had no other index: what the others say of a document does not change here.
        let only = Arc::new(store.with_indexes(vec![index.clone()], store.version)?);
        let mut rest = RowRange::prefix(document_prefix(store.id));
        loop {
            let (mut view, _) = View::begin(self, true);
            let done_to = fill(&mut view, &only, &rest, &|row, seqno| seqno <= started && !is_left_out(row))?;
            let involved = Involved::unchanged(Arc::clone(&store));
            // Not synced here: what makes the index readable is written later, and so never survives without it.
            match commit_view(view, vec![involved], Some(SyncMode::Never)) {
                Err(error) if error.code() == Code::Conflict => {}
                Err(error) => return Err(error),
                Ok(_) => match done_to {
                    Some(last) => rest.start = successor(&last),
                    None => return Ok(()),
                },
            }
        }
    }
}

/// Writes the index rows of one batch of the documents in `rest` into `view`. Returns the row of the last document,
/// or `None` when there is nothing behind the batch.
fn fill(
    view: &mut View,
    store: &StoreDef,
    rest: &RowRange,
    is_wanted: &dyn Fn(&[u8], u64) -> bool,
) -> Result<Option<Vec<u8>>> {
    let prefix = document_prefix(store.id);
    let range = ScanRange::between(rest.start.clone(), rest.end.clone());
    let database = Arc::clone(&view.base.database);
    let mut scan = database.engine.scan(range, Direction::Forward, Some(&view.base.snapshot))?;
    let (mut documents, mut bytes) = (0, 0);
    while scan.advance()? {
        if is_wanted(scan.key(), scan.seqno()) {
            let primary = decode_document_key(scan.key(), &prefix)?;
            let stored = StoredDocument::decode(scan.value(), scan.key())?;
            let rows = rows_of(store, &primary, &stored.document)?;
            view.reads.point(scan.key());
            let change = IndexChange::between(view, store, &primary, OldRows::default(), rows)?;
            change.apply(&mut view.overlay, stored.expires_at);
        }
        documents += 1;
        bytes += scan.value().len();
        if documents >= BATCH_DOCUMENTS_MAX || bytes >= BATCH_BYTES_MAX {
            return Ok(Some(scan.key().to_vec()));
        }
    }
    Ok(None)
}
