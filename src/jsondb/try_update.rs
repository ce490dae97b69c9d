//! Writing without waiting, for callers that must not block: from memory and in the calling thread, or not at all.
//!
//! Invariant: what can't be done so leaves nothing behind. A transaction that comes upon a row which only a file can tell
//! notes that it has missed it, and is not committed.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::commit::try_commit_view;
use super::schema::StoreDef;
use super::scope::Involved;
use super::transaction::Transaction;
use super::{JsonDb, Mode};
use crate::config::SyncMode;
use crate::effort::{self, Attempt};
use crate::error::{Code, Result};

/// What is written in the call may take so many steps of reading: about a millisecond, with what is made of it.
const STEPS_MAX: i64 = 4_000;

impl JsonDb {
    /// As [`JsonDb::update`] where nothing has to be waited for: no file is read, nobody else commits, what is written needs
    /// no sync, no background work holds writers up, and little is read (4,000 steps: two for a document that is looked up,
    /// and one more for each 256 bytes of it). `None` where that is not so; then nothing has been done, and
    /// whatever `change` gave counts for nothing.
    ///
    /// # Errors
    ///
    /// What `change` gives, after which nothing is written, and what [`super::Transaction::commit`] gives but `Conflict`.
    pub fn try_update<T>(
        &self,
        scope: &[&str],
        sync: Option<SyncMode>,
        change: impl FnOnce(&mut Transaction) -> Result<T>,
    ) -> Result<Option<T>> {
        let database = self.database()?;
        // Who watches is told what a document was before, which may have to be read from a file.
        let is_free = database.engine.is_commit_at_hand(sync)
            && !database.feed.is_watched()
            && !self.handle.has_default_ttls_to_settle(scope);
        if !is_free {
            return Ok(None);
        }
        let mut transaction = self.begin(scope, Mode::ReadWrite)?;
        transaction.view.base.stay_in_memory();
        // The commit is no part of it: once that is made, nothing may be given up.
        let attempt = effort::within(STEPS_MAX, || change(&mut transaction));
        let generated = generated_in(&transaction);
        let done = if transaction.view.base.has_missed() {
            Ok(None)
        } else {
            attempt.and_then(|attempt| match attempt {
                Attempt::Done(value, _) => Ok(try_commit(transaction, sync)?.then_some(value)),
                Attempt::TooMuch => Ok(None),
            })
        };
        if let Ok(None) = done {
            // Otherwise they would be missing among the keys, without anything having failed.
            generated.iter().for_each(|(store, first, last)| store.generator.give_back(*first, *last));
        }
        done
    }
}

/// Says whether it was done.
fn try_commit(transaction: Transaction, sync: Option<SyncMode>) -> Result<bool> {
    let Transaction { view, stores, .. } = transaction;
    match try_commit_view(view, stores.into_vec(), sync) {
        Err(error) if error.code() == Code::Conflict => Ok(false),
        done => done,
    }
}

/// The numbers that stores have generated for a transaction.
fn generated_in(transaction: &Transaction) -> Vec<(Arc<StoreDef>, u64, u64)> {
    let stores = transaction.stores.as_slice().iter();
    let generated = |one: &Involved| one.generated.map(|(first, last)| (Arc::clone(&one.store), first, last));
    stores.filter_map(generated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Document, Format, Key, StoreOptions, WatchOptions};

    /// More than is read without waiting, wherever it lies.
    const LARGE: usize = 200 << 10;
    const RELAXED: Option<SyncMode> = Some(SyncMode::Interval(1_000));

    fn raw(len: usize) -> Document {
        Document { format: Format::Raw, bytes: vec![1; len] }
    }

    fn key(number: f64) -> Key {
        Key::from_f64(number).unwrap()
    }

    /// A store that generates keys, with a document under 1 that can't be read without waiting.
    fn database() -> JsonDb {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        db.create_object_store("s", StoreOptions { key_path: None, auto_increment: true }).unwrap();
        db.update(&["s"], None, |tx| tx.put("s", None, raw(LARGE))).unwrap();
        db
    }

    fn try_put(db: &JsonDb, key: Option<Key>) -> Result<Option<Key>> {
        db.try_update(&["s"], RELAXED, |tx| tx.put("s", key, raw(1)))
    }

    fn version(db: &JsonDb, key: &Key) -> u64 {
        db.begin(&["s"], Mode::ReadOnly).unwrap().get("s", key).unwrap().map_or(0, |row| row.version)
    }

    #[test]
    fn a_write_that_has_nothing_to_wait_for_is_made_at_once() {
        let db = database();

        assert_eq!(try_put(&db, Some(key(5.0))).unwrap(), Some(key(5.0)));
        assert_eq!(try_put(&db, Some(key(5.0))).unwrap(), Some(key(5.0)));

        assert_eq!(version(&db, &key(5.0)), 2);
    }

    #[test]
    fn a_write_that_depends_on_what_does_not_lie_in_memory_leaves_nothing() {
        let db = database();

        let done = db.try_update(&["s"], RELAXED, |tx| {
            tx.put("s", Some(key(7.0)), raw(1))?;
            // Whatever is made of the error.
            Ok(tx.put("s", Some(key(1.0)), raw(1)).is_ok())
        });

        assert_eq!(done.unwrap(), None);
        assert_eq!((version(&db, &key(7.0)), version(&db, &key(1.0))), (0, 1));
        assert_eq!(db.try_update(&["s"], RELAXED, |tx| tx.delete("s", &key(1.0))).unwrap(), None);
        db.update(&["s"], None, |tx| tx.delete("s", &key(1.0))).unwrap();
        assert_eq!(try_put(&db, Some(key(1.0))).unwrap(), Some(key(1.0)));
    }

    #[test]
    fn keys_that_were_generated_in_vain_are_generated_again() {
        let db = database();
        let in_vain = db.try_update(&["s"], RELAXED, |tx| {
            for _ in 0..3 {
                tx.put("s", None, raw(1))?;
            }
            tx.delete("s", &key(1.0))
        });
        assert_eq!(in_vain.unwrap(), None);

        assert_eq!(try_put(&db, None).unwrap(), Some(key(2.0)));
        assert_eq!(db.update(&["s"], None, |tx| tx.put("s", None, raw(1))).unwrap(), key(3.0));
    }

    #[test]
    fn keys_of_a_batch_that_were_generated_in_vain_are_generated_again() {
        let db = database();
        let batch = vec![(None, raw(1)), (None, raw(1)), (Some(key(1.0)), raw(1))];

        assert_eq!(db.try_update(&["s"], RELAXED, |tx| tx.put_many("s", batch)).unwrap(), None);

        assert_eq!(try_put(&db, None).unwrap(), Some(key(2.0)));
    }

    #[test]
    fn a_change_that_reads_much_is_left_also_where_all_lies_in_memory() {
        let db = database();
        let keys: Vec<Key> = (2..32).map(|number| key(f64::from(number))).collect();
        let put = |tx: &mut Transaction| {
            keys.iter().try_for_each(|key| tx.put("s", Some(key.clone()), raw(60 << 10)).map(drop))
        };
        db.update(&["s"], None, put).unwrap();

        let delete = |count| {
            db.try_update(&["s"], RELAXED, |tx| {
                keys[..count].iter().try_for_each(|key| tx.delete("s", key).map(drop))
            })
        };

        assert_eq!(delete(30).unwrap(), None);
        assert_eq!(version(&db, &keys[0]), 1);
        assert_eq!(delete(5).unwrap(), Some(()));
        assert_eq!(version(&db, &keys[0]), 0);
    }

    /// A watch is told what a document was before, and a store that was declared is made by a commit of its own.
    #[test]
    fn what_takes_more_than_one_commit_is_left() {
        let db = database();
        let watch = db.watch(WatchOptions::default()).unwrap();
        assert_eq!(try_put(&db, None).unwrap(), None);
        drop(watch);
        db.declare_stores("declared").unwrap();
        let put = |tx: &mut Transaction| tx.put("declared", Some(key(1.0)), raw(1));

        assert_eq!(db.try_update(&["declared"], RELAXED, put).unwrap(), None);
        assert_eq!(db.schema().len(), 1);
        db.update(&["declared"], None, put).unwrap();
        assert_eq!(db.try_update(&["declared"], RELAXED, put).unwrap(), Some(key(1.0)));
        db.declare_default_ttl("declared", 60_000).unwrap();
        assert_eq!(db.try_update(&["declared"], RELAXED, put).unwrap(), None);
    }

    #[test]
    fn the_error_of_a_change_is_given_and_nothing_is_written() {
        let db = database();
        let failed = db.try_update(&["s"], RELAXED, |tx| {
            tx.put("s", Some(key(8.0)), raw(1))?;
            tx.add("s", Some(key(8.0)), raw(1))
        });

        assert_eq!(failed.unwrap_err().code(), Code::Constraint);
        assert_eq!(version(&db, &key(8.0)), 0);
        assert_eq!(db.try_update(&["t"], RELAXED, |_| Ok(())).unwrap_err().code(), Code::NotFound);
    }

    /// Another transaction has changed what this one has read: which of the two is right shows when it is run again.
    #[test]
    fn a_conflict_leaves_nothing() {
        let db = database();
        let done = db.try_update(&["s"], RELAXED, |tx| {
            tx.put("s", Some(key(9.0)), raw(1))?;
            db.update(&["s"], None, |other| other.put("s", Some(key(9.0)), raw(2)))
        });

        assert_eq!(done.unwrap(), None);
        assert_eq!(version(&db, &key(9.0)), 1);
    }
}
