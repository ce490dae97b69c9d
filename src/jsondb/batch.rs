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
        // What the transaction has written itself may lie in the gap that others have found.
        let left =
            store.ends.left_of(&range, direction, base.snapshot.seqno()).filter(|_| !overlay.touches(&range));
        let mut rows = base.rows(overlay, left.as_ref().unwrap_or(&range), direction)?;
        let found = if rows.advance()? {
            rows.row().map(|(row, value)| (row.to_vec(), value.to_vec()))
        } else {
            None
        };
        drop(rows);
        let (seen, gap) = match (&found, direction) {
            (None, _) => (range.clone(), range),
            (Some((row, _)), Direction::Forward) => (range.up_to(successor(row)), range.up_to(row.clone())),
            (Some((row, _)), Direction::Reverse) => {
                (range.down_to(row.clone()), range.down_to(successor(row)))
            }
        };
        base.walked_to_write(overlay, reads, seen);
        if let Some(involved) = self.stores.get_mut(&store.name)
            && !overlay.touches(&gap)
        {
            involved.gaps.of(direction).get_or_insert(gap);
        }
        let Some((row, value)) = found else { return Ok(None) };
        let (key, stored) = (decode_document_key(&row, &prefix)?, StoredDocument::decode(&value, &row)?);
        self.remove_document(&store, &key, &stored)?;
        Ok(Some(row_of(key, None, stored)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Format, JsonDb, Mode, StoreOptions};

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

    /// How many rows are left to be looked at from an end, and how many there are.
    fn left(db: &JsonDb, direction: Direction) -> (bool, u64) {
        let mut transaction = db.begin(&["queue"], Mode::ReadOnly).unwrap();
        let store = transaction.store("queue").unwrap();
        let range = RowRange::prefix(document_prefix(store.id));
        let left = store.ends.left_of(&range, direction, transaction.snapshot_seqno());
        let rows = transaction.count_rows(&left.clone().unwrap_or(range)).unwrap();
        (left.is_some(), rows)
    }

    #[test]
    fn a_queue_does_not_get_slower_with_what_has_gone_through_it() {
        for direction in [Direction::Forward, Direction::Reverse] {
            let db = queue();
            let mut taken = 0;
            while let Some(row) =
                db.update(&["queue"], None, |tx| tx.pop("queue", &KeyRange::all(), direction)).unwrap()
            {
                taken += 1;
                let number = if direction == Direction::Forward { taken - 1 } else { COUNT - taken };
                assert_eq!(row.key, Key::from_f64(number.into()).unwrap());
                // The one that was taken last is the only one that the next has to walk over.
                assert_eq!(left(&db, direction), (taken > 0, u64::from(COUNT - taken)));
            }
            assert_eq!(taken, COUNT);
        }
    }

    /// Documents that come and go at both ends, by threads that take them out: what is kept of the ends hides none.
    #[test]
    fn pops_beside_writers_at_both_ends_miss_nothing_and_give_nothing_twice() {
        let db = queue();
        let popped = std::sync::Mutex::new(Vec::new());
        let put = |n: i32| {
            let document = Document { format: Format::Json, bytes: b"1".to_vec() };
            db.update(&["queue"], None, |tx| {
                tx.put("queue", Some(Key::from_f64(n.into())?), document.clone()).map(drop)
            })
            .unwrap();
        };
        let pop = |direction| {
            let row = db.update(&["queue"], None, |tx| tx.pop("queue", &KeyRange::all(), direction)).unwrap();
            row.map(|row| popped.lock().unwrap().push(row.key)).is_some()
        };
        std::thread::scope(|scope| {
            for thread in 0..4_i32 {
                let (put, pop) = (&put, &pop);
                scope.spawn(move || {
                    for n in 0..150 {
                        let number = if n % 2 == 0 { -1 - n } else { 10_000 + n } * 4 + thread;
                        put(number);
                        pop(if (n / 3 + thread) % 2 == 0 { Direction::Forward } else { Direction::Reverse });
                    }
                });
            }
        });
        while pop(Direction::Forward) {}
        let mut popped = popped.into_inner().unwrap();
        let all = popped.len();
        popped.sort();
        popped.dedup();
        assert_eq!((popped.len(), all), (COUNT as usize + 600, COUNT as usize + 600));
    }

    #[test]
    fn a_watch_is_told_of_what_was_taken_out_and_of_no_range() {
        let db = queue();
        let watch = db.watch(crate::jsondb::WatchOptions::default()).unwrap();
        for _ in 0..300 {
            db.update(&["queue"], None, |tx| tx.pop("queue", &KeyRange::all(), Direction::Forward)).unwrap();
            let change = watch.try_recv().unwrap().unwrap();
            assert!(matches!(&*change, crate::jsondb::Change::Delete { .. }), "{change:?}");
        }
    }
}
