//! Calls on many documents at once: each changes all that it names, or nothing.
#![forbid(unsafe_code)]

use super::conflict::successor;
use super::expiry::ExpiryChange;
use super::index::{IndexChange, OldRows, rows_of};
use super::key::{Key, KeyRange};
use super::rows::{RowRange, StoredDocument, decode_document_key, document_key, document_prefix};
use super::schema::StoreDef;
use super::transaction::Transaction;
use super::view::View;
use super::{Document, Row};
use crate::engine::Direction;
use crate::error::Result;

/// So many documents of a range are deleted one by one; where there are more, the range itself is, so that neither the
/// transaction nor the list of what was written grows with them.
pub(crate) const DELETED_SINGLY_MAX: usize = 1_000;

/// Documents of a range whose index rows are looked for are read in parts of so many, or of so many bytes.
const PART_ROWS_MAX: usize = 1_000;
const PART_BYTES_MAX: usize = 1 << 20;

impl Transaction {
    /// The documents stored under `keys`, in the order of the keys; `None` for each that is not there.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::get`].
    pub fn get_many(&mut self, store: &str, keys: &[Key]) -> Result<Vec<Option<Row>>> {
        keys.iter().map(|key| self.get(store, key)).collect()
    }

    /// Stores documents as [`Transaction::put`] does each, and returns their keys. All of them or none.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put`], for the first that fails.
    pub fn put_many(&mut self, store: &str, documents: Vec<(Option<Key>, Document)>) -> Result<Vec<Key>> {
        self.all_or_none(|transaction| {
            documents.into_iter().map(|(key, document)| transaction.put(store, key, document)).collect()
        })
    }

    /// Stores documents as [`Transaction::add`] does each, and returns their keys. All of them or none.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::add`], for the first that fails.
    pub fn add_many(&mut self, store: &str, documents: Vec<(Option<Key>, Document)>) -> Result<Vec<Key>> {
        self.all_or_none(|transaction| {
            documents.into_iter().map(|(key, document)| transaction.add(store, key, document)).collect()
        })
    }

    /// Deletes the documents stored under `keys`, and returns how many of them were there.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::delete`]; then none is deleted.
    pub fn delete_many(&mut self, store: &str, keys: &[Key]) -> Result<u64> {
        self.all_or_none(|transaction| {
            let mut count = 0;
            for key in keys {
                count += u64::from(transaction.delete(store, key)?);
            }
            Ok(count)
        })
    }

    /// Deletes every document whose key lies in `range`, and returns how many there were.
    ///
    /// The transaction has read the range then: it conflicts with whoever else writes in it. Memory grows with the rows
    /// that the documents have in indexes, and with those that expire, and not with the documents.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, `NotFound` for a store that is not in the scope, `InvalidArgument` where the index rows of the
    /// documents are more than a transaction takes; then nothing is deleted.
    pub fn delete_range(&mut self, store: &str, range: &KeyRange) -> Result<u64> {
        let store = self.store_to_write(store)?;
        let rows = RowRange::keys(&document_prefix(store.id), range);
        let mut deletion = Deletion::default();
        let mut left = rows.clone();
        loop {
            let part = self.read_part(&store, &left)?;
            deletion.add(&mut self.view, &store, part.documents)?;
            let Some(next) = part.next else { break };
            left.start = next;
        }
        let View { base, overlay, reads } = &mut self.view;
        base.walked_to_write(overlay, reads, rows.clone());
        let count = deletion.count;
        deletion.apply(&mut self.view, rows);
        self.note_written(&store, -i64::try_from(count).unwrap_or(i64::MAX));
        Ok(count)
    }

    fn read_part(&mut self, store: &StoreDef, range: &RowRange) -> Result<Part> {
        let prefix = document_prefix(store.id);
        let needs_documents = !store.indexes.is_empty();
        let View { base, overlay, .. } = &self.view;
        let mut rows = base.rows(overlay, range, Direction::Forward)?;
        let mut part = Part { documents: Vec::new(), next: None };
        let mut bytes = 0;
        while rows.advance()? {
            let expires_at = rows.expires_at();
            let Some((row, value)) = rows.row() else { break };
            let key = decode_document_key(row, &prefix)?;
            let stored =
                if needs_documents { Some(StoredDocument::decode(value, row)?.document) } else { None };
            bytes += row.len() + stored.as_ref().map_or(0, |document| document.bytes.len());
            part.documents.push(Doomed { key, document: stored, expires_at });
            if part.documents.len() >= PART_ROWS_MAX || bytes >= PART_BYTES_MAX {
                part.next = Some(successor(row));
                break;
            }
        }
        Ok(part)
    }

    /// Runs `work`; where it fails, everything that it wrote is taken back.
    fn all_or_none<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let stores = self.stores.clone();
        let place = self.view.overlay.save();
        let done = work(self);
        if done.is_err() {
            self.view.overlay.roll_back(place);
            self.stores = stores;
        }
        self.view.overlay.release();
        done
    }
}

/// Some of the documents of a range.
struct Part {
    documents: Vec<Doomed>,
    /// The row where the next part begins.
    next: Option<Vec<u8>>,
}

/// A document that is to go.
struct Doomed {
    key: Key,
    /// `None` where the store has no indexes.
    document: Option<Document>,
    expires_at: u64,
}

/// What goes with the documents of a range.
#[derive(Default)]
struct Deletion {
    count: u64,
    /// The rows of the documents, while they are few.
    documents: Vec<Vec<u8>>,
    index_rows: Vec<Vec<u8>>,
    expiries: Vec<ExpiryChange>,
    /// What all of that will cost in the overlay.
    bytes: usize,
}

impl Deletion {
    fn add(&mut self, view: &mut View, store: &StoreDef, documents: Vec<Doomed>) -> Result<()> {
        for Doomed { key, document, expires_at } in documents {
            self.count += 1;
            if self.documents.len() <= DELETED_SINGLY_MAX {
                self.documents.push(document_key(store.id, &key));
            }
            if expires_at != 0 {
                let change = ExpiryChange::between(store, &key, expires_at, 0);
                self.bytes +=
                    change.writes().map(|(row, _)| view.overlay.tombstone_bytes(row)).sum::<usize>();
                self.expiries.push(change);
            }
            let Some(document) = document else { continue };
            let rows = rows_of(store, &key, &document)?;
            let old = OldRows { rows: &rows, expire: expires_at != 0, expire_anew: false };
            let change = IndexChange::between(view, store, &key, old, Vec::new())?;
            self.bytes += change.deletes.iter().map(|row| view.overlay.tombstone_bytes(row)).sum::<usize>();
            self.index_rows.extend(change.deletes);
        }
        let documents: usize = self.documents.iter().map(|row| view.overlay.tombstone_bytes(row)).sum();
        view.overlay.check_room_for_bytes(self.bytes + documents)
    }

    fn apply(self, view: &mut View, range: RowRange) {
        if self.documents.len() > DELETED_SINGLY_MAX {
            view.overlay.clear(range);
        } else {
            for row in self.documents {
                view.overlay.write(row, None);
            }
        }
        for row in self.index_rows {
            view.overlay.write(row, None);
        }
        for change in self.expiries {
            change.apply(view);
        }
    }
}
