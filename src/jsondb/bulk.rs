//! Calls on many documents at once: each changes all that it names, or nothing.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::conflict::successor;
use super::deletion::{Deletion, Doomed};
use super::key::{Key, KeyRange};
use super::overlay::Overlay;
use super::rows::{RowRange, StoredDocument, decode_document_key, document_prefix};
use super::schema::StoreDef;
use super::transaction::Transaction;
use super::view::View;
use super::{Document, Row};
use crate::engine::Direction;
use crate::error::Result;

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
        let mut deletion = Deletion::new(Arc::clone(&store), Some(rows.clone()));
        let mut left = rows.clone();
        loop {
            let part = self.read_part(&store, &left)?;
            part.documents.into_iter().try_for_each(|one| deletion.add_read(&mut self.view, one))?;
            let Some(next) = part.next else { break };
            left.start = next;
        }
        let View { base, overlay, reads } = &mut self.view;
        base.walked_to_write(overlay, reads, rows);
        Ok(deletion.apply(self))
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

    /// Runs `work`; where it fails, everything that it wrote is taken back. A panic in it is a failure, too, and goes on
    /// when that is done: whoever catches it finds the transaction as it was.
    pub(crate) fn all_or_none<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let stores = self.stores.clone();
        // Where nothing has been written before, nothing of it has to be kept to go back to.
        let place = (!self.view.overlay.has_no_past()).then(|| self.view.overlay.save());
        // Caught and not left to a `Drop`: a second panic there would end the process.
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if !matches!(done, Ok(Ok(_))) {
            match place {
                Some(place) => self.view.overlay.roll_back(place),
                None => self.view.overlay = Overlay::default(),
            }
            let undone = std::mem::replace(&mut self.stores, stores);
            // What was generated stays taken, until somebody gives it back.
            for one in undone.into_vec() {
                if let Some(kept) = self.stores.get_mut(&one.store.name) {
                    kept.generated = one.generated;
                }
            }
        }
        if place.is_some() {
            self.view.overlay.release();
        }
        done.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

/// Some of the documents of a range.
struct Part {
    documents: Vec<Doomed>,
    /// The row where the next part begins.
    next: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Format, JsonDb, KeyPath, Mode, StoreOptions};

    fn put(transaction: &mut Transaction, id: u32) {
        let bytes = format!("{{\"id\":{id}}}").into_bytes();
        transaction.put("items", None, Document { format: Format::Json, bytes }).unwrap();
    }

    /// What a savepoint of the call's own would leave behind would count as one of the user's.
    #[test]
    fn a_panic_in_a_call_on_many_leaves_the_transaction_and_its_savepoints_as_they_were() {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        let options = StoreOptions { key_path: Some(KeyPath::One("id".into())), auto_increment: false };
        db.create_object_store("items", options).unwrap();
        let mut transaction = db.begin(&["items"], Mode::ReadWrite).unwrap();
        put(&mut transaction, 1);
        let savepoint = transaction.savepoint().unwrap();
        put(&mut transaction, 2);

        let panicked = catch_unwind(AssertUnwindSafe(|| {
            transaction.all_or_none::<()>(|transaction| {
                put(transaction, 3);
                panic!("while many were put");
            })
        }));

        assert!(panicked.is_err());
        assert_eq!(transaction.count("items", &KeyRange::all()).unwrap(), 2);
        put(&mut transaction, 4);
        transaction.rollback_to(savepoint).unwrap();
        assert_eq!(transaction.count("items", &KeyRange::all()).unwrap(), 1);
        put(&mut transaction, 5);
        transaction.commit(None).unwrap();
        let mut after = db.begin(&["items"], Mode::ReadOnly).unwrap();
        let is_there = [1, 2, 3, 4, 5].map(|id| after.get("items", &Key::from_i64(id)).unwrap().is_some());
        assert_eq!(is_there, [true, false, false, false, true]);
    }
}
