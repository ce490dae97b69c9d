//! Puts and deletes in one store that happen together, and taking a document out at either end of a range.
#![forbid(unsafe_code)]

use super::conflict::successor;
use super::key::{Key, KeyRange};
use super::rows::{RowRange, StoredDocument, decode_document_key, document_prefix};
use super::transaction::{Transaction, row_of};
use super::view::View;
use super::{Document, PutOptions, Row};
use crate::engine::Direction;
use crate::error::Result;

/// Where so many entries that are gone stand before the end of a range that documents are taken out at, one range deletion
/// takes their place: a queue would otherwise get slower with each document that has gone through it. A watch would take
/// that for a change, so it is left where there is one.
const PASSED_MAX: u64 = 256;

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchWrite {
    /// As [`Transaction::put_with`].
    Put(Option<Key>, Document, PutOptions),
    /// As [`Transaction::delete`].
    Delete(Key),
}

impl Transaction {
    /// Makes the changes in their order, all of them or none. Says how many documents were deleted.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put_with`] and [`Transaction::delete`], for the first that fails.
    pub fn write_batch(&mut self, store: &str, writes: Vec<BatchWrite>) -> Result<u64> {
        self.all_or_none(|transaction| {
            let mut deleted = 0;
            for write in writes {
                match write {
                    BatchWrite::Put(key, document, options) => {
                        transaction.put_with(store, key, document, options)?;
                    }
                    BatchWrite::Delete(key) => deleted += u64::from(transaction.delete(store, &key)?),
                }
            }
            Ok(deleted)
        })
    }

    /// Takes out the first document of a range, or the last, and gives it: no other transaction that commits has it.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, and as for [`Transaction::page`] and [`Transaction::delete`].
    pub fn pop(&mut self, store: &str, range: &KeyRange, direction: Direction) -> Result<Option<Row>> {
        let store = self.store_to_write(store)?;
        let prefix = document_prefix(store.id);
        let range = RowRange::keys(&prefix, range);
        let View { base, overlay, reads } = &mut self.view;
        let mut rows = base.rows(overlay, &range, direction)?;
        let found = if rows.advance()? {
            rows.row().map(|(row, value)| (row.to_vec(), value.to_vec()))
        } else {
            None
        };
        let is_worn = rows.passed() >= PASSED_MAX && !base.database.feed.is_watched();
        drop(rows);
        let (seen, empty) = match (&found, direction) {
            (None, _) => (range.clone(), range),
            (Some((row, _)), Direction::Forward) => (range.up_to(successor(row)), range.up_to(row.clone())),
            (Some((row, _)), Direction::Reverse) => {
                (range.down_to(row.clone()), range.down_to(successor(row)))
            }
        };
        base.walked_to_write(overlay, reads, seen);
        let popped = match found {
            Some((row, value)) => {
                let (key, stored) =
                    (decode_document_key(&row, &prefix)?, StoredDocument::decode(&value, &row)?);
                self.remove_document(&store, &key, &stored)?;
                Some(row_of(key, None, stored))
            }
            None => None,
        };
        if is_worn {
            self.view.overlay.clear(empty);
        }
        Ok(popped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Format, JsonDb, StoreOptions};

    const COUNT: u32 = 3_000;

    fn queue() -> JsonDb {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        db.create_object_store("queue", StoreOptions::default()).unwrap();
        db.update(&["queue"], None, |tx| {
            (0..COUNT).try_for_each(|n| {
                let document = Document { format: Format::Json, bytes: b"1".to_vec() };
                tx.put("queue", Some(Key::from_f64(n.into())?), document).map(drop)
            })
        })
        .unwrap();
        db
    }

    /// How many entries that are gone a transaction that begins now walks over to the end of the queue.
    fn walked(db: &JsonDb, direction: Direction) -> u64 {
        let transaction = db.begin(&["queue"], crate::jsondb::Mode::ReadOnly).unwrap();
        let range = RowRange::prefix(document_prefix(transaction.store("queue").unwrap().id));
        let View { base, overlay, .. } = &transaction.view;
        let mut rows = base.rows(overlay, &range, direction).unwrap();
        rows.advance().unwrap();
        rows.passed()
    }

    #[test]
    fn a_queue_does_not_get_slower_with_what_has_gone_through_it() {
        for direction in [Direction::Forward, Direction::Reverse] {
            let db = queue();
            let (mut keys, mut longest) = (Vec::new(), 0);
            while let Some(row) =
                db.update(&["queue"], None, |tx| tx.pop("queue", &KeyRange::all(), direction)).unwrap()
            {
                keys.push(row.key);
                longest = longest.max(walked(&db, direction));
            }
            assert_eq!(keys.len(), COUNT as usize);
            assert!(keys.is_sorted() != (direction == Direction::Reverse));
            assert!(longest <= 2 * PASSED_MAX, "{longest} {direction:?}");
        }
    }

    #[test]
    fn a_watch_is_told_of_what_was_taken_out_and_of_no_range() {
        let db = queue();
        let watch = db.watch(crate::jsondb::WatchOptions::default()).unwrap();
        for _ in 0..2 * PASSED_MAX {
            db.update(&["queue"], None, |tx| tx.pop("queue", &KeyRange::all(), Direction::Forward)).unwrap();
            let change = watch.try_recv().unwrap().unwrap();
            assert!(matches!(&*change, crate::jsondb::Change::Delete { .. }), "{change:?}");
        }
    }
}
